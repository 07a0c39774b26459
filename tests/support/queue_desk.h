/* queue_desk.h - a queue store under test, and calls on it that are carried out and waited for.
 *
 * A test program gives a struct yard, which opens stores on the same data and clears the data between tests. The clock
 * is fake: time passes by desk_wait only, so a store must take its time from loop_clock. A struct desk has the loop,
 * the clock and a store. What desk_* calls return lives until the desk closes.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>

#define DESK_WAIT_MS 30000
#define DESK_ANSWERS 4096

struct yard {
    struct queue_store *(*open)(struct yard *y, struct loop *loop, struct error *e);
    void (*clear)(struct yard *y); /* no store is open */
};

struct answer {
    bool arrived;
    struct queue_reply reply;
    struct arena memory;
};
struct desk {
    struct yard *yard;
    struct clock_fake clock;
    struct loop *loop;
    struct queue_store *store;
    struct queue_store *used; /* by desk_* calls; desk->store unless the test sets it */
    struct answer *answers[DESK_ANSWERS];
    size_t answer_count;
    int open_stores;
};

/* --- the desk --- */

static inline void desk_on_done(void *context, struct queue_reply *reply) {
    struct answer *a = context;
    assert_false(a->arrived);
    a->arrived = true;
    a->reply = *reply;
    a->memory = queue_reply_take(reply);
}

static inline struct answer *desk_answer(struct desk *d) {
    struct answer *a = xcalloc(1, sizeof *a);
    assert_true(d->answer_count < DESK_ANSWERS);
    d->answers[d->answer_count++] = a;
    return a;
}

static inline struct queue_done desk_done(struct answer *a) {
    return (struct queue_done){desk_on_done, a};
}

static inline bool answer_has_arrived(void *context) {
    return ((struct answer *)context)->arrived;
}

static inline struct queue_reply *desk_await(struct desk *d, struct answer *a) {
    assert_false(a->arrived); /* nothing calls back before it returns */
    assert_true(loop_run_until(d->loop, answer_has_arrived, a, DESK_WAIT_MS));
    return &a->reply;
}

static inline struct queue_reply *desk_await_ok(struct desk *d, struct answer *a) {
    struct queue_reply *reply = desk_await(d, a);
    if (reply->result != QUEUE_OK) fail_msg("refused: %s", reply->error.message);
    return reply;
}

static inline void desk_on_closed(void *context) {
    ((struct desk *)context)->open_stores--;
}

static inline bool desk_is_closed(void *context) {
    return ((struct desk *)context)->open_stores == 0;
}

static inline struct queue_store *desk_open_store(struct desk *d) {
    struct error e;
    struct queue_store *store = d->yard->open(d->yard, d->loop, &e);
    if (!store) fail_msg("%s", e.message);
    d->open_stores++;
    return store;
}

static inline void desk_close_store(struct desk *d, struct queue_store *store) {
    int before = d->open_stores;
    store->ops->close(store, desk_on_closed, d);
    assert_int_equal(d->open_stores, before);
}

/* Closes all and opens one again; `d->clock` may have been changed in between by the test. */
static inline void desk_shut(struct desk *d) {
    desk_close_store(d, d->store);
    assert_true(loop_run_until(d->loop, desk_is_closed, d, DESK_WAIT_MS));
}

static inline void desk_reopen(struct desk *d) {
    d->store = d->used = desk_open_store(d);
}

/* Deadlines that are due are run: the loop's timer knows nothing of a fake clock. */
static inline void desk_wait(struct desk *d, uint64_t ms) {
    clock_fake_advance_ms(&d->clock, ms);
    deadlines_run(loop_deadlines(d->loop), clock_now_ms(&d->clock.clock));
}

static inline struct yard **suite_yard(void) {
    static struct yard *yard;
    return &yard;
}

