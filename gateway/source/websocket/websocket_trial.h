/* websocket_trial.h - an event of a WebSocket connection that there is not, for trying a handler without a server
 * (`execgate invoke --websocket`).
 *
 * It looks as the event of a connection does that was opened a second ago from this machine, to a path without
 * parameters, and is in no group. What the handler sends to the connection finds none. */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/invocation.h"

struct websocket_trial {
    const struct websocket_trigger_config *trigger; /* whose path has no parameters */
    struct slice body;                              /* of a message: bytes when it is not UTF-8 */
};
/* Makes it the event of an invocation that has its identity already, and its route. */
void websocket_trial_fill(struct invocation *inv, const struct websocket_trial *trial);
