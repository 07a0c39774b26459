/* Pools whose processes somebody else starts. */
#include "gateway/pool/attach.h"
#include "gateway/pool/pool_state.h"
#include "tests/support/stable.h"

struct bench {
    struct stable stable;
    struct attacher *attacher;
    unsigned waits;
    char environment[64];
};

static void on_wait(void *context, const struct worker *w, const struct launch *launch) {
    struct bench *b = context;
    char **environment = launch_environment(launch);
    assert_ptr_equal(w->handler, &b->stable.handler);
    assert_int_equal(w->pid, 0);
    for (size_t i = 0; environment[i]; i++)
        if (strncmp(environment[i], "COLOUR=", 7) == 0) strcpy(b->environment, environment[i]);
    free(environment);
    b->waits++;
}

static void bench_open(struct bench *b) {
    static struct environment_variable colour = {"COLOUR", "blue", false};
    struct stable *s = &b->stable;
    *b = (struct bench){.waits = 0};
    stable_open(s);
    s->handler.attach = true;
    s->handler.environment = &colour;
    s->handler.environment_count = 1;
    s->handler.processes.min = 0;
    s->handler.processes.max = 1;
    stable_build(s);
    b->attacher = attacher_new(&s->turn, on_wait, b);
    s->pool->host.launcher = attacher_launcher(b->attacher);
}

static void bench_close(struct bench *b) {
    stable_close(&b->stable);
    attacher_free(b->attacher);
}

static struct worker *bench_waiting(struct bench *b) {
    pool_start_at_least(b->stable.pool, 1);
    stable_turn(&b->stable);
    assert_int_equal(stable_count(&b->stable, WORKER_STARTING), 1);
    return stable_first(&b->stable, WORKER_STARTING);
}

static void it_waits_and_tells_with_what_environment(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    bench_waiting(&b);
    assert_int_equal(b.waits, 1);
    assert_string_equal(b.environment, "COLOUR=blue");
    assert_int_equal(b.stable.processes, 0);
    bench_close(&b);
}

static void who_asks_is_given_events_and_may_be_silent(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    struct worker *w = bench_waiting(&b);
    struct ride *r = stable_ride(&b.stable);
    assert_int_equal(r->inv->state, INVOCATION_QUEUED);
    worker_offer(w, 1);
    stable_turn(&b.stable);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    invocation_complete(r->inv, (struct outcome){.status = 200});
    stable_wait(&b.stable, 10 * b.stable.handler.timeout_ms);
    assert_int_equal(stable_count(&b.stable, WORKER_BUSY), 1); /* for whoever asks next */
    assert_int_equal(b.waits, 1);
    bench_close(&b);
}

static void neither_a_timeout_nor_an_init_error_takes_the_place_away(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    struct worker *w = bench_waiting(&b);
    worker_init_error(w, SLICE("Runtime.NoConfig"), SLICE("where is it?"));
    stable_turn(&b.stable);
    assert_true(stable_logged(&b.stable, "Runtime.NoConfig: where is it?"));
    assert_int_equal(w->state, WORKER_STARTING);
    struct ride *r = stable_ride(&b.stable);
    worker_offer(w, 1);
    stable_turn(&b.stable);
    stable_wait(&b.stable, b.stable.handler.timeout_ms);
    assert_int_equal(r->failure, FAILURE_HANDLER_TIMEOUT);
    assert_int_equal(stable_count(&b.stable, WORKER_BUSY), 1);
    worker_offer(w, 1);
    stable_turn(&b.stable);
    assert_int_equal(stable_count(&b.stable, WORKER_IDLE), 1);
    assert_int_equal(b.waits, 1);
    assert_int_equal(pool_failures(b.stable.pool), 0);
    bench_close(&b);
}

static void told_to_end_it_ends_after_its_event(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    struct worker *w = bench_waiting(&b);
    struct ride *r = stable_ride(&b.stable);
    worker_offer(w, 1);
    stable_turn(&b.stable);
    pool_drain(b.stable.pool);
    stable_turn(&b.stable);
    assert_int_equal(r->inv->state, INVOCATION_RUNNING);
    invocation_complete(r->inv, (struct outcome){.status = 200});
    stable_turn(&b.stable);
    assert_true(pool_is_empty(b.stable.pool));
    bench_close(&b);
}

static void a_pool_starts_as_many_as_are_asked_for_and_lets_them_go(void **state) {
    (void)state;
    struct stable s;
    stable_open(&s);
    s.handler.processes.min = 1;
    s.handler.processes.max = 3;
    stable_build(&s);
    pool_start_at_least(s.pool, 0);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 1);
    pool_start_at_least(s.pool, 2);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 2);
    pool_start_at_least(s.pool, 9);
    assert_int_equal(stable_count(&s, WORKER_STARTING), 3);
    assert_string_equal(pool_failure_reason(s.pool), "");
    stable_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_and_tells_with_what_environment),
        cmocka_unit_test(who_asks_is_given_events_and_may_be_silent),
        cmocka_unit_test(neither_a_timeout_nor_an_init_error_takes_the_place_away),
        cmocka_unit_test(told_to_end_it_ends_after_its_event),
        cmocka_unit_test(a_pool_starts_as_many_as_are_asked_for_and_lets_them_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
