#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/observe/admin_private.h"
#include "gateway/source/http/http_check.h"
#include "local-api/peer_check.h"
#include <stdlib.h>
#include <unistd.h>

#define LANES 2
#define CONNECTIONS_MAX 256
#define ARENA_FIRST 2048
#define ROOT 0

static const struct admin_endpoint endpoints[] = {
    {SLICE("GET"), SLICE("/health"), 1, admin_answer_health},
    {SLICE("GET"), SLICE("/status"), 1, admin_answer_status},
    {SLICE("POST"), SLICE("/2015-03-31/functions/*/invocations"), 0, admin_answer_invoke},
    {SLICE("POST"), SLICE("/2021-11-15/functions/*/response-streaming-invocations"), 0, admin_answer_invoke_stream},
    {SLICE("*"), SLICE("/v1/connections"), 0, admin_answer_connection},
    {SLICE("*"), SLICE("/v1/connections/*"), 0, admin_answer_connection},
    {SLICE("*"), SLICE("/v1/connections/*/groups/*"), 1, admin_answer_connection},
    {SLICE("*"), SLICE("/@connections/*"), 0, admin_answer_connection},
    {SLICE("*"), SLICE("/v1/groups/*"), 1, admin_answer_connection},
    {SLICE("*"), SLICE("/v1/groups/*/messages"), 0, admin_answer_connection},
    {SLICE("*"), SLICE("/v1/nodes"), 1, admin_answer_connection},
};

/* --- answers --- */

void admin_reply_body(struct admin_request *r, int status, const struct fields *fields, struct body *take_body) {
    r->cancel = NULL;
    const struct http_reply reply = {.status = status, .headers = fields, .take_body = take_body};
    http_exchange_reply(r->exchange, &reply);
}

void admin_reply_json(struct admin_request *r, int status, struct fields *fields, struct buf *take_text) {
    struct fields none = {0};
    size_t n;
    char *text = buf_take(take_text, &n);
    if (!fields) fields = &none;
    fields_add(fields, &r->arena, SLICE("Content-Type"), SLICE("application/json"));
    admin_reply_body(r, status, fields, body_of_chunk(chunk_take(text, n)));
}

static void reply_problem(struct admin_request *r, enum failure f, const char *detail, struct fields *fields) {
    struct buf text = {0};
    failure_write_problem(&text, f, slice_of(detail), SLICE_NONE);
    fields_add(fields, &r->arena, SLICE("Content-Type"), SLICE("application/problem+json"));
    size_t n;
    char *bytes = buf_take(&text, &n);
    admin_reply_body(r, failure_row(f)->status, fields, body_of_chunk(chunk_take(bytes, n)));
}

void admin_reply_failure(struct admin_request *r, enum failure f, const char *detail) {
    struct fields fields = {0};
    reply_problem(r, f, detail, &fields);
}

struct slice admin_query(struct admin_request *r, struct slice name) {
    struct slice rest = r->url.query, key, value;
    while (url_query_next(&rest, &key, &value))
        if (slice_equal(url_decode(&r->arena, key, URL_PLUS_IS_BLANK), name))
            return url_decode(&r->arena, value, URL_PLUS_IS_BLANK);
    return SLICE_NONE;
}

/* --- which endpoint --- */

static bool path_matches(const struct admin_endpoint *e, const struct url *u, struct slice *variable) {
    struct slice rest = slice_make(e->path.p + 1, e->path.n - 1), part;
    size_t i = 0;
    while (slice_next(&rest, '/', &part)) {
        if (i == u->segment_count) return false;
        if (slice_equal(part, SLICE("*")))
            *variable = u->segments[i];
        else if (!slice_equal(part, u->segments[i]))
            return false;
        i++;
    }
    return i == u->segment_count;
}

static void refuse_method(struct admin_request *r, const struct admin_endpoint *e) {
    struct fields fields = {0};
    fields_add(&fields, &r->arena, SLICE("Allow"), e->method);
    reply_problem(r, FAILURE_METHOD, NULL, &fields);
}

/* Answers by itself when there is none. */
static const struct admin_endpoint *find_endpoint(struct admin_request *r) {
    const struct admin_endpoint *other = NULL;
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        if (!path_matches(&endpoints[i], &r->url, &r->variable)) continue;
        if (slice_equal(endpoints[i].method, SLICE("*"))) return &endpoints[i];
        if (slice_equal(endpoints[i].method, http_exchange_method(r->exchange))) return &endpoints[i];
        other = &endpoints[i];
    }
    if (other)
        refuse_method(r, other);
    else
        admin_reply_failure(
            r, FAILURE_NOT_FOUND,
            "there are /health, /status, /v1/connections, /v1/groups, /v1/nodes and the Lambda invoke API here");
    return NULL;
}

/* --- who may ask --- */

static bool host_is_loopback(struct slice host) {
    static const struct slice names[] = {SLICE("localhost"), SLICE("127.0.0.1"), SLICE("[::1]")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!slice_starts_with_nocase(host, names[i])) continue;
        if (host.n == names[i].n || host.p[names[i].n] == ':') return true;
    }
    return false;
}

