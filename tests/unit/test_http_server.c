/* A real server and raw client sockets on loopback, on one thread: the client's side is driven while the loop runs. */
#include "gateway/source/http_server.h"
#include "gateway/source/listener.h"
#include "tests/support/client.h"
#include <stdio.h>

#define PARKED_MAX 64

/* What the server under test does is chosen by the target's first segment. */
struct bench {
    struct clock *clock;
    struct loop *loop;
    struct http_server *server;
    struct listener *listener;
    struct http_group group;
    struct http_exchange *parked[PARKED_MAX];
    size_t parked_count;
    struct http_canned *canned;
    struct body *answer; /* producer's end of a streamed answer */
    struct buf received; /* by on_data */
    size_t take;         /* how much on_data takes at most */
    size_t heads, ends, gone, done_replied, done_broken, data_calls, rooms;
    char trailer[32];
    char target[512];
    bool exact;
};

static struct bench *bench_of(struct http_exchange *x) {
    return http_server_context(http_exchange_server(x));
}

static void reply_text(struct http_exchange *x, int status, const char *text) {
    struct field type = {SLICE("Content-Type"), SLICE("text/plain")};
    struct fields fields = {&type, 1, 1};
    struct chunk *chunk = text[0] ? chunk_copy(slice_of(text)) : NULL;
    http_exchange_reply(x,
                        &(struct http_reply){.status = status, .headers = &fields, .take_body = body_of_chunk(chunk)});
}

static void park(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    assert_true(b->parked_count < PARKED_MAX);
    b->parked[b->parked_count++] = x;
}

static void stream(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    b->answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    http_exchange_reply(x, &(struct http_reply){.status = 200, .take_body = b->answer});
}

static void send_big(struct http_exchange *x) {
    char *bytes = xmalloc(3000000);
    memset(bytes, 'b', 3000000);
    http_exchange_reply_bytes(x, 200, NULL, bytes, 3000000);
}

static void read_body(struct http_exchange *x) {
    http_exchange_read(x);
}

static void refuse(struct http_exchange *x) {
    reply_text(x, 401, "no");
}

static void say_hello(struct http_exchange *x) {
    reply_text(x, 200, "hello");
}

static void say_canned(struct http_exchange *x) {
    http_exchange_reply_canned(x, bench_of(x)->canned);
}

static void break_off(struct http_exchange *x) {
    http_exchange_abort(x);
}

static void no_content(struct http_exchange *x) {
    reply_text(x, 204, "never seen");
}

static const struct {
    const char *prefix;
    void (*act)(struct http_exchange *x);
} behaviours[] = {
    {"/hello", say_hello}, {"/park", park},       {"/echo", read_body}, {"/refuse", refuse},     {"/stream", stream},
    {"/big", send_big},    {"/abort", break_off}, {"/204", no_content}, {"/canned", say_canned},
};

static void on_head(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    struct slice target = http_exchange_target(x);
    b->heads++;
    b->exact = http_exchange_head_is_exact(x);
    snprintf(b->target, sizeof b->target, SLICE_FMT, SLICE_ARG(target));
    for (size_t i = 0; i < ARRAY_LEN(behaviours); i++)
        if (slice_starts_with(target, slice_of(behaviours[i].prefix))) behaviours[i].act(x);
}

static size_t on_data(struct http_exchange *x, struct slice bytes) {
    struct bench *b = bench_of(x);
    size_t n = bytes.n < b->take ? bytes.n : b->take;
    b->data_calls++;
    b->take -= n;
    buf_append(&b->received, bytes.p, n);
    if (n < bytes.n) park(x);
    return n;
}

static void on_end(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    b->ends++;
    struct slice trailer = http_exchange_trailer(x, SLICE("X-Sum"));
    snprintf(b->trailer, sizeof b->trailer, SLICE_FMT, SLICE_ARG(trailer));
    size_t n = b->received.n;
    char *bytes = buf_take(&b->received, &n);
    http_exchange_reply_bytes(x, 200, NULL, bytes, n);
}

static void on_gone(struct http_exchange *x) {
    bench_of(x)->gone++;
}

static void on_done(struct http_exchange *x, bool replied) {
    struct bench *b = bench_of(x);
    if (replied)
        b->done_replied++;
    else
        b->done_broken++;
}

static void on_body_timeout(struct http_exchange *x) {
    reply_text(x, 408, "slow");
}

static void on_room(struct http_server *s) {
    ((struct bench *)http_server_context(s))->rooms++;
}

static const struct http_server_ops ops = {.on_head = on_head,
                                           .on_data = on_data,
                                           .on_end = on_end,
                                           .on_gone = on_gone,
                                           .on_body_timeout = on_body_timeout,
                                           .on_done = on_done,
                                           .on_room = on_room};

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct bench *b = context;
    http_server_add(b->server, &b->group, take_fd, peer);
}

static struct bench *bench_new(uint64_t timeout_ms) {
    struct bench *b = xcalloc(1, sizeof *b);
    struct error e;
    b->clock = clock_system_new();
    b->loop = loop_new(b->clock, &e);
    assert_non_null(b->loop);
    b->take = SIZE_MAX;
    http_group_init(&b->group, b);
    struct http_server_config config = {
        .ops = &ops, .phase = TURN_PUBLIC, .lanes = 3, .max_header = 16384, .max_connections = 100, .context = b};
    config.header_timeout_ms = config.body_timeout_ms = config.idle_timeout_ms = timeout_ms;
    b->server = http_server_new(b->loop, &config, &e);
    assert_non_null(b->server);
    b->canned = http_canned_new(202, "application/json", SLICE("{}"));
    struct listener_config where = {.kind = LISTENER_TCP, .host = "127.0.0.1", .text = "127.0.0.1:0"};
    b->listener = listener_open(b->loop, &where, on_accept, b, &e);
    assert_non_null(b->listener);
    return b;
}

static bool no_connections(void *context) {
    return http_server_connections(((struct bench *)context)->server) == 0;
}

static bool one_connection(void *context) {
    return http_server_connections(((struct bench *)context)->server) == 1;
}

static void bench_free(struct bench *b) {
    http_group_close(&b->group);
    assert_true(loop_run_until(b->loop, no_connections, b, WAIT_MS));
    assert_int_equal(http_server_exchanges(b->server), 0);
    assert_int_equal(b->heads, b->done_replied + b->done_broken);
    if (b->answer) body_release_producer(b->answer);
    http_canned_free(b->canned);
    listener_close(b->listener);
    http_server_free(b->server);
    loop_free(b->loop);
    clock_system_free(b->clock);
    buf_free(&b->received);
    free(b);
}

static struct client *visitor(struct bench *b) {
    return client_new(b->loop, listener_port(b->listener));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: test\r\n\r\n"

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
        cmocka_unit_test(test_client_leaves_while_parked),
        cmocka_unit_test(test_client_leaves_a_stream),
        cmocka_unit_test(test_client_leaves_in_mid_upload),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_group_close),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_slow_header_is_cut),
        cmocka_unit_test(test_slow_body_is_told),
        cmocka_unit_test(test_idle_connection_is_closed),
        cmocka_unit_test(test_reader_that_does_not_read_is_cut),
        cmocka_unit_test(test_parked_exchanges_have_no_timeout),
        cmocka_unit_test(test_full_house),
        cmocka_unit_test(test_heads_that_are_not_exact),
        cmocka_unit_test(test_long_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
