#include "gateway/base/map.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define KEYS 10000

static struct slice key_of(char *text, size_t number) {
    return slice_make(text, (size_t)snprintf(text, 32, "key-%zu", number));
}

static void ten_thousand_keys(void **state) {
    (void)state;
    static int values[KEYS];
    char text[32];
    struct map *m = map_new();
    for (size_t i = 0; i < KEYS; i++) assert_null(map_put(m, key_of(text, i), &values[i]));
    assert_int_equal(map_count(m), KEYS);
    for (size_t i = 0; i < KEYS; i++) assert_ptr_equal(map_get(m, key_of(text, i)), &values[i]);
    assert_null(map_get(m, SLICE("key-10000")));
    for (size_t i = 0; i < KEYS; i += 2) assert_ptr_equal(map_remove(m, key_of(text, i)), &values[i]);
    for (size_t i = 0; i < KEYS; i++) assert_ptr_equal(map_get(m, key_of(text, i)), i % 2 ? &values[i] : NULL);
    assert_int_equal(map_count(m), KEYS / 2);
    map_free(m);
}

static void iteration_is_in_insertion_order(void **state) {
    (void)state;
    int a, b, c, d;
    struct map *m = map_new();
    map_put(m, SLICE("a"), &a);
    map_put(m, SLICE("b"), &b);
    map_put(m, SLICE("c"), &c);
    assert_ptr_equal(map_put(m, SLICE("a"), &d), &a); /* replaced where it stood */
    map_remove(m, SLICE("b"));
    map_put(m, SLICE("b"), &b); /* gone and come back: at the end */
    size_t cursor = 0;
    struct slice key;
    void *value;
    assert_true(map_next(m, &cursor, &key, &value));
    assert_slice(key, "a");
    assert_ptr_equal(value, &d);
    assert_true(map_next(m, &cursor, &key, &value));
    assert_slice(key, "c");
    assert_true(map_next(m, &cursor, &key, &value));
    assert_slice(key, "b");
    assert_false(map_next(m, &cursor, &key, &value));
    assert_false(map_next(m, &cursor, &key, &value));
    map_free(m);
}

static void keys_are_bytes_and_copied(void **state) {
    (void)state;
    int a, b, empty;
    char bytes[] = "x";
    struct map *m = map_new();
    assert_null(map_get(m, SLICE("")));
    assert_null(map_remove(m, SLICE("")));
    map_put(m, SLICE("k\0a"), &a);
    map_put(m, SLICE("k\0b"), &b);
    map_put(m, SLICE_NONE, &empty);
    map_put(m, slice_make(bytes, 1), &b);
    bytes[0] = 'y';
    assert_ptr_equal(map_get(m, SLICE("k\0a")), &a);
    assert_ptr_equal(map_get(m, SLICE("k\0b")), &b);
    assert_ptr_equal(map_get(m, SLICE("")), &empty);
    assert_ptr_equal(map_get(m, SLICE("x")), &b);
    assert_null(map_get(m, SLICE("k")));
    map_free(m);
    map_free(NULL);
}

/* The naive model: a value per possible key. */
static void random_operations_match_a_model(void **state) {
    (void)state;
    enum { SPACE = 300 };
    static int values[SPACE];
    void *model[SPACE] = {0};
    size_t count = 0;
    char text[32];
    uint32_t x = 12345;
    struct map *m = map_new();
    for (int i = 0; i < 200000; i++) {
        x = x * 1664525 + 1013904223;
        size_t k = (x >> 8) % SPACE;
        struct slice key = key_of(text, k);
        void *old = model[k];
        switch (x >> 30) {
        case 0:
        case 1:
            assert_ptr_equal(map_put(m, key, &values[k]), old);
            model[k] = &values[k];
            count += old == NULL;
            break;
        case 2:
            assert_ptr_equal(map_remove(m, key), old);
            model[k] = NULL;
            count -= old != NULL;
            break;
        default: assert_ptr_equal(map_get(m, key), old);
        }
        assert_int_equal(map_count(m), count);
    }
    size_t cursor = 0, seen = 0;
    struct slice key;
    void *value;
    while (map_next(m, &cursor, &key, &value)) {
        assert_ptr_equal(map_get(m, key), value);
        seen++;
    }
    assert_int_equal(seen, count);
    map_free(m);
}

/* Growing must not follow from coming and going. */
static void a_moving_window_stays_small(void **state) {
    (void)state;
    int value;
    char text[32];
    struct map *m = map_new();
    for (size_t i = 0; i < 100000; i++) {
        map_put(m, key_of(text, i), &value);
        if (i >= 4) assert_ptr_equal(map_remove(m, key_of(text, i - 4)), &value);
    }
    assert_int_equal(map_count(m), 4);
    size_t cursor = 0;
    struct slice key;
    void *found;
    while (map_next(m, &cursor, &key, &found)) assert_ptr_equal(found, &value);
    assert_true(cursor <= 16);
    map_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_keys),           cmocka_unit_test(iteration_is_in_insertion_order),
        cmocka_unit_test(keys_are_bytes_and_copied),   cmocka_unit_test(random_operations_match_a_model),
        cmocka_unit_test(a_moving_window_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
