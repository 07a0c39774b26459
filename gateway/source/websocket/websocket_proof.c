/* `auth: message`: a client whose first message proves who it is.
 *
 *   AWAITED     the connection is open, and hidden; the deadline runs
 *   READ        its first message is here; nothing more is read, and the deadline rests
 *   ASKED       the guards of the path have the token, as if the handshake had carried it
 *   CONNECTING  $connect is asked, with the claims and the handshake's fields
 *   SETTLED     the client is told, and the connection becomes one like any other; or it is being closed: 1008, 1013
 *               when nobody could tell
 *
 * Until it is over no handler but $connect's hears of the connection, and nobody can send to it. */
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/source/websocket/websocket_private.h"
#include <assert.h>
#include <stdlib.h>

#define PROOF_FIRST_BLOCK 1024
#define PROOF_MAX (16 * 1024) /* bytes of the first message */
#define TOO_LATE SLICE("not authenticated in time")
#define NOT_A_PROOF SLICE("the first message must be JSON text with a token: {\"token\": \"...\"}")

enum proof_state { PROOF_AWAITED, PROOF_READ, PROOF_ASKED, PROOF_CONNECTING, PROOF_SETTLED };
struct proof {
    struct session *session;
    enum proof_state state;
    struct arena memory;
    struct request handshake; /* what the guards and $connect are shown of it */
    struct reader_limits limits;
    uint64_t timeout_ms;
    struct deadline deadline;
    enum websocket_kind kind;
    struct chunk *message;
    struct websocket_site *site; /* while somebody is asked */
};

static struct deadlines *deadlines_of(const struct proof *p) {
    return loop_deadlines(p->session->source->loop);
}

/* --- the verdict --- */

static void say_verdict(struct session *session, struct slice refusal) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_name(&w, SLICE("authenticated"));
    json_bool(&w, slice_is_none(refusal));
    if (slice_is_none(refusal))
        json_member(&w, SLICE("connectionId"), slice_make(session->id, sizeof session->id));
    else
        json_member(&w, SLICE("message"), refusal);
    json_close(&w, '}');
    session_say(session, WEBSOCKET_TEXT, buf_slice(&text));
    buf_free(&text);
}

static void proof_refuse(struct proof *p, int code, struct slice why) {
    p->state = PROOF_SETTLED;
    if (!p->session->ws) return;
    say_verdict(p->session, why);
    if (p->session->ws) websocket_close(p->session->ws, code, why);
}

/* 1008 when a credential or $connect speaks against it (RFC 6455 7.4.1), 1013 when it may be tried again. */
static void proof_refuse_outcome(struct proof *p, const struct outcome *o) {
    const struct failure_row *row = failure_row(o->failure);
    bool verdict = o->status < 500;
    struct slice why = o->failure == FAILURE_NONE ? SLICE("the connection is refused") : slice_of(row->title);
    if (verdict && o->failure != FAILURE_NONE && o->detail.n) why = o->detail;
    proof_refuse(p, verdict ? CLOSE_POLICY : CLOSE_TRY_LATER, why);
}

static void proof_succeed(struct proof *p) {
    struct session *session = p->session;
    p->state = PROOF_SETTLED;
    session->told = false;
    if (session->ws) say_verdict(session, SLICE_NONE);
    if (!session->ws) return;
    websocket_reveal(session->ws, &p->limits);
    websocket_resume(session->ws);
    session_record(session);
    log_event(session->source->log, LOG_INFO, "websocket authenticated",
              LOG_SLICE("connection", slice_make(session->id, sizeof session->id)),
              LOG_SLICE("path", session->raw_path), LOG_SLICE("client", session->client_address));
    proof_free(session);
}

/* --- those who are asked --- */

static void asking_begin(struct proof *p, struct websocket_site *site, enum proof_state state) {
    p->state = state;
    p->site = site;
    p->session->running++;
    site->busy++;
}

