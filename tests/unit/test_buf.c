#include "gateway/base/buf.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>

static void zero_initialised_is_empty(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append(&b, NULL, 0);
    buf_append_slice(&b, SLICE_NONE);
    buf_consume(&b, 0);
    assert_int_equal(b.n, 0);
    size_t n = 9;
    assert_null(buf_take(&b, &n));
    assert_int_equal(n, 0);
    buf_free(&b);
    buf_free(&b);
}

static void appending_grows(void **state) {
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100000; i++) buf_append_char(&b, (char)('a' + i % 26));
    assert_int_equal(b.n, 100000);
    for (size_t i = 0; i < b.n; i++) assert_int_equal(b.p[i], 'a' + (int)(i % 26));
    assert_true(b.capacity >= b.n && b.capacity < 4 * b.n);
    buf_free(&b);
    assert_null(b.p);
}

static void numbers_and_text(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_u64(&b, 0);
    buf_append_char(&b, ' ');
    buf_append_u64(&b, UINT64_MAX);
    buf_append_text(&b, " x");
    buf_append_slice(&b, SLICE("\0y"));
    assert_slice(buf_slice(&b), "0 18446744073709551615 x\0y");
    buf_free(&b);
}

/* Lengths around what is left in the buffer, where a terminating NUL would not fit. */
static void printf_at_every_fill(void **state) {
    (void)state;
    for (int fill = 0; fill < 300; fill++) {
        struct buf b = {0};
        buf_printf(&b, "%*s", fill, "");
        buf_printf(&b, "<%d>", fill);
        char expected[320];
        size_t n = (size_t)snprintf(expected, sizeof expected, "%*s<%d>", fill, "", fill);
        assert_int_equal(b.n, n);
        assert_memory_equal(b.p, expected, n);
        buf_free(&b);
    }
}

static void reserve_leaves_n(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_text(&b, "abc");
    char *at = buf_reserve(&b, 5000);
    assert_ptr_equal(at, b.p + 3);
    assert_true(b.capacity >= 5003);
    assert_int_equal(b.n, 3);
    memset(at, 'x', 5000);
    buf_free(&b);
}

static void consume_keeps_the_rest(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_text(&b, "abcdef");
    buf_consume(&b, 2);
    assert_slice(buf_slice(&b), "cdef");
    buf_consume(&b, 4);
    assert_int_equal(b.n, 0);
    buf_append_text(&b, "z");
    assert_slice(buf_slice(&b), "z");
    buf_free(&b);
}

static void take_gives_the_memory_up(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append_text(&b, "abc");
    size_t n;
    char *p = buf_take(&b, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "abc", 3);
    assert_null(b.p);
    assert_int_equal(b.capacity, 0);
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_initialised_is_empty), cmocka_unit_test(appending_grows),
        cmocka_unit_test(numbers_and_text),          cmocka_unit_test(printf_at_every_fill),
        cmocka_unit_test(reserve_leaves_n),          cmocka_unit_test(consume_keeps_the_rest),
        cmocka_unit_test(take_gives_the_memory_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
