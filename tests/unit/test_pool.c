/* Matching, sharing, queueing, growing and shrinking, with faked processes and time. */
#include "tests/support/stable.h"

static void an_event_starts_a_process_and_is_answered(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    assert_int_equal(s.processes, 0);
    struct ride *r = stable_ride(&s);
    assert_int_equal(pool_queued(s.pool), 1);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
    struct worker *w = stable_first(&s, WORKER_STARTING);
    stable_ready(&s, 1);
    assert_int_equal(w->state, WORKER_BUSY);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    assert_int_equal(r->inv->attempts, 1);
    assert_memory_not_equal(r->inv->attempt_id, r->inv->id, UUID_TEXT_SIZE);
    assert_int_equal(fake_of(w)->flushes, 1);
    stable_answer(&s, w);
    assert_int_equal(r->status, 200);
    assert_int_equal(fake_of(w)->forgotten, 1);
    assert_int_equal(w->state, WORKER_BUSY); /* it has not yet asked again */
    stable_ask(&s, w, 1);
    assert_int_equal(w->state, WORKER_IDLE);
    assert_int_equal(w->served, 1);
    assert_int_equal(pool_counters(s.pool)->completed, 1);
    stable_close(&s);
}

static void events_are_shared_evenly(void **state) {
    (void)state;
    static const unsigned wants[][5] = {
        /* events, then what each of four gets when it wants up to `want` */
        {10, 3, 3, 2, 2}, {4, 1, 1, 1, 1}, {3, 1, 1, 1, 0}, {16, 4, 4, 4, 4}, {7, 2, 2, 2, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        struct stable s;
        stable_open(&s);
        s.handler.processes.min = 4;
        s.handler.processes.concurrency = 16;
        stable_build(&s);
        stable_ready(&s, 16);
        for (unsigned n = 0; n < wants[i][0]; n++) stable_submit(&s);
        assert_int_equal(pool_queued(s.pool), wants[i][0]); /* nothing moves before the turn */
        stable_turn(&s);
        for (size_t n = 0; n < 4; n++) assert_int_equal(s.workers[n]->running.length, wants[i][n + 1]);
        assert_int_equal(s.flushes, wants[i][0] < 4 ? wants[i][0] : 4);
        stable_close(&s);
    }
}

static void a_share_is_bounded_by_want_and_goes_round_again(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 3;
    s.handler.processes.concurrency = 16;
    stable_build(&s);
    static const unsigned want[] = {1, 16, 2};
    for (size_t i = 0; i < 3; i++) worker_offer(s.workers[i], want[i]);
    for (int i = 0; i < 12; i++) stable_submit(&s);
    stable_turn(&s);
    assert_int_equal(s.workers[0]->running.length, 1);
    assert_int_equal(s.workers[2]->running.length, 2);
    assert_int_equal(s.workers[1]->running.length, 9);
    assert_int_equal(s.workers[1]->want, 7);
    assert_int_equal(pool_queued(s.pool), 0);
    for (size_t i = 0; i < 3; i++) assert_int_equal(fake_of(s.workers[i])->flushes, 1);
    stable_close(&s);
}

static void concurrency_bounds_what_is_wanted(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    s.handler.processes.concurrency = 2;
    stable_build(&s);
    for (int i = 0; i < 5; i++) stable_ride(&s);
    stable_ready(&s, 16);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    assert_int_equal(w->running.length, 2);
    stable_answer(&s, w); /* a place is free, and it still wants */
    assert_int_equal(w->running.length, 2);
    assert_int_equal(pool_queued(s.pool), 2);
    stable_close(&s);
}

static void single_events_go_round_the_idle(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 4;
    stable_build(&s);
    stable_ready(&s, 1);
    for (unsigned i = 0; i < 12; i++) {
        stable_ride(&s);
        struct worker *w = stable_first(&s, WORKER_BUSY);
        assert_int_equal(w->number, i % 4 + 1);
        stable_answer(&s, w);
        stable_ask(&s, w, 1);
    }
    stable_close(&s);
}

static void the_queue_is_bounded(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.queue_limit = 2;
    s.handler.processes.max = 1;
    stable_build(&s);
    stable_ride(&s);
    stable_ready(&s, 1);
    assert_int_equal(stable_ride(&s)->ends, 0);
    assert_int_equal(stable_ride(&s)->ends, 0);
    struct ride *r = stable_ride(&s);
    assert_int_equal(r->failure, FAILURE_QUEUE_FULL);
    assert_int_equal(r->status, 503);
    assert_int_equal(r->retry_after_s, 1);
    assert_int_equal(pool_counters(s.pool)->rejected, 1);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    stable_answer(&s, w);
    stable_ask(&s, w, 1);
    assert_int_equal(stable_ride(&s)->ends, 0);
    stable_close(&s);
}

static void what_goes_straight_takes_no_place_in_the_queue(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.queue_limit = 2;
    s.handler.processes.min = s.handler.processes.max = 1;
    s.handler.processes.concurrency = 3;
    stable_build(&s);
    stable_ready(&s, 3);
    for (int i = 0; i < 8; i++) stable_submit(&s); /* all in one turn */
    stable_turn(&s);
    assert_int_equal(s.workers[0]->running.length, 3);
    assert_int_equal(pool_queued(s.pool), 2);
    assert_int_equal(pool_counters(s.pool)->rejected, 3);
    stable_close(&s);
}

static void without_a_queue_events_go_straight_or_not_at_all(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.queue_limit = 0;
    s.handler.processes.max = 1;
    s.handler.processes.concurrency = 2;
    stable_build(&s);
    assert_int_equal(stable_ride(&s)->ends, 0); /* for the process that it starts */
    assert_int_equal(stable_ride(&s)->ends, 0);
    assert_int_equal(stable_ride(&s)->failure, FAILURE_QUEUE_FULL);
    stable_ready(&s, 2);
    assert_int_equal(stable_ride(&s)->failure, FAILURE_QUEUE_FULL);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    stable_answer(&s, w);
    stable_ask(&s, w, 1);
    assert_int_equal(stable_submit(&s)->ends, 0);
    assert_int_equal(stable_submit(&s)->failure, FAILURE_QUEUE_FULL);
    stable_turn(&s);
    stable_close(&s);
}

static void waiting_ends_with_the_timeout(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.timeout_ms = 3000;
    s.handler.processes.max = 1;
    stable_build(&s);
    struct ride *r = stable_ride(&s);
    stable_wait(&s, 2999);
    assert_int_equal(r->ends, 0);
    stable_wait(&s, 1);
    assert_int_equal(r->failure, FAILURE_QUEUE_TIMEOUT);
    assert_int_equal(r->retry_after_s, 3);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
    stable_close(&s);
}

static void a_cold_burst_starts_as_many_as_it_needs(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.concurrency = 4;
    s.handler.processes.max = 3;
    stable_build(&s);
    for (int i = 0; i < 6; i++) stable_submit(&s);
    stable_turn(&s);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 2);
    for (int i = 0; i < 30; i++) stable_submit(&s);
    stable_turn(&s);
    stable_wait(&s, 50);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 3);
    stable_close(&s);
}

