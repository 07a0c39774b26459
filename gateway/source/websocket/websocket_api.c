#include "gateway/source/websocket/websocket_api.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/invocation/identity.h"
#include "gateway/source/websocket/websocket_api_private.h"

#define LIST_MAX 1000

void asking_refuse(struct asking *q, int status, const char *detail) {
    q->answer->status = status;
    q->answer->detail = detail;
}

static struct websockets *connections(const struct asking *q) {
    return websocket_source_connections(q->source);
}

/* The connection that the path names; answers 410 when it is not open. */
static struct websocket *named(struct asking *q) {
    struct websocket *ws = websockets_find(connections(q), q->first);
    if (!ws) asking_refuse(q, 410, "no connection of that id is open");
    return ws;
}

struct slice asking_parameter(const struct asking *q, struct slice name) {
    struct slice rest = q->request->url->query, key, value;
    while (url_query_next(&rest, &key, &value))
        if (slice_equal(key, name)) return url_decode(q->request->arena, value, URL_PLUS_IS_BLANK);
    return SLICE_NONE;
}

enum websocket_kind websocket_kind_of(const struct websocket_request *r) {
    if (slice_starts_with_nocase(r->content_type, SLICE("application/octet-stream"))) return WEBSOCKET_BINARY;
    return text_utf8_prefix(r->body) == r->body.n ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

/* --- one connection --- */

static void answer_send(struct asking *q) {
    struct websocket *ws = named(q);
    if (!ws) return;
    struct parcel p = parcel_make(websocket_kind_of(q->request), q->request->body);
    if (websocket_send(ws, &p))
        q->answer->status = 200;
    else
        asking_refuse(q, 410, "the connection did not take its messages and was closed");
    parcel_free(&p);
}

static void answer_close(struct asking *q) {
    struct websocket *ws = named(q);
    struct slice text = asking_parameter(q, SLICE("code")), reason = asking_parameter(q, SLICE("reason"));
    uint64_t code = CLOSE_NORMAL;
    if (!ws) return;
    if (!slice_is_none(text) && (!slice_to_u64(text, &code) || code > 4999 || !close_code_may_be_sent((int)code))) {
        asking_refuse(q, 400, "code: one of 1000 to 1003, 1007 to 1014 and 3000 to 4999 is expected");
        return;
    }
    websocket_close(ws, (int)code, reason);
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

void asking_write_number(struct json_write *w, struct slice name, uint64_t value) {
    json_name(w, name);
    json_number(w, (int64_t)value);
}

static void write_connection(struct json_write *w, struct websocket *ws) {
    struct websocket_facts f = websocket_facts_of(ws);
    json_open(w, '{');
    json_member(w, SLICE("connectionId"), f.id);
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
    asking_write_number(w, SLICE("outbound"), f.outbound);
    json_name(w, SLICE("groups"));
    json_open(w, '[');
    websocket_each_group(ws, write_group, w);
    json_close(w, ']');
    json_close(w, '}');
}

static void answer_inspect(struct asking *q) {
    struct websocket *ws = named(q);
    struct json_write w = json_write_to(&q->answer->json);
    if (!ws) return;
    write_connection(&w, ws);
    q->answer->status = 200;
}

/* --- many --- */

static uint64_t list_limit(const struct asking *q) {
    uint64_t limit = LIST_MAX;
    struct slice text = asking_parameter(q, SLICE("limit"));
    if (!slice_is_none(text) && (!slice_to_u64(text, &limit) || limit > LIST_MAX)) limit = LIST_MAX;
    return limit;
}

static void answer_list(struct asking *q) {
    struct slice after = asking_parameter(q, SLICE("after"));
    struct websocket *ws = NULL;
    struct json_write w = json_write_to(&q->answer->json);
    uint64_t left = list_limit(q);
    if (!slice_is_none(after)) {
        ws = websockets_find(connections(q), after);
        if (!ws) {
            asking_refuse(q, 410, "after: no connection of that id is open; begin anew");
            return;
        }
    }
    json_open(&w, '{');
    asking_write_number(&w, SLICE("open"), websockets_open(connections(q)));
    json_name(&w, SLICE("connections"));
    json_open(&w, '[');
    while (left-- && (ws = websockets_next(connections(q), ws))) write_connection(&w, ws);
    json_close(&w, ']');
    json_close(&w, '}');
    q->answer->status = 200;
}

/* The nodes of the cluster; of a gateway that is in none, none. */
static void answer_nodes(struct asking *q) {
    const struct cluster *c = q->source->cluster;
    struct json_write w = json_write_to(&q->answer->json);
    const char *tag;
    json_open(&w, '{');
    if (c) json_member(&w, SLICE("node"), cluster_tag(c));
    if (c && cluster_trouble(c)) json_member(&w, SLICE("trouble"), slice_of(cluster_trouble(c)));
    json_name(&w, SLICE("nodes"));
    json_open(&w, '[');
    for (size_t i = 0; c && (tag = cluster_node(c, i)); i++) json_text(&w, slice_of(tag));
    json_close(&w, ']');
    json_close(&w, '}');
    q->answer->status = 200;
}

/* --- groups --- */

void answer_join(struct asking *q) {
    struct websocket *ws = named(q);
    if (!ws) return;
    switch (websocket_join(ws, q->second)) {
    case GROUP_OK:
    case GROUP_ALREADY: q->answer->status = 204; return;
    case GROUP_BAD_NAME:
        asking_refuse(q, 400, "a group's name has 1 to 128 bytes of UTF-8 without control characters");
        return;
    case GROUP_TOO_MANY: asking_refuse(q, 429, "the connection is in as many groups as it may be (maxGroups)"); return;
    }
}

static void answer_leave(struct asking *q) {
    struct websocket *ws = named(q);
    if (!ws) return;
    websocket_leave(ws, q->second);
    q->answer->status = 204;
}

static void write_count(struct asking *q, struct slice name, uint64_t count) {
    struct json_write w = json_write_to(&q->answer->json);
    json_open(&w, '{');
    asking_write_number(&w, name, count);
    json_close(&w, '}');
    q->answer->status = 200;
}

void answer_group(struct asking *q) {
    write_count(q, SLICE("connections"), websockets_group_size(connections(q), q->first));
}

void answer_broadcast(struct asking *q) {
    struct parcel p = parcel_make(websocket_kind_of(q->request), q->request->body);
    const struct websocket *except = websockets_find(connections(q), asking_parameter(q, SLICE("except")));
    write_count(q, SLICE("sent"), websockets_broadcast(connections(q), q->first, &p, except));
    parcel_free(&p);
}

/* --- the table --- */

static const struct api_row {
    const char *method, *path;
    void (*answer)(struct asking *q);
    bool (*relay)(struct asking *q); /* in a cluster, first; NULL = the answer is this gateway's own */
} rows[] = {
    {"POST", "v1/connections/*", answer_send, relay_to_owner},
    {"GET", "v1/connections/*", answer_inspect, relay_to_owner},
    {"DELETE", "v1/connections/*", answer_close, relay_to_owner},
    {"POST", "@connections/*", answer_send, relay_to_owner},
    {"GET", "@connections/*", answer_inspect, relay_to_owner},
    {"DELETE", "@connections/*", answer_close, relay_to_owner},
    {"GET", "v1/connections", answer_list, relay_list},
    {"POST", "v1/connections", answer_batch, NULL},
    {"PUT", "v1/connections/*/groups/*", answer_join, relay_join},
    {"DELETE", "v1/connections/*/groups/*", answer_leave, relay_to_owner},
    {"GET", "v1/nodes", answer_nodes, NULL},
    {"GET", "v1/groups/*", answer_group, relay_group},
    {"POST", "v1/groups/*/messages", answer_broadcast, relay_broadcast},
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
    struct asking q = {.source = s, .call = c, .request = &c->request, .answer = &c->answer};
    c->answer = (struct websocket_answer){0};
    c->work = NULL;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!row_matches(&rows[i], &q)) continue;
        known = true;
        if (!slice_equal(c->request.method, slice_of(rows[i].method))) continue;
        if (!s->cluster || !rows[i].relay || !rows[i].relay(&q)) rows[i].answer(&q);
        return c->work ? WEBSOCKET_CALL_WAITING : WEBSOCKET_CALL_ANSWERED;
    }
    if (!known) return WEBSOCKET_CALL_UNKNOWN;
    asking_refuse(&q, 405, "the path does not take this method");
    return WEBSOCKET_CALL_ANSWERED;
}

void websocket_call_cancel(struct websocket_call *c) {
    if (c->work) c->drop(c);
    c->work = NULL;
}
