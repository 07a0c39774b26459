/* With the system clock: what is waited for are conditions, bounded by WAIT_MS. */
#include "gateway/base/memory.h"
#include "gateway/loop/loop.h"
#include "tests/unit/unit.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 4000

struct fixture {
    struct clock *clock;
    struct loop *loop;
    struct turn_task task;
    struct deadline deadline;
    struct watch *watch;
    int fds[2];
    size_t runs, runs_wanted, dues, signals;
    unsigned events;
    uint64_t due_at_ms;
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error e;
    f->clock = clock_system_new();
    f->loop = loop_new(f->clock, &e);
    assert_non_null(f->loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    watch_close(f->watch);
    for (int i = 0; i < 2; i++)
        if (f->fds[i] >= 0) close(f->fds[i]);
    loop_free(f->loop);
    clock_system_free(f->clock);
    free(f);
    return 0;
}

static void on_task(struct turn_task *task) {
    struct fixture *f = container_of(task, struct fixture, task);
    if (++f->runs < f->runs_wanted) turn_add(loop_turn(f->loop), task);
}

static bool has_run(void *context) {
    struct fixture *f = context;
    return f->runs >= f->runs_wanted && f->runs > 0;
}

/* More rounds than one drain takes, and no descriptor or timer that would wake a sleeping loop. */
static void test_tasks_keep_the_loop_awake(void **state) {
    struct fixture *f = *state;
    f->task.run = on_task;
    f->runs_wanted = 10000;
    turn_add(loop_turn(f->loop), &f->task);
    assert_true(loop_run_until(f->loop, has_run, f, WAIT_MS));
    assert_int_equal(f->runs, 10000);
}

static void on_due(struct deadline *d) {
    struct fixture *f = container_of(d, struct fixture, deadline);
    f->dues++;
    f->due_at_ms = clock_now_ms(f->clock);
    turn_add(loop_turn(f->loop), &f->task);
}

static void test_deadline_wakes_the_loop_and_its_task_runs(void **state) {
    struct fixture *f = *state;
    f->task.run = on_task;
    f->deadline.on_due = on_due;
    uint64_t at = clock_now_ms(f->clock) + 30;
    deadline_arm(loop_deadlines(f->loop), &f->deadline, at + 100000);
    deadline_arm(loop_deadlines(f->loop), &f->deadline, at);
    assert_true(loop_run_until(f->loop, has_run, f, WAIT_MS));
    assert_int_equal(f->dues, 1);
    assert_true(f->due_at_ms >= at);
}

static void on_far(struct deadline *d) {
    container_of(d, struct fixture, deadline)->dues++;
}

/* A task that runs just before the loop would sleep. */
static void test_what_is_waited_for_is_seen_before_sleeping(void **state) {
    struct fixture *f = *state;
    f->task.run = on_task;
    f->runs_wanted = 1;
    f->deadline.on_due = on_far;
    deadline_arm(loop_deadlines(f->loop), &f->deadline, clock_now_ms(f->clock) + 20000);
    turn_add(loop_turn(f->loop), &f->task);
    assert_true(loop_run_until(f->loop, has_run, f, 60000));
    assert_int_equal(f->dues, 0);
}

static void on_event(void *context, unsigned events) {
    struct fixture *f = context;
    f->events |= events;
    watch_set(f->watch, 0);
    f->runs++;
}

static unsigned watch_once(struct fixture *f, unsigned events) {
    f->events = 0;
    f->runs = 0;
    watch_set(f->watch, events);
    assert_true(loop_run_until(f->loop, has_run, f, WAIT_MS));
    return f->events;
}

static bool never(void *context) {
    (void)context;
    return false;
}

static void test_watch(void **state) {
    struct fixture *f = *state;
    f->watch = watch_open(f->loop, f->fds[0], on_event, f);
    assert_non_null(f->watch);
    assert_int_equal(watch_once(f, WATCH_WRITE | WATCH_READ), WATCH_WRITE);
    assert_int_equal(write(f->fds[1], "x", 1), 1);
    assert_int_equal(watch_once(f, WATCH_READ), WATCH_READ);
    /* Level-triggered: the byte is still there; a pause keeps it quiet. */
    f->runs = 0;
    loop_run_until(f->loop, never, NULL, 30);
    assert_int_equal(f->runs, 0);
    assert_int_equal(watch_once(f, WATCH_READ), WATCH_READ);
    close(f->fds[1]);
    f->fds[1] = -1;
    assert_int_equal(watch_once(f, WATCH_GONE), WATCH_GONE);
}

static void on_event_close(void *context, unsigned events) {
    struct fixture *f = context;
    (void)events;
    watch_close(f->watch);
    f->watch = NULL;
    close(f->fds[0]);
    f->fds[0] = -1;
    f->runs++;
}

static void test_watch_closed_from_its_callback(void **state) {
    struct fixture *f = *state;
    f->watch = watch_open(f->loop, f->fds[0], on_event_close, f);
    watch_set(f->watch, WATCH_READ | WATCH_WRITE);
    assert_true(loop_run_until(f->loop, has_run, f, WAIT_MS));
    loop_run_until(f->loop, never, NULL, 30);
    assert_int_equal(f->runs, 1);
}

static void on_event_count(void *context, unsigned events) {
    struct fixture *f = context;
    f->events |= events;
    f->runs++;
}

static bool has_run_often(void *context) {
    return ((struct fixture *)context)->runs >= 3;
}

/* A pipe without a reader is in error for ever; the watch says so again and again, as for any other level. */
static void test_errors_are_levels_too(void **state) {
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    f->watch = watch_open(f->loop, ends[1], on_event_count, f);
    watch_set(f->watch, WATCH_WRITE);
    assert_true(loop_run_until(f->loop, has_run_often, f, WAIT_MS));
    assert_int_equal(f->events, WATCH_WRITE);
    watch_set(f->watch, 0);
    f->runs = 0;
    loop_run_until(f->loop, never, NULL, 30);
    assert_int_equal(f->runs, 0);
    watch_close(f->watch);
    f->watch = NULL;
    close(ends[1]);
}

static void test_regular_file_cannot_be_watched(void **state) {
    struct fixture *f = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_null(watch_open(f->loop, fileno(file), on_event, f));
    fclose(file);
}

static void on_signal(void *context, int signal_number) {
    struct fixture *f = context;
    assert_int_equal(signal_number, SIGUSR1);
    loop_stop(f->loop);
    f->signals++;
}

static void test_signal(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_int_equal(loop_on_signal(f->loop, SIGUSR1, on_signal, f, &e), 0);
    raise(SIGUSR1);
    loop_run(f->loop);
    assert_int_equal(f->signals, 1);
}

static void test_limit(void **state) {
    struct fixture *f = *state;
    assert_false(loop_run_until(f->loop, never, NULL, 20));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tasks_keep_the_loop_awake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline_wakes_the_loop_and_its_task_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_waited_for_is_seen_before_sleeping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_closed_from_its_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_are_levels_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_regular_file_cannot_be_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
