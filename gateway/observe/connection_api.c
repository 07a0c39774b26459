/* WebSocket connections for those who run the gateway: the same calls that handlers have (source/websocket_api.h). */
#include "gateway/base/http_text.h"
#include "gateway/base/json_write.h"
#include "gateway/observe/admin_private.h"
#include "gateway/source/websocket/websocket_api.h"

static void reply_problem(struct admin_request *r, int status, const char *detail) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    struct fields fields = {0};
    json_open(&w, '{');
    json_member(&w, SLICE("title"), slice_of(http_reason(status)));
    json_name(&w, SLICE("status"));
    json_number(&w, status);
    json_member(&w, SLICE("detail"), slice_of(detail));
    json_close(&w, '}');
    size_t n;
    char *bytes = buf_take(&text, &n);
    fields_add(&fields, &r->arena, SLICE("Content-Type"), SLICE("application/problem+json"));
    admin_reply_body(r, status, &fields, body_of_chunk(chunk_take(bytes, n)));
}

/* A call that its client waits for. */
struct admin_asking {
    struct websocket_call call;
    struct admin_request *request;
};

static void reply(struct admin_request *r, struct websocket_answer *a) {
    if (a->detail) {
        buf_free(&a->json);
        reply_problem(r, a->status, a->detail);
    } else if (a->json.n) {
        admin_reply_json(r, a->status, NULL, &a->json);
    } else {
        admin_reply_body(r, a->status, NULL, NULL);
    }
}

static void on_answered(struct websocket_call *call) {
    struct admin_asking *q = container_of(call, struct admin_asking, call);
    reply(q->request, &q->call.answer);
}

static void on_client_left(struct admin_request *r) {
    websocket_call_cancel(&((struct admin_asking *)r->work)->call);
}

void admin_answer_connection(struct admin_request *r) {
    struct websocket_source *s = r->admin->host.calls.websockets;
    struct admin_asking *q = arena_zalloc(&r->arena, sizeof *q);
    q->request = r;
    q->call.on_done = on_answered;
    q->call.request = (struct websocket_request){.method = http_exchange_method(r->exchange),
                                                 .url = &r->url,
                                                 .content_type = fields_get(&r->headers, SLICE("Content-Type")),
                                                 .body = buf_slice(&r->body),
                                                 .arena = &r->arena};
    switch (s ? websocket_call_begin(&q->call, s) : WEBSOCKET_CALL_UNKNOWN) {
    case WEBSOCKET_CALL_UNKNOWN: admin_reply_failure(r, FAILURE_NOT_FOUND, NULL); return;
    case WEBSOCKET_CALL_ANSWERED: reply(r, &q->call.answer); return;
    case WEBSOCKET_CALL_WAITING: break;
    }
    r->work = q;
    r->cancel = on_client_left;
}
