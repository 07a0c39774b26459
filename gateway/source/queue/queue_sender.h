/* queue_sender.h - where the requests of a queue's `send` triggers end: no handler, the store.
 *
 * An executor as a pool is one. A request becomes messages (queue_posting.h) and is answered 202 with their ids once
 * they are on disk; a client that leaves before has perhaps sent all the same.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/queue/store.h"

struct queue_sender;
struct queue_sender *queue_sender_new(struct queue_store *store, const struct queue_config *queue);
struct executor *queue_sender_executor(struct queue_sender *s);
void queue_sender_free(struct queue_sender *s); /* nothing may be in flight; NULL is fine */
/* What a send that failed is for whoever asked. */
enum failure queue_sender_failure(const struct queue_reply *reply);
