#include "local-api/native_queue.h"
#include "gateway/source/queue_posting.h"
#include "gateway/source/queue_sender.h"
#include "local-api/runtime_private.h"
#include <inttypes.h>
#include <stdlib.h>

#define POSTING_MAX (24 * 1024 * 1024)

/* A send that is with the store; the call may be over before. */
struct native_sending {
    struct call *call; /* NULL = nobody waits any more */
    struct queue_posting posting;
    struct arena arena;
};

static void sending_free(struct native_sending *s) {
    arena_free(&s->arena);
    free(s);
}

static void reply_failure(struct call *c, const struct queue_reply *reply) {
    enum failure f = queue_sender_failure(reply);
    if (f == FAILURE_UNAVAILABLE)
        log_event(c->endpoint->api->log, LOG_ERROR, "a message could not be kept", LOG_SLICE("queue", c->id),
                  LOG_TEXT("why", reply->error.message));
    call_problem(c, failure_row(f)->status, "%s",
                 f == FAILURE_UNAVAILABLE ? "the message could not be kept; try again" : reply->error.message);
}

static void on_sent(void *context, struct queue_reply *reply) {
    struct native_sending *s = context;
    struct call *c = s->call;
    if (c) c->context = NULL;
    if (c && reply->result == QUEUE_OK) {
        queue_posting_answer(&c->out, &s->posting, reply->sent);
        call_reply(c, 202, "application/json", &c->out);
    } else if (c) {
        reply_failure(c, reply);
    }
    sending_free(s);
}

static void send_left(struct call *c) {
    struct native_sending *s = c->context;
    if (s) s->call = NULL;
    c->context = NULL;
}

static const struct queue_config *queue_of(const struct call *c) {
    const struct runtime_api *api = c->endpoint->api;
    return api->queue_store ? blueprint_queue(api->blueprint, c->id) : NULL;
}

static void send_end(struct call *c) {
    struct queue_store *store = c->endpoint->api->queue_store;
    const struct queue_config *queue = queue_of(c);
    struct native_sending *s = xcalloc(1, sizeof *s);
    struct fields headers = {0};
    struct error e;
    arena_init(&s->arena, 1024);
    http_exchange_fields(c->exchange, &s->arena, HTTP_COPY, &headers);
    if (!queue || queue_posting_read(&s->posting, queue, &headers, buf_slice(&c->in), &s->arena, &e) < 0) {
        call_problem(c, queue ? 400 : 404, "%s", queue ? e.message : "there is no such queue any more");
        sending_free(s);
        return;
    }
    s->call = c;
    c->context = s;
    store->ops->send(store, s->posting.sends, s->posting.count, (struct queue_done){on_sent, s});
}

static size_t send_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, POSTING_MAX)) call_problem(c, 413, "at most %d bytes are accepted", POSTING_MAX);
    return bytes.n;
}

static const struct call_ops send_ops = {.on_data = send_data, .on_end = send_end, .on_left = send_left};

void native_queue_begin(struct call *c) {
    if (!queue_of(c)) {
        call_problem(c, 404, "there is no queue \"" SLICE_FMT "\" in the blueprint", SLICE_ARG(c->id));
        return;
    }
    c->ops = &send_ops;
    http_exchange_read(c->exchange);
}
