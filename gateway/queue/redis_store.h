/* redis_store.h - queues in Redis or Valkey: the store that several machines share.
 *
 * A queue is a stream with a consumer group; delays and visibility times are sorted sets. Each call is one script
 * inside Redis, so it is done whole or not at all, for every gateway alike (redis/common.lua tells of the keys). Needs
 * Redis 6.2 or Valkey; one server, not a cluster's many.
 *
 * An answer QUEUE_OK to a send means that Redis has it. Whether it survives Redis' own end is Redis' setting: with
 * appendonly yes and appendfsync always it is on the disk, with everysec up to two seconds may be lost (Redis holds
 * writes back while an earlier one is being synced).
 *
 * Store time is the gateway's monotonic clock, begun at what Redis says; Redis keeps the latest that any gateway has
 * brought and a gateway that lags behind follows, so that neither skew between machines nor a wall clock that jumps
 * hides a message or ends its time early.
 *
 * The connection is made in the background and made again when it breaks; meanwhile calls wait, and after a few seconds
 * fail with QUEUE_TRY_AGAIN. What was under way when it broke fails so too, but settlements and declarations, which are
 * repeated: one that had been carried out is then answered with QUEUE_STALE.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"

struct redis_store_options {
    struct slice url;  /* redis_address.h */
    struct slice name; /* gateways that give the same one share the store's queues */
    struct log *log;   /* NULL = silent */
    /* Tests whose time is not real begin with the loop's wall clock instead of Redis'. */
    enum redis_store_clock { REDIS_CLOCK_SERVER, REDIS_CLOCK_LOOP } clock;
};
/* Does not wait for the connection. NULL when the URL is wrong. */
struct queue_store *redis_store_open(struct loop *loop, const struct redis_store_options *options, struct error *e);
/* A queue whose messages are in a stream that other programs write to or read from as well, received as `group`; each
 * may be absent. Call it before the queue's declare. */
void redis_store_bind(struct queue_store *s, struct slice queue, struct slice stream, struct slice group);
