#include "gateway/invocation/router.h"
#include "gateway/base/arena.h"
#include "gateway/base/http_text.h"
#include "gateway/base/map.h"
#include "gateway/invocation/invocation.h"
#include <assert.h>
#include <stdlib.h>

#define ROUTER_MAX_ALLOWED 24 /* method names told in one Allow */

struct router_entry {
    struct slice method;
    const struct route *route;
};

/* A position in a pattern. */
struct router_node {
    struct router_node *older;     /* of all nodes of the router */
    struct map *statics;           /* decoded segment -> node; NULL when there are none */
    struct router_node *parameter; /* any one segment that is not empty */
    struct router_node *rest;      /* the catch-all, always a leaf */
    struct router_entry *entries;  /* the routes that end here, one per method */
    size_t entry_count;
};

struct router {
    struct arena arena;
    struct router_node *nodes; /* newest first */
    struct router_node *root;
};

enum segment_kind { SEGMENT_STATIC, SEGMENT_PARAMETER, SEGMENT_REST };

struct pattern_segment {
    enum segment_kind kind;
    struct slice text; /* decoded, or the parameter's name */
};
struct pattern {
    struct slice text;
    size_t segment_count;
    size_t parameter_count;
    struct pattern_segment segments[URL_MAX_SEGMENTS];
};

static struct router_node *router_node_new(struct router *r) {
    struct router_node *node = arena_zalloc(&r->arena, sizeof *node);
    node->older = r->nodes;
    r->nodes = node;
    return node;
}

struct router *router_new(void) {
    struct router *r = xcalloc(1, sizeof *r);
    arena_init(&r->arena, 4096);
    r->root = router_node_new(r);
    return r;
}

void router_free(struct router *r) {
    if (!r) return;
    for (struct router_node *node = r->nodes; node; node = node->older) {
        map_free(node->statics);
        free(node->entries);
    }
    arena_free(&r->arena);
    free(r);
}

/* --- patterns --- */

static bool parameter_name_is_valid(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool follower = (c >= '0' && c <= '9') || c == '-';
        if (!letter && (i == 0 || !follower)) return false;
    }
    return name.n > 0;
}

static bool pattern_names(const struct pattern *p, struct slice name) {
    for (size_t i = 0; i < p->segment_count; i++)
        if (p->segments[i].kind != SEGMENT_STATIC && slice_equal(p->segments[i].text, name)) return true;
    return false;
}

/* `inner` is what stands between the braces. */
static int pattern_add_parameter(struct pattern *p, struct slice inner, struct error *e) {
    bool rest = inner.n && inner.p[inner.n - 1] == '+';
    struct slice name = slice_make(inner.p, inner.n - rest);
    if (!parameter_name_is_valid(name))
        return error_set(e, ERROR_BLUEPRINT,
                         "\"{" SLICE_FMT "}\" in \"" SLICE_FMT
                         "\" is not a parameter: its name takes letters, digits, '_' and '-', a letter first",
                         SLICE_ARG(inner), SLICE_ARG(p->text));
    if (pattern_names(p, name))
        return error_set(e, ERROR_BLUEPRINT, "the parameter \"" SLICE_FMT "\" stands twice in \"" SLICE_FMT "\"",
                         SLICE_ARG(name), SLICE_ARG(p->text));
    if (p->parameter_count == INVOCATION_MAX_PARAMETERS)
        return error_set(e, ERROR_LIMIT, "\"" SLICE_FMT "\" has more than %d parameters", SLICE_ARG(p->text),
                         INVOCATION_MAX_PARAMETERS);
    p->segments[p->segment_count++] = (struct pattern_segment){rest ? SEGMENT_REST : SEGMENT_PARAMETER, name};
    p->parameter_count++;
    return 0;
}

static bool is_dots(struct slice s) {
    return slice_equal(s, SLICE(".")) || slice_equal(s, SLICE(".."));
}

static bool has_any(struct slice s, const char *bytes) {
    for (; *bytes; bytes++)
        if (slice_find(s, *bytes) >= 0) return true;
    return false;
}

