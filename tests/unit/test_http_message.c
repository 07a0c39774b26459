/* Heads of answers and of CGI documents, what of them reaches a client, and events as request messages. */
#include "gateway/base/memory.h"
#include "local-api/http_message.h"
#include "tests/support/house.h"
#include "tests/unit/unit.h"

struct head_case {
    const char *text;
    enum head_result result;
    int status;
    int64_t length;
    size_t fields;
    size_t after; /* bytes that follow the head */
};

static const struct head_case response_cases[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", HEAD_COMPLETE, 200, -1, 0, 0},
    {"HTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 12\r\n\r\nhello", HEAD_COMPLETE, 201, 12, 2, 5},
    {"HTTP/1.0 404\r\n\r\n", HEAD_COMPLETE, 404, -1, 0, 0},
    {"HTTP/1.1 204 \r\n\r\n", HEAD_COMPLETE, 204, -1, 0, 0},
    {"HTTP/1.1 200 OK\r\nA:b\r\nA: \t c \t\r\nEmpty:\r\n\r\n", HEAD_COMPLETE, 200, -1, 3, 0},
    {"HTTP/1.1 099 Odd\r\n\r\n", HEAD_COMPLETE, 99, -1, 0, 0},
    {"", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\n", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\r\n\r", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"HTTP/2.0 200 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1  200 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 20 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 2x0 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 O\x01K\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\n\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_INVALID, 0, 0, 0, 0},
};

static const struct head_case cgi_cases[] = {
    {"Content-Type: text/plain\n\nbody", HEAD_COMPLETE, 200, -1, 1, 4},
    {"Content-Type: text/plain\r\n\r\nbody", HEAD_COMPLETE, 200, -1, 1, 4},
    {"Status: 404 Not Found\nX: y\n\n", HEAD_COMPLETE, 404, -1, 1, 0},
    {"Status: 503\n\n", HEAD_COMPLETE, 503, -1, 0, 0},
    {"Location: https://a.example/\n\n", HEAD_COMPLETE, 302, -1, 1, 0},
    {"Location: /here\nStatus: 301 Moved\n\n", HEAD_COMPLETE, 301, -1, 1, 0},
    {"Content-Length: 3\n\nabc", HEAD_COMPLETE, 200, 3, 1, 3},
    {"Content-Type: text/plain\n", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"Content-Type", HEAD_INCOMPLETE, 0, 0, 0, 0},
    {"hello world\n", HEAD_INVALID, 0, 0, 0, 0},
    {"\n", HEAD_INVALID, 0, 0, 0, 0},
    {"Status: 99 Odd\n\n", HEAD_INVALID, 0, 0, 0, 0},
    {"Status: 600 Odd\n\n", HEAD_INVALID, 0, 0, 0, 0},
    {"Status: fine\n\n", HEAD_INVALID, 0, 0, 0, 0},
    {"<html>: x\n\n", HEAD_INVALID, 0, 0, 0, 0},
};

typedef enum head_result parse(struct response_head *, struct arena *, struct slice, struct error *);

static void check_head(const struct head_case *c, parse *parse_head) {
    struct arena a;
    struct response_head head;
    struct error e = {0};
    arena_init(&a, 256);
    enum head_result result = parse_head(&head, &a, slice_of(c->text), &e);
    if (result != c->result) fail_msg("\"%s\": %d", c->text, result);
    if (result == HEAD_INVALID) assert_true(e.message[0]);
    if (result == HEAD_COMPLETE) {
        assert_int_equal(head.status, c->status);
        assert_int_equal(head.content_length, c->length);
        assert_int_equal(head.fields.count, c->fields);
        assert_int_equal(strlen(c->text) - head.size, c->after);
    }
    arena_free(&a);
}

static void response_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(response_cases); i++) check_head(&response_cases[i], response_head_parse);
}

static void cgi_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cgi_cases); i++) check_head(&cgi_cases[i], cgi_head_parse);
}

/* Cut anywhere, a head is incomplete, never something else. */
static void a_head_may_be_cut_anywhere(void **state) {
    (void)state;
    const struct slice whole = SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n");
    struct arena a;
    struct response_head head;
    struct error e;
    arena_init(&a, 256);
    for (size_t n = 0; n < whole.n; n++) {
        char *copy = slice_dup(slice_make(whole.p, n));
        assert_int_equal(response_head_parse(&head, &a, slice_make(copy, n), &e), HEAD_INCOMPLETE);
        free(copy);
    }
    assert_int_equal(response_head_parse(&head, &a, whole, &e), HEAD_COMPLETE);
    arena_free(&a);
}

