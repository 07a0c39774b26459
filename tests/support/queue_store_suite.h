/* queue_store_suite.h - what every kind of queue store must do, as one suite of tests.
 *
 * A test program gives a struct yard, which opens stores on the same data and clears the data between tests, and calls
 * queue_store_suite. The clock is fake: time passes by desk_wait only, so a store must take its time from loop_clock.
 * A struct desk has the loop, the clock and a store; desk_* calls are carried out and waited for. What they return
 * lives until the desk closes.
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

/* --- the life of a message --- */

static inline void suite_a_message_arrives_whole(void **state) {
    struct desk *d = *state;
    const struct queue_attribute attributes[] = {{QUEUE_TEXT, SLICE("colour"), SLICE("red")},
                                                 {QUEUE_NUMBER, SLICE("price"), SLICE("9.95")},
                                                 {QUEUE_BINARY, SLICE("key"), SLICE("\0\xff\1")},
                                                 {QUEUE_TEXT, SLICE("empty"), SLICE("")}};
    const struct queue_sent *sent = desk_send(d, &(struct queue_send){.queue = SLICE("q"),
                                                                      .body = SLICE("a\0b\xff"),
                                                                      .content_type = SLICE("application/x-odd"),
                                                                      .attributes = attributes,
                                                                      .attribute_count = 4,
                                                                      .dedup_id = SLICE("once"),
                                                                      .group_id = SLICE("g")});
    assert_int_equal(strlen(sent->id), UUID_TEXT_SIZE);
    assert_false(sent->duplicate);
    desk_wait(d, 2000);
    struct queue_reply *reply = desk_receive(d, "q", 10);
    assert_int_equal(reply->count, 1);
    const struct queue_message *m = &reply->messages[0];
    assert_string_equal(m->id, sent->id);
    assert_slice(m->body, "a\0b\xff");
    assert_slice(m->content_type, "application/x-odd");
    assert_slice(m->dedup_id, "once");
    assert_slice(m->group_id, "g");
    assert_int_equal(m->attribute_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(m->attributes[i].type, attributes[i].type);
        assert_slice_is(m->attributes[i].name, attributes[i].name, __FILE__, __LINE__);
        assert_slice_is(m->attributes[i].value, attributes[i].value, __FILE__, __LINE__);
    }
    assert_int_equal(m->receive_count, 1);
    assert_int_equal(m->sent_ms, d->clock.wall_now_ms - 2000);
    assert_int_equal(m->first_received_ms, d->clock.wall_now_ms);
    assert_int_equal(m->last_received_ms, d->clock.wall_now_ms);
    assert_null(m->death);
    desk_ack(d, "q", m);
    assert_int_equal(desk_act(d, "q", m, QUEUE_ACK, 0), QUEUE_STALE);
}

static inline void suite_plain_messages_need_little(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q")});
    const struct queue_message *m = &desk_receive(d, "q", 10)->messages[0];
    assert_slice(m->body, "");
    assert_none(m->content_type);
    assert_none(m->dedup_id);
    assert_none(m->group_id);
    assert_int_equal(m->attribute_count, 0);
    desk_ack(d, "q", m);
    desk_expect_none(d, "q");
    desk_expect_none(d, "never-heard-of");
}

static inline void suite_large_bodies_are_kept(void **state) {
    struct desk *d = *state;
    char *bytes = xmalloc(QUEUE_MESSAGE_SIZE_DEFAULT);
    for (size_t i = 0; i < QUEUE_MESSAGE_SIZE_DEFAULT; i++) bytes[i] = (char)(i * 31 >> 3);
    static const size_t sizes[] = {2047, 2048, 2049, 65536, QUEUE_MESSAGE_SIZE_DEFAULT};
    desk_declare_dead(d);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = slice_make(bytes, sizes[i])});
        const struct queue_message *m = &desk_receive(d, "q", 1)->messages[0];
        assert_int_equal(m->body.n, sizes[i]);
        assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
        struct queue_reply *dead = desk_receive(d, "dead", 10); /* it has moved with the message */
        assert_int_equal(dead->count, 1);
        assert_int_equal(dead->messages[0].body.n, sizes[i]);
        assert_memory_equal(dead->messages[0].body.p, bytes, sizes[i]);
        desk_ack(d, "dead", &dead->messages[0]);
    }
    free(bytes);
}

static inline void suite_what_is_not_acknowledged_comes_again(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *first = desk_take(d, "q", "one");
    desk_wait(d, 29999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    const struct queue_message *second = desk_take(d, "q", "one");
    assert_string_equal(first->id, second->id);
    assert_int_equal(second->receive_count, 2);
    assert_int_equal(second->first_received_ms, d->clock.wall_now_ms - 30000);
    assert_int_equal(second->last_received_ms, d->clock.wall_now_ms);
    static const enum queue_action stale[] = {QUEUE_ACK, QUEUE_RETRY, QUEUE_BURY, QUEUE_EXTEND};
    desk_declare_dead(d);
    for (size_t i = 0; i < ARRAY_LEN(stale); i++) assert_int_equal(desk_act(d, "q", first, stale[i], 0), QUEUE_STALE);
    desk_ack(d, "q", second);
    desk_wait(d, 60000);
    desk_expect_none(d, "q");
}

/* Late, but nobody else has it: the work is done, so it need not be done again. */
static inline void suite_a_late_acknowledgement_counts(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    desk_wait(d, 40000);
    desk_ack(d, "q", m);
    desk_expect_none(d, "q");
}

static inline void suite_extending_keeps_it_in_flight(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    for (int i = 0; i < 3; i++) {
        desk_wait(d, 20000);
        assert_int_equal(desk_act(d, "q", m, QUEUE_EXTEND, 30000), QUEUE_SETTLED);
        desk_expect_none(d, "q");
    }
    assert_int_equal(desk_stats(d, "q").in_flight, 1);
    desk_wait(d, 30000);
    assert_int_equal(desk_take(d, "q", "one")->receive_count, 2);
    assert_int_equal(desk_act(d, "q", m, QUEUE_EXTEND, 30000), QUEUE_STALE);
}

static inline void suite_a_delay_is_waited_for(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 5000});
    desk_send_text(d, "q", "now");
    assert_int_equal(desk_stats(d, "q").delayed, 1);
    desk_take_and_ack(d, "q", "now");
    desk_wait(d, 4999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    desk_take_and_ack(d, "q", "later");
}

