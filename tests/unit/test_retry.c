#include "gateway/base/memory.h"
#include "gateway/queue/retry.h"
#include "tests/unit/unit.h"

static uint64_t delay_of(struct retry_policy p, uint64_t attempt) {
    struct clock_fake clock;
    clock_fake_init(&clock);
    struct retry_decision d = retry_decide(&p, attempt, RETRY_AS_POLICY, 0, &clock.clock);
    assert_int_equal(d.verdict, RETRY_AGAIN);
    return d.delay_ms;
}

static void delays_grow_to_the_maximum(void **state) {
    (void)state;
    static const struct {
        struct retry_policy policy;
        uint64_t attempt, delay_ms;
    } rows[] = {
        {{1000, 2, 300000, RETRY_JITTER_NONE, 0}, 1, 1000},
        {{1000, 2, 300000, RETRY_JITTER_NONE, 0}, 2, 2000},
        {{1000, 2, 300000, RETRY_JITTER_NONE, 0}, 9, 256000},
        {{1000, 2, 300000, RETRY_JITTER_NONE, 0}, 10, 300000},
        {{1000, 2, 300000, RETRY_JITTER_NONE, 0}, UINT64_MAX, 300000},
        {{1000, 1.5, 300000, RETRY_JITTER_NONE, 0}, 3, 2250},
        {{1000, 1, 300000, RETRY_JITTER_NONE, 0}, 1000000, 1000},
        {{1000, 1.0000001, 300000, RETRY_JITTER_NONE, 0}, UINT64_MAX, 300000},
        {{0, 2, 300000, RETRY_JITTER_NONE, 0}, UINT64_MAX, 0},
        {{5000, 2, 300, RETRY_JITTER_NONE, 0}, 1, 300},
        {{1000, 2, UINT64_MAX, RETRY_JITTER_NONE, 0}, 1000, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(delay_of(rows[i].policy, rows[i].attempt), rows[i].delay_ms);
}

/* All of 0 to the ceiling, and nothing beyond it. */
static void full_jitter_spreads_evenly(void **state) {
    (void)state;
    const struct retry_policy p = {4, 2, 1000, RETRY_JITTER_FULL, 0};
    struct clock_fake clock;
    unsigned seen[9] = {0};
    clock_fake_init(&clock);
    for (int i = 0; i < 9000; i++) {
        uint64_t delay = retry_decide(&p, 2, RETRY_AS_POLICY, 0, &clock.clock).delay_ms;
        assert_true(delay <= 8);
        seen[delay]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) assert_in_range(seen[i], 800, 1200);
    assert_true(delay_of((struct retry_policy){1000, 2, UINT64_MAX, RETRY_JITTER_FULL, 0}, 1000) > 0);
}

static void attempts_are_used_up(void **state) {
    (void)state;
    struct clock_fake clock;
    clock_fake_init(&clock);
    const struct retry_policy p = RETRY_POLICY_DEFAULT;
    static const struct {
        uint64_t attempt;
        enum retry_wish wish;
        enum retry_verdict verdict;
    } rows[] = {
        {1, RETRY_AS_POLICY, RETRY_AGAIN},     {4, RETRY_AS_POLICY, RETRY_AGAIN}, {5, RETRY_AS_POLICY, RETRY_EXHAUSTED},
        {6, RETRY_AS_POLICY, RETRY_EXHAUSTED}, {1, RETRY_NEVER, RETRY_REFUSED},   {9, RETRY_NEVER, RETRY_REFUSED},
        {1, RETRY_AFTER, RETRY_AGAIN},         {5, RETRY_AFTER, RETRY_EXHAUSTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct retry_decision d = retry_decide(&p, rows[i].attempt, rows[i].wish, 123456, &clock.clock);
        assert_int_equal(d.verdict, rows[i].verdict);
        if (rows[i].wish == RETRY_AFTER && d.verdict == RETRY_AGAIN) assert_int_equal(d.delay_ms, 123456);
        if (d.verdict != RETRY_AGAIN) assert_int_equal(d.delay_ms, 0);
    }
    const struct retry_policy forever = {.base_ms = 1, .factor = 2, .max_ms = 10};
    assert_int_equal(retry_decide(&forever, 1000000, RETRY_AS_POLICY, 0, &clock.clock).verdict, RETRY_AGAIN);
    assert_false(retry_is_spent(&forever, 1000000));
    assert_false(retry_is_spent(&p, 5));
    assert_true(retry_is_spent(&p, 6));
    assert_string_equal(retry_verdict_text(RETRY_EXHAUSTED), "attempts used up");
    assert_string_equal(retry_verdict_text(RETRY_REFUSED), "the handler asked for no retry");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_grow_to_the_maximum),
        cmocka_unit_test(full_jitter_spreads_evenly),
        cmocka_unit_test(attempts_are_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
