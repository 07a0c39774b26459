#include "gateway/source/websocket/websocket_source.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_private.h"
#include <assert.h>
#include <stdlib.h>

#define SESSION_FIRST_BLOCK 512
#define ROOM_RETRY_MS 20

/* --- clients --- */

struct websocket_client *client_find(const struct websocket_source *s, struct slice key) {
    return map_get(s->clients, key);
}

static struct websocket_client *client_hold(struct websocket_source *s, struct slice key) {
    struct websocket_client *c = client_find(s, key);
    if (!c) {
        c = xcalloc(1, sizeof *c + key.n);
        c->key_size = key.n;
        memcpy(c->key, key.p, key.n);
        map_put(s->clients, key, c);
    }
    c->sessions++;
    return c;
}

static void client_release(struct websocket_source *s, struct websocket_client *c) {
    if (!c || --c->sessions) return;
    map_remove(s->clients, slice_make(c->key, c->key_size));
    free(c);
}

/* --- sessions --- */

static void on_pump(struct turn_task *task) {
    session_run(container_of(task, struct session, pump));
}

void session_pump_soon(struct session *session) {
    turn_add(loop_turn(session->source->loop), &session->pump);
}

static void on_again(struct deadline *d) {
    struct websocket_source *s = container_of(d, struct websocket_source, again);
    list_each (&s->held, node) {
        struct session *session = list_entry(node, struct session, held_node);
        list_remove(node);
        session_pump_soon(session);
    }
}

bool session_must_wait(struct session *session, const struct websocket_site *site, const struct site_route *route) {
    struct websocket_source *s = session->source;
    struct executor *executor = route->route.executor;
    uint32_t retry_after_s;
    bool full = executor->ops->room(executor, &retry_after_s) == FAILURE_QUEUE_FULL ||
                site->pipeline->in_flight >= site->pipeline->in_flight_limit;
    if (!full) return false;
    if (!list_holds(&s->held, &session->held_node)) list_push(&s->held, &session->held_node);
    if (!deadline_armed(&s->again))
        deadline_arm(loop_deadlines(s->loop), &s->again, clock_now_ms(loop_clock(s->loop)) + ROOM_RETRY_MS);
    return true;
}

static void keep_parameters(struct session *session, const struct invocation *handshake) {
    struct arena *a = &session->memory;
    session->parameter_count = handshake->route->parameter_count;
    if (!session->parameter_count) return;
    session->parameters = arena_alloc(a, session->parameter_count * sizeof *session->parameters);
    for (size_t i = 0; i < session->parameter_count; i++)
        session->parameters[i] = arena_copy(a, handshake->parameters[i]);
}

static struct session *session_make(struct websocket_source *s) {
    struct session *session = xcalloc(1, sizeof *session);
    session->source = s;
    arena_init(&session->memory, SESSION_FIRST_BLOCK);
    list_init(&session->waiting);
    session->pump = (struct turn_task){.phase = TURN_PUBLIC, .run = on_pump};
    return session;
}

struct session *session_new(struct websocket_source *s, struct websocket_site *site, struct invocation *handshake) {
    struct session *session = session_make(s);
    const struct request *r = &handshake->request;
    struct arena *a = &session->memory;
    members_make_id(s->host.members, loop_clock(s->loop), session->id);
    session->path = arena_copy(a, slice_of(site->config->path));
    session->raw_path = arena_copy(a, r->url.path);
    session->host = arena_copy(a, r->host);
    session->scheme = arena_copy(a, r->scheme);
    session->client_address = arena_copy(a, r->client_address);
    session->client_port = r->client_port;
    session->user_agent = arena_copy(a, fields_get(&r->headers, SLICE("User-Agent")));
    session->identity = identity_keep(handshake->identity, a);
    keep_parameters(session, handshake);
    session->client = client_hold(s, invocation_client_key(handshake));
    session->connected_ms = clock_wall_ms(loop_clock(s->loop));
    list_push(&s->sessions, &session->node);
    return session;
}

void session_of_record(struct websocket_source *s, struct slice id, struct slice record) {
    struct session *session = session_make(s);
    session->told = !session_record_read(record, session);
    memcpy(session->id, id.p, sizeof session->id);
    session->opened = session->recorded = session->orphan = true;
    if (session->told)
        log_event(s->log, LOG_WARN,
                  "what Redis has of a dead node's connection cannot be read; its $disconnect is left out",
                  LOG_SLICE("connection", id));
    list_push(&s->leaving, &session->node);
    session_end(session, CLOSE_ABNORMAL, SLICE("its gateway died"));
}

void session_retire(struct session *session) {
    struct websocket_source *s = session->source;
    if (list_holds(&s->leaving, &session->node)) return;
    list_remove(&session->node);
    list_push(&s->leaving, &session->node);
    client_release(s, session->client);
    session->client = NULL;
    s->host.on_ended(s->host.context);
}

bool session_know(struct session *session, struct invocation *proof, uint64_t max_per_client) {
    struct websocket_source *s = session->source;
    struct websocket_client *before = session->client;
    session->client = client_hold(s, invocation_client_key(proof));
    client_release(s, before);
    if (max_per_client && session->client->sessions > max_per_client) return false;
    session->identity = identity_keep(proof->identity, &session->memory);
    return true;
}

