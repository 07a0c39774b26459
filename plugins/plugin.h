/* plugin.h - all that a plugin author reads.
 *
 * A plugin is one folder under plugins/ and one row in table.c. It is compiled in, configured once per
 * blueprint, and sees every invocation twice: pre_handle on the headers, before the body is read and in
 * the order of the table; post_handle on the outcome, in reverse order, whatever the outcome
 * is: answers, refusals by other plugins, failures.
 *
 * pre_handle returns STEP_NEXT, STEP_REPLY after setting inv->outcome (outcome_failure), or STEP_WAIT after
 * arranging for pipeline_resume (later, from the turn: go on with the next step) or pipeline_reply. What
 * waits may be cancelled meanwhile: then post_handle is called as always, and the plugin forgets it there. Allocate
 * from inv->arena. Never block.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"

struct plugin {
    const char *name;
    /* Reads its settings. *state is the plugin's own, handed to the other three. NULL = nothing to configure. */
    int (*configure)(const struct blueprint *b, void **state, struct error *e);
    enum step_result (*pre_handle)(void *state, struct invocation *inv); /* NULL = none */
    void (*post_handle)(void *state, struct invocation *inv);            /* NULL = none */
    void (*close)(void *state);                                          /* NULL = nothing to free */
};

/* The compiled-in plugins, in order. */
extern const struct plugin *const plugin_table[];
extern const size_t plugin_count;

/* Configures all of them for a blueprint. `hooks` has room for plugin_count rows; plugins_close undoes it. */
int plugins_configure(const struct blueprint *b, struct hook *hooks, struct error *e) MUST_CHECK;
void plugins_close(struct hook *hooks);