static inline void suite_a_retry_comes_after_its_delay(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    assert_int_equal(desk_act(d, "q", m, QUEUE_RETRY, 7000), QUEUE_SETTLED);
    assert_int_equal(desk_act(d, "q", m, QUEUE_ACK, 0), QUEUE_STALE);
    assert_int_equal(desk_stats(d, "q").delayed, 1);
    desk_wait(d, 6999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    m = desk_take(d, "q", "one");
    assert_int_equal(m->receive_count, 2);
    assert_int_equal(desk_act(d, "q", m, QUEUE_RETRY, 0), QUEUE_SETTLED);
    desk_take_and_ack(d, "q", "one");
    assert_int_equal(desk_stats(d, "q").retried, 2);
}

static inline void suite_burial_keeps_why(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "bad");
    const struct queue_message *m = desk_take(d, "q", "bad");
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_UNBURIED);
    assert_int_equal(desk_stats(d, "q").in_flight, 1); /* nothing has happened to it */
    desk_declare_dead(d);
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_STALE);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.ready + stats.in_flight + stats.delayed + stats.blocked, 0);
    assert_int_equal(stats.buried, 1);
    const struct queue_message *dead = desk_take(d, "dead", "bad");
    assert_string_equal(dead->id, m->id);
    assert_int_equal(dead->receive_count, 1);
    assert_int_equal(dead->sent_ms, m->sent_ms);
    assert_non_null(dead->death);
    assert_slice(dead->death->queue, "q");
    assert_slice(dead->death->reason, "attempts used up");
    assert_slice(dead->death->error, "it fell over");
    assert_int_equal(dead->death->attempts, 5);
    assert_int_equal(dead->death->died_ms, d->clock.wall_now_ms);
    desk_ack(d, "dead", dead);
}

static inline void suite_a_batch_is_settled_one_by_one(void **state) {
    struct desk *d = *state;
    static const char *const bodies[] = {"a", "b", "c", "d"};
    desk_declare_dead(d);
    for (size_t i = 0; i < 4; i++) desk_send_text(d, "q", bodies[i]);
    struct queue_reply *got = desk_receive(d, "q", 10);
    assert_int_equal(got->count, 4);
    const struct queue_settlement items[] = {
        {.queue = SLICE("q"), .receipt = got->messages[0].receipt, .action = QUEUE_ACK},
        {.queue = SLICE("q"), .receipt = got->messages[1].receipt, .action = QUEUE_RETRY, .delay_ms = 1000},
        {.queue = SLICE("q"), .receipt = SLICE("nonsense"), .action = QUEUE_ACK},
        {.queue = SLICE("other"), .receipt = got->messages[2].receipt, .action = QUEUE_ACK},
        {.queue = SLICE("q"), .receipt = got->messages[3].receipt, .action = QUEUE_BURY, .reason = SLICE("r")},
    };
    struct answer *a = desk_answer(d);
    d->used->ops->settle(d->used, items, ARRAY_LEN(items), desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    static const enum queue_settled expected[] = {QUEUE_SETTLED, QUEUE_SETTLED, QUEUE_STALE, QUEUE_STALE,
                                                  QUEUE_SETTLED};
    assert_int_equal(reply->count, ARRAY_LEN(items));
    assert_memory_equal(reply->settled, expected, sizeof expected);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.acknowledged, 1);
    assert_int_equal(stats.delayed, 1);
    assert_int_equal(stats.in_flight, 1);
    assert_int_equal(desk_stats(d, "dead").ready, 1);
}

/* --- sending --- */

static inline void suite_duplicates_are_dropped_within_the_window(void **state) {
    struct desk *d = *state;
    struct queue_send send = {.queue = SLICE("q"), .body = SLICE("first"), .dedup_id = SLICE("order-7")};
    const struct queue_sent *first = desk_send(d, &send);
    assert_false(first->duplicate);
    send.body = SLICE("second");
    desk_wait(d, 4 * 60 * 1000);
    const struct queue_sent *again = desk_send(d, &send);
    assert_true(again->duplicate);
    assert_string_equal(again->id, first->id);
    send.queue = SLICE("other"); /* a window of its own */
    assert_false(desk_send(d, &send)->duplicate);
    send.queue = SLICE("q");
    desk_take_and_ack(d, "q", "first");
    assert_true(desk_send(d, &send)->duplicate); /* though the message is gone */
    desk_wait(d, 60 * 1000 - 1);
    assert_true(desk_send(d, &send)->duplicate);
    desk_wait(d, 1); /* five minutes from the first send, whatever came between */
    again = desk_send(d, &send);
    assert_false(again->duplicate);
    assert_string_not_equal(again->id, first->id);
    desk_take_and_ack(d, "q", "second");
    assert_int_equal(desk_stats(d, "q").duplicates, 3);
    assert_int_equal(desk_stats(d, "q").sent, 2);
}

static inline void suite_the_window_is_the_queues_own(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .dedup_window_ms = 1000});
    struct queue_send send = {.queue = SLICE("q"), .dedup_id = SLICE("x")};
    assert_false(desk_send(d, &send)->duplicate);
    desk_wait(d, 999);
    assert_true(desk_send(d, &send)->duplicate);
    desk_wait(d, 1);
    assert_false(desk_send(d, &send)->duplicate);
}

