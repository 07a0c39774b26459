#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_private.h"
#include "gateway/websocket/handshake.h"
#include <stdlib.h>

/* From the request to the session. */
struct handshake {
    struct http_upgrade upgrade;
    struct websocket_site *site;
    struct invocation *outer; /* the request; NULL once it is over */
    struct session *session;
    struct websocket_rules rules;
    struct deflate_terms terms;
};

static void handshake_free(struct handshake *h) {
    h->site->busy--;
    free(h);
}

/* --- refusals --- */

static struct outcome refuse(struct invocation *inv, struct handshake_verdict v) {
    struct outcome o = outcome_failure(inv, v.failure, "%s", v.detail);
    if (v.failure != FAILURE_UPGRADE_REQUIRED) return o;
    fields_add(&o.headers, &inv->arena, SLICE("Upgrade"), SLICE("websocket"));
    fields_add(&o.headers, &inv->arena, SLICE("Sec-WebSocket-Version"), SLICE("13"));
    return o;
}

static size_t path_sessions(const struct websocket_site *site) {
    size_t count = 0;
    list_each (&site->source->sessions, node)
        count += slice_equal(list_entry(node, struct session, node)->path, slice_of(site->config->path));
    return count;
}

static struct handshake_verdict check_counts(const struct websocket_site *site, struct invocation *inv) {
    const struct websocket_config *c = site->config;
    struct websocket_client *client = c->max_per_client ? client_find(site->source, invocation_client_key(inv)) : NULL;
    if (client && client->sessions >= c->max_per_client)
        return (struct handshake_verdict){FAILURE_RATE_LIMITED, "this client has too many connections open"};
    if (c->max_connections && path_sessions(site) >= c->max_connections)
        return (struct handshake_verdict){FAILURE_OVERLOADED, "too many connections are open"};
    return (struct handshake_verdict){FAILURE_NONE, NULL};
}

static struct handshake_verdict check(const struct websocket_site *site, struct invocation *inv) {
    const struct request *r = &inv->request;
    const struct handshake_request asked = {r->method, r->version, r->asks_websocket, &r->headers};
    struct handshake_verdict v = handshake_check(&asked);
    if (v.failure != FAILURE_NONE) return v;
    /* The paths of its events are two segments longer. */
    if (r->url.segment_count + 2 > URL_MAX_SEGMENTS)
        return (struct handshake_verdict){FAILURE_BAD_REQUEST, "the path has too many segments"};
    if (!site_trusts_origin(site, r))
        return (struct handshake_verdict){FAILURE_FORBIDDEN, "pages of this Origin may not connect"};
    return check_counts(site, inv);
}

/* --- the answer --- */

static void on_taken(struct http_upgrade *u, int take_fd, struct slice early) {
    struct handshake *h = container_of(u, struct handshake, upgrade);
    const struct websocket_start start = {.take_fd = take_fd,
                                          .early = early,
                                          .id = h->session->id,
                                          .rules = &h->rules,
                                          .terms = &h->terms,
                                          .presence = h->session->proof ? WEBSOCKET_HIDDEN : WEBSOCKET_KNOWN,
                                          .owner = h->session};
    session_open(h->session, &start);
    handshake_free(h);
}

/* Whoever was not asked whether it may be a connection is not told of its end. */
static void on_lost(struct http_upgrade *u) {
    struct handshake *h = container_of(u, struct handshake, upgrade);
    if (!h->session->proof) h->session->told = !h->site->connect;
    session_end(h->session, CLOSE_ABNORMAL, SLICE("the client left before it was answered"));
    handshake_free(h);
}

static struct websocket_rules rules_of(const struct websocket_config *c) {
    return (struct websocket_rules){.limits = {c->max_message, c->max_frame},
                                    .max_outbound = c->max_outbound,
                                    .ping_ms = c->ping_ms,
                                    .pong_ms = c->pong_ms,
                                    .idle_ms = c->idle_ms,
                                    .rate_per_day = c->rate_per_day,
                                    .burst = c->burst,
                                    .max_groups = c->max_groups};
}

static void answer_extension(struct handshake *h, struct outcome *o) {
    struct buf text = {0};
    h->terms = deflate_negotiate(&h->outer->request.headers, (enum deflate_mode)h->site->config->deflate);
    if (!h->terms.agreed) return;
    deflate_write_terms(&text, &h->terms);
    fields_add(&o->headers, &h->outer->arena, SLICE("Sec-WebSocket-Extensions"),
               arena_copy(&h->outer->arena, buf_slice(&text)));
    buf_free(&text);
}

