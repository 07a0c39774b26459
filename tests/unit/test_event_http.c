/* Payload 2.0, compared as JSON with what API Gateway would send. */
#include "gateway/base/memory.h"
#include "local-api/event_http.h"
#include "tests/support/house.h"
#include "tests/unit/unit.h"
#include <jansson.h>

struct event_case {
    const char *target;
    const char *const (*fields)[2];
    size_t field_count;
    struct slice body;
};

/* The event as jansson reads it, which is strict. */
static json_t *event_of(const struct event_case *c) {
    struct house h;
    struct buf out = {0};
    json_error_t e;
    house_open(&h);
    struct invocation *inv = house_invocation(&h, "POST", c->target);
    for (size_t i = 0; i < c->field_count; i++)
        fields_add(&inv->request.headers, &inv->arena, slice_of(c->fields[i][0]), slice_of(c->fields[i][1]));
    inv->request.host = fields_get(&inv->request.headers, SLICE("host"));
    inv->request.client_address = SLICE("203.0.113.7");
    inv->request.version = SLICE("HTTP/1.1");
    inv->request_id = SLICE("r-1");
    if (c->body.n) inv->body = body_of_chunk(chunk_copy(c->body));
    pipeline_run(inv);
    inv->received_wall_ms = 1584039838000;
    http_event_write(&out, inv, "shop");
    json_t *event = json_loadb(out.p, out.n, JSON_ALLOW_NUL, &e);
    if (!event) fail_msg("%s in " SLICE_FMT, e.text, SLICE_ARG(buf_slice(&out)));
    buf_free(&out);
    assert_true(invocation_complete(inv, house_answer("")));
    house_close(&h);
    return event;
}

static void assert_json(json_t *actual, const char *expected) {
    json_error_t e;
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, &e);
    if (!wanted) fail_msg("the test's own JSON: %s", e.text);
    if (!json_equal(actual, wanted)) {
        char *text = json_dumps(actual, JSON_SORT_KEYS | JSON_ENCODE_ANY);
        fail_msg("got %s", text ? text : "nothing");
    }
    json_decref(wanted);
}

static void everything_at_once(void **state) {
    (void)state;
    static const char *const fields[][2] = {
        {"Host", "shop.example:8080"},
        {"User-Agent", "curl/8 \"x\""},
        {"Content-Type", "application/json; charset=utf-8"},
        {"X-Many", "a"},
        {"Cookie", "a=1; b=\"2\""},
        {"x-many", "b"},
        {"Cookie", " c=3 ;"},
        {"Connection", "keep-alive"},
        {"Execgate-Claims", "{}"},
        {"X-MANY", "c"},
    };
    struct event_case c = {"/items/a%2Fb?x=1&y=a+b&x=2&z&%C3%A9=%E2%82%AC", fields, ARRAY_LEN(fields),
                           SLICE("{\"item\":\"te\\u0061pot\"}")};
    json_t *event = event_of(&c);
    assert_json(
        event,
        "{\"version\":\"2.0\",\"routeKey\":\"POST /items/{id}\",\"rawPath\":\"/items/a%2Fb\","
        "\"rawQueryString\":\"x=1&y=a+b&x=2&z&%C3%A9=%E2%82%AC\","
        "\"cookies\":[\"a=1\",\"b=\\\"2\\\"\",\"c=3\"],"
        "\"headers\":{\"host\":\"shop.example:8080\",\"user-agent\":\"curl/8 \\\"x\\\"\","
        "\"content-type\":\"application/json; charset=utf-8\",\"x-many\":\"a,b,c\"},"
        "\"queryStringParameters\":{\"x\":\"1,2\",\"y\":\"a b\",\"z\":\"\",\"é\":\"€\"},"
        "\"requestContext\":{\"accountId\":\"012345678912\",\"apiId\":\"shop\",\"domainName\":\"shop.example\","
        "\"domainPrefix\":\"shop\",\"http\":{\"method\":\"POST\",\"path\":\"/items/a%2Fb\",\"protocol\":\"HTTP/1.1\","
        "\"sourceIp\":\"203.0.113.7\",\"userAgent\":\"curl/8 \\\"x\\\"\"},\"requestId\":\"r-1\","
        "\"routeKey\":\"POST /items/{id}\",\"stage\":\"$default\",\"time\":\"12/Mar/2020:19:03:58 +0000\","
        "\"timeEpoch\":1584039838000},\"pathParameters\":{\"id\":\"a/b\"},"
        "\"body\":\"{\\\"item\\\":\\\"te\\\\u0061pot\\\"}\",\"isBase64Encoded\":false}");
    json_decref(event);
}

