/* The routing rules of blueprint.md as tables, and the trie against a naive matcher. */
#include "gateway/base/memory.h"
#include "gateway/invocation/invocation.h"
#include "gateway/invocation/router.h"
#include "tests/support/naive_router.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct house {
    struct router *router;
    struct arena arena;
    struct route routes[64];
    size_t count;
    struct slice values[INVOCATION_MAX_PARAMETERS];
    struct router_match match;
};

static void house_open(struct house *h) {
    h->router = router_new();
    h->count = 0;
    arena_init(&h->arena, 1024);
}

static void house_close(struct house *h) {
    router_free(h->router);
    arena_free(&h->arena);
}

/* `key` is "GET /path". */
static int house_add(struct house *h, const char *key, struct error *e) {
    struct slice pattern = slice_of(key), method;
    assert_true(slice_next(&pattern, ' ', &method));
    struct route *route = &h->routes[h->count];
    *route = (struct route){.key = slice_of(key)};
    int result = router_add(h->router, method, pattern, route, e);
    if (result == 0) h->count++;
    return result;
}

static enum router_result house_match(struct house *h, const char *method, const char *target) {
    struct url url;
    struct error e;
    if (url_parse(&url, &h->arena, slice_of(target), &e) < 0) fail_msg("%s: %s", target, e.message);
    memset(h->values, 0, sizeof h->values);
    h->match = (struct router_match){.values = h->values};
    return router_match(h->router, slice_of(method), &url, &h->arena, &h->match);
}

struct expectation {
    const char *method;
    const char *target;
    const char *route;  /* NULL: no path; starting with "Allow: ": no method */
    const char *values; /* "name=value" joined by "&" */
};

static void format_values(const struct house *h, char *text, size_t size) {
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < h->match.route->parameter_count; i++)
        n += (size_t)snprintf(text + n, size - n, "%s" SLICE_FMT "=" SLICE_FMT, i ? "&" : "",
                              SLICE_ARG(h->match.route->parameter_names[i]), SLICE_ARG(h->values[i]));
}

static void describe(struct house *h, const struct expectation *x, char *text, size_t size) {
    switch (house_match(h, x->method, x->target)) {
    case ROUTER_NO_PATH: snprintf(text, size, "none"); return;
    case ROUTER_NO_METHOD: snprintf(text, size, "Allow: %s", h->match.allow); return;
    case ROUTER_FOUND: break;
    }
    char values[200];
    format_values(h, values, sizeof values);
    snprintf(text, size, SLICE_FMT " %s", SLICE_ARG(h->match.route->key), values);
}

static void check(struct house *h, const struct expectation *x) {
    char got[400], expected[400];
    describe(h, x, got, sizeof got);
    bool allow = x->route && strncmp(x->route, "Allow", 5) == 0;
    if (!x->route || allow)
        snprintf(expected, sizeof expected, "%s", x->route ? x->route : "none");
    else
        snprintf(expected, sizeof expected, "%s %s", x->route, x->values ? x->values : "");
    if (strcmp(got, expected) != 0)
        fail_msg("%s %s: got \"%s\" instead of \"%s\"", x->method, x->target, got, expected);
}

static void check_table(const char *const *keys, size_t key_count, const struct expectation *rows, size_t row_count) {
    struct house h;
    struct error e;
    house_open(&h);
    for (size_t i = 0; i < key_count; i++)
        if (house_add(&h, keys[i], &e) != 0) fail_msg("%s: %s", keys[i], e.message);
    for (size_t i = 0; i < row_count; i++) check(&h, &rows[i]);
    house_close(&h);
}

