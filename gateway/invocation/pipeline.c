#include "gateway/invocation/pipeline.h"
#include "gateway/blueprint/model.h"
#include <assert.h>

#define RETRY_AFTER_S 1 /* of refusals that say something about this gateway, not about a handler */

void pipeline_init(struct pipeline *p, struct clock *clock, struct log *log, struct deadlines *deadlines,
                   struct turn *turn) {
    *p = (struct pipeline){.clock = clock, .log = log, .deadlines = deadlines, .turn = turn};
    p->in_flight_limit = UINT64_MAX;
    for (int i = 0; i < INVOCATION_STATES; i++) list_init(&p->places[i]);
    list_init(&p->recycled);
}

void pipeline_close(struct pipeline *p) {
    assert(p->in_flight == 0);
    list_each (&p->recycled, node) invocation_free(list_entry(node, struct invocation, node));
}

/* --- steps --- */

static enum step_result step_refuse(struct invocation *inv, enum failure f, uint32_t retry_after_s) {
    inv->outcome = outcome_failure(inv, f, NULL);
    inv->outcome.retry_after_s = retry_after_s;
    return STEP_REPLY;
}

/* A CORS preflight (Fetch Standard, "CORS protocol") asks on behalf of another method, so it is answered by the rules
 * of that method's route, whatever serves OPTIONS itself. */
static bool preflight_is_answered(struct invocation *inv) {
    const struct pipeline *p = inv->pipeline;
    const struct request *r = &inv->request;
    if (!slice_equal(r->method, SLICE("OPTIONS")) || slice_is_none(fields_get(&r->headers, SLICE("Origin"))))
        return false;
    struct slice method = fields_get(&r->headers, SLICE("Access-Control-Request-Method"));
    struct router_match match = {.values = inv->parameters};
    if (slice_is_none(method)) return false;
    if (router_match(p->router, method, &r->url, &inv->arena, &match) != ROUTER_FOUND) return false;
    for (size_t i = 0; i < p->hook_count && !inv->preflight; i++)
        inv->preflight = p->hooks[i].preflight && p->hooks[i].preflight(p->hooks[i].self, inv, match.route);
    if (inv->preflight) inv->route = match.route;
    return inv->preflight;
}

static enum step_result step_route(struct invocation *inv) {
    struct pipeline *p = inv->pipeline;
    struct router_match match = {.values = inv->parameters};
    /* Connections are told that they end; their last words and their end are still somebody's business. */
    if (p->draining && inv->trigger != TRIGGER_WEBSOCKET) return step_refuse(inv, FAILURE_SHUTTING_DOWN, RETRY_AFTER_S);
    if (p->in_flight > p->in_flight_limit) return step_refuse(inv, FAILURE_OVERLOADED, RETRY_AFTER_S);
    if (inv->trigger != TRIGGER_HTTP) {
        assert(inv->route);
        return STEP_NEXT;
    }
    if (preflight_is_answered(inv)) return STEP_REPLY;
    switch (router_match(p->router, inv->request.method, &inv->request.url, &inv->arena, &match)) {
    case ROUTER_FOUND: inv->route = match.route; return STEP_NEXT;
    case ROUTER_NO_PATH: return step_refuse(inv, FAILURE_NOT_FOUND, 0);
    case ROUTER_NO_METHOD: break;
    }
    step_refuse(inv, FAILURE_METHOD, 0);
    inv->outcome.allow = arena_copy(&inv->arena, slice_of(match.allow));
    return STEP_REPLY;
}

static bool hook_sees(const struct hook *hook, const struct invocation *inv) {
    if (inv->trigger == TRIGGER_HTTP) return true;
    if (inv->trigger == TRIGGER_CREDENTIAL) return hook->scope == HOOK_SEES_CREDENTIALS;
    return hook->scope == HOOK_SEES_ALL && inv->trigger != TRIGGER_AUTHORIZER;
}

static enum step_result step_hook(struct invocation *inv, const struct hook *hook) {
    return hook->pre && hook_sees(hook, inv) ? hook->pre(hook->self, inv) : STEP_NEXT;
}