static inline int desk_setup(void **state) {
    struct desk *d = xcalloc(1, sizeof *d);
    struct error e;
    d->yard = *suite_yard();
    clock_fake_init(&d->clock);
    d->loop = loop_new(&d->clock.clock, &e);
    assert_non_null(d->loop);
    desk_reopen(d);
    *state = d;
    return 0;
}

static inline int desk_teardown(void **state) {
    struct desk *d = *state;
    desk_shut(d);
    for (size_t i = 0; i < d->answer_count; i++) {
        arena_free(&d->answers[i]->memory);
        free(d->answers[i]);
    }
    loop_free(d->loop);
    d->yard->clear(d->yard);
    free(d);
    return 0;
}

/* --- calls that are waited for --- */

static inline const struct queue_sent *desk_send(struct desk *d, const struct queue_send *send) {
    struct answer *a = desk_answer(d);
    d->used->ops->send(d->used, send, 1, desk_done(a));
    return desk_await_ok(d, a)->sent;
}

static inline const struct queue_sent *desk_send_text(struct desk *d, const char *queue, const char *body) {
    return desk_send(d, &(struct queue_send){.queue = slice_of(queue), .body = slice_of(body)});
}

static inline void desk_send_group(struct desk *d, const char *group, const char *body) {
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = slice_of(body), .group_id = slice_of(group)});
}

static inline struct queue_reply *desk_send_fails(struct desk *d, const struct queue_send *sends, size_t count) {
    struct answer *a = desk_answer(d);
    d->used->ops->send(d->used, sends, count, desk_done(a));
    struct queue_reply *reply = desk_await(d, a);
    assert_int_equal(reply->result, QUEUE_REFUSED);
    assert_true(strlen(reply->error.message) > 10);
    return reply;
}

static inline struct queue_reply *desk_receive(struct desk *d, const char *queue, unsigned max) {
    struct answer *a = desk_answer(d);
    const struct queue_receive receive = {slice_of(queue), max, 30000};
    d->used->ops->receive(d->used, &receive, desk_done(a));
    return desk_await_ok(d, a);
}

/* Exactly one message, with this body. */
static inline const struct queue_message *desk_take(struct desk *d, const char *queue, const char *body) {
    struct queue_reply *reply = desk_receive(d, queue, 1);
    if (reply->count != 1) fail_msg("\"%s\" did not come", body);
    assert_slice_is(reply->messages[0].body, slice_of(body), __FILE__, __LINE__);
    return &reply->messages[0];
}

static inline void desk_expect_none(struct desk *d, const char *queue) {
    struct queue_reply *reply = desk_receive(d, queue, 10);
    if (reply->count) fail_msg("unexpected: " SLICE_FMT, SLICE_ARG(reply->messages[0].body));
}

static inline enum queue_settled desk_settle(struct desk *d, const struct queue_settlement *item) {
    struct answer *a = desk_answer(d);
    d->used->ops->settle(d->used, item, 1, desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 1);
    return reply->settled[0];
}

static inline enum queue_settled desk_act(struct desk *d, const char *queue, const struct queue_message *m,
                                          enum queue_action action, uint64_t delay_ms) {
    return desk_settle(d, &(struct queue_settlement){.queue = slice_of(queue),
                                                     .receipt = m->receipt,
                                                     .action = action,
                                                     .delay_ms = delay_ms,
                                                     .reason = SLICE("attempts used up"),
                                                     .error = SLICE("it fell over"),
                                                     .attempts = 5});
}

static inline void desk_ack(struct desk *d, const char *queue, const struct queue_message *m) {
    assert_int_equal(desk_act(d, queue, m, QUEUE_ACK, 0), QUEUE_SETTLED);
}

static inline void desk_take_and_ack(struct desk *d, const char *queue, const char *body) {
    desk_ack(d, queue, desk_take(d, queue, body));
}

static inline struct queue_stats desk_stats(struct desk *d, const char *queue) {
    struct answer *a = desk_answer(d);
    d->used->ops->stats(d->used, slice_of(queue), desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 1);
    return reply->stats[0];
}

