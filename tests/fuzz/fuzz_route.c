/* Lines of input: "METHOD /pattern" adds a route, "?METHOD /target" asks. The router must agree with the naive matcher.
 */
#include "gateway/base/memory.h"
#include "gateway/invocation/invocation.h"
#include "gateway/invocation/router.h"
#include "tests/support/naive_router.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ROUTES 64

struct table {
    struct router *router;
    struct arena arena;
    struct route routes[MAX_ROUTES];
    struct naive_route naive[MAX_ROUTES];
    size_t count;
};

static void expect(bool truth) {
    if (!truth) abort();
}

/* The naive matcher takes static text as it stands, so routes with escapes are left to the real one alone: not
 * compared. */
static void table_add(struct table *t, struct slice method, struct slice pattern) {
    struct error e;
    if (t->count == MAX_ROUTES || slice_find(pattern, '%') >= 0) return;
    t->routes[t->count] = (struct route){.key = pattern};
    if (router_add(t->router, method, pattern, &t->routes[t->count], &e) < 0) return;
    t->naive[t->count++] = (struct naive_route){method, pattern};
}

static void expect_values(const struct route *route, const struct slice *values) {
    for (size_t i = 0; i < route->parameter_count; i++) expect(values[i].n > 0 && route->parameter_names[i].n > 0);
}

static void table_ask(struct table *t, struct slice method, struct slice target) {
    struct url url;
    struct error e;
    struct slice values[INVOCATION_MAX_PARAMETERS] = {{NULL, 0}};
    struct router_match match = {.values = values};
    if (url_parse(&url, &t->arena, target, &e) < 0) return;
    enum router_result result = router_match(t->router, method, &url, &t->arena, &match);
    struct naive_match m = naive_match_routes(t->naive, t->count, method, &url);
    expect(match.route == (m.route ? &t->routes[m.route - t->naive] : NULL));
    if (result == ROUTER_FOUND) expect_values(match.route, values);
    if (result != ROUTER_FOUND) expect(result == (m.path_known ? ROUTER_NO_METHOD : ROUTER_NO_PATH));
    if (result == ROUTER_NO_METHOD) expect(strlen(match.allow) < sizeof match.allow);
}

static void table_take_line(struct table *t, struct slice line) {
    bool question = line.n && line.p[0] == '?';
    struct slice rest = question ? slice_make(line.p + 1, line.n - 1) : line;
    struct slice method;
    if (!slice_next(&rest, ' ', &method) || slice_is_none(rest)) return;
    if (question)
        table_ask(t, method, rest);
    else
        table_add(t, method, rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct table *t = xcalloc(1, sizeof *t);
    struct slice rest = {(const char *)data, size}, line;
    if (size > 4096) rest.n = 4096;
    t->router = router_new();
    arena_init(&t->arena, 4096);
    while (slice_next(&rest, '\n', &line)) table_take_line(t, line);
    router_free(t->router);
    arena_free(&t->arena);
    free(t);
    return 0;
}