static void what_the_living_absorb_starts_nobody(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    stable_build(&s);
    stable_ready(&s, 1);
    struct worker *w = stable_first(&s, WORKER_IDLE);
    for (int i = 0; i < 20; i++) stable_submit(&s);
    stable_turn(&s);
    for (int i = 0; i < 9; i++) {
        stable_wait(&s, 1);
        stable_answer(&s, w);
        stable_ask(&s, w, 1);
    }
    assert_int_equal(s.processes, 1);
    stable_wait(&s, 20); /* but now the first in line has waited too long */
    assert_int_equal(s.processes, 4);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 3);
    stable_close(&s);
}

static void growth_waits_ten_milliseconds(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    stable_ride(&s);
    stable_ready(&s, 1);
    stable_ride(&s);
    stable_wait(&s, 9);
    assert_int_equal(s.processes, 1);
    stable_wait(&s, 1);
    assert_int_equal(s.processes, 2);
    stable_wait(&s, 100); /* one waits, one is starting for it */
    assert_int_equal(s.processes, 2);
    stable_close(&s);
}

static void the_idle_are_stopped_down_to_the_minimum(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    stable_build(&s);
    for (int i = 0; i < 4; i++) stable_submit(&s);
    stable_turn(&s);
    stable_wait(&s, 10);
    stable_ready(&s, 1);
    assert_int_equal(stable_count(&s, WORKER_BUSY), 4);
    static const size_t order[] = {2, 0, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        struct worker *w = s.workers[order[i]];
        stable_answer(&s, w);
        stable_ask(&s, w, 1);
        stable_wait(&s, 1000);
    }
    stable_wait(&s, 60000 - 4000 - 1);
    assert_int_equal(stable_count(&s, WORKER_IDLE), 4);
    stable_wait(&s, 1); /* the one that has been idle longest */
    assert_int_equal(s.workers[2]->process->last_signal, SIGTERM);
    assert_int_equal(fake_of(s.workers[2])->why, STOP_SCALE_DOWN);
    assert_int_equal(stable_count(&s, WORKER_IDLE), 3);
    stable_wait(&s, 600000);
    stable_obey(&s);
    assert_int_equal(s.processes, 1);
    assert_ptr_equal(stable_first(&s, WORKER_IDLE), s.workers[1]);
    stable_close(&s);
}