static void precedence(void **state) {
    (void)state;
    const char *const keys[] = {
        "GET /",
        "GET /items",
        "GET /items/",
        "GET /items/{id}",
        "POST /items/new",
        "PUT /items/{id}",
        "ANY /items/{id}",
        "GET /a/{x}/c",
        "GET /a/b/{y}",
        "DELETE /a/b/c",
        "ANY /files/{p+}",
        "GET /files/readme",
        "GET /files/{n}/raw",
        "PURGE /cache/{key}/{sub+}",
    };
    const struct expectation rows[] = {
        {"GET", "/", "GET /", NULL},
        {"GET", "/items", "GET /items", NULL},
        {"GET", "/items/", "GET /items/", NULL},
        {"GET", "/items//", NULL, NULL},
        {"GET", "/items/7", "GET /items/{id}", "id=7"},
        {"HEAD", "/items/7", "GET /items/{id}", "id=7"},
        {"PUT", "/items/7", "PUT /items/{id}", "id=7"},
        {"PATCH", "/items/7", "ANY /items/{id}", "id=7"},
        {"POST", "/items/new", "POST /items/new", NULL},
        {"GET", "/items/new", "GET /items/{id}", "id=new"},
        {"DELETE", "/items/new", "ANY /items/{id}", "id=new"},
        {"GET", "/a/b/c", "GET /a/b/{y}", "y=c"},
        {"GET", "/a/q/c", "GET /a/{x}/c", "x=q"},
        {"DELETE", "/a/b/c", "DELETE /a/b/c", NULL},
        {"GET", "/a/q/d", NULL, NULL},
        {"DELETE", "/a/q/c", "Allow: GET, HEAD", NULL},
        {"PUT", "/a/b/c", "Allow: DELETE, GET, HEAD", NULL},
        {"POST", "/items", "Allow: GET, HEAD", NULL},
        {"POST", "/items/", "Allow: GET, HEAD", NULL},
        {"GET", "/files/readme", "GET /files/readme", NULL},
        {"POST", "/files/readme", "ANY /files/{p+}", "p=readme"},
        {"GET", "/files/x/raw", "GET /files/{n}/raw", "n=x"},
        {"GET", "/files/x/cooked", "ANY /files/{p+}", "p=x/cooked"},
        {"GET", "/files/x/", "ANY /files/{p+}", "p=x/"},
        {"GET", "/files//x", "ANY /files/{p+}", "p=/x"},
        {"GET", "/files/", NULL, NULL},
        {"GET", "/files", NULL, NULL},
        {"PURGE", "/cache/k/a/b", "PURGE /cache/{key}/{sub+}", "key=k&sub=a/b"},
        {"GET", "/cache/k/a/b", "Allow: PURGE", NULL},
        {"get", "/items", "Allow: GET, HEAD", NULL},
    };
    check_table(keys, ARRAY_LEN(keys), rows, ARRAY_LEN(rows));
}

static void escapes_are_decoded_after_the_split(void **state) {
    (void)state;
    const char *const keys[] = {"GET /{a}", "GET /{a}/{b}", "GET /x/{rest+}", "GET /caf%C3%A9", "GET /two words"};
    const struct expectation rows[] = {
        {"GET", "/a%2Fb", "GET /{a}", "a=a/b"},
        {"GET", "/a%2fb/c", "GET /{a}/{b}", "a=a/b&b=c"},
        {"GET", "/x/a%20b/c%2Fd", "GET /x/{rest+}", "rest=a b/c/d"},
        {"GET", "/%78/1/2", "GET /x/{rest+}", "rest=1/2"},
        {"GET", "/caf%c3%a9", "GET /caf%C3%A9", NULL},
        {"GET", "/two%20words", "GET /two words", NULL},
        {"GET", "/%7Ba%7D", "GET /{a}", "a={a}"},
    };
    check_table(keys, ARRAY_LEN(keys), rows, ARRAY_LEN(rows));
}

/* A failed branch has written values; they must not show. */
static void values_of_failed_branches_are_overwritten(void **state) {
    (void)state;
    const char *const keys[] = {"POST /{a}/{b}/{c}/end", "GET /{x}/{rest+}", "GET /{p}/b/{q}"};
    const struct expectation rows[] = {
        {"GET", "/1/2/3/end", "GET /{x}/{rest+}", "x=1&rest=2/3/end"},
        {"GET", "/1/b/3", "GET /{p}/b/{q}", "p=1&q=3"},
        {"GET", "/1/b/3/end", "GET /{x}/{rest+}", "x=1&rest=b/3/end"},
    };
    check_table(keys, ARRAY_LEN(keys), rows, ARRAY_LEN(rows));
}

