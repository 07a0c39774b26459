#include "gateway/blueprint/environment.h"
#include "gateway/blueprint/route_text.h"
#include "tests/unit/blueprint_helper.h"
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static void test_five_lines_and_defaults(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: hello\nhandlers:\n  hello:\n    command: bin/hello\n");
    assert_string_equal(b->name, "hello");
    assert_string_equal(b->file, "/srv/shop/shop.yaml");
    assert_int_equal(b->listener_count, 1);
    assert_string_equal(b->listeners[0].host, "127.0.0.1");
    assert_int_equal(b->listeners[0].port, 8080);
    assert_int_equal(b->limits.connections, 20000);
    assert_int_equal(b->limits.in_flight, 10000);
    assert_int_equal(b->limits.max_body, 10 << 20);
    assert_int_equal(b->limits.max_answer, 6 << 20);
    assert_int_equal(b->limits.max_header, 16 << 10);
    assert_int_equal(b->limits.header_timeout_ms, 10000);
    assert_int_equal(b->limits.body_timeout_ms, 30000);
    assert_int_equal(b->limits.idle_timeout_ms, 75000);
    assert_int_equal(b->limits.shutdown_timeout_ms, 30000);
    const struct handler_config *h = &b->handlers[0];
    assert_int_equal(b->handler_count, 1);
    assert_string_equal(h->name, "hello");
    assert_int_equal(h->mode, HANDLER_RUNTIME);
    assert_int_equal(h->timeout_ms, 30000);
    assert_int_equal(h->queue_limit, 1000);
    assert_int_equal(h->processes.min, 0);
    assert_int_equal(h->processes.max, 4);
    assert_int_equal(h->processes.concurrency, 1);
    assert_int_equal(h->processes.start_timeout_ms, 10000);
    assert_int_equal(h->processes.idle_timeout_ms, 60000);
    assert_int_equal(h->processes.stop_timeout_ms, 5000);
    assert_int_equal(h->processes.max_invocations, 0);
    assert_int_equal(h->processes.max_memory, 0);
    assert_int_equal(h->http_trigger_count, 0);
    assert_int_equal(h->line, 4);
    assert_int_equal(h->column, 3);
    blueprint_release(b);
}

static void test_paths_are_relative_to_the_file(void **state) {
    (void)state;
    char cwd[PATH_MAX], expected[PATH_MAX + 32];
    struct problems p = {0};
    assert_non_null(getcwd(cwd, sizeof cwd));
    struct blueprint *b = blueprint_parse(
        SLICE("blueprint: 1\nname: a\nlisten: [{http: 'unix:run/s'}]\nhandlers:\n"
              "  a: {command: [./bin/a, ./x], workingDirectory: sub}\n  b: {command: /bin/b}\n"),
        "a.yaml", NULL, &p);
    assert_non_null(b);
    assert_string_equal(b->directory, cwd);
    snprintf(expected, sizeof expected, "%s/bin/a", cwd);
    assert_string_equal(b->handlers[0].command[0], expected);
    assert_string_equal(b->handlers[0].command[1], "./x");
    assert_null(b->handlers[0].command[2]);
    snprintf(expected, sizeof expected, "%s/sub", cwd);
    assert_string_equal(b->handlers[0].working_directory, expected);
    assert_string_equal(b->handlers[1].command[0], "/bin/b");
    assert_string_equal(b->handlers[1].working_directory, cwd);
    snprintf(expected, sizeof expected, "%s/run/s", cwd);
    assert_string_equal(b->listeners[0].path, expected);
    blueprint_release(b);
    problems_free(&p);
}

