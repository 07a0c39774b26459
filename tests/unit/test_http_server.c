/* The life of an exchange, seen by raw clients on loopback. */
#include "tests/support/server.h"

static void test_keep_alive(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    for (int i = 0; i < 3; i++) {
        client_send(c, GET("/hello?a=%20b"));
        client_expect(c, "HTTP/1.1 200 OK\r\n");
        client_expect(c, "Content-Length: 5\r\n\r\nhello");
    }
    assert_string_equal(b->target, "/hello?a=%20b");
    assert_true(b->exact);
    assert_int_equal(http_server_counters(b->server)->connections, 1);
    wait_count(b->loop, &b->done_replied, 3);
    client_free(c);
    bench_free(b);
}

static void test_post_without_body_keeps_alive(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    client_expect(c, "\r\n\r\nhello");
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    client_expect(c, "Content-Length: 0\r\n\r\n");
    assert_int_equal(b->ends, 1);
    client_free(c);
    bench_free(b);
}

static void test_upload(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234");
    wait_count(b->loop, &b->received.n, 5);
    client_send(c, "56789");
    client_expect(c, "\r\n\r\n0123456789");
    client_send(c, GET("/hello"));
    client_expect(c, "\r\n\r\nhello");
    client_free(c);
    bench_free(b);
}

static void test_chunked_upload_with_trailer(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "PUT /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_send(c, "5;x=y\r\ndefgh\r\n0\r\nX-Sum: 42\r\n\r\n");
    client_expect(c, "\r\n\r\nabcdefgh");
    assert_string_equal(b->trailer, "42");
    client_send(c, GET("/hello"));
    client_expect(c, "\r\n\r\nhello");
    client_free(c);
    bench_free(b);
}

static void test_parked_and_answered_later(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    for (size_t i = 1; i <= 3; i++) {
        client_send(c, GET("/park"));
        wait_count(b->loop, &b->parked_count, i);
        reply_text(b->parked[i - 1], 200, "late");
        client_expect(c, "\r\n\r\nlate");
    }
    client_free(c);
    bench_free(b);
}

static void test_answers_out_of_order_and_pipelining(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *one = visitor(b), *two = visitor(b);
    client_send(one, GET("/park/1") GET("/hello") GET("/park/2"));
    wait_count(b->loop, &b->parked_count, 1);
    client_send(two, GET("/park/3"));
    wait_count(b->loop, &b->parked_count, 2);
    reply_text(b->parked[1], 200, "third");
    client_expect(two, "third");
    assert_false(client_has(one, "HTTP"));
    reply_text(b->parked[0], 200, "first");
    client_expect(one, "first");
    client_expect(one, "hello");
    wait_count(b->loop, &b->parked_count, 3);
    reply_text(b->parked[2], 200, "second");
    client_expect(one, "second");
    client_free(one);
    client_free(two);
    bench_free(b);
}

/* libmicrohttpd reports a resume to nobody: an answer that comes while nothing else happens must go out all the same.
 */
static void test_no_wake_up_is_lost(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    enum { N = 40 };
    struct client *clients[N];
    for (size_t i = 0; i < N; i++) {
        clients[i] = visitor(b);
        client_send(clients[i], GET("/park"));
    }
    wait_count(b->loop, &b->parked_count, N);
    run_on(b->loop, 150);
    for (size_t i = N; i > 0; i--) reply_text(b->parked[i - 1], 200, "awake");
    for (size_t i = 0; i < N; i++) client_expect(clients[i], "awake");
    for (size_t i = 0; i < N; i++) client_free(clients[i]);
    bench_free(b);
}

