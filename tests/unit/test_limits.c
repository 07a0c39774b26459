/* Rates, places and sizes of routes, on both sides of the guards. */
#include "gateway/invocation/identity.h"
#include "plugins/limits/limits.h"
#include "plugins/limits/limits_policy.h"
#include "tests/support/plugged.h"

static const char text[] = "blueprint: 1\n"
                           "name: t\n"
                           "limits: {rateLimit: {rate: 10/s, burst: 3}}\n"
                           "handlers:\n"
                           "  h:\n"
                           "    command: /bin/true\n"
                           "    timeout: 10s\n"
                           "    triggers:\n"
                           "      - http: GET /a\n"
                           "      - http: GET /b\n"
                           "      - {http: GET /off, rateLimit: off}\n"
                           "      - {http: GET /route, rateLimit: {rate: 60/m, burst: 2, by: route}}\n"
                           "      - {http: GET /key, rateLimit: {rate: 1/s, by: \"header:x-api-key\", name: key}}\n"
                           "      - http: GET /tenant\n"
                           "        rateLimit:\n"
                           "          - {rate: 100/s, burst: 5}\n"
                           "          - {rate: 2/h, by: \"claim:tenant\", name: tenant}\n"
                           "      - {http: GET /user, rateLimit: {rate: 1/d, by: subject}}\n"
                           "      - {http: GET /two, rateLimit: off, maxConcurrency: 2}\n"
                           "      - {http: GET /short, rateLimit: off, timeout: 2s, maxHeader: 100B, maxUri: 20B}\n";

/* The plugin and its second half behind a guard, which the test plays by setting inv->identity beforehand. */
struct gate {
    struct plugged plugged;
    struct hook hooks[3];
    struct house_hook guard;
    struct identity identity;
    const char *address;
};

static void gate_open(struct gate *g) {
    *g = (struct gate){.address = "192.0.2.1"};
    plugged_open(&g->plugged, &limits_plugin, text);
    g->hooks[0] = g->plugged.hook;
    g->guard = (struct house_hook){.house = &g->plugged.house, .name = "guard", .result = STEP_NEXT};
    g->hooks[1] = (struct hook){.name = "guard", .self = &g->guard, .pre = house_pre};
    g->hooks[2] = (struct hook){.name = "verified", .pre = limits_verified_plugin.pre_handle};
    g->plugged.house.pipeline.hooks = g->hooks;
    g->plugged.house.pipeline.hook_count = ARRAY_LEN(g->hooks);
}

static void gate_close(struct gate *g) {
    plugged_close(&g->plugged);
}

static struct invocation *request(struct gate *g, const char *target, const char *const *headers) {
    struct invocation *inv = plugged_request(&g->plugged, "GET", target, headers);
    inv->request.client_address = slice_of(g->address);
    inv->identity = g->identity.details ? &g->identity : NULL;
    return inv;
}

static int get_with(struct gate *g, const char *target, const char *const *headers) {
    plugged_send(&g->plugged, request(g, target, headers), house_answer("x"), NO_HEADERS);
    return g->plugged.house.status;
}

static int get(struct gate *g, const char *target) {
    return get_with(g, target, NO_HEADERS);
}

static void pass_time(struct gate *g, uint64_t ms) {
    clock_fake_advance_ms(&g->plugged.house.clock, ms);
}

static void assert_headers(struct gate *g, const char *expected) {
    assert_string_equal(g->plugged.house.headers, expected);
}

static void a_client_beyond_its_rate_is_told_when_to_come_back(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    assert_int_equal(get(&g, "/a"), 200);
    assert_headers(&g, "RateLimit-Policy: \"default\";q=3;w=1; RateLimit: \"default\";r=2;t=1");
    assert_int_equal(get(&g, "/a"), 200);
    assert_int_equal(get(&g, "/a"), 200);
    assert_header(&g.plugged, "RateLimit: \"default\";r=0;t=1");
    assert_int_equal(get(&g, "/a"), 429);
    assert_false(g.plugged.reached);
    assert_int_equal(g.plugged.house.failure, FAILURE_RATE_LIMITED);
    assert_header(&g.plugged, "Retry-After: 1; ");
    assert_header(&g.plugged, "Content-Type: application/problem+json");
    assert_header(&g.plugged, "RateLimit-Policy: \"default\";q=3;w=1; RateLimit: \"default\";r=0;t=1");
    assert_non_null(strstr(g.plugged.house.body, "urn:execgate:problem:rate-limited"));
    pass_time(&g, 99);
    assert_int_equal(get(&g, "/a"), 429);
    pass_time(&g, 1);
    assert_int_equal(get(&g, "/a"), 200);
    assert_int_equal(get(&g, "/a"), 429);
    gate_close(&g);
}