static void test_whole_example(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\n"
                                      "name: shop\n"
                                      "listen:\n"
                                      "  - http: 0.0.0.0:80\n"
                                      "  - http: \"[::1]:81\"\n"
                                      "limits: {maxBody: 2MiB, idleTimeout: 24h}\n"
                                      "variables:\n"
                                      "  workers: {type: integer, default: 8}\n"
                                      "defaults:\n"
                                      "  timeout: 20s\n"
                                      "  environment: {A: one, B: two}\n"
                                      "  processes: {max: 6, concurrency: 3}\n"
                                      "handlers:\n"
                                      "  first:\n"
                                      "    command: /bin/first --flag 'a b'\n"
                                      "    environment: {B: \"\", C: true}\n"
                                      "    timeout: 5s\n"
                                      "    processes: {max: \"${var.workers}\", maxMemory: 256MiB}\n"
                                      "    triggers:\n"
                                      "      - http: GET /items/{id}\n"
                                      "      - http: ANY /files/{path+}\n"
                                      "  cgi: {command: /bin/cgi, mode: once}\n"
                                      "  web: {command: /bin/web, mode: server, socket: inherited}\n");
    const struct handler_config *h = &b->handlers[0];
    assert_int_equal(b->listener_count, 2);
    assert_string_equal(b->listeners[1].host, "::1");
    assert_int_equal(b->limits.idle_timeout_ms, 86400000);
    assert_string_equal(h->command[2], "a b");
    assert_int_equal(h->timeout_ms, 5000);
    assert_int_equal(h->processes.max, 8);
    assert_int_equal(h->processes.concurrency, 3);
    assert_int_equal(h->processes.max_memory, 256 << 20);
    assert_int_equal(h->environment_count, 3);
    assert_string_equal(h->environment[0].name, "B");
    assert_string_equal(h->environment[0].value, "");
    assert_string_equal(h->environment[1].value, "true");
    assert_string_equal(h->environment[2].name, "A");
    assert_int_equal(h->http_trigger_count, 2);
    assert_slice(h->http_triggers[0].method, "GET");
    assert_slice(h->http_triggers[0].pattern, "/items/{id}");
    assert_string_equal(h->http_triggers[0].text, "GET /items/{id}");
    assert_int_equal(h->http_triggers[0].number, 0);
    assert_int_equal(h->http_triggers[0].line, 20);
    assert_int_equal(h->http_triggers[0].column, 15);
    assert_int_equal(h->http_triggers[1].number, 1);
    assert_int_equal(b->handlers[1].processes.concurrency, 1); /* what `defaults` says is for the others */
    assert_int_equal(b->handlers[2].processes.concurrency, 3);
    assert_int_equal(b->handlers[2].server_socket, SERVER_SOCKET_INHERITED);
    assert_int_equal(b->handlers[2].index, 2);
    assert_int_equal(b->handlers[2].environment_count, 2);
    blueprint_release(b);
}

static void test_queues(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\n"
                                      "name: shop\n"
                                      "dataDirectory: /data\n"
                                      "queues:\n"
                                      "  orders:\n"
                                      "    retry: {base: 2s, jitter: none}\n"
                                      "    deadLetter: dead\n"
                                      "    fifo: true\n"
                                      "    send: [{http: POST /orders}]\n"
                                      "  dead: {}\n"
                                      "defaults: {async: {maxAttempts: 7}}\n"
                                      "handlers:\n"
                                      "  ship:\n"
                                      "    command: /bin/ship\n"
                                      "    async: {onFailure: {queue: dead}, onSuccess: {handler: tell}}\n"
                                      "    triggers:\n"
                                      "      - {queue: orders, window: 1s, filter: {a.b: \"1\", c: x}}\n"
                                      "      - {http: GET /}\n"
                                      "  tell: {command: /bin/tell}\n");
    const struct queue_config *q = blueprint_queue(b, SLICE("orders"));
    const struct handler_config *ship = &b->handlers[0];
    const struct queue_trigger_config *t = ship->queue_triggers;
    assert_string_equal(b->data_directory, "/data");
    assert_int_equal(b->http_trigger_count, 2);
    assert_int_equal(q->retry.base_ms, 2000);
    assert_int_equal(q->retry.factor, 2);
    assert_int_equal(q->retry.max_ms, 300000);
    assert_int_equal(q->retry.jitter, QUEUE_JITTER_NONE);
    assert_int_equal(q->retry.max_attempts, 5);
    assert_int_equal(q->visibility_ms, 30000);
    assert_int_equal(q->max_message, 256 << 10);
    assert_string_equal(q->dead_letter, "dead");
    assert_true(q->fifo);
    assert_int_equal(q->sender.http_trigger_count, 1);
    assert_int_equal(ship->queue_trigger_count, 1);
    assert_int_equal(t->batch, 10);
    assert_int_equal(t->window_ms, 1000);
    assert_false(t->report_failures);
    assert_int_equal(t->filter_count, 2);
    assert_slice(t->filters[0].path, "a.b");
    assert_slice(t->filters[1].value, "x");
    assert_string_equal(ship->async.queue->name, "async/ship");
    assert_string_equal(ship->async.queue->dead_letter, "async/ship/failed");
    assert_int_equal(ship->async.queue->retry.max_attempts, 7);
    assert_string_equal(ship->async.on_failure.queue, "dead");
    assert_int_equal(ship->async.on_failure.max_message, 256 << 10);
    assert_string_equal(ship->async.on_success.queue, "async/tell");
    assert_null(b->handlers[1].async.on_success.queue);
    assert_null(blueprint_queue(b, SLICE("none")));
    blueprint_release(b);
}

