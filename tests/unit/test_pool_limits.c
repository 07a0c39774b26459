/* Timeouts, silence, streams, memory: processes that take too much. */
#include "tests/support/stable.h"

static void a_timeout_climbs_the_ladder(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.max = 1;
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stable_wait(&s, 29999);
    assert_int_equal(stable_last(&s)->ends, 0);
    stable_wait(&s, 1);
    assert_int_equal(stable_last(&s)->failure, FAILURE_HANDLER_TIMEOUT);
    assert_int_equal(stable_last(&s)->status, 504);
    assert_int_equal(w->state, WORKER_STOPPING);
    assert_int_equal(fake_of(w)->why, STOP_TIMEOUT);
    assert_int_equal(w->process->last_signal, SIGTERM);
    stable_ask(&s, w, 1); /* what it says now is not heard */
    stable_ride(&s);
    assert_int_equal(w->running.length, 0);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1); /* its replacement, at once */
    stable_wait(&s, 4999);
    assert_int_equal(w->process->last_signal, SIGTERM);
    stable_wait(&s, 1);
    assert_int_equal(w->process->last_signal, SIGKILL);
    stable_end(&s, w, SIGKILL);
    assert_int_equal(pool_counters(s.pool)->timeouts, 1);
    assert_int_equal(pool_counters(s.pool)->kills, 1);
    assert_int_equal(pool_failures(s.pool), 0);
    assert_true(stable_logged(&s, "handler killed"));
    stable_close(&s);
}

static void one_timeout_does_not_take_the_others_along(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 1;
    s.handler.processes.concurrency = 4;
    stable_build(&s);
    stable_ready(&s, 4);
    struct worker *w = s.workers[0];
    struct ride *late = stable_ride(&s);
    stable_wait(&s, 20000);
    struct ride *other = stable_ride(&s);
    struct ride *slow = stable_ride(&s);
    stable_wait(&s, 10000);
    assert_int_equal(late->failure, FAILURE_HANDLER_TIMEOUT);
    assert_int_equal(w->state, WORKER_STOPPING);
    assert_int_equal(w->process->last_signal, 0); /* drains first */
    assert_true(fake_of(w)->told_stopping);
    stable_answer(&s, w);
    assert_int_equal(other->status, 200);
    assert_int_equal(w->process->last_signal, 0);
    stable_wait(&s, 20000);
    assert_int_equal(slow->failure, FAILURE_HANDLER_TIMEOUT);
    assert_int_equal(w->process->last_signal, SIGTERM);
    stable_close(&s);
}

static void silence_after_the_answer_is_a_timeout(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stable_answer(&s, w);
    stable_wait(&s, 20000);
    stable_ask(&s, w, 1); /* late, but it spoke */
    stable_wait(&s, 20000);
    assert_int_equal(w->state, WORKER_IDLE);
    stable_ride(&s);
    stable_answer(&s, w);
    stable_wait(&s, 29999);
    assert_int_equal(w->state, WORKER_BUSY);
    stable_wait(&s, 1);
    assert_int_equal(w->state, WORKER_STOPPING);
    assert_int_equal(w->process->last_signal, SIGTERM);
    assert_non_null(strstr(w->note, "did not ask for the next event"));
    stable_close(&s);
}

static void an_idle_one_that_takes_its_request_back_is_not_forgotten(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    stable_build(&s);
    stable_ready(&s, 1);
    struct worker *w = s.workers[0];
    stable_ask(&s, w, 0); /* its connection broke */
    struct ride *r = stable_ride(&s);
    assert_int_equal(w->running.length, 0);
    stable_ask(&s, w, 1);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    stable_answer(&s, w);
    stable_ask(&s, w, 1);
    stable_ask(&s, w, 0);
    stable_wait(&s, 30000);
    assert_int_equal(w->state, WORKER_STOPPING);
    stable_close(&s);
}