static void asking_end(struct proof *p) {
    p->session->running--;
    p->site->busy--;
    session_pump_soon(p->session);
}

static void connect_finish(struct invocation *inv) {
    struct session *session = inv->source_context;
    struct proof *p = session->proof;
    asking_end(p);
    if (outcome_is_good(&inv->outcome))
        proof_succeed(p);
    else
        proof_refuse_outcome(p, &inv->outcome);
}

static const struct source_ops connect_ops = {.name = "websocket", .finish = connect_finish};

static void connect_ask(struct proof *p, struct websocket_site *site) {
    struct event_order order = {.site = site, .route = site->connect, .ops = &connect_ops, .context = p->session};
    order.event.type = WEBSOCKET_CONNECT;
    asking_begin(p, site, PROOF_CONNECTING);
    pipeline_run(session_connect_event(p->session, &order, &p->handshake));
}

/* The client may have left while the guards thought about it. */
static void guards_finish(struct invocation *inv) {
    struct session *session = inv->source_context;
    struct proof *p = session->proof;
    struct websocket_site *site = p->site;
    asking_end(p);
    if (!outcome_is_good(&inv->outcome))
        proof_refuse_outcome(p, &inv->outcome);
    else if (!session_know(session, inv, site->config->max_per_client))
        proof_refuse(p, CLOSE_TRY_LATER, SLICE("this client has too many connections open"));
    else if (session->ws && site->connect)
        connect_ask(p, site);
    else if (session->ws)
        proof_succeed(p);
}

static const struct source_ops guard_ops = {.name = "websocket", .finish = guards_finish};

/* Whoever comes so far has passed. */
static void on_submit(struct executor *e, struct invocation *inv) {
    struct websocket_site *site = container_of(e, struct websocket_site, prover);
    invocation_move(inv, INVOCATION_QUEUED, &site->pending);
    (void)invocation_complete(inv, (struct outcome){.status = 204});
}

static enum failure on_room(struct executor *e, uint32_t *retry_after_s) {
    (void)e;
    *retry_after_s = 0;
    return FAILURE_NONE;
}

static void on_nothing(struct executor *e, struct invocation *inv) {
    (void)e;
    (void)inv;
}

const struct executor_ops proof_executor = {
    .room = on_room, .submit = on_submit, .completed = on_nothing, .cancel = on_nothing};

/* --- the question --- */

static void copy_fields(struct fields *to, struct arena *a, const struct fields *from) {
    for (size_t i = 0; i < from->count; i++)
        fields_add(to, a, arena_copy(a, from->items[i].name), arena_copy(a, from->items[i].value));
}

static void copy_handshake(struct request *to, struct arena *a, const struct request *from) {
    struct error e;
    to->method = arena_copy(a, from->method);
    to->target = arena_copy(a, from->target);
    to->version = arena_copy(a, from->version);
    to->host = arena_copy(a, from->host);
    to->scheme = arena_copy(a, from->scheme);
    to->client_address = arena_copy(a, from->client_address);
    to->client_port = from->client_port;
    to->client_certificate = arena_copy(a, from->client_certificate);
    to->client_fingerprint = arena_copy(a, from->client_fingerprint);
    int parsed = url_parse(&to->url, a, to->target, &e);
    assert(parsed == 0); /* it was before */
    (void)parsed;
    copy_fields(&to->headers, a, &from->headers);
}

/* Absent unless it is text that could have stood in a field, too (RFC 9110 5.5), so that it cannot end one. */
static struct slice token_of(const struct proof *p, struct arena *a) {
    struct slice name, token = SLICE_NONE;
    struct json_value value;
    struct json_read json;
    if (p->kind != WEBSOCKET_TEXT || !json_is_valid(p->message->bytes)) return SLICE_NONE;
    json_read_init(&json, p->message->bytes);
    if (!json_read_open(&json, '{')) return SLICE_NONE;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (slice_equal(name, SLICE("token")))
            token = slice_is_none(token) && value.kind == JSON_STRING ? json_text_of(a, value) : SLICE("");
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] > '~') return SLICE_NONE;
    return token.n ? arena_copy(a, token) : SLICE_NONE;
}