static void the_applications_rate_is_for_all_routes_together(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    assert_int_equal(get(&g, "/a"), 200);
    assert_int_equal(get(&g, "/b"), 200);
    assert_int_equal(get(&g, "/a"), 200);
    assert_int_equal(get(&g, "/b"), 429);
    for (int i = 0; i < 20; i++) assert_int_equal(get(&g, "/off"), 200);
    assert_headers(&g, "");
    assert_int_equal(get(&g, "/nowhere"), 404);
    assert_no_header(&g.plugged, "RateLimit");
    gate_close(&g);
}

static void addresses_are_counted_apart_and_ipv6_by_subscriber(void **state) {
    (void)state;
    static const struct {
        const char *address;
        int status;
    } steps[] = {
        {"192.0.2.1", 200},
        {"192.0.2.1", 200},
        {"192.0.2.1", 200},
        {"192.0.2.1", 429},
        {"::ffff:192.0.2.1", 429},
        {"192.0.2.2", 200},
        {"unix:", 200},
        {"unix:", 200},
        {"unix:", 200},
        {"unix:", 429},
        {"2001:db8::1", 200},
        {"2001:db8::2", 200},
        {"2001:db8:0:0:ffff::", 200},
        {"2001:db8::1", 429},
        {"2001:db8::99", 429},
        {"2001:db8:0:1::1", 200},
    };
    struct gate g;
    gate_open(&g);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        g.address = steps[i].address;
        if (get(&g, "/a") != steps[i].status) fail_msg("step %zu: %d", i, g.plugged.house.status);
    }
    gate_close(&g);
}

static void a_route_has_one_bucket_for_everybody(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    assert_int_equal(get(&g, "/route"), 200);
    assert_headers(&g, "RateLimit-Policy: \"default\";q=2;w=2; RateLimit: \"default\";r=1;t=1");
    g.address = "192.0.2.2";
    assert_int_equal(get(&g, "/route"), 200);
    g.address = "192.0.2.3";
    assert_int_equal(get(&g, "/route"), 429);
    gate_close(&g);
}

static void header_values_are_counted_apart(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    assert_int_equal(get_with(&g, "/key", HEADERS("X-Api-Key", "one")), 200);
    assert_headers(&g, "RateLimit-Policy: \"key\";q=1;w=1; RateLimit: \"key\";r=0;t=1");
    g.address = "192.0.2.2";
    assert_int_equal(get_with(&g, "/key", HEADERS("X-Api-Key", "one")), 429);
    assert_int_equal(get_with(&g, "/key", HEADERS("X-Api-Key", "two")), 200);
    assert_int_equal(get_with(&g, "/key", HEADERS("X-Api-Key", "")), 200);
    /* Nobody gets around it by saying nothing. */
    assert_int_equal(get(&g, "/key"), 200);
    assert_int_equal(get(&g, "/key"), 429);
    g.address = "192.0.2.3";
    assert_int_equal(get(&g, "/key"), 200);
    gate_close(&g);
}

static void identify(struct gate *g, const char *subject, const char *tenant) {
    static struct field claim;
    static struct identity_details details;
    claim = (struct field){SLICE("tenant"), slice_of(tenant)};
    details = (struct identity_details){.subject = slice_of(subject), .claims = {&claim, tenant ? 1 : 0, 1}};
    g->identity = (struct identity){.details = subject || tenant ? &details : NULL};
}

static void claims_are_counted_behind_the_guards(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    identify(&g, "alice", "acme");
    assert_int_equal(get(&g, "/tenant"), 200);
    assert_headers(&g, "RateLimit-Policy: \"default\";q=5;w=1, \"tenant\";q=2;w=3600; "
                       "RateLimit: \"default\";r=4;t=1, \"tenant\";r=1;t=1800");
    identify(&g, "bob", "acme");
    g.address = "192.0.2.2";
    assert_int_equal(get(&g, "/tenant"), 200);
    assert_header(&g.plugged, "\"default\";r=4;t=1, \"tenant\";r=0;t=1800");
    assert_int_equal(get(&g, "/tenant"), 429);
    assert_header(&g.plugged, "Retry-After: 1800; ");
    identify(&g, "carol", "other");
    assert_int_equal(get(&g, "/tenant"), 200);
    /* Whom the guards refuse takes a token of the address, and none of the tenant. */
    identify(&g, "dave", "third");
    g.guard.result = STEP_REPLY;
    g.address = "192.0.2.3";
    assert_int_equal(get(&g, "/tenant"), 400);
    assert_header(&g.plugged,
                  "RateLimit-Policy: \"default\";q=5;w=1, \"tenant\";q=2;w=3600; RateLimit: \"default\";r=4;t=1");
    assert_no_header(&g.plugged, "\"tenant\";r");
    g.guard.result = STEP_NEXT;
    assert_int_equal(get(&g, "/tenant"), 200);
    assert_header(&g.plugged, "\"default\";r=3;t=1, \"tenant\";r=1");
    gate_close(&g);
}

