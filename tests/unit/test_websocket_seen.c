/* Which messages have been handled before (websocket_seen.h), and when one is sent again (websocket_delivery.h). */
#include "gateway/source/websocket/websocket_delivery.h"
#include "gateway/source/websocket/websocket_seen.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define WINDOW_MS 1000

struct fixture {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct seen *seen;
};

static void fixture_open(struct fixture *f) {
    clock_fake_init(&f->clock);
    deadlines_init(&f->deadlines);
    f->seen = seen_new(&f->clock.clock, &f->deadlines);
}

static void fixture_close(struct fixture *f) {
    seen_free(f->seen);
    assert_int_equal(deadlines_next_ms(&f->deadlines), DEADLINE_NEVER);
    deadlines_free(&f->deadlines);
}

static void pass(struct fixture *f, uint64_t ms) {
    clock_fake_advance_ms(&f->clock, ms);
    deadlines_run(&f->deadlines, clock_now_ms(&f->clock.clock));
}

static enum seen_verdict handle(struct seen_sender *sender, const char *id, uint64_t window_ms) {
    struct seen_message *m = NULL;
    enum seen_verdict verdict = seen_begin(sender, slice_of(id), &m);
    assert_true((verdict == SEEN_NEVER) == (m != NULL));
    if (m) seen_settle(m, window_ms);
    return verdict;
}

static void a_message_is_handled_once_within_its_window(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    assert_int_equal(handle(sender, "1", WINDOW_MS), SEEN_NEVER);
    assert_int_equal(handle(sender, "1", WINDOW_MS), SEEN_HANDLED);
    assert_int_equal(handle(sender, "2", WINDOW_MS), SEEN_NEVER);
    pass(&f, WINDOW_MS - 1);
    assert_int_equal(handle(sender, "1", WINDOW_MS), SEEN_HANDLED);
    pass(&f, 1);
    assert_int_equal(seen_count(f.seen), 0);
    assert_int_equal(handle(sender, "1", WINDOW_MS), SEEN_NEVER);
    seen_sender_release(sender);
    fixture_close(&f);
}

static void what_failed_may_come_again(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    assert_int_equal(handle(sender, "1", 0), SEEN_NEVER);
    assert_int_equal(handle(sender, "1", 0), SEEN_NEVER);
    assert_int_equal(seen_count(f.seen), 0);
    seen_sender_release(sender);
    fixture_close(&f);
}

static void one_in_progress_is_not_begun_again(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    struct seen_message *first = NULL, *second = NULL;
    assert_int_equal(seen_begin(sender, SLICE("1"), &first), SEEN_NEVER);
    assert_int_equal(seen_begin(sender, SLICE("1"), &second), SEEN_RUNNING);
    assert_null(second);
    /* The client comes back on another connection while it is still handled. */
    struct seen_sender *again = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    assert_ptr_equal(again, sender);
    seen_sender_release(sender);
    assert_int_equal(seen_begin(again, SLICE("1"), &second), SEEN_RUNNING);
    seen_settle(first, WINDOW_MS);
    assert_int_equal(handle(again, "1", WINDOW_MS), SEEN_HANDLED);
    seen_sender_release(again);
    fixture_close(&f);
}

static void a_known_client_is_remembered_when_it_has_gone(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    handle(sender, "1", WINDOW_MS);
    seen_sender_release(sender);
    assert_int_equal(seen_count(f.seen), 1);
    sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    assert_int_equal(handle(sender, "1", WINDOW_MS), SEEN_HANDLED);
    seen_sender_release(sender);
    pass(&f, WINDOW_MS);
    assert_int_equal(seen_count(f.seen), 0);
    fixture_close(&f);
}

static void a_connection_is_forgotten_with_its_end(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("connection"), SEEN_WHILE_HELD);
    struct seen_message *running = NULL;
    handle(sender, "1", WINDOW_MS);
    seen_begin(sender, SLICE("2"), &running);
    seen_sender_release(sender);
    assert_int_equal(seen_count(f.seen), 0);
    seen_settle(running, WINDOW_MS);
    assert_int_equal(seen_count(f.seen), 0);
    fixture_close(&f);
}

static void senders_do_not_know_of_each_other(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *one = seen_sender_hold(f.seen, SLICE("one"), SEEN_LASTS);
    struct seen_sender *two = seen_sender_hold(f.seen, SLICE("two"), SEEN_LASTS);
    assert_int_equal(handle(one, "1", WINDOW_MS), SEEN_NEVER);
    assert_int_equal(handle(two, "1", WINDOW_MS), SEEN_NEVER);
    seen_sender_release(one);
    seen_sender_release(two);
    fixture_close(&f);
}

