/* A handler of the application decides. It gets an invocation of its own, made here and put straight into its executor:
 * the request's line, fields and client address, never its body. No hook sees that invocation.
 *
 *   ASKED      the handler has it, or it waits in the handler's queue
 *   ANSWERED   the collector waits for the rest of the body; from the turn the answer is read and the visit concluded
 *
 * A visitor who leaves takes the call along; an invocation that runs already is told so, and its answer is nobody's. */
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/collector.h"
#include "plugins/auth/authorizer_answer.h"
#include "plugins/auth/guard.h"
#include "plugins/auth/token_cache.h"
#include <assert.h>
#include <stdlib.h>

#define CACHE_ANSWERS 4096
#define CACHE_BYTES (4 * 1024 * 1024)

struct handler_guard {
    struct guard guard;
    const struct authorizer_policy *policy;
    const struct handler_config *handler;
    struct executor *executor;
    struct pipeline *pipeline;
    struct token_cache *cache; /* NULL: nothing is remembered */
};

/* One question; v->pending. */
struct authorizer_call {
    struct handler_guard *guard;
    struct guard_visit *visit;   /* NULL: left */
    struct invocation *question; /* NULL once it has ended */
    enum failure failure;
    int status;
    struct collector collector; /* of the answer's body */
    struct token_key key;
};

static struct handler_guard *handler_guard_of(struct guard *g) {
    return container_of(g, struct handler_guard, guard);
}

static void call_free(struct authorizer_call *c) {
    collector_release(&c->collector);
    free(c);
}

/* --- what it said --- */

static void refuse_unknown(struct guard_visit *v, const char *detail) {
    guard_refuse(v, GUARD_UNAUTHORIZED, detail);
    guard_challenge(v, "Custom", "");
}

/* False when it said nothing that can be understood. The context is on one line. */
static bool take_answer(struct guard_visit *v, const struct authorizer_answer *answer) {
    switch (answer->verdict) {
    case AUTHORIZER_ALLOWS:
        guard_pass(v, guard_identity_of_claims(v, "Custom", IDENTITY_LAMBDA, answer->context));
        return true;
    case AUTHORIZER_REFUSES: guard_refuse(v, GUARD_FORBIDDEN, "the authorizer refused"); return true;
    case AUTHORIZER_KNOWS_NOBODY: refuse_unknown(v, "the authorizer does not know this credential"); return true;
    case AUTHORIZER_UNCLEAR: break;
    }
    return false;
}

/* The verdict as one letter, then the context. */
static const char verdict_letters[] = {
    [AUTHORIZER_UNCLEAR] = '?', [AUTHORIZER_ALLOWS] = 'y', [AUTHORIZER_REFUSES] = 'n', [AUTHORIZER_KNOWS_NOBODY] = 'w'};

static void remember(struct handler_guard *g, struct authorizer_call *c, const struct authorizer_answer *answer) {
    struct slice record = arena_printf(&c->visit->inv->arena, "%c" SLICE_FMT, verdict_letters[answer->verdict],
                                       SLICE_ARG(answer->context));
    uint64_t until_ms = clock_wall_ms(g->pipeline->clock) + g->policy->cache_ms;
    if (g->cache) token_cache_put(g->cache, &c->key, &(struct token_entry){.claims = record, .until_ms = until_ms});
}

/* False when nothing is remembered. */
static bool recall(struct handler_guard *g, struct guard_visit *v, const struct token_key *key) {
    struct authorizer_answer answer = {AUTHORIZER_UNCLEAR, SLICE_NONE, NULL};
    struct slice record = g->cache ? token_cache_find(g->cache, key, 0, &v->inv->arena) : SLICE_NONE;
    if (slice_is_none(record)) return false;
    for (size_t i = 0; i < sizeof verdict_letters; i++)
        if (verdict_letters[i] == record.p[0]) answer.verdict = (enum authorizer_verdict)i;
    answer.context = slice_make(record.p + 1, record.n - 1);
    return take_answer(v, &answer);
}

/* --- the answer --- */

