#include "gateway/invocation/invocation.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/identity.h"
#include "gateway/invocation/pipeline.h"
#include <assert.h>
#include <stdlib.h>

#define INVOCATION_FIRST_BLOCK 4096
#define INVOCATION_KEEP 256 /* recycled ones; about 1.5 MiB */

static const char *const state_names[INVOCATION_STATES] = {
    [INVOCATION_NEW] = "new",       [INVOCATION_PRE] = "pre",         [INVOCATION_BODY] = "body",
    [INVOCATION_QUEUED] = "queued", [INVOCATION_RUNNING] = "running", [INVOCATION_POST] = "post",
    [INVOCATION_DONE] = "done",
};

static const char *const trigger_names[TRIGGER_KINDS] = {
    [TRIGGER_HTTP] = "http",           [TRIGGER_AUTHORIZER] = "authorizer",
    [TRIGGER_INVOKE] = "invoke",       [TRIGGER_CREDENTIAL] = "credential",
    [TRIGGER_QUEUE] = "queue",         [TRIGGER_SCHEDULE] = "schedule",
    [TRIGGER_WEBSOCKET] = "websocket",
};

const char *trigger_kind_name(enum trigger_kind t) {
    assert(t < TRIGGER_KINDS);
    return trigger_names[t];
}

const char *invocation_state_name(enum invocation_state s) {
    assert(s < INVOCATION_STATES);
    return state_names[s];
}

/* All but the decoded segments, which are a kilobyte and count only up to segment_count. */
static void request_clear(struct request *r) {
    r->method = r->target = r->version = SLICE_NONE;
    r->url.path = r->url.query = r->url.authority = SLICE_NONE;
    r->url.segment_count = 0;
    r->headers = (struct fields){0};
    r->host = r->client_address = r->scheme = SLICE_NONE;
    r->client_certificate = r->client_fingerprint = SLICE_NONE;
    r->asks_websocket = false;
    r->client_port = 0;
    r->head_size = 0;
}

/* Everything but node, arena and the arrays that are written before they are read. */
static void invocation_clear(struct invocation *inv) {
    inv->trigger = TRIGGER_HTTP;
    inv->attempts = 0;
    inv->client_context = SLICE_NONE;
    inv->schedule = NULL;
    inv->messages = NULL;
    inv->websocket = NULL;
    inv->upgrade = NULL;
    inv->event_rules = NULL;
    inv->answer_groups = SLICE_NONE;
    inv->answers_events = false;
    inv->held_sends = NULL;
    inv->trace_id[0] = '\0';
    inv->trace_sampled = false;
    request_clear(&inv->request);
    inv->body = NULL;
    inv->route = NULL;
    inv->identity = NULL;
    inv->credential = SLICE_NONE;
    inv->guarding = NULL;
    inv->limiting = NULL;
    inv->recording = NULL;
    inv->timeout_ms = 0;
    inv->whole_body = false;
    inv->worker = NULL;
    inv->delivery = NULL;
    inv->outcome = (struct outcome){0};
    inv->cancelled = CANCEL_NONE;
    inv->preflight = false;
    inv->step = 0;
    inv->body_task = (struct turn_task){0};
    inv->deadline = (struct deadline){0};
    inv->queued_us = inv->started_us = inv->completed_us = 0;
}

static struct invocation *invocation_allocate(struct pipeline *p) {
    struct list_node *node = list_first(&p->recycled);
    if (node) {
        list_remove(node);
        return list_entry(node, struct invocation, node);
    }
    struct invocation *inv = xcalloc(1, sizeof *inv);
    arena_init(&inv->arena, INVOCATION_FIRST_BLOCK);
    return inv;
}

struct invocation *invocation_new(struct pipeline *p, const struct source_ops *source, void *source_context) {
    struct invocation *inv = invocation_allocate(p);
    invocation_clear(inv);
    inv->pipeline = p;
    inv->source = source;
    inv->source_context = source_context;
    clock_uuid(p->clock, inv->id);
    inv->request_id = invocation_id(inv);
    inv->received_us = clock_now_us(p->clock);
    inv->received_wall_ms = clock_wall_ms(p->clock);
    inv->state = INVOCATION_NEW;
    list_push(&p->places[INVOCATION_NEW], &inv->node);
    p->in_flight++;
    p->counters.started++;
    return inv;
}

/* Lower case only, not all zeros (W3C Trace Context 3.2.2). */
static bool hex_id_is_valid(struct slice s) {
    bool zero = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return false;
        zero = zero && c == '0';
    }
    return !zero;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "00-" 32 digits "-" 16 digits "-" 2 digits */
