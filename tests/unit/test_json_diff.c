/* In what two JSON texts differ: by value, with paths that can be ignored as they are told. */
#include "gateway/base/memory.h"
#include "gateway/command/replay/json_diff.h"
#include "tests/unit/unit.h"

/* "PATH: was -> now" of each difference, one to a line. */
static void on_difference(void *context, struct slice path, struct slice was, struct slice now) {
    buf_printf(context, SLICE_FMT ": " SLICE_FMT " -> " SLICE_FMT "\n", SLICE_ARG(path), SLICE_ARG(was),
               SLICE_ARG(now));
}

static void check(const char *was, const char *now, const char *ignored, const char *expected) {
    struct buf told = {0};
    struct slice pattern = slice_of(ignored);
    const struct json_diff d = {
        .ignored = &pattern, .ignored_count = ignored != NULL, .on_difference = on_difference, .context = &told};
    assert_true(json_diff(&d, SLICE("body"), slice_of(was), slice_of(now)));
    if (!slice_equal(buf_slice(&told), slice_of(expected)))
        fail_msg("%s and %s: \"" SLICE_FMT "\", not \"%s\"", was, now, SLICE_ARG(buf_slice(&told)), expected);
    buf_free(&told);
}

static void what_means_the_same_is_the_same(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"a\": 1, \"b\": [1, 2]}", "{\"b\":[1,2],\n\"a\":1}"},
        {"1", "1.0"},
        {"100", "1e2"},
        {"-0.5", "-5e-1"},
        {"\"\\u00e9\\n\"", "\"\303\251\\u000a\""},
        {"{\"\\u0061\": null}", "{\"a\": null}"},
        {"[]", " [ ] "},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) check(rows[i][0], rows[i][1], NULL, "");
}

static void every_difference_has_its_path(void **state) {
    (void)state;
    check("1", "2", NULL, "body: 1 -> 2\n");
    check("1", "\"1\"", NULL, "body: 1 -> \"1\"\n");
    check("9007199254740993", "9007199254740992", NULL, "body: 9007199254740993 -> 9007199254740992\n");
    check("1e999", "2e999", NULL, "body: 1e999 -> 2e999\n");
    check("true", "false", NULL, "body: true -> false\n");
    check("null", "{}", NULL, "body: null -> {}\n");
    check("{\"items\": [{\"price\": 1}, {\"price\": 2}]}", "{\"items\": [{\"price\": 1}, {\"price\": 3}]}", NULL,
          "body.items[1].price: 2 -> 3\n");
    check("[1, 2]", "[1]", NULL, "body[1]: 2 -> \n");
    check("[]", "[ {\"a\": [ ]} ]", NULL, "body[0]:  -> {\"a\": [ ]}\n");
    check("{\"b\": 1, \"a\": 1}", "{\"c\": 1, \"a\": 2}", NULL, "body.a: 1 -> 2\nbody.b: 1 -> \nbody.c:  -> 1\n");
    check("{\"a b\": 1, \"\": 2, \"c\\\"\": 3}", "{}", NULL,
          "body[\"\"]: 2 -> \nbody[\"a b\"]: 1 -> \nbody[\"c\\\"\"]: 3 -> \n");
    check("{\"a\": 1, \"a\": 2}", "{\"a\": 1}", NULL, "body.a: 2 -> \n");
}

static void what_is_ignored_goes_with_all_that_is_in_it(void **state) {
    (void)state;
    static const char was[] = "{\"items\": [{\"id\": 1, \"n\": 1}, {\"id\": 2, \"n\": 1}], \"ids\": {\"a\": 1}}";
    static const char now[] = "{\"items\": [{\"id\": 3, \"n\": 1}, {\"id\": 4, \"n\": 2}], \"ids\": {\"a\": 2}}";
    check(was, now, "body.items[].id", "body.ids.a: 1 -> 2\nbody.items[1].n: 1 -> 2\n");
    check(was, now, "body.items[1]", "body.ids.a: 1 -> 2\nbody.items[0].id: 1 -> 3\n");
    check(was, now, "body.items", "body.ids.a: 1 -> 2\n");
    check(was, now, "body", "");
    check(was, now, "body.ids", "body.items[0].id: 1 -> 3\nbody.items[1].id: 2 -> 4\nbody.items[1].n: 1 -> 2\n");
    check("{\"a b\": 1}", "{\"a b\": 2}", "body[\"a b\"]", "");
}

static void patterns_match_whole_steps(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool matches;
    } rows[] = {
        {"body.a", "body.a", true},
        {"body.a", "body.a.b", true},
        {"body.a", "body.a[0]", true},
        {"body.a", "body.ab", false},
        {"body.ab", "body.a", false},
        {"body.a[]", "body.a[12]", true},
        {"body.a[]", "body.a[12].b", true},
        {"body.a[1]", "body.a[12]", false},
        {"body.a[].b", "body.a[1].c", false},
        {"body[]", "body[\"a\"]", false},
        {"", "body", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (json_path_matches(slice_of(rows[i].pattern), slice_of(rows[i].path)) != rows[i].matches)
            fail_msg("%s and %s", rows[i].pattern, rows[i].path);
}

static void what_is_no_json_is_not_compared(void **state) {
    (void)state;
    struct buf told = {0};
    const struct json_diff d = {.on_difference = on_difference, .context = &told};
    static const char *const rows[] = {"", "{", "{\"a\": }", "1 2", "nul", "[1,]", "\"\xff\""};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(json_diff(&d, SLICE("body"), slice_of(rows[i]), SLICE("1")));
        assert_false(json_diff(&d, SLICE("body"), SLICE("1"), slice_of(rows[i])));
    }
    assert_int_equal(told.n, 0);
}

static void many_members_take_no_longer_than_they_must(void **state) {
    (void)state;
    struct buf was = {0}, now = {0};
    for (int i = 0; i < 50000; i++) {
        buf_printf(&was, "%s\"m%05d\": %d", i ? "," : "{", i, i);
        buf_printf(&now, "%s\"m%05d\": %d", i ? "," : "{", 49999 - i, 49999 - i);
    }
    buf_append_text(&was, "}");
    buf_append_text(&now, "}");
    const struct json_diff d = {.on_difference = on_difference};
    assert_true(json_diff(&d, SLICE("body"), buf_slice(&was), buf_slice(&now)));
    buf_free(&was);
    buf_free(&now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_the_same_is_the_same),
        cmocka_unit_test(every_difference_has_its_path),
        cmocka_unit_test(what_is_ignored_goes_with_all_that_is_in_it),
        cmocka_unit_test(patterns_match_whole_steps),
        cmocka_unit_test(what_is_no_json_is_not_compared),
        cmocka_unit_test(many_members_take_no_longer_than_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
