/* Security headers on answers, and what requests may not bring along. */
#include "plugins/headers/headers.h"
#include "plugins/hygiene/hygiene.h"
#include "tests/support/plugged.h"

static const char text[] =
    "blueprint: 1\n"
    "name: t\n"
    "headers:\n"
    "  frameOptions: sameorigin\n"
    "  hsts: {maxAge: 1h, includeSubDomains: true}\n"
    "  set: {X-Team: shop, X-Own: ours}\n"
    "  strip: [x-debug]\n"
    "handlers:\n"
    "  h:\n"
    "    command: /bin/true\n"
    "    triggers:\n"
    "      - http: GET /\n"
    "      - http: GET /off\n"
    "        headers: off\n"
    "      - http: GET /own\n"
    "        headers: {hsts: off, referrerPolicy: off, set: {X-Team: own}, remove: [etag], force: true}\n"
    "      - http: GET /short\n"
    "        headers: {hsts: {maxAge: 5m}}\n";
#define FIXED "X-Content-Type-Options: nosniff; X-Frame-Options: SAMEORIGIN; "

static void get(struct plugged *w, const char *target, const char *scheme, const char *const *answer_headers) {
    struct invocation *inv = plugged_request(w, "GET", target, NO_HEADERS);
    inv->request.scheme = slice_of(scheme);
    plugged_send(w, inv, house_answer("x"), answer_headers);
}

static void answers_carry_what_the_blueprint_says(void **state) {
    (void)state;
    static const struct {
        const char *target, *scheme, *headers;
    } rows[] = {
        {"/", "http", FIXED "Referrer-Policy: no-referrer; X-Team: shop; X-Own: ours"},
        {"/", "https",
         FIXED "Referrer-Policy: no-referrer; X-Team: shop; X-Own: ours; "
               "Strict-Transport-Security: max-age=3600; includeSubDomains"},
        {"/off", "https", ""},
        {"/own", "https", FIXED "X-Team: own; X-Own: ours"},
        {"/short", "https",
         FIXED "Referrer-Policy: no-referrer; X-Team: shop; X-Own: ours; "
               "Strict-Transport-Security: max-age=300; includeSubDomains"},
        {"/nowhere", "http",
         "Content-Type: application/problem+json; Cache-Control: no-store; " FIXED
         "Referrer-Policy: no-referrer; X-Team: shop; X-Own: ours"},
    };
    struct plugged w;
    plugged_open(&w, &headers_plugin, text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        get(&w, rows[i].target, rows[i].scheme, NO_HEADERS);
        assert_string_equal(w.house.headers, rows[i].headers);
    }
    plugged_close(&w);
}

static void a_handler_knows_better_unless_it_is_forced(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &headers_plugin, text);
    const char *const *own = HEADERS("x-frame-options", "DENY", "X-Own", "mine", "ETag", "\"1\"", "Server", "s",
                                     "X-Powered-By", "p");
    get(&w, "/", "http", own);
    assert_string_equal(w.house.headers, "x-frame-options: DENY; X-Own: mine; ETag: \"1\"; X-Content-Type-Options: "
                                         "nosniff; Referrer-Policy: no-referrer; X-Team: shop");
    get(&w, "/own", "http", own);
    assert_string_equal(w.house.headers, "Server: s; X-Powered-By: p; X-Content-Type-Options: nosniff; "
                                         "X-Frame-Options: SAMEORIGIN; X-Team: own; X-Own: ours");
    plugged_close(&w);
}

static void stripped_fields_do_not_reach_the_handler(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &headers_plugin, text);
    struct invocation *inv = plugged_request(&w, "GET", "/",
                                             HEADERS("X-Debug", "1", "Accept", "a", "x-debug", "2", "X_Debug", "3"));
    pipeline_run(inv);
    assert_int_equal(inv->request.headers.count, 1);
    assert_true(slice_equal(inv->request.headers.items[0].name, SLICE("Accept")));
    assert_true(invocation_complete(inv, house_answer("")));
    plugged_close(&w);
}

