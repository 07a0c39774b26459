/* CORS: which origins a list trusts, what a blueprint may say, and what browsers are told. */
#include "plugins/cors/cors.h"
#include "plugins/cors/cors_origin.h"
#include "tests/support/plugged.h"

/* --- origins --- */

static struct cors_origins *origins(const char *const *list) {
    struct cors_origins *o = cors_origins_new();
    for (size_t i = 0; list[i]; i++) {
        assert_null(cors_origin_objection(slice_of(list[i])));
        cors_origins_add(o, slice_of(list[i]));
    }
    return o;
}

static void listed_origins_match_and_no_others(void **state) {
    (void)state;
    static const char *const list[] = {
        "https://shop.example",   "http://localhost:3000",
        "https://*.shop.example", "https://*.deep.b.example:8443",
        "http://[::1]:8080",      "app://main",
        "http://192.168.0.7",     NULL,
    };
    static const struct {
        const char *origin;
        enum cors_verdict verdict;
    } rows[] = {
        {"https://shop.example", CORS_LISTED},
        {"http://shop.example", CORS_REFUSED},
        {"https://shop.example:443", CORS_REFUSED},
        {"https://shop.example:8443", CORS_REFUSED},
        {"https://shop.example/", CORS_REFUSED},
        {"https://shop.example.", CORS_REFUSED},
        {"https://Shop.example", CORS_REFUSED},
        {"HTTPS://shop.example", CORS_REFUSED},
        {" https://shop.example", CORS_REFUSED},
        {"https://shop.example https://shop.example", CORS_REFUSED},
        {"https://shop.example,https://evil.example", CORS_REFUSED},
        {"https://shop.example.evil.example", CORS_REFUSED},
        {"https://shop.exampleevil", CORS_REFUSED},
        {"https://evilshop.example", CORS_REFUSED},
        {"https://a.shop.example", CORS_LISTED},
        {"https://a.b.c.shop.example", CORS_LISTED},
        {"https://a_b.shop.example", CORS_LISTED},
        {"https://.shop.example", CORS_REFUSED},
        {"https://a..shop.example", CORS_REFUSED},
        {"https://*.shop.example", CORS_REFUSED},
        {"https://a.shop.example:8443", CORS_REFUSED},
        {"http://a.shop.example", CORS_REFUSED},
        {"https://a.shop.example.", CORS_REFUSED},
        {"https://a.shop.example/.shop.example", CORS_REFUSED},
        {"https://evil.example#.shop.example", CORS_REFUSED},
        {"https://evil.example?.shop.example", CORS_REFUSED},
        {"https://evil.example:1.shop.example", CORS_REFUSED},
        {"https://evil.example%00.shop.example", CORS_REFUSED},
        {"https://u@a.shop.example", CORS_REFUSED},
        {"https://a.evilshop.example", CORS_REFUSED},
        {"https://x.deep.b.example:8443", CORS_LISTED},
        {"https://x.deep.b.example", CORS_REFUSED},
        {"https://deep.b.example:8443", CORS_REFUSED},
        {"http://localhost:3000", CORS_LISTED},
        {"http://localhost", CORS_REFUSED},
        {"http://localhost:30000", CORS_REFUSED},
        {"http://[::1]:8080", CORS_LISTED},
        {"app://main", CORS_LISTED},
        {"http://192.168.0.7", CORS_LISTED},
        {"null", CORS_REFUSED},
        {"*", CORS_REFUSED},
        {"", CORS_REFUSED},
        {"https://", CORS_REFUSED},
        {"://a.shop.example", CORS_REFUSED},
    };
    struct cors_origins *o = origins(list);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (cors_origins_match(o, slice_of(rows[i].origin)) != rows[i].verdict) fail_msg("%s", rows[i].origin);
    assert_int_equal(cors_origins_match(o, SLICE_NONE), CORS_REFUSED);
    assert_int_equal(cors_origins_match(o, SLICE("https://a\0.shop.example")), CORS_REFUSED);
    cors_origins_free(o);
}

