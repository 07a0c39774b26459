#include "gateway/source/websocket/websocket_api.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/event_stream/event_text.h"
#include "gateway/invocation/identity.h"
#include "gateway/source/websocket/websocket_delivery.h"

#define BATCH_MAX 10000
#define LIST_MAX 1000

/* One request while it is answered. */
struct asking {
    struct websocket_source *source;
    const struct websocket_request *request;
    struct websocket_answer *answer;
    struct slice first, second; /* the path's variable segments */
};

static void refuse(struct asking *q, int status, const char *detail) {
    q->answer->status = status;
    q->answer->detail = detail;
}

static struct members *connections(const struct asking *q) {
    return websocket_source_members(q->source);
}

/* The connection that the path names; answers 410 when it is not open. */
static struct member *named(struct asking *q) {
    struct member *m = members_find(connections(q), q->first);
    if (!m) refuse(q, 410, "no connection of that id is open");
    return m;
}

static struct slice parameter(const struct asking *q, struct slice name) {
    struct slice rest = q->request->url->query, key, value;
    while (url_query_next(&rest, &key, &value))
        if (slice_equal(key, name)) return url_decode(q->request->arena, value, URL_PLUS_IS_BLANK);
    return SLICE_NONE;
}

static enum websocket_kind kind_of(const struct websocket_request *r) {
    if (slice_starts_with_nocase(r->content_type, SLICE("application/octet-stream"))) return WEBSOCKET_BINARY;
    return text_utf8_prefix(r->body) == r->body.n ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

/* The body, and what event streams show beside it. */
static bool parcel_read(struct asking *q, struct parcel *p) {
    *p = parcel_make(kind_of(q->request), q->request->body);
    p->event = parameter(q, SLICE("event"));
    p->event_id = parameter(q, SLICE("id"));
    if (event_field_is_good(p->event) && event_field_is_good(p->event_id)) return true;
    refuse(q, 400, "event, id: one line of UTF-8 without NUL is expected");
    return false;
}

/* --- one connection --- */

static const struct {
    int status;
    const char *detail;
} delivery_rows[] = {
    [DELIVERY_SENT] = {200, NULL},
    [DELIVERY_GONE] = {410, "the connection did not take its messages and was closed"},
    [DELIVERY_OFF] = {400, "ack: the connection's path has no `acknowledge`"},
    [DELIVERY_BAD_ID] = {400, "ack: an id of 1 to 128 bytes of UTF-8 without control characters is expected"},
    [DELIVERY_BAD_TEXT] = {400, "ack: only text can be acknowledged"},
    [DELIVERY_BAD_INFORM] = {400, "informClients: 1 to 16 ids of connections, by commas, are expected"},
    [DELIVERY_TOO_MANY] = {429, "too many messages wait for this client's acknowledgement"},
};

static void answer_deliver(struct asking *q, struct member *m, struct slice message_id) {
    const struct delivery_order order = {
        .message_id = message_id, .text = q->request->body, .inform = parameter(q, SLICE("informClients"))};
    enum delivery_result result = kind_of(q->request) == WEBSOCKET_TEXT ? websocket_deliver(m, &order)
                                                                        : DELIVERY_BAD_TEXT;
    q->answer->status = delivery_rows[result].status;
    q->answer->detail = delivery_rows[result].detail;
}

/* What goes to many would make its sender wait for the slowest. */
static bool refuse_acknowledgement(struct asking *q) {
    if (slice_is_none(parameter(q, SLICE("ack")))) return false;
    refuse(q, 400, "ack: a message to many cannot be acknowledged; send it to each connection");
    return true;
}

static void answer_send(struct asking *q) {
    struct member *m = named(q);
    struct slice message_id = parameter(q, SLICE("ack"));
    if (!m) return;
    if (!slice_is_none(message_id)) {
        answer_deliver(q, m, message_id);
        return;
    }
    struct parcel p;
    if (!parcel_read(q, &p)) return;
    if (m->ops->send(m, &p))
        q->answer->status = 200;
    else
        refuse(q, 410, "the connection did not take its messages and was closed");
    parcel_free(&p);
}

static void answer_close(struct asking *q) {
    struct member *m = named(q);
    struct slice text = parameter(q, SLICE("code")), reason = parameter(q, SLICE("reason"));
    uint64_t code = CLOSE_NORMAL;
    if (!m) return;
    if (!slice_is_none(text) && (!slice_to_u64(text, &code) || code > 4999 || !close_code_may_be_sent((int)code))) {
        refuse(q, 400, "code: one of 1000 to 1003, 1007 to 1014 and 3000 to 4999 is expected");
        return;
    }
    m->ops->close(m, (int)code, reason);
    q->answer->status = 204;
}

static void write_time(struct json_write *w, struct slice name, uint64_t wall_ms) {
    char time[25];
    clock_iso_time(wall_ms, time);
    json_member(w, name, slice_make(time, 24));
}

static void write_group(void *context, struct slice name) {
    json_text(context, name);
}

static void write_number(struct json_write *w, struct slice name, uint64_t value) {
    json_name(w, name);
    json_number(w, (int64_t)value);
}

static void write_connection(struct json_write *w, struct member *m) {
    struct member_facts f = m->ops->facts(m);
    json_open(w, '{');
    json_member(w, SLICE("connectionId"), member_id(m));
    json_member(w, SLICE("kind"), slice_of(m->ops->kind));
    json_member(w, SLICE("path"), f.path);
    write_time(w, SLICE("connectedAt"), f.connected_ms);
    write_time(w, SLICE("lastActiveAt"), f.active_ms);
    json_name(w, SLICE("identity"));
    json_open(w, '{');
    json_member(w, SLICE("sourceIp"), f.client_address);
    if (!slice_is_none(f.user_agent)) json_member(w, SLICE("userAgent"), f.user_agent);
    json_close(w, '}');
    if (f.identity) {
        json_name(w, SLICE("claims"));
        json_raw(w, f.identity->claims_json);
    }
    if (!slice_is_none(f.protocol)) json_member(w, SLICE("protocol"), f.protocol);
    write_number(w, SLICE("outbound"), f.outbound);
    json_name(w, SLICE("groups"));
    json_open(w, '[');
    member_each_group(m, write_group, w);
    json_close(w, ']');
    json_close(w, '}');
}

static void answer_inspect(struct asking *q) {
    struct member *m = named(q);
    struct json_write w = json_write_to(&q->answer->json);
    if (!m) return;
    write_connection(&w, m);
    q->answer->status = 200;
}

/* --- many --- */

static uint64_t list_limit(const struct asking *q) {
    uint64_t limit = LIST_MAX;
    struct slice text = parameter(q, SLICE("limit"));
    if (!slice_is_none(text) && (!slice_to_u64(text, &limit) || limit > LIST_MAX)) limit = LIST_MAX;
    return limit;
}

/* Of all, or of a group. */
static struct member *next_listed(const struct asking *q, struct slice group, const struct member *m) {
    if (slice_is_none(group)) return members_next(connections(q), m);
    return members_next_in(connections(q), group, m);
}

static void answer_list(struct asking *q) {
    struct slice after = parameter(q, SLICE("after")), group = parameter(q, SLICE("group"));
    struct member *m = NULL;
    struct json_write w = json_write_to(&q->answer->json);
    uint64_t left = list_limit(q);
    if (!slice_is_none(after)) {
        m = members_find(connections(q), after);
        if (!m || (!slice_is_none(group) && !member_is_in(m, group))) {
            refuse(q, 410, "after: no connection of that id is there any more; begin anew");
            return;
        }
    }
    json_open(&w, '{');
    write_number(&w, SLICE("open"), members_open(connections(q)));
    json_name(&w, SLICE("connections"));
    json_open(&w, '[');
    while (left-- && (m = next_listed(q, group, m))) write_connection(&w, m);
    json_close(&w, ']');
    json_close(&w, '}');
    q->answer->status = 200;
}

/* {"connectionIds": [ID, ...], "text": TEXT} or "base64". */
struct batch {
    struct json_value ids, text, base64;
};

static bool batch_read(struct asking *q, struct batch *b) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    *b = (struct batch){0};
    if (!json_is_valid(q->request->body)) return false;
    json_read_init(&json, q->request->body);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, q->request->arena, &name) && json_read_value(&json, &value)) {
        if (slice_equal(name, SLICE("connectionIds"))) b->ids = value;
        if (slice_equal(name, SLICE("text"))) b->text = value;
        if (slice_equal(name, SLICE("base64"))) b->base64 = value;
    }
    return b->ids.kind == JSON_ARRAY && (b->text.kind == JSON_STRING) != (b->base64.kind == JSON_STRING);
}

