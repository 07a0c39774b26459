/* How exchanges and connections end otherwise than by an answer: clients that leave or dawdle, groups, drain, a full
 * house. */
#include "tests/support/server.h"

static void test_client_leaves_while_parked(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/park"));
    wait_count(b->loop, &b->parked_count, 1);
    run_on(b->loop, 150);
    client_leave(c);
    wait_count(b->loop, &b->gone, 1);
    wait_count(b->loop, &b->done_broken, 1);
    client_free(c);
    c = visitor(b);
    client_send(c, GET("/park"));
    wait_count(b->loop, &b->parked_count, 2);
    shutdown(c->fd, SHUT_WR);
    wait_count(b->loop, &b->gone, 2);
    wait_count(b->loop, &b->done_broken, 2);
    client_free(c);
    bench_free(b);
}

static void test_client_leaves_a_stream(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "\r\n\r\n");
    client_leave(c);
    wait_count(b->loop, &b->done_broken, 1);
    assert_true(body_abandoned(b->answer));
    client_free(c);
    bench_free(b);
}

static void test_client_leaves_in_mid_upload(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123");
    wait_count(b->loop, &b->received.n, 4);
    client_leave(c);
    wait_count(b->loop, &b->done_broken, 1);
    assert_int_equal(b->ends, 0);
    client_free(c);
    bench_free(b);
}

static void test_abort(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/abort"));
    client_expect_end(c);
    wait_count(b->loop, &b->done_broken, 1);
    client_free(c);
    c = visitor(b);
    client_send(c, GET("/park"));
    wait_count(b->loop, &b->parked_count, 1);
    http_exchange_abort(b->parked[0]);
    reply_text(b->parked[0], 200, "too late");
    client_expect_end(c);
    assert_int_equal(c->in.n, 0);
    wait_count(b->loop, &b->done_broken, 2);
    client_free(c);
    bench_free(b);
}

static void test_group_close(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *parked = visitor(b), *idle = visitor(b);
    client_send(parked, GET("/park"));
    client_send(idle, GET("/hello"));
    client_expect(idle, "hello");
    wait_count(b->loop, &b->parked_count, 1);
    http_group_close(&b->group);
    assert_null(http_exchange_group(b->parked[0]));
    client_expect_end(parked);
    client_expect_end(idle);
    assert_true(loop_run_until(b->loop, no_connections, b, WAIT_MS));
    assert_int_equal(b->done_broken, 1);
    client_free(parked);
    client_free(idle);
    bench_free(b);
}

static void test_drain(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *parked = visitor(b), *idle = visitor(b), *fresh = visitor(b);
    client_send(parked, GET("/park"));
    client_send(idle, GET("/canned"));
    client_expect(idle, "HTTP/1.1 202 Accepted\r\n");
    client_expect(idle, "\r\n\r\n{}");
    wait_count(b->loop, &b->parked_count, 1);
    wait_count(b->loop, &b->done_replied, 1);
    http_server_drain(b->server);
    client_expect_end(idle);
    client_expect_end(fresh);
    assert_true(loop_run_until(b->loop, one_connection, b, WAIT_MS));
    http_exchange_reply_canned(b->parked[0], b->canned);
    client_expect(parked, "Connection: close\r\n");
    client_expect(parked, "\r\n\r\n{}");
    client_expect_end(parked);
    assert_true(loop_run_until(b->loop, no_connections, b, WAIT_MS));
    client_free(parked);
    client_free(idle);
    client_free(fresh);
    bench_free(b);
}

/* Its head is out already and promised to keep the connection; the connection ends after it all the same. */
static void test_drain_ends_a_stream_that_had_begun(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "\r\n\r\n");
    http_server_drain(b->server);
    body_append_copy(b->answer, SLICE("last"));
    body_finish(b->answer);
    client_expect(c, "4\r\nlast\r\n0\r\n\r\n");
    client_expect_end(c);
    assert_true(loop_run_until(b->loop, no_connections, b, WAIT_MS));
    assert_int_equal(b->done_replied, 1);
    client_free(c);
    bench_free(b);
}

