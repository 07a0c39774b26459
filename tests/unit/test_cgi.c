#include "local-api/cgi.h"
#include "tests/unit/unit.h"
#include <stdlib.h>

/* An invocation that matched a route, made without a pool. */
struct fixture {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline pipeline;
    struct invocation *inv;
    struct handler_config handler;
    struct http_trigger_config trigger;
    struct slice names[4];
    struct route route;
    struct launch launch;
    char **environment;
};

static void fixture_open(struct fixture *f, const char *pattern, const char *target) {
    struct error e;
    *f = (struct fixture){0};
    clock_fake_init(&f->clock);
    deadlines_init(&f->deadlines);
    turn_init(&f->turn);
    pipeline_init(&f->pipeline, &f->clock.clock, NULL, &f->deadlines, &f->turn);
    f->inv = invocation_new(&f->pipeline, NULL, NULL);
    f->trigger.pattern = slice_of(pattern);
    f->route = (struct route){
        .handler = &f->handler, .trigger = &f->trigger, .key = SLICE("ANY /x"), .parameter_names = f->names};
    f->inv->route = &f->route;
    struct request *r = &f->inv->request;
    r->method = SLICE("GET");
    r->target = slice_of(target);
    r->version = SLICE("HTTP/1.1");
    r->scheme = SLICE("http");
    r->client_address = SLICE("203.0.113.7");
    r->client_port = 4711;
    assert_int_equal(url_parse(&r->url, &f->inv->arena, r->target, &e), 0);
    invocation_trace_from(f->inv, SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    launch_init(&f->launch, &f->handler);
}

static void field_add(struct fixture *f, const char *name, const char *value) {
    fields_add(&f->inv->request.headers, &f->inv->arena, slice_of(name), slice_of(value));
    if (strcmp(name, "Host") == 0) f->inv->request.host = slice_of(value);
}

static void fixture_build(struct fixture *f) {
    cgi_environment_set(&f->launch, f->inv, 1767225600000);
    f->environment = launch_environment(&f->launch);
}

static const char *variable(const struct fixture *f, const char *name) {
    size_t n = strlen(name);
    for (char **v = f->environment; *v; v++)
        if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') return *v + n + 1;
    return NULL;
}

static void fixture_close(struct fixture *f) {
    free(f->environment);
    launch_discard(&f->launch);
    if (f->inv->body) body_release_consumer(f->inv->body);
    invocation_free(f->inv);
    deadlines_free(&f->deadlines);
}

static void test_request_line(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/items", "/items?a=b%20c&d");
    fixture_build(&f);
    assert_string_equal(variable(&f, "GATEWAY_INTERFACE"), "CGI/1.1");
    assert_string_equal(variable(&f, "REQUEST_METHOD"), "GET");
    assert_string_equal(variable(&f, "REQUEST_URI"), "/items?a=b%20c&d");
    assert_string_equal(variable(&f, "REQUEST_SCHEME"), "http");
    assert_string_equal(variable(&f, "QUERY_STRING"), "a=b%20c&d");
    assert_string_equal(variable(&f, "REMOTE_ADDR"), "203.0.113.7");
    assert_string_equal(variable(&f, "REMOTE_PORT"), "4711");
    assert_string_equal(variable(&f, "SERVER_PROTOCOL"), "HTTP/1.1");
    assert_string_equal(variable(&f, "SERVER_SOFTWARE"), "execgate/" EXECGATE_VERSION);
    assert_null(variable(&f, "CONTENT_TYPE"));
    assert_null(variable(&f, "CONTENT_LENGTH"));
    fixture_close(&f);
}

static void test_query_is_always_there(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/items", "/items");
    fixture_build(&f);
    assert_string_equal(variable(&f, "QUERY_STRING"), "");
    fixture_close(&f);
}

static void test_paths(void **state) {
    static const struct {
        const char *pattern, *target, *script_name, *path_info;
    } rows[] = {
        {"/items", "/items", "", "/items"},
        {"/items/{id}", "/items/42", "", "/items/42"},
        {"/", "/", "", "/"},
        {"/{path+}", "/a/b", "", "/a/b"},
        {"/files/{path+}", "/files/a/b", "/files", "/a/b"},
        {"/files/{path+}", "/files/a%20b%2Fc/", "/files", "/a b/c/"},
        {"/users/{id}/files/{path+}", "/users/7/files/x", "/users/7/files", "/x"},
        {"/f%C3%BCr/{path+}", "/f%C3%BCr/x", "/f\xc3\xbcr", "/x"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_open(&f, rows[i].pattern, rows[i].target);
        fixture_build(&f);
        assert_string_equal(variable(&f, "SCRIPT_NAME"), rows[i].script_name);
        assert_string_equal(variable(&f, "PATH_INFO"), rows[i].path_info);
        fixture_close(&f);
    }
}

static void test_server(void **state) {
    static const struct {
        const char *scheme, *host, *name, *port;
    } rows[] = {
        {"http", "shop.example", "shop.example", "80"},
        {"https", "shop.example", "shop.example", "443"},
        {"http", "shop.example:8080", "shop.example", "8080"},
        {"http", "[::1]:8080", "[::1]", "8080"},
        {"http", "[::1]", "[::1]", "80"},
        {"http", "shop.example:", "shop.example", "80"},
        {"http", NULL, "localhost", "80"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_open(&f, "/x", "/x");
        f.inv->request.scheme = slice_of(rows[i].scheme);
        if (rows[i].host) field_add(&f, "Host", rows[i].host);
        fixture_build(&f);
        assert_string_equal(variable(&f, "SERVER_NAME"), rows[i].name);
        assert_string_equal(variable(&f, "SERVER_PORT"), rows[i].port);
        fixture_close(&f);
    }
}

static void test_content(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/x", "/x");
    field_add(&f, "Content-Type", "application/json");
    field_add(&f, "Content-Length", "999");
    f.inv->body = body_of_chunk(chunk_copy(SLICE("{\"a\":1}")));
    fixture_build(&f);
    assert_string_equal(variable(&f, "CONTENT_TYPE"), "application/json");
    assert_string_equal(variable(&f, "CONTENT_LENGTH"), "7");
    assert_null(variable(&f, "HTTP_CONTENT_TYPE"));
    assert_null(variable(&f, "HTTP_CONTENT_LENGTH"));
    fixture_close(&f);
}

static void test_fields(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/x", "/x");
    field_add(&f, "Accept", "text/html");
    field_add(&f, "Cookie", "a=1");
    field_add(&f, "X-Trace-2", "");
    field_add(&f, "accept", "text/plain;q=0.5");
    field_add(&f, "Cookie", "b=2");
    field_add(&f, "Authorization", "Bearer abc");
    fixture_build(&f);
    assert_string_equal(variable(&f, "HTTP_ACCEPT"), "text/html, text/plain;q=0.5");
    assert_string_equal(variable(&f, "HTTP_COOKIE"), "a=1; b=2");
    assert_string_equal(variable(&f, "HTTP_X_TRACE_2"), "");
    assert_string_equal(variable(&f, "HTTP_AUTHORIZATION"), "Bearer abc");
    fixture_close(&f);
}

static void test_fields_that_are_kept_back(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/x", "/x");
    field_add(&f, "Proxy", "http://evil.example");
    field_add(&f, "pROXY", "http://evil.example");
    field_add(&f, "X_Forwarded_User", "admin");
    field_add(&f, "X.Dotted", "1");
    field_add(&f, "Transfer-Encoding", "chunked");
    field_add(&f, "Connection", "close, X-Named");
    field_add(&f, "X-Named", "1");
    field_add(&f, "Execgate-Claims", "{}");
    fixture_build(&f);
    for (char **v = f.environment; *v; v++) assert_true(strncmp(*v, "HTTP_", 5) != 0);
    fixture_close(&f);
}

static void test_own_variables(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "/x/{item-id}/{path+}", "/x/4%202/a/b");
    f.names[0] = SLICE("item-id");
    f.names[1] = SLICE("path");
    f.route.parameter_count = 2;
    f.inv->parameters[0] = SLICE("4 2");
    f.inv->parameters[1] = SLICE("a/b");
    f.inv->request_id = SLICE("from-the-client");
    fixture_build(&f);
    assert_int_equal(strlen(variable(&f, "EXECGATE_INVOCATION_ID")), UUID_TEXT_SIZE);
    assert_memory_equal(variable(&f, "EXECGATE_INVOCATION_ID"), f.inv->id, UUID_TEXT_SIZE);
    assert_string_equal(variable(&f, "EXECGATE_REQUEST_ID"), "from-the-client");
    assert_string_equal(variable(&f, "EXECGATE_TRIGGER"), "http");
    assert_string_equal(variable(&f, "EXECGATE_ROUTE"), "ANY /x");
    assert_string_equal(variable(&f, "EXECGATE_DEADLINE"), "1767225600000");
    assert_string_equal(variable(&f, "EXECGATE_PARAMETER_ITEM_ID"), "4 2");
    assert_string_equal(variable(&f, "EXECGATE_PARAMETER_PATH"), "a/b");
    assert_string_equal(variable(&f, "TRACEPARENT"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    fixture_close(&f);
}

/* The blueprint's variables come behind, and the first of a name wins. */
static void test_a_blueprint_cannot_override(void **state) {
    struct fixture f;
    struct environment_variable set[] = {{"REQUEST_METHOD", "POST", false}, {"HOME", "/srv", false}};
    (void)state;
    fixture_open(&f, "/x", "/x");
    f.handler.environment = set;
    f.handler.environment_count = ARRAY_LEN(set);
    cgi_environment_set(&f.launch, f.inv, 0);
    launch_add_defaults(&f.launch, &f.handler);
    f.environment = launch_environment(&f.launch);
    assert_string_equal(variable(&f, "REQUEST_METHOD"), "GET");
    assert_string_equal(variable(&f, "HOME"), "/srv");
    fixture_close(&f);
}

/* A field name far longer than any variable's is left out, not cut to look like another. */
static void test_long_name(void **state) {
    struct fixture f;
    char name[600];
    (void)state;
    fixture_open(&f, "/x", "/x");
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    field_add(&f, name, "1");
    fixture_build(&f);
    for (char **v = f.environment; *v; v++) assert_true(strncmp(*v, "HTTP_", 5) != 0);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_line),
        cmocka_unit_test(test_query_is_always_there),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_that_are_kept_back),
        cmocka_unit_test(test_own_variables),
        cmocka_unit_test(test_a_blueprint_cannot_override),
        cmocka_unit_test(test_long_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
