/* Events that are no HTTP requests, on both faces: what a process is given, and what its answers come to. */
#include "local-api/event.h"
#include "tests/support/booth.h"

#define NEXT "/2018-06-01/runtime/invocation/next"
#define BYTES SLICE("not\0json\xff")

static struct client *open_with(struct booth *b) {
    booth_open(b);
    booth_build(b);
    return booth_dial(b, 0);
}

static void close_with(struct booth *b, struct client *c) {
    client_free(c);
    booth_close(b);
}

static void post(struct client *c, struct slice id, const char *what, const char *fields, struct slice body) {
    client_printf(c,
                  "POST /2018-06-01/runtime/invocation/" SLICE_FMT "/%s HTTP/1.1\r\nHost: x\r\n"
                  "Content-Length: %zu\r\n%s\r\n",
                  SLICE_ARG(id), what, body.n, fields);
    client_send_slice(c, body);
    client_expect_reply(c, 202, "OK");
}

static void await_bytes(struct booth *b, struct reply *r, struct slice expected) {
    assert_true(loop_run_until(b->loop, reply_has_ended, r, WAIT_MS));
    assert_int_equal(r->failure, FAILURE_NONE);
    assert_int_equal(r->status, 200);
    assert_true(slice_equal(slice_make(r->body.p, r->body.n - 1), expected));
    buf_free(&r->body);
}

static void bytes_pass_the_lambda_face_untouched(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct client *c = open_with(&b);
    client_get(c, NEXT);
    booth_invoke(&b, &r, "application/x-tea", "{\"client\":{}}", BYTES);
    struct message m = client_receive(c);
    assert_slice(message_field(&m, "Content-Type"), "application/x-tea");
    assert_slice(message_field(&m, "Lambda-Runtime-Client-Context"), "{\"client\":{}}");
    assert_true(slice_equal(slice_make(m.body.p, m.body.n - 1), BYTES));
    /* Nothing of it means anything: not even a statusCode. */
    post(c, message_field(&m, "Lambda-Runtime-Aws-Request-Id"), "response", "", SLICE("{\"statusCode\":404}\0"));
    message_free(&m);
    await_bytes(&b, &r, SLICE("{\"statusCode\":404}\0"));
    close_with(&b, c);
}

static void an_event_and_an_answer_may_be_empty(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct client *c = open_with(&b);
    client_get(c, NEXT);
    booth_invoke(&b, &r, NULL, NULL, SLICE(""));
    struct message m = client_receive(c);
    assert_slice(message_field(&m, "Content-Type"), "application/json");
    assert_none(message_field(&m, "Lambda-Runtime-Client-Context"));
    assert_int_equal(m.body.n, 1);
    post(c, message_field(&m, "Lambda-Runtime-Aws-Request-Id"), "response", "", SLICE(""));
    message_free(&m);
    await_bytes(&b, &r, SLICE(""));
    close_with(&b, c);
}

/* The content type that begins http answers says nothing here. */
static void a_streamed_answer_has_no_prelude(void **state) {
    (void)state;
    static const struct slice bytes = {"{}\0\0\0\0\0\0\0\0rest", 14};
    struct booth b;
    struct reply r;
    struct client *c = open_with(&b);
    client_get(c, NEXT);
    booth_invoke(&b, &r, NULL, NULL, BYTES);
    struct message m = client_receive(c);
    post(c, message_field(&m, "Lambda-Runtime-Aws-Request-Id"), "response",
         "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
         "Lambda-Runtime-Function-Response-Mode: streaming\r\n",
         bytes);
    message_free(&m);
    await_bytes(&b, &r, bytes);
    close_with(&b, c);
}

struct reported {
    bool finished;
    enum failure failure;
    char text[512];
};

static void reported_finish(struct invocation *inv) {
    struct reported *r = inv->source_context;
    const struct handler_report *report = inv->outcome.report;
    r->finished = true;
    r->failure = inv->outcome.failure;
    assert_non_null(report);
    snprintf(r->text, sizeof r->text, SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT, SLICE_ARG(report->type),
             SLICE_ARG(report->message), SLICE_ARG(report->stack), SLICE_ARG(report->posted));
}

static bool has_reported(void *context) {
    return ((struct reported *)context)->finished;
}

static const struct source_ops reported_source = {.name = "reported", .finish = reported_finish};

static struct invocation *submit_reported(struct booth *b, struct reported *r) {
    struct invocation *inv = invocation_new(&b->pipeline, &reported_source, r);
    *r = (struct reported){0};
    inv->trigger = TRIGGER_INVOKE;
    inv->route = &b->route;
    invocation_request_post(inv, "/invoke");
    pipeline_run(inv);
    return inv;
}

