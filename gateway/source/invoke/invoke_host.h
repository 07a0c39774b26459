/* invoke_host.h - what those are lent who call handlers by name or send to queues: always of the present generation, so
 * ask for each call.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/slice.h"

struct pipeline;
struct queue_config;
struct queue_store;
struct route;
struct websocket_source;

struct invoke_host {
    void *context;
    struct pipeline *(*pipeline)(void *context);
    /* Of invocations by name (invoke_route); NULL for an unknown handler. */
    const struct route *(*route)(void *context, struct slice handler);
    /* NULL for one that the blueprint does not have. */
    const struct queue_config *(*queue)(void *context, struct slice name);
    /* Where queues are kept; opened, which takes a moment, if nothing needed it before. NULL when it cannot be used. */
    struct queue_store *(*store)(void *context, struct error *e);
    struct websocket_source *websockets; /* open connections; NULL = there are none */
};
