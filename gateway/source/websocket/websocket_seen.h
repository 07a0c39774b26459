/* websocket_seen.h - which messages have been handled before.
 *
 * A client that has not heard that its message arrived sends it again, perhaps on another connection. So each sender's
 * message ids are remembered for a while: a sender is a client that a guard knows, or else one connection.
 *
 *   seen_begin -> NEVER     it is to be handled now, and in progress until seen_settle
 *              -> RUNNING   the same one is being handled
 *              -> HANDLED   it was handled well, and not so long ago as its path's window
 *
 * What failed is forgotten: it may come again. Memory is bounded, SEEN_PER_SENDER ids of one sender and SEEN_MOST of
 * all; the oldest go first. A sender without ids costs nothing. Pure: time comes from the clock, deadlines go on the
 * heap.
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/deadline.h"
#include "gateway/base/slice.h"

#define SEEN_PER_SENDER 1024
#define SEEN_MOST 131072

struct seen;
struct seen_sender;
struct seen_message;

struct seen *seen_new(struct clock *clock, struct deadlines *deadlines);
void seen_free(struct seen *s); /* nobody may hold a sender; NULL is fine */
size_t seen_count(const struct seen *s);

/* LASTS: its ids are remembered when nobody holds it. */
enum seen_scope { SEEN_LASTS, SEEN_WHILE_HELD };
struct seen_sender *seen_sender_hold(struct seen *s, struct slice key, enum seen_scope scope);
void seen_sender_release(struct seen_sender *sender); /* NULL is fine; what it has begun may still be settled */

enum seen_verdict { SEEN_NEVER, SEEN_RUNNING, SEEN_HANDLED };
/* *message is set when it is NEVER. */
enum seen_verdict seen_begin(struct seen_sender *sender, struct slice id, struct seen_message **message);
/* Handled well: for so long. 0: it failed. */
void seen_settle(struct seen_message *m, uint64_t window_ms);
