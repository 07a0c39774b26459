/* From bytes to invocations and back: a real server and pipeline, an executor that does what the test says. */
#include "gateway/base/http_text.h"
#include "gateway/source/http/http_source.h"
#include "plugins/limits/limits.h"
#include "plugins/request_id/request_id.h"
#include "tests/support/blueprint_text.h"
#include "tests/support/client.h"
#include <stdio.h>

static const char one_route[] = "blueprint: 1\nname: test\n"
                                "handlers:\n"
                                "  hands:\n"
                                "    command: /bin/true\n"
                                "    triggers: [{http: 'ANY /items/{id}', maxBody: 100B}]\n";

struct office {
    struct clock *clock;
    struct loop *loop;
    struct log *log;
    struct pipeline pipeline;
    struct router *router;
    struct blueprint *blueprint;
    struct handler_config *handler;
    struct route route;
    struct hook hooks[2];
    struct executor executor;
    struct list queued, running;
    struct http_source *source;
    uint16_t port;
    size_t submitted, completed, cancelled;
    struct invocation *last;
    char body[256];
};

static struct office *office_of(struct executor *e) {
    return container_of(e, struct office, executor);
}

static enum failure room(struct executor *e, uint32_t *retry_after_s) {
    (void)e;
    (void)retry_after_s;
    return FAILURE_NONE;
}

static void submit(struct executor *e, struct invocation *inv) {
    struct office *o = office_of(e);
    o->submitted++;
    o->last = inv;
    o->body[0] = '\0';
    if (inv->body && body_state_of(inv->body) == BODY_COMPLETE)
        snprintf(o->body, sizeof o->body, SLICE_FMT, SLICE_ARG(body_whole(inv->body)));
    invocation_move(inv, INVOCATION_QUEUED, &o->queued);
}

static void completed(struct executor *e, struct invocation *inv) {
    (void)inv;
    office_of(e)->completed++;
}

static void cancel(struct executor *e, struct invocation *inv) {
    (void)inv;
    office_of(e)->cancelled++;
}

static const struct executor_ops executor_ops = {
    .room = room, .submit = submit, .completed = completed, .cancel = cancel};

static void office_hook(struct office *o, size_t i, const struct plugin *plugin) {
    const struct plugin_host host = {.clock = o->clock, .blueprint = o->blueprint};
    struct error e;
    o->hooks[i] = (struct hook){.name = plugin->name,
                                .self = o->blueprint->settings[i],
                                .pre = plugin->pre_handle,
                                .post = plugin->post_handle};
    if (plugin->open) assert_int_equal(plugin->open(&host, o->blueprint->settings[i], &o->hooks[i].self, &e), 0);
}

static int setup(void **state) {
    struct office *o = xcalloc(1, sizeof *o);
    struct error e;
    o->clock = clock_system_new();
    o->loop = loop_new(o->clock, &e);
    o->log = log_new(STDERR_FILENO, LOG_FORMAT_TEXT, LOG_OFF, o->clock);
    pipeline_init(&o->pipeline, o->clock, o->log, loop_deadlines(o->loop), loop_turn(o->loop));
    const struct sections sections = {{request_id_plugin.section, limits_plugin.section}, 2};
    o->blueprint = blueprint_of_text(one_route, &sections);
    office_hook(o, 0, &request_id_plugin);
    office_hook(o, 1, &limits_plugin);
    o->pipeline.hooks = o->hooks;
    o->pipeline.hook_count = ARRAY_LEN(o->hooks);
    list_init(&o->queued);
    list_init(&o->running);
    o->executor.ops = &executor_ops;
    o->handler = &o->blueprint->handlers[0];
    o->route = (struct route){.handler = o->handler, .trigger = o->handler->http_triggers, .executor = &o->executor};
    o->router = router_new();
    assert_int_equal(router_add(o->router, SLICE("ANY"), SLICE("/items/{id}"), &o->route, &e), 0);
    o->pipeline.router = o->router;
    struct limits_config limits = {.connections = 10, .max_body = 1000, .max_header = 4096};
    limits.header_timeout_ms = limits.body_timeout_ms = limits.idle_timeout_ms = 500;
    o->source = http_source_new(o->loop, &o->pipeline, &limits, &e);
    assert_non_null(o->source);
    struct listener_config where = {.kind = LISTENER_TCP, .host = "127.0.0.1", .text = "where"};
    assert_int_equal(http_source_listen(o->source, &where, &e), 0);
    o->port = (uint16_t)atoi(strchr(http_source_address(o->source, 0), ':') + 1);
    *state = o;
    return 0;
}

static bool source_idle(void *context) {
    return http_source_is_idle(context);
}

