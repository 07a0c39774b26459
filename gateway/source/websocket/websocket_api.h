/* websocket_api.h - what may be asked of open connections and of groups, whoever asks: handlers through their runtime
 * API, people through the admin listener. One table of paths; both spell them the same:
 *
 *   POST, GET, DELETE /v1/connections/{id}        send, inspect, close (?code=4000&reason=TEXT)
 *   the same          /@connections/{id}          as API Gateway spells it
 *   GET  /v1/connections?after=ID&limit=N         list
 *   POST /v1/connections                          send to many: {"connectionIds": [ID], "text" or "base64": TEXT}
 *   PUT, DELETE /v1/connections/{id}/groups/{group}   join, leave
 *   GET  /v1/groups/{group}                       how many are in it
 *   POST /v1/groups/{group}/messages              send to all in it (?except=ID)
 *   GET  /v1/nodes                                the cluster's nodes
 *
 * Connections are of any kind (websocket/members.h): WebSockets, and event streams that are held open. Sending takes
 * ?event=NAME and ?id=ID, which event streams show.
 *
 * `?ack=MESSAGE_ID` on a send asks that the client acknowledges it; `&informClients=ID,ID` are told if it does not
 * (websocket_delivery.h).
 *
 * A message is the request's body: bytes when its Content-Type is application/octet-stream, or when it is not UTF-8,
 * else text. A connection that is not open is 410.
 *
 * In a cluster, connections of all nodes and groups that span them are meant; a list is one node's (?node=TAG). What
 * cannot be said of them now is 503.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/fields.h"
#include "gateway/source/websocket/websocket_source.h"

enum websocket_asker { WEBSOCKET_ASKED_HERE, WEBSOCKET_ASKED_BY_NODE /* which asks everybody itself */ };
struct websocket_request {
    enum websocket_asker asker;
    struct slice method;
    const struct url *url;
    struct slice content_type;
    struct slice body;
    struct arena *arena; /* for what does not outlive the call */
};
struct websocket_answer {
    int status;
    struct buf json;    /* empty = none; the caller frees it */
    const char *detail; /* why not, when the status says so; lives as long as the arena */
};
/* One request and its answer. It is the asker's, as is all that the request names, until it is answered or cancelled.
 */
struct websocket_call {
    struct websocket_request request;
    struct websocket_answer answer;
    void (*on_done)(struct websocket_call *c); /* of one that had to wait: the answer is there */
    void *work;                                /* what an answer that is waited for is made of; NULL = nothing */
    void (*drop)(struct websocket_call *c);    /* frees the work */
};
/* ANSWERED: at once, on_done is not called. WAITING: it will be, unless the call is cancelled. What is wrong with the
 * method or the rest of a path that is one of those above, the answer says. */
enum websocket_call_state { WEBSOCKET_CALL_UNKNOWN, WEBSOCKET_CALL_ANSWERED, WEBSOCKET_CALL_WAITING };
enum websocket_call_state websocket_call_begin(struct websocket_call *c, struct websocket_source *s);
/* The asker has gone away. What was begun goes on; a call that does not wait is left alone. */
void websocket_call_cancel(struct websocket_call *c);
