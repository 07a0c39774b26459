/* Schedules of several gateways with one store, and with a store that does not work. */
#include "tests/support/schedule_world.h"

/* --- several gateways --- */

static void one_of_two_gateways_runs(void **state) {
    (void)state;
    for (int overlap = SCHEDULE_OVERLAP_SKIP; overlap <= SCHEDULE_OVERLAP_ALLOW; overlap++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        w.config.overlap = (enum schedule_overlap)overlap;
        world_gateway(&w, 0, &w.shelf.store);
        world_gateway(&w, 1, &w.shelf.store);
        world_pass(&w, 12 * 3600);
        uint64_t begun = 0;
        for (int i = 0; i < 2; i++) {
            struct schedule_counts counts = schedule_source_counts(w.gateways[i].source);
            begun += counts.begun;
            assert_int_equal(counts.left_out, 0);
        }
        assert_int_equal(begun, 12);
        assert_int_equal(strlen(w.trace), 12 * 8 - 1);
        world_close(&w);
    }
}

static void a_run_elsewhere_counts_as_one_that_goes_on(void **state) {
    (void)state;
    static const enum schedule_overlap overlaps[] = {SCHEDULE_OVERLAP_SKIP, SCHEDULE_OVERLAP_QUEUE};
    for (size_t i = 0; i < ARRAY_LEN(overlaps); i++) {
        struct world w;
        world_open(&w, "0 * * * *", "2026-01-01T00:30");
        w.config.overlap = overlaps[i];
        struct house_of_schedules *a = world_gateway(&w, 0, &w.shelf.store);
        a->pool = POOL_HOLDS;
        world_pass(&w, 3000);
        world_gateway(&w, 1, &w.shelf.store);
        world_pass(&w, 3600); /* the lease is renewed all the time */
        world_expect(&w, "a:01:00");
        schedule_source_stop(a->source);
        world_pass(&w, 120);
        world_complete(a);
        world_pass(&w, 2);
        world_expect(&w, overlaps[i] == SCHEDULE_OVERLAP_QUEUE ? "b:02:00" : "");
        world_pass(&w, 3600);
        world_expect(&w, "b:03:00");
        world_close(&w);
    }
}

static void a_gateway_that_died_in_a_run_is_waited_for_shortly(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "* * * * *", "2026-01-01T00:00:50");
    snprintf(w.shelf.holder, sizeof w.shelf.holder, "the dead");
    w.shelf.held_until_ms = clock_now_ms(&w.clock.clock) + 30000;
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 130);
    world_expect(&w, "a:00:02 a:00:03");
    world_close(&w);
}

/* --- a store that does not work --- */

static void a_store_that_fails_holds_nothing_up(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    w.shelf.mood = SHELF_FAILS;
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 2 * 3600);
    world_expect(&w, "a:01:00 a:02:00");
    w.shelf.mood = SHELF_WELL;
    world_pass(&w, 3600);
    world_expect(&w, "a:03:00");
    world_check_note(&w, "2026-01-01T03:00", SCHEDULE_SUCCEEDED);
    world_come_back(&w, 5);
    world_pass(&w, 1);
    world_expect(&w, "");
    world_close(&w);
}

static void a_store_that_keeps_silent_holds_up_for_seconds(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    world_gateway(&w, 0, &w.shelf.store);
    world_pass(&w, 60);
    w.shelf.mood = SHELF_SILENT;
    world_pass(&w, 29 * 60 + 4);
    world_expect(&w, "");
    world_pass(&w, 11);
    world_expect(&w, "a:01:00");
    world_pass(&w, 3600);
    world_expect(&w, "a:02:00");
    w.shelf.mood = SHELF_WELL; /* it answers after all, late */
    world_pass(&w, 3600);
    world_expect(&w, "a:03:00");
    world_check_note(&w, "2026-01-01T03:00", SCHEDULE_SUCCEEDED);
    assert_string_equal(w.shelf.holder, "");
    world_close(&w);
}

static void without_a_store_nothing_is_remembered(void **state) {
    (void)state;
    struct world w;
    world_open(&w, "0 * * * *", "2026-01-01T00:30");
    w.config.missed = SCHEDULE_MISSED_ALL;
    world_gateway(&w, 0, NULL);
    world_pass(&w, 3600);
    world_jump(&w, 7200); /* it is awake, though */
    world_pass(&w, 20);
    world_expect(&w, "a:01:00 a:02:00 a:03:00");
    world_leave(&w.gateways[0]);
    world_jump(&w, 7200);
    world_gateway(&w, 0, NULL);
    world_settle(&w);
    world_expect(&w, "");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_two_gateways_runs),
        cmocka_unit_test(a_run_elsewhere_counts_as_one_that_goes_on),
        cmocka_unit_test(a_gateway_that_died_in_a_run_is_waited_for_shortly),
        cmocka_unit_test(a_store_that_fails_holds_nothing_up),
        cmocka_unit_test(a_store_that_keeps_silent_holds_up_for_seconds),
        cmocka_unit_test(without_a_store_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
