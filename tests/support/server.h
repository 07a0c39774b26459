/* server.h - a real HTTP server in a loop, for unit tests, with an owner of its exchanges that does what the target's
 * first segment says and counts what happens.
 */
#pragma once
#include "gateway/source/http/http_server.h"
#include "gateway/source/listen/listener.h"
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

static inline struct bench *bench_of(struct http_exchange *x) {
    return http_server_context(http_exchange_server(x));
}

static inline void reply_text(struct http_exchange *x, int status, const char *text) {
    struct field type = {SLICE("Content-Type"), SLICE("text/plain")};
    struct fields fields = {&type, 1, 1};
    struct chunk *chunk = text[0] ? chunk_copy(slice_of(text)) : NULL;
    http_exchange_reply(x,
                        &(struct http_reply){.status = status, .headers = &fields, .take_body = body_of_chunk(chunk)});
}

static inline void park(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    assert_true(b->parked_count < PARKED_MAX);
    b->parked[b->parked_count++] = x;
}

static inline void stream(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    b->answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    http_exchange_reply(x, &(struct http_reply){.status = 200, .take_body = b->answer});
}

static inline void send_big(struct http_exchange *x) {
    char *bytes = xmalloc(3000000);
    memset(bytes, 'b', 3000000);
    http_exchange_reply_bytes(x, 200, NULL, bytes, 3000000);
}

static inline void read_body(struct http_exchange *x) {
    http_exchange_read(x);
}

static inline void refuse(struct http_exchange *x) {
    reply_text(x, 401, "no");
}

static inline void say_hello(struct http_exchange *x) {
    reply_text(x, 200, "hello");
}

static inline void say_canned(struct http_exchange *x) {
    http_exchange_reply_canned(x, bench_of(x)->canned);
}

static inline void break_off(struct http_exchange *x) {
    http_exchange_abort(x);
}

static inline void no_content(struct http_exchange *x) {
    reply_text(x, 204, "never seen");
}

static const struct {
    const char *prefix;
    void (*act)(struct http_exchange *x);
} behaviours[] = {
    {"/hello", say_hello}, {"/park", park},       {"/echo", read_body}, {"/refuse", refuse},     {"/stream", stream},
    {"/big", send_big},    {"/abort", break_off}, {"/204", no_content}, {"/canned", say_canned},
};

static inline void on_head(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    struct slice target = http_exchange_target(x);
    b->heads++;
    b->exact = http_exchange_head_is_exact(x);
    snprintf(b->target, sizeof b->target, SLICE_FMT, SLICE_ARG(target));
    for (size_t i = 0; i < ARRAY_LEN(behaviours); i++)
        if (slice_starts_with(target, slice_of(behaviours[i].prefix))) behaviours[i].act(x);
}

static inline size_t on_data(struct http_exchange *x, struct slice bytes) {
    struct bench *b = bench_of(x);
    size_t n = bytes.n < b->take ? bytes.n : b->take;
    b->data_calls++;
    b->take -= n;
    buf_append(&b->received, bytes.p, n);
    if (n < bytes.n) park(x);
    return n;
}

static inline void on_end(struct http_exchange *x) {
    struct bench *b = bench_of(x);
    b->ends++;
    struct slice trailer = http_exchange_trailer(x, SLICE("X-Sum"));
    snprintf(b->trailer, sizeof b->trailer, SLICE_FMT, SLICE_ARG(trailer));
    size_t n = b->received.n;
    char *bytes = buf_take(&b->received, &n);
    http_exchange_reply_bytes(x, 200, NULL, bytes, n);
}

static inline void on_gone(struct http_exchange *x) {
    bench_of(x)->gone++;
}

static inline void on_done(struct http_exchange *x, bool replied) {
    struct bench *b = bench_of(x);
    if (replied)
        b->done_replied++;
    else
        b->done_broken++;
}

static inline void on_body_timeout(struct http_exchange *x) {
    reply_text(x, 408, "slow");
}

static inline void on_room(struct http_server *s) {
    ((struct bench *)http_server_context(s))->rooms++;
}

static const struct http_server_ops ops = {.on_head = on_head,
                                           .on_data = on_data,
                                           .on_end = on_end,
                                           .on_gone = on_gone,
                                           .on_body_timeout = on_body_timeout,
                                           .on_done = on_done,
                                           .on_room = on_room};

static inline void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct bench *b = context;
    http_server_add(b->server, &b->group, take_fd, peer);
}

static inline struct bench *bench_new(uint64_t timeout_ms) {
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

static inline bool no_connections(void *context) {
    return http_server_connections(((struct bench *)context)->server) == 0;
}

static inline bool one_connection(void *context) {
    return http_server_connections(((struct bench *)context)->server) == 1;
}

static inline void bench_free(struct bench *b) {
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

static inline struct client *visitor(struct bench *b) {
    return client_new(b->loop, listener_port(b->listener));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: test\r\n\r\n"
