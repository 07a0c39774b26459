/* One of several guards. They are asked in order, and the first that lets pass ends it. When none does, the
 * answer is that of the one that came nearest: wait for the body, nobody can tell, known but not allowed, not known;
 * in the last case the client is told every way to prove who it is, and what is wrong with the credential it has. */
#include "gateway/base/memory.h"
#include "plugins/auth/guard.h"
#include <stdlib.h>

struct any_guard {
    struct guard guard;
    size_t count;
    struct guard *guards[]; /* not its own */
};

/* One look at one invocation; v->pending. */
struct any_visit {
    struct guard_visit *own;
    size_t next;
    struct guard_visit visits[];
};

static const struct guard_visit *find_verdict(const struct any_visit *a, enum guard_verdict verdict) {
    for (size_t i = 0; i < a->next; i++)
        if (a->visits[i].verdict == verdict) return &a->visits[i];
    return NULL;
}

/* Of the refusals, the one that judged a credential; none did: a text for all of them. */
static const char *refusal_detail(const struct any_visit *a) {
    for (size_t i = 0; i < a->next; i++)
        if (!a->visits[i].absent) return a->visits[i].detail;
    return "a credential is needed";
}

static void add_challenges(struct guard_visit *v, const struct fields *challenges) {
    for (size_t i = 0; i < challenges->count; i++)
        fields_add(&v->challenges, &v->inv->arena, challenges->items[i].name, challenges->items[i].value);
}

static void any_settle(struct any_visit *a) {
    static const enum guard_verdict order[] = {GUARD_PASS, GUARD_NEEDS_BODY, GUARD_UNAVAILABLE, GUARD_FORBIDDEN,
                                               GUARD_UNAUTHORIZED};
    struct guard_visit *v = a->own;
    const struct guard_visit *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(order) && !best; i++) best = find_verdict(a, order[i]);
    v->verdict = best->verdict;
    v->detail = best->verdict == GUARD_UNAUTHORIZED ? refusal_detail(a) : best->detail;
    v->identity = best->identity;
    if (v->verdict == GUARD_FORBIDDEN) add_challenges(v, &best->challenges);
    for (size_t i = 0; i < a->next && v->verdict == GUARD_UNAUTHORIZED; i++)
        add_challenges(v, &a->visits[i].challenges);
}

/* False while one of them waits. */
static bool any_go(struct any_visit *a) {
    const struct any_guard *g = container_of(a->own->guard, struct any_guard, guard);
    while (a->next < g->count) {
        struct guard_visit *v = &a->visits[a->next];
        v->guard->ops->check(v->guard, v);
        if (v->verdict == GUARD_WAIT) return false;
        a->next++;
        if (v->verdict == GUARD_PASS) break;
    }
    any_settle(a);
    return true;
}

static void on_alternative(struct guard_visit *v) {
    struct any_visit *a = v->asker;
    a->next++;
    if (v->verdict == GUARD_PASS)
        any_settle(a);
    else if (!any_go(a))
        return;
    guard_conclude(a->own);
}

static void any_check(struct guard *base, struct guard_visit *v) {
    const struct any_guard *g = container_of(base, struct any_guard, guard);
    struct any_visit *a = arena_zalloc(&v->inv->arena, sizeof *a + g->count * sizeof a->visits[0]);
    a->own = v;
    v->pending = a;
    for (size_t i = 0; i < g->count; i++)
        a->visits[i] = (struct guard_visit){
            .guard = g->guards[i], .inv = v->inv, .on_verdict = on_alternative, .asker = a};
    if (!any_go(a)) v->verdict = GUARD_WAIT;
}

static void any_check_body(struct guard *base, struct guard_visit *v) {
    (void)base;
    struct any_visit *a = v->pending;
    for (size_t i = 0; i < a->next; i++) {
        struct guard_visit *each = &a->visits[i];
        if (each->verdict == GUARD_NEEDS_BODY) each->guard->ops->check_body(each->guard, each);
    }
    any_settle(a);
}

static void any_cancel(struct guard *base, struct guard_visit *v) {
    (void)base;
    struct any_visit *a = v->pending;
    struct guard_visit *waiting = &a->visits[a->next];
    waiting->guard->ops->cancel(waiting->guard, waiting);
}

static void any_strip(struct guard *base, struct invocation *inv) {
    const struct any_guard *g = container_of(base, struct any_guard, guard);
    for (size_t i = 0; i < g->count; i++)
        if (g->guards[i]->ops->strip) g->guards[i]->ops->strip(g->guards[i], inv);
}

static void any_free(struct guard *base) {
    free(container_of(base, struct any_guard, guard));
}

static const struct guard_ops any_ops = {
    .check = any_check, .check_body = any_check_body, .cancel = any_cancel, .strip = any_strip, .free = any_free};

struct guard *guard_any_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    (void)e;
    struct any_guard *g = xcalloc(1, sizeof *g + p->any.count * sizeof g->guards[0]);
    guard_init(&g->guard, &any_ops, h, p);
    g->count = p->any.count;
    for (size_t i = 0; i < g->count; i++) g->guards[i] = h->guards[p->any.guards[i]];
    return &g->guard;
}