static inline void suite_a_batch_is_sent_whole(void **state) {
    struct desk *d = *state;
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("a"), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("other"), .body = SLICE("b")},
                                       {.queue = SLICE("q"), .body = SLICE("c"), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("q"), .body = SLICE("d")}};
    struct answer *a = desk_answer(d);
    d->used->ops->send(d->used, sends, 4, desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 4);
    assert_true(reply->sent[2].duplicate);
    assert_string_equal(reply->sent[2].id, reply->sent[0].id);
    desk_expect_all(d, "q", "a d");
    desk_expect_all(d, "other", "b");
}

static inline void suite_a_batch_with_one_bad_message_is_refused(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .message_size_bytes = 10});
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("ten bytes."), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("q"), .body = SLICE("eleven byte")}};
    struct queue_reply *reply = desk_send_fails(d, sends, 2);
    assert_non_null(strstr(reply->error.message, "10 bytes, not 11"));
    desk_expect_none(d, "q");
    assert_false(desk_send(d, &sends[0])->duplicate); /* nor is its id remembered */
    desk_expect_all(d, "q", "ten bytes.");
}

static inline void suite_bounds_are_kept(void **state) {
    struct desk *d = *state;
    struct queue_attribute many[QUEUE_ATTRIBUTES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) many[i] = (struct queue_attribute){QUEUE_TEXT, SLICE("n"), SLICE("v")};
    char *large = xcalloc(1, QUEUE_MESSAGE_SIZE_DEFAULT + 1);
    const struct slice key = slice_make(large, QUEUE_KEY_SIZE_MAX + 1);
    const struct queue_send bad[] = {
        {.queue = SLICE("")},
        {.queue = slice_make(large, QUEUE_NAME_SIZE_MAX + 1)},
        {.queue = SLICE("q"), .body = slice_make(large, QUEUE_MESSAGE_SIZE_DEFAULT + 1)},
        {.queue = SLICE("q"),
         .body = slice_make(large, QUEUE_MESSAGE_SIZE_DEFAULT),
         .attributes = many,
         .attribute_count = 1},
        {.queue = SLICE("q"), .attributes = many, .attribute_count = QUEUE_ATTRIBUTES_MAX + 1},
        {.queue = SLICE("q"),
         .attributes = &(struct queue_attribute){QUEUE_TEXT, SLICE(""), SLICE("")},
         .attribute_count = 1},
        {.queue = SLICE("q"), .delay_ms = QUEUE_DELAY_MS_MAX + 1},
        {.queue = SLICE("q"), .dedup_id = SLICE("")},
        {.queue = SLICE("q"), .dedup_id = key},
        {.queue = SLICE("q"), .group_id = key},
        {.queue = SLICE("q"), .content_type = key},
        {.queue = SLICE("q"), .id = SLICE("0123456789012345678901234567890123456")},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) desk_send_fails(d, &bad[i], 1);
    desk_send_fails(d, bad, 0);
    struct answer *a = desk_answer(d);
    d->used->ops->receive(d->used, &(struct queue_receive){SLICE("q"), QUEUE_PAGE_MAX + 1, 1000}, desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_REFUSED);
    desk_expect_none(d, "q");
    free(large);
}

static inline void suite_an_import_keeps_id_and_time(void **state) {
    struct desk *d = *state;
    const struct queue_sent *sent = desk_send(
        d, &(struct queue_send){.queue = SLICE("q"), .id = SLICE("old-7"), .sent_ms = 1234567890});
    assert_string_equal(sent->id, "old-7");
    const struct queue_message *m = desk_take(d, "q", "");
    assert_string_equal(m->id, "old-7");
    assert_int_equal(m->sent_ms, 1234567890);
}

static inline void suite_an_import_happens_once(void **state) {
    struct desk *d = *state;
    const struct queue_send first = {
        .queue = SLICE("q"), .id = SLICE("old-7"), .dedup_id = SLICE("same"), .once_ms = 60000};
    struct queue_send other = first;
    other.queue = SLICE("other");
    assert_false(desk_send(d, &first)->duplicate);
    assert_false(desk_send(d, &other)->duplicate); /* each queue has its own */
    desk_take_and_ack(d, "q", "");
    const struct queue_sent *again = desk_send(d, &first);
    assert_true(again->duplicate);
    assert_string_equal(again->id, "old-7");
    desk_expect_none(d, "q");
    other = first;
    other.once_ms = 0;
    assert_false(desk_send(d, &other)->duplicate); /* its dedup id counts for nothing */
    desk_take_and_ack(d, "q", "");
    desk_wait(d, 60001);
    assert_false(desk_send(d, &first)->duplicate);
    assert_int_equal(desk_stats(d, "q").duplicates, 1);
}

static inline void suite_an_import_is_no_dedup_id(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .id = SLICE("seven"), .once_ms = 60000});
    const struct queue_send plain = {.queue = SLICE("q"), .dedup_id = SLICE("seven")};
    assert_false(desk_send(d, &plain)->duplicate);
    assert_true(desk_send(d, &plain)->duplicate);
    const struct queue_send imported = {.queue = SLICE("q"), .id = SLICE("eight"), .dedup_id = SLICE("seven")};
    assert_false(desk_send(d, &imported)->duplicate);
}

