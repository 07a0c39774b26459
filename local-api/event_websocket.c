#include "local-api/event_websocket.h"
#include "gateway/base/http_text.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include "local-api/http_message.h"
#include "local-api/query_parameters.h"

/* --- the request that opened it --- */

enum spelling { SPELLING_LAST, SPELLING_ALL };

static bool is_repetition(const struct fields *f, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (slice_equal_nocase(f->items[i].name, f->items[index].name)) return true;
    return false;
}

static void write_values(struct json_write *w, const struct fields *f, size_t first, enum spelling spelling) {
    struct slice name = f->items[first].name, last = SLICE_NONE;
    if (spelling == SPELLING_ALL) json_open(w, '[');
    for (size_t i = first; i < f->count; i++) {
        if (!slice_equal_nocase(f->items[i].name, name)) continue;
        last = f->items[i].value;
        if (spelling == SPELLING_ALL) json_text(w, last);
    }
    if (spelling == SPELLING_ALL)
        json_close(w, ']');
    else
        json_text(w, last);
}

static void write_headers(struct json_write *w, const struct fields *f, struct slice member, enum spelling spelling) {
    json_name(w, member);
    json_open(w, '{');
    for (size_t i = 0; i < f->count; i++) {
        if (is_repetition(f, i) || !request_field_passes(f, f->items[i].name)) continue;
        json_name(w, f->items[i].name);
        write_values(w, f, i, spelling);
    }
    json_close(w, '}');
}

static void write_parameter(struct json_write *w, const struct query_parameter *p, enum spelling spelling) {
    json_name(w, p->name);
    if (spelling == SPELLING_LAST) {
        json_text(w, p->last->value);
        return;
    }
    json_open(w, '[');
    for (; p; p = p->same) json_text(w, p->value);
    json_close(w, ']');
}

static void write_parameters(struct json_write *w, const struct query_parameters *ps, struct slice member,
                             enum spelling spelling) {
    if (!ps->first) return;
    json_name(w, member);
    json_open(w, '{');
    for (const struct query_parameter *p = ps->first; p; p = p->next) write_parameter(w, p, spelling);
    json_close(w, '}');
}

static void write_request(struct json_write *w, struct arena *scratch, const struct websocket_event *event) {
    struct query_parameters ps = query_parameters_read(scratch, event->query);
    write_headers(w, event->headers, SLICE("headers"), SPELLING_LAST);
    write_headers(w, event->headers, SLICE("multiValueHeaders"), SPELLING_ALL);
    write_parameters(w, &ps, SLICE("queryStringParameters"), SPELLING_LAST);
    write_parameters(w, &ps, SLICE("multiValueQueryStringParameters"), SPELLING_ALL);
    query_parameters_end(&ps);
}

/* --- the context --- */

static const char *const type_names[] = {
    [WEBSOCKET_CONNECT] = "CONNECT", [WEBSOCKET_MESSAGE] = "MESSAGE", [WEBSOCKET_DISCONNECT] = "DISCONNECT"};

static void write_number(struct json_write *w, struct slice name, uint64_t value) {
    json_name(w, name);
    json_number(w, (int64_t)value);
}

static void write_identity(struct json_write *w, const struct websocket_event *event) {
    json_name(w, SLICE("identity"));
    json_open(w, '{');
    if (!slice_is_none(event->client_address)) json_member(w, SLICE("sourceIp"), event->client_address);
    if (!slice_is_none(event->user_agent)) json_member(w, SLICE("userAgent"), event->user_agent);
    json_close(w, '}');
}

/* What an authorizer of API Gateway would have said: a principal, and texts. */
static void write_authorizer(struct json_write *w, struct identity *identity) {
    if (!identity) return;
    const struct identity_details *d = identity_details(identity);
    json_name(w, SLICE("authorizer"));
    json_open(w, '{');
    if (!slice_is_none(d->subject)) json_member(w, SLICE("principalId"), d->subject);
    for (size_t i = 0; i < d->claims.count; i++)
        if (!slice_equal(d->claims.items[i].name, SLICE("principalId")))
            json_member(w, d->claims.items[i].name, d->claims.items[i].value);
    json_close(w, '}');
}

/* Ours: API Gateway has no groups. */
static void write_groups(struct json_write *w, struct arena *scratch, struct slice groups) {
    struct slice name;
    if (!groups.n) return;
    json_name(w, SLICE("groups"));
    json_open(w, '[');
    while (slice_next(&groups, ',', &name)) json_text(w, url_decode(scratch, name, URL_PLUS_LITERAL));
    json_close(w, ']');
}

static void write_end(struct json_write *w, const struct websocket_event *event) {
    json_name(w, SLICE("disconnectStatusCode"));
    json_number(w, event->close_code);
    json_member(w, SLICE("disconnectReason"), event->close_reason);
}

static void write_context(struct json_write *w, struct arena *scratch, const struct websocket_event *event,
                          const char *application) {
    char time[27];
    http_common_log_time(event->event_ms, time);
    json_name(w, SLICE("requestContext"));
    json_open(w, '{');
    json_member(w, SLICE("routeKey"), event->route_key);
    write_authorizer(w, event->identity);
    if (event->type == WEBSOCKET_MESSAGE) json_member(w, SLICE("messageId"), event->message_id);
    json_member(w, SLICE("eventType"), slice_of(type_names[event->type]));
    if (event->type == WEBSOCKET_DISCONNECT) write_end(w, event);
    write_groups(w, scratch, event->groups);
    json_member(w, SLICE("extendedRequestId"), event->request_id);
    json_member(w, SLICE("requestTime"), slice_make(time, sizeof time - 1));
    json_member(w, SLICE("messageDirection"), SLICE("IN"));
    json_member(w, SLICE("stage"), SLICE("$default"));
    write_number(w, SLICE("connectedAt"), event->connected_ms);
    write_number(w, SLICE("requestTimeEpoch"), event->event_ms);
    write_identity(w, event);
    json_member(w, SLICE("requestId"), event->request_id);
    json_member(w, SLICE("domainName"), event->host);
    json_member(w, SLICE("connectionId"), event->connection_id);
    json_member(w, SLICE("apiId"), slice_of(application));
    json_close(w, '}');
}

static void write_body(struct json_write *w, const struct websocket_event *event) {
    bool text = !event->binary && text_utf8_prefix(event->body) == event->body.n;
    if (event->type == WEBSOCKET_MESSAGE) {
        json_name(w, SLICE("body"));
        if (text)
            json_text(w, event->body);
        else
            json_base64(w, event->body);
    }
    json_name(w, SLICE("isBase64Encoded"));
    json_bool(w, event->type == WEBSOCKET_MESSAGE && !text);
}

struct slice websocket_event_write(struct buf *out, struct arena *scratch, const struct websocket_event *event,
                                   const char *application) {
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    if (event->type == WEBSOCKET_CONNECT) write_request(&w, scratch, event);
    write_context(&w, scratch, event, application);
    write_body(&w, event);
    json_close(&w, '}');
    return SLICE("application/json");
}
