/* held_sends.h - messages that are sent only if the answer of an invocation is accepted.
 *
 * A handler hands them in while it works, under the invocation's id (native_queue.h). They are held in memory until it
 * answers: then all of them are sent in one call, and only when they are on disk is the answer delivered. With any
 * other end they are forgotten:
 *
 *   HELD -> (the answer) SENDING -> on disk: the answer counts; not: the invocation has failed
 *     \-> (an error, a timeout, the process's death, a client that left) gone
 *
 * An answer that is streamed counts from its head: what is held is on disk before the first byte is passed on.
 *
 * While SENDING the invocation stays where it is but cannot be answered again, and no deadline runs. A process that
 * dies in this moment makes it fail although its messages are sent.
 */
#pragma once
#include "gateway/source/queue/queue_posting.h"
#include "local-api/endpoint.h"

/* Copies them. The number of those that are held now, or an error: too many, too large. */
int held_sends_add(struct invocation *inv, const struct queue_posting *p, struct error *e) MUST_CHECK;
/* Absent when none is held. */
struct slice held_sends_first_queue(const struct invocation *inv);
/* True when it has taken over the outcome, and will complete the invocation with it or a failure. */
bool held_sends_begin(struct endpoint *ep, struct invocation *inv, struct outcome o);
/* It has been answered, and its messages are being sent. */
bool held_sends_are_sending(const struct invocation *inv);
/* The invocation is being completed. */
void held_sends_forget(struct invocation *inv);
