#include "local-api/event_http.h"
#include "gateway/base/http_text.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/invocation/identity.h"
#include "local-api/event.h"
#include "local-api/http_message.h"
#include "local-api/query_parameters.h"

static const char *const text_types[] = {
    "application/json",    "application/xml",        "application/x-www-form-urlencoded",
    "application/graphql", "application/javascript", "application/x-javascript",
    "application/yaml",    "application/x-yaml",     "application/x-ndjson",
};
static const char *const text_suffixes[] = {"+json", "+xml", "+yaml"};

static bool ends_with_nocase(struct slice s, struct slice end) {
    return s.n >= end.n && slice_equal_nocase(slice_make(s.p + s.n - end.n, end.n), end);
}

bool media_type_is_text(struct slice content_type) {
    struct slice type = SLICE_NONE;
    if (!slice_next(&content_type, ';', &type)) return false;
    type = slice_trim(type);
    if (slice_starts_with_nocase(type, SLICE("text/"))) return true;
    for (size_t i = 0; i < ARRAY_LEN(text_types); i++)
        if (slice_equal_nocase(type, slice_of(text_types[i]))) return true;
    for (size_t i = 0; i < ARRAY_LEN(text_suffixes); i++)
        if (ends_with_nocase(type, slice_of(text_suffixes[i]))) return true;
    return false;
}

/* --- header fields --- */

/* Tokens hold nothing that JSON escapes (RFC 9110 5.6.2). */
static void write_lower_name(struct json_write *w, struct slice name) {
    char *at = buf_reserve(w->out, name.n + 4);
    size_t n = 0;
    if (w->comma) at[n++] = ',';
    at[n++] = '"';
    for (size_t i = 0; i < name.n; i++)
        at[n++] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 32 : name.p[i]);
    at[n++] = '"';
    at[n++] = ':';
    w->out->n += n;
    w->comma = false;
}

static inline bool same_name(const struct field *a, const struct field *b) {
    return a->name.n == b->name.n && slice_equal_nocase(a->name, b->name);
}

static bool appeared_before(const struct fields *f, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (same_name(&f->items[i], &f->items[index])) return true;
    return false;
}

/* All values of the field at `first`, joined (RFC 9110 5.3). */
static void write_joined_values(struct json_write *w, const struct fields *f, size_t first) {
    buf_append_char(w->out, '"');
    json_escape(w->out, f->items[first].value);
    for (size_t i = first + 1; i < f->count; i++) {
        if (!same_name(&f->items[i], &f->items[first])) continue;
        buf_append_char(w->out, ',');
        json_escape(w->out, f->items[i].value);
    }
    buf_append_char(w->out, '"');
    w->comma = true;
}

static bool is_cookie(const struct field *field) {
    return slice_equal_nocase(field->name, SLICE("cookie"));
}

static void write_headers(struct json_write *w, const struct fields *f) {
    json_name(w, SLICE("headers"));
    json_open(w, '{');
    for (size_t i = 0; i < f->count; i++) {
        const struct field *field = &f->items[i];
        if (is_cookie(field) || !request_field_passes(f, field->name) || appeared_before(f, i)) continue;
        write_lower_name(w, field->name);
        write_joined_values(w, f, i);
    }
    json_close(w, '}');
}

/* cookie-string (RFC 6265 4.2.1) in its pairs. */
static void write_cookie_pairs(struct json_write *w, struct slice list) {
    struct slice pair;
    while (slice_next(&list, ';', &pair)) {
        pair = slice_trim(pair);
        if (pair.n) json_text(w, pair);
    }
}

static void write_cookies(struct json_write *w, const struct fields *f) {
    if (slice_is_none(fields_get(f, SLICE("cookie")))) return;
    json_name(w, SLICE("cookies"));
    json_open(w, '[');
    for (size_t i = 0; i < f->count; i++)
        if (is_cookie(&f->items[i])) write_cookie_pairs(w, f->items[i].value);
    json_close(w, ']');
}

/* --- query parameters --- */

static void write_parameter(struct json_write *w, const struct query_parameter *p) {
    json_name(w, p->name);
    buf_append_char(w->out, '"');
    json_escape(w->out, p->value);
    for (const struct query_parameter *more = p->same; more; more = more->same) {
        buf_append_char(w->out, ',');
        json_escape(w->out, more->value);
    }
    buf_append_char(w->out, '"');
    w->comma = true;
}

static void write_query_parameters(struct json_write *w, struct invocation *inv) {
    struct query_parameters ps = query_parameters_read(&inv->arena, inv->request.url.query);
    if (ps.first) {
        json_name(w, SLICE("queryStringParameters"));
        json_open(w, '{');
        for (const struct query_parameter *p = ps.first; p; p = p->next) write_parameter(w, p);
        json_close(w, '}');
    }
    query_parameters_end(&ps);
}

/* --- the rest --- */

static void write_path_parameters(struct json_write *w, const struct invocation *inv) {
    const struct route *route = inv->route;
    if (!route || route->parameter_count == 0) return;
    json_name(w, SLICE("pathParameters"));
    json_open(w, '{');
    for (size_t i = 0; i < route->parameter_count; i++) json_member(w, route->parameter_names[i], inv->parameters[i]);
    json_close(w, '}');
}

/* The Host field without its port; an IPv6 literal keeps its brackets. */
static struct slice domain_of(struct slice host) {
    for (size_t i = host.n; i-- > 0 && host.p[i] != ']';)
        if (host.p[i] == ':') return slice_make(host.p, i);
    return host;
}

