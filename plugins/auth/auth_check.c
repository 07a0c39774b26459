#include "plugins/auth/auth_check.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/model.h"

/* --- lists of texts --- */

const struct node *next_item(const struct bound_items *items, size_t *cursor) {
    struct node *const *nodes = items->items;
    while (*cursor < items->count)
        if (nodes[(*cursor)++]) return nodes[*cursor - 1];
    return NULL;
}

struct texts texts_of(struct auth_checking *c, const struct bound_items *items) {
    struct slice *texts = arena_alloc(c->arena, (items->count + 1) * sizeof *texts);
    const struct node *n;
    size_t count = 0;
    for (size_t i = 0; (n = next_item(items, &i));) texts[count++] = n->text;
    return (struct texts){texts, count};
}

static const struct node *find_item(const struct bound_items *items, struct slice text) {
    const struct node *n;
    for (size_t i = 0; (n = next_item(items, &i));)
        if (slice_equal(n->text, text)) return n;
    return NULL;
}

/* --- names of guards --- */

static bool guard_find(const struct auth_checking *c, struct slice name, size_t *number) {
    for (size_t i = 0; i < c->document->guards.count; i++) {
        if (!slice_equal(c->document->guards.keys[i]->text, name)) continue;
        *number = i;
        return true;
    }
    return false;
}

static void report_unknown_guard(struct auth_checking *c, const char *key, const struct node *n) {
    const struct bound_items *guards = &c->document->guards;
    const char **names = arena_alloc(c->arena, (guards->count + 1) * sizeof(const char *));
    for (size_t i = 0; i < guards->count; i++) names[i] = guards->keys[i]->text.p;
    const char *nearest = text_nearest(n->text, names, guards->count);
    if (nearest)
        problems_add(c->problems, n->at, "%s: no guard is named \"" SLICE_FMT "\"; did you mean \"%s\"?", key,
                     SLICE_ARG(n->text), nearest);
    else
        problems_add(c->problems, n->at, "%s: no guard is named \"" SLICE_FMT "\"; define it under `auth: guards:`",
                     key, SLICE_ARG(n->text));
}

struct numbers {
    size_t *items;
    size_t count;
};

static bool numbers_have(const struct numbers *list, size_t number) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == number) return true;
    return false;
}

static struct numbers guards_named(struct auth_checking *c, const char *key, const struct bound_items *items) {
    struct numbers list = {.items = arena_alloc(c->arena, (items->count + 1) * sizeof(size_t))};
    const struct node *n;
    size_t number;
    for (size_t i = 0; (n = next_item(items, &i));) {
        if (!guard_find(c, n->text, &number))
            report_unknown_guard(c, key, n);
        else if (numbers_have(&list, number))
            problems_add(c->problems, n->at, "%s: \"" SLICE_FMT "\" stands here twice", key, SLICE_ARG(n->text));
        else
            list.items[list.count++] = number;
    }
    return list;
}

/* --- guards made of guards --- */

static void check_any(struct auth_checking *c, const struct any_document *d, struct guard_policy *p) {
    const struct guard_document *guards = c->document->guards.items;
    struct numbers list = guards_named(c, "of", &d->of);
    const struct node *n;
    size_t number;
    for (size_t i = 0; (n = next_item(&d->of, &i));)
        if (guard_find(c, n->text, &number) && guards[number].type == GUARD_ANY)
            problems_add(c->problems, n->at, "of: \"" SLICE_FMT "\" is an any guard itself; name its guards instead",
                         SLICE_ARG(n->text));
    p->any = (struct any_policy){list.items, list.count};
}

static void check_guard(struct auth_checking *c, size_t number, struct guard_policy *p) {
    const struct guard_document *d = (const struct guard_document *)c->document->guards.items + number;
    const struct node *key = c->document->guards.keys[number];
    *p = (struct guard_policy){.name = key->text};
    if (slice_equal(key->text, GUARD_NONE))
        problems_add(c->problems, key->at, "\"none\" is no name for a guard: `guard: none` means an open route");
    if (d->type == VALUE_UNSET || !d->origin) return;
    p->type = (enum guard_type)d->type;
    switch (p->type) {
    case GUARD_JWT: check_jwt(c, &d->jwt, &p->jwt); break;
    case GUARD_API_KEY: check_api_key(c, &d->api_key, &p->api_key); break;
    case GUARD_BASIC: check_basic(c, &d->basic, &p->basic); break;
    case GUARD_HMAC: check_hmac(c, &d->hmac, &p->hmac); break;
    case GUARD_HANDLER: check_authorizer(c, &d->authorizer, &p->authorizer); break;
    case GUARD_ANY: check_any(c, &d->any, p); break;
    }
}

/* --- triggers --- */

struct jwt_rules require_of(struct auth_checking *c, const struct require_document *d) {
    struct texts scopes = texts_of(c, &d->scope);
    struct jwt_claim_rule *claims = arena_alloc(c->arena, (d->claims.count + 1) * sizeof *claims);
    struct node *const *values = d->claims.items;
    size_t count = 0;
    for (size_t i = 0; i < d->claims.count; i++)
        if (values[i]) claims[count++] = (struct jwt_claim_rule){d->claims.keys[i]->text, values[i]->text};
    return (struct jwt_rules){
        .scopes = scopes.items, .scope_count = scopes.count, .claims = claims, .claim_count = count};
}