static void test_slow_header_is_cut(void **state) {
    (void)state;
    struct bench *b = bench_new(300);
    struct client *c = visitor(b);
    client_send(c, "GET /hello HTTP/1.1\r\n");
    for (int i = 0; i < 300 && !c->ended; i++) {
        send(c->fd, "X", 1, MSG_NOSIGNAL);
        run_on(b->loop, 10);
        client_pump(c);
    }
    assert_true(c->ended);
    assert_int_equal(http_server_counters(b->server)->header_timeouts, 1);
    assert_int_equal(b->heads, 0);
    client_free(c);
    bench_free(b);
}

static void test_slow_body_is_told(void **state) {
    (void)state;
    struct bench *b = bench_new(300);
    struct client *c = visitor(b);
    client_send(c, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n012");
    client_expect(c, "HTTP/1.1 408 Request Timeout\r\n");
    client_expect(c, "\r\n\r\nslow");
    client_expect_end(c);
    assert_int_equal(http_server_counters(b->server)->body_timeouts, 1);
    client_free(c);
    bench_free(b);
}

static void test_idle_connection_is_closed(void **state) {
    (void)state;
    struct bench *b = bench_new(300);
    struct client *c = visitor(b);
    client_send(c, GET("/hello"));
    client_expect(c, "hello");
    client_expect_end(c);
    assert_int_equal(http_server_counters(b->server)->idle_timeouts, 1);
    client_free(c);
    bench_free(b);
}

static void test_reader_that_does_not_read_is_cut(void **state) {
    (void)state;
    struct bench *b = bench_new(300);
    struct client *c = visitor(b);
    client_send(c, GET("/stream"));
    client_expect(c, "\r\n\r\n");
    static char piece[200000];
    for (int i = 0; i < 500 && b->done_broken == 0; i++) {
        if (body_wants(b->answer)) body_append_copy(b->answer, slice_make(piece, sizeof piece));
        run_on(b->loop, 10);
    }
    assert_int_equal(b->done_broken, 1);
    assert_int_equal(http_server_counters(b->server)->send_timeouts, 1);
    client_free(c);
    bench_free(b);
}

static void test_parked_exchanges_have_no_timeout(void **state) {
    (void)state;
    struct bench *b = bench_new(300);
    struct client *c = visitor(b);
    client_send(c, GET("/park"));
    wait_count(b->loop, &b->parked_count, 1);
    run_on(b->loop, 1500);
    reply_text(b->parked[0], 200, "patience");
    client_expect(c, "patience");
    client_free(c);
    bench_free(b);
}

static void test_full_house(void **state) {
    (void)state;
    struct bench *b = bench_new(0);
    struct client *clients[101];
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) clients[i] = visitor(b);
    client_expect_end(clients[100]);
    assert_int_equal(http_server_connections(b->server), 100);
    assert_int_equal(http_server_counters(b->server)->refused_connections, 1);
    client_send(clients[99], GET("/hello"));
    client_expect(clients[99], "hello");
    client_leave(clients[0]);
    wait_count(b->loop, &b->rooms, 1);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) client_free(clients[i]);
    bench_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_leaves_while_parked),
        cmocka_unit_test(test_client_leaves_a_stream),
        cmocka_unit_test(test_client_leaves_in_mid_upload),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_group_close),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_ends_a_stream_that_had_begun),
        cmocka_unit_test(test_slow_header_is_cut),
        cmocka_unit_test(test_slow_body_is_told),
        cmocka_unit_test(test_idle_connection_is_closed),
        cmocka_unit_test(test_reader_that_does_not_read_is_cut),
        cmocka_unit_test(test_parked_exchanges_have_no_timeout),
        cmocka_unit_test(test_full_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
