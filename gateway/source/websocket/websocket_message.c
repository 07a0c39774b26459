#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/source/websocket/websocket_private.h"
#include <stdlib.h>

#define REPLY_LIMIT (64u << 20) /* of a streamed one; others are bounded by maxAnswer */

void message_free(struct message *m) {
    if (m->collector.turn) collector_release(&m->collector);
    list_remove(&m->node);
    chunk_release(m->bytes);
    chunk_release(m->given_id);
    free(m);
}

void session_take_message(struct session *session, enum websocket_kind kind, struct chunk *take_bytes) {
    if (session->proof) {
        proof_take_message(session, kind, take_bytes);
        return;
    }
    struct message *m = xcalloc(1, sizeof *m);
    m->session = session;
    m->kind = kind;
    m->bytes = take_bytes;
    if (acknowledge_take(m)) {
        message_free(m);
        return;
    }
    clock_uuid(loop_clock(session->source->loop), m->id);
    list_push(&session->waiting, &m->node);
    if (session->waiting.length >= WAITING_MOST) websocket_pause(session->ws);
    session_pump_soon(session);
}

/* --- the answer --- */

/* Typed as text or as bytes, or else of the kind that it answers. */
static enum websocket_kind reply_kind(const struct message *m, const struct fields *headers) {
    struct slice type = fields_get(headers, SLICE("Content-Type"));
    if (slice_starts_with_nocase(type, SLICE("application/octet-stream"))) return WEBSOCKET_BINARY;
    if (slice_starts_with_nocase(type, SLICE("text/"))) return WEBSOCKET_TEXT;
    return m->kind;
}

void session_say(struct session *session, enum websocket_kind kind, struct slice bytes) {
    struct parcel p = parcel_make(kind, bytes);
    if (session->ws) websocket_send(session->ws, &p);
    parcel_free(&p);
}

static void message_end(struct message *m) {
    struct session *session = m->session;
    acknowledge_end(m);
    m->site->busy--;
    session->running--;
    message_free(m);
    session_pump_soon(session);
}

static void on_collected(struct collector *collector) {
    struct message *m = container_of(collector, struct message, collector);
    struct slice bytes = collector_bytes(collector);
    if (bytes.n) {
        bool text = m->reply_kind == WEBSOCKET_TEXT && text_utf8_prefix(bytes) == bytes.n;
        session_say(m->session, text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, bytes);
    }
    message_end(m);
}

void session_say_failure(struct session *session, const char *what, struct slice request_id) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("message"), slice_of(what));
    json_member(&w, SLICE("connectionId"), slice_make(session->id, sizeof session->id));
    json_member(&w, SLICE("requestId"), request_id);
    json_close(&w, '}');
    session_say(session, WEBSOCKET_TEXT, buf_slice(&text));
    buf_free(&text);
}

static void message_finish(struct invocation *inv) {
    struct message *m = inv->source_context;
    struct outcome *o = &inv->outcome;
    struct body *body = NULL;
    bool well = outcome_is_good(o);
    enum failure f = o->failure == FAILURE_NONE ? FAILURE_HANDLER_ERROR : o->failure;
    m->well = well;
    if (!well) session_say_failure(m->session, failure_row(f)->title, inv->request_id);
    if (well && m->route->trigger->reply) {
        m->reply_kind = reply_kind(m, &o->headers);
        body = outcome_take_body(o);
    }
    collector_take(&m->collector, body, REPLY_LIMIT, invocation_timeout_ms(inv));
}

static const struct source_ops message_ops = {.name = "websocket", .finish = message_finish};

static void message_run(struct message *m, struct websocket_site *site) {
    struct session *session = m->session;
    struct event_order order = {.site = site, .route = m->route, .ops = &message_ops, .context = m};
    m->site = site;
    site->busy++;
    session->running++;
    collector_init(&m->collector, site->pipeline, on_collected);
    order.event.type = WEBSOCKET_MESSAGE;
    order.event.body = m->bytes->bytes;
    order.event.binary = m->kind == WEBSOCKET_BINARY;
    order.event.message_id = slice_make(m->id, sizeof m->id);
    struct invocation *inv = session_event(session, &order);
    fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"),
               m->kind == WEBSOCKET_TEXT ? SLICE("text/plain; charset=utf-8") : SLICE("application/octet-stream"));
    struct chunk *bytes = m->bytes;
    bytes->holders++;
    inv->body = body_of_chunk(bytes);
    pipeline_run(inv);
}

/* --- their order --- */

static void disconnect_finish(struct invocation *inv) {
    struct session *session = inv->source_context;
    session->running--;
    session->site->busy--;
    session_pump_soon(session);
}

static const struct source_ops disconnect_ops = {.name = "websocket", .finish = disconnect_finish};

static void disconnect_run(struct session *session, struct websocket_site *site) {
    struct event_order order = {.site = site, .route = site->disconnect, .ops = &disconnect_ops, .context = session};
    order.event.type = WEBSOCKET_DISCONNECT;
    order.event.close_code = session->close_code;
    order.event.close_reason = session->close_reason;
    session->site = site;
    site->busy++;
    session->running++;
    pipeline_run(session_event(session, &order));
}

static void message_drop(struct message *m, struct websocket_site *site) {
    struct session *session = m->session;
    if (site)
        session_say_failure(session, failure_row(FAILURE_NOT_FOUND)->title, slice_make(m->id, sizeof m->id));
    else if (session->ws)
        websocket_close(session->ws, CLOSE_GOING_AWAY, WEBSOCKET_NOT_SERVED);
    message_free(m);
}

/* False when it has to wait. */
static bool session_run_next(struct session *session, struct websocket_site *site) {
    struct message *m = list_entry(list_first(&session->waiting), struct message, node);
    m->route = site ? site_route_for(site, m) : NULL;
    if (m->route && session_must_wait(session, site, m->route)) return false;
    list_remove(&m->node);
    if (session->ws && session->waiting.length < WAITING_MOST / 2) websocket_resume(session->ws);
    if (!m->route)
        message_drop(m, site);
    else if (acknowledge_begin(m) == ACKNOWLEDGE_DROP)
        message_free(m);
    else
        message_run(m, site);
    return true;
}

static void session_end_run(struct session *session, struct websocket_site *site) {
    const struct site_route *route = site && !session->told ? site->disconnect : NULL;
    if (route && !session_may_end(session)) return;
    if (route && session_must_wait(session, site, route)) return;
    session->told = true;
    if (route)
        disconnect_run(session, site);
    else
        session_free(session);
}

/* Tasks, not callbacks, come here: so a session may be freed. */
void session_run(struct session *session) {
    const struct websocket_source_host *host = &session->source->host;
    struct websocket_site *site = host->site(host->context, session->path);
    uint64_t most = site ? site->config->concurrency : 1;
    if (session->ended) deliveries_lose(session);
    if (session->proof && session->ws) proof_run(session, site);
    while (!list_empty(&session->waiting) && session->running < most)
        if (!session_run_next(session, site)) return;
    if (session->ended && session->running == 0 && list_empty(&session->waiting)) session_end_run(session, site);
}
