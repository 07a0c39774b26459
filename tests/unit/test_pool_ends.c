/* Crashes, failed starts, back-off, processes per event: lives that do not end as they should. */
#include "gateway/observe/status.h"
#include "tests/support/stable.h"

#define EXIT_STATUS(n) ((n) << 8)

static void a_crash_is_told_and_replaced(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 1;
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    struct ride *victim = stable_last(&s);
    struct ride *waiting = stable_ride(&s);
    stable_end(&s, w, EXIT_STATUS(3));
    assert_int_equal(victim->failure, FAILURE_HANDLER_DIED);
    assert_string_equal(victim->detail, "exited with status 3");
    assert_int_equal(waiting->ends, 0);
    assert_int_equal(stable_count(&s, WORKER_BACKOFF), 1);
    assert_in_range(pool_backoff_until_ms(s.pool) - s.clock.now_us / 1000, 80, 120);
    assert_true(stable_logged(&s, "the last line"));
    assert_true(stable_logged(&s, "exit status 3"));
    stable_wait(&s, 79);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 0);
    stable_wait(&s, 42);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
    assert_int_equal(stable_count(&s, WORKER_BACKOFF), 0);
    stable_ready(&s, 1);
    assert_int_equal(waiting->inv->state, INVOCATION_RUNNING);
    assert_int_equal(pool_counters(s.pool)->crashes, 1);
    stable_wait(&s, 9999);
    assert_int_equal(pool_failures(s.pool), 1);
    stable_wait(&s, 1);
    assert_int_equal(pool_failures(s.pool), 0);
    stable_close(&s);
}

static void a_signal_has_a_name(void **state) {
    (void)state;
    struct stable s;
    char text[64];
    stable_open(&s);
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stable_end(&s, w, SIGSEGV | 0x80);
    assert_string_equal(stable_last(&s)->detail, "killed by SIGSEGV");
    exit_describe(SIGKILL, text, sizeof text);
    assert_string_equal(text, "killed by SIGKILL");
    exit_describe(EXIT_STATUS(3), text, sizeof text);
    assert_string_equal(text, "exit status 3");
    exit_describe(40, text, sizeof text);
    assert_string_equal(text, "killed by signal 40");
    stable_close(&s);
}

static void wait_out_backoff(struct stable *s) {
    uint64_t until_ms = pool_backoff_until_ms(s->pool);
    if (until_ms) stable_wait(s, until_ms - s->clock.now_us / 1000);
}

static void crash_again(struct stable *s, unsigned failures) {
    stable_ride(s);
    while (pool_failures(s->pool) < failures) {
        wait_out_backoff(s);
        stable_end(s, stable_first(s, WORKER_STARTING), EXIT_STATUS(1));
        stable_submit(s); /* somebody wants it */
        stable_turn(s);
    }
}

static void a_crash_loop_refuses_with_the_reason(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    stable_build(&s);
    crash_again(&s, 1);
    struct ride *waiting = stable_last(&s);
    assert_int_equal(waiting->ends, 0); /* one death is no loop */
    crash_again(&s, 2);
    assert_int_equal(waiting->failure, FAILURE_UNAVAILABLE);
    crash_again(&s, 6); /* 3.2 s and jitter */
    uint64_t left_ms = pool_backoff_until_ms(s.pool) - s.clock.now_us / 1000;
    assert_in_range(left_ms, 3200 * 8 / 10, 3200 * 12 / 10);
    struct ride *r = stable_ride(&s);
    assert_int_equal(r->status, 503);
    assert_int_equal(r->failure, FAILURE_UNAVAILABLE);
    assert_int_equal(r->retry_after_s, (left_ms + 999) / 1000);
    char detail[128];
    snprintf(detail, sizeof detail, "horse keeps failing: exit status 1 before it asked for an event; next try in %u s",
             (unsigned)r->retry_after_s);
    assert_string_equal(r->detail, detail);
    assert_true(stable_logged(&s, "handler keeps failing"));
    stable_close(&s);
}

static void back_off_doubles_up_to_thirty_seconds(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 1;
    stable_build(&s);
    uint64_t base_ms = 100;
    for (unsigned i = 0; i < 14; i++) {
        stable_end(&s, stable_first(&s, WORKER_STARTING), EXIT_STATUS(1));
        uint64_t left_ms = pool_backoff_until_ms(s.pool) - s.clock.now_us / 1000;
        assert_in_range(left_ms, base_ms * 8 / 10, base_ms * 12 / 10);
        stable_wait(&s, left_ms - 1);
        assert_int_equal(stable_count(&s, WORKER_STARTING), 0);
        stable_wait(&s, 1);
        assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
        base_ms = base_ms * 2 < 30000 ? base_ms * 2 : 30000;
    }
    stable_close(&s);
}