void session_open(struct session *session, const struct websocket_start *start) {
    session->opened = true;
    session->ws = websocket_open(session->source->connections, start);
    if (!session->ws)
        session_end(session, CLOSE_ABNORMAL, SLICE(""));
    else if (session->stale)
        websocket_close(session->ws, CLOSE_RESTART, WEBSOCKET_TAKEN_FOR_DEAD);
    else if (!session_config(session)) /* gone while $connect was asked */
        websocket_close(session->ws, CLOSE_GOING_AWAY, WEBSOCKET_NOT_SERVED);
    else if (session->proof)
        proof_opened(session);
    else
        session_record(session);
}

void session_end(struct session *session, int code, struct slice reason) {
    if (session->proof) proof_end(session);
    session->groups = session_groups(session, &session->memory);
    session->ws = NULL;
    session->ended = true;
    session->close_code = code;
    session->close_reason = arena_copy(&session->memory, reason);
    session_pump_soon(session);
}

void session_free(struct session *session) {
    assert(session->running == 0);
    list_each (&session->waiting, node) message_free(list_entry(node, struct message, node));
    session_unrecord(session);
    turn_remove(&session->pump);
    list_remove(&session->node);
    list_remove(&session->held_node);
    struct websocket_source *s = session->source;
    client_release(s, session->client);
    proof_free(session);
    deliveries_free(session);
    seen_sender_release(session->sender);
    arena_free(&session->memory);
    free(session);
    s->host.on_ended(s->host.context);
}

/* --- what the connections tell --- */

static void on_message(void *owner, enum websocket_kind kind, struct chunk *take_message) {
    session_take_message(owner, kind, take_message);
}

static void on_closed(void *owner, int code, struct slice reason) {
    struct session *session = owner;
    log_event(session->source->log, LOG_INFO, "websocket closed",
              LOG_SLICE("connection", slice_make(session->id, sizeof session->id)),
              LOG_SLICE("path", session->raw_path), LOG_INT("code", code), LOG_SLICE("reason", reason),
              LOG_SLICE("client", session->client_address));
    session_end(session, code, reason);
}

static struct member_facts on_facts(void *owner) {
    const struct session *session = owner;
    return (struct member_facts){.path = session->raw_path,
                                 .client_address = session->client_address,
                                 .user_agent = session->user_agent,
                                 .protocol = session->protocol,
                                 .identity = session->identity,
                                 .connected_ms = session->connected_ms};
}

static const struct websocket_ops connection_ops = {
    .on_message = on_message, .on_closed = on_closed, .facts = on_facts};

/* --- the source --- */

struct websocket_source *websocket_source_new(struct loop *l, struct log *log,
                                              const struct websocket_source_host *host) {
    struct websocket_source *s = xcalloc(1, sizeof *s);
    s->loop = l;
    s->log = log;
    s->host = *host;
    s->max_connections = UINT64_MAX;
    s->connections = websockets_new(l, host->members, &connection_ops);
    list_init(&s->sessions);
    list_init(&s->leaving);
    list_init(&s->held);
    s->again.on_due = on_again;
    s->clients = map_new();
    s->seen = seen_new(loop_clock(l), loop_deadlines(l));
    return s;
}

void websocket_source_limit(struct websocket_source *s, uint64_t max_connections) {
    s->max_connections = max_connections;
}

void websocket_source_follow(struct websocket_source *s) {
    list_each (&s->sessions, node) {
        struct session *session = list_entry(node, struct session, node);
        if (session->ws && !s->host.site(s->host.context, session->path))
            websocket_close(session->ws, CLOSE_GOING_AWAY, WEBSOCKET_NOT_SERVED);
    }
}

void websocket_source_drain(struct websocket_source *s) {
    if (s->cluster) cluster_drain(s->cluster);
    websockets_drain(s->connections);
}

void websocket_source_abort(struct websocket_source *s) {
    websockets_abort(s->connections);
}

size_t websocket_source_count(const struct websocket_source *s) {
    return s->sessions.length;
}

bool websocket_source_is_idle(const struct websocket_source *s) {
    return list_empty(&s->sessions) && list_empty(&s->leaving) && websockets_count(s->connections) == 0;
}

void websocket_source_free(struct websocket_source *s) {
    if (!s) return;
    /* Sessions that a gateway which is taken down by force has left. */
    list_each (&s->leaving, node) cluster_confirm_cancel(&list_entry(node, struct session, node)->confirm);
    cluster_free(s->cluster);
    s->cluster = NULL;
    list_each (&s->sessions, node) session_free(list_entry(node, struct session, node));
    list_each (&s->leaving, node) session_free(list_entry(node, struct session, node));
    deadline_disarm(loop_deadlines(s->loop), &s->again);
    websockets_free(s->connections);
    map_free(s->clients);
    seen_free(s->seen);
    free(s);
}

const struct websocket_acknowledgements *websocket_source_acknowledgements(const struct websocket_source *s) {
    return &s->counters;
}

size_t websocket_source_open(const struct websocket_source *s) {
    return websockets_open(s->connections);
}

const struct websockets_counters *websocket_source_counters(const struct websocket_source *s) {
    return websockets_counters(s->connections);
}

struct members *websocket_source_members(struct websocket_source *s) {
    return s->host.members;
}