static void head_has_its_own_route_if_given(void **state) {
    (void)state;
    const char *const keys[] = {"GET /a", "HEAD /a", "ANY /a", "GET /b", "ANY /b", "ANY /c"};
    const struct expectation rows[] = {
        {"HEAD", "/a", "HEAD /a", NULL},
        {"HEAD", "/b", "GET /b", NULL},
        {"HEAD", "/c", "ANY /c", NULL},
    };
    check_table(keys, ARRAY_LEN(keys), rows, ARRAY_LEN(rows));
}

static void routes_of_equal_rank_conflict(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"GET /a", "GET /a"},
        {"GET /{x}", "GET /{y}"},
        {"ANY /a/{x+}", "ANY /a/{y+}"},
        {"GET /a%62", "GET /ab"},
        {"GET /{a}/b/{c}", "GET /{x}/b/{z}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct house h;
        struct error e;
        house_open(&h);
        assert_int_equal(house_add(&h, pairs[i][0], &e), 0);
        assert_int_equal(house_add(&h, pairs[i][1], &e), -ERROR_BLUEPRINT);
        assert_non_null(strstr(e.message, pairs[i][0]));
        assert_non_null(strstr(e.message, pairs[i][1]));
        house_close(&h);
    }
}

static void bad_patterns_are_refused(void **state) {
    (void)state;
    static const char *const keys[] = {
        "GET a",         "GET ",     "GET /a//b", "GET //",    "GET /{x+}/y", "GET /a{x}",
        "GET /{x}b",     "GET /{}",  "GET /{+}",  "GET /{1a}", "GET /{a b}",  "GET /{a}/{a}",
        "GET /{a}/{a+}", "GET /a?b", "GET /a#b",  "GET /..",   "GET /a/./b",  "GET /%2e%2E",
        "GET /a%00b",    "GET /{a",  "GET /a}",   "G@T /a",    " /a",         "GET /{a++}",
    };
    struct house h;
    house_open(&h);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct error e = {0};
        if (house_add(&h, keys[i], &e) >= 0) fail_msg("%s was accepted", keys[i]);
        assert_true(e.message[0]);
    }
    house_close(&h);
}

static void bounds_are_told(void **state) {
    (void)state;
    struct house h;
    struct error e;
    char key[1024];
    house_open(&h);
    size_t n = (size_t)snprintf(key, sizeof key, "GET ");
    for (int i = 0; i <= INVOCATION_MAX_PARAMETERS; i++) {
        if (i == INVOCATION_MAX_PARAMETERS) assert_int_equal(house_add(&h, key, &e), 0);
        n += (size_t)snprintf(key + n, sizeof key - n, "/{p%d}", i);
    }
    assert_int_equal(house_add(&h, key, &e), -ERROR_LIMIT);
    n = (size_t)snprintf(key, sizeof key, "PUT ");
    for (int i = 0; i <= URL_MAX_SEGMENTS; i++) n += (size_t)snprintf(key + n, sizeof key - n, "/s");
    assert_int_equal(house_add(&h, key, &e), -ERROR_LIMIT);
    house_close(&h);
}

static void allow_keeps_whole_names(void **state) {
    (void)state;
    struct house h;
    struct error e;
    static char keys[20][32];
    house_open(&h);
    for (int i = 0; i < 20; i++) {
        snprintf(keys[i], sizeof keys[i], "VERYLONGMETHOD%02d /a", i);
        assert_int_equal(house_add(&h, keys[i], &e), 0);
    }
    assert_int_equal(house_match(&h, "GET", "/a"), ROUTER_NO_METHOD);
    assert_string_equal(h.match.allow, "VERYLONGMETHOD00, VERYLONGMETHOD01, VERYLONGMETHOD02, VERYLONGMETHOD03, "
                                       "VERYLONGMETHOD04, VERYLONGMETHOD05, VERYLONGMETHOD06");
    house_close(&h);
}

/* --- against the naive matcher --- */

static const char *pick(unsigned *seed, const char *const *words, size_t count) {
    return words[(size_t)rand_r(seed) % count];
}