/* Copied, because the identity that is made of it outlives the body. */
static struct authorizer_answer call_read(struct authorizer_call *c) {
    struct arena *a = &c->visit->inv->arena;
    struct authorizer_answer none = {.why = c->failure != FAILURE_NONE ? failure_row(c->failure)->slug : NULL};
    struct slice bytes = collector_bytes(&c->collector);
    if (!none.why && slice_is_none(bytes)) none.why = "its answer broke off";
    if (!none.why && bytes.n > AUTHORIZER_ANSWER_LIMIT) none.why = "its answer is too large";
    if (none.why) return none;
    struct slice text = arena_copy(a, bytes);
    struct authorizer_answer answer = authorizer_answer_read(c->status, text, a);
    answer.context = identity_json_line(answer.context, a);
    return answer;
}

static void log_unclear(struct handler_guard *g, const struct guard_visit *v, const char *why) {
    log_event(g->pipeline->log, LOG_WARN, "the authorizer gave no answer", LOG_SLICE("guard", g->guard.policy->name),
              LOG_TEXT("handler", g->handler->name), LOG_SLICE("request_id", v->inv->request_id),
              LOG_TEXT("reason", why));
}

static void on_answered(struct collector *collector) {
    struct authorizer_call *c = container_of(collector, struct authorizer_call, collector);
    struct guard_visit *v = c->visit;
    struct authorizer_answer answer = call_read(c);
    if (take_answer(v, &answer)) {
        remember(c->guard, c, &answer);
    } else {
        log_unclear(c->guard, v, answer.why);
        guard_refuse(v, GUARD_UNAVAILABLE, "the authorizer gave no answer");
    }
    call_free(c);
    guard_conclude(v);
}

/* The question is over; it may be in the midst of the submit that asked it, so the rest waits for the turn. */
static void on_finish(struct invocation *question) {
    struct authorizer_call *c = question->source_context;
    c->question = NULL;
    if (!c->visit) return; /* being cancelled */
    c->failure = question->outcome.failure;
    c->status = question->outcome.status;
    collector_take(&c->collector, outcome_take_body(&question->outcome), AUTHORIZER_ANSWER_LIMIT,
                   c->guard->handler->timeout_ms);
}

static const struct source_ops authorizer_source = {.name = "authorizer", .finish = on_finish};

/* --- the question --- */

/* What describes a body that does not come along. */
static bool describes_body(struct slice name) {
    return slice_starts_with_nocase(name, SLICE("content-")) || slice_equal_nocase(name, SLICE("transfer-encoding")) ||
           slice_equal_nocase(name, SLICE("trailer")) || slice_equal_nocase(name, SLICE("expect"));
}

/* HEAD is guarded as GET, and asked about as GET: the answer to a HEAD has no body (RFC 9110 9.3.2), so a server would
 * have nothing to say it with. */
static struct slice method_asked(const struct request *r) {
    return slice_equal(r->method, SLICE("HEAD")) ? SLICE("GET") : r->method;
}

/* It may outlive the request that it is made from, so all of it is copied. */
static void copy_request(struct invocation *to, const struct invocation *from) {
    struct arena *a = &to->arena;
    const struct request *f = &from->request;
    struct request *r = &to->request;
    struct error e;
    r->method = arena_copy(a, method_asked(f));
    r->version = arena_copy(a, f->version);
    r->host = arena_copy(a, f->host);
    r->scheme = arena_copy(a, f->scheme);
    r->client_address = arena_copy(a, f->client_address);
    r->client_port = f->client_port;
    r->client_certificate = arena_copy(a, f->client_certificate);
    r->client_fingerprint = arena_copy(a, f->client_fingerprint);
    r->target = arena_copy(a, f->target);
    int parsed = url_parse(&r->url, a, r->target, &e);
    assert(parsed == 0); /* it was before */
    (void)parsed;
    for (size_t i = 0; i < f->headers.count; i++) {
        const struct field *field = &f->headers.items[i];
        if (!describes_body(field->name))
            fields_add(&r->headers, a, arena_copy(a, field->name), arena_copy(a, field->value));
    }
}

/* The route of the request, served by the authorizer. */
static const struct route *copy_route(const struct handler_guard *g, struct invocation *to,
                                      const struct invocation *from) {
    struct route *route = arena_zalloc(&to->arena, sizeof *route);
    *route = (struct route){.handler = g->handler, .executor = g->executor, .key = from->route->key};
    route->parameter_names = from->route->parameter_names; /* the router's */
    route->parameter_count = from->route->parameter_count;
    for (size_t i = 0; i < route->parameter_count; i++) to->parameters[i] = arena_copy(&to->arena, from->parameters[i]);
    return route;
}

