#include "gateway/base/deadline.h"
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

#define TIMERS 200

struct timer {
    struct deadline deadline;
    struct deadlines *all;
    size_t ran;
    uint64_t rearm_at_ms; /* 0: not */
    struct timer *victim; /* disarmed by the callback */
};
static uint64_t last_ms;

static void on_due(struct deadline *d) {
    struct timer *t = container_of(d, struct timer, deadline);
    assert_false(deadline_armed(d));
    assert_true(d->at_ms >= last_ms);
    last_ms = d->at_ms;
    t->ran++;
    if (t->rearm_at_ms) deadline_arm(t->all, d, t->rearm_at_ms);
    if (t->victim) deadline_disarm(t->all, &t->victim->deadline);
}

static void check_heap(const struct deadlines *ds) {
    for (size_t i = 0; i < ds->count; i++) {
        assert_int_equal(ds->heap[i]->position, i + 1);
        if (i) assert_true(ds->heap[(i - 1) / 2]->at_ms <= ds->heap[i]->at_ms);
    }
}

static void nothing_armed(void **state) {
    (void)state;
    struct deadlines ds;
    struct deadline d = {.on_due = on_due};
    deadlines_init(&ds);
    assert_true(deadlines_next_ms(&ds) == DEADLINE_NEVER);
    assert_int_equal(deadlines_run(&ds, UINT64_MAX), 0);
    deadline_disarm(&ds, &d);
    deadlines_free(&ds);
    deadlines_free(&ds);
}

static uint64_t earliest_of(const struct timer *timers) {
    uint64_t earliest = DEADLINE_NEVER;
    for (size_t i = 0; i < TIMERS; i++)
        if (deadline_armed(&timers[i].deadline) && timers[i].deadline.at_ms < earliest)
            earliest = timers[i].deadline.at_ms;
    return earliest;
}

/* The naive model: look at every timer. */
static void random_operations_match_a_model(void **state) {
    (void)state;
    static struct timer timers[TIMERS];
    struct deadlines ds;
    uint32_t x = 7;
    uint64_t now_ms = 0;
    deadlines_init(&ds);
    for (size_t i = 0; i < TIMERS; i++) timers[i] = (struct timer){.deadline = {.on_due = on_due}, .all = &ds};
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        struct timer *t = &timers[(x >> 8) % TIMERS];
        if (x >> 30 == 0)
            deadline_disarm(&ds, &t->deadline);
        else
            deadline_arm(&ds, &t->deadline, now_ms + 1 + (x >> 16) % 500);
        if (i % 16 == 0) {
            size_t due = 0;
            now_ms += 40;
            for (size_t k = 0; k < TIMERS; k++)
                due += deadline_armed(&timers[k].deadline) && timers[k].deadline.at_ms <= now_ms;
            last_ms = 0;
            assert_int_equal(deadlines_run(&ds, now_ms), due);
        }
        check_heap(&ds);
        assert_true(deadlines_next_ms(&ds) == earliest_of(timers));
    }
    deadlines_free(&ds);
    for (size_t i = 0; i < TIMERS; i++) assert_false(deadline_armed(&timers[i].deadline));
}

static void arming_again_moves(void **state) {
    (void)state;
    struct deadlines ds;
    struct timer a = {.deadline = {.on_due = on_due}}, b = {.deadline = {.on_due = on_due}};
    deadlines_init(&ds);
    deadline_arm(&ds, &a.deadline, 100);
    deadline_arm(&ds, &b.deadline, 200);
    deadline_arm(&ds, &a.deadline, 300);
    assert_int_equal(ds.count, 2);
    assert_int_equal(deadlines_next_ms(&ds), 200);
    last_ms = 0;
    assert_int_equal(deadlines_run(&ds, 299), 1);
    assert_int_equal(b.ran, 1);
    assert_int_equal(a.ran, 0);
    assert_int_equal(deadlines_run(&ds, 300), 1);
    deadlines_free(&ds);
}

static void callbacks_arm_and_disarm(void **state) {
    (void)state;
    struct deadlines ds;
    deadlines_init(&ds);
    struct timer victim = {.deadline = {.on_due = on_due}, .all = &ds};
    struct timer killer = {.deadline = {.on_due = on_due}, .all = &ds, .victim = &victim};
    struct timer again = {.deadline = {.on_due = on_due}, .all = &ds, .rearm_at_ms = 50};
    deadline_arm(&ds, &killer.deadline, 10);
    deadline_arm(&ds, &victim.deadline, 11);
    deadline_arm(&ds, &again.deadline, 12);
    last_ms = 0;
    assert_int_equal(deadlines_run(&ds, 20), 2);
    assert_int_equal(victim.ran, 0);
    assert_int_equal(again.ran, 1);
    assert_int_equal(deadlines_next_ms(&ds), 50);
    deadlines_free(&ds);
}

static void arming_for_the_past_does_not_hold_the_loop(void **state) {
    (void)state;
    struct deadlines ds;
    deadlines_init(&ds);
    struct timer t = {.deadline = {.on_due = on_due}, .all = &ds, .rearm_at_ms = 5};
    deadline_arm(&ds, &t.deadline, 5);
    last_ms = 0;
    assert_int_equal(deadlines_run(&ds, 100), 1);
    assert_int_equal(deadlines_next_ms(&ds), 5);
    deadlines_free(&ds);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_armed),
        cmocka_unit_test(random_operations_match_a_model),
        cmocka_unit_test(arming_again_moves),
        cmocka_unit_test(callbacks_arm_and_disarm),
        cmocka_unit_test(arming_for_the_past_does_not_hold_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