static inline void suite_an_import_keeps_why_it_died(void **state) {
    struct desk *d = *state;
    const struct queue_death death = {SLICE("q"), SLICE("attempts"), SLICE("out of paper"), 5, 1234567890};
    desk_send(
        d,
        &(struct queue_send){
            .queue = SLICE("dead"), .body = SLICE("x"), .id = SLICE("old-7"), .group_id = SLICE("g"), .death = &death});
    const struct queue_message *m = desk_take(d, "dead", "x");
    assert_non_null(m->death);
    assert_slice(m->death->queue, "q");
    assert_slice(m->death->reason, "attempts");
    assert_slice(m->death->error, "out of paper");
    assert_int_equal(m->death->attempts, 5);
    assert_int_equal(m->death->died_ms, 1234567890);
    desk_wait(d, 3600000);
    struct answer *a = desk_answer(d);
    d->used->ops->redrive(d->used, &(struct queue_redrive){.from = SLICE("dead"), .max = 10}, desk_done(a));
    assert_int_equal(desk_await_ok(d, a)->count, 1);
    assert_string_equal(desk_take(d, "q", "x")->id, "old-7");
}

/* --- groups --- */

static inline void suite_a_group_has_one_in_flight(void **state) {
    struct desk *d = *state;
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_send_group(d, "B", "b1");
    desk_send_text(d, "q", "plain");
    desk_send_group(d, "A", "a3");
    assert_int_equal(desk_stats(d, "q").blocked, 2);
    struct queue_reply *got = desk_receive(d, "q", 10);
    assert_int_equal(got->count, 3);
    assert_slice(got->messages[0].body, "a1");
    assert_slice(got->messages[1].body, "b1");
    assert_slice(got->messages[2].body, "plain");
    desk_expect_none(d, "q");
    desk_ack(d, "q", &got->messages[0]);
    const struct queue_message *a2 = desk_take(d, "q", "a2");
    desk_expect_none(d, "q");
    desk_send_group(d, "B", "b2");
    desk_expect_none(d, "q");
    desk_ack(d, "q", &got->messages[1]);
    desk_take_and_ack(d, "q", "b2");
    desk_ack(d, "q", a2);
    desk_take_and_ack(d, "q", "a3");
    desk_send_group(d, "A", "a4"); /* an empty group begins anew */
    desk_take_and_ack(d, "q", "a4");
    assert_int_equal(desk_stats(d, "q").blocked, 0);
}

static inline void suite_a_failed_head_blocks_its_group(void **state) {
    struct desk *d = *state;
    desk_declare_dead(d);
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_act(d, "q", desk_take(d, "q", "a1"), QUEUE_RETRY, 10000);
    desk_expect_none(d, "q");
    desk_wait(d, 10000);
    const struct queue_message *a1 = desk_take(d, "q", "a1"); /* this one is not answered in time */
    desk_expect_none(d, "q");
    desk_wait(d, 30000);
    a1 = desk_take(d, "q", "a1");
    assert_int_equal(a1->receive_count, 3);
    assert_int_equal(desk_act(d, "q", a1, QUEUE_BURY, 0), QUEUE_SETTLED);
    desk_take_and_ack(d, "q", "a2");
    assert_slice(desk_take(d, "dead", "a1")->group_id, "A");
}

static inline void suite_a_group_keeps_order_through_delays(void **state) {
    struct desk *d = *state;
    desk_send(d,
              &(struct queue_send){.queue = SLICE("q"), .body = SLICE("a1"), .group_id = SLICE("A"), .delay_ms = 5000});
    desk_send_group(d, "A", "a2");
    desk_send(d,
              &(struct queue_send){.queue = SLICE("q"), .body = SLICE("a3"), .group_id = SLICE("A"), .delay_ms = 9000});
    desk_expect_none(d, "q");
    desk_wait(d, 5000);
    desk_take_and_ack(d, "q", "a1");
    desk_take_and_ack(d, "q", "a2");
    desk_expect_none(d, "q"); /* a3's own delay */
    desk_wait(d, 4000);
    desk_take_and_ack(d, "q", "a3");
}

static inline void suite_many_groups_keep_their_order(void **state) {
    struct desk *d = *state;
    unsigned next[5] = {0}, handled = 0;
    for (unsigned i = 0; i < 100; i++) {
        char group[2] = {(char)('A' + i % 5), 0}, body[16];
        snprintf(body, sizeof body, "%u", i / 5);
        desk_send_group(d, group, body);
    }
    for (unsigned round = 0; handled < 100; round++) {
        struct queue_reply *got = desk_receive(d, "q", 3);
        assert_true(round < 1000);
        for (size_t i = 0; i < got->count; i++) {
            const struct queue_message *m = &got->messages[i];
            uint64_t number;
            unsigned group = (unsigned)(m->group_id.p[0] - 'A');
            assert_true(slice_to_u64(m->body, &number));
            assert_int_equal(number, next[group]);
            bool fails = (round + i) % 3 == 0;
            assert_int_equal(desk_act(d, "q", m, fails ? QUEUE_RETRY : QUEUE_ACK, 500), QUEUE_SETTLED);
            if (!fails) next[group]++, handled++;
        }
        if (got->count == 0) desk_wait(d, 500);
    }
    desk_expect_none(d, "q");
}

/* --- retention --- */

static inline void suite_what_nobody_takes_expires(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .retention_ms = 60000});
    desk_send_text(d, "q", "old");
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_wait(d, 30000);
    desk_send_text(d, "q", "young");
    desk_wait(d, 30000);
    desk_take_and_ack(d, "q", "young");
    desk_expect_none(d, "q");
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.expired, 3);
    assert_int_equal(stats.ready + stats.in_flight + stats.delayed + stats.blocked, 0);
}

static inline void suite_what_expires_goes_to_the_dead_letters(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .dead_letter = SLICE("dead"), .retention_ms = 60000});
    desk_send_text(d, "q", "old");
    desk_wait(d, 61000);
    assert_int_equal(desk_stats(d, "q").ready, 0);
    const struct queue_message *m = desk_take(d, "dead", "old");
    assert_slice(m->death->reason, "expired");
    assert_slice(m->death->queue, "q");
    assert_int_equal(desk_stats(d, "q").expired, 1);
}