static void a_failing_handler_that_nobody_wants_is_left_alone(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    crash_again(&s, 2);
    wait_out_backoff(&s); /* tried once more, because an event was refused */
    stable_end(&s, stable_first(&s, WORKER_STARTING), EXIT_STATUS(1));
    stable_wait(&s, 600000);
    assert_int_equal(s.processes, 0);
    struct ride *r = stable_submit(&s); /* let in, to try it, */
    for (int i = 0; i < 5; i++) stable_submit(&s);
    stable_turn(&s);
    stable_wait(&s, 50); /* but with one process only */
    assert_int_equal(r->ends, 0);
    assert_int_equal(s.processes, 1);
    struct ride *meanwhile = stable_ride(&s);
    assert_int_equal(meanwhile->failure, FAILURE_UNAVAILABLE);
    stable_ready(&s, 1);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    assert_int_equal(stable_ride(&s)->ends, 0);
    stable_close(&s);
}

static void a_loop_tries_one_at_a_time(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 3;
    stable_build(&s);
    for (size_t i = 0; i < 3; i++) stable_end(&s, s.workers[i], EXIT_STATUS(1));
    assert_int_equal(pool_failures(s.pool), 1); /* they fell together */
    stable_wait(&s, 120);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 3);
    for (size_t i = 3; i < 6; i++) stable_end(&s, s.workers[i], EXIT_STATUS(1));
    assert_int_equal(pool_failures(s.pool), 2);
    stable_wait(&s, 240);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
    stable_ready(&s, 1);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 2); /* it works again: all of them */
    stable_close(&s);
}

static void with_healthy_ones_left_nothing_is_refused(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 2;
    stable_build(&s);
    worker_offer(s.workers[0], 1);
    stable_turn(&s);
    for (unsigned i = 0; i < 5; i++) {
        stable_end(&s, stable_first(&s, WORKER_STARTING), EXIT_STATUS(1));
        assert_int_equal(pool_failures(s.pool), i + 1);
        struct ride *r = stable_ride(&s);
        assert_int_equal(r->inv->state, INVOCATION_RUNNING);
        stable_answer(&s, s.workers[0]);
        stable_ask(&s, s.workers[0], 1);
        stable_wait(&s, (120U << i) + 1);
    }
    stable_close(&s);
}

static void leaving_quietly_after_health_is_no_failure(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    stable_build(&s);
    stable_ready(&s, 1);
    stable_wait(&s, 10000);
    stable_end(&s, s.workers[0], 0);
    assert_int_equal(pool_failures(s.pool), 0);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1); /* replaced at once */
    stable_ready(&s, 1);
    stable_wait(&s, 9999);
    stable_end(&s, s.workers[1], 0);
    assert_int_equal(pool_failures(s.pool), 1); /* too early */
    stable_close(&s);
}

static void who_did_its_work_before_it_fell_is_no_loop(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    stable_build(&s);
    for (int i = 0; i < 4; i++) { /* one good request, then one that kills */
        struct worker *w = stable_busy_one(&s);
        stable_answer(&s, w);
        stable_ask(&s, w, 1);
        stable_ride(&s);
        stable_end(&s, w, SIGSEGV);
        assert_int_equal(stable_last(&s)->failure, FAILURE_HANDLER_DIED);
        assert_int_equal(pool_failures(s.pool), 1);
        wait_out_backoff(&s);
    }
    stable_close(&s);
}

static void what_cannot_be_started_is_a_failure(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.spawn_fails = true;
    stable_build(&s);
    struct ride *first = stable_ride(&s);
    assert_int_equal(pool_counters(s.pool)->spawn_failures, 1);
    assert_int_equal(first->ends, 0);
    stable_wait(&s, 121);
    assert_int_equal(first->failure, FAILURE_UNAVAILABLE);
    assert_string_equal(first->detail, "horse keeps failing: it cannot be started; next try in 1 s");
    assert_true(stable_logged(&s, "/secret/path")); /* for the operator only */
    assert_int_equal(s.opened, 0);
    s.spawn_fails = false;
    s.open_fails = true;
    stable_ride(&s);
    stable_wait(&s, 1000);
    assert_int_equal(pool_failures(s.pool), 3);
    assert_true(stable_logged(&s, "no endpoint"));
    stable_close(&s);
}

static void an_init_error_is_reported(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    stable_build(&s);
    for (int i = 0; i < 2; i++) {
        stable_ride(&s);
        struct worker *w = stable_first(&s, WORKER_STARTING);
        worker_init_error(w, SLICE("Runtime.Import"), SLICE("no module\nnamed x"));
        stable_turn(&s);
        assert_slice(w->last_type, "Runtime.Import");
        assert_string_equal(w->note, "Runtime.Import: no module\\x0anamed x");
        assert_int_equal(w->process->last_signal, SIGTERM);
        stable_end(&s, w, EXIT_STATUS(1));
        stable_wait(&s, 121);
    }
    assert_int_equal(pool_failures(s.pool), 2);
    assert_string_equal(stable_last(&s)->detail, "horse keeps failing: init error Runtime.Import; next try in 1 s");
    stable_close(&s);
}

