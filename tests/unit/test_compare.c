/* Two blueprints that differ in one thing: what a reload may keep, and what not. */
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/compare.h"
#include "tests/unit/unit.h"

static struct blueprint *parse(const char *handler, const char *listen) {
    struct problems problems = {0};
    struct buf text = {0};
    buf_printf(&text, "blueprint: 1\nname: pair\ntrustedProxies: [10.0.0.0/8]\nlisten: [%s]\nhandlers: {h: {%s}}\n",
               listen, handler);
    struct blueprint *b = blueprint_parse(buf_slice(&text), "/srv/blueprint.yaml", NULL, &problems);
    if (!b) fail_msg("%s: %s", handler, problems.items[0].message);
    problems_free(&problems);
    buf_free(&text);
    return b;
}

#define PLAIN "http: 127.0.0.1:80"

static void check_handlers(const char *left, const char *right, bool equal, bool sources_equal) {
    struct blueprint *a = parse(left, PLAIN), *b = parse(right, PLAIN);
    if (handler_config_equal(a->handlers, b->handlers) != equal) fail_msg("settings of {%s} and {%s}", left, right);
    if (handler_sources_equal(a->handlers, b->handlers) != sources_equal)
        fail_msg("sources of {%s} and {%s}", left, right);
    blueprint_release(a);
    blueprint_release(b);
}

static void everything_that_a_process_sees_counts(void **state) {
    (void)state;
    static const char base[] = "command: [/bin/x, a], environment: {A: b}";
    static const struct {
        const char *other;
        bool equal, sources_equal;
    } rows[] = {
        {"environment: {A: b}, command: [/bin/x, a]", true, true},
        {"command: /bin/x a, environment: {A: b}, triggers: [{http: GET /}]", true, true},
        {"command: [/bin/x, a, b], environment: {A: b}", false, false},
        {"command: [/bin/x], environment: {A: b}", false, false},
        {"command: [/bin/y, a], environment: {A: b}", false, false},
        {"command: [/bin/x, a], environment: {A: c}", false, true},
        {"command: [/bin/x, a], environment: {B: b}", false, true},
        {"command: [/bin/x, a], environment: {A: b, C: d}", false, true},
        {"command: [/bin/x, a], environment: {A: b}, timeout: 1s", false, true},
        {"command: [/bin/x, a], environment: {A: b}, queueLimit: 1", false, true},
        {"command: [/bin/x, a], environment: {A: b}, mode: once", false, true},
        {"command: [/bin/x, a], environment: {A: b}, attach: true", false, true},
        {"command: [/bin/x, a], environment: {A: b}, workingDirectory: w", false, false},
        {"command: [/bin/x, a], environment: {A: b}, processes: {min: 1}", false, true},
        {"command: [/bin/x, a], environment: {A: b}, processes: {maxMemory: 1GiB}", false, true},
        {"command: [/bin/x, a], environment: {A: b}, build: make", true, false},
        {"command: [/bin/x, a], environment: {A: b}, sources: x", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_handlers(base, rows[i].other, rows[i].equal, rows[i].sources_equal);
}

static void listeners_are_known_by_their_place(void **state) {
    (void)state;
    static const struct {
        const char *listen;
        bool same;
    } rows[] = {
        {"{http: 127.0.0.1:80}", true},
        {"{http: 127.0.0.1:80, proxyProtocol: true}", true},
        {"{https: 127.0.0.1:80, certificate: c, key: k}", true},
        {"{http: 127.0.0.1:81}", false},
        {"{http: ':80'}", false},
        {"{http: unix:/run/80}", false},
    };
    struct blueprint *a = parse("command: /bin/x", "{" PLAIN "}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct blueprint *b = parse("command: /bin/x", rows[i].listen);
        assert_int_equal(listener_place_equal(a->listeners, b->listeners), rows[i].same);
        blueprint_release(b);
    }
    blueprint_release(a);
}

static void certificates_and_their_rules_count(void **state) {
    (void)state;
    static const char *const others[] = {
        "{https: ':1', certificate: c, key: other}",
        "{https: ':1', certificate: other, key: k}",
        "{https: ':1', certificates: [{certificate: c, key: k}, {certificate: d, key: k}]}",
        "{https: ':1', certificate: c, key: k, minVersion: '1.3'}",
        "{https: ':1', certificate: c, key: k, clientCertificates: {authority: a}}",
    };
    struct blueprint *a = parse("command: /bin/x", "{https: ':1', certificate: c, key: k}");
    struct blueprint *same = parse("command: /bin/x", "{https: ':2', certificate: c, key: k}");
    assert_true(tls_config_equal(a->listeners->tls, same->listeners->tls));
    assert_true(tls_config_equal(NULL, NULL));
    assert_false(tls_config_equal(a->listeners->tls, NULL));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct blueprint *b = parse("command: /bin/x", others[i]);
        if (tls_config_equal(a->listeners->tls, b->listeners->tls)) fail_msg("%s", others[i]);
        blueprint_release(b);
    }
    blueprint_release(a);
    blueprint_release(same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_a_process_sees_counts),
        cmocka_unit_test(listeners_are_known_by_their_place),
        cmocka_unit_test(certificates_and_their_rules_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
