#include "tests/unit/unit.h"
#include <stdlib.h>

static void equality_ignores_ascii_case_only(void **state) {
    (void)state;
    assert_true(slice_equal_nocase(SLICE("Content-Type"), SLICE("cONTENT-tYPE")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_equal_nocase(SLICE("\xc3\x84"), SLICE("\xc3\xa4")));
    assert_false(slice_equal_nocase(SLICE("ab"), SLICE("abc")));
    assert_true(slice_equal(SLICE_NONE, SLICE("")));
    assert_true(slice_equal_nocase(SLICE_NONE, SLICE("")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
}

static void prefixes(void **state) {
    (void)state;
    assert_true(slice_starts_with(SLICE("/api/x"), SLICE("/api")));
    assert_true(slice_starts_with(SLICE(""), SLICE_NONE));
    assert_false(slice_starts_with(SLICE("/ap"), SLICE("/api")));
    assert_false(slice_starts_with(SLICE("HTTP://"), SLICE("http://")));
    assert_true(slice_starts_with_nocase(SLICE("HTTP://x"), SLICE("http://")));
    assert_false(slice_starts_with_nocase(SLICE("htt"), SLICE("http")));
}

static void trim_takes_blanks_from_both_ends(void **state) {
    (void)state;
    assert_slice(slice_trim(SLICE(" \t a b\t ")), "a b");
    assert_slice(slice_trim(SLICE(" \t ")), "");
    assert_slice(slice_trim(SLICE("\na\r")), "\na\r");
    assert_none(slice_trim(SLICE_NONE));
}

static void find_first(void **state) {
    (void)state;
    assert_int_equal(slice_find(SLICE("a=b=c"), '='), 1);
    assert_int_equal(slice_find(SLICE("abc"), '='), -1);
    assert_int_equal(slice_find(SLICE_NONE, '='), -1);
    assert_int_equal(slice_find(SLICE("a\0b"), '\0'), 1);
}

static void next_yields_every_part_once(void **state) {
    (void)state;
    struct slice rest = SLICE("a,,b,");
    struct slice part;
    assert_true(slice_next(&rest, ',', &part));
    assert_slice(part, "a");
    assert_true(slice_next(&rest, ',', &part));
    assert_slice(part, "");
    assert_true(slice_next(&rest, ',', &part));
    assert_slice(part, "b");
    assert_true(slice_next(&rest, ',', &part));
    assert_slice(part, "");
    assert_none(rest);
    assert_false(slice_next(&rest, ',', &part));

    rest = SLICE("");
    assert_true(slice_next(&rest, ',', &part));
    assert_slice(part, "");
    assert_false(slice_next(&rest, ',', &part));
}

static void decimal_numbers(void **state) {
    (void)state;
    uint64_t value = 7;
    assert_true(slice_to_u64(SLICE("0"), &value));
    assert_int_equal(value, 0);
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_true(slice_to_u64(SLICE("0000000000000000000000042"), &value));
    assert_int_equal(value, 42);
    static const struct slice bad[] = {
        {"", 0},
        {NULL, 0},
        {"-1", 2},
        {"+1", 2},
        {" 1", 2},
        {"1 ", 2},
        {"1a", 2},
        {"18446744073709551616", 20},
        {"99999999999999999999", 20},
        {"1\0", 2},
        {"/", 1},
        {":", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(slice_to_u64(bad[i], &value));
}

static void dup_is_terminated(void **state) {
    (void)state;
    char *text = slice_dup(slice_make("abcdef", 3));
    assert_string_equal(text, "abc");
    free(text);
    text = slice_dup(SLICE_NONE);
    assert_string_equal(text, "");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_ignores_ascii_case_only),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(trim_takes_blanks_from_both_ends),
        cmocka_unit_test(find_first),
        cmocka_unit_test(next_yields_every_part_once),
        cmocka_unit_test(decimal_numbers),
        cmocka_unit_test(dup_is_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