static void test_continue_is_held_until_read(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /park HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    wait_count(b->loop, &b->parked_count, 1);
    run_on(b->loop, 50);
    client_pump(c);
    assert_int_equal(c->in.n, 0);
    http_exchange_read(b->parked[0]);
    client_expect(c, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(c, "abc");
    client_expect(c, "\r\n\r\nabc");
    client_send(c, GET("/hello"));
    client_expect(c, "\r\n\r\nhello");
    client_free(c);
    bench_free(b);
}

static void test_refusal_without_the_upload(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /refuse HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    client_expect(c, "HTTP/1.1 401 Unauthorized\r\n");
    client_expect(c, "Connection: close\r\n");
    client_expect(c, "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nno");
    client_expect_end(c);
    assert_false(client_has(c, "100"));
    client_free(c);
    bench_free(b);
}

/* The rest of a small upload is cheaper to read than a new connection. */
static void test_refusal_of_a_small_upload_keeps_alive(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /refuse HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc" GET("/hello"));
    client_expect(c, "HTTP/1.1 401 Unauthorized\r\n");
    client_expect(c, "\r\n\r\nno");
    client_expect(c, "\r\n\r\nhello");
    assert_int_equal(b->data_calls, 0);
    client_free(c);
    bench_free(b);
}

/* A client that goes on sending after the refusal reads the answer, not a reset. */
static void test_refusal_of_a_large_upload_lingers(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /refuse HTTP/1.1\r\nHost: test\r\nContent-Length: 9000000\r\n\r\n");
    static char piece[50000];
    memset(piece, 'x', sizeof piece - 1);
    for (int i = 0; i < 5; i++) client_send(c, piece);
    client_expect(c, "HTTP/1.1 401 Unauthorized\r\n");
    client_expect(c, "\r\n\r\nno");
    for (int i = 0; i < 5; i++) {
        client_send(c, piece);
        run_on(b->loop, 10);
    }
    client_expect_end(c);
    shutdown(c->fd, SHUT_WR);
    wait_count(b->loop, &b->done_replied, 1);
    client_free(c);
    bench_free(b);
}

static void test_parked_then_refused(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /park HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    wait_count(b->loop, &b->parked_count, 1);
    reply_text(b->parked[0], 403, "never");
    client_expect(c, "HTTP/1.1 403 Forbidden\r\n");
    client_expect(c, "\r\n\r\nnever");
    client_expect_end(c);
    client_free(c);
    bench_free(b);
}

static void test_upload_back_pressure(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    b->take = 4;
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789");
    wait_count(b->loop, &b->parked_count, 1);
    size_t calls = b->data_calls;
    run_on(b->loop, 50);
    assert_int_equal(b->data_calls, calls);
    assert_int_equal(b->received.n, 4);
    b->take = 3;
    http_exchange_read(b->parked[0]);
    wait_count(b->loop, &b->parked_count, 2);
    b->take = SIZE_MAX;
    http_exchange_read(b->parked[1]);
    client_expect(c, "\r\n\r\n0123456789");
    client_free(c);
    bench_free(b);
}

static void test_answer_in_mid_upload(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    b->take = 4;
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n");
    wait_count(b->loop, &b->parked_count, 1);
    reply_text(b->parked[0], 413, "large");
    client_expect(c, "HTTP/1.1 413 ");
    client_expect(c, "\r\n\r\nlarge");
    client_expect_end(c);
    client_free(c);
    bench_free(b);
}

static void test_streamed_answer(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "Transfer-Encoding: chunked\r\n\r\n");
    body_append_copy(b->answer, SLICE("abc"));
    client_expect(c, "3\r\nabc\r\n");
    run_on(b->loop, 120);
    body_append_copy(b->answer, SLICE("defg"));
    client_expect(c, "4\r\ndefg\r\n");
    body_finish(b->answer);
    client_expect(c, "0\r\n\r\n");
    wait_count(b->loop, &b->done_replied, 1);
    client_send(c, GET("/hello"));
    client_expect(c, "\r\n\r\nhello");
    client_free(c);
    bench_free(b);
}

static void test_streamed_answer_to_http_1_0(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "GET /stream HTTP/1.0\r\n\r\n");
    client_expect(c, "Connection: close\r\n\r\n");
    body_append_copy(b->answer, SLICE("abc"));
    body_finish(b->answer);
    client_expect(c, "abc");
    client_expect_end(c);
    client_free(c);
    bench_free(b);
}

static void test_streamed_answer_fails(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "Transfer-Encoding: chunked\r\n\r\n");
    body_append_copy(b->answer, SLICE("abc"));
    client_expect(c, "3\r\nabc\r\n");
    body_fail(b->answer, "gone");
    client_expect_end(c);
    assert_int_equal(c->in.n, 0);
    wait_count(b->loop, &b->done_broken, 1);
    client_free(c);
    bench_free(b);
}

/* A reader that does not read holds the producer back. */
static void test_streamed_answer_back_pressure(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "\r\n\r\n");
    static char piece[100000];
    memset(piece, 's', sizeof piece);
    size_t produced = 0;
    for (int i = 0; i < 400; i++) {
        for (; body_wants(b->answer) && produced < 60000000; produced += sizeof piece)
            body_append_copy(b->answer, slice_make(piece, sizeof piece));
        run_on(b->loop, 1);
    }
    assert_in_range(produced, 100000, 40000000);
    body_finish(b->answer);
    client_expect_size(c, produced);
    client_expect(c, "\r\n0\r\n\r\n");
    client_free(c);
    bench_free(b);
}

