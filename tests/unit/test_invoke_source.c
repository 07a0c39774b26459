/* Invocations by hand: through the real pipeline and pool to a process that the test plays. */
#include "gateway/source/invoke/invoke_source.h"
#include "tests/support/booth.h"

#define NEXT "/2018-06-01/runtime/invocation/next"

struct told {
    int count;
    enum failure failure;
    int status;
    char bytes[256], headers[256], detail[256], report[256], output[256];
    struct body *body;
};

static void copy_text(char out[256], struct slice s) {
    snprintf(out, 256, SLICE_FMT, SLICE_ARG(s));
}

static void on_end(void *context, const struct invoke_answer *a) {
    struct told *t = context;
    size_t n = 0;
    t->count++;
    t->failure = a->failure;
    t->status = a->status;
    t->body = a->body;
    assert_int_equal(a->id.n, UUID_TEXT_SIZE);
    assert_true(a->duration_us >= a->waited_us);
    copy_text(t->bytes, a->bytes);
    copy_text(t->detail, a->detail);
    copy_text(t->output, a->output);
    t->headers[0] = '\0';
    for (size_t i = 0; i < a->headers->count; i++)
        n += (size_t)snprintf(t->headers + n, sizeof t->headers - n, SLICE_FMT ": " SLICE_FMT ";",
                              SLICE_ARG(a->headers->items[i].name), SLICE_ARG(a->headers->items[i].value));
    t->report[0] = '\0';
    if (a->report)
        snprintf(t->report, sizeof t->report, SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT, SLICE_ARG(a->report->type),
                 SLICE_ARG(a->report->message), SLICE_ARG(a->report->posted));
}

static const struct invoke_ops whole = {.reading = INVOKE_WHOLE, .on_end = on_end};
static const struct invoke_ops streamed = {.reading = INVOKE_STREAMED, .on_end = on_end};

static bool is_told(void *context) {
    return ((struct told *)context)->count > 0;
}

static void await_told(struct loop *l, struct told *t) {
    assert_true(loop_run_until(l, is_told, t, WAIT_MS));
    assert_int_equal(t->count, 1);
}

struct scene {
    struct booth b;
    struct client *c;
    struct route route;
    struct told told;
};

static void scene_open(struct scene *s) {
    *s = (struct scene){0};
    booth_open(&s->b);
    booth_build(&s->b);
    s->route = invoke_route(&s->b.handler, pool_executor(s->b.pool));
    s->c = booth_dial(&s->b, 0);
}

static void scene_close(struct scene *s) {
    client_free(s->c);
    booth_close(&s->b);
}

static struct invoke_order order_of(struct scene *s, const struct invoke_ops *ops) {
    return (struct invoke_order){.ops = ops, .context = &s->told, .answer_limit = 100};
}

static struct invoke_call *call(struct scene *s, const struct invoke_order *order) {
    const struct invoke_payload payload = {
        .bytes = SLICE("bytes"), .content_type = SLICE("text/x"), .client_context = SLICE("{\"a\":1}")};
    struct invoke_call *c = invoke_bytes(&s->b.pipeline, &s->route, &payload, order);
    assert_int_equal(s->told.count, 0);
    return c;
}

/* The event, with its id. */
static struct message next(struct scene *s, char id[37]) {
    client_get(s->c, NEXT);
    struct message m = client_receive(s->c);
    memset(id, 0, 37);
    memcpy(id, message_field(&m, "Lambda-Runtime-Aws-Request-Id").p, 36);
    return m;
}

static void post(struct scene *s, const char *id, const char *what, const char *body) {
    char path[128];
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/%s", id, what);
    client_post(s->c, path, "", body);
    client_expect_reply(s->c, 202, "OK");
}

static void bytes_go_and_come(void **state) {
    (void)state;
    struct scene s;
    char id[37];
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &whole);
    call(&s, &order);
    struct message m = next(&s, id);
    assert_slice(message_field(&m, "Content-Type"), "text/x");
    assert_slice(message_field(&m, "Lambda-Runtime-Client-Context"), "{\"a\":1}");
    assert_string_equal(m.body.p, "bytes");
    message_free(&m);
    post(&s, id, "response", "answer");
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, FAILURE_NONE);
    assert_int_equal(s.told.status, 200);
    assert_string_equal(s.told.bytes, "answer");
    assert_true(booth_logged(&s.b, "\"invocation moved\""));
    scene_close(&s);
}

static void failures_come_with_what_the_handler_said(void **state) {
    (void)state;
    struct scene s;
    char id[37];
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &whole);
    call(&s, &order);
    struct message m = next(&s, id);
    message_free(&m);
    post(&s, id, "error", "{\"errorType\":\"T\",\"errorMessage\":\"no\"}");
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, FAILURE_HANDLER_ERROR);
    assert_string_equal(s.told.report, "T|no|{\"errorType\":\"T\",\"errorMessage\":\"no\"}");
    assert_string_equal(s.told.detail, "error type T");
    scene_close(&s);
}

static void an_answer_above_the_limit_fails(void **state) {
    (void)state;
    struct scene s;
    char id[37], body[201] = {0};
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &whole);
    call(&s, &order);
    struct message m = next(&s, id);
    message_free(&m);
    memset(body, 'x', 200);
    char path[128];
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", id);
    client_post(s.c, path, "Lambda-Runtime-Function-Response-Mode: streaming\r\n", body);
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, FAILURE_HANDLER_ANSWER_TOO_LARGE);
    scene_close(&s);
}

static void a_deadline_may_be_given(void **state) {
    (void)state;
    struct scene s;
    char id[37];
    scene_open(&s);
    struct invoke_order order = order_of(&s, &whole);
    order.timeout_ms = 50;
    call(&s, &order);
    struct message m = next(&s, id);
    message_free(&m);
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, FAILURE_HANDLER_TIMEOUT);
    scene_close(&s);
}