static int pattern_add_static(struct pattern *p, struct slice raw, struct arena *a, struct error *e) {
    struct slice text = url_decode(a, raw, URL_PLUS_LITERAL);
    if (has_any(raw, "{}"))
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" in \"" SLICE_FMT "\": a parameter is a whole segment",
                         SLICE_ARG(raw), SLICE_ARG(p->text));
    if (has_any(raw, "?#"))
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\": a path ends before '?' and '#'", SLICE_ARG(p->text));
    if (is_dots(text) || slice_find(text, '\0') >= 0)
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" can never match: such requests are refused",
                         SLICE_ARG(p->text));
    p->segments[p->segment_count++] = (struct pattern_segment){SEGMENT_STATIC, text};
    return 0;
}

static int pattern_add_segment(struct pattern *p, struct slice raw, struct arena *a, struct error *e) {
    bool braces = raw.n >= 2 && raw.p[0] == '{' && raw.p[raw.n - 1] == '}';
    if (p->segment_count == URL_MAX_SEGMENTS)
        return error_set(e, ERROR_LIMIT, "\"" SLICE_FMT "\" has more than %d segments", SLICE_ARG(p->text),
                         URL_MAX_SEGMENTS);
    if (p->segment_count && p->segments[p->segment_count - 1].kind == SEGMENT_REST)
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\": a {name+} parameter takes the rest, so it is the last",
                         SLICE_ARG(p->text));
    return braces ? pattern_add_parameter(p, slice_make(raw.p + 1, raw.n - 2), e) : pattern_add_static(p, raw, a, e);
}

static int pattern_parse(struct pattern *p, struct slice text, struct arena *a, struct error *e) {
    p->text = text;
    p->segment_count = 0;
    p->parameter_count = 0;
    if (text.n == 0 || text.p[0] != '/')
        return error_set(e, ERROR_BLUEPRINT, "the path \"" SLICE_FMT "\" does not start with '/'", SLICE_ARG(text));
    struct slice rest = slice_make(text.p + 1, text.n - 1);
    struct slice raw;
    while (slice_next(&rest, '/', &raw)) {
        if (raw.n == 0 && !slice_is_none(rest))
            return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" has an empty segment", SLICE_ARG(text));
        int result = pattern_add_segment(p, raw, a, e);
        if (result < 0) return result;
    }
    return 0;
}

/* --- building --- */

static struct router_node *node_static_child(struct router *r, struct router_node *node, struct slice text) {
    if (!node->statics) node->statics = map_new();
    struct router_node *child = map_get(node->statics, text);
    if (child) return child;
    child = router_node_new(r);
    map_put(node->statics, text, child);
    return child;
}

static struct router_node *node_child(struct router *r, struct router_node *node, const struct pattern_segment *s) {
    if (s->kind == SEGMENT_STATIC) return node_static_child(r, node, s->text);
    struct router_node **child = s->kind == SEGMENT_REST ? &node->rest : &node->parameter;
    if (!*child) *child = router_node_new(r);
    return *child;
}

static const struct route *node_entry(const struct router_node *node, struct slice method) {
    for (size_t i = 0; i < node->entry_count; i++)
        if (slice_equal(node->entries[i].method, method)) return node->entries[i].route;
    return NULL;
}

static int node_add_entry(struct router *r, struct router_node *node, struct slice method, struct route *route,
                          struct error *e) {
    const struct route *other = node_entry(node, method);
    if (other)
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" matches the same requests as \"" SLICE_FMT "\"",
                         SLICE_ARG(route->key), SLICE_ARG(other->key));
    node->entries = xrealloc(node->entries, (node->entry_count + 1) * sizeof *node->entries);
    node->entries[node->entry_count++] = (struct router_entry){arena_copy(&r->arena, method), route};
    return 0;
}

static void route_name_parameters(struct route *route, const struct pattern *p, struct arena *a) {
    route->parameter_names = arena_alloc(a, p->parameter_count * sizeof *route->parameter_names);
    route->parameter_count = 0;
    for (size_t i = 0; i < p->segment_count; i++)
        if (p->segments[i].kind != SEGMENT_STATIC)
            route->parameter_names[route->parameter_count++] = arena_copy(a, p->segments[i].text);
}

int router_add(struct router *r, struct slice method, struct slice pattern, struct route *route, struct error *e) {
    struct pattern p;
    if (!http_is_token(method))
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" is not a method", SLICE_ARG(method));
    int result = pattern_parse(&p, pattern, &r->arena, e);
    if (result < 0) return result;
    struct router_node *node = r->root;
    for (size_t i = 0; i < p.segment_count; i++) node = node_child(r, node, &p.segments[i]);
    result = node_add_entry(r, node, method, route, e);
    if (result < 0) return result;
    route_name_parameters(route, &p, &r->arena);
    return 0;
}