/* Whether somebody who passed it could have scopes. */
static bool guard_knows_scopes(const struct auth_checking *c, size_t number) {
    const struct guard_document *guards = c->document->guards.items;
    const struct bound_items *of = &guards[number].any.of;
    if (guards[number].type != GUARD_ANY)
        return guards[number].type == GUARD_JWT || guards[number].type == GUARD_HANDLER;
    const struct node *n;
    for (size_t i = 0; (n = next_item(of, &i));)
        if (guard_find(c, n->text, &number) &&
            (guards[number].type == GUARD_JWT || guards[number].type == GUARD_HANDLER))
            return true;
    return false;
}

static bool route_knows_scopes(const struct auth_checking *c, const struct route_policy *r) {
    for (size_t i = 0; i < r->guard_count; i++)
        if (guard_knows_scopes(c, r->guards[i])) return true;
    return false;
}

static void check_require(struct auth_checking *c, const struct auth_trigger *t, const struct route_policy *r) {
    if (!t->require.origin) return;
    if (r->guard_count == 0)
        problems_add(c->problems, t->require.origin->at, "require: this route has no guard that would know the client");
    else if (r->require.scope_count && !route_knows_scopes(c, r))
        problems_add(c->problems, t->require.origin->at,
                     "require: none of this route's guards knows scopes; only jwt and handler guards do");
}

/* What the trigger says, or else the default. A name that is not known leaves a list without it, and a problem. */
static struct numbers guards_of_trigger(struct auth_checking *c, const struct auth_trigger *t) {
    const struct node *none = find_item(&t->guard, GUARD_NONE);
    if (!t->guard.node) return guards_named(c, "default", &c->document->preset);
    if (!none) return guards_named(c, "guard", &t->guard);
    if (t->guard.count > 1) problems_add(c->problems, none->at, "guard: \"none\" stands alone");
    return (struct numbers){0};
}

static struct route_policy check_trigger(struct auth_checking *c, const struct auth_trigger *t) {
    struct numbers guards = guards_of_trigger(c, t);
    struct route_policy r = {guards.items, guards.count, require_of(c, &t->require)};
    /* After a mistake in the list nobody knows what it would have been. */
    bool known = t->guard.node ? guards.count == t->guard.count || find_item(&t->guard, GUARD_NONE) : true;
    if (known) check_require(c, t, &r);
    return r;
}

/* A signature is one of a body, and a message that proves who its sender is has nothing else to sign. */
static bool guard_signs_body(const struct guard_policy *guards, size_t number) {
    const struct guard_policy *p = &guards[number];
    if (p->type != GUARD_ANY) return p->type == GUARD_HMAC;
    for (size_t i = 0; i < p->any.count; i++)
        if (guard_signs_body(guards, p->any.guards[i])) return true;
    return false;
}

static void check_later(struct auth_checking *c, const struct websocket_config *w, const struct guard_policy *guards,
                        const struct route_policy *routes) {
    if (!w->auth_by_message || !w->door.http_triggers) return;
    const struct route_policy *r = &routes[w->door.http_triggers->number];
    const struct position at = {w->line, w->column};
    if (r->guard_count == 0)
        problems_add(c->problems, at, "auth: message needs a guard that looks at the message; give %s a `guard`",
                     w->path);
    for (size_t i = 0; i < r->guard_count; i++)
        if (guard_signs_body(guards, r->guards[i]))
            problems_add(c->problems, at,
                         "auth: message cannot be used with an hmac guard, which looks at signatures of bodies");
}

static void auth_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                       void **settings) {
    const struct auth_document *d = v->application;
    struct auth_checking c = {b, d, p, a, v->depth};
    struct auth_settings *s = arena_zalloc(a, sizeof *s);
    struct guard_policy *guards = arena_zalloc(a, (d->guards.count + 1) * sizeof *guards);
    struct route_policy *routes = arena_zalloc(a, (v->trigger_count + 1) * sizeof *routes);
    guards_named(&c, "default", &d->preset); /* also when every trigger names its own */
    for (size_t i = 0; i < d->guards.count; i++) check_guard(&c, i, &guards[i]);
    for (size_t i = 0; i < v->trigger_count; i++)
        if (v->triggers[i]) routes[i] = check_trigger(&c, v->triggers[i]);
    for (size_t i = 0; i < b->websocket_count; i++) check_later(&c, &b->websockets[i], guards, routes);
    *s = (struct auth_settings){slice_of(b->name), guards, d->guards.count, routes, v->trigger_count};
    *settings = s;
}

const struct section auth_section = {
    .key = "auth",
    .schema = &auth_schema,
    .trigger = &auth_trigger_schema,
    .example = "{default: partner, guards: {partner: {type: apiKey, keys: {acme: \"${env.ACME_KEY}\"}}}}",
    .check = auth_check,
};
