#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1024);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static void walking_an_object(void **state) {
    (void)state;
    struct json_read r;
    struct json_value value;
    struct slice name;
    json_read_init(&r,
                   SLICE(" {\"status\" : 200 , \"b\\u006fdy\":\"x\\ny\",\"list\":[ 1 ,[],{\"a\":{}}],\"n\":null} "));
    assert_int_equal(json_read_peek(&r), JSON_OBJECT);
    assert_true(json_read_open(&r, '{'));
    assert_true(json_read_name(&r, &arena, &name));
    assert_slice(name, "status");
    assert_int_equal(json_read_peek(&r), JSON_NUMBER);
    assert_true(json_read_value(&r, &value));
    assert_slice(value.raw, "200");
    assert_true(json_read_name(&r, &arena, &name));
    assert_slice(name, "body");
    assert_true(json_read_value(&r, &value));
    assert_int_equal(value.kind, JSON_STRING);
    assert_slice(json_text_of(&arena, value), "x\ny");
    assert_true(json_read_name(&r, &arena, &name));
    assert_false(json_read_open(&r, '{'));
    assert_true(json_read_open(&r, '['));
    assert_true(json_read_element(&r));
    assert_true(json_read_value(&r, &value));
    assert_true(json_read_element(&r));
    assert_true(json_read_open(&r, '['));
    assert_false(json_read_element(&r));
    assert_true(json_read_element(&r));
    assert_true(json_read_value(&r, &value));
    assert_slice(value.raw, "{\"a\":{}}");
    assert_false(json_read_element(&r));
    assert_false(json_read_end(&r)); /* not yet */
}

static void the_end_is_taken(void **state) {
    (void)state;
    struct json_read r;
    struct json_value value;
    struct slice name;
    json_read_init(&r, SLICE("{\"a\":{},\"b\":[[]]}\n"));
    assert_true(json_read_open(&r, '{'));
    int members = 0;
    while (json_read_name(&r, &arena, &name)) {
        assert_true(json_read_value(&r, &value));
        members++;
    }
    assert_int_equal(members, 2);
    assert_true(json_read_end(&r));
}

/* The loop of the header's example, with a text that is not an object. */
static void another_kind_is_not_the_end(void **state) {
    (void)state;
    static const char *const texts[] = {"", " ", "[]", "1", "\"{\"", "x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json_read r;
        json_read_init(&r, slice_of(texts[i]));
        assert_false(json_read_open(&r, '{'));
        assert_false(json_read_end(&r));
        assert_non_null(r.error);
    }
}

static void valid_texts(void **state) {
    (void)state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        " 0 ",
        "-0",
        "10",
        "1.5",
        "-1.25e+10",
        "1E5",
        "0e0",
        "1e-1",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "\t[\r\n1 ,\"a\"\n]",
        "{\"a\":{\"a\":[{}]}}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDe00\"",
        "\"\xe3\x81\x82\xf0\x9f\x98\x80\x7f\"",
        "123456789012345678901234567890",
        "{\"a\":1,\"a\":2}",
        "{\"\":0}",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) assert_true(json_is_valid(slice_of(good[i])));
}

static void invalid_texts(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nullx",
        "True",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1 2",
        "NaN",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\uD800\"",
        "\"\\uDC00\"",
        "\"\\uD800\\n\"",
        "\"\\uD800\\uD800\"",
        "\"\\uD800\\u0041\"",
        "\"\\ud800\\u\"",
        "\"\\uD83D\\uDE0\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xe3\x81\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "[]]",
        "{}{}",
        "\xef\xbb\xbf{}",
        "[1,2",
        "//c\n1",
        "[1]x",
        "\v1",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (json_is_valid(slice_of(bad[i]))) fail_msg("accepted: %s", bad[i]);
    }
    assert_false(json_is_valid(SLICE("1\0")));
    assert_false(json_is_valid(SLICE("\"\\\0\"")));
    assert_false(json_is_valid(SLICE("\"\0\"")));
    assert_false(json_is_valid(SLICE_NONE));
}

