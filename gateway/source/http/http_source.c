#include "gateway/source/http/http_source.h"
#include "gateway/base/memory.h"
#include "gateway/source/event_stream/event_source.h"
#include "gateway/source/http/client_address.h"
#include "gateway/source/http/http_check.h"
#include "gateway/source/http/http_redirect.h"
#include "gateway/source/listen/public_listener.h"
#include "gateway/websocket/handshake.h"
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
    struct client_proxies proxies;
    struct http_server *server;
    struct stages *stages;
    struct public_listeners *listeners;
    size_t (*count_also)(void *context); /* connections that have left HTTP; NULL = there are none */
    void *count_context;
    struct event_source *events; /* NULL = event streams are answers like all others */
    bool full;                   /* the listeners wait for room */
    struct list spare;           /* struct request_delivery that wait for use */
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

static bool upgrade_begins(struct http_exchange *x, struct invocation *inv) {
    const struct outcome *o = &inv->outcome;
    if (o->status == 101) return http_exchange_upgrade(x, &o->headers, inv->upgrade);
    return http_exchange_hand_over(x, o->status, &o->headers, inv->upgrade);
}

/* A connection that leaves the HTTP server needs a descriptor of its own. */
static void upgrade_refuse(struct invocation *inv) {
    struct http_upgrade *u = inv->upgrade;
    inv->upgrade = NULL;
    inv->outcome = outcome_failure(inv, FAILURE_OVERLOADED, "no more connections can be kept at the moment");
    outcome_explain(inv);
    u->lost(u);
}

static void source_finish(struct invocation *inv) {
    struct request_delivery *d = inv->source_context;
    struct http_exchange *x = d->exchange;
    d->invocation = NULL;
    if (!x) return; /* the client has left; the pipeline lets go of the outcome */
    const struct http_source *s = source_of(x);
    if (s->events) event_source_take(s->events, inv);
    if (inv->upgrade && upgrade_begins(x, inv)) {
        delivery_end_body(d);
        return;
    }
    if (inv->upgrade) upgrade_refuse(inv);
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
    r->asks_websocket = handshake_is_asked(&r->headers);
    r->client_port = peer->port;
    r->scheme = peer->tls ? SLICE("https") : SLICE("http");
    if (peer->tls && peer->tls->subject) {
        r->client_certificate = arena_copy(a, slice_of(peer->tls->subject));
        r->client_fingerprint = arena_copy(a, slice_of(peer->tls->fingerprint));
    }
    r->host = fields_get(&r->headers, SLICE("Host"));
    r->head_size = http_exchange_head_size(x);
}