static void flood(struct seen_sender *sender, int count) {
    char id[32];
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "flood %d", i);
        assert_int_equal(handle(sender, id, WINDOW_MS), SEEN_NEVER);
    }
}

static void a_flood_of_ids_pushes_out_only_the_senders_own(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *quiet = seen_sender_hold(f.seen, SLICE("quiet"), SEEN_LASTS);
    struct seen_sender *loud = seen_sender_hold(f.seen, SLICE("loud"), SEEN_LASTS);
    handle(quiet, "1", WINDOW_MS);
    handle(loud, "1", WINDOW_MS);
    flood(loud, 5 * SEEN_PER_SENDER);
    assert_int_equal(seen_count(f.seen), SEEN_PER_SENDER + 1);
    assert_int_equal(handle(quiet, "1", WINDOW_MS), SEEN_HANDLED);
    assert_int_equal(handle(loud, "1", WINDOW_MS), SEEN_NEVER);
    seen_sender_release(quiet);
    seen_sender_release(loud);
    fixture_close(&f);
}

static void all_together_are_bounded(void **state) {
    (void)state;
    struct fixture f;
    char key[32];
    fixture_open(&f);
    for (int i = 0; i < SEEN_MOST / SEEN_PER_SENDER + 3; i++) {
        snprintf(key, sizeof key, "client %d", i);
        struct seen_sender *sender = seen_sender_hold(f.seen, slice_of(key), SEEN_LASTS);
        flood(sender, SEEN_PER_SENDER);
        seen_sender_release(sender);
    }
    assert_int_equal(seen_count(f.seen), SEEN_MOST);
    fixture_close(&f);
}

static void a_longer_window_outlives_a_shorter_one(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct seen_sender *sender = seen_sender_hold(f.seen, SLICE("acme"), SEEN_LASTS);
    handle(sender, "long", 2 * WINDOW_MS);
    handle(sender, "short", WINDOW_MS);
    pass(&f, WINDOW_MS);
    assert_int_equal(handle(sender, "long", WINDOW_MS), SEEN_HANDLED);
    assert_int_equal(handle(sender, "short", WINDOW_MS), SEEN_NEVER);
    seen_sender_release(sender);
    pass(&f, 2 * WINDOW_MS);
    assert_int_equal(seen_count(f.seen), 0);
    fixture_close(&f);
}

static void resends_come_each_after_twice_as_long(void **state) {
    (void)state;
    static const struct {
        uint64_t resend_ms, resends, wait_ms;
    } rows[] = {{100, 0, 100},       {100, 1, 200},         {100, 4, 1600},         {5000, 9, 2560000},
                {5000, 10, 3600000}, {3600000, 0, 3600000}, {3600000, 10, 3600000}, {1, 64, 3600000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(delivery_wait_ms(rows[i].resend_ms, rows[i].resends), rows[i].wait_ms);
}

static void ids_are_short_readable_texts(void **state) {
    (void)state;
    char long_id[DELIVERY_ID_MAX + 1];
    memset(long_id, 'x', sizeof long_id);
    assert_true(delivery_id_is_good(SLICE("a")));
    assert_true(delivery_id_is_good(SLICE("\xc3\xa9 1")));
    assert_true(delivery_id_is_good(slice_make(long_id, DELIVERY_ID_MAX)));
    assert_false(delivery_id_is_good(slice_make(long_id, sizeof long_id)));
    assert_false(delivery_id_is_good(SLICE("")));
    assert_false(delivery_id_is_good(SLICE("a\nb")));
    assert_false(delivery_id_is_good(SLICE("\x7f")));
    assert_false(delivery_id_is_good(SLICE("\xff")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_handled_once_within_its_window),
        cmocka_unit_test(what_failed_may_come_again),
        cmocka_unit_test(one_in_progress_is_not_begun_again),
        cmocka_unit_test(a_known_client_is_remembered_when_it_has_gone),
        cmocka_unit_test(a_connection_is_forgotten_with_its_end),
        cmocka_unit_test(senders_do_not_know_of_each_other),
        cmocka_unit_test(a_flood_of_ids_pushes_out_only_the_senders_own),
        cmocka_unit_test(all_together_are_bounded),
        cmocka_unit_test(a_longer_window_outlives_a_shorter_one),
        cmocka_unit_test(resends_come_each_after_twice_as_long),
        cmocka_unit_test(ids_are_short_readable_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
