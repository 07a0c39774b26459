/* transfers.h - libcurl's multi interface on the loop: transfers that share their connections.
 *
 * Whoever makes requests has transfers of its own: its connections are reused for it alone and are closed with it.
 * Sockets become watches and libcurl's timer a deadline; both only note what happened. One task per turn lets
 * libcurl work, reports the transfers that have ended, and then calls on_turn, the one place from which transfers
 * may be added, paused and removed and other rooms may be called. libcurl's own callbacks run inside that task and
 * never do.
 *
 * A kept connection is fit for another request only while it is silent: what has arrived on it since its last answer
 * would be taken for the next one (RFC 9112 9.2). libcurl looks only for its end, so a transfer asks here before it
 * sends.
 *
 * An easy handle is a `void *` here, as it is in curl.h.
 */
#pragma once
#include "gateway/loop/loop.h"

struct transfers;
struct transfers_ops {
    void (*on_done)(void *transfer, int curl_code); /* removed already; `transfer` is its CURLOPT_PRIVATE */
    void (*on_turn)(void *context);
};
struct transfers *transfers_new(struct loop *l, const struct transfers_ops *ops, void *context, struct error *e);
/* `socket` is set to the one that the transfer opens when no kept connection is there for it; NULL = nobody asks. */
void transfers_add(struct transfers *c, void *easy, int *socket);
/* For CURLOPT_PREREQFUNCTION: what the connection is, which it is about to send on, known by the port of our end. */
enum connection_state {
    CONNECTION_NEW,     /* this is its first request */
    CONNECTION_SILENT,  /* kept, and ready for the next */
    CONNECTION_ENDED,   /* by the server */
    CONNECTION_TALKING, /* holds bytes that no request has asked for */
};
enum connection_state transfers_examine(struct transfers *c, int socket, int local_port);
void transfers_remove(struct transfers *c, void *easy); /* of a transfer that has not been reported as done */
/* on_turn is called in this or the next turn. */
void transfers_wake(struct transfers *c);
/* Closes the idle connections; no transfer may be left. A server that is told to end may wait for them. */
void transfers_disconnect(struct transfers *c);
void transfers_free(struct transfers *c); /* no transfer may be left; closes the connections; NULL is fine */