static void without_a_minimum_it_scales_to_zero_and_back(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    for (int i = 0; i < 3; i++) {
        struct ride *r = stable_ride(&s);
        stable_ready(&s, 1);
        struct worker *w = stable_first(&s, WORKER_BUSY);
        stable_answer(&s, w);
        stable_ask(&s, w, 1);
        assert_int_equal(r->status, 200);
        stable_wait(&s, 60000);
        assert_int_equal(w->process->signals[SIGTERM], 1);
        stable_end(&s, w, 0);
        assert_int_equal(s.processes, 0);
    }
    assert_int_equal(pool_failures(s.pool), 0);
    assert_true(stable_logged(&s, "handler stopped"));
    stable_close(&s);
}

static void after_max_invocations_it_is_replaced(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    s.handler.processes.max = 1;
    s.handler.processes.concurrency = 4;
    s.handler.processes.max_invocations = 3;
    stable_build(&s);
    stable_ready(&s, 4);
    struct worker *w = stable_first(&s, WORKER_IDLE);
    for (int i = 0; i < 4; i++) stable_submit(&s);
    stable_turn(&s);
    assert_int_equal(w->running.length, 3); /* never more than it may serve */
    for (int i = 0; i < 2; i++) stable_answer(&s, w);
    assert_int_equal(w->state, WORKER_BUSY);
    stable_answer(&s, w);
    assert_int_equal(w->state, WORKER_STOPPING);
    assert_int_equal(fake_of(w)->why, STOP_RECYCLE);
    assert_int_equal(w->process->last_signal, SIGTERM);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1); /* beside it */
    stable_end(&s, w, 0);
    stable_ready(&s, 4);
    assert_int_equal(pool_queued(s.pool), 0);
    assert_int_equal(pool_counters(s.pool)->recycled, 1);
    assert_int_equal(pool_failures(s.pool), 0);
    stable_close(&s);
}

static void what_stops_does_not_multiply(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.timeout_ms = 1000;
    s.handler.processes.max = 2;
    s.handler.processes.stop_timeout_ms = 1000000;
    stable_build(&s);
    for (int i = 0; i < 6; i++) { /* every process hangs, and does not end */
        for (int n = 0; n < 4; n++) stable_submit(&s);
        stable_turn(&s);
        stable_wait(&s, 20);
        stable_ready(&s, 1);
        stable_wait(&s, 2000);
        assert_in_range(s.processes, 1, 4);
    }
    assert_int_equal(s.processes, 4);
    assert_int_equal(stable_count(&s, WORKER_STOPPING), 4);
    stable_close(&s);
}