static void null_and_everyone_only_when_listed(void **state) {
    (void)state;
    static const char *const null_only[] = {"null", NULL}, *const everyone[] = {"*", NULL};
    struct cors_origins *o = origins(null_only);
    assert_int_equal(cors_origins_match(o, SLICE("null")), CORS_LISTED);
    assert_int_equal(cors_origins_match(o, SLICE("https://null")), CORS_REFUSED);
    assert_int_equal(cors_origins_match(o, SLICE("NULL")), CORS_REFUSED);
    cors_origins_free(o);
    o = origins(everyone);
    assert_int_equal(cors_origins_match(o, SLICE("https://a.example")), CORS_ANYONE);
    assert_int_equal(cors_origins_match(o, SLICE_NONE), CORS_ANYONE);
    cors_origins_free(o);
    o = cors_origins_new();
    assert_int_equal(cors_origins_match(o, SLICE("https://a.example")), CORS_REFUSED);
    cors_origins_free(o);
    cors_origins_free(NULL);
}

static void a_long_host_costs_no_more_than_the_deepest_wildcard(void **state) {
    (void)state;
    static const char *const list[] = {"https://*.shop.example", NULL};
    struct cors_origins *o = origins(list);
    char text[600] = "https://";
    for (int i = 0; i < 100; i++) strcat(text, "a.");
    size_t n = strlen(text);
    strcpy(text + n, "shop.example");
    assert_int_equal(cors_origins_match(o, slice_of(text)), CORS_LISTED);
    strcpy(text + n, "shop.exampl");
    assert_int_equal(cors_origins_match(o, slice_of(text)), CORS_REFUSED);
    for (int i = 0; i < 150; i++) strcat(text, ".b");
    strcat(text, ".shop.example");
    assert_int_equal(cors_origins_match(o, slice_of(text)), CORS_REFUSED);
    cors_origins_free(o);
}