static inline void suite_what_is_in_flight_does_not_expire(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .retention_ms = 10000});
    desk_send_text(d, "q", "slow");
    desk_send_text(d, "q", "slower");
    const struct queue_message *slow = desk_take(d, "q", "slow");
    const struct queue_message *slower = desk_take(d, "q", "slower");
    desk_wait(d, 20000);
    desk_expect_none(d, "q");
    assert_int_equal(desk_stats(d, "q").in_flight, 2);
    desk_ack(d, "q", slow);
    assert_int_equal(desk_act(d, "q", slower, QUEUE_RETRY, 0), QUEUE_SETTLED);
    desk_expect_none(d, "q");
    assert_int_equal(desk_stats(d, "q").expired, 1);
}

/* --- looking, emptying, bringing back --- */

static inline void suite_browsing_shows_all_and_touches_nothing(void **state) {
    struct desk *d = *state;
    desk_send_group(d, "A", "flying");
    desk_take(d, "q", "flying");
    desk_send_group(d, "A", "blocked");
    desk_send_text(d, "q", "ready");
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("delayed"), .delay_ms = 5000});
    desk_send_text(d, "other", "not this one");
    static const char *const bodies[] = {"ready", "flying", "delayed", "blocked"};
    static const enum queue_place places[] = {QUEUE_READY, QUEUE_IN_FLIGHT, QUEUE_DELAYED, QUEUE_BLOCKED};
    static const uint64_t ready_in_ms[] = {0, 30000, 5000, 0};
    for (int round = 0; round < 2; round++) {
        bool seen[4] = {false};
        struct slice after = SLICE_NONE;
        for (int i = 0; i < 4; i++) {
            struct queue_reply *page = desk_browse(d, "q", after, 1);
            assert_int_equal(page->count, 1);
            const struct queue_message *m = &page->messages[0];
            size_t which = 0;
            while (which < 4 && !slice_equal(m->body, slice_of(bodies[which]))) which++;
            assert_true(which < 4 && !seen[which]);
            seen[which] = true;
            assert_int_equal(m->place, places[which]);
            assert_int_equal(m->ready_in_ms, ready_in_ms[which]);
            assert_none(m->receipt);
            after = m->position;
        }
        assert_int_equal(desk_browse(d, "q", after, 1)->count, 0);
    }
    assert_int_equal(desk_browse(d, "q", SLICE_NONE, 100)->count, 4);
    desk_take_and_ack(d, "q", "ready");
}

static inline size_t desk_purge(struct desk *d, const char *queue, unsigned max) {
    struct answer *a = desk_answer(d);
    d->used->ops->purge(d->used, slice_of(queue), max, desk_done(a));
    return desk_await_ok(d, a)->count;
}

static inline void suite_a_purge_removes_all_page_by_page(void **state) {
    struct desk *d = *state;
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_send_text(d, "q", "plain");
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("delayed"), .delay_ms = 5000});
    desk_send_text(d, "q", "taken");
    const struct queue_message *m = &desk_receive(d, "q", 1)->messages[0];
    desk_send_text(d, "other", "stays");
    size_t removed = 0, pages = 0;
    for (size_t n = 1; n; pages++, removed += n) n = desk_purge(d, "q", 2);
    assert_int_equal(removed, 5);
    assert_int_equal(pages, 4);
    assert_int_equal(desk_act(d, "q", m, QUEUE_ACK, 0), QUEUE_STALE);
    assert_int_equal(desk_browse(d, "q", SLICE_NONE, 10)->count, 0);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.purged, 5);
    assert_int_equal(stats.ready + stats.in_flight + stats.delayed + stats.blocked, 0);
    desk_take_and_ack(d, "other", "stays");
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

static inline void suite_a_redrive_brings_back_all(void **state) {
    struct desk *d = *state;
    for (int i = 0; i < 5; i++) desk_bury(d, (const char *[]){"a", "b", "c", "d", "e"}[i]);
    desk_send_text(d, "dead", "never died");
    const struct queue_redrive redrive = {.from = SLICE("dead"), .max = 2};
    assert_int_equal(desk_redrive(d, &redrive), 2);
    assert_int_equal(desk_redrive(d, &redrive), 2);
    assert_int_equal(desk_redrive(d, &redrive), 1);
    assert_int_equal(desk_redrive(d, &redrive), 0);
    const struct queue_message *m = desk_take(d, "q", "a");
    assert_int_equal(m->receive_count, 1);
    assert_null(m->death);
    desk_ack(d, "q", m);
    desk_expect_all(d, "q", "b c d e");
    desk_expect_all(d, "dead", "never died");
    assert_int_equal(desk_stats(d, "dead").redriven, 5);
}

static inline void suite_a_redrive_takes_some_elsewhere(void **state) {
    struct desk *d = *state;
    for (int i = 0; i < 3; i++) desk_bury(d, (const char *[]){"a", "b", "c"}[i]);
    struct queue_reply *page = desk_browse(d, "dead", SLICE_NONE, 10);
    assert_int_equal(page->count, 3);
    assert_slice(page->messages[1].death->queue, "q");
    desk_ack(d, "dead", desk_take(d, "dead", "a"));
    desk_take(d, "dead", "b"); /* in flight: somebody looks after it */
    struct slice positions[3];
    for (size_t i = 0; i < 3; i++) positions[i] = page->messages[i].position;
    const struct queue_redrive redrive = {
        .from = SLICE("dead"), .to = SLICE("mended"), .positions = positions, .position_count = 3};
    assert_int_equal(desk_redrive(d, &redrive), 1);
    desk_expect_all(d, "mended", "c");
    desk_expect_none(d, "q");
}