static void a_cancellation_is_offered(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    struct ride *r = stable_ride(&s);
    stable_ready(&s, 1);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    invocation_cancel(r->inv, CANCEL_CLIENT_GONE);
    r->inv = NULL; /* nobody hears of it again */
    assert_int_equal(fake_of(w)->cancelled, 1);
    stable_answer(&s, w);
    assert_int_equal(r->ends, 0);
    struct ride *queued = stable_ride(&s);
    invocation_cancel(queued->inv, CANCEL_CLIENT_GONE);
    assert_int_equal(queued->failure, FAILURE_CLIENT_GONE);
    assert_int_equal(pool_queued(s.pool), 0);
    stable_close(&s);
}

static void draining_finishes_what_waits_and_runs(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 2;
    s.handler.processes.max = 2;
    stable_build(&s);
    stable_ready(&s, 1);
    struct ride *rides[3];
    for (size_t i = 0; i < 3; i++) rides[i] = stable_ride(&s);
    pool_drain(s.pool);
    stable_turn(&s);
    assert_int_equal(stable_ride(&s)->failure, FAILURE_SHUTTING_DOWN);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    stable_answer(&s, w);
    stable_ask(&s, w, 1);
    assert_int_equal(w->running.length, 1); /* the one that waited */
    stable_answer(&s, w);
    assert_int_equal(w->process->last_signal, SIGTERM);
    assert_int_equal(fake_of(w)->why, STOP_SHUTDOWN);
    stable_answer(&s, stable_first(&s, WORKER_BUSY));
    assert_false(pool_is_empty(s.pool));
    stable_obey(&s);
    assert_true(pool_is_empty(s.pool));
    for (size_t i = 0; i < 3; i++) assert_int_equal(rides[i]->status, 200);
    stable_close(&s);
}

static void draining_stops_the_idle_at_once(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 3;
    stable_build(&s);
    worker_offer(s.workers[0], 1);
    pool_drain(s.pool);
    stable_turn(&s);
    assert_int_equal(stable_count(&s, WORKER_STOPPING), 3);
    for (size_t i = 0; i < 3; i++) assert_int_equal(s.workers[i]->process->last_signal, SIGTERM);
    stable_wait(&s, 4999);
    assert_int_equal(s.workers[0]->process->last_signal, SIGTERM);
    stable_wait(&s, 1);
    assert_int_equal(s.workers[0]->process->last_signal, SIGKILL);
    stable_close(&s);
}

static void killing_ends_everything(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 2;
    s.handler.processes.max = 2;
    stable_build(&s);
    worker_offer(s.workers[0], 1);
    struct ride *running = stable_ride(&s);
    struct ride *waiting = stable_ride(&s);
    pool_kill(s.pool);
    stable_turn(&s);
    assert_int_equal(waiting->failure, FAILURE_SHUTTING_DOWN);
    assert_int_equal(s.workers[0]->process->last_signal, SIGKILL);
    assert_int_equal(s.workers[1]->process->last_signal, SIGKILL);
    stable_obey(&s);
    assert_int_equal(running->failure, FAILURE_SHUTTING_DOWN);
    assert_true(pool_is_empty(s.pool));
    stable_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_starts_a_process_and_is_answered),
        cmocka_unit_test(events_are_shared_evenly),
        cmocka_unit_test(a_share_is_bounded_by_want_and_goes_round_again),
        cmocka_unit_test(concurrency_bounds_what_is_wanted),
        cmocka_unit_test(single_events_go_round_the_idle),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(what_goes_straight_takes_no_place_in_the_queue),
        cmocka_unit_test(without_a_queue_events_go_straight_or_not_at_all),
        cmocka_unit_test(waiting_ends_with_the_timeout),
        cmocka_unit_test(a_cold_burst_starts_as_many_as_it_needs),
        cmocka_unit_test(what_the_living_absorb_starts_nobody),
        cmocka_unit_test(growth_waits_ten_milliseconds),
        cmocka_unit_test(the_idle_are_stopped_down_to_the_minimum),
        cmocka_unit_test(without_a_minimum_it_scales_to_zero_and_back),
        cmocka_unit_test(after_max_invocations_it_is_replaced),
        cmocka_unit_test(what_stops_does_not_multiply),
        cmocka_unit_test(a_cancellation_is_offered),
        cmocka_unit_test(draining_finishes_what_waits_and_runs),
        cmocka_unit_test(draining_stops_the_idle_at_once),
        cmocka_unit_test(killing_ends_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