static void test_server_concurrency(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers: {w: {command: /w, mode: server}}\n");
    assert_int_equal(b->handlers[0].processes.concurrency, 64);
    blueprint_release(b);
}

static void test_builds_and_attaching(void **state) {
    (void)state;
    struct blueprint *b = parse_valid(
        "blueprint: 1\nname: a\nhandlers:\n"
        "  made: {command: bin/made, build: 'make -C \"my dir\" made', sources: [src, /abs/*.c]}\n"
        "  by-hand: {attach: true, processes: {min: 3, max: 5}}\n"
        "  hurried: {attach: true, timeout: 2s}\n");
    const struct handler_config *made = &b->handlers[0], *by_hand = &b->handlers[1];
    assert_string_equal(made->build[2], "my dir");
    assert_null(made->build[4]);
    assert_int_equal(made->source_count, 2);
    assert_string_equal(made->sources[1], "/abs/*.c");
    assert_non_null(strstr(made->sources[0], "/src"));
    assert_false(made->attach);
    assert_true(by_hand->attach);
    assert_null(by_hand->command[0]);
    assert_null(by_hand->build);
    assert_int_equal(by_hand->processes.min, 1);
    assert_int_equal(by_hand->processes.max, 1);
    assert_int_equal(by_hand->timeout_ms, 24 * 60 * 60 * 1000);
    assert_int_equal(b->handlers[2].timeout_ms, 2000);
    blueprint_release(b);
}

static void test_references(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers: {w: {command: /w}}\n");
    assert_ptr_equal(blueprint_hold(b), b);
    blueprint_release(b);
    assert_string_equal(b->name, "a");
    blueprint_release(b);
    blueprint_release(NULL);
}

static void test_printing(void **state) {
    (void)state;
    struct problems p = {0};
    struct buf out = {0};
    assert_null(parse("blueprint: 1\nname: a\nhandlers:\n  a: {command: /\xc3\xa9, timout: 5s}\n", &p));
    problems_print(&p, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.p, "/srv/shop/shop.yaml:4:20: error: unknown key \"timout\" in a handler; did you mean \"timeout\"?\n"
               "    4 |   a: {command: /\xc3\xa9, timout: 5s}\n"
               "      |                    ^\n");
    out.n = 0;
    problems_print_json(&p, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.p, "{\"problems\":[{\"file\":\"/srv/shop/shop.yaml\",\"line\":4,\"column\":20,\"message\":"
                               "\"unknown key \\\"timout\\\" in a handler; did you mean \\\"timeout\\\"?\"}]}\n");
    buf_free(&out);
    problems_free(&p);
}

/* --- routes --- */

static const struct route_case {
    const char *text;
    const char *words; /* NULL: fine */
} route_cases[] = {
    {"GET /", NULL},
    {"GET /a", NULL},
    {"GET /a/", NULL},
    {"POST  /a", NULL},
    {"ANY /{a}/b/{c_d-e.f}/{g+}", NULL},
    {"PROPFIND /a", NULL},
    {"FOOBARISH /a", NULL},
    {"VERSION-CONTROL /a", NULL},
    {"GET /caf\xc3\xa9", NULL},
    {"GET /a+b;c=d@e:f", NULL},
    {"GET", "expected a method and a pattern"},
    {"/a", "expected a method and a pattern"},
    {"GET a", "must begin with '/'"},
    {"get /a", "did you mean \"GET\"?"},
    {"GTE /a", "did you mean \"GET\"?"},
    {"POTS /a", "did you mean \"POST\"?"},
    {"any /a", "did you mean \"ANY\"?"},
    {"g3t-thing /a", "expected upper-case letters"},
    {"CONNECT /a", "never passed to a handler"},
    {"TRACE /a", "never passed to a handler"},
    {"GET /a//b", "empty segment"},
    {"GET //", "empty segment"},
    {"GET /a?b=c", "no '?'"},
    {"GET /a#b", "no '#'"},
    {"GET /a%20b", "no '%'"},
    {"GET /a b", "no blanks"},
    {"GET /a/../b", "can never match"},
    {"GET /./b", "can never match"},
    {"GET /{a}/{a}", "stands twice"},
    {"GET /{a}/{a+}", "stands twice"},
    {"GET /{a+}/b", "must be the last segment"},
    {"GET /{}", "is no parameter"},
    {"GET /{+}", "is no parameter"},
    {"GET /{a b}", "is no parameter"},
    {"GET /{1a}", "is no parameter"},
    {"GET /{a}{b}", "is no parameter"},
    {"GET /{a}.json", "a brace is out of place"},
    {"GET /x{a}", "a brace is out of place"},
    {"GET /{a", "a brace is out of place"},
    {"GET /a}", "a brace is out of place"},
};

