/* The whole worker table, row by row, against a second spelling of it. */
#include "gateway/pool/worker.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define STAY "-"

/* Columns: STARTING IDLE BUSY STOPPING BACKOFF GONE. A state's name, then a letter per action in the order of the enum:
 * d dispatch, t terminate, k kill, c count failure, h count healthy, f fail running, o obituary, F free. */
static const char *const expected[WORKER_EVENTS][WORKER_STATES] = {
    [WORKER_SPAWN_FAILED] = {"stopping c", "stopping c", "stopping cf", "stopping f", STAY, STAY},
    [WORKER_READY] = {"idle dh", "idle d", "idle d", STAY, STAY, STAY},
    [WORKER_TAKES] = {STAY, "busy ", STAY, STAY, STAY, STAY},
    [WORKER_FAULT] = {"stopping dtcf", "stopping dtcf", "stopping dtcf", "stopping tf", STAY, STAY},
    [WORKER_TIMEOUT] = {"stopping dtc", "stopping dt", "stopping dt", "stopping t", STAY, STAY},
    [WORKER_EXIT] = {"stopping cf", "stopping cf", "stopping cf", "stopping f", STAY, STAY},
    [WORKER_ENDED] = {STAY, STAY, STAY, "gone doF", STAY, STAY},
    [WORKER_ENDED_BADLY] = {STAY, STAY, STAY, "backoff do", STAY, STAY},
    [WORKER_STOP] = {"stopping dt", "stopping dt", "stopping dt", "stopping t", "gone F", STAY},
    [WORKER_TICK] = {STAY, STAY, STAY, "stopping k", "gone dF", STAY},
};

static void transition_spell(struct worker_transition t, enum worker_state from, char *text, size_t size) {
    static const char letters[] = "dtkchfoF";
    if (t.next == from && t.actions == WORKER_ACT_NONE) {
        snprintf(text, size, STAY);
        return;
    }
    int n = snprintf(text, size, "%s ", worker_state_name(t.next));
    for (unsigned bit = 0; letters[bit]; bit++)
        if (t.actions & 1U << bit) n += snprintf(text + n, size - (size_t)n, "%c", letters[bit]);
}

static void every_cell_is_as_written(void **state) {
    (void)state;
    char text[64];
    for (int e = 0; e < WORKER_EVENTS; e++) {
        for (int s = 0; s < WORKER_STATES; s++) {
            transition_spell(worker_step((enum worker_state)s, (enum worker_event)e), (enum worker_state)s, text,
                             sizeof text);
            print_message("%-12s %-9s %s\n", worker_event_name((enum worker_event)e),
                          worker_state_name((enum worker_state)s), text);
            assert_non_null(expected[e][s]);
            assert_string_equal(text, expected[e][s]);
        }
    }
}

static void nothing_leads_back_to_life(void **state) {
    (void)state;
    for (int s = WORKER_STOPPING; s < WORKER_STATES; s++)
        for (int e = 0; e < WORKER_EVENTS; e++)
            assert_in_range(worker_step((enum worker_state)s, (enum worker_event)e).next, s, WORKER_GONE);
    for (int s = WORKER_IDLE; s < WORKER_STATES; s++)
        for (int e = 0; e < WORKER_EVENTS; e++)
            assert_int_not_equal(worker_step((enum worker_state)s, (enum worker_event)e).next, WORKER_STARTING);
}

static void whoever_goes_is_freed_once(void **state) {
    (void)state;
    for (int s = 0; s < WORKER_STATES; s++) {
        for (int e = 0; e < WORKER_EVENTS; e++) {
            struct worker_transition t = worker_step((enum worker_state)s, (enum worker_event)e);
            bool goes = t.next == WORKER_GONE && s != WORKER_GONE;
            assert_int_equal((t.actions & WORKER_ACT_FREE) != 0, goes);
        }
    }
}

static void every_name_is_there(void **state) {
    (void)state;
    for (int s = 0; s < WORKER_STATES; s++) assert_true(worker_state_name((enum worker_state)s)[0]);
    for (int e = 0; e < WORKER_EVENTS; e++) assert_true(worker_event_name((enum worker_event)e)[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_as_written),
        cmocka_unit_test(nothing_leads_back_to_life),
        cmocka_unit_test(whoever_goes_is_freed_once),
        cmocka_unit_test(every_name_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
