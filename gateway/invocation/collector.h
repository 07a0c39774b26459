/* collector.h - the whole answer of an invocation, for whoever inside the gateway has made it.
 *
 * A source's finish gives it the body of the outcome; from the turn, once that is complete, has failed, or has taken
 * too long, on_ready is called: never before collector_take returns, and once. It may outlive the pipeline, which a
 * reload frees when no invocation is in it any more: it keeps only what is the loop's.
 */
#pragma once
#include "gateway/invocation/pipeline.h"

struct collector {
    struct clock *clock;
    struct deadlines *deadlines;
    struct turn *turn;
    void (*on_ready)(struct collector *c);
    struct body *body; /* the consumer's end; NULL = empty */
    struct turn_task task;
    struct deadline patience;
};

void collector_init(struct collector *c, const struct pipeline *p, void (*on_ready)(struct collector *c));
/* NULL: there is nothing to wait for. `limit` bytes at most. */
void collector_take(struct collector *c, struct body *take_body, uint64_t limit, uint64_t patience_ms);
/* The bytes, as long as the collector; absent unless the body is complete. */
struct slice collector_bytes(const struct collector *c);
void collector_release(struct collector *c); /* idempotent */