/* --- matching --- */

struct search {
    struct slice method;
    const struct url *url;
    struct arena *arena;
    struct slice *values;
    struct slice allowed[ROUTER_MAX_ALLOWED]; /* methods of the routes that match the path only */
    size_t allowed_count;
};

static void search_allow(struct search *s, struct slice method) {
    for (size_t i = 0; i < s->allowed_count; i++)
        if (slice_equal(s->allowed[i], method)) return;
    if (s->allowed_count < ROUTER_MAX_ALLOWED) s->allowed[s->allowed_count++] = method;
}

static void search_allow_node(struct search *s, const struct router_node *node) {
    for (size_t i = 0; i < node->entry_count; i++) {
        search_allow(s, node->entries[i].method);
        if (slice_equal(node->entries[i].method, SLICE("GET"))) search_allow(s, SLICE("HEAD"));
    }
}

/* The path has been used up at this node: does it serve the method? */
static const struct route *search_end(struct search *s, const struct router_node *node) {
    const struct route *route = node_entry(node, s->method);
    if (!route && slice_equal(s->method, SLICE("HEAD"))) route = node_entry(node, SLICE("GET"));
    if (!route) route = node_entry(node, SLICE("ANY"));
    if (!route) search_allow_node(s, node);
    return route;
}

/* The segments from `from` on, joined by '/'. */
static struct slice search_join(struct search *s, size_t from) {
    size_t last = s->url->segment_count - 1;
    size_t size = last - from;
    if (from == last) return s->url->segments[last];
    for (size_t i = from; i <= last; i++) size += s->url->segments[i].n;
    char *text = arena_alloc(s->arena, size);
    char *at = text;
    for (size_t i = from; i <= last; i++) {
        if (i > from) *at++ = '/';
        if (s->url->segments[i].n) memcpy(at, s->url->segments[i].p, s->url->segments[i].n);
        at += s->url->segments[i].n;
    }
    return slice_make(text, size);
}

static const struct route *search_rest(struct search *s, const struct router_node *node, size_t depth, size_t value) {
    bool empty = depth + 1 == s->url->segment_count && s->url->segments[depth].n == 0;
    const struct route *route = node->rest && !empty ? search_end(s, node->rest) : NULL;
    if (route) s->values[value] = search_join(s, depth);
    return route;
}

/* Most specific first. As deep as the path is long, at most URL_MAX_SEGMENTS. A value is set before its branch is
 * searched, so what a failed branch left behind is overwritten. */
static const struct route *search_node(struct search *s, const struct router_node *node, size_t depth, size_t value) {
    if (depth == s->url->segment_count) return search_end(s, node);
    struct slice segment = s->url->segments[depth];
    const struct router_node *child = node->statics ? map_get(node->statics, segment) : NULL;
    const struct route *route = child ? search_node(s, child, depth + 1, value) : NULL;
    if (route) return route;
    if (node->parameter && segment.n) {
        s->values[value] = segment;
        route = search_node(s, node->parameter, depth + 1, value + 1);
    }
    return route ? route : search_rest(s, node, depth, value);
}

static int method_compare(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* A method that does not fit is left out whole. */
static void search_write_allow(struct search *s, char *text, size_t size) {
    size_t n = 0;
    qsort(s->allowed, s->allowed_count, sizeof *s->allowed, method_compare);
    for (size_t i = 0; i < s->allowed_count; i++) {
        struct slice method = s->allowed[i];
        size_t comma = n ? 2 : 0;
        if (n + comma + method.n >= size) continue;
        memcpy(text + n, ", ", comma);
        memcpy(text + n + comma, method.p, method.n);
        n += comma + method.n;
    }
    text[n] = '\0';
}

enum router_result router_match(const struct router *r, struct slice method, const struct url *url, struct arena *a,
                                struct router_match *match) {
    struct search s;
    s.method = method;
    s.url = url;
    s.arena = a;
    s.values = match->values;
    s.allowed_count = 0;
    assert(url->segment_count > 0);
    match->route = search_node(&s, r->root, 0, 0);
    if (match->route) return ROUTER_FOUND;
    if (s.allowed_count == 0) return ROUTER_NO_PATH;
    search_write_allow(&s, match->allow, sizeof match->allow);
    return ROUTER_NO_METHOD;
}