/* The rest of a group moves up while its page is gone through. */
static inline void suite_a_purge_removes_whole_groups(void **state) {
    struct desk *d = *state;
    for (int i = 0; i < 6; i++) desk_send_group(d, i % 2 ? "A" : "B", "x");
    struct answer *a = desk_answer(d);
    d->used->ops->purge(d->used, SLICE("q"), 5, desk_done(a));
    assert_int_equal(desk_await_ok(d, a)->count, 5);
    a = desk_answer(d);
    d->used->ops->purge(d->used, SLICE("q"), 5, desk_done(a));
    assert_int_equal(desk_await_ok(d, a)->count, 1);
    const struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.ready + stats.blocked + stats.delayed, 0);
    desk_expect_none(d, "q");
    desk_send_group(d, "A", "first");
    desk_send_group(d, "A", "second");
    desk_take_and_ack(d, "q", "first");
    desk_take_and_ack(d, "q", "second");
}

static inline void suite_a_redrive_moves_whole_groups(void **state) {
    struct desk *d = *state;
    static const char *const bodies[] = {"1", "2", "3", "4"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) desk_send_group(d, "A", bodies[i]);
    static const unsigned pages[] = {3, 1};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct answer *a = desk_answer(d);
        const struct queue_redrive redrive = {.from = SLICE("q"), .to = SLICE("other"), .max = pages[i]};
        d->used->ops->redrive(d->used, &redrive, desk_done(a));
        assert_int_equal(desk_await_ok(d, a)->count, pages[i]);
    }
    desk_expect_none(d, "q");
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) desk_take_and_ack(d, "other", bodies[i]);
    desk_expect_none(d, "other");
}

static inline void suite_a_redriven_message_joins_its_group_last(void **state) {
    struct desk *d = *state;
    desk_declare_dead(d);
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    assert_int_equal(desk_act(d, "q", desk_take(d, "q", "a1"), QUEUE_BURY, 0), QUEUE_SETTLED);
    const struct queue_message *a2 = desk_take(d, "q", "a2");
    assert_int_equal(desk_redrive(d, &(struct queue_redrive){.from = SLICE("dead"), .max = 10}), 1);
    desk_expect_none(d, "q"); /* a2 is in flight */
    desk_ack(d, "q", a2);
    desk_take_and_ack(d, "q", "a1");
}

static inline void suite_stats_count_every_place(void **state) {
    struct desk *d = *state;
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.sent + stats.ready + stats.oldest_age_ms, 0);
    desk_send_text(d, "q", "one");
    desk_wait(d, 4000);
    desk_send_text(d, "q", "two");
    desk_wait(d, 1000);
    stats = desk_stats(d, "q");
    assert_int_equal(stats.ready, 2);
    assert_int_equal(stats.oldest_age_ms, 5000);
    desk_take_and_ack(d, "q", "one");
    stats = desk_stats(d, "q");
    assert_slice(stats.queue, "q");
    assert_int_equal(stats.ready, 1);
    assert_int_equal(stats.oldest_age_ms, 1000);
    assert_int_equal(stats.sent, 2);
    assert_int_equal(stats.received, 1);
    assert_int_equal(stats.acknowledged, 1);
    desk_send_text(d, "another", "three");
    struct answer *a = desk_answer(d);
    d->used->ops->stats(d->used, SLICE_NONE, desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 2);
    assert_slice(reply->stats[0].queue, "another"); /* by name */
    assert_slice(reply->stats[1].queue, "q");
    assert_int_equal(reply->stats[0].ready, 1);
    assert_int_equal(reply->stats[1].received, 1);
}

/* --- notes and leases --- */

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

static inline void suite_notes_change_hands_once(void **state) {
    struct desk *d = *state;
    assert_none(desk_recall(d, "schedule/nightly"));
    assert_true(desk_swap(d, SLICE_NONE, SLICE("100"))->granted);
    assert_slice(desk_recall(d, "schedule/nightly"), "100");
    struct queue_reply *reply = desk_swap(d, SLICE_NONE, SLICE("200"));
    assert_false(reply->granted);
    assert_slice(reply->value, "100");
    assert_false(desk_swap(d, SLICE("99"), SLICE("200"))->granted);
    reply = desk_swap(d, SLICE("100"), SLICE("200"));
    assert_true(reply->granted);
    assert_slice(reply->value, "200");
    assert_true(desk_swap(d, SLICE("200"), SLICE(""))->granted); /* empty is not absent */
    assert_false(desk_swap(d, SLICE_NONE, SLICE("x"))->granted);
    assert_true(desk_swap(d, SLICE(""), SLICE_NONE)->granted);
    assert_none(desk_recall(d, "schedule/nightly"));
    assert_true(desk_swap(d, SLICE_NONE, SLICE("\0bin\xff"))->granted);
    assert_slice(desk_recall(d, "schedule/nightly"), "\0bin\xff");
}

static inline struct queue_reply *desk_lease(struct desk *d, const char *owner, uint64_t ttl_ms) {
    struct answer *a = desk_answer(d);
    d->used->ops->lease(d->used, &(struct queue_lease){SLICE("schedule/nightly"), slice_of(owner), ttl_ms},
                        desk_done(a));
    return desk_await_ok(d, a);
}

