#include "gateway/base/turn.h"
#include "tests/unit/unit.h"

/* A task that writes its letter down and may add or remove another task. */
struct step {
    struct turn_task task;
    char letter;
    struct step *adds;
    struct step *removes;
    int times; /* how often it adds */
};
static struct turn turn;
static char trace[64];

static void run_step(struct turn_task *task) {
    struct step *s = container_of(task, struct step, task);
    size_t n = strlen(trace);
    assert_null(task->node.list);
    assert_true(n + 1 < sizeof trace);
    trace[n] = s->letter;
    if (s->adds && s->times-- > 0) turn_add(&turn, &s->adds->task);
    if (s->removes) turn_remove(&s->removes->task);
}

static struct step step_of(enum turn_phase phase, char letter) {
    return (struct step){.task = {.phase = phase, .run = run_step}, .letter = letter};
}

static int set_up(void **state) {
    (void)state;
    memset(trace, 0, sizeof trace);
    turn_init(&turn);
    return 0;
}

static void phases_run_in_order(void **state) {
    (void)state;
    struct step last = step_of(TURN_LAST, 'l'), dispatch = step_of(TURN_DISPATCH, 'd');
    struct step local = step_of(TURN_LOCAL, 'h'), one = step_of(TURN_PUBLIC, 'a'), two = step_of(TURN_PUBLIC, 'b');
    turn_add(&turn, &last.task);
    turn_add(&turn, &dispatch.task);
    turn_add(&turn, &local.task);
    turn_add(&turn, &one.task);
    turn_add(&turn, &two.task);
    turn_add(&turn, &one.task);
    assert_false(turn_run(&turn, 100));
    assert_string_equal(trace, "abhdl");
    assert_false(turn_run(&turn, 100));
    assert_string_equal(trace, "abhdl");
}

/* What wakes an earlier phase is followed by that phase, before the later ones. */
static void an_earlier_phase_comes_first(void **state) {
    (void)state;
    struct step public = step_of(TURN_PUBLIC, 'p'), dispatch = step_of(TURN_DISPATCH, 'd');
    struct step last = step_of(TURN_LAST, 'l'), local = step_of(TURN_LOCAL, 'h');
    local.adds = &public;
    local.times = 1;
    public.adds = &dispatch;
    public.times = 1;
    turn_add(&turn, &local.task);
    turn_add(&turn, &last.task);
    assert_false(turn_run(&turn, 100));
    assert_string_equal(trace, "hpdl");
}

/* A phase runs what is on it when it starts; what is added to it meanwhile is another round. */
static void rounds_are_bounded(void **state) {
    (void)state;
    struct step busy = step_of(TURN_PUBLIC, 'x'), later = step_of(TURN_LAST, 'l');
    busy.adds = &busy;
    busy.times = 1000;
    turn_add(&turn, &busy.task);
    turn_add(&turn, &later.task);
    assert_true(turn_run(&turn, 5));
    assert_string_equal(trace, "xxxxx");
    busy.times = 0;
    assert_false(turn_run(&turn, 5));
    assert_string_equal(trace, "xxxxxxl");
    turn_add(&turn, &later.task);
    assert_true(turn_run(&turn, 0));
    turn_remove(&later.task);
}

static void removed_tasks_do_not_run(void **state) {
    (void)state;
    struct step killer = step_of(TURN_PUBLIC, 'k'), victim = step_of(TURN_PUBLIC, 'v'),
                other = step_of(TURN_PUBLIC, 'o');
    killer.removes = &victim;
    turn_add(&turn, &killer.task);
    turn_add(&turn, &victim.task);
    turn_add(&turn, &other.task);
    turn_remove(&other.task);
    turn_remove(&other.task);
    assert_false(turn_run(&turn, 10));
    assert_string_equal(trace, "k");
    turn_add(&turn, &victim.task);
    assert_false(turn_run(&turn, 10));
    assert_string_equal(trace, "kv");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(phases_run_in_order, set_up),
        cmocka_unit_test_setup(an_earlier_phase_comes_first, set_up),
        cmocka_unit_test_setup(rounds_are_bounded, set_up),
        cmocka_unit_test_setup(removed_tasks_do_not_run, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
