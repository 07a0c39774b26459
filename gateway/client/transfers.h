/* transfers.h - libcurl's multi interface on the loop: transfers that share their connections.
 *
 * Whoever makes requests has transfers of its own: its connections are reused for it alone and are closed with it.
 * Sockets become watches and libcurl's timer a deadline; both only note what happened. One task per turn lets
 * libcurl work, reports the transfers that have ended, and then calls on_turn, the one place from which transfers
 * may be added, paused and removed and other rooms may be called. libcurl's own callbacks run inside that task and
 * never do.
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
void transfers_add(struct transfers *c, void *easy);
void transfers_remove(struct transfers *c, void *easy); /* of a transfer that has not been reported as done */
/* on_turn is called in this or the next turn. */
void transfers_wake(struct transfers *c);
/* Closes the idle connections; no transfer may be left. A server that is told to end may wait for them. */
void transfers_disconnect(struct transfers *c);
void transfers_free(struct transfers *c); /* no transfer may be left; closes the connections; NULL is fine */