static inline struct queue_reply *desk_browse(struct desk *d, const char *queue, struct slice after, unsigned max) {
    struct answer *a = desk_answer(d);
    d->used->ops->browse(d->used, &(struct queue_browse){slice_of(queue), after, max}, desk_done(a));
    return desk_await_ok(d, a);
}

static inline void desk_declare(struct desk *d, const struct queue_settings *settings) {
    d->used->ops->declare(d->used, settings);
}

static inline void desk_declare_dead(struct desk *d) {
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .dead_letter = SLICE("dead")});
}

/* Everything that can be received now, joined by blanks, and acknowledged: one after the other when in groups. */
static inline void desk_expect_all(struct desk *d, const char *queue, const char *bodies) {
    struct buf got = {0};
    for (struct queue_reply *r = desk_receive(d, queue, 10); r->count; r = desk_receive(d, queue, 10))
        for (size_t i = 0; i < r->count; i++) {
            if (got.n) buf_append_char(&got, ' ');
            buf_append_slice(&got, r->messages[i].body);
            desk_ack(d, queue, &r->messages[i]);
        }
    buf_append_char(&got, '\0');
    assert_string_equal(got.p, bodies);
    buf_free(&got);
}

static inline size_t desk_purge(struct desk *d, const char *queue, unsigned max) {
    struct answer *a = desk_answer(d);
    d->used->ops->purge(d->used, slice_of(queue), max, desk_done(a));
    return desk_await_ok(d, a)->count;
}

static inline size_t desk_redrive(struct desk *d, const struct queue_redrive *redrive) {
    struct answer *a = desk_answer(d);
    d->used->ops->redrive(d->used, redrive, desk_done(a));
    return desk_await_ok(d, a)->count;
}

static inline void desk_bury(struct desk *d, const char *body) {
    desk_declare_dead(d);
    desk_send_text(d, "q", body);
    assert_int_equal(desk_act(d, "q", desk_take(d, "q", body), QUEUE_BURY, 0), QUEUE_SETTLED);
}

static inline struct slice desk_recall(struct desk *d, const char *key) {
    struct answer *a = desk_answer(d);
    d->used->ops->recall(d->used, slice_of(key), desk_done(a));
    return desk_await_ok(d, a)->value;
}

static inline struct queue_reply *desk_swap(struct desk *d, struct slice expected, struct slice value) {
    struct answer *a = desk_answer(d);
    d->used->ops->swap(d->used, &(struct queue_swap){SLICE("schedule/nightly"), expected, value}, desk_done(a));
    return desk_await_ok(d, a);
}

static inline struct queue_reply *desk_lease(struct desk *d, const char *owner, uint64_t ttl_ms) {
    struct answer *a = desk_answer(d);
    d->used->ops->lease(d->used, &(struct queue_lease){SLICE("schedule/nightly"), slice_of(owner), ttl_ms},
                        desk_done(a));
    return desk_await_ok(d, a);
}

/* --- being told --- */

struct bell {
    int rings;
};
static inline void bell_ring(void *context) {
    ((struct bell *)context)->rings++;
}
static inline bool bell_has_rung(void *context) {
    return ((struct bell *)context)->rings > 0;
}
/* Has rung since its count was last set to 0, or does so; `what` made it. */
static inline void desk_expect_ring(struct desk *d, struct bell *b, const char *what) {
    if (!loop_run_until(d->loop, bell_has_rung, b, DESK_WAIT_MS)) fail_msg("no ring: %s", what);
}
/* The same, but after `ms`: the answers that are under way ring first. */
static inline void desk_expect_ring_after(struct desk *d, struct bell *b, uint64_t ms, const char *what) {
    desk_expect_none(d, "q");
    b->rings = 0;
    desk_wait(d, ms);
    desk_expect_ring(d, b, what);
}