/* What the peer says about the client on whose behalf it speaks. */
static void request_believe(const struct http_source *s, struct request *r, struct arena *a,
                            const struct http_exchange *x) {
    const struct peer *peer = http_exchange_peer(x);
    struct client_view view, seen = {.port = peer->port};
    memcpy(seen.address, peer->address, sizeof seen.address);
    if (!client_view_find(&view, &s->proxies, &seen, &r->headers, a)) {
        client_fields_drop(&r->headers);
        return;
    }
    r->client_address = arena_copy(a, slice_of(view.address));
    r->client_port = view.port;
    if (!slice_is_none(view.scheme)) r->scheme = view.scheme;
    if (!slice_is_none(view.host)) r->host = view.host;
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

/* True when the listener does nothing but send clients elsewhere. */
static bool request_redirect(struct request_delivery *d, struct outcome *o) {
    const struct http_group *group = http_exchange_group(d->exchange);
    const struct public_listener *l = group ? group->context : NULL;
    if (!l || !l->config.redirect) return false;
    *o = http_redirect(d->invocation, public_listeners_https_port(l->all));
    return true;
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
    request_believe(source_of(d->exchange), r, &inv->arena, d->exchange);
    return !request_redirect(d, refusal);
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
    if (s->events) event_source_mark(s->events, inv);
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

/* Every client counts, whether it speaks HTTP already or not. */
static bool source_is_full(const struct http_source *s) {
    size_t upgraded = s->count_also ? s->count_also(s->count_context) : 0;
    return http_server_connections(s->server) + stages_count_outside(s->stages) + upgraded >= s->limits.connections;
}

static void source_follow(struct http_source *s) {
    bool full = source_is_full(s);
    if (full == s->full) return;
    s->full = full;
    if (full)
        public_listeners_pause(s->listeners);
    else
        public_listeners_resume(s->listeners);
}

static void on_accepted(void *context) {
    source_follow(context);
}

static void on_ready(void *context, void *listener, int take_fd, const struct peer *peer) {
    struct http_source *s = context;
    struct public_listener *l = listener;
    http_server_add(s->server, &l->group, take_fd, peer);
}

static void on_stage_closed(void *context) {
    source_follow(context);
}

static void on_room(struct http_server *server) {
    struct http_source *s = http_server_context(server);
    public_listeners_sweep(s->listeners);
    source_follow(s);
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

static struct http_server *server_new(struct http_source *s, struct error *e) {
    struct http_server_config config = {.ops = &server_ops,
                                        .phase = TURN_PUBLIC,
                                        .lanes = lanes_affordable(),
                                        .max_header = s->limits.max_header,
                                        .max_connections = s->limits.connections,
                                        .header_timeout_ms = s->limits.header_timeout_ms,
                                        .body_timeout_ms = s->limits.body_timeout_ms,
                                        .idle_timeout_ms = s->limits.idle_timeout_ms,
                                        .log = s->pipeline->log,
                                        .context = s};
    return http_server_new(s->loop, &config, e);
}

static struct stages *source_stages_new(struct http_source *s, struct error *e) {
    struct stages_config config = {.loop = s->loop,
                                   .log = s->pipeline->log,
                                   .timeout_ms = s->limits.header_timeout_ms,
                                   .on_ready = on_ready,
                                   .on_closed = on_stage_closed,
                                   .context = s};
    return stages_new(&config, e);
}

static struct public_listeners *source_listeners_new(struct http_source *s) {
    const struct public_listeners_config config = {
        .loop = s->loop, .log = s->pipeline->log, .stages = s->stages, .on_accepted = on_accepted, .context = s};
    return public_listeners_new(&config);
}

struct http_source *http_source_new(struct loop *l, struct pipeline *p, const struct limits_config *limits,
                                    struct error *e) {
    struct http_source *s = xcalloc(1, sizeof *s);
    s->loop = l;
    s->pipeline = p;
    s->limits = *limits;
    list_init(&s->spare);
    s->server = server_new(s, e);
    if (s->server) s->stages = source_stages_new(s, e);
    if (s->stages) {
        s->listeners = source_listeners_new(s);
        return s;
    }
    http_source_free(s);
    return NULL;
}

void http_source_trust(struct http_source *s, const struct cidr *proxies, size_t count) {
    s->proxies = (struct client_proxies){count ? proxies : NULL, count};
    public_listeners_trust(s->listeners, s->proxies.trusted, s->proxies.count);
}

void http_source_follow(struct http_source *s, struct pipeline *p, const struct limits_config *limits) {
    s->pipeline = p;
    s->limits = *limits;
    http_server_limit(s->server, limits->connections, limits);
    stages_limit(s->stages, limits->header_timeout_ms);
    source_follow(s);
}

void http_source_count_also(struct http_source *s, size_t (*count)(void *context), void *context) {
    s->count_also = count;
    s->count_context = context;
}

void http_source_stream_events(struct http_source *s, struct event_source *events) {
    s->events = events;
}

void http_source_recount(struct http_source *s) {
    source_follow(s);
}

int http_source_listen(struct http_source *s, const struct listener_config *c, struct error *e) {
    return public_listeners_add(s->listeners, c, e);
}

int http_source_relisten(struct http_source *s, const struct listener_config *listeners, size_t count,
                         struct error *e) {
    int status = public_listeners_change(s->listeners, listeners, count, e);
    if (status == 0 && s->full) public_listeners_pause(s->listeners);
    return status;
}

size_t http_source_listener_count(const struct http_source *s) {
    return public_listeners_count(s->listeners);
}

const char *http_source_address(const struct http_source *s, size_t index) {
    return listener_address(public_listeners_at(s->listeners, index)->socket);
}

enum listener_scheme http_source_scheme(const struct http_source *s, size_t index) {
    return public_listeners_at(s->listeners, index)->config.scheme;
}

void http_source_drain(struct http_source *s) {
    public_listeners_close(s->listeners);
    stages_drain(s->stages);
    http_server_drain(s->server);
}

bool http_source_is_idle(const struct http_source *s) {
    return http_server_connections(s->server) == 0 && stages_are_idle(s->stages);
}

void http_source_abort(struct http_source *s) {
    public_listeners_abort(s->listeners);
    stages_abort(s->stages);
}

const struct tls_pumps_counters *http_source_tls_counters(const struct http_source *s) {
    return stages_tls_counters(s->stages);
}

const struct http_server_counters *http_source_counters(const struct http_source *s) {
    return http_server_counters(s->server);
}

void http_source_free(struct http_source *s) {
    if (!s) return;
    public_listeners_close(s->listeners);
    stages_free(s->stages);
    http_server_free(s->server);
    list_each (&s->spare, node) free(list_entry(node, struct request_delivery, node));
    public_listeners_free(s->listeners);
    free(s);
}
