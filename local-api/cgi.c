#include "local-api/cgi.h"
#include "gateway/base/http_text.h"
#include "gateway/invocation/event.h"
#include "gateway/schedule/moment.h"

#define VARIABLE_NAME_MAX 256

static void variable_set(struct launch *l, const char *name, struct slice value) {
    launch_set_format(l, name, SLICE_FMT, SLICE_ARG(value));
}

/* --- the path, as where the handler is mounted and what is left --- */

/* How many segments stand before the trigger's catch-all; 0 when it has none. */
static size_t mount_depth(const struct route *route) {
    struct slice pattern = route->trigger ? route->trigger->pattern : SLICE_NONE;
    if (pattern.n < 2 || memcmp(pattern.p + pattern.n - 2, "+}", 2) != 0) return 0;
    size_t slashes = 0;
    for (size_t i = 0; i < pattern.n; i++) slashes += pattern.p[i] == '/';
    return slashes - 1;
}

static void path_set(struct launch *l, const char *name, const struct slice *segments, size_t count) {
    struct buf path = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_char(&path, '/');
        buf_append_slice(&path, segments[i]);
    }
    variable_set(l, name, buf_slice(&path));
    buf_free(&path);
}

static void paths_set(struct launch *l, const struct invocation *inv) {
    const struct url *url = &inv->request.url;
    size_t depth = mount_depth(inv->route);
    if (depth > url->segment_count) depth = url->segment_count;
    path_set(l, "SCRIPT_NAME", url->segments, depth);
    path_set(l, "PATH_INFO", url->segments + depth, url->segment_count - depth);
}

/* --- the server, as the client named it --- */

/* The colon before the port; an IPv6 address has some inside its brackets. */
static const char *port_colon(struct slice host) {
    const char *colon = host.n ? memrchr(host.p, ':', host.n) : NULL;
    const char *bracket = host.n ? memrchr(host.p, ']', host.n) : NULL;
    return colon && (!bracket || colon > bracket) ? colon : NULL;
}

static void server_set(struct launch *l, const struct request *r) {
    struct slice name = r->host;
    struct slice port = slice_equal(r->scheme, SLICE("https")) ? SLICE("443") : SLICE("80");
    const char *colon = port_colon(r->host);
    if (colon) {
        name.n = (size_t)(colon - r->host.p);
        struct slice given = slice_make(colon + 1, r->host.n - name.n - 1);
        if (given.n) port = given;
    }
    variable_set(l, "SERVER_NAME", name.n ? name : SLICE("localhost"));
    variable_set(l, "SERVER_PORT", port);
    variable_set(l, "SERVER_PROTOCOL", r->version);
    launch_set(l, "SERVER_SOFTWARE", "execgate/" EXECGATE_VERSION);
}

/* --- the request's own fields --- */

/* PREFIX and the name in upper case, with `_` for what is neither letter nor digit. */
static void variable_name(char out[VARIABLE_NAME_MAX], const char *prefix, struct slice name) {
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    for (size_t i = 0; i < name.n && n < VARIABLE_NAME_MAX - 1; i++) out[n++] = http_variable_character(name.p[i]);
    out[n] = '\0';
}

static bool name_maps_to_one_variable(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (!plain) return false;
    }
    return name.n < VARIABLE_NAME_MAX - sizeof "HTTP_";
}

static bool field_is_passed(const struct fields *all, struct slice name) {
    static const char *const kept_back[] = {"Proxy", "Content-Type", "Content-Length"};
    for (size_t i = 0; i < ARRAY_LEN(kept_back); i++)
        if (slice_equal_nocase(name, slice_of(kept_back[i]))) return false;
    if (http_is_hop_by_hop(name) || http_is_named_by_connection(all, name)) return false;
    return !slice_starts_with_nocase(name, SLICE("Execgate-")) && name_maps_to_one_variable(name);
}

/* Repeated fields are one list (RFC 9110 5.3), cookies excepted (RFC 6265 5.4). */
static void field_set(struct launch *l, const struct fields *all, size_t at) {
    struct slice name = all->items[at].name;
    const char *separator = slice_equal_nocase(name, SLICE("Cookie")) ? "; " : ", ";
    struct buf value = {0};
    char variable[VARIABLE_NAME_MAX];
    buf_append_slice(&value, all->items[at].value);
    for (size_t i = at + 1; i < all->count; i++) {
        if (!slice_equal_nocase(all->items[i].name, name)) continue;
        buf_append_text(&value, separator);
        buf_append_slice(&value, all->items[i].value);
    }
    variable_name(variable, "HTTP_", name);
    variable_set(l, variable, buf_slice(&value));
    buf_free(&value);
}

static bool field_came_before(const struct fields *all, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (slice_equal_nocase(all->items[i].name, all->items[at].name)) return true;
    return false;
}

static void fields_set(struct launch *l, const struct fields *all) {
    for (size_t i = 0; i < all->count; i++)
        if (field_is_passed(all, all->items[i].name) && !field_came_before(all, i)) field_set(l, all, i);
}