static void what_is_no_origin_is_objected_to(void **state) {
    (void)state;
    static const struct {
        const char *text, *words; /* NULL = fine */
    } rows[] = {
        {"*", NULL},
        {"null", NULL},
        {"https://a.example", NULL},
        {"https://a.example:8443", NULL},
        {"http://a.example:443", NULL},
        {"http://localhost:3000", NULL},
        {"http://127.0.0.1:8080", NULL},
        {"http://[::1]", NULL},
        {"chrome-extension://abcdef", NULL},
        {"https://xn--bcher-kva.example", NULL},
        {"https://*.a.example", NULL},
        {"https://*.localhost", NULL},
        {"https://*.a.example:8443", NULL},
        {"", "expected scheme://"},
        {"a.example", "expected scheme://"},
        {"//a.example", "expected scheme://"},
        {"https:/a.example", "expected scheme://"},
        {"1https://a.example", "expected scheme://"},
        {"*://a.example", "expected scheme://"},
        {"https://a.example/", "no path"},
        {"https://a.example/x", "no path"},
        {"https://a.example?x", "no path"},
        {"https://u:p@a.example", "no user"},
        {"https://A.example", "lower case"},
        {"Https://a.example", "lower case"},
        {"https://a.example:443", "own port"},
        {"http://a.example:80", "own port"},
        {"https://a.example:", "port"},
        {"https://a.example:0", "port"},
        {"https://a.example:080", "port"},
        {"https://a.example:65536", "port"},
        {"https://a.example:*", "wildcard"},
        {"https://*", "wildcard"},
        {"https://*.", "host"},
        {"https://*a.example", "wildcard"},
        {"https://a.*.example", "wildcard"},
        {"https://*.*.example", "wildcard"},
        {"https://*.com", "single label"},
        {"https://*.0.0.1", "address"},
        {"https://*.[::1]", "address"},
        {"https://", "host"},
        {"https://a..example", "host"},
        {"https://a.example.", "host"},
        {"https://b\xc3\xbc"
         "cher.example",
         "xn--"},
        {"https://a b.example", "host"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *objection = cors_origin_objection(slice_of(rows[i].text));
        bool as_wanted = rows[i].words ? objection && strstr(objection, rows[i].words) : !objection;
        if (!as_wanted) fail_msg("%s: %s", rows[i].text, objection ? objection : "fine");
    }
}

/* --- the blueprint --- */

static void mistakes_are_told_where_they_stand(void **state) {
    (void)state;
    static const char text[] = "blueprint: 1\n"
                               "name: t\n"
                               "cors:\n"
                               "  allowOrigins: [\"https://a.example/\", \"*\"]\n"
                               "  allowMethods: [get, \"a b\", \"*\"]\n"
                               "  allowHeaders: [\"x y\"]\n"
                               "  exposeHeaders: \"*\"\n"
                               "  allowCredentials: true\n"
                               "  maxAge: 25h\n"
                               "handlers:\n"
                               "  h:\n"
                               "    command: /bin/true\n"
                               "    triggers:\n"
                               "      - http: GET /a\n"
                               "        cors: {allowOrigins: \"*\"}\n"
                               "      - http: GET /b\n"
                               "        cors: maybe\n"
                               "      - http: GET /c\n"
                               "        cors: {allowOrigin: \"https://c.example\"}\n";
    struct problems p = {0};
    assert_null(plugged_parse(&cors_plugin, text, &p));
    assert_problem(&p, 4, 18, "no path");
    assert_problem(&p, 4, 40, "stands alone");
    assert_problem(&p, 4, 40, "allowCredentials: true exclude each other");
    assert_problem(&p, 5, 18, "write GET");
    assert_problem(&p, 5, 23, "a token");
    assert_problem(&p, 5, 30, "exclude each other");
    assert_problem(&p, 6, 18, "a token");
    assert_problem(&p, 7, 18, "exclude each other");
    assert_problem(&p, 9, 11, "too large");
    assert_problem(&p, 15, 30, "exclude each other");
    assert_problem(&p, 17, 15, "off");
    assert_problem(&p, 19, 16, "allowOrigins");
    problems_free(&p);
}

static void an_override_is_checked_with_what_it_completes(void **state) {
    (void)state;
    static const char head[] = "blueprint: 1\nname: t\n%s"
                               "handlers: {h: {command: /bin/true, triggers: [\n  {http: GET /, cors: %s}]}}\n";
    static const struct {
        const char *application, *trigger;
        int line, column; /* 0 = fine */
        const char *words;
    } rows[] = {
        {"cors: {allowOrigins: \"*\"}\n", "{allowMethods: [PUT]}", 0, 0, NULL},
        {"cors: {allowOrigins: \"*\"}\n", "{allowCredentials: true}", 5, 23, "exclude each other"},
        {"cors: {allowOrigins: \"*\"}\n", "{allowCredentials: true, allowOrigins: \"https://a.b\"}", 0, 0, NULL},
        {"cors: {allowOrigins: \"null\"}\n", "{allowMethods: [PUT]}", 0, 0, NULL},
        {"cors: {allowOrigins: \"null\"}\n", "{allowCredentials: true}", 5, 23, "hides its origin"},
        {"", "{allowOrigins: [\"null\", \"https://a.b\"], allowCredentials: true}", 4, 39, "hides its origin"},
        {"", "{allowOrigins: \"https://a.b\"}", 0, 0, NULL},
        {"", "{allowMethods: [PUT]}", 4, 23, "allowOrigins is missing"},
        {"", "{}", 4, 23, "allowOrigins is missing"},
        {"", "off", 0, 0, NULL},
        {"cors: {maxAge: 5m}\n", "{}", 3, 7, "allowOrigins is missing"},
        {"cors: {allowOrigins: []}\n", "{}", 3, 22, "at least 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct problems p = {0};
        char text[512];
        snprintf(text, sizeof text, head, rows[i].application, rows[i].trigger);
        struct blueprint *b = plugged_parse(&cors_plugin, text, &p);
        if (rows[i].line)
            assert_problem(&p, rows[i].line, rows[i].column, rows[i].words);
        else if (!b)
            problems_dump(&p);
        assert_int_equal(b != NULL, rows[i].line == 0);
        blueprint_release(b);
        problems_free(&p);
    }
}

/* --- in the pipeline --- */

static const char shop[] = "blueprint: 1\n"
                           "name: t\n"
                           "cors:\n"
                           "  allowOrigins: [https://a.example, \"https://*.b.example\"]\n"
                           "  allowMethods: [GET, PUT]\n"
                           "  allowHeaders: [authorization, Content-Type]\n"
                           "  exposeHeaders: [etag, x-total]\n"
                           "  allowCredentials: true\n"
                           "  maxAge: 10m\n"
                           "handlers:\n"
                           "  h:\n"
                           "    command: /bin/true\n"
                           "    triggers:\n"
                           "      - http: GET /items/{id}\n"
                           "      - http: PUT /items/{id}\n"
                           "      - http: DELETE /items/{id}\n"
                           "      - http: GET /public\n"
                           "        cors: {allowOrigins: \"*\", allowMethods: \"*\", allowHeaders: \"*\",\n"
                           "               allowCredentials: false, privateNetwork: true}\n"
                           "      - http: PUT /own\n"
                           "        cors: off\n"
                           "      - http: OPTIONS /own\n"
                           "        cors: off\n"
                           "      - http: GET /closed\n"
                           "        cors: off\n"
                           "      - http: ANY /any\n"
                           "      - http: OPTIONS /asked\n"
                           "      - http: GET /asked\n";

#define A "https://a.example"
#define VARY "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
#define ORIGIN_A "Access-Control-Allow-Origin: " A "; Access-Control-Allow-Credentials: true; "

static void preflights_are_granted_as_asked_or_not_at_all(void **state) {
    (void)state;
    static const char granted[] = VARY "; " ORIGIN_A "Access-Control-Allow-Methods: %s; %sAccess-Control-Max-Age: 600";
    static const struct {
        const char *origin, *method, *headers; /* NULL headers = none */
        bool granted;
    } rows[] = {
        {A, "PUT", NULL, true},
        {A, "GET", "authorization", true},
        {A, "PUT", "AUTHORIZATION,content-type", true},
        {A, "PUT", " content-type ,, Authorization ", true},
        {A, "PUT", "", true},
        {A, "PUT", "x-other", false},
        {A, "PUT", "authorization,x-other", false},
        {A, "PUT", "authorization x-other", false},
        {A, "PUT", "*", false},
        {A, "DELETE", NULL, false},
        {"https://x.b.example", "PUT", NULL, true},
        {"https://evil.example", "PUT", NULL, false},
        {"null", "PUT", NULL, false},
        {"", "PUT", NULL, false},
    };
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct invocation *inv = plugged_request(
            &w, "OPTIONS", "/items/1",
            HEADERS("Origin", rows[i].origin, "Access-Control-Request-Method", rows[i].method));
        if (rows[i].headers)
            fields_add(&inv->request.headers, &inv->arena, SLICE("Access-Control-Request-Headers"),
                       slice_of(rows[i].headers));
        plugged_send(&w, inv, house_answer("never"), NO_HEADERS);
        char headers[128] = "", wanted[512];
        if (rows[i].headers && rows[i].headers[0])
            snprintf(headers, sizeof headers, "Access-Control-Allow-Headers: %s; ", rows[i].headers);
        snprintf(wanted, sizeof wanted, granted, rows[i].method, headers);
        if (!rows[i].granted) strcpy(wanted, VARY);
        if (strcmp(rows[i].origin, A) != 0 && rows[i].granted) wanted[0] = '\0';
        assert_int_equal(w.house.status, 204);
        assert_string_equal(w.house.body, "");
        assert_false(w.reached);
        if (wanted[0])
            assert_string_equal(w.house.headers, wanted);
        else
            assert_header(&w, "Access-Control-Allow-Origin: https://x.b.example; ");
    }
    plugged_close(&w);
}

static void send_preflight(struct plugged *w, const char *target, const char *origin, const char *method) {
    plugged_send(
        w, plugged_request(w, "OPTIONS", target, HEADERS("Origin", origin, "Access-Control-Request-Method", method)),
        house_answer("by the handler"), HEADERS("Access-Control-Allow-Origin", "https://own.example"));
}

static void a_preflight_asks_for_the_route_of_its_method(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    send_preflight(&w, "/public", "https://x.example", "GET");
    assert_int_equal(w.house.status, 204);
    assert_header(&w, "Access-Control-Allow-Origin: *; Access-Control-Allow-Methods: GET");
    assert_no_header(&w, "Credentials");
    send_preflight(&w, "/public", "https://x.example", "PATCH"); /* no such route */
    assert_int_equal(w.house.status, 405);
    send_preflight(&w, "/public", "https://x.example", "get"); /* methods have case */
    assert_int_equal(w.house.status, 405);
    send_preflight(&w, "/closed", A, "GET");
    assert_int_equal(w.house.status, 405);
    assert_header(&w, "Allow: GET, HEAD");
    send_preflight(&w, "/own", A, "PUT"); /* CORS is the handler's */
    assert_true(w.reached);
    assert_string_equal(w.house.headers, "Access-Control-Allow-Origin: https://own.example");
    send_preflight(&w, "/any", A, "PUT");
    assert_int_equal(w.house.status, 204);
    assert_false(w.reached);
    send_preflight(&w, "/asked", A, "GET"); /* the gateway speaks CORS, whatever serves OPTIONS */
    assert_int_equal(w.house.status, 204);
    assert_header(&w, "Access-Control-Allow-Methods: GET");
    send_preflight(&w, "/nowhere", A, "GET");
    assert_int_equal(w.house.status, 404);
    plugged_close(&w);
}

static void an_options_that_is_no_preflight_is_routed(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    plugged_send(&w, plugged_request(&w, "OPTIONS", "/asked", HEADERS("Origin", A)), house_answer("hi"), NO_HEADERS);
    assert_true(w.reached);
    assert_header(&w, "Access-Control-Allow-Origin: " A);
    plugged_send(&w, plugged_request(&w, "OPTIONS", "/asked", HEADERS("Access-Control-Request-Method", "GET")),
                 house_answer("hi"), NO_HEADERS);
    assert_true(w.reached);
    plugged_send(&w, plugged_request(&w, "OPTIONS", "/items/1", HEADERS("Origin", A)), house_answer(""), NO_HEADERS);
    assert_int_equal(w.house.status, 405);
    plugged_send(&w,
                 plugged_request(&w, "GET", "/items/1", HEADERS("Origin", A, "Access-Control-Request-Method", "GET")),
                 house_answer("hi"), NO_HEADERS);
    assert_true(w.reached);
    plugged_close(&w);
}

static void private_networks_are_told_when_asked(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    const char *const *asked = HEADERS("Origin", A, "Access-Control-Request-Method", "GET",
                                       "Access-Control-Request-Private-Network", "true");
    plugged_send(&w, plugged_request(&w, "OPTIONS", "/public", asked), house_answer(""), NO_HEADERS);
    assert_header(&w, VARY ", Access-Control-Request-Private-Network; ");
    assert_header(&w, "Access-Control-Allow-Private-Network: true");
    plugged_send(&w, plugged_request(&w, "OPTIONS", "/items/1", asked), house_answer(""), NO_HEADERS);
    assert_no_header(&w, "Private-Network");
    send_preflight(&w, "/public", A, "GET");
    assert_no_header(&w, "Allow-Private-Network");
    plugged_close(&w);
}

static void a_star_does_not_cover_authorization(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    plugged_send(&w,
                 plugged_request(&w, "OPTIONS", "/public",
                                 HEADERS("Origin", A, "Access-Control-Request-Method", "GET",
                                         "Access-Control-Request-Headers", "x-any,x-thing")),
                 house_answer(""), NO_HEADERS);
    assert_header(&w, "Access-Control-Allow-Headers: x-any,x-thing");
    plugged_send(&w,
                 plugged_request(&w, "OPTIONS", "/public",
                                 HEADERS("Origin", A, "Access-Control-Request-Method", "GET",
                                         "Access-Control-Request-Headers", "x-any,Authorization")),
                 house_answer(""), NO_HEADERS);
    assert_string_equal(w.house.headers, VARY ", Access-Control-Request-Private-Network");
    plugged_close(&w);
}

static void answers_name_a_trusted_origin_and_vary_for_all(void **state) {
    (void)state;
    static const struct {
        const char *method, *target, *origin; /* NULL = none */
        int status;
        const char *headers; /* all of CORS, in order */
    } rows[] = {
        {"GET", "/items/1", A, 200, "Vary: Origin; " ORIGIN_A "Access-Control-Expose-Headers: etag, x-total"},
        {"HEAD", "/items/1", A, 200, "Vary: Origin; " ORIGIN_A "Access-Control-Expose-Headers: etag, x-total"},
        {"GET", "/items/1", "https://evil.example", 200, "Vary: Origin"},
        {"GET", "/items/1", "null", 200, "Vary: Origin"},
        {"GET", "/items/1", NULL, 200, "Vary: Origin"},
        {"GET", "/public", "https://evil.example", 200,
         "Access-Control-Allow-Origin: *; Access-Control-Expose-Headers: etag, x-total"},
        {"GET", "/public", NULL, 200, "Access-Control-Allow-Origin: *; Access-Control-Expose-Headers: etag, x-total"},
        {"GET", "/closed", A, 200, ""},
        {"GET", "/nowhere", A, 404,
         "Content-Type: application/problem+json; Cache-Control: no-store; Vary: Origin; " ORIGIN_A
         "Access-Control-Expose-Headers: etag, x-total"},
        {"GET", "/nowhere", NULL, 404, "Content-Type: application/problem+json; Cache-Control: no-store; Vary: Origin"},
        {"POST", "/items/1", A, 405,
         "Content-Type: application/problem+json; Cache-Control: no-store; Allow: DELETE, GET, HEAD, PUT; Vary: "
         "Origin; " ORIGIN_A "Access-Control-Expose-Headers: etag, x-total"},
    };
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const *headers = rows[i].origin ? HEADERS("Origin", rows[i].origin) : NO_HEADERS;
        plugged_send(&w, plugged_request(&w, rows[i].method, rows[i].target, headers), house_answer("x"), NO_HEADERS);
        assert_int_equal(w.house.status, rows[i].status);
        assert_string_equal(w.house.headers, rows[i].headers);
    }
    plugged_close(&w);
}

