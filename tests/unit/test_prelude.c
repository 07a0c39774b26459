/* The head of a streamed answer: where it ends, however it was cut, and what it may say. */
#include "gateway/base/memory.h"
#include "local-api/answer_http.h"
#include "tests/support/house.h"
#include "tests/unit/unit.h"

#define HEAD "{\"statusCode\":201,\"headers\":{\"x\":\"y\"},\"cookies\":[\"a=1\"]}"
#define NULS "\0\0\0\0\0\0\0\0"

/* Every prefix on memory of its own, so that a read beyond it is caught. */
static void it_is_found_at_every_cut(void **state) {
    (void)state;
    const struct slice whole = SLICE(HEAD NULS "raw \0 bytes");
    const size_t head = sizeof HEAD - 1;
    for (size_t n = 0; n <= whole.n; n++) {
        struct slice json = SLICE_NONE;
        size_t size = 0;
        char *copy = slice_dup(slice_make(whole.p, n));
        enum prelude_result result = prelude_find(slice_make(copy, n), &json, &size);
        assert_int_equal(result, n < head + 8 ? PRELUDE_INCOMPLETE : PRELUDE_COMPLETE);
        if (result == PRELUDE_COMPLETE) {
            assert_slice(json, HEAD);
            assert_int_equal(size, head + 8);
        }
        free(copy);
    }
}

static void fewer_than_eight_are_no_end(void **state) {
    (void)state;
    struct slice json;
    size_t size;
    assert_int_equal(prelude_find(SLICE("{}\0\0\0\0\0\0\0x"), &json, &size), PRELUDE_INVALID);
    assert_int_equal(prelude_find(SLICE("\0x"), &json, &size), PRELUDE_INVALID);
    assert_int_equal(prelude_find(SLICE("{}\0\0\0\0\0\0\0"), &json, &size), PRELUDE_INCOMPLETE);
    assert_int_equal(prelude_find(SLICE("{}" NULS "\0"), &json, &size), PRELUDE_COMPLETE);
    assert_int_equal(size, 10);
}

static void it_is_bounded(void **state) {
    (void)state;
    struct slice json;
    size_t size;
    char *text = xcalloc(1, PRELUDE_MAX + 9);
    memset(text, 'x', PRELUDE_MAX + 1);
    assert_int_equal(prelude_find(slice_make(text, PRELUDE_MAX), &json, &size), PRELUDE_INCOMPLETE);
    assert_int_equal(prelude_find(slice_make(text, PRELUDE_MAX + 1), &json, &size), PRELUDE_INVALID);
    text[PRELUDE_MAX] = '\0';
    assert_int_equal(prelude_find(slice_make(text, PRELUDE_MAX + 8), &json, &size), PRELUDE_COMPLETE);
    free(text);
}

struct prelude_case {
    const char *json;
    int status; /* 0 = refused */
    const char *headers;
};

static void what_it_says(void **state) {
    (void)state;
    static const struct prelude_case cases[] = {
        {HEAD, 201, "x: y; set-cookie: a=1"},
        {"{}", 200, ""},
        {"{\"statusCode\":null,\"headers\":{\"x\":\"y\"}}", 200, "x: y"},
        {"{\"statusCode\":500,\"multiValueHeaders\":{\"a\":[\"1\",\"2\"]}}", 500, "a: 1; a: 2"},
        {"", 0, NULL},
        {"[]", 0, NULL},
        {"\"x\"", 0, NULL},
        {"{\"statusCode\":1}", 0, NULL},
        {"{\"statusCode\":200} {", 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct house h;
        house_open(&h);
        struct invocation *inv = house_item(&h);
        pipeline_run(inv);
        struct outcome o = prelude_read(inv, slice_of(cases[i].json));
        assert_int_equal(o.failure, cases[i].status ? FAILURE_NONE : FAILURE_HANDLER_ANSWER);
        assert_true(invocation_complete(inv, o));
        assert_int_equal(h.status, cases[i].status ? cases[i].status : 502);
        if (cases[i].status) assert_string_equal(h.headers, cases[i].headers);
        house_close(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found_at_every_cut),
        cmocka_unit_test(fewer_than_eight_are_no_end),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