static void write_domain(struct json_write *w, struct slice host) {
    if (host.n == 0) return;
    struct slice domain = domain_of(host);
    struct slice rest = domain, prefix = SLICE_NONE;
    json_member(w, SLICE("domainName"), domain);
    if (slice_next(&rest, '.', &prefix)) json_member(w, SLICE("domainPrefix"), prefix);
}

static void write_http(struct json_write *w, const struct request *request) {
    struct slice agent = fields_get(&request->headers, SLICE("user-agent"));
    json_name(w, SLICE("http"));
    json_open(w, '{');
    json_member(w, SLICE("method"), request->method);
    json_member(w, SLICE("path"), request->url.path);
    json_member(w, SLICE("protocol"), request->version);
    /* A local socket's client has no address. */
    if (!slice_equal(request->client_address, SLICE("unix:")))
        json_member(w, SLICE("sourceIp"), request->client_address);
    if (!slice_is_none(agent)) json_member(w, SLICE("userAgent"), agent);
    json_close(w, '}');
}

static struct slice route_key(const struct invocation *inv) {
    return inv->route ? inv->route->key : SLICE("$default");
}

static void write_scopes(struct json_write *w, struct slice scopes) {
    struct slice scope;
    json_name(w, SLICE("scopes"));
    if (slice_is_none(scopes)) {
        json_null(w);
        return;
    }
    json_open(w, '[');
    while (slice_next(&scopes, ' ', &scope))
        if (scope.n) json_text(w, scope);
    json_close(w, ']');
}

static void write_jwt(struct json_write *w, struct identity *identity) {
    const struct identity_details *d = identity_details(identity);
    json_name(w, SLICE("jwt"));
    json_open(w, '{');
    json_name(w, SLICE("claims"));
    json_open(w, '{');
    for (size_t i = 0; i < d->claims.count; i++) json_member(w, d->claims.items[i].name, d->claims.items[i].value);
    json_close(w, '}');
    write_scopes(w, d->scopes);
    json_close(w, '}');
}

/* Of a client certificate only what the TLS listener has verified: whose it is. */
static void write_authentication(struct json_write *w, struct slice subject) {
    if (slice_is_none(subject)) return;
    json_name(w, SLICE("authentication"));
    json_open(w, '{');
    json_name(w, SLICE("clientCert"));
    json_open(w, '{');
    json_member(w, SLICE("subjectDN"), subject);
    json_close(w, '}');
    json_close(w, '}');
}

static void write_authorizer(struct json_write *w, struct identity *identity) {
    if (!identity) return;
    json_name(w, SLICE("authorizer"));
    json_open(w, '{');
    switch (identity->shape) {
    case IDENTITY_JWT: write_jwt(w, identity); break;
    case IDENTITY_LAMBDA:
        json_name(w, SLICE("lambda"));
        json_raw(w, identity->claims_json);
        break;
    }
    json_close(w, '}');
}

static void write_context(struct json_write *w, const struct invocation *inv, const char *application) {
    char time[27];
    http_common_log_time(inv->received_wall_ms, time);
    json_name(w, SLICE("requestContext"));
    json_open(w, '{');
    json_member(w, SLICE("accountId"), SLICE(EVENT_ACCOUNT));
    json_member(w, SLICE("apiId"), slice_of(application));
    write_authentication(w, inv->request.client_certificate);
    write_authorizer(w, inv->identity);
    write_domain(w, inv->request.host);
    write_http(w, &inv->request);
    json_member(w, SLICE("requestId"), inv->request_id);
    json_member(w, SLICE("routeKey"), route_key(inv));
    json_member(w, SLICE("stage"), SLICE("$default"));
    json_member(w, SLICE("time"), slice_make(time, sizeof time - 1));
    json_name(w, SLICE("timeEpoch"));
    json_number(w, (int64_t)inv->received_wall_ms);
    json_close(w, '}');
}

static void write_body(struct json_write *w, const struct invocation *inv, struct slice body) {
    struct slice type = fields_get(&inv->request.headers, SLICE("content-type"));
    bool text = body.n == 0 || (media_type_is_text(type) && text_utf8_prefix(body) == body.n);
    if (body.n) json_name(w, SLICE("body"));
    if (body.n && text) json_text(w, body);
    if (body.n && !text) json_base64(w, body);
    json_name(w, SLICE("isBase64Encoded"));
    json_bool(w, !text);
}

struct slice http_event_write(struct buf *out, struct invocation *inv, const char *application) {
    const struct request *request = &inv->request;
    struct slice body = inv->body ? body_whole(inv->body) : SLICE("");
    struct json_write w = json_write_to(out);
    buf_reserve(out, 2048 + body.n + body.n / 2);
    json_open(&w, '{');
    json_member(&w, SLICE("version"), SLICE("2.0"));
    json_member(&w, SLICE("routeKey"), route_key(inv));
    json_member(&w, SLICE("rawPath"), request->url.path);
    json_member(&w, SLICE("rawQueryString"), request->url.query);
    write_cookies(&w, &request->headers);
    write_headers(&w, &request->headers);
    write_query_parameters(&w, inv);
    write_context(&w, inv, application);
    write_path_parameters(&w, inv);
    write_body(&w, inv, body);
    json_close(&w, '}');
    return SLICE("application/json");
}
