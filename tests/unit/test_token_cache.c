#include "plugins/auth/token_cache.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define GENERATION 7
#define MINUTE_MS 60000u

static struct arena arena;
static struct clock_fake fake;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 4096);
    clock_fake_init(&fake);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct token_key key_of(struct token_cache *c, const char *token) {
    return token_cache_key(c, slice_of(token));
}

static void put(struct token_cache *c, const char *token, const char *claims) {
    struct token_key key = key_of(c, token);
    const struct token_entry entry = {slice_of(claims), fake.wall_now_ms + MINUTE_MS, GENERATION};
    token_cache_put(c, &key, &entry);
}

static struct slice find(struct token_cache *c, const char *token) {
    struct token_key key = key_of(c, token);
    return token_cache_find(c, &key, GENERATION, &arena);
}

static void found_until_it_is_over(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(4, 1000, &fake.clock);
    assert_none(find(c, "t"));
    put(c, "t", "{\"sub\":\"alice\"}");
    assert_slice(find(c, "t"), "{\"sub\":\"alice\"}");
    assert_none(find(c, "T"));
    clock_fake_advance_ms(&fake, MINUTE_MS - 1);
    assert_slice(find(c, "t"), "{\"sub\":\"alice\"}");
    clock_fake_advance_ms(&fake, 1);
    assert_none(find(c, "t"));
    assert_int_equal(token_cache_count(c).entries, 0);
    assert_int_equal(token_cache_count(c).bytes, 0);
    assert_int_equal(token_cache_count(c).hits, 2);
    assert_int_equal(token_cache_count(c).misses, 3);
    token_cache_free(c);
    token_cache_free(NULL);
}

static void the_claims_are_a_copy(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(1, 1000, &fake.clock);
    char claims[] = "{}";
    put(c, "t", claims);
    claims[0] = 'x';
    struct slice found = find(c, "t");
    put(c, "u", "[]"); /* takes the only place */
    assert_slice(found, "{}");
    assert_none(find(c, "t"));
    token_cache_free(c);
}

static void what_is_over_already_is_not_kept(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(4, 1000, &fake.clock);
    struct token_key key = key_of(c, "t");
    const struct token_entry entry = {SLICE("{}"), fake.wall_now_ms, GENERATION};
    put(c, "t", "{}");
    token_cache_put(c, &key, &entry);
    assert_none(find(c, "t"));
    assert_int_equal(token_cache_count(c).entries, 0);
    token_cache_free(c);
}

static void guards_do_not_share(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(4, 1000, &fake.clock);
    struct token_cache *another = token_cache_new(4, 1000, &fake.clock);
    put(c, "t", "{}");
    struct token_key foreign = key_of(another, "t");
    assert_none(token_cache_find(c, &foreign, GENERATION, &arena));
    assert_slice(find(c, "t"), "{}");
    token_cache_free(another);
    token_cache_free(c);
}

static void other_keys_other_tokens(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(4, 1000, &fake.clock);
    struct token_key key = key_of(c, "t");
    put(c, "t", "{}");
    assert_none(token_cache_find(c, &key, GENERATION + 1, &arena));
    /* It is gone for good: the older generation does not come back to it. */
    assert_none(find(c, "t"));
    assert_int_equal(token_cache_count(c).entries, 0);
    token_cache_free(c);
}

static void a_later_put_replaces(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(4, 1000, &fake.clock);
    put(c, "t", "{\"a\":1}");
    put(c, "t", "{}");
    assert_slice(find(c, "t"), "{}");
    assert_int_equal(token_cache_count(c).entries, 1);
    assert_int_equal(token_cache_count(c).bytes, 2);
    token_cache_free(c);
}

static void the_least_recently_used_goes(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(3, 1000, &fake.clock);
    put(c, "a", "1");
    put(c, "b", "2");
    put(c, "c", "3");
    assert_slice(find(c, "a"), "1");
    put(c, "d", "4");
    assert_none(find(c, "b"));
    assert_slice(find(c, "a"), "1");
    assert_slice(find(c, "c"), "3");
    assert_slice(find(c, "d"), "4");
    assert_int_equal(token_cache_count(c).evictions, 1);
    put(c, "e", "5");
    assert_none(find(c, "a"));
    token_cache_free(c);
}

static void bytes_are_bounded(void **state) {
    (void)state;
    struct token_cache *c = token_cache_new(100, 10, &fake.clock);
    put(c, "a", "1234");
    put(c, "b", "1234");
    put(c, "c", "12");
    assert_int_equal(token_cache_count(c).bytes, 10);
    put(c, "d", "123456"); /* a and b go */
    assert_none(find(c, "a"));
    assert_none(find(c, "b"));
    assert_slice(find(c, "c"), "12");
    put(c, "e", "12345678901"); /* more than all the room: nobody goes */
    assert_none(find(c, "e"));
    assert_int_equal(token_cache_count(c).entries, 2);
    put(c, "f", "1234567890");
    assert_int_equal(token_cache_count(c).entries, 1);
    put(c, "g", "");
    assert_slice(find(c, "g"), "");
    assert_slice(find(c, "f"), "1234567890");
    token_cache_free(c);
}

/* Against a plain model: the last `capacity` tokens that were used are there, no others. */
static void many_tokens(void **state) {
    (void)state;
    enum { CAPACITY = 37, TOKENS = 97, ROUNDS = 20000 };
    struct token_cache *c = token_cache_new(CAPACITY, 1u << 20, &fake.clock);
    uint64_t used_at[TOKENS] = {0};
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        char name[16];
        size_t i = clock_random_below(&fake.clock, TOKENS), newer = 0;
        snprintf(name, sizeof name, "token-%zu", i);
        for (size_t j = 0; j < TOKENS; j++) newer += used_at[j] > used_at[i];
        bool expected = used_at[i] && newer < CAPACITY;
        struct slice found = find(c, name);
        assert_int_equal(expected, !slice_is_none(found));
        if (expected) assert_slice_is(found, slice_of(name), __FILE__, __LINE__);
        if (!expected) put(c, name, name);
        used_at[i] = round;
        arena_reset(&arena);
    }
    assert_int_equal(token_cache_count(c).entries, CAPACITY);
    token_cache_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_until_it_is_over),
        cmocka_unit_test(the_claims_are_a_copy),
        cmocka_unit_test(what_is_over_already_is_not_kept),
        cmocka_unit_test(guards_do_not_share),
        cmocka_unit_test(other_keys_other_tokens),
        cmocka_unit_test(a_later_put_replaces),
        cmocka_unit_test(the_least_recently_used_goes),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(many_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