static void what_a_handler_says_about_cors_is_replaced(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    const char *const *own = HEADERS("access-control-allow-origin", "*", "Access-Control-Allow-Credentials", "true",
                                     "Access-Control-Max-Age", "1", "ETag", "\"1\"");
    plugged_send(&w, plugged_request(&w, "GET", "/items/1", HEADERS("Origin", A)), house_answer("x"), own);
    assert_string_equal(w.house.headers,
                        "ETag: \"1\"; Vary: Origin; " ORIGIN_A "Access-Control-Expose-Headers: etag, x-total");
    plugged_send(&w, plugged_request(&w, "GET", "/items/1", HEADERS("Origin", "https://evil.example")),
                 house_answer("x"), own);
    assert_string_equal(w.house.headers, "ETag: \"1\"; Vary: Origin");
    plugged_send(&w, plugged_request(&w, "GET", "/items/1", HEADERS("Origin", A, "Origin", "https://evil.example")),
                 house_answer("x"), own);
    assert_string_equal(w.house.headers, "ETag: \"1\"; Vary: Origin");
    plugged_send(&w, plugged_request(&w, "GET", "/closed", HEADERS("Origin", A)), house_answer("x"), own);
    assert_header(&w, "access-control-allow-origin: *; ");
    plugged_close(&w);
}