static void await_report(struct booth *b, struct reported *r, const char *text) {
    assert_true(loop_run_until(b->loop, has_reported, r, WAIT_MS));
    assert_int_equal(r->failure, FAILURE_HANDLER_ERROR);
    assert_string_equal(r->text, text);
}

static void what_a_handler_reports_comes_along(void **state) {
    (void)state;
    struct booth b;
    struct reported r;
    struct client *c = open_with(&b);
    client_get(c, NEXT);
    submit_reported(&b, &r);
    struct message m = client_receive(c);
    post(c, message_field(&m, "Lambda-Runtime-Aws-Request-Id"), "error", "",
         SLICE("{\"errorMessage\":\"no tea\",\"errorType\":\"TeaError\",\"stackTrace\":[\"a\"]}"));
    message_free(&m);
    await_report(&b, &r,
                 "TeaError|no tea|[\"a\"]|"
                 "{\"errorMessage\":\"no tea\",\"errorType\":\"TeaError\",\"stackTrace\":[\"a\"]}");
    submit_reported(&b, &r);
    client_get(c, "/v1/next");
    m = client_receive(c);
    char id[37] = {0};
    memcpy(id, strstr(m.body.p, "Execgate-Invocation-Id: ") + 24, 36);
    message_free(&m);
    char path[96];
    snprintf(path, sizeof path, "/v1/invocations/%s/error", id);
    client_post(c, path, "", "{\"type\":\"T\",\"message\":\"no cup\"} ");
    client_expect_reply(c, 202, "");
    await_report(&b, &r, "T|no cup||{\"type\":\"T\",\"message\":\"no cup\"} ");
    close_with(&b, c);
}

static struct message next_message(struct booth *b, struct client *c, struct reply *r, char id[37]) {
    client_get(c, "/v1/next");
    booth_invoke(b, r, "text/x", "{\"a\":1}", SLICE("bytes"));
    struct message m = client_receive(c);
    memset(id, 0, 37);
    memcpy(id, strstr(m.body.p, "Execgate-Invocation-Id: ") + 24, 36);
    return m;
}

static void answer_message(struct client *c, const char *id, const char *message) {
    char path[160];
    snprintf(path, sizeof path, "/v1/invocations/%s/response", id);
    client_post(c, path, "", message);
    client_expect_reply(c, 202, "");
}

static void the_native_face_sends_a_request_message(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    char id[37];
    struct client *c = open_with(&b);
    struct message m = next_message(&b, c, &r, id);
    assert_true(strncmp(m.body.p, "POST /invoke HTTP/1.1\r\n", 23) == 0);
    assert_non_null(strstr(m.body.p, "\r\nExecgate-Trigger: invoke\r\n"));
    assert_non_null(strstr(m.body.p, "\r\nExecgate-Client-Context: {\"a\":1}\r\n"));
    assert_non_null(strstr(m.body.p, "\r\nContent-Type: text/x\r\n"));
    assert_null(strstr(m.body.p, "Execgate-Client-Address"));
    assert_non_null(strstr(m.body.p, "\r\nContent-Length: 5\r\n\r\nbytes"));
    message_free(&m);
    answer_message(c, id, "HTTP/1.1 200 OK\r\nContent-Type: text/y\r\nContent-Length: 4\r\n\r\ndone");
    booth_await_head(&b, &r);
    assert_string_equal(r.headers, "Content-Type: text/y");
    await_bytes(&b, &r, SLICE("done"));
    close_with(&b, c);
}

/* There is no client whom a status would tell something. */
static void a_status_says_whether_it_failed(void **state) {
    (void)state;
    static const char *const messages[] = {"HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\ndone", "HTTP/1.1 302 X\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct booth b;
        struct reply r;
        char id[37];
        struct client *c = open_with(&b);
        struct message m = next_message(&b, c, &r, id);
        message_free(&m);
        answer_message(c, id, messages[i]);
        booth_await_head(&b, &r);
        assert_int_equal(r.failure, FAILURE_HANDLER_ERROR);
        booth_await(&b, &r, 502, i ? "it answered with the status 302" : "it answered with the status 404");
        close_with(&b, c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_the_lambda_face_untouched),
        cmocka_unit_test(an_event_and_an_answer_may_be_empty),
        cmocka_unit_test(a_streamed_answer_has_no_prelude),
        cmocka_unit_test(what_a_handler_reports_comes_along),
        cmocka_unit_test(the_native_face_sends_a_request_message),
        cmocka_unit_test(a_status_says_whether_it_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
