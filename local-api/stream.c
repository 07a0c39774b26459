#include "local-api/stream.h"
#include "local-api/runtime_private.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* A client that leaves Nagle's algorithm on (hyper, so Rust's) sends a small piece only when the one before has been
 * acknowledged, and while we have nothing to send the kernel puts that off for 40 ms. The option lasts for what has
 * been received; on a Unix socket it does nothing. */
void stream_acknowledge(const struct call *c) {
    int on = 1;
    (void)setsockopt(http_exchange_fd(c->exchange), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* The client takes more, or has left. Then the stream is broken off, which tells the process; only a Lambda client,
 * which would take that for the end of the world, may go on, and the rest is thrown away. */
static void on_sink_wanted(void *context) {
    struct call *c = context;
    bool unwanted = c->sink && body_abandoned(c->sink) && body_state_of(c->sink) == BODY_OPEN;
    if (unwanted) endpoint_note_left(c->endpoint, &c->stream);
    if (unwanted && c->ops->break_off)
        http_exchange_abort(c->exchange);
    else
        http_exchange_read(c->exchange);
}

void stream_begin(struct call *c, struct invocation *inv, struct outcome o, int64_t length,
                  const struct call_ops *ops) {
    c->sink = body_new(length, UINT64_MAX);
    c->ops = ops;
    body_on_wanted(c->sink, on_sink_wanted, c);
    o.body = c->sink;
    worker_stream_begin(c->endpoint->worker, &c->stream, inv);
    endpoint_complete(c->endpoint, inv, o);
}

size_t stream_data(struct call *c, struct slice bytes) {
    if (!c->sink || body_abandoned(c->sink) || body_state_of(c->sink) != BODY_OPEN) return bytes.n;
    if (!body_wants(c->sink)) return 0;
    stream_acknowledge(c);
    body_append_copy(c->sink, bytes);
    return bytes.n;
}

/* Its place in the worker is free again. */
static void stream_release(struct call *c) {
    struct body *sink = c->sink;
    c->sink = NULL;
    body_release_producer(sink);
    if (!c->endpoint) return;
    worker_stream_end(c->endpoint->worker, &c->stream);
    endpoint_wake_waiters(c->endpoint, slice_make(c->stream.id, sizeof c->stream.id));
    endpoint_attend_soon(c->endpoint);
}

bool stream_finish(struct call *c) {
    if (!c->sink) return false;
    body_finish(c->sink);
    stream_release(c);
    return true;
}

void stream_fail(struct call *c, enum failure f, const char *why) {
    if (!c->sink) return;
    body_fail_as(c->sink, f, why);
    stream_release(c);
}

void stream_left(struct call *c) {
    stream_fail(c, FAILURE_HANDLER_DIED, "the handler's connection ended before its answer did");
}

void stream_abort(struct answer_stream *s) {
    struct call *c = container_of(s, struct call, stream);
    struct body *sink = c->sink;
    if (!sink) return;
    c->sink = NULL;
    body_fail_as(sink, FAILURE_HANDLER_TIMEOUT, "the answer did not end in time");
    body_release_producer(sink);
    endpoint_attend_soon(c->endpoint);
    /* What still comes is thrown away. */
    http_exchange_read(c->exchange);
}