static void vary_is_merged(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"Accept", "Vary: Accept, Origin"},
        {"accept, origin", "Vary: accept, origin"},
        {"*", "Vary: *"},
        {"x-origin", "Vary: x-origin, Origin"},
        {"", "Vary: ; Vary: Origin"},
    };
    struct plugged w;
    plugged_open(&w, &cors_plugin, shop);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        plugged_send(&w, plugged_request(&w, "GET", "/items/1", NO_HEADERS), house_answer("x"),
                     HEADERS("Vary", rows[i][0]));
        assert_string_equal(w.house.headers, rows[i][1]);
    }
    plugged_send(&w, plugged_request(&w, "GET", "/items/1", NO_HEADERS), house_answer("x"),
                 HEADERS("vary", "A", "Vary", "origin"));
    assert_string_equal(w.house.headers, "vary: A; Vary: origin");
    plugged_close(&w);
}

static void without_the_key_nothing_is_said(void **state) {
    (void)state;
    static const char text[] =
        "blueprint: 1\nname: t\nhandlers: {h: {command: /bin/true, triggers: [{http: GET /}]}}\n";
    struct plugged w;
    plugged_open(&w, &cors_plugin, text);
    plugged_send(&w, plugged_request(&w, "GET", "/", HEADERS("Origin", A)), house_answer("x"), NO_HEADERS);
    assert_string_equal(w.house.headers, "");
    send_preflight(&w, "/", A, "GET");
    assert_int_equal(w.house.status, 405);
    plugged_close(&w);
}

