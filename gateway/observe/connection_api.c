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

void admin_answer_connection(struct admin_request *r) {
    struct websocket_answer a;
    const struct websocket_request asked = {.method = http_exchange_method(r->exchange),
                                            .url = &r->url,
                                            .content_type = fields_get(&r->headers, SLICE("Content-Type")),
                                            .body = buf_slice(&r->body),
                                            .arena = &r->arena};
    struct websocket_source *s = r->admin->host.calls.websockets;
    if (!s || !websocket_api_answer(s, &asked, &a)) {
        admin_reply_failure(r, FAILURE_NOT_FOUND, NULL);
        return;
    }
    if (a.detail) {
        buf_free(&a.json);
        reply_problem(r, a.status, a.detail);
    } else if (a.json.n) {
        admin_reply_json(r, a.status, NULL, &a.json);
    } else {
        admin_reply_body(r, a.status, NULL, NULL);
    }
}