static bool batch_parcel(struct asking *q, const struct batch *b, struct parcel *p) {
    struct arena *a = q->request->arena;
    if (b->text.kind == JSON_STRING) {
        *p = parcel_make(WEBSOCKET_TEXT, json_text_of(a, b->text));
        return true;
    }
    struct slice text = json_text_of(a, b->base64);
    char *bytes = arena_alloc(a, text.n / 4 * 3 + 1);
    ptrdiff_t n = base64_decode(text, bytes);
    if (n < 0) return false;
    *p = parcel_make(WEBSOCKET_BINARY, slice_make(bytes, (size_t)n));
    return true;
}

static void batch_send_one(struct asking *q, struct json_write *w, struct slice id, struct parcel *p) {
    struct member *m = members_find(connections(q), id);
    bool sent = m && m->ops->send(m, p);
    json_open(w, '{');
    json_member(w, SLICE("connectionId"), id);
    write_number(w, SLICE("status"), sent ? 200 : 410);
    json_close(w, '}');
}

static void batch_send(struct asking *q, const struct batch *b, struct parcel *p) {
    struct json_write w = json_write_to(&q->answer->json);
    struct json_read ids;
    struct json_value id;
    json_read_init(&ids, b->ids.raw);
    json_read_open(&ids, '[');
    json_open(&w, '{');
    json_name(&w, SLICE("results"));
    json_open(&w, '[');
    for (int left = BATCH_MAX; left && json_read_element(&ids) && json_read_value(&ids, &id); left--)
        batch_send_one(q, &w, id.kind == JSON_STRING ? json_text_of(q->request->arena, id) : SLICE(""), p);
    json_close(&w, ']');
    json_close(&w, '}');
    q->answer->status = 200;
}