/* A name that a web page makes resolve to this machine is still that page's in the Host field. */
static bool may_ask(struct admin_request *r) {
    if (!slice_is_none(fields_get(&r->headers, SLICE("Origin")))) {
        admin_reply_failure(r, FAILURE_FORBIDDEN, "web pages may not talk to the admin listener");
        return false;
    }
    bool local = http_exchange_peer(r->exchange)->local;
    /* RFC 9112 3.2.2: what the target names counts, not what the field says. */
    struct slice named = r->url.authority;
    if (local || host_is_loopback(slice_is_none(named) ? fields_get(&r->headers, SLICE("Host")) : named)) return true;
    admin_reply_failure(r, FAILURE_FORBIDDEN,
                        "the Host field must name this machine's loopback: localhost, 127.0.0.1, [::1]");
    return false;
}

static bool head_is_good(struct admin_request *r) {
    struct http_exchange *x = r->exchange;
    struct error e;
    const struct http_head head = {http_exchange_method(x), http_exchange_target(x), http_exchange_version(x),
                                   &r->headers};
    struct http_verdict v = http_check(&head);
    if (v.failure != FAILURE_NONE)
        admin_reply_failure(r, v.failure, v.detail);
    else if (!http_exchange_head_is_exact(x))
        admin_reply_failure(r, FAILURE_BAD_REQUEST, "the head is not well-formed");
    else if (url_parse(&r->url, &r->arena, http_exchange_target(x), &e) < 0)
        admin_reply_failure(r, FAILURE_BAD_REQUEST, e.message);
    else
        return true;
    return false;
}

/* --- the life of a request --- */

static void on_head(struct http_exchange *x) {
    struct admin *a = http_server_context(http_exchange_server(x));
    struct admin_request *r = xcalloc(1, sizeof *r);
    r->admin = a;
    r->exchange = x;
    arena_init(&r->arena, ARENA_FIRST);
    http_exchange_set_user(x, r);
    http_exchange_fields(x, &r->arena, HTTP_COPY, &r->headers);
    if (!head_is_good(r) || !may_ask(r)) return;
    r->endpoint = find_endpoint(r);
    if (!r->endpoint) return;
    r->max_body = r->endpoint->max_body ? r->endpoint->max_body : a->limits.max_body;
    if (http_exchange_content_length(x) > (int64_t)r->max_body)
        admin_reply_failure(r, FAILURE_BODY_TOO_LARGE, NULL);
    else
        http_exchange_read(x);
}

static size_t on_data(struct http_exchange *x, struct slice bytes) {
    struct admin_request *r = http_exchange_user(x);
    if (http_exchange_replied(x)) return bytes.n;
    if (r->body.n + bytes.n > r->max_body)
        admin_reply_failure(r, FAILURE_BODY_TOO_LARGE, NULL);
    else
        buf_append_slice(&r->body, bytes);
    return bytes.n;
}

static void on_end(struct http_exchange *x) {
    struct admin_request *r = http_exchange_user(x);
    if (!http_exchange_replied(x)) r->endpoint->answer(r);
}

static void on_done(struct http_exchange *x, bool replied) {
    (void)replied;
    struct admin_request *r = http_exchange_user(x);
    if (r->cancel) r->cancel(r);
    buf_free(&r->body);
    arena_free(&r->arena);
    free(r);
}

static const struct http_server_ops admin_ops = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end, .on_done = on_done};

/* --- the listener --- */

struct admin *admin_new(const struct admin_host *host, const struct limits_config *limits, struct error *e) {
    struct admin *a = xcalloc(1, sizeof *a);
    a->host = *host;
    a->limits = *limits;
    http_group_init(&a->group, a);
    const struct http_server_config config = {.ops = &admin_ops,
                                              .phase = TURN_PUBLIC,
                                              .lanes = LANES,
                                              .max_header = limits->max_header,
                                              .max_connections = CONNECTIONS_MAX,
                                              .header_timeout_ms = limits->header_timeout_ms,
                                              .body_timeout_ms = limits->body_timeout_ms,
                                              .idle_timeout_ms = limits->idle_timeout_ms,
                                              .log = host->log,
                                              .context = a};
    a->peer_check = peer_check_new();
    a->server = http_server_new(host->loop, &config, e);
    if (a->server) return a;
    peer_check_free(a->peer_check);
    free(a);
    return NULL;
}

/* A loopback port is everybody's on this machine; a Unix socket's file says itself whose it is. */
static bool peer_may_connect(const struct admin *a, int fd, const struct peer *peer) {
    if (peer->local) return true;
    return peer_is_user(a->peer_check, fd, geteuid()) || peer_is_user(a->peer_check, fd, ROOT);
}

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct admin *a = context;
    if (!peer_may_connect(a, take_fd, peer)) {
        log_event(a->host.log, LOG_WARN, "refused a connection to the admin listener: another user's process",
                  LOG_TEXT("peer", peer->address), LOG_INT("port", peer->port));
        close(take_fd);
        return;
    }
    http_server_add(a->server, &a->group, take_fd, peer);
}

int admin_listen(struct admin *a, const struct listener_config *c, struct error *e) {
    a->listener = listener_open(a->host.loop, c, on_accept, a, e);
    return a->listener ? 0 : -ERROR_SYSTEM;
}

const char *admin_address(const struct admin *a) {
    return listener_address(a->listener);
}

void admin_drain(struct admin *a) {
    listener_close(a->listener);
    a->listener = NULL;
    http_server_drain(a->server);
}

void admin_abort(struct admin *a) {
    http_group_close(&a->group);
}

bool admin_is_idle(const struct admin *a) {
    return http_server_connections(a->server) == 0;
}

void admin_free(struct admin *a) {
    if (!a) return;
    listener_close(a->listener);
    http_server_free(a->server);
    peer_check_free(a->peer_check);
    free(a);
}