/* Cut anywhere, a text is not valid; and nothing is read behind the cut (ASan sees to it). */
static void cut_texts(void **state) {
    (void)state;
    struct slice whole = SLICE("{\"a\\u00e4\":[true,\"\\uD83D\\uDE00\xe3\x81\x82\",-1.5e+3,null],\"b\":{}}");
    assert_true(json_is_valid(whole));
    for (size_t n = 0; n < whole.n; n++) {
        char *exact = xmalloc(n);
        memcpy(exact, whole.p, n);
        assert_false(json_is_valid(slice_make(exact, n)));
        free(exact);
    }
}

static void depth_is_limited_to_64(void **state) {
    (void)state;
    static const char *const open[2] = {"[", "{\"a\":"}, *const innermost[2] = {"[]", "{}"},
                             *const close[2] = {"]", "}"};
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t depth = 60; depth < 70; depth++) {
            char text[1024] = "";
            for (size_t i = 1; i < depth; i++) strcat(text, open[kind]);
            strcat(text, innermost[kind]);
            for (size_t i = 1; i < depth; i++) strcat(text, close[kind]);
            assert_int_equal(json_is_valid(slice_of(text)), depth <= 64);
        }
}

static void errors_say_where(void **state) {
    (void)state;
    struct json_read r;
    struct json_value value;
    json_read_init(&r, SLICE("[1, 2, x]"));
    assert_false(json_read_value(&r, &value));
    assert_int_equal(value.kind, JSON_INVALID);
    assert_non_null(r.error);
    assert_int_equal(r.at, 7);
    assert_false(json_read_value(&r, &value));
    assert_false(json_read_open(&r, '['));
    assert_false(json_read_element(&r));
    assert_int_equal(json_read_peek(&r), JSON_INVALID);
    assert_false(json_read_end(&r));
    assert_int_equal(r.at, 7);
}

static void a_value_that_is_left_out_is_an_error(void **state) {
    (void)state;
    struct json_read r;
    struct slice name;
    json_read_init(&r, SLICE("{\"a\":1,\"b\":2}"));
    assert_true(json_read_open(&r, '{'));
    assert_true(json_read_name(&r, &arena, &name));
    assert_false(json_read_name(&r, &arena, &name));
    assert_non_null(r.error);
}

static void unescaping_in_place(void **state) {
    (void)state;
    char text[] = "\"\\u0041\\u00e4\\u3042\\uD83D\\uDE00\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000-\xc3\xa4\"";
    assert_true(json_is_valid(slice_of(text)));
    size_t n = json_unescape(slice_of(text), text);
    assert_true(
        slice_equal(slice_make(text, n), SLICE("A\xc3\xa4\xe3\x81\x82\xf0\x9f\x98\x80\"\\/\b\f\n\r\t\0-\xc3\xa4")));
    struct json_value plain = {JSON_STRING, SLICE("\"abc\"")};
    assert_ptr_equal(json_text_of(&arena, plain).p, plain.raw.p + 1);
    struct json_value empty = {JSON_STRING, SLICE("\"\"")};
    assert_slice(json_text_of(&arena, empty), "");
    assert_int_equal(json_unescape(SLICE("\"\\uDBFF\\uDFFF\""), text), 4);
    assert_memory_equal(text, "\xf4\x8f\xbf\xbf", 4);
}

static void integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"200", 200},
                {"-7", -7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    int64_t number;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(json_int_of((struct json_value){JSON_NUMBER, slice_of(good[i].text)}, &number));
        assert_true(number == good[i].number);
    }
    static const char *const bad[] = {
        "1.5", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "18446744073709551616"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(json_int_of((struct json_value){JSON_NUMBER, slice_of(bad[i])}, &number));
    assert_false(json_int_of((struct json_value){JSON_STRING, SLICE("\"1\"")}, &number));
    assert_false(json_int_of((struct json_value){0}, &number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walking_an_object),
        cmocka_unit_test(the_end_is_taken),
        cmocka_unit_test(another_kind_is_not_the_end),
        cmocka_unit_test(valid_texts),
        cmocka_unit_test(invalid_texts),
        cmocka_unit_test(cut_texts),
        cmocka_unit_test(depth_is_limited_to_64),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(a_value_that_is_left_out_is_an_error),
        cmocka_unit_test(unescaping_in_place),
        cmocka_unit_test(integers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