static int teardown(void **state) {
    struct office *o = *state;
    http_source_abort(o->source);
    assert_true(loop_run_until(o->loop, source_idle, o->source, WAIT_MS));
    http_source_free(o->source);
    pipeline_close(&o->pipeline);
    limits_plugin.close(o->hooks[1].self);
    router_free(o->router);
    loop_free(o->loop);
    log_free(o->log);
    clock_system_free(o->clock);
    blueprint_release(o->blueprint);
    free(o);
    return 0;
}

static void answer(struct office *o, const char *text) {
    struct invocation *inv = o->last;
    struct outcome outcome = {.status = 200, .body = body_of_chunk(chunk_copy(slice_of(text)))};
    fields_add(&outcome.headers, &inv->arena, SLICE("Content-Type"), SLICE("text/plain"));
    assert_true(invocation_complete(inv, outcome));
}

static void a_request_becomes_an_invocation(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "GET /items/4%202?a=b HTTP/1.1\r\nHost: shop.test:80\r\nX-Request-Id: abc-1\r\n"
                   "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    const struct invocation *inv = o->last;
    assert_slice(inv->request.method, "GET");
    assert_slice(inv->request.target, "/items/4%202?a=b");
    assert_slice(inv->request.version, "HTTP/1.1");
    assert_slice(inv->request.url.query, "a=b");
    assert_slice(inv->parameters[0], "4 2");
    assert_slice(inv->request.host, "shop.test:80");
    assert_slice(inv->request.scheme, "http");
    assert_slice(inv->request.client_address, "127.0.0.1");
    assert_int_equal(inv->request.headers.count, 3);
    assert_slice(inv->request_id, "abc-1");
    assert_memory_equal(inv->trace_id, "0af7651916cd43dd8448eb211c80319c", 32);
    assert_null(inv->body);
    answer(o, "item");
    client_expect(c, "HTTP/1.1 200 OK\r\n");
    client_expect(c, "Content-Type: text/plain\r\nX-Request-Id: abc-1\r\nContent-Length: 4\r\n\r\nitem");
    client_free(c);
}

static void the_targets_authority_is_the_host(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "GET http://real.test/items/1 HTTP/1.1\r\nHost: other.test\r\nX-Request-Id: not sane\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    assert_slice(o->last->request.host, "real.test");
    assert_int_equal(o->last->request_id.n, UUID_TEXT_SIZE);
    answer(o, "x");
    client_expect(c, "\r\n\r\nx");
    client_free(c);
}

static void a_body_is_collected(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    run_on(o->loop, 20);
    assert_int_equal(o->submitted, 0);
    client_send(c, "def");
    wait_count(o->loop, &o->submitted, 1);
    assert_string_equal(o->body, "abcdef");
    answer(o, "one");
    client_expect(c, "\r\n\r\none");
    client_send(c, "PUT /items/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n");
    wait_count(o->loop, &o->submitted, 2);
    assert_string_equal(o->body, "xyz");
    answer(o, "two");
    client_expect(c, "\r\n\r\ntwo");
    client_free(c);
}

