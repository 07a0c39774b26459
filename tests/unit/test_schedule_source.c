/* Schedules at work: time goes by as the test says. */
#include "tests/support/schedule_world.h"

static void runs_begin_when_their_hour_comes(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 2,3 * * *", "2026-01-01T00:00");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 2 * 3600 - 1);
    world_expect(&w, "");
    world_pass(&w, 1);
    world_expect(&w, "a:02:00");
    world_pass(&w, 24 * 3600);
    world_expect(&w, "a:03:00 a:02:00");
    struct schedule_counts counts = schedule_source_counts(g->source);
    assert_int_equal(counts.begun, 3);
    assert_int_equal(counts.succeeded, 3);
    assert_int_equal(counts.left_out, 0);
    world_close(&w);
}

/* --- what is remembered --- */

static void nothing_runs_twice_over_a_restart(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:59");
    w.config.missed = SCHEDULE_MISSED_ALL;
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 61);
    world_expect(&w, "a:01:00");
    world_come_back(&w, 5);
    world_come_back(&w, 0);
    world_pass(&w, 1800);
    world_expect(&w, "");
    world_close(&w);
}

static void missed_runs_are_left_out_made_up_for_once_or_all(void **state) {
    (void)state;
    static const struct {
        enum schedule_missed missed;
        uint64_t max_missed;
        const char *expected;
    } rows[] = {{SCHEDULE_MISSED_SKIP, 10, ""},
                {SCHEDULE_MISSED_ONCE, 10, "a:05:00"},
                {SCHEDULE_MISSED_ALL, 10, "a:01:00 a:02:00 a:03:00 a:04:00 a:05:00"},
                {SCHEDULE_MISSED_ALL, 2, "a:04:00 a:05:00"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        w.config.missed = rows[i].missed;
        w.config.max_missed = rows[i].max_missed;
        world_gateway(&w, 0, &w.shelf.store);
        world_settle(&w); /* that it is there is noted at once: no run was needed */
        world_come_back(&w, 5 * 3600);
        world_expect(&w, rows[i].expected);
        world_pass(&w, 1800);
        world_expect(&w, "a:06:00");
        world_close(&w);
    }
}

static void missed_runs_come_one_after_the_other(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    w.config.missed = SCHEDULE_MISSED_ALL;
    w.config.overlap = SCHEDULE_OVERLAP_QUEUE;
    world_gateway(&w, 0, &w.shelf.store)->pool = POOL_HOLDS;
    world_settle(&w);
    world_come_back(&w, 2 * 3600 + 1770); /* 02:59:30 */
    world_expect(&w, "a:01:00");
    world_pass(&w, 40);
    world_expect(&w, "");
    world_complete(&w.gateways[0]);
    world_expect(&w, "a:02:00");
    world_complete(&w.gateways[0]);
    world_expect(&w, "a:03:00"); /* it was there when this one's hour came */
    world_complete(&w.gateways[0]);
    world_close(&w);
}

static void a_restart_in_the_minute_of_a_run_misses_nothing(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:59:30");
    world_gateway(&w, 0, &w.shelf.store);
    world_settle(&w);
    world_come_back(&w, 59);
    world_expect(&w, "a:01:00");
    world_close(&w);
}

static void another_schedule_of_the_name_has_missed_nothing(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    w.config.missed = SCHEDULE_MISSED_ALL;
    world_gateway(&w, 0, &w.shelf.store);
    world_settle(&w);
    world_leave(&w.gateways[0]);
    world_jump(&w, 5 * 3600);
    world_say(&w, "15 * * * *");
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 3600);
    world_expect(&w, "a:06:15");
    world_close(&w);
}

static void the_note_tells_how_the_last_run_ended(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_HOLDS;
    world_pass(&w, 3600);
    world_check_note(&w, "2026-01-01T01:00", SCHEDULE_BEGUN);
    world_complete(g);
    world_check_note(&w, "2026-01-01T01:00", SCHEDULE_SUCCEEDED);
    g->pool = POOL_FAILS;
    world_pass(&w, 3600);
    world_check_note(&w, "2026-01-01T02:00", SCHEDULE_FAILED);
    world_expect(&w, "a:01:00 a:02:00"); /* a failure is not repeated */
    assert_int_equal(schedule_source_counts(g->source).failed, 1);
    world_leave(g);
    world_gateway(&w, 0, &w.shelf.store);
    world_settle(&w);
    world_check_note(&w, "2026-01-01T02:00", SCHEDULE_FAILED);
    world_close(&w);
}

static void notes_that_are_none_are_written_anew(void **state) {
    (void)state;
    static const char *const notes[] = {
        "", "{", "[]", "{\"handled\":1}", "{\"schedule\":\"0 * * * *\",\"timeZone\":\"UTC\",\"handled\":\"x\"}",
        "{\"schedule\":\"0 * * * *\",\"timeZone\":\"UTC\"}",
        /* Of a clock that was years ahead. */
        "{\"schedule\":\"0 * * * *\",\"timeZone\":\"UTC\",\"handled\":9000000000,\"ran\":9,\"outcome\":\"begun\"}"};
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        buf_append_text(&w.shelf.note, notes[i]);
        world_gateway(&w, 0, &w.shelf.store);
        world_pass(&w, 3600);
        world_expect(&w, "a:01:00");
        world_check_note(&w, "2026-01-01T01:00", SCHEDULE_SUCCEEDED);
        world_close(&w);
    }
}