static void subjects_are_counted_apart(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    identify(&g, "alice", NULL);
    assert_int_equal(get(&g, "/user"), 200);
    assert_int_equal(get(&g, "/user"), 429);
    assert_header(&g.plugged, "Retry-After: 86400; ");
    identify(&g, "bob", NULL);
    assert_int_equal(get(&g, "/user"), 200);
    g.identity = (struct identity){0};
    assert_int_equal(get(&g, "/user"), 200);
    assert_int_equal(get(&g, "/user"), 429);
    gate_close(&g);
}

/* --- places --- */

static struct invocation *enter(struct gate *g) {
    struct invocation *inv = request(g, "/two", NO_HEADERS);
    pipeline_run(inv);
    return inv;
}

static void assert_refused(struct gate *g) {
    int finished = g->plugged.house.finished;
    enter(g);
    assert_int_equal(g->plugged.house.finished, finished + 1);
    assert_int_equal(g->plugged.house.status, 503);
    assert_int_equal(g->plugged.house.failure, FAILURE_OVERLOADED);
    assert_header(&g->plugged, "Retry-After: 1");
}

static void places_are_given_back_once_whatever_happens(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    for (int round = 0; round < 3; round++) {
        struct invocation *first = enter(&g), *second = enter(&g);
        assert_int_equal(g.plugged.house.queued.length, 2);
        assert_refused(&g);
        /* One is answered, one cancelled while it waits. */
        assert_true(invocation_complete(first, house_answer("x")));
        struct invocation *third = enter(&g);
        assert_refused(&g);
        invocation_cancel(second, CANCEL_CLIENT_GONE);
        /* A running one that is cancelled works on, and keeps its place until it has ended. */
        struct invocation *fourth = enter(&g);
        house_start(&g.plugged.house, fourth);
        invocation_cancel(fourth, CANCEL_CLIENT_GONE);
        assert_refused(&g);
        assert_true(invocation_complete(fourth, house_answer("x")));
        assert_true(invocation_complete(third, outcome_failure(third, FAILURE_HANDLER_DIED, NULL)));
        assert_int_equal(g.plugged.house.queued.length + g.plugged.house.running.length, 0);
    }
    gate_close(&g);
}

static void who_may_not_come_in_takes_no_place(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    g.guard.result = STEP_REPLY;
    for (int i = 0; i < 5; i++) assert_int_equal(get(&g, "/two"), 400);
    g.guard.result = STEP_NEXT;
    struct invocation *first = enter(&g), *second = enter(&g);
    assert_int_equal(g.plugged.house.queued.length, 2);
    assert_true(invocation_complete(first, house_answer("x")));
    assert_true(invocation_complete(second, house_answer("x")));
    gate_close(&g);
}

/* --- sizes and times --- */

static void heads_are_held_to_the_routes_bounds(void **state) {
    (void)state;
    static const struct {
        const char *target;
        size_t head_size;
        int status;
    } steps[] = {{"/short?23456789abcdef", 60, 414},
                 {"/short?3456789abcdef", 60, 200},
                 {"/short", 100, 200},
                 {"/short", 101, 431}};
    struct gate g;
    gate_open(&g);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct invocation *inv = request(&g, steps[i].target, NO_HEADERS);
        inv->request.head_size = steps[i].head_size;
        plugged_send(&g.plugged, inv, house_answer("x"), NO_HEADERS);
        if (g.plugged.house.status != steps[i].status) fail_msg("step %zu: %d", i, g.plugged.house.status);
    }
    gate_close(&g);
}

static void the_timeout_is_the_routes_own(void **state) {
    (void)state;
    struct gate g;
    gate_open(&g);
    struct invocation *own = request(&g, "/short", NO_HEADERS), *other = request(&g, "/off", NO_HEADERS);
    pipeline_run(own);
    pipeline_run(other);
    assert_int_equal(invocation_timeout_ms(own), 2000);
    assert_int_equal(invocation_timeout_ms(other), 10000);
    assert_true(invocation_complete(own, house_answer("x")));
    assert_true(invocation_complete(other, house_answer("x")));
    gate_close(&g);
}

/* --- the blueprint --- */

