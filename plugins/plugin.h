/* plugin.h - all that a plugin author reads.
 *
 * A plugin is one folder under plugins/ and one row in table.c. It is compiled in, has its own keys in
 * the blueprint (section.h), and sees every invocation that is a client's request (TRIGGER_HTTP) twice: pre_handle on
 * the headers, before the body is read and in the order of the table; post_handle on the outcome, in reverse order,
 * whatever the outcome is: answers, refusals by other plugins, failures.
 *
 * pre_handle returns STEP_NEXT, STEP_REPLY after setting inv->outcome (outcome_failure), or STEP_WAIT after
 * arranging for pipeline_resume (later, from the turn: go on with the next step) or pipeline_reply. What
 * waits may be cancelled meanwhile: then post_handle is called as always, and the plugin forgets it there. Allocate
 * from inv->arena. Never block.
 *
 * A life: section->check (when a blueprint is loaded, by `execgate check` too) -> open -> pre_handle, post_handle ...
 * -> close. Settings for single triggers are arrays indexed by route->trigger->number.
 */
#pragma once
#include "gateway/blueprint/section.h"
#include "gateway/invocation/pipeline.h"

struct event_streams;
struct http_client;
struct loop;

/* What a running gateway lends its plugins, from open to close. Tests leave out what the plugin does not use. */
struct plugin_host {
    struct clock *clock;
    struct log *log;
    struct deadlines *deadlines;
    struct turn *turn;
    struct loop *loop;
    struct http_client *client;          /* outgoing requests; NULL when there is none */
    struct event_streams *event_streams; /* those that are held open; NULL when there are none */
    /* `run --dev-issuer`: where all keys that would be fetched from issuers are fetched instead; else NULL. */
    const char *development_keys_url;
    struct pipeline *pipeline;
    const struct blueprint *blueprint;
    /* Where a handler's invocations run; NULL for an unknown name. */
    struct executor *(*executor_of)(void *context, const char *handler_name);
    void *context;
    /* The same plugin's state in the generation that this one is to replace, which still serves: what took time to
     * learn (an issuer's keys) need not be learnt anew. Lent to `open` alone; NULL = there is none. */
    const void *predecessor;
};

struct plugin {
    const char *name;
    const struct section *section; /* NULL = no keys of its own */
    enum hook_scope sees;          /* struct hook */
    /* `settings` is what section->check made, NULL without; *state is the plugin's own, handed to the other three.
     * NULL = nothing to open: then the settings are the state. */
    int (*open)(const struct plugin_host *host, const void *settings, void **state, struct error *e);
    enum step_result (*pre_handle)(void *state, struct invocation *inv);  /* NULL = none */
    enum step_result (*body_handle)(void *state, struct invocation *inv); /* struct hook; NULL = none */
    void (*post_handle)(void *state, struct invocation *inv);             /* NULL = none */
    void (*close)(void *state);                                           /* NULL = nothing to free */
    /* False while answers are on their way through it whose invocations are over: it is not closed before. NULL = there
     * never are any. */
    bool (*is_idle)(void *state);
    bool (*preflight)(void *state, struct invocation *inv, const struct route *route); /* struct hook; NULL = none */
};

/* The compiled-in plugins, in order. */
extern const struct plugin *const plugin_table[];
extern const size_t plugin_count;

/* The keys of all plugins: what every blueprint of a real gateway is read with. */
struct sections plugins_sections(void);
/* Opens all of them for host->blueprint. `hooks` has room for plugin_count rows; plugins_close undoes it.
 * `predecessors` are those of the generation before; NULL = there is none. */
int plugins_open(const struct plugin_host *host, const struct hook *predecessors, struct hook *hooks,
                 struct error *e) MUST_CHECK;
void plugins_close(struct hook *hooks);
/* Nothing is on its way through any of them any more; what is left then goes with plugins_close. */
bool plugins_are_idle(const struct hook *hooks);