static void random_key(unsigned *seed, char *key, size_t size) {
    static const char *const methods[] = {"GET", "POST", "ANY", "HEAD"};
    static const char *const segments[] = {"a", "b", "c", "{%c}", "{%c}"};
    int count = 1 + rand_r(seed) % 4;
    size_t n = (size_t)snprintf(key, size, "%s ", pick(seed, methods, ARRAY_LEN(methods)));
    for (int i = 0; i < count; i++) {
        const char *segment = pick(seed, segments, ARRAY_LEN(segments));
        bool last = i == count - 1;
        key[n++] = '/';
        if (last && rand_r(seed) % 4 == 0) segment = rand_r(seed) % 2 ? "{%c+}" : "";
        if (segment[0] == '{')
            n += (size_t)snprintf(key + n, size - n, "{%c%s", 'p' + i, segment + 3);
        else
            n += (size_t)snprintf(key + n, size - n, "%s", segment);
    }
    key[n] = '\0';
}

static void random_target(unsigned *seed, char *target, size_t size) {
    static const char *const segments[] = {"a", "b", "c", "d", "%61", ""};
    int count = 1 + rand_r(seed) % 5;
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(target + n, size - n, "/%s", pick(seed, segments, ARRAY_LEN(segments)));
}

static void compare_with_naive(struct house *h, const struct naive_route *naive, unsigned *seed) {
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT"};
    char target[64];
    struct url url;
    struct error e;
    random_target(seed, target, sizeof target);
    const char *method = pick(seed, methods, ARRAY_LEN(methods));
    assert_int_equal(url_parse(&url, &h->arena, slice_of(target), &e), 0);
    struct naive_match expected = naive_match_routes(naive, h->count, slice_of(method), &url);
    enum router_result result = house_match(h, method, target);
    const struct route *route = expected.route ? &h->routes[expected.route - naive] : NULL;
    if (h->match.route != route)
        fail_msg("%s %s: \"" SLICE_FMT "\" instead of \"" SLICE_FMT "\"", method, target,
                 SLICE_ARG(h->match.route ? h->match.route->key : SLICE_NONE),
                 SLICE_ARG(route ? route->key : SLICE_NONE));
    if (!route) assert_int_equal(result, expected.path_known ? ROUTER_NO_METHOD : ROUTER_NO_PATH);
}

static void random_routes_match_as_the_naive_matcher_does(void **state) {
    (void)state;
    unsigned seed = 20;
    for (int round = 0; round < 300; round++) {
        struct house h;
        struct naive_route naive[64];
        static char keys[64][64];
        house_open(&h);
        for (int i = 0; i < 40; i++) {
            char *key = keys[h.count];
            random_key(&seed, key, sizeof keys[0]);
            if (house_add(&h, key, NULL) < 0) continue;
            struct slice pattern = slice_of(key), method;
            slice_next(&pattern, ' ', &method);
            naive[h.count - 1] = (struct naive_route){method, pattern};
        }
        assert_true(h.count > 10);
        for (int i = 0; i < 100; i++) compare_with_naive(&h, naive, &seed);
        house_close(&h);
    }
}

static void ten_thousand_routes_are_all_found(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    struct router *r = router_new();
    struct route *routes = xcalloc(COUNT, sizeof *routes);
    struct arena a;
    struct error e;
    struct slice values[INVOCATION_MAX_PARAMETERS];
    arena_init(&a, 4096);
    for (int i = 0; i < COUNT; i++) {
        struct slice pattern = arena_printf(&a, "/service%d/items/{id}/part%d", i % 100, i);
        routes[i].key = pattern;
        assert_int_equal(router_add(r, SLICE("GET"), pattern, &routes[i], &e), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        struct url url;
        struct router_match match = {.values = values};
        struct slice target = arena_printf(&a, "/service%d/items/x%d/part%d", i % 100, i, i);
        assert_int_equal(url_parse(&url, &a, target, &e), 0);
        assert_int_equal(router_match(r, SLICE("GET"), &url, &a, &match), ROUTER_FOUND);
        assert_ptr_equal(match.route, &routes[i]);
    }
    arena_free(&a);
    free(routes);
    router_free(r);
    router_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence),
        cmocka_unit_test(escapes_are_decoded_after_the_split),
        cmocka_unit_test(values_of_failed_branches_are_overwritten),
        cmocka_unit_test(head_has_its_own_route_if_given),
        cmocka_unit_test(routes_of_equal_rank_conflict),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(bounds_are_told),
        cmocka_unit_test(allow_keeps_whole_names),
        cmocka_unit_test(random_routes_match_as_the_naive_matcher_does),
        cmocka_unit_test(ten_thousand_routes_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
