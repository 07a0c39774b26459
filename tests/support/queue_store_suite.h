/* queue_store_suite.h - what every kind of queue store must do, as one suite of tests. A test program gives its yard
 * (queue_desk.h) and calls queue_store_suite. */
#pragma once
#include "tests/support/queue_suite_messages.h"
#include "tests/support/queue_suite_upkeep.h"

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
