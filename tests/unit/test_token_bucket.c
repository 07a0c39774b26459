/* Token buckets: the arithmetic, and the table that holds them. */
#include "plugins/limits/bucket_table.h"
#include "plugins/limits/token_bucket.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define SECOND 1000000000ULL
#define DAY 86400ULL

static void a_full_bucket_gives_its_burst_and_no_more(void **state) {
    (void)state;
    const struct token_rate r = token_rate_make(10 * DAY, 3);
    const uint64_t now = 77 * SECOND;
    uint64_t bucket = 0;
    for (uint64_t left = 3; left > 0; left--) {
        assert_int_equal(token_bucket_left(&r, bucket, now), left);
        assert_int_equal(token_bucket_wait_ns(&r, bucket, now), 0);
        bucket = token_bucket_take(&r, bucket, now);
    }
    assert_int_equal(token_bucket_left(&r, bucket, now), 0);
    assert_int_equal(token_bucket_wait_ns(&r, bucket, now), SECOND / 10);
    assert_int_equal(bucket, now + token_rate_window_ns(&r));
}

static void tokens_come_back_one_by_one(void **state) {
    (void)state;
    const struct token_rate r = token_rate_make(10 * DAY, 3);
    uint64_t now = SECOND, bucket = 0;
    for (int i = 0; i < 3; i++) bucket = token_bucket_take(&r, bucket, now);
    assert_int_equal(token_bucket_wait_ns(&r, bucket, now + SECOND / 10 - 1), 1);
    assert_int_equal(token_bucket_left(&r, bucket, now + SECOND / 10 - 1), 0);
    assert_int_equal(token_bucket_wait_ns(&r, bucket, now + SECOND / 10), 0);
    assert_int_equal(token_bucket_left(&r, bucket, now + SECOND / 10), 1);
    assert_int_equal(token_bucket_left(&r, bucket, now + 2 * SECOND / 10), 2);
    /* Never more than the burst, however long the silence. */
    assert_int_equal(token_bucket_left(&r, bucket, now + 1000 * SECOND), 3);
}

/* Whatever the pattern of requests, no window of time lets through more than burst + rate * time. */
static void the_long_run_keeps_the_rate(void **state) {
    (void)state;
    static const struct {
        uint64_t per_day, burst, step_ns;
    } rows[] = {{100 * DAY, 200, 1000000},
                {3 * DAY, 1, 70000000},
                {5 * 1440, 5, SECOND},
                {1, 1, 3600 * SECOND},
                {1000000 * DAY, 100000, 300}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct token_rate r = token_rate_make(rows[i].per_day, rows[i].burst);
        uint64_t bucket = 0, taken = 0, now = 5, steps = 20000;
        for (uint64_t k = 0; k < steps; k++, now += rows[i].step_ns) {
            for (int tries = 0; tries < 20 && token_bucket_wait_ns(&r, bucket, now) == 0; tries++) {
                bucket = token_bucket_take(&r, bucket, now);
                taken++;
            }
        }
        /* A token may wait for the next step to be taken, and with a burst of 1 it delays the one behind it. */
        uint64_t least = (now - 5) / (r.interval_ns + rows[i].step_ns);
        assert_in_range(taken, least, rows[i].burst + (now - 5) / r.interval_ns + 1);
    }
}

static void extremes_do_not_overflow(void **state) {
    (void)state;
    const struct token_rate slow = token_rate_make(1, TOKEN_BURST_MOST);
    const uint64_t now = 100ULL * 365 * DAY * SECOND; /* a century of uptime */
    uint64_t bucket = 0;
    for (int i = 0; i < TOKEN_BURST_MOST; i++) bucket = token_bucket_take(&slow, bucket, now);
    assert_true(bucket > now);
    assert_int_equal(token_bucket_wait_ns(&slow, bucket, now), DAY * SECOND);
    assert_int_equal(token_bucket_left(&slow, bucket, now), 0);
    const struct token_rate fast = token_rate_make(TOKEN_RATE_MOST, 1);
    assert_int_equal(fast.interval_ns, 1000);
}

/* --- the table --- */

struct shelf {
    struct clock_fake clock;
    struct bucket_seed seed;
    struct bucket_table *table;
};

static void shelf_open(struct shelf *s, uint32_t capacity) {
    clock_fake_init(&s->clock);
    bucket_seed_draw(&s->seed, &s->clock.clock);
    s->table = bucket_table_new(capacity);
}