static void a_start_has_a_limit(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    stable_build(&s);
    struct worker *w = s.workers[0];
    stable_wait(&s, 9999);
    assert_int_equal(w->state, WORKER_STARTING);
    stable_wait(&s, 1);
    assert_int_equal(w->process->last_signal, SIGTERM);
    assert_string_equal(w->note, "it did not ask for an event within startTimeout (10s)");
    assert_int_equal(pool_failures(s.pool), 1);
    stable_wait(&s, 5000);
    assert_int_equal(w->process->last_signal, SIGKILL);
    stable_close(&s);
}

static struct answer_stream *stream_begin(struct worker *w) {
    struct answer_stream *stream = xcalloc(1, sizeof *stream);
    struct invocation *inv = list_entry(list_first(&w->running), struct invocation, node);
    worker_stream_begin(w, stream, inv);
    return stream;
}

static void a_stream_keeps_its_place(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 1;
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stable_wait(&s, 10000);
    struct answer_stream *stream = stream_begin(w);
    assert_memory_equal(stream->id, stable_last(&s)->inv->id, UUID_TEXT_SIZE);
    stable_answer(&s, w);
    stable_ask(&s, w, 1);
    stable_ride(&s);
    assert_int_equal(pool_queued(s.pool), 1); /* it is not free yet */
    worker_stream_end(w, stream);
    worker_stream_end(w, stream);
    free(stream);
    stable_turn(&s);
    assert_int_equal(pool_queued(s.pool), 0);
    stable_close(&s);
}

static void a_stream_has_what_is_left_of_the_time(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stable_wait(&s, 10000);
    stream_begin(w);
    stable_answer(&s, w);
    stable_wait(&s, 19999);
    assert_int_equal(s.aborted, 0);
    stable_wait(&s, 1);
    assert_int_equal(s.aborted, 1);
    assert_int_equal(w->process->last_signal, SIGTERM);
    stable_close(&s);
}

static void a_death_breaks_the_streams(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    stable_build(&s);
    struct worker *w = stable_busy_one(&s);
    stream_begin(w);
    stable_answer(&s, w);
    stable_end(&s, w, SIGSEGV);
    assert_int_equal(s.aborted, 1);
    assert_int_equal(pool_failures(s.pool), 1);
    stable_close(&s);
}

static void too_much_memory(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = s.handler.processes.max = 2;
    s.handler.processes.max_memory = 64 << 20;
    stable_build(&s);
    stable_ready(&s, 1);
    struct worker *fat = s.workers[0], *huge = s.workers[1];
    fat->process->memory = (64 << 20) - 1;
    stable_wait(&s, 5000);
    assert_int_equal(stable_count(&s, WORKER_IDLE), 2);
    fat->process->memory = 65 << 20;
    stable_wait(&s, 1000);
    assert_int_equal(fat->process->last_signal, SIGTERM);
    assert_int_equal(fake_of(fat)->why, STOP_RECYCLE);
    struct ride *r = stable_ride(&s);
    assert_ptr_equal(r->inv->worker, huge);
    huge->process->memory = 200 << 20;
    stable_wait(&s, 1000);
    assert_int_equal(huge->process->last_signal, SIGKILL);
    assert_int_equal(huge->process->signals[SIGKILL], 1);
    stable_end(&s, huge, SIGKILL);
    assert_int_equal(r->failure, FAILURE_HANDLER_DIED);
    assert_non_null(strstr(r->detail, "twice its memory limit (64MiB)"));
    assert_true(stable_logged(&s, "handler over its memory limit, recycled"));
    assert_true(stable_logged(&s, "handler over twice its memory limit, killed"));
    stable_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_climbs_the_ladder),
        cmocka_unit_test(one_timeout_does_not_take_the_others_along),
        cmocka_unit_test(silence_after_the_answer_is_a_timeout),
        cmocka_unit_test(an_idle_one_that_takes_its_request_back_is_not_forgotten),
        cmocka_unit_test(a_start_has_a_limit),
        cmocka_unit_test(a_stream_keeps_its_place),
        cmocka_unit_test(a_stream_has_what_is_left_of_the_time),
        cmocka_unit_test(a_death_breaks_the_streams),
        cmocka_unit_test(too_much_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
