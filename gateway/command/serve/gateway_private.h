/* gateway_private.h - what the files of the gateway share; nobody else includes it.
 *
 * gateway.c         building, serving, stopping, taking down
 * gateway_reload.c  from one generation to the next
 * gateway_admin.c   what the admin listener is lent
 */
#pragma once
#include "gateway/client/http_client.h"
#include "gateway/command/serve/gateway.h"
#include "gateway/command/serve/generation.h"
#include "gateway/command/token/dev_issuer.h"
#include "gateway/observe/admin.h"
#include "gateway/source/event_stream/event_source.h"
#include "gateway/source/http/http_source.h"
#include "gateway/source/invoke/invoke_host.h"
#include "gateway/source/websocket/websocket_source.h"

enum gateway_stage { GATEWAY_SERVING, GATEWAY_DRAINING, GATEWAY_STOPPING, GATEWAY_STOPPED };

/* From one generation to the next; none is under way while `candidate` is NULL. */
struct reload {
    struct blueprint_source source; /* load NULL = there is none */
    struct generation *candidate;   /* WARMING */
    struct succession_wishes wishes;
};

struct gateway {
    struct log *log;
    struct loop *loop;
    struct supervisor *supervisor;
    struct attacher *attacher;
    struct runtime_api *runtime_api;
    struct server_proxy *server_proxy;
    struct once_context once;
    struct http_client *client;
    struct dev_issuer *dev_issuer; /* NULL = none */
    struct pool_set *pools;
    struct queue_stores *stores;
    struct generation_host host;
    struct generation *current;
    struct generation **retired; /* something of them is in flight */
    size_t retired_count;
    struct reload reload;
    bool on_terminal;   /* was started on one */
    bool own_listeners; /* those of the blueprint, not of the command line */
    struct http_source *http;
    struct members *members; /* open connections that take messages, of every kind */
    struct websocket_source *websockets;
    char *cluster_url; /* what the cluster was joined with; NULL = none */
    struct event_source *events;
    struct admin *admin; /* NULL = none */
    struct turn_task log_task;
    struct deadline log_retry;
    struct deadline look; /* what has to be waited for: drains, candidates, generations that retire */
    struct deadline drain_limit;
    enum gateway_stage stage;
    int stop_signal;      /* the last one that was to stop it; 0 = none yet */
    uint64_t stop_ms;     /* when it came */
    uint64_t most_header; /* what memory was reckoned by */
    bool takes_messages;  /* of queues */
    bool hurried;         /* the first signal is as good as a second one */
    bool forced;
    void (*on_output)(void *context, const struct worker *w, enum output_stream stream, struct slice line);
    void *output_context;
};

/* gateway.c */
void gateway_look_soon(struct gateway *g);
size_t gateway_in_flight(const struct gateway *g);

/* gateway_calls.c */
struct invoke_host gateway_calls(struct gateway *g);
/* What the serving generation says of its queues holds from now on. */
void gateway_queues_follow(struct gateway *g);

/* gateway_reload.c */
/* Goes on with what is under way; true while something is. */
bool gateway_reload_look(struct gateway *g);
/* Gives up the candidate. */
void gateway_reload_abandon(struct gateway *g);
void gateway_reload_free(struct gateway *g);