static bool trace_take(struct invocation *inv, struct slice s) {
    if (s.n != 55 || memcmp(s.p, "00-", 3) != 0 || s.p[35] != '-' || s.p[52] != '-') return false;
    struct slice trace = slice_make(s.p + 3, sizeof inv->trace_id);
    struct slice parent = slice_make(s.p + 36, sizeof inv->parent_id);
    int flags = hex_digit(s.p[54]);
    if (!hex_id_is_valid(trace) || !hex_id_is_valid(parent) || hex_digit(s.p[53]) < 0 || flags < 0) return false;
    memcpy(inv->trace_id, trace.p, trace.n);
    memcpy(inv->parent_id, parent.p, parent.n);
    inv->trace_sampled = flags & 1;
    return true;
}

void invocation_trace_from(struct invocation *inv, struct slice traceparent) {
    if (trace_take(inv, traceparent)) return;
    clock_random_hex(inv->pipeline->clock, inv->trace_id, sizeof inv->trace_id / 2);
    clock_random_hex(inv->pipeline->clock, inv->parent_id, sizeof inv->parent_id / 2);
    inv->trace_sampled = false;
}

void invocation_request_post(struct invocation *inv, const char *path) {
    struct request *r = &inv->request;
    struct error e;
    r->method = SLICE("POST");
    r->target = arena_copy(&inv->arena, slice_of(path));
    r->version = SLICE("HTTP/1.1");
    int parsed = url_parse(&r->url, &inv->arena, r->target, &e);
    assert(parsed == 0); /* our own */
    (void)parsed;
}

/* Where the first entry into a state is noted; NULL = nowhere. */
static uint64_t *invocation_entered(struct invocation *inv, enum invocation_state state) {
    switch (state) {
    case INVOCATION_QUEUED: return &inv->queued_us;
    case INVOCATION_RUNNING: return &inv->started_us;
    case INVOCATION_POST: return &inv->completed_us;
    case INVOCATION_NEW:
    case INVOCATION_PRE:
    case INVOCATION_BODY:
    case INVOCATION_DONE:
    case INVOCATION_STATES: break;
    }
    return NULL;
}

void invocation_move(struct invocation *inv, enum invocation_state state, struct list *place) {
    struct pipeline *p = inv->pipeline;
    uint64_t *entered = invocation_entered(inv, state);
    if (entered && !*entered) *entered = clock_now_us(p->clock);
    deadline_disarm(p->deadlines, &inv->deadline);
    list_remove(&inv->node);
    list_push(place, &inv->node);
    log_event(p->log, LOG_DEBUG, "invocation moved", LOG_SLICE("invocation", invocation_id(inv)),
              LOG_TEXT("from", state_names[inv->state]), LOG_TEXT("to", state_names[state]));
    inv->state = state;
}

void invocation_arm(struct invocation *inv, uint64_t after_ms, void (*on_due)(struct deadline *d)) {
    struct pipeline *p = inv->pipeline;
    inv->deadline.on_due = on_due;
    if (after_ms)
        deadline_arm(p->deadlines, &inv->deadline, clock_now_ms(p->clock) + after_ms);
    else
        deadline_disarm(p->deadlines, &inv->deadline);
}

struct slice invocation_client_key(struct invocation *inv) {
    struct slice subject = inv->identity ? identity_subject(inv->identity) : SLICE_NONE;
    struct arena *a = &inv->arena;
    if (subject.n == 0) return arena_printf(a, "address " SLICE_FMT, SLICE_ARG(inv->request.client_address));
    return arena_printf(a, SLICE_FMT " " SLICE_FMT, SLICE_ARG(inv->identity->guard), SLICE_ARG(subject));
}

uint64_t invocation_timeout_ms(const struct invocation *inv) {
    return inv->timeout_ms ? inv->timeout_ms : inv->route->handler->timeout_ms;
}

void invocation_free(struct invocation *inv) {
    list_remove(&inv->node);
    arena_free(&inv->arena);
    free(inv);
}

void invocation_recycle(struct invocation *inv) {
    struct pipeline *p = inv->pipeline;
    invocation_move(inv, INVOCATION_DONE, &p->recycled);
    p->in_flight--;
    outcome_release(&inv->outcome);
    if (inv->body) body_release_consumer(inv->body);
    inv->body = NULL;
    arena_reset(&inv->arena);
    if (p->recycled.length > INVOCATION_KEEP) invocation_free(inv);
}
