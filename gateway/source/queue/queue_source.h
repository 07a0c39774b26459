/* queue_source.h - messages of one queue become invocations, and what came of those settles the messages.
 *
 * A source belongs to a queue and to all triggers that name it. It fetches only what its handlers have free places
 * for, shares the messages out by the triggers' filters, gathers them in batches, runs each batch as one
 * invocation (POST /queue/NAME), and settles every message once its answer is whole:
 *
 *   fetched -> GATHERING -> WAITING -> RUNNING -> settled: acknowledged, retried, or buried with the reason
 *
 *   GATHERING  until the batch is full or its window is over
 *   WAITING    for a place: those that come again come alone, so there may be more batches than places
 *   RUNNING    with the pool; until the answer is whole
 *
 * All that is held is extended at a third of the visibility timeout, so that nobody else gets it however long the
 * handler takes. A message that was received before comes alone: one that kills its handler condemns no
 * others. What never reached a process goes back as it is, though the store has counted the receive. A message that no
 * trigger wants is buried; without a dead letter queue, whatever would be buried stays and comes back after the retry
 * policy's longest delay.
 *
 * A queue is paused by a note in its store (queue_pause_key), which is looked at every second: it outlives the gateway.
 * Those of invocations that nobody waits for are not.
 *
 *   queue_source_new -> start -> stop (what has not run goes back at once) -> is_idle -> free
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/queue/store.h"

struct queue_config;
struct queue_trigger_config;
struct queue_source;

struct queue_source_trigger {
    const struct queue_trigger_config *config;
    struct route route;
    const struct async_config
        *async; /* its messages are invocations (async_send.h), one to a batch; NULL = they are not */
};

/* The triggers are copied; pipeline, store and what the routes point to must outlive the source. */
struct queue_source *queue_source_new(struct pipeline *p, struct queue_store *store, const struct queue_config *queue,
                                      const struct queue_source_trigger *triggers, size_t count);
void queue_source_start(struct queue_source *s); /* idempotent */
void queue_source_stop(struct queue_source *s);  /* idempotent */
/* Stopped, and nothing is held or on its way to the store. */
bool queue_source_is_idle(const struct queue_source *s);
void queue_source_free(struct queue_source *s); /* must be idle or never have been started; NULL is fine */

/* The note that says that a queue is paused, whatever its value. */
void queue_pause_key(struct buf *out, struct slice queue);
