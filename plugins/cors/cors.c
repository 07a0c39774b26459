#include "plugins/cors/cors.h"
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_policy.h"
#include <assert.h>
#include <stdlib.h>

#define REQUEST_PRIVATE_NETWORK SLICE("Access-Control-Request-Private-Network")

struct cors {
    const struct cors_settings *settings;
    struct cors_origins **origins; /* by policy number */
};

/* Refusals before routing have no route: the application speaks. */
static const struct cors_policy *policy_of(const struct cors *c, const struct route *route) {
    if (!route || !route->trigger) return c->settings->application;
    assert(route->trigger->number < c->settings->trigger_count);
    return c->settings->triggers[route->trigger->number];
}

/* Given twice, it is nobody's. */
static struct slice origin_of(const struct request *r) {
    struct slice origin = fields_get(&r->headers, SLICE("Origin"));
    return !slice_is_none(origin) && fields_count(&r->headers, SLICE("Origin")) == 1 ? origin : SLICE_NONE;
}

static void answer_add(struct invocation *inv, struct slice name, struct slice value) {
    fields_add(&inv->outcome.headers, &inv->arena, name, value);
}

static void answer_add_origin(struct invocation *inv, const struct cors_policy *p, enum cors_verdict verdict,
                              struct slice origin) {
    answer_add(inv, SLICE("Access-Control-Allow-Origin"), verdict == CORS_ANYONE ? SLICE("*") : origin);
    if (p->credentials) answer_add(inv, SLICE("Access-Control-Allow-Credentials"), SLICE("true"));
}

/* --- preflight --- */

/* Methods are compared with case (RFC 9110 9.1). */
static bool method_is_allowed(const struct cors_policy *p, struct slice method) {
    for (size_t i = 0; i < p->methods.count; i++)
        if (slice_equal(p->methods.items[i], method)) return true;
    return p->any_method && http_is_token(method);
}

/* `*` does not cover Authorization (Fetch Standard, "CORS non-wildcard request-header name"). */
static bool header_is_allowed(const struct cors_policy *p, struct slice name) {
    for (size_t i = 0; i < p->headers.count; i++)
        if (slice_equal_nocase(p->headers.items[i], name)) return true;
    return p->any_header && http_is_token(name) && !slice_equal_nocase(name, SLICE("authorization"));
}

/* Empty elements of a list say nothing (RFC 9110 5.6.1.2). */
static bool headers_are_allowed(const struct cors_policy *p, struct slice list) {
    struct slice element;
    while (slice_next(&list, ',', &element)) {
        element = slice_trim(element);
        if (element.n && !header_is_allowed(p, element)) return false;
    }
    return true;
}

static bool request_headers_are_allowed(const struct cors_policy *p, const struct fields *f) {
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_equal_nocase(f->items[i].name, SLICE("Access-Control-Request-Headers"))) continue;
        if (!headers_are_allowed(p, f->items[i].value)) return false;
    }
    return true;
}

/* Grants what was asked for, in the words in which it was asked. */
static void grant(struct invocation *inv, const struct cors_policy *p) {
    const struct fields *f = &inv->request.headers;
    answer_add(inv, SLICE("Access-Control-Allow-Methods"), fields_get(f, SLICE("Access-Control-Request-Method")));
    for (size_t i = 0; i < f->count; i++) {
        bool names = slice_equal_nocase(f->items[i].name, SLICE("Access-Control-Request-Headers"));
        if (names && f->items[i].value.n) answer_add(inv, SLICE("Access-Control-Allow-Headers"), f->items[i].value);
    }
    if (!slice_is_none(p->max_age)) answer_add(inv, SLICE("Access-Control-Max-Age"), p->max_age);
    if (p->private_network && slice_equal(fields_get(f, REQUEST_PRIVATE_NETWORK), SLICE("true")))
        answer_add(inv, SLICE("Access-Control-Allow-Private-Network"), SLICE("true"));
}

static struct slice preflight_vary(const struct cors_policy *p) {
    if (p->private_network)
        return SLICE("Origin, Access-Control-Request-Method, Access-Control-Request-Headers, "
                     "Access-Control-Request-Private-Network");
    return SLICE("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
}

static bool cors_preflight(void *state, struct invocation *inv, const struct route *route) {
    const struct cors *c = state;
    const struct cors_policy *p = policy_of(c, route);
    const struct fields *f = &inv->request.headers;
    if (!p) return false;
    struct slice origin = origin_of(&inv->request);
    enum cors_verdict verdict = cors_origins_match(c->origins[p->number], origin);
    inv->outcome = (struct outcome){.status = 204};
    answer_add(inv, SLICE("Vary"), preflight_vary(p));
    if (verdict == CORS_REFUSED || !method_is_allowed(p, fields_get(f, SLICE("Access-Control-Request-Method"))) ||
        !request_headers_are_allowed(p, f))
        return true;
    answer_add_origin(inv, p, verdict, origin);
    grant(inv, p);
    return true;
}

/* --- every other answer --- */

static void cors_post_handle(void *state, struct invocation *inv) {
    const struct cors *c = state;
    const struct cors_policy *p = policy_of(c, inv->route);
    if (!p || inv->preflight) return;
    struct slice origin = origin_of(&inv->request);
    enum cors_verdict verdict = cors_origins_match(c->origins[p->number], origin);
    http_fields_remove_prefixed(&inv->outcome.headers, SLICE("Access-Control-"));
    if (verdict != CORS_ANYONE) http_vary_add(&inv->outcome.headers, &inv->arena, SLICE("Origin"));
    if (verdict == CORS_REFUSED) return;
    answer_add_origin(inv, p, verdict, origin);
    if (!slice_is_none(p->expose)) answer_add(inv, SLICE("Access-Control-Expose-Headers"), p->expose);
}

/* --- life --- */

static struct cors_origins *open_origins(const struct cors_policy *p) {
    struct cors_origins *o = cors_origins_new();
    for (size_t i = 0; i < p->origins.count; i++) cors_origins_add(o, p->origins.items[i]);
    return o;
}

static int cors_open(const struct plugin_host *host, const void *settings, void **state, struct error *e) {
    (void)host;
    (void)e;
    static const struct cors_settings nothing = {.policy_count = 0};
    struct cors *c = xcalloc(1, sizeof *c);
    c->settings = settings ? settings : &nothing;
    c->origins = xcalloc(c->settings->policy_count + 1, sizeof(struct cors_origins *));
    for (size_t i = 0; i < c->settings->policy_count; i++) c->origins[i] = open_origins(&c->settings->policies[i]);
    *state = c;
    return 0;
}

static void cors_close(void *state) {
    struct cors *c = state;
    for (size_t i = 0; i < c->settings->policy_count; i++) cors_origins_free(c->origins[i]);
    free(c->origins);
    free(c);
}

const struct plugin cors_plugin = {
    .name = "cors",
    .section = &cors_section,
    .open = cors_open,
    .post_handle = cors_post_handle,
    .close = cors_close,
    .preflight = cors_preflight,
};
