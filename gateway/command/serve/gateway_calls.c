/* What those are lent who call handlers or send to queues: always of the present generation. */
#include "gateway/base/memory.h"
#include "gateway/command/serve/gateway_private.h"
#include <stdlib.h>

static struct pipeline *present_pipeline(void *context) {
    const struct gateway *g = context;
    return generation_pipeline(g->current);
}

static const struct route *present_route(void *context, struct slice handler) {
    const struct gateway *g = context;
    char *name = slice_dup(handler);
    const struct route *route = generation_invoke_route(g->current, name);
    free(name);
    return route;
}

static const struct queue_config *present_queue(void *context, struct slice name) {
    const struct gateway *g = context;
    return blueprint_queue(generation_blueprint(g->current), name);
}

static struct queue_store *present_store(void *context, struct error *e) {
    struct gateway *g = context;
    struct queue_store *store = generation_store(g->current);
    if (store) return store;
    store = generation_open_store(g->current, e);
    if (store) gateway_queues_follow(g);
    return store;
}

struct invoke_host gateway_calls(struct gateway *g) {
    return (struct invoke_host){.context = g,
                                .pipeline = present_pipeline,
                                .route = present_route,
                                .queue = present_queue,
                                .store = present_store,
                                .websockets = g->websockets};
}

/* A generation that was made before the store was needed opens it now. */
void gateway_queues_follow(struct gateway *g) {
    struct error e = {0};
    bool needed = queue_stores_are_needed(g->stores, generation_blueprint(g->current));
    if (needed && !generation_store(g->current) && !generation_open_store(g->current, &e))
        log_event(g->log, LOG_ERROR, "queues cannot be used", LOG_TEXT("why", e.message));
    queue_stores_declare(g->stores, generation_blueprint(g->current));
    if (g->takes_messages) generation_fetch(g->current);
}
