#include "gateway/source/http_source.h"
#include "gateway/base/memory.h"
#include "gateway/source/http_check.h"
#include "plugins/request_id/request_id.h"
#include <stdlib.h>
#include <sys/resource.h>

/* Daemons that the connections are spread over, because a resume walks all of its daemon's waiting connections. */
#define LANES_MOST 512
#define LANES_FEWEST 8
#define SPARE_REQUESTS 256
#define ALLOWED_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

struct http_source {
    struct loop *loop;
    struct pipeline *pipeline;
    struct limits_config limits;
    struct http_server *server;
    struct http_group group; /* all connections */
    struct listener **listeners;
    size_t listener_count;
    struct list spare; /* struct request_delivery that wait for use */
};

/* Ties an exchange to its invocation. Either may end first: the exchange when the client leaves a running invocation,
 * the invocation when it has been answered. Lives from on_head to on_done. */
struct request_delivery {
    struct list_node node; /* in spare */
    struct http_exchange *exchange;
    struct invocation *invocation; /* NULL once it is finished or cancelled */
    struct body *body;             /* the request's, producer's end; NULL = none, or ended */
    bool distrusted;               /* its framing may be wrong: the connection ends with it */
};

static struct http_source *source_of(const struct http_exchange *x) {
    return http_server_context(http_exchange_server(x));
}

static struct request_delivery *delivery_take(struct http_source *s) {
    struct list_node *node = list_first(&s->spare);
    if (!node) return xcalloc(1, sizeof(struct request_delivery));
    list_remove(node);
    struct request_delivery *d = list_entry(node, struct request_delivery, node);
    *d = (struct request_delivery){0};
    return d;
}

static void delivery_give_back(struct http_source *s, struct request_delivery *d) {
    if (s->spare.length < SPARE_REQUESTS)
        list_push_front(&s->spare, &d->node);
    else
        free(d);
}

static void delivery_end_body(struct request_delivery *d) {
    struct body *body = d->body;
    d->body = NULL;
    if (body) body_release_producer(body);
}

/* --- outcomes --- */

/* After these the rest of the request is not worth, or not safe, to be waited for. */
static bool failure_ends_connection(enum failure f) {
    return f == FAILURE_REQUEST_TIMEOUT || f == FAILURE_BODY_TOO_LARGE;
}

static void source_finish(struct invocation *inv) {
    struct request_delivery *d = inv->source_context;
    struct http_exchange *x = d->exchange;
    d->invocation = NULL;
    if (!x) return; /* the client has left; the pipeline lets go of the outcome */
    bool close = d->distrusted || failure_ends_connection(inv->outcome.failure);
    struct http_reply reply = {.status = inv->outcome.status,
                               .headers = &inv->outcome.headers,
                               .take_body = outcome_take_body(&inv->outcome),
                               .connection = close ? HTTP_CLOSE : HTTP_KEEP};
    http_exchange_reply(x, &reply);
    delivery_end_body(d);
}

static const struct source_ops invocations = {.name = "http", .finish = source_finish};

/* --- requests --- */

/* Called by the body's consumer in the midst of its work; http_exchange_read only notes. */
static void on_body_wanted(void *context) {
    struct request_delivery *d = context;
    if (d->exchange && d->body && body_wants(d->body)) http_exchange_read(d->exchange);
}

static void request_copy(struct request *r, struct arena *a, const struct http_exchange *x) {
    const struct peer *peer = http_exchange_peer(x);
    r->method = arena_copy(a, http_exchange_method(x));
    r->target = arena_copy(a, http_exchange_target(x));
    r->version = arena_copy(a, http_exchange_version(x));
    http_exchange_fields(x, a, HTTP_COPY, &r->headers);
    r->client_address = arena_copy(a, slice_of(peer->address));
    r->client_port = peer->port;
    r->scheme = SLICE("http");
    r->host = fields_get(&r->headers, SLICE("Host"));
}