static void test_routes(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(route_cases); i++) {
        struct http_trigger_config t;
        struct error e = {0};
        int result = route_parse(slice_of(route_cases[i].text), &a, &t, &e);
        const char *words = route_cases[i].words;
        if (result != (words ? -ERROR_BLUEPRINT : 0) || (words && !strstr(e.message, words))) {
            print_error("%s: %d %s\n", route_cases[i].text, result, e.message);
            fail();
        }
    }
    arena_free(&a);
}

static void test_route_segments_are_bounded(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    char text[4 + 2 * (ROUTE_MAX_SEGMENTS + 1) + 1] = "GET ";
    for (size_t i = 0; i <= ROUTE_MAX_SEGMENTS; i++) memcpy(text + 4 + 2 * i, "/a", 3);
    struct http_trigger_config t;
    struct error e;
    assert_int_equal(route_parse(slice_of(text), &a, &t, &e), -ERROR_BLUEPRINT);
    text[sizeof text - 3] = '\0';
    assert_int_equal(route_parse(slice_of(text), &a, &t, &e), 0);
    arena_free(&a);
}

static void test_routes_of_different_rank_live_together(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers:\n  a:\n    command: /a\n    triggers:\n"
                                      "      - http: GET /a/{x}\n      - http: GET /{y}/b\n      - http: ANY /a/{x}\n"
                                      "      - http: POST /a/{x}\n      - http: GET /a/{x+}\n      - http: GET /a/\n"
                                      "      - http: GET /a\n      - http: HEAD /a\n");
    assert_int_equal(b->handlers[0].http_trigger_count, 8);
    blueprint_release(b);
}

static void test_listeners(void **state) {
    (void)state;
    struct arena a;
    struct listener_config l;
    struct error e;
    arena_init(&a, 1024);
    assert_int_equal(listener_parse(SLICE(":80"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "0.0.0.0");
    assert_int_equal(l.port, 80);
    assert_int_equal(listener_parse(SLICE("localhost:0"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "127.0.0.1");
    assert_int_equal(l.port, 0);
    assert_int_equal(listener_parse(SLICE("[::]:65535"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "::");
    assert_int_equal(listener_parse(SLICE("unix:/run/s"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.path, "/run/s");
    assert_string_equal(l.text, "unix:/run/s");
    char path[5 + 108 + 1] = "unix:/";
    memset(path + 6, 'x', sizeof path - 7);
    assert_int_equal(listener_parse(slice_of(path), "/d", &a, &l, &e), -ERROR_BLUEPRINT);
    assert_non_null(strstr(e.message, "108 bytes"));
    path[sizeof path - 2] = '\0';
    assert_int_equal(listener_parse(slice_of(path), "/d", &a, &l, &e), 0);
    static const char *const wrong[] = {"",      "80",         "1.2.3:80",    "[::1]", "[1.2.3.4]:80",
                                        "[]:80", "1.2.3.4:-1", "1.2.3.4:8 0", "unix:"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(listener_parse(slice_of(wrong[i]), "/d", &a, &l, &e), -ERROR_BLUEPRINT);
    }
    arena_free(&a);
}

static void test_reserved_names(void **state) {
    (void)state;
    assert_non_null(environment_reserved(SLICE("AWS_LAMBDA_FUNCTION_NAME"), HANDLER_RUNTIME));
    assert_null(environment_reserved(SLICE("AWS_REGION"), HANDLER_RUNTIME));
    assert_null(environment_reserved(SLICE("PORT"), HANDLER_RUNTIME));
    assert_non_null(environment_reserved(SLICE("PORT"), HANDLER_SERVER));
    assert_null(environment_reserved(SLICE("PORTS"), HANDLER_SERVER));
    assert_null(environment_reserved(SLICE("HTTP_PROXY"), HANDLER_RUNTIME));
    assert_non_null(environment_reserved(SLICE("HTTP_PROXY"), HANDLER_ONCE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_lines_and_defaults),
        cmocka_unit_test(test_paths_are_relative_to_the_file),
        cmocka_unit_test(test_whole_example),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_server_concurrency),
        cmocka_unit_test(test_builds_and_attaching),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_printing),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_route_segments_are_bounded),
        cmocka_unit_test(test_routes_of_different_rank_live_together),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_reserved_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