static void a_broken_protocol_ends_it(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    worker_fail(w, "it closed its port");
    stable_turn(&s);
    assert_int_equal(stable_last(&s)->failure, FAILURE_HANDLER_DIED);
    assert_string_equal(stable_last(&s)->detail, "it closed its port");
    assert_int_equal(w->process->last_signal, SIGTERM);
    assert_int_equal(pool_failures(s.pool), 1);
    stable_end(&s, w, SIGTERM);
    assert_int_equal(stable_count(&s, WORKER_BACKOFF), 1);
    stable_close(&s);
}

static void the_end_waits_for_output_and_transport(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    struct ride *r = stable_last(&s);
    s.exited_later = true;
    w->process->exited = true;
    worker_output_closed(w); /* closing it does not end anything yet */
    stable_turn(&s);
    assert_int_equal(w->state, WORKER_BUSY);
    worker_exited(w, 0);
    stable_turn(&s);
    assert_int_equal(r->ends, 0); /* the transport may still find the answer */
    stable_answer(&s, w);
    assert_int_equal(r->status, 200);
    worker_finished(w);
    worker_finished(w);
    stable_turn(&s);
    assert_int_equal(s.opened, 0);
    assert_int_equal(s.processes, 0);
    s.exited_later = false;
    stable_wait(&s, 121);
    w = stable_busy_one(&s);
    r = stable_last(&s);
    w->process->exited = true;
    worker_exited(w, EXIT_STATUS(1));
    stable_turn(&s);
    assert_int_equal(r->failure, FAILURE_HANDLER_DIED); /* told at once */
    assert_int_equal(s.processes, 1);
    worker_output_closed(w);
    stable_turn(&s);
    assert_int_equal(s.processes, 0);
    stable_close(&s);
}

static void a_process_per_event_starts_when_it_comes(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.deferred = true;
    s.handler.processes.max = 3;
    stable_build(&s);
    for (int i = 0; i < 5; i++) stable_submit(&s);
    stable_turn(&s);
    assert_int_equal(s.processes, 3); /* no patience: nobody else will take them */
    assert_int_equal(pool_queued(s.pool), 2);
    struct worker *w = stable_first(&s, WORKER_BUSY);
    stable_answer(&s, w);
    stable_end(&s, w, 0);
    assert_int_equal(s.processes, 3);
    assert_int_equal(pool_queued(s.pool), 1);
    for (int i = 0; i < 4; i++) { /* these end as they like */
        w = stable_first(&s, WORKER_BUSY);
        stable_end(&s, w, EXIT_STATUS(i));
    }
    assert_int_equal(pool_failures(s.pool), 0);
    assert_int_equal(s.processes, 0);
    assert_int_equal(stable_last(&s)->failure, FAILURE_HANDLER_DIED);
    stable_ride(&s);
    assert_int_equal(s.processes, 1);
    stable_close(&s);
}

static void a_deferred_launch_that_fails_is_unavailable(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.deferred = s.spawn_fails = true;
    s.handler.processes.min = 2;
    stable_build(&s);
    assert_int_equal(stable_count(&s, WORKER_IDLE), 2); /* costs nothing yet */
    assert_int_equal(s.processes, 0);
    struct ride *r = stable_ride(&s);
    assert_int_equal(r->failure, FAILURE_UNAVAILABLE);
    assert_int_equal(r->retry_after_s, 1);
    assert_string_equal(r->detail, "it cannot be started");
    assert_int_equal(stable_ride(&s)->failure, FAILURE_UNAVAILABLE);
    stable_wait(&s, 1000);
    stable_ride(&s);
    stable_wait(&s, 1000);
    assert_in_range(pool_failures(s.pool), 2, 3);
    s.spawn_fails = false;
    r = stable_ride(&s);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    assert_int_equal(pool_failures(s.pool), 0);
    stable_close(&s);
}

static void a_status_tells_every_pool_and_worker(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    stable_busy_one(&s);
    stable_ride(&s);
    status_log(&s.pool, 1);
    assert_true(stable_logged(&s, "pool status"));
    assert_true(stable_logged(&s, "queued=1"));
    assert_true(stable_logged(&s, "worker status"));
    assert_true(stable_logged(&s, "state=busy"));
    stable_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_told_and_replaced),
        cmocka_unit_test(a_signal_has_a_name),
        cmocka_unit_test(a_crash_loop_refuses_with_the_reason),
        cmocka_unit_test(back_off_doubles_up_to_thirty_seconds),
        cmocka_unit_test(a_failing_handler_that_nobody_wants_is_left_alone),
        cmocka_unit_test(a_loop_tries_one_at_a_time),
        cmocka_unit_test(with_healthy_ones_left_nothing_is_refused),
        cmocka_unit_test(leaving_quietly_after_health_is_no_failure),
        cmocka_unit_test(who_did_its_work_before_it_fell_is_no_loop),
        cmocka_unit_test(what_cannot_be_started_is_a_failure),
        cmocka_unit_test(an_init_error_is_reported),
        cmocka_unit_test(a_broken_protocol_ends_it),
        cmocka_unit_test(the_end_waits_for_output_and_transport),
        cmocka_unit_test(a_process_per_event_starts_when_it_comes),
        cmocka_unit_test(a_deferred_launch_that_fails_is_unavailable),
        cmocka_unit_test(a_status_tells_every_pool_and_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