/* --- what only execgate knows --- */

static void own_set(struct launch *l, const struct invocation *inv, uint64_t deadline_ms) {
    variable_set(l, "EXECGATE_INVOCATION_ID", invocation_id(inv));
    variable_set(l, "EXECGATE_REQUEST_ID", inv->request_id);
    launch_set(l, "EXECGATE_TRIGGER", trigger_kind_name(inv->trigger));
    variable_set(l, "EXECGATE_ROUTE", inv->route->key);
    launch_set_format(l, "EXECGATE_DEADLINE", "%llu", (unsigned long long)deadline_ms);
    launch_set_format(l, "TRACEPARENT", "00-%.32s-%.16s-%s", inv->trace_id, inv->parent_id,
                      inv->trace_sampled ? "01" : "00");
}

static void schedule_set(struct launch *l, const struct schedule_event *schedule) {
    char time[MOMENT_SIZE];
    if (!schedule) return;
    moment_text_utc(time, (int64_t)(schedule->due_ms / 1000));
    launch_set(l, "EXECGATE_SCHEDULED_TIME", time);
}

static void websocket_set(struct launch *l, const struct websocket_event *e) {
    if (!e) return;
    variable_set(l, "EXECGATE_CONNECTION_ID", e->connection_id);
    variable_set(l, "EXECGATE_WEBSOCKET_ROUTE", e->route_key);
    if (e->type == WEBSOCKET_MESSAGE) variable_set(l, "EXECGATE_MESSAGE_ID", e->message_id);
    if (e->groups.n) variable_set(l, "EXECGATE_GROUPS", e->groups);
    if (e->type == WEBSOCKET_DISCONNECT) launch_set_format(l, "EXECGATE_CLOSE_CODE", "%d", e->close_code);
}

static void parameters_set(struct launch *l, const struct invocation *inv) {
    char variable[VARIABLE_NAME_MAX];
    for (size_t i = 0; i < inv->route->parameter_count; i++) {
        variable_name(variable, "EXECGATE_PARAMETER_", inv->route->parameter_names[i]);
        variable_set(l, variable, inv->parameters[i]);
    }
}

/* An environment cannot hold a NUL; a claim that has one is in EXECGATE_CLAIMS alone, escaped. */
static bool fits_variable(struct slice s) {
    return !slice_is_none(s) && !memchr(s.p, '\0', s.n);
}

/* AUTH_TYPE and REMOTE_USER are those of RFC 3875 4.1.1 and 4.1.11. Of two claims that make the same name, the first
 * counts. */
static void identity_set(struct launch *l, struct identity *identity) {
    char variable[VARIABLE_NAME_MAX];
    if (!identity) return;
    const struct identity_details *d = identity_details(identity);
    variable_set(l, "AUTH_TYPE", identity->scheme);
    if (fits_variable(d->subject)) variable_set(l, "REMOTE_USER", d->subject);
    variable_set(l, "EXECGATE_GUARD", identity->guard);
    variable_set(l, "EXECGATE_CLAIMS", identity->claims_json);
    for (size_t i = 0; i < d->claims.count; i++) {
        const struct field *claim = &d->claims.items[i];
        if (!fits_variable(claim->value)) continue;
        variable_name(variable, "EXECGATE_CLAIM_", claim->name);
        variable_set(l, variable, claim->value);
    }
}

static void content_set(struct launch *l, const struct invocation *inv) {
    struct slice type = fields_get(&inv->request.headers, SLICE("Content-Type"));
    if (!slice_is_none(type)) variable_set(l, "CONTENT_TYPE", type);
    if (inv->body) launch_set_format(l, "CONTENT_LENGTH", "%llu", (unsigned long long)body_received(inv->body));
}

void cgi_environment_set(struct launch *l, const struct invocation *inv, uint64_t deadline_ms) {
    const struct request *r = &inv->request;
    launch_set(l, "GATEWAY_INTERFACE", "CGI/1.1");
    variable_set(l, "REQUEST_METHOD", r->method);
    variable_set(l, "REQUEST_URI", r->target);
    variable_set(l, "REQUEST_SCHEME", r->scheme);
    if (slice_equal(r->scheme, SLICE("https"))) variable_set(l, "HTTPS", SLICE("on"));
    if (fits_variable(r->client_certificate) && !slice_is_none(r->client_certificate))
        variable_set(l, "SSL_CLIENT_S_DN", r->client_certificate);
    variable_set(l, "QUERY_STRING", r->url.query);
    variable_set(l, "REMOTE_ADDR", r->client_address);
    launch_set_format(l, "REMOTE_PORT", "%u", (unsigned)r->client_port);
    paths_set(l, inv);
    server_set(l, r);
    content_set(l, inv);
    fields_set(l, &r->headers);
    own_set(l, inv, deadline_ms);
    schedule_set(l, inv->schedule);
    websocket_set(l, inv->websocket);
    parameters_set(l, inv);
    identity_set(l, inv->identity);
}