static struct http_verdict check_size(const struct http_source *s, const struct http_exchange *x) {
    size_t size = http_exchange_head_size(x);
    if (size <= s->limits.max_header) return (struct http_verdict){FAILURE_NONE, NULL};
    if (http_exchange_target(x).n > size / 2) return (struct http_verdict){FAILURE_URI_TOO_LONG, NULL};
    return (struct http_verdict){FAILURE_HEADER_TOO_LARGE, NULL};
}

static struct http_verdict check_request(const struct http_source *s, const struct http_exchange *x,
                                         const struct request *r) {
    struct http_verdict v = check_size(s, x);
    if (v.failure != FAILURE_NONE) return v;
    if (!http_exchange_head_is_exact(x))
        return (struct http_verdict){FAILURE_BAD_REQUEST,
                                     "a line of the head is folded, holds a NUL or does not end with CRLF"};
    struct http_head head = {r->method, r->target, r->version, &r->headers};
    return http_check(&head);
}

/* True when the invocation may go its way; else *refusal is its outcome. */
static bool request_admit(struct request_delivery *d, struct outcome *refusal) {
    struct invocation *inv = d->invocation;
    struct request *r = &inv->request;
    struct error e;
    struct http_verdict v = check_request(source_of(d->exchange), d->exchange, r);
    if (v.failure != FAILURE_NONE) {
        d->distrusted = true;
        *refusal = v.detail ? outcome_failure(inv, v.failure, "%s", v.detail) : outcome_failure(inv, v.failure, NULL);
        return false;
    }
    if (slice_equal(r->target, SLICE("*"))) {
        *refusal = (struct outcome){.status = 204};
        fields_add(&refusal->headers, &inv->arena, SLICE("Allow"), SLICE(ALLOWED_METHODS));
        return false;
    }
    if (url_parse(&r->url, &inv->arena, r->target, &e) < 0) {
        *refusal = outcome_failure(inv, FAILURE_BAD_REQUEST, "%s", e.message);
        return false;
    }
    /* The target's authority is stronger than the Host field (RFC 9112 3.2.2). */
    if (!slice_is_none(r->url.authority)) r->host = r->url.authority;
    return true;
}

static void request_open_body(struct request_delivery *d) {
    int64_t length = http_exchange_content_length(d->exchange);
    if (length == 0) return;
    d->body = body_new(length, source_of(d->exchange)->limits.max_body); /* until the route is known */
    body_on_wanted(d->body, on_body_wanted, d);
    d->invocation->body = d->body;
}

static void on_head(struct http_exchange *x) {
    struct http_source *s = source_of(x);
    struct request_delivery *d = delivery_take(s);
    struct invocation *inv = invocation_new(s->pipeline, &invocations, d);
    d->exchange = x;
    d->invocation = inv;
    http_exchange_set_user(x, d);
    request_copy(&inv->request, &inv->arena, x);
    struct slice id = fields_get(&inv->request.headers, SLICE("X-Request-Id"));
    if (request_id_is_sane(id)) inv->request_id = id;
    invocation_trace_from(inv, fields_get(&inv->request.headers, SLICE("traceparent")));
    request_open_body(d);
    struct outcome refusal;
    if (request_admit(d, &refusal))
        pipeline_run(inv);
    else
        pipeline_reply(inv, refusal);
}

/* What the body does not take now stays with libmicrohttpd until on_body_wanted. */
static size_t on_data(struct http_exchange *x, struct slice bytes) {
    struct request_delivery *d = http_exchange_user(x);
    if (!d->body || !body_wants(d->body)) return 0;
    return body_append_copy(d->body, bytes) ? bytes.n : 0;
}

static void on_end(struct http_exchange *x) {
    struct request_delivery *d = http_exchange_user(x);
    if (d->body) body_finish(d->body);
    delivery_end_body(d);
}

static void on_body_timeout(struct http_exchange *x) {
    struct request_delivery *d = http_exchange_user(x);
    if (d->body) body_fail_as(d->body, FAILURE_REQUEST_TIMEOUT, "nothing of the body came for too long");
}