/* --- clocks --- */

static void a_clock_put_back_repeats_nothing(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "*/10 * * * *", "2026-01-01T11:55");
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 11 * 60); /* 12:06 */
    world_expect(&w, "a:12:00");
    world_jump(&w, -3600); /* 11:06 */
    world_pass(&w, 3600);
    world_expect(&w, "");
    world_pass(&w, 600);
    world_expect(&w, "a:12:10");
    world_jump(&w, -45);
    world_pass(&w, 645);
    world_expect(&w, "a:12:20");
    world_close(&w);
}

static void a_clock_that_was_hours_ahead_is_forgotten(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "*/10 * * * *", "2030-01-01T11:55");
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 600);
    world_expect(&w, "a:12:00");
    world_jump(&w, world_moment("2026-05-01T08:05") - world_moment("2030-01-01T12:05"));
    world_pass(&w, 900);
    world_expect(&w, "a:08:10 a:08:20");
    world_come_back(&w, 0);
    world_pass(&w, 600);
    world_expect(&w, "a:08:30");
    world_close(&w);
}

static void a_clock_put_forward_or_a_sleep_is_time_missed(void **state) {
    (void)state;
    static const struct {
        enum schedule_missed missed;
        const char *expected;
    } rows[] = {{SCHEDULE_MISSED_SKIP, ""},
                {SCHEDULE_MISSED_ONCE, "a:03:00"},
                {SCHEDULE_MISSED_ALL, "a:01:00 a:02:00 a:03:00"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        w.config.missed = rows[i].missed;
        world_gateway(&w, 0, &w.shelf.store);
        world_pass(&w, 60);
        world_jump(&w, 3 * 3600);
        world_pass(&w, 20);
        world_expect(&w, rows[i].expected);
        world_close(&w);
    }
}

static void a_clock_put_forward_over_a_run_by_seconds_does_not_lose_it(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:59:30");
    world_gateway(&w, 0, &w.shelf.store);
    world_settle(&w);
    world_jump(&w, 40);
    world_pass(&w, 20);
    world_expect(&w, "a:01:00");
    world_close(&w);
}

/* --- overlap --- */

static void a_run_while_one_goes_on_is_left_out_waits_or_runs(void **state) {
    (void)state;
    static const struct {
        enum schedule_overlap overlap;
        const char *meanwhile, *afterwards;
        int held;
    } rows[] = {{SCHEDULE_OVERLAP_SKIP, "a:01:00", "", 1},
                {SCHEDULE_OVERLAP_QUEUE, "a:01:00", "a:02:00 a:03:00", 1},
                {SCHEDULE_OVERLAP_ALLOW, "a:01:00 a:02:00 a:03:00", "", 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        w.config.overlap = rows[i].overlap;
        struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
        g->pool = POOL_HOLDS;
        world_pass(&w, 3 * 3600);
        world_expect(&w, rows[i].meanwhile);
        g->pool = POOL_ANSWERS;
        for (int k = 0; k < rows[i].held; k++) world_complete(g);
        world_expect(&w, rows[i].afterwards);
        world_pass(&w, 3600);
        world_expect(&w, "a:04:00");
        assert_int_equal(schedule_source_counts(g->source).left_out, rows[i].overlap == SCHEDULE_OVERLAP_SKIP ? 2 : 0);
        world_close(&w);
    }
}

static void waiting_runs_that_a_stop_leaves_behind_were_missed(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    w.config.overlap = SCHEDULE_OVERLAP_QUEUE;
    w.config.missed = SCHEDULE_MISSED_ALL;
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_HOLDS;
    world_pass(&w, 3 * 3600);
    schedule_source_stop(g->source);
    assert_false(schedule_source_is_idle(g->source));
    world_complete(g);
    world_expect(&w, "a:01:00");
    world_come_back(&w, 0);
    world_gateway(&w, 1, &w.shelf.store);
    world_settle(&w);
    world_expect(&w, "a:02:00");
    w.gateways[0].pool = POOL_ANSWERS;
    world_complete(&w.gateways[0]);
    world_expect(&w, "a:03:00");
    world_close(&w);
}

static void at_most_a_hundred_wait(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "* * * * *", "2026-01-01T00:00:30");
    w.config.overlap = SCHEDULE_OVERLAP_QUEUE;
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_HOLDS;
    world_pass(&w, 150 * 60); /* the first goes on, 149 wait */
    world_expect(&w, "a:00:01");
    g->pool = POOL_ANSWERS;
    world_complete(g);
    struct schedule_counts counts = schedule_source_counts(g->source);
    assert_int_equal(counts.begun, 101);
    assert_int_equal(counts.left_out, 1);
    assert_memory_equal(w.trace, "a:00:51 a:00:52", 15);
    world_close(&w);
}

static void a_run_that_a_stop_forestalls_is_left_to_the_next(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:59:58");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 1);
    w.shelf.mood = SHELF_SILENT;
    world_pass(&w, 2);
    schedule_source_stop(g->source);
    g->pipeline.draining = true;
    w.shelf.mood = SHELF_WELL;
    world_settle(&w);
    world_expect(&w, "");
    world_come_back(&w, 5);
    world_expect(&w, "a:01:00");
    world_close(&w);
}

/* --- the rest --- */

static void what_no_process_takes_is_tried_until_the_next(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "*/10 * * * *", "2026-01-01T00:05");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_REFUSES;
    world_pass(&w, 8 * 60);
    world_expect(&w, "");
    g->pool = POOL_ANSWERS;
    world_pass(&w, 60);
    world_expect(&w, "a:00:10");
    g->pool = POOL_REFUSES;
    world_pass(&w, 6 * 60 + 590); /* 00:29:50 */
    assert_int_equal(schedule_source_counts(g->source).failed, 0);
    world_pass(&w, 60);
    assert_int_equal(schedule_source_counts(g->source).failed, 1);
    schedule_source_stop(g->source); /* 00:30 is given up, too, or was left out */
    world_settle(&w);
    assert_true(schedule_source_is_idle(g->source));
    world_close(&w);
}