#define HANDLER "handlers: {h: {command: /bin/true, timeout: 5s, triggers: [{http: GET /, "
static void mistakes_are_told(void **state) {
    (void)state;
    static const struct {
        const char *limits, *trigger, *message;
    } wrong[] = {
        {"{}", "rateLimit: {rate: 100}",
         "rate: expected a rate such as 100/s, 5/m or 10/h, found \"100\"; a unit is missing, such as 100/s"},
        {"{}", "rateLimit: {rate: 0/s}", "rate: \"0/s\" is too small; the least is 1/d"},
        {"{}", "rateLimit: {rate: 1000001/s}", "the most is 1000000/s"},
        {"{}", "rateLimit: {burst: 5}", "rate"},
        {"{}", "rateLimit: {rate: 1/s, burst: 0}", "burst: "},
        {"{}", "rateLimit: {rate: 1/s, by: ip}",
         "by: expected address, route, subject, header:NAME or claim:NAME, found \"ip\""},
        {"{}", "rateLimit: {rate: 1/s, by: \"header:a b\"}", "by: "},
        {"{}", "rateLimit: {rate: 1/s, by: \"claim:\"}", "by: "},
        {"{}", "rateLimit: {rate: 1/s, name: \"a\\\"b\"}", "name: expected a name"},
        {"{}", "rateLimit: of",
         "rateLimit: expected a rate limit, or a list, or off, found \"of\"; did you mean \"off\"?"},
        {"{}", "rateLimit: []", "rateLimit: expected at least 1"},
        {"{}", "rateLimit: [{rate: 1/s, name: x}, {rate: 2/s, name: x}]", "two limits are called \"x\""},
        {"{rateLimit: off}", "maxBody: 1KiB", "rateLimit: expected a rate limit, or a list, found \"off\""},
        {"{maxHeader: 2KiB}", "maxHeader: 3KiB", "maxHeader: a trigger's cannot be larger"},
        {"{maxHeader: 2KiB}", "maxUri: 3KiB", "maxUri: the target is part"},
        {"{}", "maxHeader: 1KiB, maxUri: 2KiB", "maxUri: the target is part"},
        {"{}", "timeout: 6s", "timeout: a trigger's can only be shorter than its handler's (h)"},
        {"{}", "maxConcurrency: 0", "maxConcurrency: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char blueprint[512];
        struct problems problems = {0};
        snprintf(blueprint, sizeof blueprint, "blueprint: 1\nname: t\nlimits: %s\n" HANDLER "%s}]}}\n", wrong[i].limits,
                 wrong[i].trigger);
        assert_null(plugged_parse(&limits_plugin, blueprint, &problems));
        if (problems.count != 1 || !strstr(problems.items[0].message, wrong[i].message)) {
            problems_dump(&problems);
            fail_msg("row %zu: %zu problems", i, problems.count);
        }
        problems_free(&problems);
    }
}

static void defaults_are_those_of_the_application(void **state) {
    (void)state;
    struct problems problems = {0};
    struct blueprint *b = plugged_parse(&limits_plugin,
                                        "blueprint: 1\nname: t\nlimits: {maxBody: 2KiB, maxHeader: 3KiB}\n" HANDLER
                                        "rateLimit: [{rate: 60/m}, {rate: 250000/s}]}, {http: GET /b, maxBody: 0}]}}\n",
                                        &problems);
    problems_dump(&problems);
    assert_non_null(b);
    const struct limits_settings *s = b->settings[0];
    assert_int_equal(s->trigger_count, 2);
    assert_int_equal(s->limit_count, 2);
    assert_int_equal(s->triggers[0].max_body, 2048);
    assert_int_equal(s->triggers[0].max_header, 3072);
    assert_int_equal(s->triggers[0].max_concurrency, 0);
    assert_int_equal(s->triggers[0].rates->items[0].rate.burst, 60);
    assert_int_equal(s->triggers[0].rates->items[1].rate.burst, TOKEN_BURST_MOST);
    assert_true(slice_equal(s->triggers[0].rates->policy, SLICE("\"default\";q=60;w=60, \"default-2\";q=100000;w=1")));
    assert_int_equal(s->triggers[1].max_body, 0);
    assert_null(s->triggers[1].rates);
    problems_free(&problems);
    blueprint_release(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_beyond_its_rate_is_told_when_to_come_back),
        cmocka_unit_test(the_applications_rate_is_for_all_routes_together),
        cmocka_unit_test(addresses_are_counted_apart_and_ipv6_by_subscriber),
        cmocka_unit_test(a_route_has_one_bucket_for_everybody),
        cmocka_unit_test(header_values_are_counted_apart),
        cmocka_unit_test(claims_are_counted_behind_the_guards),
        cmocka_unit_test(subjects_are_counted_apart),
        cmocka_unit_test(places_are_given_back_once_whatever_happens),
        cmocka_unit_test(who_may_not_come_in_takes_no_place),
        cmocka_unit_test(heads_are_held_to_the_routes_bounds),
        cmocka_unit_test(the_timeout_is_the_routes_own),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(defaults_are_those_of_the_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
