/* body.h - a body on its way from one producer to one consumer, on one thread.
 *
 * A chain of chunks, of known or unknown length, perhaps still arriving. The producer appends
 * while the consumer wants more (body_wants) and ends it with body_finish or body_fail; the
 * consumer takes bytes and lets the producer know by taking. Bytes are moved, never copied, except
 * into memory that a library insists on.
 *
 * Nothing is wanted until a consumer says so (body_want): this is what holds back `100 Continue`
 * until a request has been admitted. A consumer that needs everything at once calls body_collect:
 * back-pressure is off, and what passes the spill threshold goes to an unlinked temporary file,
 * mapped when it is complete. The limit is enforced while bytes arrive.
 *
 * Each end holds the body and lets go of its end once; it is freed after both. A producer that
 * lets go without finishing has failed it; a consumer that lets go has abandoned it, and the
 * producer is told through on_wanted (body_abandoned is then true). Callbacks may be called from any
 * body_* function of the other end and must only note what happened or put a task on the turn.
 */
#pragma once
#include "gateway/base/chunk.h"
#include "gateway/invocation/failure.h"

#define BODY_LENGTH_UNKNOWN (-1)
#define BODY_HIGH_WATER (256 * 1024) /* not wanted above */
#define BODY_LOW_WATER (64 * 1024)   /* wanted again below */
#define BODY_SPILL (1024 * 1024)     /* a collected body above goes to a file */

enum body_state { BODY_OPEN, BODY_COMPLETE, BODY_FAILED };

struct body;

/* One body with both ends held. `limit` bytes at most (UINT64_MAX = none). */
struct body *body_new(int64_t length, uint64_t limit);
/* A complete body from one chunk (taken over; NULL = empty); the producer's end is already let go. */
struct body *body_of_chunk(struct chunk *take_chunk);

enum body_state body_state_of(const struct body *b);
int64_t body_length(const struct body *b);      /* declared, or exact once complete; else BODY_LENGTH_UNKNOWN */
uint64_t body_received(const struct body *b);   /* bytes appended so far */
const char *body_failure(const struct body *b); /* why it failed; NULL otherwise */
bool body_over_limit(const struct body *b);     /* it failed because of its limit */
/* What the failure is for whoever waits for the body; NONE unless it failed. INTERNAL: body_failure's text is for an
 * operator only. */
enum failure body_fault(const struct body *b);
/* Once it is known who receives it. Fails the body when more has arrived already. */
void body_set_limit(struct body *b, uint64_t limit);

uint64_t body_taken(const struct body *b); /* bytes consumed so far */
bool body_was_cut(const struct body *b);   /* the consumer let go before the end, or a failure */
/* Calls once both ends have let go, before it is freed: for whoever wants to know what became of it. One at most. */
void body_on_over(struct body *b, void (*on_over)(void *context, const struct body *b), void *context);

/* For whoever keeps a copy of what passes: every byte in order, those that are here already first, and then that both
 * ends have let go (as body_on_over, beside it). Both only note. One at most, set before the body is collected; NULL
 * takes it away. */
struct body_tap {
    void (*on_bytes)(void *context, struct slice bytes);
    void (*on_over)(void *context, const struct body *b);
    void *context;
};
void body_set_tap(struct body *b, const struct body_tap *tap);

/* Producer's end. */
void body_on_wanted(struct body *b, void (*on_wanted)(void *context), void *context);
bool body_wants(const struct body *b); /* the consumer can take more now */
bool body_abandoned(const struct body *b);
/* Takes the chunk over, also on failure. False when the body is over its limit or declared length (it has failed then)
 * or abandoned. */
bool body_append(struct body *b, struct chunk *take_chunk);
bool body_append_copy(struct body *b, struct slice bytes);
void body_finish(struct body *b);                /* all appended; fails it when short of the declared length */
void body_fail(struct body *b, const char *why); /* as BAD_REQUEST; `why` is copied */
void body_fail_as(struct body *b, enum failure f, const char *why);
void body_release_producer(struct body *b);

/* Consumer's end. */
void body_on_readable(struct body *b, void (*on_readable)(void *context), void *context); /* bytes, end or failure */
void body_want(struct body *b);
void body_collect(struct body *b);            /* wants everything; on_readable is called at the end or failure only */
struct slice body_peek(const struct body *b); /* the bytes at the front; absent when none are here */
void body_consume(struct body *b, size_t n);  /* n <= body_peek().n */
size_t body_read(struct body *b, char *out, size_t room); /* copies and consumes */
bool body_at_end(const struct body *b);                   /* complete and everything consumed */
/* All bytes of a complete, unconsumed body in one run (chunks are joined once if need be). They live as long as the
 * body. */
struct slice body_whole(struct body *b);
/* The chunk of a complete, unconsumed one-chunk body, moved out to be passed on without a copy; NULL when it is not in
 * one chunk. The caller holds it. */
struct chunk *body_take_chunk(struct body *b);
void body_release_consumer(struct body *b);