static void heads_are_bounded(void **state) {
    (void)state;
    struct arena a;
    struct response_head head;
    struct error e;
    struct buf text = {0};
    arena_init(&a, 256);
    buf_append_text(&text, "HTTP/1.1 200 OK\r\nX: ");
    while (text.n < HTTP_MESSAGE_MAX_HEAD - 1) buf_append_char(&text, 'x');
    assert_int_equal(response_head_parse(&head, &a, buf_slice(&text), &e), HEAD_INCOMPLETE);
    buf_append_char(&text, 'x');
    assert_int_equal(response_head_parse(&head, &a, buf_slice(&text), &e), HEAD_INVALID);
    text.n = 0;
    buf_append_text(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= HTTP_MESSAGE_MAX_FIELDS; i++) buf_append_text(&text, "A: b\r\n");
    assert_int_equal(response_head_parse(&head, &a, buf_slice(&text), &e), HEAD_INVALID);
    buf_free(&text);
    arena_free(&a);
}

static void a_client_sees_only_what_is_meant_for_it(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = house_item(&h);
    struct fields sent = {0}, seen = {0};
    static const char *const given[][2] = {
        {"Content-Type", "text/plain"},
        {"Connection", "x-private, close"},
        {"X-Private", "1"},
        {"Keep-Alive", "5"},
        {"Content-Length", "3"},
        {"Execgate-Invocation-Id", "1"},
        {"execgate-error", "x"},
        {"Transfer-Encoding", "chunked"},
        {"bad name", "1"},
        {"X-Bad", "a\r\nb: c"},
        {"Set-Cookie", "a=1"},
        {"Set-Cookie", "b=2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        fields_add(&sent, &inv->arena, slice_of(given[i][0]), slice_of(given[i][1]));
    answer_fields_copy(inv, &sent, &seen);
    assert_int_equal(seen.count, 3);
    assert_slice(seen.items[0].name, "Content-Type");
    assert_slice(seen.items[1].value, "a=1");
    assert_slice(seen.items[2].value, "b=2");
    assert_ptr_not_equal(seen.items[0].value.p, given[0][1]);
    pipeline_run(inv);
    assert_true(invocation_complete(inv, house_answer("")));
    house_close(&h);
}

static void an_event_is_a_request_message(void **state) {
    (void)state;
    struct house h;
    struct buf out = {0};
    house_open(&h);
    struct invocation *inv = house_invocation(&h, "POST", "http://shop.example/items/a%2Fb%20c?x=1&y=%zz");
    static const char *const fields[][2] = {
        {"Host", "other.example"},
        {"Accept", "*/*"},
        {"Accept", "text/plain"},
        {"Connection", "keep-alive, X-Hop"},
        {"X-Hop", "1"},
        {"Execgate-Claims", "forged"},
        {"Content-Length", "999"},
        {"Transfer-Encoding", "chunked"},
        {"Expect", "100-continue"},
        {"traceparent", "00-11111111111111111111111111111111-2222222222222222-00"},
        {"Cookie", "a=b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields_add(&inv->request.headers, &inv->arena, slice_of(fields[i][0]), slice_of(fields[i][1]));
    inv->request.host = SLICE("shop.example");
    inv->request.client_address = SLICE("203.0.113.7");
    inv->request_id = SLICE("r-1");
    inv->body = body_of_chunk(chunk_copy(SLICE("{\"item\":\"teapot\"}")));
    memcpy(inv->id, "6f1c0000-0000-4000-8000-000000000000", UUID_TEXT_SIZE);
    memcpy(inv->trace_id, "0af7651916cd43dd8448eb211c80319c", 32);
    memcpy(inv->parent_id, "b7ad6b7169203331", 16);
    inv->trace_sampled = true;
    pipeline_run(inv);
    event_message_write(&out, inv, 1767225600000);
    assert_slice(buf_slice(&out), "POST /items/a%2Fb%20c?x=1&y=%zz HTTP/1.1\r\n"
                                  "Execgate-Invocation-Id: 6f1c0000-0000-4000-8000-000000000000\r\n"
                                  "Execgate-Trigger: http\r\n"
                                  "Execgate-Route: POST /items/{id}\r\n"
                                  "Execgate-Parameters: id=a%2Fb%20c\r\n"
                                  "Execgate-Deadline: 1767225600000\r\n"
                                  "Execgate-Client-Address: 203.0.113.7\r\n"
                                  "Execgate-Request-Id: r-1\r\n"
                                  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                                  "Host: shop.example\r\n"
                                  "Accept: */*\r\n"
                                  "Accept: text/plain\r\n"
                                  "Cookie: a=b\r\n"
                                  "Content-Length: 17\r\n"
                                  "\r\n"
                                  "{\"item\":\"teapot\"}");
    buf_free(&out);
    assert_true(invocation_complete(inv, house_answer("")));
    house_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_heads),
        cmocka_unit_test(cgi_heads),
        cmocka_unit_test(a_head_may_be_cut_anywhere),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(a_client_sees_only_what_is_meant_for_it),
        cmocka_unit_test(an_event_is_a_request_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