static enum step_result body_failed(struct invocation *inv) {
    const char *why = body_failure(inv->body);
    enum failure f = body_fault(inv->body);
    if (f != FAILURE_INTERNAL) {
        inv->outcome = outcome_failure(inv, f, "%s", why);
        return STEP_REPLY;
    }
    /* Names files and errors of this machine: for the operator, not for the client. */
    log_event(inv->pipeline->log, LOG_ERROR, "request body lost", LOG_SLICE("request_id", inv->request_id),
              LOG_TEXT("reason", why));
    return step_refuse(inv, f, 0);
}

static enum step_result body_verdict(struct invocation *inv) {
    switch (body_state_of(inv->body)) {
    case BODY_COMPLETE: return STEP_NEXT;
    case BODY_FAILED: return body_failed(inv);
    case BODY_OPEN: break;
    }
    return STEP_WAIT;
}

/* Goes on from the place where an invocation was parked. */
static void pipeline_drive(struct invocation *inv, enum step_result result);

static void on_body_task(struct turn_task *task) {
    struct invocation *inv = container_of(task, struct invocation, body_task);
    pipeline_drive(inv, body_verdict(inv));
}

/* Called by the producer in the midst of its work: only noted. */
static void on_body_ended(void *context) {
    struct invocation *inv = context;
    turn_add(inv->pipeline->turn, &inv->body_task);
}

static enum step_result step_refuse_full(struct invocation *inv, enum failure full, uint32_t retry_after_s) {
    struct executor *executor = inv->route->executor;
    if (!executor->ops->refuse) return step_refuse(inv, full, retry_after_s);
    inv->outcome = executor->ops->refuse(executor, inv, full);
    return STEP_REPLY;
}

static enum step_result step_body(struct invocation *inv) {
    struct pipeline *p = inv->pipeline;
    struct executor *executor = inv->route->executor;
    uint32_t retry_after_s = 0;
    invocation_move(inv, INVOCATION_BODY, &p->places[INVOCATION_BODY]);
    enum failure full = executor->ops->room(executor, &retry_after_s);
    if (full != FAILURE_NONE) return step_refuse_full(inv, full, retry_after_s);
    if (!inv->body || (executor->streams_request && !inv->whole_body)) return STEP_NEXT;
    /* The producers are the public lanes: the pools, later in the turn, see all that arrived in one reading. */
    inv->body_task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_body_task};
    body_collect(inv->body);
    body_on_readable(inv->body, on_body_ended, inv);
    return body_verdict(inv);
}

static enum step_result step_whole_body(struct invocation *inv) {
    const struct pipeline *p = inv->pipeline;
    for (size_t i = 0; i < p->hook_count; i++) {
        const struct hook *hook = &p->hooks[i];
        if (!hook->body || !hook_sees(hook, inv)) continue;
        if (hook->body(hook->self, inv) == STEP_REPLY) return STEP_REPLY;
    }
    return STEP_NEXT;
}

/* WAIT, because the executor is now the one who goes on; it may even have completed it already. */
static enum step_result step_admit(struct invocation *inv) {
    struct executor *executor = inv->route->executor;
    if (inv->body) body_on_readable(inv->body, NULL, NULL);
    if (inv->whole_body && step_whole_body(inv) == STEP_REPLY) return STEP_REPLY;
    executor->ops->submit(executor, inv);
    return STEP_WAIT;
}

static enum step_result pipeline_step(struct invocation *inv) {
    const struct pipeline *p = inv->pipeline;
    if (inv->step == 0) return step_route(inv);
    if (inv->step <= p->hook_count) return step_hook(inv, &p->hooks[inv->step - 1]);
    return inv->step == p->hook_count + 1 ? step_body(inv) : step_admit(inv);
}

/* --- the driver --- */

static void pipeline_finish(struct invocation *inv);

static bool outcome_is_set(const struct outcome *o) {
    return o->failure != FAILURE_NONE || o->status != 0;
}

