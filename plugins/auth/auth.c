#include "plugins/auth/auth.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "plugins/auth/guard.h"
#include <assert.h>
#include <stdlib.h>

#define RETRY_AFTER_S 1

struct auth {
    const struct auth_settings *settings;
    struct plugin_host host;
    struct guard **guards; /* by number */
};

/* What goes on with one invocation; inv->guarding until it has passed. */
struct auth_visit {
    struct invocation *inv;
    const struct auth *auth;
    const struct route_policy *route;
    size_t next;
    struct guard_visit visits[];
};

static const struct route_policy *policy_of(const struct auth *a, const struct route *route) {
    if (!route || !route->trigger) return NULL;
    assert(route->trigger->number < a->settings->route_count);
    const struct route_policy *policy = &a->settings->routes[route->trigger->number];
    return policy->guard_count ? policy : NULL;
}

/* --- refusals --- */

static enum failure failure_of(enum guard_verdict verdict) {
    switch (verdict) {
    case GUARD_UNAUTHORIZED: return FAILURE_UNAUTHORIZED;
    case GUARD_FORBIDDEN: return FAILURE_FORBIDDEN;
    case GUARD_UNAVAILABLE:
    case GUARD_NEEDS_BODY:
    case GUARD_WAIT:
    case GUARD_PASS: break;
    }
    return FAILURE_GUARD_UNAVAILABLE;
}

static enum step_result auth_refuse(struct auth_visit *a, const struct guard_visit *v) {
    struct invocation *inv = a->inv;
    enum failure f = failure_of(v->verdict);
    inv->outcome = outcome_failure(inv, f, v->detail ? "%s" : NULL, v->detail);
    inv->outcome.headers = v->challenges;
    if (f == FAILURE_GUARD_UNAVAILABLE) inv->outcome.retry_after_s = RETRY_AFTER_S;
    inv->guarding = NULL;
    return STEP_REPLY;
}

/* --- what a route asks for beyond its guards --- */

static enum jose_result meets(const struct guard_visit *v, const struct jwt_rules *rules) {
    struct arena *a = &v->inv->arena;
    struct jwt t;
    if (rules->scope_count == 0 && rules->claim_count == 0) return JOSE_OK;
    if (jwt_read(&t, v->identity->claims_json, a).result != JOSE_OK) return JOSE_INSUFFICIENT;
    return jwt_meets(&t, rules, a).result;
}

/* The first whose guard knows somebody who meets it; absent: *result says what is missing. */
static struct identity *find_identity(const struct auth_visit *a, enum jose_result *result) {
    *result = a->route->require.scope_count || a->route->require.claim_count ? JOSE_INSUFFICIENT : JOSE_OK;
    for (size_t i = 0; i < a->route->guard_count; i++) {
        const struct guard_visit *v = &a->visits[i];
        enum jose_result own = v->identity ? meets(v, &a->route->require) : JOSE_INSUFFICIENT;
        if (own == JOSE_OK) return v->identity;
        if (own == JOSE_INSUFFICIENT_SCOPE) *result = own;
    }
    return NULL;
}

static enum step_result refuse_requirement(struct auth_visit *a, enum jose_result result) {
    struct guard_visit *v = &a->visits[0];
    v->challenges = (struct fields){0};
    if (result == JOSE_INSUFFICIENT_SCOPE)
        guard_refuse_scope(v, &a->route->require, "a scope is missing");
    else
        guard_refuse(v, GUARD_FORBIDDEN, "a claim is missing or has another value");
    return auth_refuse(a, v);
}

/* --- passing --- */

static enum step_result auth_admit(struct auth_visit *a) {
    enum jose_result result;
    struct identity *identity = find_identity(a, &result);
    if (!identity && result != JOSE_OK) return refuse_requirement(a, result);
    for (size_t i = 0; i < a->route->guard_count; i++) {
        struct guard *g = a->visits[i].guard;
        if (g->ops->strip) g->ops->strip(g, a->inv);
    }
    a->inv->identity = identity;
    a->inv->guarding = NULL;
    return STEP_NEXT;
}