static void answer_batch(struct asking *q) {
    struct batch b;
    struct parcel p;
    if (refuse_acknowledgement(q)) return;
    if (!batch_read(q, &b)) {
        refuse(q, 400, "expected {\"connectionIds\": [ID, ...], \"text\": TEXT} or \"base64\" instead of \"text\"");
        return;
    }
    if (!batch_parcel(q, &b, &p)) {
        refuse(q, 400, "base64: that is no base64");
        return;
    }
    batch_send(q, &b, &p);
    parcel_free(&p);
}

/* --- groups --- */

static void answer_join(struct asking *q) {
    struct member *m = named(q);
    if (!m) return;
    switch (member_join(m, q->second)) {
    case GROUP_OK:
    case GROUP_ALREADY: q->answer->status = 204; return;
    case GROUP_BAD_NAME:
        refuse(q, 400, "a group's name has 1 to 128 bytes of UTF-8 without control characters");
        return;
    case GROUP_TOO_MANY: refuse(q, 429, "the connection is in as many groups as it may be (maxGroups)"); return;
    }
}

static void answer_leave(struct asking *q) {
    struct member *m = named(q);
    if (!m) return;
    member_leave(m, q->second);
    q->answer->status = 204;
}

static void write_count(struct asking *q, struct slice name, uint64_t count) {
    struct json_write w = json_write_to(&q->answer->json);
    json_open(&w, '{');
    write_number(&w, name, count);
    json_close(&w, '}');
    q->answer->status = 200;
}

static void answer_group(struct asking *q) {
    write_count(q, SLICE("connections"), members_group_size(connections(q), q->first));
}

static void answer_broadcast(struct asking *q) {
    struct parcel p;
    if (refuse_acknowledgement(q) || !parcel_read(q, &p)) return;
    const struct member *except = members_find(connections(q), parameter(q, SLICE("except")));
    write_count(q, SLICE("sent"), members_broadcast(connections(q), q->first, &p, except));
    parcel_free(&p);
}

/* --- the table --- */

static const struct api_row {
    const char *method, *path;
    void (*answer)(struct asking *q);
} rows[] = {
    {"POST", "v1/connections/*", answer_send},
    {"GET", "v1/connections/*", answer_inspect},
    {"DELETE", "v1/connections/*", answer_close},
    {"POST", "@connections/*", answer_send},
    {"GET", "@connections/*", answer_inspect},
    {"DELETE", "@connections/*", answer_close},
    {"GET", "v1/connections", answer_list},
    {"POST", "v1/connections", answer_batch},
    {"PUT", "v1/connections/*/groups/*", answer_join},
    {"DELETE", "v1/connections/*/groups/*", answer_leave},
    {"GET", "v1/groups/*", answer_group},
    {"POST", "v1/groups/*/messages", answer_broadcast},
};

static bool row_matches(const struct api_row *row, struct asking *q) {
    const struct url *u = q->request->url;
    struct slice rest = slice_of(row->path), part;
    size_t i = 0;
    q->first = q->second = SLICE_NONE;
    for (; slice_next(&rest, '/', &part); i++) {
        if (i == u->segment_count) return false;
        bool variable = slice_equal(part, SLICE("*"));
        if (!variable && !slice_equal(part, u->segments[i])) return false;
        if (variable && slice_is_none(q->first))
            q->first = u->segments[i];
        else if (variable)
            q->second = u->segments[i];
    }
    return i == u->segment_count;
}

enum websocket_call_state websocket_call_begin(struct websocket_call *c, struct websocket_source *s) {
    struct asking q = {.source = s, .request = &c->request, .answer = &c->answer};
    c->answer = (struct websocket_answer){0};
    c->work = NULL;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!row_matches(&rows[i], &q)) continue;
        known = true;
        if (!slice_equal(c->request.method, slice_of(rows[i].method))) continue;
        rows[i].answer(&q);
        return c->work ? WEBSOCKET_CALL_WAITING : WEBSOCKET_CALL_ANSWERED;
    }
    if (!known) return WEBSOCKET_CALL_UNKNOWN;
    refuse(&q, 405, "the path does not take this method");
    return WEBSOCKET_CALL_ANSWERED;
}

void websocket_call_cancel(struct websocket_call *c) {
    if (c->work) c->drop(c);
    c->work = NULL;
}