static struct invocation *question_new(struct authorizer_call *c) {
    const struct invocation *asked_for = c->visit->inv;
    struct invocation *q = invocation_new(c->guard->pipeline, &authorizer_source, c);
    q->trigger = TRIGGER_AUTHORIZER;
    q->request_id = arena_copy(&q->arena, asked_for->request_id);
    memcpy(q->trace_id, asked_for->trace_id, sizeof q->trace_id);
    memcpy(q->parent_id, asked_for->parent_id, sizeof q->parent_id);
    q->trace_sampled = asked_for->trace_sampled;
    copy_request(q, asked_for);
    q->route = copy_route(c->guard, q, asked_for);
    return q;
}

static void handler_ask(struct handler_guard *g, struct guard_visit *v, const struct token_key *key) {
    struct authorizer_call *c = xcalloc(1, sizeof *c);
    *c = (struct authorizer_call){.guard = g, .visit = v, .key = *key};
    collector_init(&c->collector, g->pipeline, on_answered);
    v->pending = c;
    v->verdict = GUARD_WAIT;
    c->question = question_new(c);
    g->executor->ops->submit(g->executor, c->question);
}

static void question_key(struct handler_guard *g, struct guard_visit *v, struct slice credential,
                         struct token_key *key) {
    const struct request *r = &v->inv->request;
    struct slice text = credential;
    if (g->policy->memory == AUTHORIZER_BY_REQUEST)
        text = arena_printf(&v->inv->arena, SLICE_FMT " " SLICE_FMT " " SLICE_FMT, SLICE_ARG(method_asked(r)),
                            SLICE_ARG(r->target), SLICE_ARG(credential));
    if (g->cache) *key = token_cache_key(g->cache, text);
}

static void handler_check(struct guard *base, struct guard_visit *v) {
    struct handler_guard *g = handler_guard_of(base);
    struct slice credential = SLICE("");
    struct token_key key = {0};
    bool needed = g->policy->places.count > 0;
    enum credential_found found = needed ? credential_find(&g->policy->places, v->inv, SLICE_NONE, &credential)
                                         : CREDENTIAL_FOUND;
    if (found != CREDENTIAL_FOUND) {
        v->absent = found == CREDENTIAL_ABSENT;
        refuse_unknown(v, found == CREDENTIAL_ABSENT ? "a credential is needed" : "there is more than one credential");
        return;
    }
    question_key(g, v, credential, &key);
    if (!recall(g, v, &key)) handler_ask(g, v, &key);
}

static void handler_cancel(struct guard *base, struct guard_visit *v) {
    (void)base;
    struct authorizer_call *c = v->pending;
    struct invocation *question = c->question;
    c->visit = NULL;
    if (question) invocation_cancel(question, v->inv->cancelled ? v->inv->cancelled : CANCEL_CLIENT_GONE);
    call_free(c);
}

static void handler_free(struct guard *base) {
    struct handler_guard *g = handler_guard_of(base);
    token_cache_free(g->cache);
    free(g);
}

static const struct guard_ops handler_ops = {.check = handler_check, .cancel = handler_cancel, .free = handler_free};

static const struct handler_config *find_handler(const struct blueprint *b, const char *name) {
    for (size_t i = 0; i < b->handler_count; i++)
        if (strcmp(b->handlers[i].name, name) == 0) return &b->handlers[i];
    return NULL;
}

struct guard *guard_handler_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    const struct plugin_host *host = h->plugin;
    const struct handler_config *handler = find_handler(host->blueprint, p->authorizer.handler);
    struct executor *executor = host->executor_of ? host->executor_of(host->context, p->authorizer.handler) : NULL;
    if (!handler || !executor) {
        error_set(e, ERROR_STATE, "guard " SLICE_FMT " has no handler to ask", SLICE_ARG(p->name));
        return NULL;
    }
    struct handler_guard *g = xcalloc(1, sizeof *g);
    guard_init(&g->guard, &handler_ops, h, p);
    g->policy = &p->authorizer;
    g->handler = handler;
    g->executor = executor;
    g->pipeline = host->pipeline;
    if (p->authorizer.cache_ms) g->cache = token_cache_new(CACHE_ANSWERS, CACHE_BYTES, host->clock);
    return &g->guard;
}
