#include "gateway/base/fields.h"
#include "tests/unit/unit.h"

static void order_and_repetition_are_kept(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 256);
    fields_add(&f, &a, SLICE("Host"), SLICE("x"));
    fields_add(&f, &a, SLICE("Accept"), SLICE("one"));
    fields_add(&f, &a, SLICE("accept"), SLICE("two"));
    fields_add(&f, &a, SLICE("Empty"), SLICE(""));
    assert_slice(fields_get(&f, SLICE("ACCEPT")), "one");
    assert_slice(fields_get(&f, SLICE("empty")), "");
    assert_none(fields_get(&f, SLICE("Accep")));
    assert_none(fields_get(&f, SLICE("Accept-")));
    assert_int_equal(fields_count(&f, SLICE("accept")), 2);
    assert_int_equal(fields_count(&f, SLICE("absent")), 0);
    assert_slice(f.items[2].name, "accept");
    arena_free(&a);
}

static void removal_closes_the_gaps(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 256);
    assert_int_equal(fields_remove(&f, SLICE("a")), 0);
    const char *names[] = {"a", "B", "A", "c", "a"};
    for (size_t i = 0; i < 5; i++) fields_add(&f, &a, slice_of(names[i]), slice_of(names[i]));
    assert_int_equal(fields_remove(&f, SLICE("A")), 3);
    assert_int_equal(f.count, 2);
    assert_slice(f.items[0].name, "B");
    assert_slice(f.items[1].value, "c");
    assert_int_equal(fields_remove(&f, SLICE("A")), 0);
    arena_free(&a);
}

static void many_fields(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 64);
    for (int i = 0; i < 1000; i++) fields_add(&f, &a, arena_printf(&a, "x-%d", i), arena_printf(&a, "%d", i * i));
    assert_int_equal(f.count, 1000);
    assert_slice(fields_get(&f, SLICE("X-0")), "0");
    assert_slice(fields_get(&f, SLICE("X-15")), "225");
    assert_slice(fields_get(&f, SLICE("X-16")), "256");
    assert_slice(fields_get(&f, SLICE("X-999")), "998001");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_repetition_are_kept),
        cmocka_unit_test(removal_closes_the_gaps),
        cmocka_unit_test(many_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
