/* routed_store.h - several stores that look like one: each queue is in the store that its name leads to.
 *
 * The home store has all queues that no route was told of. A note that pauses a queue is with it; other notes and
 * leases are with the first store that was added, if there is one: it is the one that other gateways share. A call that
 * names several queues is carried out by one store or refused, because only one store can do it whole.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"

#define ROUTED_STORES_MAX 16

/* Takes over the home store: it is closed with this one. */
struct queue_store *routed_store_new(struct loop *loop, struct queue_store *take_home);
/* Takes over another store; false when there are too many. */
bool routed_store_add(struct queue_store *s, struct queue_store *take_store);
/* Before the queue is used: `to` is one of the added. */
void routed_store_route(struct queue_store *s, struct slice queue, struct queue_store *to);
