/* websocket_source.h - WebSocket connections become invocations, and what came of those goes back to them.
 *
 * A path's handshake is a request like any other: it is routed, plugins and guards look at it, and then it comes to the
 * path's site, which is an executor as a pool is one. The site checks the handshake, asks the handler of `$connect` if
 * there is one, and answers 101; the connection is then taken out of the HTTP server. From then on it is a session:
 *
 *   CONNECTING  $connect runs; the client waits for its 101
 *   OPEN        each message is an invocation (POST /websocket/PATH/ROUTE) of the handler whose route it names; one at
 *               a time, in order, unless the path says `concurrency`. What comes faster is not read.
 *   ENDING      no connection any more: what has come is still handled, then $disconnect
 *
 * Sessions are the gateway's and outlive reloads: the site is looked up anew for each event by the path's pattern, so a
 * new generation's handlers get what comes after it. A path that is gone closes its connections with 1001. Sites
 * are a generation's: it is over only when none of them is busy.
 *
 * Who the client was found to be at the handshake travels with every event. Nobody's credential is kept.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/source/http/http_server.h"
#include "gateway/websocket/websockets.h"

struct websocket_source;
struct websocket_site;

struct websocket_source_host {
    void *context;
    /* Of the present generation; NULL when it does not have the path. */
    struct websocket_site *(*site)(void *context, struct slice path);
    void (*on_ended)(void *context); /* a session is over */
    struct members *members;         /* where open connections are entered; lent */
};
struct websocket_source *websocket_source_new(struct loop *l, struct log *log,
                                              const struct websocket_source_host *host);
/* No more than so many connections, all paths together. */
void websocket_source_limit(struct websocket_source *s, uint64_t max_connections);
/* After a reload: connections whose path is gone are closed with 1001. */
void websocket_source_follow(struct websocket_source *s);
void websocket_source_drain(struct websocket_source *s); /* closes with 1001; what was said is handled */
void websocket_source_abort(struct websocket_source *s);
size_t websocket_source_count(const struct websocket_source *s); /* sessions */
/* Makes it a node of a cluster: connections of all nodes can be sent to, groups span them, and who survives a node runs
 * its sessions' $disconnect. Before there are any sessions. */
struct websocket_cluster_config {
    struct slice url, name; /* of Redis; all gateways of this name there */
    uint64_t lease_ms;
};
int websocket_source_join(struct websocket_source *s, const struct websocket_cluster_config *c,
                          struct error *e) MUST_CHECK;
/* The last word to the cluster; has left when websocket_source_has_left. */
void websocket_source_leave(struct websocket_source *s);
bool websocket_source_has_left(const struct websocket_source *s);
struct cluster *websocket_source_cluster(const struct websocket_source *s); /* NULL = none */
/* Its groups have changed. */
void websocket_source_regroup(struct member *m);
bool websocket_source_is_idle(const struct websocket_source *s); /* no session, no socket is left */
void websocket_source_free(struct websocket_source *s);          /* must be idle; NULL is fine */
/* Messages with acknowledgements: clients' that were acknowledged, and that had come before; those to clients that were
 * sent again, that were lost, and that wait now. */
struct websocket_acknowledgements {
    uint64_t acknowledged, duplicates, resent, lost, unacknowledged;
};
const struct websocket_acknowledgements *websocket_source_acknowledgements(const struct websocket_source *s);

size_t websocket_source_open(const struct websocket_source *s); /* connections that are open */
const struct websockets_counters *websocket_source_counters(const struct websocket_source *s);
struct members *websocket_source_members(struct websocket_source *s);

/* --- a generation's --- */
struct websocket_site_config {
    struct websocket_source *source;
    struct pipeline *pipeline;
    const struct blueprint *blueprint;
    const struct websocket_config *config;
    struct executor *(*executor_of)(void *context, const char *handler_name);
    void *context;
};
struct websocket_site *websocket_site_new(const struct websocket_site_config *c);
struct executor *websocket_site_executor(struct websocket_site *s); /* of its handshakes */
/* The handshake's route was added to the router: events have the same parameters. */
void websocket_site_name_parameters(struct websocket_site *s, const struct route *door);
struct slice websocket_site_path(const struct websocket_site *s);
bool websocket_site_is_idle(const struct websocket_site *s);
void websocket_site_free(struct websocket_site *s); /* must be idle; NULL is fine */
