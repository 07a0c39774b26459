/* generation.h - everything that a gateway builds for one blueprint.
 *
 * A generation has the blueprint, its routes, its plugins, a pipeline that leads through them, and holds a pool per
 * handler. An invocation belongs to the generation whose pipeline it was made in and keeps all of it until it is
 * finished. So a reload changes nothing under what is in flight:
 *
 *   generation_new -> WARMING -> serving -> retired -> generation_free
 *
 * WARMING: the pools that were not taken over from the predecessor start their processes; the predecessor serves. Once
 * each of them has one that asked for work, sources make their invocations in the new pipeline and the old
 * generation is retired; when one of them failed, the new generation is freed as if it had never been. A retired
 * generation is freed when nothing of it is in flight. Pools have lives of their own (pool_set.h).
 */
#pragma once
#include "gateway/command/serve/pool_set.h"
#include "gateway/command/serve/queue_stores.h"
#include "gateway/command/serve/schedules.h"
#include "gateway/invocation/pipeline.h"

struct http_client;
struct recorder;
struct websocket_site;
struct websocket_source;

struct generation_host { /* what a gateway lends all its generations */
    struct loop *loop;
    struct log *log;
    struct http_client *client;
    const char *development_keys_url; /* NULL = keys come from the issuers themselves */
    struct pool_set *pools;
    struct queue_stores *stores;
    struct websocket_source *websockets;
    struct event_streams *event_streams;
    struct recorder *recorder; /* NULL = nothing is recorded */
};

/* What is to become of handlers' processes, by name, against what their settings and executables say. */
struct names {
    char **items;
    size_t count;
};
struct succession_wishes {
    struct names renewed; /* new processes, though nothing seems to have changed */
    struct names kept;    /* the present ones, though the executable has changed */
};

struct generation;
/* Holds the blueprint. Takes over the pools of `previous` (NULL = none) whose handlers say the same and whose
 * executables are what they were, but for the wishes (NULL = none). */
struct generation *generation_new(const struct generation_host *host, struct blueprint *b,
                                  const struct generation *previous, const struct succession_wishes *wishes,
                                  struct error *e);
struct blueprint *generation_blueprint(const struct generation *g);
struct pipeline *generation_pipeline(struct generation *g);
/* A handler's; NULL for an unknown name. The route is that of invocations by name (invoke_source.h). */
struct pool *generation_pool(const struct generation *g, const char *handler_name);
/* True when its handler of that name has processes now. */
bool generation_has_processes(const struct generation *g, const char *handler_name);
const struct route *generation_invoke_route(const struct generation *g, const char *handler_name);
/* For the first one, when the host has got its recorder only afterwards; nothing may be in flight. */
void generation_record(struct generation *g);
/* Starts `min` processes in each of its own pools, without waiting for any. */
void generation_start(struct generation *g);

/* The same, and at least one in each that takes the place of a pool with processes, or was to be renewed. */
void generation_warm(struct generation *g);
enum warmth { GENERATION_WARMING, GENERATION_WARM, GENERATION_FAILED };
/* FAILED fills *e, and *failed with the handler. */
enum warmth generation_warmth(const struct generation *g, const struct handler_config **failed, struct error *e);
/* True when the predecessor's processes of this handler could go on instead. */
bool generation_may_keep(const struct generation *g, const struct handler_config *handler);
/* How many pools are not the predecessor's. */
size_t generation_new_pools(const struct generation *g);

/* Of a WebSocket path as its triggers spell it; NULL when it has none. */
struct websocket_site *generation_site(const struct generation *g, struct slice path);

/* Where its queues are kept; NULL while it needs none. */
struct queue_store *generation_store(const struct generation *g);
/* From now on it does. NULL when that cannot be. */
struct queue_store *generation_open_store(struct generation *g, struct error *e);
/* NULL while none are at work. */
const struct schedules *generation_schedules(const struct generation *g);
/* Messages, and invocations that nobody waits for, are taken and schedules run from now on; not any more. Idempotent.
 */
void generation_fetch(struct generation *g);
void generation_stop_fetching(struct generation *g);
/* It has stopped, and the store knows of every message what became of it. */
bool generation_has_settled(const struct generation *g);

/* Nothing of it is in flight any more; it has stopped fetching. */
bool generation_is_over(const struct generation *g);
void generation_free(struct generation *g); /* must be over; NULL is fine */
/* The same for one that never served: pool_set_hasten does not wait for its processes. */
void generation_forsake(struct generation *g);