/* From here on the invocation has no one to answer to. */
static void delivery_detach(struct request_delivery *d) {
    struct invocation *inv = d->invocation;
    d->exchange = NULL;
    d->invocation = NULL;
    if (inv) invocation_cancel(inv, CANCEL_CLIENT_GONE);
    delivery_end_body(d);
}

static void on_gone(struct http_exchange *x) {
    delivery_detach(http_exchange_user(x));
}

static void on_done(struct http_exchange *x, bool replied) {
    (void)replied;
    struct request_delivery *d = http_exchange_user(x);
    delivery_detach(d);
    delivery_give_back(source_of(x), d);
}

/* --- listeners --- */

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct http_source *s = context;
    http_server_add(s->server, &s->group, take_fd, peer);
    if (http_server_connections(s->server) < s->limits.connections) return;
    for (size_t i = 0; i < s->listener_count; i++) listener_pause(s->listeners[i]);
}

static void on_room(struct http_server *server) {
    struct http_source *s = http_server_context(server);
    for (size_t i = 0; i < s->listener_count; i++) listener_resume(s->listeners[i]);
}

static const struct http_server_ops server_ops = {.on_head = on_head,
                                                  .on_data = on_data,
                                                  .on_end = on_end,
                                                  .on_gone = on_gone,
                                                  .on_body_timeout = on_body_timeout,
                                                  .on_done = on_done,
                                                  .on_room = on_room};

/* Each lane holds a descriptor: an eighth of those that we may have. */
static unsigned lanes_affordable(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 8 >= LANES_MOST) return LANES_MOST;
    return limit.rlim_cur / 8 < LANES_FEWEST ? LANES_FEWEST : (unsigned)(limit.rlim_cur / 8);
}

struct http_source *http_source_new(struct loop *l, struct pipeline *p, const struct limits_config *limits,
                                    struct error *e) {
    struct http_source *s = xcalloc(1, sizeof *s);
    s->loop = l;
    s->pipeline = p;
    s->limits = *limits;
    list_init(&s->spare);
    http_group_init(&s->group, s);
    struct http_server_config config = {.ops = &server_ops,
                                        .phase = TURN_PUBLIC,
                                        .lanes = lanes_affordable(),
                                        .max_header = limits->max_header,
                                        .max_connections = limits->connections,
                                        .header_timeout_ms = limits->header_timeout_ms,
                                        .body_timeout_ms = limits->body_timeout_ms,
                                        .idle_timeout_ms = limits->idle_timeout_ms,
                                        .log = p->log,
                                        .context = s};
    s->server = http_server_new(l, &config, e);
    if (s->server) return s;
    http_source_free(s);
    return NULL;
}

int http_source_listen(struct http_source *s, const struct listener_config *c, struct error *e) {
    struct listener *l = listener_open(s->loop, c, on_accept, s, e);
    if (!l) return -ERROR_SYSTEM;
    s->listeners = xrealloc(s->listeners, (s->listener_count + 1) * sizeof *s->listeners);
    s->listeners[s->listener_count++] = l;
    return 0;
}

size_t http_source_listener_count(const struct http_source *s) {
    return s->listener_count;
}

const char *http_source_address(const struct http_source *s, size_t index) {
    return listener_address(s->listeners[index]);
}

static void source_close_listeners(struct http_source *s) {
    for (size_t i = 0; i < s->listener_count; i++) listener_close(s->listeners[i]);
    s->listener_count = 0;
}

void http_source_drain(struct http_source *s) {
    source_close_listeners(s);
    http_server_drain(s->server);
}

bool http_source_is_idle(const struct http_source *s) {
    return http_server_connections(s->server) == 0;
}

void http_source_abort(struct http_source *s) {
    http_group_close(&s->group);
}

const struct http_server_counters *http_source_counters(const struct http_source *s) {
    return http_server_counters(s->server);
}

void http_source_free(struct http_source *s) {
    if (!s) return;
    source_close_listeners(s);
    http_server_free(s->server);
    list_each (&s->spare, node) free(list_entry(node, struct request_delivery, node));
    free(s->listeners);
    free(s);
}