static void pipeline_drive(struct invocation *inv, enum step_result result) {
    while (result == STEP_NEXT) {
        assert(inv->state == INVOCATION_PRE || inv->state == INVOCATION_BODY);
        inv->step++;
        result = pipeline_step(inv);
    }
    if (result == STEP_REPLY) pipeline_finish(inv);
    /* After WAIT it belongs to whoever it waits for, and may be gone. */
}

void pipeline_run(struct invocation *inv) {
    struct pipeline *p = inv->pipeline;
    assert(inv->state == INVOCATION_NEW);
    if (!inv->trace_id[0]) invocation_trace_from(inv, SLICE_NONE);
    invocation_move(inv, INVOCATION_PRE, &p->places[INVOCATION_PRE]);
    pipeline_drive(inv, pipeline_step(inv));
}

void pipeline_resume(struct invocation *inv) {
    if (inv->state == INVOCATION_PRE) pipeline_drive(inv, STEP_NEXT);
}

void pipeline_reply(struct invocation *inv, struct outcome outcome) {
    (void)invocation_complete(inv, outcome);
}

bool pipeline_room(const struct route *route) {
    uint32_t retry_after_s;
    return route->executor->ops->room(route->executor, &retry_after_s) == FAILURE_NONE;
}

size_t pipeline_places(const struct route *route) {
    return route->executor->ops->places(route->executor);
}

/* --- the way back --- */

static enum failure cancel_failure(enum cancel_reason why) {
    return why == CANCEL_SHUTDOWN ? FAILURE_SHUTTING_DOWN : FAILURE_CLIENT_GONE;
}

/* What it waited for must not wake it any more. */
static void pipeline_detach(struct invocation *inv) {
    if (inv->state == INVOCATION_QUEUED || inv->state == INVOCATION_RUNNING)
        inv->route->executor->ops->completed(inv->route->executor, inv);
    turn_remove(&inv->body_task);
    if (inv->body) body_on_readable(inv->body, NULL, NULL);
}

/* From any state before POST, with inv->outcome set, to the end of its life. */
static void pipeline_finish(struct invocation *inv) {
    struct pipeline *p = inv->pipeline;
    assert(inv->state < INVOCATION_POST && outcome_is_set(&inv->outcome));
    pipeline_detach(inv);
    invocation_move(inv, INVOCATION_POST, &p->places[INVOCATION_POST]);
    outcome_explain(inv);
    for (size_t i = p->hook_count; i-- > 0;)
        if (p->hooks[i].post && hook_sees(&p->hooks[i], inv)) p->hooks[i].post(p->hooks[i].self, inv);
    p->counters.failures[inv->outcome.failure]++;
    p->counters.finished++;
    inv->source->finish(inv);
    invocation_recycle(inv);
}

/* An answer that comes after the client has left is nobody's; it ends as what it was. */
static void pipeline_finish_cancelled(struct invocation *inv) {
    inv->outcome = outcome_failure(inv, cancel_failure(inv->cancelled), NULL);
    pipeline_finish(inv);
}

bool invocation_complete(struct invocation *inv, struct outcome outcome) {
    if (inv->state >= INVOCATION_POST) {
        inv->pipeline->counters.late_results++;
        outcome_release(&outcome);
        return false;
    }
    if (inv->cancelled) {
        outcome_release(&outcome);
        pipeline_finish_cancelled(inv);
        return true;
    }
    inv->outcome = outcome;
    pipeline_finish(inv);
    return true;
}

static void on_detached_finish(struct invocation *inv) {
    (void)inv;
}

/* Delivers to nobody: the source of a running invocation that was cancelled. */
static const struct source_ops detached_source = {.name = "detached", .finish = on_detached_finish};

void invocation_cancel(struct invocation *inv, enum cancel_reason why) {
    assert(why != CANCEL_NONE);
    if (inv->cancelled || inv->state >= INVOCATION_POST) return;
    inv->cancelled = why;
    inv->pipeline->counters.cancelled++;
    if (inv->state != INVOCATION_RUNNING) {
        pipeline_finish_cancelled(inv);
        return;
    }
    inv->source = &detached_source;
    inv->source_context = NULL;
    inv->route->executor->ops->cancel(inv->route->executor, inv);
}
