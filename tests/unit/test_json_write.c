#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include "tests/unit/unit.h"

static struct buf out;

static int set_up(void **state) {
    (void)state;
    out.n = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    buf_free(&out);
    return 0;
}

static void nesting_and_commas(void **state) {
    (void)state;
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, SLICE("a"), SLICE("x"));
    json_name(&w, SLICE("b"));
    json_open(&w, '[');
    json_number(&w, 1);
    json_bool(&w, true);
    json_bool(&w, false);
    json_null(&w);
    json_open(&w, '{');
    json_close(&w, '}');
    json_open(&w, '[');
    json_close(&w, ']');
    json_text(&w, SLICE("y"));
    json_close(&w, ']');
    json_name(&w, SLICE("c"));
    json_raw(&w, SLICE("{\"raw\":1}"));
    json_name(&w, SLICE("d"));
    json_base64(&w, SLICE("foob"));
    json_member(&w, SLICE(""), SLICE_NONE);
    json_close(&w, '}');
    assert_slice(buf_slice(&out), "{\"a\":\"x\",\"b\":[1,true,false,null,{},[],\"y\"],\"c\":{\"raw\":1},"
                                  "\"d\":\"Zm9vYg==\",\"\":\"\"}");
}

static void numbers(void **state) {
    (void)state;
    struct json_write w = json_write_to(&out);
    json_open(&w, '[');
    json_number(&w, 0);
    json_number(&w, -1);
    json_number(&w, INT64_MAX);
    json_number(&w, INT64_MIN);
    json_base64(&w, SLICE_NONE);
    json_close(&w, ']');
    assert_slice(buf_slice(&out), "[0,-1,9223372036854775807,-9223372036854775808,\"\"]");
}

static void escapes(void **state) {
    (void)state;
    json_escape(&out, SLICE("\"\\/\b\f\n\r\t\0\x1f\x7f"));
    assert_slice(buf_slice(&out), "\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f");
}

static void bad_bytes_become_replacement_characters(void **state) {
    (void)state;
    json_escape(&out, SLICE("a\xff"
                            "b\xe3\x81\xc0\x80\xed\xa0\x80\xc3"));
    assert_slice(buf_slice(&out), "a\xef\xbf\xbd"
                                  "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    out.n = 0;
    json_escape(&out, SLICE("\xc3\xa4\xe3\x81\x82\xf0\x9f\x98\x80"));
    assert_slice(buf_slice(&out), "\xc3\xa4\xe3\x81\x82\xf0\x9f\x98\x80");
}

/* A special byte at every place of a text of three words. */
static void plain_prefix_ends_at_the_special_byte(void **state) {
    (void)state;
    char text[27];
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            assert_int_equal(json_plain_prefix(slice_make(text, sizeof text)), plain ? sizeof text : at);
        }
    assert_int_equal(json_plain_prefix(SLICE_NONE), 0);
}

/* What a reader must see: the text, each byte that is not part of valid UTF-8 replaced. */
static void append_repaired(struct buf *expected, struct slice s) {
    while (s.n) {
        size_t n = text_utf8_length(s);
        buf_append_slice(expected, n ? slice_make(s.p, n) : SLICE("\xef\xbf\xbd"));
        s = slice_make(s.p + (n ? n : 1), s.n - (n ? n : 1));
    }
}

static void random_text_survives(void **state) {
    (void)state;
    uint32_t x = 5;
    struct buf expected = {0};
    struct arena a;
    arena_init(&a, 4096);
    for (int round = 0; round < 20000; round++) {
        char text[48];
        size_t n = (size_t)round % sizeof text;
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            text[i] = (char)(round & 1 ? (x >> 24) % 128 : x >> 24);
        }
        struct json_write w = json_write_to(&out);
        out.n = expected.n = 0;
        json_text(&w, slice_make(text, n));
        assert_true(json_is_valid(buf_slice(&out)));
        append_repaired(&expected, slice_make(text, n));
        struct slice back = json_text_of(&a, (struct json_value){JSON_STRING, buf_slice(&out)});
        assert_true(slice_equal(back, buf_slice(&expected)));
        arena_reset(&a);
    }
    buf_free(&expected);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nesting_and_commas, set_up),
        cmocka_unit_test_setup(numbers, set_up),
        cmocka_unit_test_setup(escapes, set_up),
        cmocka_unit_test_setup(bad_bytes_become_replacement_characters, set_up),
        cmocka_unit_test_setup(plain_prefix_ends_at_the_special_byte, set_up),
        cmocka_unit_test_setup(random_text_survives, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