static inline void suite_a_lease_has_one_holder(void **state) {
    struct desk *d = *state;
    assert_true(desk_lease(d, "one", 10000)->granted);
    struct queue_reply *reply = desk_lease(d, "two", 10000);
    assert_false(reply->granted);
    assert_slice(reply->value, "one");
    desk_wait(d, 6000);
    assert_true(desk_lease(d, "one", 10000)->granted); /* renewed */
    desk_wait(d, 6000);
    assert_false(desk_lease(d, "two", 10000)->granted);
    assert_false(desk_lease(d, "two", 0)->granted); /* only the holder gives it back */
    assert_false(desk_lease(d, "three", 1)->granted);
    desk_wait(d, 4000);
    reply = desk_lease(d, "two", 10000);
    assert_true(reply->granted);
    assert_slice(reply->value, "two");
    reply = desk_lease(d, "two", 0);
    assert_true(reply->granted);
    assert_none(reply->value);
    assert_true(desk_lease(d, "one", 1000)->granted);
    assert_none(desk_recall(d, "schedule/nightly"));
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

static inline void suite_watchers_are_told(void **state) {
    struct desk *d = *state;
    struct bell bell = {0}, other = {0};
    struct queue_watch *w = d->store->ops->watch(d->store, SLICE("q"), bell_ring, &bell);
    struct queue_watch *o = d->store->ops->watch(d->store, SLICE("other"), bell_ring, &other);
    assert_int_equal(bell.rings, 0);
    desk_expect_ring(d, &bell, "how it is found at first");
    desk_expect_none(d, "q");
    bell.rings = 0;
    desk_send_text(d, "q", "one");
    desk_expect_ring(d, &bell, "a send");
    const struct queue_message *m = desk_take(d, "q", "one");
    desk_expect_ring_after(d, &bell, 30000, "the visibility time is over");
    m = desk_take(d, "q", "one");
    desk_act(d, "q", m, QUEUE_RETRY, 2000);
    desk_expect_ring_after(d, &bell, 2000, "a retry is due");
    desk_take_and_ack(d, "q", "one");
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 5000});
    desk_expect_ring_after(d, &bell, 5000, "a delay is over");
    desk_take_and_ack(d, "q", "later");
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    m = desk_take(d, "q", "a1");
    desk_expect_none(d, "q");
    bell.rings = 0;
    desk_ack(d, "q", m);
    desk_expect_ring(d, &bell, "a group moves on");
    d->store->ops->unwatch(w);
    bell.rings = 0;
    other.rings = 0;
    desk_send_text(d, "q", "two");
    desk_send_text(d, "other", "three");
    desk_expect_ring(d, &other, "a send to the other queue");
    assert_int_equal(bell.rings, 0);
    d->store->ops->unwatch(o);
    d->store->ops->unwatch(NULL);
}

/* --- closing, opening, other stores on the same data --- */

static inline void suite_all_is_there_after_reopening(void **state) {
    struct desk *d = *state;
    desk_declare_dead(d);
    desk_send(d, &(struct queue_send){
                     .queue = SLICE("q"), .body = SLICE("a1"), .group_id = SLICE("A"), .dedup_id = SLICE("x")});
    desk_send_group(d, "A", "a2");
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 50000});
    const struct queue_message *a1 = desk_take(d, "q", "a1");
    assert_true(desk_swap(d, SLICE_NONE, SLICE("1"))->granted);
    assert_true(desk_lease(d, "one", 60000)->granted);
    desk_shut(d);
    desk_wait(d, 10000);
    desk_reopen(d);
    desk_expect_none(d, "q");
    assert_true(desk_send(d, &(struct queue_send){.queue = SLICE("q"), .dedup_id = SLICE("x")})->duplicate);
    assert_slice(desk_recall(d, "schedule/nightly"), "1");
    assert_false(desk_lease(d, "two", 1000)->granted);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.in_flight, 1);
    assert_int_equal(stats.blocked, 1);
    assert_int_equal(stats.delayed, 1);
    desk_ack(d, "q", a1); /* its receipt is good still */
    const struct queue_message *a2 = desk_take(d, "q", "a2");
    assert_int_equal(desk_act(d, "q", a2, QUEUE_BURY, 0), QUEUE_SETTLED); /* so is what was declared */
    desk_wait(d, 40000);
    desk_take_and_ack(d, "q", "later");
}

/* Hidden for no longer than was said, whatever the wall clock does. */
static inline void suite_a_clock_that_goes_back_hides_nothing(void **state) {
    struct desk *d = *state;
    const uint64_t hour = 3600 * 1000;
    desk_send_text(d, "q", "waiting");
    desk_send_text(d, "q", "flying");
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 5000});
    desk_take_and_ack(d, "q", "waiting");
    desk_take(d, "q", "flying");
    desk_send_text(d, "q", "waiting");
    d->clock.wall_now_ms -= hour;
    desk_take_and_ack(d, "q", "waiting");
    desk_send_text(d, "q", "sent after the jump");
    desk_take_and_ack(d, "q", "sent after the jump");
    desk_wait(d, 5000);
    desk_take_and_ack(d, "q", "later");
    desk_send_text(d, "q", "before the restart");
    desk_shut(d);
    d->clock.wall_now_ms -= hour;
    desk_wait(d, 100);
    desk_reopen(d);
    desk_take_and_ack(d, "q", "before the restart");
    desk_wait(d, 30000);
    desk_take_and_ack(d, "q", "flying");
    desk_expect_none(d, "q");
}

static inline void suite_a_clock_that_leaps_ends_nothing_early(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .retention_ms = 60000});
    desk_send_text(d, "q", "flying");
    desk_take(d, "q", "flying");
    desk_send_text(d, "q", "waiting");
    d->clock.wall_now_ms += 24 * 3600 * 1000;
    desk_take_and_ack(d, "q", "waiting"); /* it has not expired */
    desk_expect_none(d, "q");
    desk_wait(d, 30000);
    desk_take_and_ack(d, "q", "flying");
}