static bool somebody_needs_body(const struct auth_visit *a) {
    for (size_t i = 0; i < a->route->guard_count; i++)
        if (a->visits[i].verdict == GUARD_NEEDS_BODY) return true;
    return false;
}

/* From guard to guard, until one refuses or waits. */
static enum step_result auth_go(struct auth_visit *a) {
    while (a->next < a->route->guard_count) {
        struct guard_visit *v = &a->visits[a->next];
        v->guard->ops->check(v->guard, v);
        if (v->verdict == GUARD_WAIT) return STEP_WAIT;
        if (v->verdict != GUARD_PASS && v->verdict != GUARD_NEEDS_BODY) return auth_refuse(a, v);
        a->next++;
    }
    if (!somebody_needs_body(a)) return auth_admit(a);
    a->inv->whole_body = true;
    return STEP_NEXT;
}

/* A guard that waited has made up its mind. */
static void on_verdict(struct guard_visit *v) {
    struct auth_visit *a = v->asker;
    struct invocation *inv = a->inv;
    enum step_result result;
    a->next++;
    if (v->verdict == GUARD_PASS || v->verdict == GUARD_NEEDS_BODY)
        result = auth_go(a);
    else
        result = auth_refuse(a, v);
    if (result == STEP_NEXT) pipeline_resume(inv);
    if (result != STEP_REPLY) return;
    struct outcome o = inv->outcome;
    inv->outcome = (struct outcome){0};
    pipeline_reply(inv, o);
}

static struct auth_visit *visit_new(const struct auth *auth, const struct route_policy *route, struct invocation *inv) {
    struct auth_visit *a = arena_zalloc(&inv->arena, sizeof *a + route->guard_count * sizeof a->visits[0]);
    *a = (struct auth_visit){.inv = inv, .auth = auth, .route = route};
    for (size_t i = 0; i < route->guard_count; i++)
        a->visits[i] = (struct guard_visit){
            .guard = auth->guards[route->guards[i]], .inv = inv, .on_verdict = on_verdict, .asker = a};
    inv->guarding = a;
    return a;
}

/* --- the source vouches --- */

static const struct guard_policy *speaking_guard(const struct auth_settings *s, const struct guard_policy *p) {
    return p->type == GUARD_ANY ? speaking_guard(s, &s->guards[p->any.guards[0]]) : p;
}

void auth_name_identity(const struct auth_settings *s, const struct http_trigger_config *trigger, struct identity *i) {
    static const struct {
        enum identity_shape shape;
        const char *scheme;
    } spoken[] = {
        [GUARD_JWT] = {IDENTITY_JWT, "Bearer"},        [GUARD_API_KEY] = {IDENTITY_LAMBDA, "ApiKey"},
        [GUARD_BASIC] = {IDENTITY_LAMBDA, "Basic"},    [GUARD_HMAC] = {IDENTITY_LAMBDA, "HMAC"},
        [GUARD_HANDLER] = {IDENTITY_LAMBDA, "Custom"},
    };
    const struct route_policy *route = &s->routes[trigger->number];
    if (route->guard_count == 0) return;
    const struct guard_policy *p = speaking_guard(s, &s->guards[route->guards[0]]);
    i->guard = p->name;
    i->shape = spoken[p->type].shape;
    i->scheme = slice_of(spoken[p->type].scheme);
}

/* The claims are taken as verified; what the route requires of them is asked for all the same. */
static enum step_result auth_believe(struct auth_visit *a) {
    struct invocation *inv = a->inv;
    auth_name_identity(a->auth->settings, inv->route->trigger, inv->identity);
    a->visits[0].identity = inv->identity;
    return auth_admit(a);
}

/* A handshake whose client proves who it is with its first message. */
static bool is_for_later(const struct invocation *inv) {
    return inv->route->trigger->guarded_later && inv->trigger != TRIGGER_CREDENTIAL;
}

