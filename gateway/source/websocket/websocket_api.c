#include "gateway/source/websocket/websocket_api.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/event_stream/event_text.h"
#include "gateway/invocation/identity.h"
#include "gateway/source/websocket/websocket_api_private.h"
#include "gateway/source/websocket/websocket_delivery.h"

#define BAD_GROUP "a group's name has 1 to 128 bytes of UTF-8 without control characters"
#define LIST_MAX 1000

void asking_refuse(struct asking *q, int status, const char *detail) {
    q->answer->status = status;
    q->answer->detail = detail;
}

static struct members *connections(const struct asking *q) {
    return websocket_source_members(q->source);
}

/* The connection that the path names; answers 410 when it is not open. */
static struct member *named(struct asking *q) {
    struct member *m = members_find(connections(q), q->first);
    if (!m) asking_refuse(q, 410, "no connection of that id is open");
    return m;
}

struct slice asking_parameter(const struct asking *q, struct slice name) {
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
    p->event = asking_parameter(q, SLICE("event"));
    p->event_id = asking_parameter(q, SLICE("id"));
    if (event_field_is_good(p->event) && event_field_is_good(p->event_id)) return true;
    asking_refuse(q, 400, "event, id: one line of UTF-8 without NUL is expected");
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
        .message_id = message_id, .text = q->request->body, .inform = asking_parameter(q, SLICE("informClients"))};
    enum delivery_result result = kind_of(q->request) == WEBSOCKET_TEXT ? websocket_deliver(m, &order)
                                                                        : DELIVERY_BAD_TEXT;
    q->answer->status = delivery_rows[result].status;
    q->answer->detail = delivery_rows[result].detail;
}

/* What goes to many would make its sender wait for the slowest. */
bool asking_refuse_acknowledgement(struct asking *q) {
    if (slice_is_none(asking_parameter(q, SLICE("ack")))) return false;
    asking_refuse(q, 400, "ack: a message to many cannot be acknowledged; send it to each connection");
    return true;
}

static void answer_send(struct asking *q) {
    struct member *m = named(q);
    struct slice message_id = asking_parameter(q, SLICE("ack"));
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
        asking_refuse(q, 410, "the connection did not take its messages and was closed");
    parcel_free(&p);
}

static void answer_close(struct asking *q) {
    struct member *m = named(q);
    struct slice text = asking_parameter(q, SLICE("code")), reason = asking_parameter(q, SLICE("reason"));
    uint64_t code = CLOSE_NORMAL;
    if (!m) return;
    if (!slice_is_none(text) && (!slice_to_u64(text, &code) || code > 4999 || !close_code_may_be_sent((int)code))) {
        asking_refuse(q, 400, "code: one of 1000 to 1003, 1007 to 1014 and 3000 to 4999 is expected");
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

void asking_write_number(struct json_write *w, struct slice name, uint64_t value) {
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
    asking_write_number(w, SLICE("outbound"), f.outbound);
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

uint64_t asking_limit(const struct asking *q) {
    uint64_t limit = LIST_MAX;
    struct slice text = asking_parameter(q, SLICE("limit"));
    if (!slice_is_none(text) && (!slice_to_u64(text, &limit) || limit > LIST_MAX)) limit = LIST_MAX;
    return limit;
}

/* Of all, or of a group. */
static struct member *next_listed(const struct asking *q, struct slice group, const struct member *m) {
    if (slice_is_none(group)) return members_next(connections(q), m);
    return members_next_in(connections(q), group, m);
}

static void answer_list(struct asking *q) {
    struct slice after = asking_parameter(q, SLICE("after")), group = asking_parameter(q, SLICE("group"));
    struct member *m = NULL;
    struct json_write w = json_write_to(&q->answer->json);
    uint64_t left = asking_limit(q);
    if (!slice_is_none(after)) {
        m = members_find(connections(q), after);
        if (!m || (!slice_is_none(group) && !member_is_in(m, group))) {
            asking_refuse(q, 410, "after: no connection of that id is there any more; begin anew");
            return;
        }
    }
    json_open(&w, '{');
    asking_write_number(&w, SLICE("open"), members_open(connections(q)));
    json_name(&w, SLICE("connections"));
    json_open(&w, '[');
    while (left-- && (m = next_listed(q, group, m))) write_connection(&w, m);
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
    struct member *m = named(q);
    if (!m) return;
    switch (member_join(m, q->second)) {
    case GROUP_OK: websocket_source_regroup(m); /* fall through */
    case GROUP_ALREADY: q->answer->status = 204; return;
    case GROUP_BAD_NAME: asking_refuse(q, 400, BAD_GROUP); return;
    case GROUP_TOO_MANY: asking_refuse(q, 429, "the connection is in as many groups as it may be (maxGroups)"); return;
    }
}

static void answer_leave(struct asking *q) {
    struct member *m = named(q);
    if (!m) return;
    if (member_leave(m, q->second)) websocket_source_regroup(m);
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
    write_count(q, SLICE("connections"), members_group_size(connections(q), q->first));
}

void answer_broadcast(struct asking *q) {
    struct parcel p;
    if (asking_refuse_acknowledgement(q) || !parcel_read(q, &p)) return;
    const struct member *except = members_find(connections(q), asking_parameter(q, SLICE("except")));
    write_count(q, SLICE("sent"), members_broadcast(connections(q), q->first, &p, except));
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

/* What would be passed over silently, before other nodes are asked; NULL: nothing. */
static const char *objection_to(const struct asking *q, const char *path) {
    struct slice limit = asking_parameter(q, SLICE("limit"));
    uint64_t number;
    bool joins = strstr(path, "*/groups/*"), sends = strncmp(path, "v1/groups/*", 11) == 0;
    if (!slice_is_none(limit) && !slice_to_u64(limit, &number)) return "limit: a number is expected";
    if ((joins || sends) && !group_name_is_good(joins ? q->second : q->first)) return BAD_GROUP;
    if (slice_is_none(asking_parameter(q, SLICE("informClients")))) return NULL;
    if (!slice_is_none(asking_parameter(q, SLICE("ack")))) return NULL;
    return "informClients: goes with ack=MESSAGE_ID; without, nobody knows what is lost";
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
        const char *objection = objection_to(&q, rows[i].path);
        if (objection) {
            asking_refuse(&q, 400, objection);
            return WEBSOCKET_CALL_ANSWERED;
        }
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
