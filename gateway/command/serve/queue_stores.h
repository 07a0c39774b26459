/* queue_stores.h - the stores that a gateway's queues are kept in.
 *
 * Opened for the first generation that needs it, for schedules, or for the first invocation that nobody waits for, and
 * kept open for all generations that follow: a reload closes nothing that holds messages. Another data directory, or
 * another name of the application, needs a restart.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"

struct log;
struct queue_stores;
struct queue_stores *queue_stores_new(struct loop *loop, struct log *log);
/* True when it is to be opened at once: it is open, the blueprint speaks of queues or of `async`, or an earlier run has
 * left messages, perhaps. */
bool queue_stores_are_needed(const struct queue_stores *s, const struct blueprint *b);
/* The one for this blueprint; opened now, which blocks, if it is not open. NULL when it cannot be used. */
struct queue_store *queue_stores_open(struct queue_stores *s, const struct blueprint *b, struct error *e);
/* Tells the store what this blueprint says of its queues: for a generation that begins to serve. */
void queue_stores_declare(struct queue_stores *s, const struct blueprint *b);
/* Idempotent; closed once queue_stores_are_closed says so. */
void queue_stores_close(struct queue_stores *s);
bool queue_stores_are_closed(const struct queue_stores *s);
void queue_stores_free(struct queue_stores *s); /* must be closed; NULL is fine */