static inline void suite_what_is_pending_is_answered_before_closing(void **state) {
    struct desk *d = *state;
    struct answer *answers[50], *late = desk_answer(d);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        answers[i] = desk_answer(d);
        d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(answers[i]));
    }
    desk_close_store(d, d->store);
    d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(late));
    assert_true(loop_run_until(d->loop, desk_is_closed, d, DESK_WAIT_MS));
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        assert_true(answers[i]->arrived);
        assert_int_equal(answers[i]->reply.result, QUEUE_OK);
    }
    assert_true(late->arrived);
    assert_int_equal(late->reply.result, QUEUE_BROKEN);
    desk_reopen(d);
    assert_int_equal(desk_stats(d, "q").ready, 50);
}

static inline void suite_calls_are_carried_out_in_order(void **state) {
    struct desk *d = *state;
    struct answer *answers[20];
    for (size_t i = 0; i < ARRAY_LEN(answers); i += 2) {
        answers[i] = desk_answer(d);
        answers[i + 1] = desk_answer(d);
        d->store->ops->send(d->store, &(struct queue_send){.queue = SLICE("q")}, 1, desk_done(answers[i]));
        d->store->ops->receive(d->store, &(struct queue_receive){SLICE("q"), 10, 1000}, desk_done(answers[i + 1]));
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i += 2) {
        if (!answers[i]->arrived) desk_await_ok(d, answers[i]);
        if (!answers[i + 1]->arrived) desk_await_ok(d, answers[i + 1]);
        assert_int_equal(answers[i + 1]->reply.count, 1);
        assert_string_equal(answers[i]->reply.sent[0].id, answers[i + 1]->reply.messages[0].id);
    }
}

static inline void suite_two_stores_share_the_data(void **state) {
    struct desk *d = *state;
    struct queue_store *here = d->store, *there = desk_open_store(d);
    struct bell bell = {0};
    struct queue_watch *w = here->ops->watch(here, SLICE("q"), bell_ring, &bell);
    desk_expect_ring(d, &bell, "how it is found at first");
    desk_expect_none(d, "q");
    bell.rings = 0;
    d->used = there;
    desk_send_text(d, "q", "from there");
    for (int i = 0; i < 1000 && bell.rings == 0; i++) { /* a store looks now and then */
        desk_wait(d, 100);
        loop_run_until(d->loop, bell_has_rung, &bell, 30);
    }
    assert_true(bell.rings > 0);
    d->used = here;
    const struct queue_message *m = desk_take(d, "q", "from there");
    d->used = there;
    desk_expect_none(d, "q");
    assert_true(desk_lease(d, "there", 60000)->granted);
    d->used = here;
    assert_false(desk_lease(d, "here", 60000)->granted);
    desk_ack(d, "q", m);
    desk_declare_dead(d); /* what one is told, the other knows */
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    d->used = there;
    m = desk_take(d, "q", "a1");
    d->used = here;
    desk_expect_none(d, "q");
    d->used = there;
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    d->used = here;
    desk_take_and_ack(d, "q", "a2");
    here->ops->unwatch(w);
    desk_close_store(d, there);
}

/* --- the suite --- */

#define SUITE_TEST(name) cmocka_unit_test_setup_teardown(suite_##name, desk_setup, desk_teardown)

static inline int queue_store_suite(struct yard *yard) {
    const struct CMUnitTest tests[] = {
        SUITE_TEST(a_message_arrives_whole),
        SUITE_TEST(plain_messages_need_little),
        SUITE_TEST(large_bodies_are_kept),
        SUITE_TEST(what_is_not_acknowledged_comes_again),
        SUITE_TEST(a_late_acknowledgement_counts),
        SUITE_TEST(extending_keeps_it_in_flight),
        SUITE_TEST(a_delay_is_waited_for),
        SUITE_TEST(a_retry_comes_after_its_delay),
        SUITE_TEST(burial_keeps_why),
        SUITE_TEST(a_batch_is_settled_one_by_one),
        SUITE_TEST(duplicates_are_dropped_within_the_window),
        SUITE_TEST(the_window_is_the_queues_own),
        SUITE_TEST(a_batch_is_sent_whole),
        SUITE_TEST(a_batch_with_one_bad_message_is_refused),
        SUITE_TEST(bounds_are_kept),
        SUITE_TEST(an_import_keeps_id_and_time),
        SUITE_TEST(an_import_happens_once),
        SUITE_TEST(an_import_is_no_dedup_id),
        SUITE_TEST(an_import_keeps_why_it_died),
        SUITE_TEST(a_group_has_one_in_flight),
        SUITE_TEST(a_failed_head_blocks_its_group),
        SUITE_TEST(a_group_keeps_order_through_delays),
        SUITE_TEST(many_groups_keep_their_order),
        SUITE_TEST(what_nobody_takes_expires),
        SUITE_TEST(what_expires_goes_to_the_dead_letters),
        SUITE_TEST(what_is_in_flight_does_not_expire),
        SUITE_TEST(browsing_shows_all_and_touches_nothing),
        SUITE_TEST(a_purge_removes_all_page_by_page),
        SUITE_TEST(a_redrive_brings_back_all),
        SUITE_TEST(a_redrive_takes_some_elsewhere),
        SUITE_TEST(a_purge_removes_whole_groups),
        SUITE_TEST(a_redrive_moves_whole_groups),
        SUITE_TEST(a_redriven_message_joins_its_group_last),
        SUITE_TEST(stats_count_every_place),
        SUITE_TEST(notes_change_hands_once),
        SUITE_TEST(a_lease_has_one_holder),
        SUITE_TEST(watchers_are_told),
        SUITE_TEST(all_is_there_after_reopening),
        SUITE_TEST(a_clock_that_goes_back_hides_nothing),
        SUITE_TEST(a_clock_that_leaps_ends_nothing_early),
        SUITE_TEST(what_is_pending_is_answered_before_closing),
        SUITE_TEST(calls_are_carried_out_in_order),
        SUITE_TEST(two_stores_share_the_data),
    };
    *suite_yard() = yard;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
