#include "gateway/base/http_text.h"
#include "gateway/base/json_write.h"
#include "local-api/extension.h"
#include "local-api/lambda_face.h"
#include "local-api/native_face.h"
#include "local-api/runtime_private.h"
#include <stdarg.h>
#include <stdlib.h>

static const struct call_ops idle_ops = {0};

static struct call *call_new(struct endpoint *ep, struct http_exchange *x) {
    struct list_node *spare = list_first(&ep->api->spare_calls);
    struct call *c = spare ? list_entry(spare, struct call, node) : xmalloc(sizeof *c);
    if (spare) list_remove(spare);
    *c = (struct call){.endpoint = ep, .exchange = x, .ops = &idle_ops};
    list_push(&ep->calls, &c->node);
    http_exchange_set_user(x, c);
    return c;
}

/* It has no place in the endpoint any more. */
static void call_leave(struct call *c) {
    struct endpoint *ep = c->endpoint;
    if (!ep) return;
    if (c->ops->on_left) c->ops->on_left(c);
    bool waited = list_holds(&ep->polls, &c->node);
    list_remove(&c->node);
    c->endpoint = NULL;
    if (waited) endpoint_offer(ep);
}

static void call_free(struct call *c, struct runtime_api *api) {
    buf_free(&c->out);
    buf_free(&c->in);
    buf_free(&c->refused);
    chunk_release(c->body);
    list_push(&api->spare_calls, &c->node);
}

/* --- routing --- */

/* Compares segment by segment; {id} takes any one that is not empty. */
static bool path_matches(struct slice path, const char *pattern, struct slice *id) {
    struct slice wanted = slice_of(pattern);
    struct slice segment, part;
    while (slice_next(&wanted, '/', &part)) {
        if (!slice_next(&path, '/', &segment)) return false;
        if (slice_equal(part, SLICE("{id}")) && segment.n)
            *id = segment;
        else if (!slice_equal(part, segment))
            return false;
    }
    return slice_is_none(path);
}

struct route_table {
    const struct api_route *routes;
    const size_t *count;
};
static const struct route_table tables[] = {{native_routes, &native_route_count},
                                            {lambda_routes, &lambda_route_count},
                                            {extension_routes, &extension_route_count}};

/* The row for the path and method; *known says whether the path has one at all. */
static const struct api_route *table_find(const struct route_table *table, struct call *c, struct slice path,
                                          bool *known) {
    struct slice method = http_exchange_method(c->exchange);
    for (size_t i = 0; i < *table->count; i++) {
        const struct api_route *row = &table->routes[i];
        if (!path_matches(path, row->path, &c->id)) continue;
        *known = true;
        if (!row->method || slice_equal(method, slice_of(row->method))) return row;
    }
    return NULL;
}

static void call_misses(struct call *c, struct slice path, bool known) {
    bool native = slice_starts_with(path, SLICE("/v1/"));
    if (native && known)
        call_problem(c, 405, "the path does not take this method");
    else if (native)
        call_problem(c, 404, "there is no such path in the runtime API");
    else if (known)
        call_refuse(c, 405, "MethodNotAllowed", "The path does not take this method");
    else
        call_refuse(c, 404, "NotFound", "There is no such path in the runtime API");
}

static void call_route(struct call *c) {
    struct slice rest = http_exchange_target(c->exchange);
    struct slice path = SLICE_NONE;
    bool known = false;
    slice_next(&rest, '?', &path);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const struct api_route *row = table_find(&tables[i], c, path, &known);
        if (!row) continue;
        row->begin(c);
        return;
    }
    call_misses(c, path, known);
}

/* --- what the server tells --- */

void call_begin(struct http_exchange *x) {
    struct http_group *group = http_exchange_group(x);
    if (!group) {
        http_exchange_abort(x);
        return;
    }
    call_route(call_new(group->context, x));
}

size_t call_data(struct http_exchange *x, struct slice bytes) {
    struct call *c = http_exchange_user(x);
    if (!c || !c->endpoint || !c->ops->on_data) return bytes.n;
    return c->ops->on_data(c, bytes);
}

void call_end(struct http_exchange *x) {
    struct call *c = http_exchange_user(x);
    if (c && c->endpoint && c->ops->on_end) c->ops->on_end(c);
}

void call_gone(struct http_exchange *x) {
    struct call *c = http_exchange_user(x);
    if (c) call_leave(c);
}

void call_done(struct http_exchange *x, bool replied) {
    (void)replied;
    struct call *c = http_exchange_user(x);
    if (!c) return;
    call_leave(c);
    call_free(c, http_server_context(http_exchange_server(x)));
}

/* --- replies --- */

struct slice call_header(const struct call *c, struct slice name) {
    return http_exchange_header(c->exchange, name);
}

void call_reply(struct call *c, int status, const char *content_type, struct buf *take_body) {
    struct field type = {SLICE("Content-Type"), slice_of(content_type)};
    struct fields headers = {&type, 1, 1};
    size_t n;
    char *bytes = buf_take(take_body, &n);
    http_exchange_reply_bytes(c->exchange, status, &headers, bytes, n);
}

void call_accept(struct call *c) {
    http_exchange_reply_canned(c->exchange, c->endpoint->api->accepted);
}

static void write_formatted(struct json_write *w, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void write_formatted(struct json_write *w, const char *format, va_list arguments) {
    struct buf text = {0};
    buf_vprintf(&text, format, arguments);
    json_text(w, buf_slice(&text));
    buf_free(&text);
}

void call_refuse(struct call *c, int status, const char *type, const char *format, ...) {
    struct buf body = {0};
    struct json_write w = json_write_to(&body);
    va_list arguments;
    c->ops = &idle_ops;
    json_open(&w, '{');
    json_name(&w, SLICE("errorMessage"));
    va_start(arguments, format);
    write_formatted(&w, format, arguments);
    va_end(arguments);
    json_member(&w, SLICE("errorType"), slice_of(type));
    json_close(&w, '}');
    call_reply(c, status, "application/json", &body);
}

void call_problem(struct call *c, int status, const char *format, ...) {
    struct buf body = {0};
    struct json_write w = json_write_to(&body);
    va_list arguments;
    c->ops = &idle_ops;
    json_open(&w, '{');
    json_member(&w, SLICE("title"), slice_of(http_reason(status)));
    json_name(&w, SLICE("status"));
    json_number(&w, status);
    json_name(&w, SLICE("detail"));
    va_start(arguments, format);
    write_formatted(&w, format, arguments);
    va_end(arguments);
    json_close(&w, '}');
    call_reply(c, status, "application/problem+json", &body);
}

bool call_collect(struct call *c, struct slice bytes, uint64_t limit) {
    if (bytes.n > limit || c->in.n > limit - bytes.n) {
        buf_free(&c->in);
        return false;
    }
    int64_t length = http_exchange_content_length(c->exchange);
    if (!c->in.n && length > 0 && (uint64_t)length <= limit) buf_reserve(&c->in, (size_t)length);
    buf_append_slice(&c->in, bytes);
    return true;
}
