/* invoke_target.h - what `execgate invoke` invokes: one handler of a blueprint, or a bare executable.
 *
 * A word with a '/' is an executable: it becomes the only handler of a blueprint made up for it, with a route for every
 * request. Any other word is a handler of the blueprint.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/command/options.h"

struct invoke_target {
    struct blueprint *blueprint;
    struct handler_config *handler;
};

/* Tells what is wrong, as command_load does, and sets *exit_status when it returns false. */
bool invoke_target_load(struct invoke_target *t, const struct arguments *a, int *exit_status);
void invoke_target_free(struct invoke_target *t);
/* Of any blueprint whose handlers are invoked by hand: nothing is started before it is needed, and what was started
 * ends soon. */
void invoke_blueprint_prepare(struct blueprint *b);
/* Nothing is started before it is needed, and `parallel` invocations at a time may wait. */
void invoke_target_prepare(struct invoke_target *t, uint64_t parallel);
/* One process, started at once, that may take as long as somebody needs to look at it. */
void invoke_target_unhurry(struct invoke_target *t);
