/* queue_suite_upkeep.h - what every kind of queue store must do beside handing messages out: retention, looking,
 * emptying, redriving, notes and leases, watching, closing and opening. */
#pragma once
#include "tests/support/queue_desk.h"

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
