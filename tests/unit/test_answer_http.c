/* Payload 2.0 answers: what a handler may say and what a client gets for it. */
#include "gateway/base/memory.h"
#include "local-api/answer_http.h"
#include "tests/support/house.h"
#include "tests/unit/unit.h"

struct answer_case {
    const char *answer;
    int status; /* 0 = refused */
    const char *headers;
    const char *body;
};

#define JSON_TYPE "content-type: application/json"

static const struct answer_case cases[] = {
    {"{\"statusCode\":200,\"body\":\"hi\"}", 200, JSON_TYPE, "hi"},
    {" {\"statusCode\":\"201\",\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":\"hi\"} ", 201,
     "Content-Type: text/plain", "hi"},
    {"{\"body\":\"a\\nb\\u00e9\\ud83d\\ude00\\\\\",\"statusCode\":200}", 200, JSON_TYPE,
     "a\nb\xc3\xa9\xf0\x9f\x98\x80\\"},
    {"{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":true}", 200, JSON_TYPE, "hi"},
    {"{\"statusCode\":200,\"body\":\"aG\\u006b\\/\",\"isBase64Encoded\":true}", 200, JSON_TYPE, "hi?"},
    {"{\"statusCode\":204}", 204, "", ""},
    {"{\"statusCode\":302,\"headers\":{\"location\":\"/x\"}}", 302, "location: /x", ""},
    {"{\"statusCode\":200,\"headers\":null,\"multiValueHeaders\":null,\"cookies\":null,\"body\":null,"
     "\"isBase64Encoded\":null}",
     200, "", ""},
    {"{\"statusCode\":200,\"headers\":{\"a\":1.5,\"b\":true,\"c\":null,\"d\":\" x \"}}", 200, "a: 1.5; b: true; d: x",
     ""},
    {"{\"statusCode\":200,\"headers\":{\"x\\u002da\":\"1\"}}", 200, "x-a: 1", ""},
    {"{\"statusCode\":200,\"cookies\":[\"a=1; Path=/\",\"b=2\"]}", 200, "set-cookie: a=1; Path=/; set-cookie: b=2", ""},
    {"{\"statusCode\":200,\"multiValueHeaders\":{\"x\":[\"1\",\"2\"]},\"headers\":{\"X\":\"2\",\"y\":\"3\"}}", 200,
     "x: 1; x: 2; y: 3", ""},
    {"{\"statusCode\":200,\"headers\":{\"Connection\":\"close\",\"Content-Length\":\"9\",\"bad "
     "name\":\"x\",\"x\":\"a\\r\\nb\"}}",
     200, "", ""},
    {"{\"statusCode\":200,\"statusCode\":201}", 201, "", ""},
    {"{\"statusCode\":200,\"more\":{\"deep\":[1,{\"body\":\"no\"}]}}", 200, "", ""},
    /* Without a status it is the body itself. */
    {"{\"message\":\"hi\"}", 200, JSON_TYPE, "{\"message\":\"hi\"}"},
    {"{\"statusCode\":null,\"body\":\"x\"}", 200, JSON_TYPE, "{\"statusCode\":null,\"body\":\"x\"}"},
    {"\"hi\"", 200, JSON_TYPE, "\"hi\""},
    {"[1,2]", 200, JSON_TYPE, "[1,2]"},
    {"null", 200, JSON_TYPE, "null"},
    {"12", 200, JSON_TYPE, "12"},
    /* No answers. */
    {"", 0, NULL, "it is not JSON"},
    {"hello", 0, NULL, "it is not JSON"},
    {"{\"statusCode\":200", 0, NULL, "it is not JSON"},
    {"{\"statusCode\":200} x", 0, NULL, "it is not JSON"},
    {"\xff\x01", 0, NULL, "it is not JSON"},
    {"{\"statusCode\":0}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":199}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":600}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":200.5}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":\"ok\"}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":[]}", 0, NULL, "its statusCode"},
    {"{\"statusCode\":200,\"body\":{}}", 0, NULL, "its body is no text"},
    {"{\"statusCode\":200,\"body\":5}", 0, NULL, "its body is no text"},
    {"{\"statusCode\":200,\"body\":\"a!\",\"isBase64Encoded\":true}", 0, NULL, "its body is not valid base64"},
    {"{\"statusCode\":200,\"body\":\"\",\"isBase64Encoded\":\"true\"}", 0, NULL, "its isBase64Encoded"},
    {"{\"statusCode\":200,\"headers\":[]}", 0, NULL, "its headers are no object"},
    {"{\"statusCode\":200,\"headers\":{\"a\":[]}}", 0, NULL, "a header's value"},
    {"{\"statusCode\":200,\"multiValueHeaders\":{\"a\":\"b\"}}", 0, NULL, "multiValueHeaders"},
    {"{\"statusCode\":200,\"cookies\":\"a=b\"}", 0, NULL, "its cookies are no list"},
    {"{\"statusCode\":200,\"cookies\":[1]}", 0, NULL, "a cookie is no text"},
};

static void check_accepted(struct house *h, const struct answer_case *c) {
    if (h->status != c->status) fail_msg("%s: status %d", c->answer, h->status);
    assert_int_equal(h->failure, FAILURE_NONE);
    assert_string_equal(h->body, c->body);
    assert_string_equal(h->headers, c->headers);
}

static void check_refused(struct house *h, const struct answer_case *c) {
    if (h->failure != FAILURE_HANDLER_ANSWER) fail_msg("%s was not refused", c->answer);
    assert_int_equal(h->status, 502);
    /* The detail is in the problem document, escaped: up to the first quote it reads the same. */
    char plain[128];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(c->body, "\"\\"), c->body);
    assert_non_null(strstr(h->body, plain));
}

static void answers(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct house h;
        house_open(&h);
        struct invocation *inv = house_item(&h);
        pipeline_run(inv);
        house_start(&h, inv);
        struct slice text = slice_of(cases[i].answer);
        struct outcome o = http_answer_read(inv, chunk_take(slice_dup(text), text.n));
        assert_true(invocation_complete(inv, o));
        if (cases[i].status)
            check_accepted(&h, &cases[i]);
        else
            check_refused(&h, &cases[i]);
        house_close(&h);
    }
}

/* The bytes that came in are the bytes that go out: no copy. */
static void the_body_stays_where_it_was_received(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = house_item(&h);
    pipeline_run(inv);
    struct chunk *whole = chunk_copy(SLICE("{\"statusCode\":200,\"body\":\"a\\tb\"}"));
    const char *start = whole->memory;
    struct outcome o = http_answer_read(inv, whole);
    struct slice body = body_peek(o.body);
    assert_slice(body, "a\tb");
    assert_true(body.p > start && body.p < start + 40);
    assert_true(invocation_complete(inv, o));
    house_close(&h);
}

static void only_the_first_bytes_are_quoted(void **state) {
    (void)state;
    struct house h;
    struct buf junk = {0};
    house_open(&h);
    struct invocation *inv = house_item(&h);
    pipeline_run(inv);
    for (int i = 0; i < 100000; i++) buf_append_char(&junk, 'x');
    size_t n;
    char *bytes = buf_take(&junk, &n);
    struct outcome o = http_answer_read(inv, chunk_take(bytes, n));
    assert_int_equal(o.failure, FAILURE_HANDLER_ANSWER);
    assert_in_range(o.evidence.n, 64, 200);
    assert_string_equal(arena_text(&inv->arena, o.detail), "it is not JSON"); /* what a client may see */
    assert_true(invocation_complete(inv, o));
    house_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(the_body_stays_where_it_was_received),
        cmocka_unit_test(only_the_first_bytes_are_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