/* What $connect chose among those that the client offers, or else the path's own choice. */
static struct slice choose_protocol(const struct handshake *h, const struct fields *said) {
    const struct fields *offered = &h->outer->request.headers;
    const struct websocket_config *c = h->site->config;
    struct slice wanted = fields_get(said, SLICE("Sec-WebSocket-Protocol"));
    if (!slice_is_none(wanted) && handshake_offers(offered, wanted)) return wanted;
    return handshake_choose(offered, c->protocols, c->protocol_count);
}

/* `said`: the fields of what $connect answered. */
static void answer(struct handshake *h, const struct fields *said) {
    struct invocation *outer = h->outer;
    struct arena *a = &outer->arena;
    struct outcome o = {.status = 101};
    char accept[HANDSHAKE_ACCEPT_SIZE + 1];
    handshake_accept(&outer->request.headers, accept);
    fields_add(&o.headers, a, SLICE("Upgrade"), SLICE("websocket"));
    fields_add(&o.headers, a, SLICE("Sec-WebSocket-Accept"), arena_copy(a, slice_of(accept)));
    struct slice protocol = choose_protocol(h, said);
    if (!slice_is_none(protocol)) {
        h->session->protocol = arena_copy(&h->session->memory, protocol);
        fields_add(&o.headers, a, SLICE("Sec-WebSocket-Protocol"), h->session->protocol);
    }
    for (size_t i = 0; i < said->count; i++)
        if (slice_equal_nocase(said->items[i].name, SLICE("Set-Cookie")))
            fields_add(&o.headers, a, SLICE("Set-Cookie"), arena_copy(a, said->items[i].value));
    answer_extension(h, &o);
    h->upgrade = (struct http_upgrade){.taken = on_taken, .lost = on_lost};
    outer->upgrade = &h->upgrade;
    (void)invocation_complete(outer, o);
}

/* --- $connect --- */

/* It never was a connection: nobody is told of its end. */
static void give_up(struct handshake *h) {
    h->session->told = true;
    session_end(h->session, CLOSE_ABNORMAL, SLICE(""));
    handshake_free(h);
}

/* The handler's refusal is the client's answer. */
static struct outcome pass_on(struct invocation *outer, struct invocation *inner) {
    struct outcome *from = &inner->outcome;
    struct outcome o = {.status = from->status, .body = outcome_take_body(from)};
    for (size_t i = 0; i < from->headers.count; i++)
        fields_add(&o.headers, &outer->arena, arena_copy(&outer->arena, from->headers.items[i].name),
                   arena_copy(&outer->arena, from->headers.items[i].value));
    return o;
}

static void connect_finish(struct invocation *inner) {
    struct handshake *h = inner->source_context;
    struct outcome *said = &inner->outcome;
    struct invocation *outer = h->outer;
    bool well = outcome_is_good(said);
    h->session->running--;
    if (well && outer) {
        answer(h, &said->headers);
        return;
    }
    if (well) {
        on_lost(&h->upgrade);
        return;
    }
    if (outer && said->failure == FAILURE_NONE)
        (void)invocation_complete(outer, pass_on(outer, inner));
    else if (outer)
        (void)invocation_complete(outer, outcome_failure(outer, said->failure, SLICE_FMT, SLICE_ARG(said->detail)));
    give_up(h);
}

static const struct source_ops connect_ops = {.name = "websocket", .finish = connect_finish};

static void ask(struct handshake *h) {
    struct event_order order = {.site = h->site, .route = h->site->connect, .ops = &connect_ops, .context = h};
    order.event.type = WEBSOCKET_CONNECT;
    struct invocation *inner = session_connect_event(h->session, &order, &h->outer->request);
    h->session->running++;
    pipeline_run(inner);
}

/* --- the executor --- */

void handshake_submit(struct executor *e, struct invocation *inv) {
    static const struct fields nothing;
    struct websocket_site *site = container_of(e, struct websocket_site, executor);
    invocation_move(inv, INVOCATION_QUEUED, &site->pending);
    struct handshake_verdict v = check(site, inv);
    if (v.failure != FAILURE_NONE) {
        (void)invocation_complete(inv, refuse(inv, v));
        return;
    }
    struct handshake *h = xcalloc(1, sizeof *h);
    site->busy++;
    *h = (struct handshake){.site = site, .outer = inv, .rules = rules_of(site->config)};
    h->session = session_new(site->source, site, inv);
    inv->delivery = h;
    if (site->config->auth_by_message) {
        proof_begin(h->session, site, &inv->request);
        h->rules.limits = proof_limits(h->session);
    }
    if (site->connect && !h->session->proof)
        ask(h);
    else
        answer(h, &nothing);
}

void handshake_completed(struct executor *e, struct invocation *inv) {
    struct handshake *h = inv->delivery;
    (void)e;
    if (h) h->outer = NULL;
    inv->delivery = NULL;
}