static void what_no_process_takes_is_given_up_after_an_hour(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 2 * * *", "2026-01-01T01:59:59");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_REFUSES;
    world_pass(&w, 3600);
    assert_int_equal(schedule_source_counts(g->source).failed, 0);
    world_pass(&w, 60);
    assert_int_equal(schedule_source_counts(g->source).failed, 1);
    world_close(&w);
}

static void jitter_begins_later_but_before_the_next(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "rate(1 minute)", "2026-01-01T00:00");
    w.config.jitter_ms = 3600 * 1000;
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    uint64_t late = 0;
    for (uint64_t minute = 1; minute <= 60; minute++) {
        world_pass(&w, 60);
        uint64_t begun = schedule_source_counts(g->source).begun;
        assert_in_range(begun, minute - 1, minute);
        late += minute - begun;
    }
    assert_true(late > 30);
    assert_int_equal(schedule_source_counts(g->source).left_out, 0);
    world_close(&w);
}

static void the_event_is_what_the_blueprint_says(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:59:59");
    w.config.input = SLICE("{\"days\":1}");
    struct house_of_schedules *g = world_gateway(&w, 0, &w.shelf.store);
    g->pool = POOL_HOLDS;
    world_pass(&w, 1);
    struct invocation *inv = list_entry(list_first(&g->running), struct invocation, node);
    assert_slice(inv->request.method, "POST");
    assert_slice(inv->request.target, "/schedule/nightly");
    assert_slice(fields_get(&inv->request.headers, SLICE("Content-Type")), "application/json");

    assert_slice(body_whole(inv->body), "{\"days\":1}");
    assert_slice(inv->schedule->input, "{\"days\":1}");
    assert_slice(inv->schedule->schedule, "nightly");
    assert_int_equal(inv->schedule->id.n, UUID_TEXT_SIZE);
    world_complete(g);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_begin_when_their_hour_comes),
        cmocka_unit_test(nothing_runs_twice_over_a_restart),
        cmocka_unit_test(missed_runs_are_left_out_made_up_for_once_or_all),
        cmocka_unit_test(missed_runs_come_one_after_the_other),
        cmocka_unit_test(a_restart_in_the_minute_of_a_run_misses_nothing),
        cmocka_unit_test(another_schedule_of_the_name_has_missed_nothing),
        cmocka_unit_test(the_note_tells_how_the_last_run_ended),
        cmocka_unit_test(notes_that_are_none_are_written_anew),
        cmocka_unit_test(a_clock_put_back_repeats_nothing),
        cmocka_unit_test(a_clock_that_was_hours_ahead_is_forgotten),
        cmocka_unit_test(a_clock_put_forward_or_a_sleep_is_time_missed),
        cmocka_unit_test(a_clock_put_forward_over_a_run_by_seconds_does_not_lose_it),
        cmocka_unit_test(a_run_while_one_goes_on_is_left_out_waits_or_runs),
        cmocka_unit_test(waiting_runs_that_a_stop_leaves_behind_were_missed),
        cmocka_unit_test(at_most_a_hundred_wait),
        cmocka_unit_test(a_run_that_a_stop_forestalls_is_left_to_the_next),
        cmocka_unit_test(what_no_process_takes_is_tried_until_the_next),
        cmocka_unit_test(what_no_process_takes_is_given_up_after_an_hour),
        cmocka_unit_test(jitter_begins_later_but_before_the_next),
        cmocka_unit_test(the_event_is_what_the_blueprint_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