static uint64_t *shelf_at(struct shelf *s, unsigned number) {
    char text[16];
    int n = snprintf(text, sizeof text, "k%u", number);
    return bucket_table_at(s->table, bucket_key_make(&s->seed, 1, slice_make(text, (size_t)n)));
}

static void a_bucket_is_found_again(void **state) {
    (void)state;
    struct shelf s;
    shelf_open(&s, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(*shelf_at(&s, i), 0);
        *shelf_at(&s, i) = i + 1;
    }
    for (unsigned i = 0; i < 1000; i++) assert_int_equal(*shelf_at(&s, i), i + 1);
    assert_int_equal(bucket_table_count(s.table), 1000);
    bucket_table_free(s.table);
}

static void the_one_that_was_touched_longest_ago_makes_room(void **state) {
    (void)state;
    struct shelf s;
    shelf_open(&s, 4);
    for (unsigned i = 0; i < 4; i++) *shelf_at(&s, i) = i + 1;
    assert_int_equal(*shelf_at(&s, 0), 1); /* touched: now 1 is the oldest */
    *shelf_at(&s, 9) = 10;
    assert_int_equal(bucket_table_count(s.table), 4);
    assert_int_equal(*shelf_at(&s, 0), 1);
    assert_int_equal(*shelf_at(&s, 2), 3);
    assert_int_equal(*shelf_at(&s, 3), 4);
    assert_int_equal(*shelf_at(&s, 9), 10);
    assert_int_equal(*shelf_at(&s, 1), 0);
    bucket_table_free(s.table);
}

/* Against a naive model: many keys through a small table. */
static void a_small_table_agrees_with_a_list(void **state) {
    (void)state;
    enum { PLACES = 7, KEYS = 20 };
    struct shelf s;
    unsigned order[PLACES];
    size_t used = 0;
    uint64_t random = 88172645463325252ULL;
    shelf_open(&s, PLACES);
    for (uint64_t step = 1; step < 20000; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned key = (unsigned)(random % KEYS);
        size_t at = 0;
        while (at < used && order[at] != key) at++;
        bool known = at < used;
        uint64_t *bucket = shelf_at(&s, key);
        assert_int_equal(*bucket != 0, known);
        *bucket = step;
        if (!known && used < PLACES) used++;
        if (!known) at = used - 1;
        memmove(order + 1, order, at * sizeof order[0]);
        order[0] = key;
    }
    assert_int_equal(bucket_table_count(s.table), PLACES);
    bucket_table_free(s.table);
}

static void one_place_is_enough(void **state) {
    (void)state;
    struct shelf s;
    shelf_open(&s, 1);
    *shelf_at(&s, 1) = 5;
    assert_int_equal(*shelf_at(&s, 1), 5);
    assert_int_equal(*shelf_at(&s, 2), 0);
    assert_int_equal(*shelf_at(&s, 1), 0);
    bucket_table_free(s.table);
}

static bool same(struct bucket_key a, struct bucket_key b) {
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

static void keys_tell_everything_apart(void **state) {
    (void)state;
    static const char bytes[40] = {0};
    struct shelf s;
    struct bucket_seed other;
    shelf_open(&s, 1);
    bucket_seed_draw(&other, &s.clock.clock);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct bucket_key key = bucket_key_make(&s.seed, 1, slice_make(bytes, n));
        assert_true(same(key, bucket_key_make(&s.seed, 1, slice_make(bytes, n))));
        assert_false(same(key, bucket_key_make(&s.seed, 2, slice_make(bytes, n))));
        assert_false(same(key, bucket_key_make(&other, 1, slice_make(bytes, n))));
        for (size_t k = 0; k < n; k++) assert_false(same(key, bucket_key_make(&s.seed, 1, slice_make(bytes, k))));
    }
    assert_true(same(bucket_key_make(&s.seed, 1, SLICE_NONE), bucket_key_make(&s.seed, 1, SLICE(""))));
    bucket_table_free(s.table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_its_burst_and_no_more),
        cmocka_unit_test(tokens_come_back_one_by_one),
        cmocka_unit_test(the_long_run_keeps_the_rate),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(a_bucket_is_found_again),
        cmocka_unit_test(the_one_that_was_touched_longest_ago_makes_room),
        cmocka_unit_test(a_small_table_agrees_with_a_list),
        cmocka_unit_test(one_place_is_enough),
        cmocka_unit_test(keys_tell_everything_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