static void test_large_answer(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/big"));
    client_expect(c, "Content-Length: 3000000\r\n\r\n");
    client_expect_size(c, 3000000);
    assert_int_equal(c->in.n, 3000000);
    client_free(c);
    bench_free(b);
}

static void test_head(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    client_expect(c, "Content-Length: 5\r\n\r\n");
    client_send(c, "HEAD /big HTTP/1.1\r\nHost: test\r\n\r\n");
    client_expect(c, "Content-Length: 3000000\r\n\r\n");
    client_send(c, "GET /204 HTTP/1.1\r\nHost: test\r\n\r\n");
    client_expect(c, "HTTP/1.1 204 No Content\r\n");
    client_expect(c, "\r\n\r\n");
    assert_int_equal(c->in.n, 0);
    client_send(c, GET("/hello"));
    client_expect(c, "\r\n\r\nhello");
    client_free(c);
    bench_free(b);
}

/* No chunk, no false length; what cannot be framed closes the connection. */
static void test_head_of_a_stream(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "HEAD /stream HTTP/1.1\r\nHost: test\r\n\r\n" GET("/hello"));
    client_expect(c, "HTTP/1.1 200 OK\r\n");
    client_expect(c, "Connection: close\r\n\r\n");
    client_expect_end(c);
    assert_int_equal(c->in.n, 0);
    assert_true(body_abandoned(b->answer));
    client_free(c);
    bench_free(b);
}

static void test_heads_that_are_not_exact(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        bool exact;
    } rows[] = {
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA: b \r\n\r\n"), true},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA:b\r\nC:  d\r\n\r\n"), true},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA:\r\nC:  \r\n\r\n"), true},
        {SLICE("\r\nGET /hello?a=b&c&d=e HTTP/1.1\r\nHost: test\r\n\r\n"), true},
        {SLICE("GET /hello HTTP/1.1\nHost: test\r\nA: b\r\n\r\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\nA: b\r\n\r\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA: b\n\r\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA: b\r\n\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA: b\r\n c\r\n\r\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: te\0st\r\nA: b\r\n\r\n"), false},
        {SLICE("GET /hello HTTP/1.1\r\nHost: test\r\nA: b\0\r\n\r\n"), false},
        {SLICE("GET /hello\0/x HTTP/1.1\r\nHost: test\r\n\r\n"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench *b = bench_new(0);
        struct client *c = visitor(b);
        client_send_slice(c, rows[i].bytes);
        client_expect(c, "hello");
        if (b->exact != rows[i].exact) fail_msg("row %zu", i);
        client_free(c);
        bench_free(b);
    }
}

static void test_long_target(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    char text[600];
    memset(text, 'q', sizeof text);
    char request[800];
    snprintf(request, sizeof request, "GET /hello?%.400s HTTP/1.1\r\nHost: test\r\n\r\n", text);
    client_send(c, request);
    client_expect(c, "hello");
    assert_int_equal(strlen(b->target), 407);
    client_send(c, GET("/hello?short"));
    client_expect(c, "hello");
    assert_string_equal(b->target, "/hello?short");
    client_free(c);
    bench_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_post_without_body_keeps_alive),
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_chunked_upload_with_trailer),
        cmocka_unit_test(test_parked_and_answered_later),
        cmocka_unit_test(test_answers_out_of_order_and_pipelining),
        cmocka_unit_test(test_no_wake_up_is_lost),
        cmocka_unit_test(test_continue_is_held_until_read),
        cmocka_unit_test(test_refusal_without_the_upload),
        cmocka_unit_test(test_refusal_of_a_small_upload_keeps_alive),
        cmocka_unit_test(test_refusal_of_a_large_upload_lingers),
        cmocka_unit_test(test_parked_then_refused),
        cmocka_unit_test(test_upload_back_pressure),
        cmocka_unit_test(test_answer_in_mid_upload),
        cmocka_unit_test(test_streamed_answer),
        cmocka_unit_test(test_streamed_answer_to_http_1_0),
        cmocka_unit_test(test_streamed_answer_fails),
        cmocka_unit_test(test_streamed_answer_back_pressure),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_of_a_stream),
        cmocka_unit_test(test_heads_that_are_not_exact),
        cmocka_unit_test(test_long_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
