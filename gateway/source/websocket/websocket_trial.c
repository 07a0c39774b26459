#include "gateway/source/websocket/websocket_trial.h"
#include "gateway/base/buf.h"
#include "gateway/base/text.h"
#include "gateway/base/url.h"
#include "gateway/invocation/event.h"
#include "gateway/invocation/pipeline.h"

#define AGE_MS 1000 /* of the connection */

static const struct row {
    const char *route;
    enum websocket_event_type type;
} rows[] = {{"$connect", WEBSOCKET_CONNECT}, {"$disconnect", WEBSOCKET_DISCONNECT}};

static enum websocket_event_type type_of(const struct websocket_trigger_config *t) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].route, t->route) == 0) return rows[i].type;
    return WEBSOCKET_MESSAGE;
}

static void address(struct invocation *inv, const struct websocket_trigger_config *t) {
    struct buf path = {0};
    buf_append_text(&path, "/websocket");
    buf_append_text(&path, t->path);
    if (path.p[path.n - 1] != '/') buf_append_char(&path, '/');
    if (t->route[0] == '$')
        buf_append_text(&path, t->route);
    else
        url_append_form(&path, slice_of(t->route));
    buf_append_char(&path, '\0');
    invocation_request_post(inv, path.p);
    buf_free(&path);
}

static void describe_client(struct request *r) {
    r->host = SLICE("localhost");
    r->scheme = SLICE("http");
    r->client_address = SLICE("127.0.0.1");
}

/* That of the invocation, in the form that ids of connections have. */
static struct slice connection_id(struct invocation *inv) {
    struct slice uuid = invocation_id(inv);
    char *id = arena_alloc(&inv->arena, uuid.n);
    size_t n = 0;
    for (size_t i = 0; i < uuid.n; i++)
        if (uuid.p[i] != '-') id[n++] = uuid.p[i];
    return slice_make(id, n);
}

static struct slice message_id(struct invocation *inv) {
    char *id = arena_alloc(&inv->arena, UUID_TEXT_SIZE);
    clock_uuid(inv->pipeline->clock, id);
    return slice_make(id, UUID_TEXT_SIZE);
}

static void give_message(struct invocation *inv, struct websocket_event *e, struct slice bytes) {
    e->message_id = message_id(inv);
    e->body = arena_copy(&inv->arena, bytes);
    e->binary = text_utf8_prefix(bytes) < bytes.n;
    fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"),
               e->binary ? SLICE("application/octet-stream") : SLICE("text/plain; charset=utf-8"));
    if (bytes.n) inv->body = body_of_chunk(chunk_copy(bytes));
}

void websocket_trial_fill(struct invocation *inv, const struct websocket_trial *trial) {
    struct websocket_event *e = arena_alloc(&inv->arena, sizeof *e);
    address(inv, trial->trigger);
    describe_client(&inv->request);
    *e = (struct websocket_event){.type = type_of(trial->trigger),
                                  .route_key = slice_of(trial->trigger->route),
                                  .connection_id = connection_id(inv),
                                  .request_id = invocation_id(inv),
                                  .connected_ms = inv->received_wall_ms - AGE_MS,
                                  .event_ms = inv->received_wall_ms,
                                  .host = inv->request.host,
                                  .client_address = inv->request.client_address,
                                  .headers = &inv->request.headers,
                                  .identity = inv->identity,
                                  .close_code = 1000,
                                  .close_reason = SLICE("")};
    if (e->type == WEBSOCKET_MESSAGE) give_message(inv, e, trial->body);
    inv->trigger = TRIGGER_WEBSOCKET;
    inv->websocket = e;
}
