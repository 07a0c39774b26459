#include "local-api/native_connection.h"
#include "gateway/source/websocket/websocket_api.h"
#include "local-api/runtime_private.h"
#include <stdlib.h>

#define MESSAGE_MAX (64 * 1024 * 1024)

/* What is asked; it lasts until it is answered, or the process that asks has gone. */
struct native_asking {
    struct websocket_call asked;
    struct call *call;
    struct arena arena;
    struct url url;
};

static void asking_free(struct native_asking *q) {
    q->call->context = NULL;
    arena_free(&q->arena);
    free(q);
}

static void reply(struct native_asking *q) {
    struct websocket_answer *a = &q->asked.answer;
    if (a->detail) {
        buf_free(&a->json);
        call_problem(q->call, a->status, "%s", a->detail);
    } else {
        call_reply(q->call, a->status, "application/json", &a->json);
    }
    asking_free(q);
}

static void on_answered(struct websocket_call *asked) {
    reply(container_of(asked, struct native_asking, asked));
}

static void ask(struct native_asking *q) {
    struct call *c = q->call;
    q->asked.on_done = on_answered;
    q->asked.request = (struct websocket_request){.method = http_exchange_method(c->exchange),
                                                  .url = &q->url,
                                                  .content_type = call_header(c, SLICE("Content-Type")),
                                                  .body = buf_slice(&c->in),
                                                  .arena = &q->arena};
    switch (websocket_call_begin(&q->asked, c->endpoint->api->calls.websockets)) {
    case WEBSOCKET_CALL_WAITING: return;
    case WEBSOCKET_CALL_ANSWERED: reply(q); return;
    case WEBSOCKET_CALL_UNKNOWN: break;
    }
    call_problem(c, 404, "there is no such path in the runtime API");
    asking_free(q);
}

static void connection_end(struct call *c) {
    struct native_asking *q = xcalloc(1, sizeof *q);
    struct error e;
    q->call = c;
    c->context = q;
    arena_init(&q->arena, 1024);
    if (url_parse(&q->url, &q->arena, http_exchange_target(c->exchange), &e) == 0) {
        ask(q);
        return;
    }
    call_problem(c, 400, "%s", e.message);
    asking_free(q);
}

static void connection_left(struct call *c) {
    struct native_asking *q = c->context;
    if (!q) return;
    websocket_call_cancel(&q->asked);
    asking_free(q);
}

static size_t connection_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, MESSAGE_MAX)) call_problem(c, 413, "at most %d bytes are accepted", MESSAGE_MAX);
    return bytes.n;
}

static const struct call_ops connection_ops = {
    .on_data = connection_data, .on_end = connection_end, .on_left = connection_left};

void native_connection_begin(struct call *c) {
    if (!c->endpoint->api->calls.websockets) {
        call_problem(c, 404, "there are no WebSocket connections here");
        return;
    }
    c->ops = &connection_ops;
    http_exchange_read(c->exchange);
}
