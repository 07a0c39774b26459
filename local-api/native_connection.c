#include "local-api/native_connection.h"
#include "gateway/source/websocket/websocket_api.h"
#include "local-api/runtime_private.h"

#define MESSAGE_MAX (64 * 1024 * 1024)

static void reply(struct call *c, struct websocket_answer *a) {
    if (a->detail) {
        buf_free(&a->json);
        call_problem(c, a->status, "%s", a->detail);
    } else {
        call_reply(c, a->status, "application/json", &a->json);
    }
}

static void answer(struct call *c, struct arena *arena) {
    struct websocket_answer a;
    struct url url;
    struct error e;
    if (url_parse(&url, arena, http_exchange_target(c->exchange), &e) < 0) {
        call_problem(c, 400, "%s", e.message);
        return;
    }
    const struct websocket_request r = {.method = http_exchange_method(c->exchange),
                                        .url = &url,
                                        .content_type = call_header(c, SLICE("Content-Type")),
                                        .body = buf_slice(&c->in),
                                        .arena = arena};
    if (websocket_api_answer(c->endpoint->api->calls.websockets, &r, &a))
        reply(c, &a);
    else
        call_problem(c, 404, "there is no such path in the runtime API");
}

static void connection_end(struct call *c) {
    struct arena arena;
    arena_init(&arena, 4096);
    answer(c, &arena);
    arena_free(&arena);
}

static size_t connection_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, MESSAGE_MAX)) call_problem(c, 413, "at most %d bytes are accepted", MESSAGE_MAX);
    return bytes.n;
}

static const struct call_ops connection_ops = {.on_data = connection_data, .on_end = connection_end};

void native_connection_begin(struct call *c) {
    if (!c->endpoint->api->calls.websockets) {
        call_problem(c, 404, "there are no WebSocket connections here");
        return;
    }
    c->ops = &connection_ops;
    http_exchange_read(c->exchange);
}