static void absent_members_are_absent(void **state) {
    (void)state;
    static const char *const absent[] = {"cookies", "queryStringParameters", "body", "stageVariables"};
    struct event_case c = {"/items/1", NULL, 0, SLICE_NONE};
    json_t *event = event_of(&c);
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) assert_null(json_object_get(event, absent[i]));
    json_t *context = json_object_get(event, "requestContext");
    assert_null(json_object_get(context, "domainName"));
    assert_null(json_object_get(context, "authorizer"));
    assert_null(json_object_get(json_object_get(context, "http"), "userAgent"));
    assert_json(json_object_get(event, "headers"), "{}");
    assert_json(json_object_get(event, "rawQueryString"), "\"\"");
    assert_json(json_object_get(event, "isBase64Encoded"), "false");
    json_decref(event);
}

struct body_case {
    const char *type;
    struct slice body;
    const char *expected; /* JSON */
    bool base64;
};

static void bodies_are_text_or_base64(void **state) {
    (void)state;
    static const struct body_case cases[] = {
        {"text/plain", {"h\xc3\xa9llo\n", 7}, "\"h\\u00e9llo\\n\"", false},
        {"Application/JSON", {"{}", 2}, "\"{}\"", false},
        {"application/vnd.api+json; charset=utf-8", {"{}", 2}, "\"{}\"", false},
        {"image/svg+xml", {"<svg/>", 6}, "\"<svg/>\"", false},
        {"application/x-www-form-urlencoded", {"a=b", 3}, "\"a=b\"", false},
        {"text/plain", {"\xff\xfe", 2}, "\"//4=\"", true},
        {"application/json", {"\xc3", 1}, "\"ww==\"", true},
        {"application/octet-stream", {"abc", 3}, "\"YWJj\"", true},
        {"image/png", {"abc", 3}, "\"YWJj\"", true},
        {"application/jsonx", {"abc", 3}, "\"YWJj\"", true},
        {NULL, {"abc", 3}, "\"YWJj\"", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const fields[][2] = {{"Content-Type", cases[i].type}};
        struct event_case c = {"/items/1", fields, cases[i].type ? 1 : 0, cases[i].body};
        json_t *event = event_of(&c);
        assert_json(json_object_get(event, "body"), cases[i].expected);
        assert_int_equal(json_is_true(json_object_get(event, "isBase64Encoded")), cases[i].base64);
        json_decref(event);
    }
}

/* More names than are compared one by one; each twice. */
static void many_query_parameters(void **state) {
    (void)state;
    struct buf target = {0};
    buf_append_text(&target, "/items/1?");
    for (int i = 0; i < 2000; i++) buf_printf(&target, "n%d=%d&", i % 1000, i);
    buf_append_char(&target, '\0');
    struct event_case c = {target.p, NULL, 0, SLICE_NONE};
    json_t *event = event_of(&c);
    json_t *parameters = json_object_get(event, "queryStringParameters");
    assert_int_equal(json_object_size(parameters), 1000);
    assert_string_equal(json_string_value(json_object_get(parameters, "n0")), "0,1000");
    assert_string_equal(json_string_value(json_object_get(parameters, "n15")), "15,1015");
    assert_string_equal(json_string_value(json_object_get(parameters, "n16")), "16,1016");
    assert_string_equal(json_string_value(json_object_get(parameters, "n999")), "999,1999");
    json_decref(event);
    buf_free(&target);
}

static void hosts(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"shop.example", "shop.example", "shop"},
                                           {"[::1]:80", "[::1]", "[::1]"},
                                           {"[::1]", "[::1]", "[::1]"},
                                           {"a:1", "a", "a"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const fields[][2] = {{"Host", cases[i][0]}};
        struct event_case c = {"/items/1", fields, 1, SLICE_NONE};
        json_t *event = event_of(&c);
        json_t *context = json_object_get(event, "requestContext");
        assert_string_equal(json_string_value(json_object_get(context, "domainName")), cases[i][1]);
        assert_string_equal(json_string_value(json_object_get(context, "domainPrefix")), cases[i][2]);
        json_decref(event);
    }
}

/* Header values may hold any byte above 0x7f (RFC 9110 5.5), JSON may not. */
static void foreign_bytes_do_not_break_the_event(void **state) {
    (void)state;
    static const char *const fields[][2] = {{"X-Latin", "caf\xe9"}};
    struct event_case c = {"/items/%ff?q=%fe%00", fields, 1, SLICE_NONE};
    json_t *event = event_of(&c);
    assert_json(json_object_get(event, "headers"), "{\"x-latin\":\"caf\\ufffd\"}");
    json_decref(event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(absent_members_are_absent),
        cmocka_unit_test(bodies_are_text_or_base64),
        cmocka_unit_test(many_query_parameters),
        cmocka_unit_test(hosts),
        cmocka_unit_test(foreign_bytes_do_not_break_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