/* The head is told while the body is still to come. */
static void a_streamed_answer_is_handed_over(void **state) {
    (void)state;
    struct scene s;
    char id[37], path[128];
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &streamed);
    call(&s, &order);
    struct message m = next(&s, id);
    message_free(&m);
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", id);
    client_printf(s.c,
                  "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Type: text/y\r\n"
                  "Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\nfirst",
                  path);
    await_told(s.b.loop, &s.told);
    assert_string_equal(s.told.headers, "content-type: text/y;");
    assert_non_null(s.told.body);
    assert_int_equal(body_state_of(s.told.body), BODY_OPEN);
    body_collect(s.told.body);
    client_printf(s.c, "other");
    client_expect_reply(s.c, 202, "OK");
    assert_int_equal(body_state_of(s.told.body), BODY_COMPLETE);
    assert_slice(body_whole(s.told.body), "firstother");
    body_release_consumer(s.told.body);
    scene_close(&s);
}

/* Before it is taken, and while it runs: on_end is never called. */
static void a_cancelled_call_is_nobodys(void **state) {
    (void)state;
    struct scene s;
    char id[37];
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &whole);
    invoke_cancel(call(&s, &order));
    struct invoke_call *running = call(&s, &order);
    struct message m = next(&s, id);
    message_free(&m);
    invoke_cancel(running);
    post(&s, id, "response", "late");
    assert_int_equal(s.b.pipeline.in_flight, 0);
    assert_int_equal(s.told.count, 0);
    scene_close(&s);
}

/* --- requests --- */

static struct invoke_call *request(struct scene *s, const char *target, const char *host,
                                   const struct invoke_order *order) {
    struct field items[] = {{SLICE("Host"), slice_of(host)}, {SLICE("Content-Length"), SLICE("2")}};
    const struct fields headers = {items, ARRAY_LEN(items), ARRAY_LEN(items)};
    const struct invoke_http http = {
        .method = SLICE("PUT"), .target = slice_of(target), .headers = &headers, .body = SLICE("{}")};
    return invoke_request(&s->b.pipeline, &http, order);
}

static void a_request_goes_the_way_of_a_clients(void **state) {
    (void)state;
    struct scene s;
    scene_open(&s);
    struct invoke_order order = order_of(&s, &whole);
    order.claims = SLICE("{\"sub\": \"al\xc3\xad\"}");
    order.trace = SLICE("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
    request(&s, "/items/4%202?a=b", "shop.example", &order);
    client_get(s.c, "/v1/next");
    struct message m = client_receive(s.c);
    char id[37] = {0};
    memcpy(id, strstr(m.body.p, "Execgate-Invocation-Id: ") + 24, 36);
    assert_non_null(strstr(m.body.p, "PUT /items/4%202?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(m.body.p, "Execgate-Trigger: http\r\n"));
    assert_non_null(strstr(m.body.p, "Execgate-Parameters: id=4%202\r\n"));
    assert_non_null(strstr(m.body.p, "Execgate-Client-Address: 127.0.0.1\r\n"));
    assert_non_null(strstr(m.body.p, "Execgate-Claims: {\"sub\":\"al\\u00ed\"}\r\n"));
    assert_non_null(strstr(m.body.p, "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n"));
    assert_non_null(strstr(m.body.p, "\r\n\r\n{}"));
    message_free(&m);
    char path[96];
    snprintf(path, sizeof path, "/v1/invocations/%s/response", id);
    client_post(s.c, path, "", "HTTP/1.1 404 X\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno");
    client_expect_reply(s.c, 202, "");
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, FAILURE_NONE);
    assert_int_equal(s.told.status, 404);
    assert_string_equal(s.told.headers, "X-A: b;");
    assert_string_equal(s.told.bytes, "no");
    scene_close(&s);
}

static void check_refused(const char *target, const char *host, enum failure f) {
    struct scene s;
    scene_open(&s);
    const struct invoke_order order = order_of(&s, &whole);
    request(&s, target, host, &order);
    await_told(s.b.loop, &s.told);
    assert_int_equal(s.told.failure, f);
    assert_int_equal(s.told.status, failure_row(f)->status);
    assert_non_null(strstr(s.told.headers, "application/problem+json"));
    scene_close(&s);
}

static void what_a_listener_would_refuse_is_refused(void **state) {
    (void)state;
    check_refused("/nothing", "shop.example", FAILURE_NOT_FOUND);
    check_refused("/items/1", "a b", FAILURE_BAD_REQUEST);
    check_refused("items", "shop.example", FAILURE_BAD_REQUEST);
}

static void claims_are_an_object_fit_for_a_token(void **state) {
    (void)state;
    struct error e;
    assert_true(invoke_claims_check(SLICE("{\"sub\":\"a\",\"x\":[1]}"), &e));
    static const char *const bad[] = {"[]", "{", "{\"sub\":1}", "{\"a\":1,\"a\":2}", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = (struct error){0};
        assert_false(invoke_claims_check(slice_of(bad[i]), &e));
        assert_true(e.message[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_and_come),
        cmocka_unit_test(failures_come_with_what_the_handler_said),
        cmocka_unit_test(an_answer_above_the_limit_fails),
        cmocka_unit_test(a_deadline_may_be_given),
        cmocka_unit_test(a_streamed_answer_is_handed_over),
        cmocka_unit_test(a_cancelled_call_is_nobodys),
        cmocka_unit_test(a_request_goes_the_way_of_a_clients),
        cmocka_unit_test(what_a_listener_would_refuse_is_refused),
        cmocka_unit_test(claims_are_an_object_fit_for_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