static void defaults_are_the_safe_ones(void **state) {
    (void)state;
    static const char text[] = "blueprint: 1\nname: t\ncors: {allowOrigins: https://a.example}\n"
                               "handlers: {h: {command: /bin/true, triggers: [{http: ANY /}]}}\n";
    struct plugged w;
    plugged_open(&w, &cors_plugin, text);
    send_preflight(&w, "/", A, "POST");
    assert_string_equal(w.house.headers,
                        VARY "; Access-Control-Allow-Origin: " A "; Access-Control-Allow-Methods: POST");
    send_preflight(&w, "/", A, "PUT");
    assert_string_equal(w.house.headers, VARY);
    plugged_send(&w, plugged_request(&w, "PUT", "/", HEADERS("Origin", A)), house_answer("x"), NO_HEADERS);
    assert_string_equal(w.house.headers, "Vary: Origin; Access-Control-Allow-Origin: " A);
    plugged_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_origins_match_and_no_others),
        cmocka_unit_test(null_and_everyone_only_when_listed),
        cmocka_unit_test(a_long_host_costs_no_more_than_the_deepest_wildcard),
        cmocka_unit_test(what_is_no_origin_is_objected_to),
        cmocka_unit_test(mistakes_are_told_where_they_stand),
        cmocka_unit_test(an_override_is_checked_with_what_it_completes),
        cmocka_unit_test(preflights_are_granted_as_asked_or_not_at_all),
        cmocka_unit_test(a_preflight_asks_for_the_route_of_its_method),
        cmocka_unit_test(an_options_that_is_no_preflight_is_routed),
        cmocka_unit_test(private_networks_are_told_when_asked),
        cmocka_unit_test(a_star_does_not_cover_authorization),
        cmocka_unit_test(answers_name_a_trusted_origin_and_vary_for_all),
        cmocka_unit_test(what_a_handler_says_about_cors_is_replaced),
        cmocka_unit_test(vary_is_merged),
        cmocka_unit_test(without_the_key_nothing_is_said),
        cmocka_unit_test(defaults_are_the_safe_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