static void guards_ask(struct proof *p, struct websocket_site *site) {
    struct session *session = p->session;
    struct invocation *inv = invocation_new(site->pipeline, &guard_ops, session);
    struct arena *a = &inv->arena;
    inv->trigger = TRIGGER_CREDENTIAL;
    inv->route = &site->proof_route;
    copy_handshake(&inv->request, a, &p->handshake);
    for (size_t i = 0; i < session->parameter_count; i++) inv->parameters[i] = arena_copy(a, session->parameters[i]);
    inv->credential = token_of(p, a);
    chunk_release(p->message);
    p->message = NULL;
    asking_begin(p, site, PROOF_ASKED);
    if (slice_is_none(inv->credential)) {
        pipeline_reply(inv, outcome_failure(inv, FAILURE_BAD_REQUEST, SLICE_FMT, SLICE_ARG(NOT_A_PROOF)));
        return;
    }
    fields_remove(&inv->request.headers, SLICE("Authorization"));
    fields_add(&inv->request.headers, a, SLICE("Authorization"),
               arena_printf(a, "Bearer " SLICE_FMT, SLICE_ARG(inv->credential)));
    pipeline_run(inv);
}

void proof_run(struct session *session, struct websocket_site *site) {
    struct proof *p = session->proof;
    if (p->state != PROOF_READ) return;
    if (site)
        guards_ask(p, site);
    else
        proof_refuse(p, CLOSE_GOING_AWAY, WEBSOCKET_NOT_SERVED);
}

/* --- life --- */

static void on_late(struct deadline *d) {
    proof_refuse(container_of(d, struct proof, deadline), CLOSE_POLICY, TOO_LATE);
}

static uint64_t at_most(uint64_t value, uint64_t bound) {
    return value < bound ? value : bound;
}

/* Nobody is told of the end of a connection that $connect was not asked about. */
void proof_begin(struct session *session, const struct websocket_site *site, const struct request *handshake) {
    const struct websocket_config *c = site->config;
    struct proof *p = xcalloc(1, sizeof *p);
    p->session = session;
    p->limits = (struct reader_limits){c->max_message, c->max_frame};
    p->timeout_ms = c->auth_timeout_ms;
    p->deadline.on_due = on_late;
    arena_init(&p->memory, PROOF_FIRST_BLOCK);
    copy_handshake(&p->handshake, &p->memory, handshake);
    session->proof = p;
    session->told = true;
}

struct reader_limits proof_limits(const struct session *session) {
    const struct reader_limits *later = &session->proof->limits;
    return (struct reader_limits){at_most(later->max_message, PROOF_MAX), at_most(later->max_frame, PROOF_MAX)};
}

void proof_opened(struct session *session) {
    struct proof *p = session->proof;
    deadline_arm(deadlines_of(p), &p->deadline, clock_now_ms(loop_clock(session->source->loop)) + p->timeout_ms);
}

void proof_take_message(struct session *session, enum websocket_kind kind, struct chunk *take_bytes) {
    struct proof *p = session->proof;
    assert(p->state == PROOF_AWAITED && !p->message);
    deadline_disarm(deadlines_of(p), &p->deadline);
    websocket_pause(session->ws);
    p->state = PROOF_READ;
    p->kind = kind;
    p->message = take_bytes;
    session_pump_soon(session);
}

void proof_end(struct session *session) {
    deadline_disarm(deadlines_of(session->proof), &session->proof->deadline);
}

void proof_free(struct session *session) {
    struct proof *p = session->proof;
    if (!p) return;
    session->proof = NULL;
    deadline_disarm(deadlines_of(p), &p->deadline);
    chunk_release(p->message);
    arena_free(&p->memory);
    free(p);
}