static enum step_result auth_pre_handle(void *state, struct invocation *inv) {
    const struct auth *auth = state;
    const struct route_policy *route = policy_of(auth, inv->route);
    if (!route || is_for_later(inv)) return STEP_NEXT;
    struct auth_visit *a = visit_new(auth, route, inv);
    return inv->identity ? auth_believe(a) : auth_go(a);
}

/* Some other plugin may have asked for the whole body. */
static enum step_result auth_body_handle(void *state, struct invocation *inv) {
    (void)state;
    struct auth_visit *a = inv->guarding;
    if (!a) return STEP_NEXT;
    for (size_t i = 0; i < a->route->guard_count; i++) {
        struct guard_visit *v = &a->visits[i];
        if (v->verdict == GUARD_NEEDS_BODY) v->guard->ops->check_body(v->guard, v);
        if (v->verdict != GUARD_PASS) return auth_refuse(a, v);
    }
    return auth_admit(a);
}

/* Whoever leaves before the verdict leaves no guard behind that would wake it. */
static void auth_post_handle(void *state, struct invocation *inv) {
    (void)state;
    struct auth_visit *a = inv->guarding;
    inv->guarding = NULL;
    if (!a || a->next == a->route->guard_count) return;
    struct guard_visit *v = &a->visits[a->next];
    if (v->verdict == GUARD_WAIT) v->guard->ops->cancel(v->guard, v);
}

/* --- life --- */

static const struct guard *predecessor_of(const struct auth *a, const struct guard_policy *p) {
    const struct auth *old = a->host.predecessor;
    for (size_t i = 0; old && i < old->settings->guard_count; i++) {
        const struct guard_policy *other = &old->settings->guards[i];
        if (other->type == p->type && slice_equal(other->name, p->name)) return old->guards[i];
    }
    return NULL;
}

static struct guard *open_guard(struct auth *a, size_t number, struct error *e) {
    static struct guard *(*const openers[])(const struct guard_host *, const struct guard_policy *, struct error *) = {
        [GUARD_JWT] = guard_jwt_open,   [GUARD_API_KEY] = guard_api_key_open, [GUARD_BASIC] = guard_basic_open,
        [GUARD_HMAC] = guard_hmac_open, [GUARD_HANDLER] = guard_handler_open, [GUARD_ANY] = guard_any_open,
    };
    const struct guard_policy *p = &a->settings->guards[number];
    const struct guard_host h = {
        .plugin = &a->host, .realm = a->settings->realm, .guards = a->guards, .predecessor = predecessor_of(a, p)};
    return openers[p->type](&h, p, e);
}

/* Those that are made of others come last. */
static int open_guards(struct auth *a, bool of_others, struct error *e) {
    for (size_t i = 0; i < a->settings->guard_count; i++) {
        if ((a->settings->guards[i].type == GUARD_ANY) != of_others) continue;
        a->guards[i] = open_guard(a, i, e);
        if (!a->guards[i]) return -1;
    }
    return 0;
}

static void auth_close(void *state) {
    struct auth *a = state;
    for (size_t i = 0; i < a->settings->guard_count; i++) guard_free(a->guards[i]);
    free(a->guards);
    free(a);
}

static int auth_open(const struct plugin_host *host, const void *settings, void **state, struct error *e) {
    static const struct auth_settings nothing = {.guard_count = 0};
    struct auth *a = xcalloc(1, sizeof *a);
    a->settings = settings ? settings : &nothing;
    a->host = *host;
    a->guards = xcalloc(a->settings->guard_count + 1, sizeof(struct guard *));
    if (open_guards(a, false, e) == 0 && open_guards(a, true, e) == 0) {
        a->host.predecessor = NULL;
        *state = a;
        return 0;
    }
    auth_close(a);
    return -1;
}

const struct plugin auth_plugin = {
    .name = "auth",
    .section = &auth_section,
    .sees = HOOK_SEES_CREDENTIALS,
    .open = auth_open,
    .pre_handle = auth_pre_handle,
    .body_handle = auth_body_handle,
    .post_handle = auth_post_handle,
    .close = auth_close,
};