static void refusals_are_problems(void **state) {
    struct office *o = *state;
    static const struct {
        const char *request, *line, *detail;
        bool closes;
    } rows[] = {
        {"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", "No such route", false},
        {"GET /items/%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "NUL", false},
        {"GET /items/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 ", "more than one Host", true},
        {"GET /items/1 HTTP/1.1\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "CRLF", true},
        {"POST /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 400 ", "together", true},
        {"POST /items/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501 ", "chunked",
         true},
        {"POST /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 ",
         "Content-Length", true},
        {"POST /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "HTTP/1.1 413 ", "at most 100", true},
        {"POST /items/1 HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 417 ",
         "100-continue", true},
        {"TRACE /items/1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 ", "TRACE", true},
        {"GET /items/1 HTTP/1.9\r\nHost: a\r\n\r\n", "HTTP/1.1 505 ", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client *c = client_new(o->loop, o->port);
        client_send(c, rows[i].request);
        client_expect(c, rows[i].line);
        client_expect(c, "X-Request-Id: ");
        client_expect(c, "{\"type\":\"urn:execgate:problem:");
        client_expect(c, rows[i].detail);
        if (rows[i].closes) client_expect_end(c);
        client_free(c);
    }
    assert_int_equal(o->submitted, 0);
}

static void a_chunked_body_over_the_limit_is_refused(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "POST /items/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n");
    char piece[101] = "";
    memset(piece, 'x', 100);
    client_send(c, piece);
    run_on(o->loop, 20);
    client_pump(c);
    assert_int_equal(c->in.n, 0);
    client_send(c, "\r\n1\r\ny\r\n");
    client_expect(c, "HTTP/1.1 413 ");
    client_expect(c, "at most 100 bytes");
    client_expect_end(c);
    client_free(c);
}

static void a_slow_body_is_told(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "POST /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nabc");
    client_expect(c, "HTTP/1.1 408 ");
    client_expect(c, "urn:execgate:problem:request-timeout");
    client_expect_end(c);
    client_free(c);
}

static void a_long_head_is_refused(void **state) {
    struct office *o = *state;
    static const char *const rows[][2] = {
        {"GET /items/1 HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n", "HTTP/1.1 431 "},
        {"GET /items/%s HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 414 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char filler[4200] = "", text[4400];
        memset(filler, 'f', sizeof filler - 1);
        const char *hole = strstr(rows[i][0], "%s");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - rows[i][0]), rows[i][0], filler, hole + 2);
        struct client *c = client_new(o->loop, o->port);
        client_send(c, text);
        client_expect(c, rows[i][1]);
        client_expect(c, "urn:execgate:problem:");
        client_expect_end(c);
        client_free(c);
    }
}

static void a_head_of_the_greatest_length_is_served(void **state) {
    struct office *o = *state;
    char text[4097] = "GET /items/1 HTTP/1.1\r\nHost: a\r\nCookie: ";
    size_t n = strlen(text);
    memset(text + n, 'f', sizeof text - 1 - n);
    memcpy(text + sizeof text - 5, "\r\n\r\n", 4);
    struct client *c = client_new(o->loop, o->port);
    client_send(c, text);
    wait_count(o->loop, &o->submitted, 1);
    answer(o, "served");
    client_expect(c, "\r\n\r\nserved");
    client_free(c);
}

static void options_of_the_server(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(c, "HTTP/1.1 204 No Content\r\n");
    client_expect(c, "Allow: GET, ");
    client_expect(c, "\r\n\r\n");
    client_send(c, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    answer(o, "still here");
    client_expect(c, "still here");
    client_free(c);
}

static void a_client_that_leaves_cancels(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    client_leave(c);
    wait_count(o->loop, &o->completed, 1);
    assert_int_equal(o->pipeline.in_flight, 0);
    assert_int_equal(o->pipeline.counters.failures[FAILURE_CLIENT_GONE], 1);
    client_free(c);
}

static void a_client_that_leaves_a_running_one_detaches(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    invocation_move(o->last, INVOCATION_RUNNING, &o->running);
    client_leave(c);
    wait_count(o->loop, &o->cancelled, 1);
    assert_true(loop_run_until(o->loop, source_idle, o->source, WAIT_MS));
    assert_int_equal(o->pipeline.in_flight, 1);
    answer(o, "to nobody");
    assert_int_equal(o->pipeline.in_flight, 0);
    client_free(c);
}

static void a_client_that_leaves_in_mid_upload_cancels(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "POST /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nabc");
    run_on(o->loop, 20);
    assert_int_equal(o->pipeline.in_flight, 1);
    client_leave(c);
    assert_true(loop_run_until(o->loop, source_idle, o->source, WAIT_MS));
    assert_int_equal(o->pipeline.in_flight, 0);
    client_free(c);
}

static void a_full_house_waits_in_the_backlog(void **state) {
    struct office *o = *state;
    struct client *clients[11];
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) clients[i] = client_new(o->loop, o->port);
    client_send(clients[10], "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    run_on(o->loop, 50);
    assert_int_equal(o->submitted, 0);
    client_leave(clients[0]);
    wait_count(o->loop, &o->submitted, 1);
    answer(o, "in");
    client_expect(clients[10], "\r\n\r\nin");
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) client_free(clients[i]);
}

static void drain_lets_what_runs_finish(void **state) {
    struct office *o = *state;
    struct client *c = client_new(o->loop, o->port);
    client_send(c, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_count(o->loop, &o->submitted, 1);
    http_source_drain(o->source);
    assert_false(http_source_is_idle(o->source));
    answer(o, "last");
    client_expect(c, "Connection: close\r\n");
    client_expect(c, "\r\n\r\nlast");
    client_expect_end(c);
    assert_true(loop_run_until(o->loop, source_idle, o->source, WAIT_MS));
    client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_becomes_an_invocation, setup, teardown),
        cmocka_unit_test_setup_teardown(the_targets_authority_is_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_is_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_are_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunked_body_over_the_limit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_body_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_head_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_of_the_greatest_length_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(options_of_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_a_running_one_detaches, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_in_mid_upload_cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_house_waits_in_the_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(drain_lets_what_runs_finish, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
