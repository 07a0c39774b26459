#include "gateway/base/arena.h"
#include "tests/unit/unit.h"

static void pieces_are_aligned_and_apart(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 100);
    unsigned char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        arena_text(&a, SLICE("x")); /* throws the alignment off */
        pieces[i] = arena_alloc(&a, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i; j++) assert_int_equal(pieces[i][j], i);
    arena_free(&a);
    arena_free(&a);
}

static void large_pieces_and_zeroes(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 64);
    unsigned char *p = arena_zalloc(&a, 3 << 20);
    for (size_t i = 0; i < 3 << 20; i += 4093) assert_int_equal(p[i], 0);
    memset(p, 1, 3 << 20);
    assert_non_null(arena_alloc(&a, 0));
    arena_free(&a);
}

static void reset_keeps_the_first_block(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    void *first = arena_alloc(&a, 16);
    for (int i = 0; i < 100; i++) arena_alloc(&a, 500);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 16), first);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 1024), first);
    assert_ptr_equal(a.at, a.end);
    arena_free(&a);
}

static void copies(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 16);
    assert_none(arena_copy(&a, SLICE_NONE));
    assert_slice(arena_copy(&a, SLICE("")), "");
    char bytes[] = "abc";
    struct slice copy = arena_copy(&a, slice_make(bytes, 3));
    char *text = arena_text(&a, slice_make(bytes, 2));
    bytes[0] = 'z';
    assert_slice(copy, "abc");
    assert_string_equal(text, "ab");
    assert_string_equal(arena_text(&a, SLICE_NONE), "");
    arena_free(&a);
}

static void printf_at_every_fill(void **state) {
    (void)state;
    for (size_t fill = 0; fill < 80; fill++) {
        struct arena a;
        arena_init(&a, 64);
        if (fill <= 64)
            arena_copy(&a, slice_make("................................................................", fill));
        assert_slice(arena_printf(&a, "%s=%d", "name", 12345), "name=12345");
        struct slice wide = arena_printf(&a, "%5000s", "x");
        assert_int_equal(wide.n, 5000);
        assert_int_equal(wide.p[4999], 'x');
        arena_free(&a);
    }
}

static void zero_initialised_works(void **state) {
    (void)state;
    struct arena a = {0};
    arena_reset(&a);
    assert_slice(arena_printf(&a, "%d", 1), "1");
    memset(arena_alloc(&a, 10), 0, 10);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart), cmocka_unit_test(large_pieces_and_zeroes),
        cmocka_unit_test(reset_keeps_the_first_block),  cmocka_unit_test(copies),
        cmocka_unit_test(printf_at_every_fill),         cmocka_unit_test(zero_initialised_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