static void off_without_the_key(void **state) {
    (void)state;
    static const char plain[] = "blueprint: 1\nname: t\nhandlers: {h: {command: /bin/true, triggers: [\n"
                                "  {http: GET /}, {http: GET /on, headers: {}}]}}\n";
    struct plugged w;
    plugged_open(&w, &headers_plugin, plain);
    get(&w, "/", "https", HEADERS("Server", "s"));
    assert_string_equal(w.house.headers, "Server: s");
    get(&w, "/on", "https", HEADERS("Server", "s"));
    assert_string_equal(w.house.headers, "X-Content-Type-Options: nosniff; X-Frame-Options: DENY; "
                                         "Referrer-Policy: no-referrer");
    plugged_close(&w);
}

static void mistakes_are_told_where_they_stand(void **state) {
    (void)state;
    static const char wrong[] = "blueprint: 1\n"
                                "name: t\n"
                                "headers:\n"
                                "  frameOptions: allow\n"
                                "  hsts: {preload: true, maxAge: 1d}\n"
                                "  set:\n"
                                "    Content-Length: \"5\"\n"
                                "    Access-Control-Allow-Origin: \"*\"\n"
                                "    strict-transport-security: max-age=1\n"
                                "    \"a b\": c\n"
                                "    X-Fold: \"a\\nb\"\n"
                                "  remove: [\"a:\"]\n"
                                "handlers:\n"
                                "  h:\n"
                                "    command: /bin/true\n"
                                "    triggers:\n"
                                "      - http: GET /\n"
                                "        headers: {hsts: {includeSubDomains: true}}\n"
                                "      - http: GET /x\n"
                                "        headers: on\n";
    struct problems p = {0};
    assert_null(plugged_parse(&headers_plugin, wrong, &p));
    assert_problem(&p, 4, 17, "deny");
    assert_problem(&p, 5, 9, "preload needs");
    assert_problem(&p, 7, 5, "counts itself");
    assert_problem(&p, 8, 5, "cors");
    assert_problem(&p, 9, 5, "use hsts");
    assert_problem(&p, 10, 5, "a header's name");
    assert_problem(&p, 11, 13, "a header's value");
    assert_problem(&p, 12, 12, "a header's name");
    assert_problem(&p, 18, 25, "preload needs");
    assert_problem(&p, 20, 18, "off");
    problems_free(&p);
}

static void requests_come_without_what_is_not_the_clients_to_say(void **state) {
    (void)state;
    const struct {
        const char *const *sent;
        const char *left;
    } rows[] = {
        {HEADERS("Host", "h", "Accept", "a"), "Host: h; Accept: a"},
        {HEADERS("execgate-claims", "{}", "Accept", "a", "EXECGATE-ROUTE", "x", "Execgate", "kept"),
         "Accept: a; Execgate: kept"},
        {HEADERS("Connection", "keep-alive", "Keep-Alive", "5", "TE", "trailers", "Proxy-Authorization", "x", "Proxy",
                 "p"),
         ""},
        {HEADERS("X-A", "1", "Connection", "close, X-A", "x-b", "2", "connection", "x-B", "X-C", "3"), "X-C: 3"},
        {HEADERS("Connection", "keep-alive", "X-A", "1"), "X-A: 1"},
        {HEADERS("Execgate_Claims", "{}", "execgate.route", "x", "X_Forwarded_For", "1", "X-Forwarded_Host", "h",
                 "X-REAL_IP", "1", "X_Request_Id", "i", "Content_Length", "9", "transfer_encoding", "chunked",
                 "Api_Key", "k", "X-Forwarded-For", "2", "x-real-ip", "2", "Content-Length", "0"),
         "Api_Key: k; X-Forwarded-For: 2; x-real-ip: 2; Content-Length: 0"},
    };
    static const char plain[] =
        "blueprint: 1\nname: t\nhandlers: {h: {command: /bin/true, triggers: [{http: GET /}]}}\n";
    struct plugged w;
    plugged_open(&w, &hygiene_plugin, plain);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct invocation *inv = plugged_request(&w, "GET", "/", rows[i].sent);
        pipeline_run(inv);
        house_keep_headers(&w.house, &inv->request.headers);
        assert_string_equal(w.house.headers, rows[i].left);
        assert_true(invocation_complete(inv, house_answer("")));
    }
    plugged_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_carry_what_the_blueprint_says),
        cmocka_unit_test(a_handler_knows_better_unless_it_is_forced),
        cmocka_unit_test(stripped_fields_do_not_reach_the_handler),
        cmocka_unit_test(off_without_the_key),
        cmocka_unit_test(mistakes_are_told_where_they_stand),
        cmocka_unit_test(requests_come_without_what_is_not_the_clients_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
