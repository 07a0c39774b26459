/* The Lambda Runtime API as official clients drive it: states, attempts, concurrency, sizes, streams, the end. */
#include "tests/support/booth.h"
#include <jansson.h>

#define NEXT "/2018-06-01/runtime/invocation/next"

struct held { /* what next said */
    char id[64];
    char attempt[64];
    struct message event;
};

static void keep(struct held *h, struct message m) {
    *h = (struct held){.event = m};
    assert_int_equal(m.status, 200);
    snprintf(h->id, sizeof h->id, SLICE_FMT, SLICE_ARG(message_field(&m, "Lambda-Runtime-Aws-Request-Id")));
    snprintf(h->attempt, sizeof h->attempt, SLICE_FMT, SLICE_ARG(message_field(&m, "Lambda-Runtime-Invocation-Id")));
}

static void take(struct client *c, struct held *h) {
    keep(h, client_receive(c));
}

static void answer(struct client *c, const char *id, const char *fields, const char *body) {
    char path[160];
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/response", id);
    client_post(c, path, fields, body);
}

static void report(struct client *c, const char *id, const char *fields, const char *body) {
    char path[160];
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s/error", id);
    client_post(c, path, fields, body);
}

static const char *reply_body(struct reply *r) {
    return r->body.p;
}

static bool worker_is_idle(void *context) {
    return pool_workers(((struct booth *)context)->pool, WORKER_IDLE) == 1;
}

struct want {
    const struct worker *worker;
    unsigned number;
};

static bool want_is(void *context) {
    const struct want *w = context;
    return w->worker->want == w->number;
}

static void await_want(struct booth *b, unsigned number) {
    struct want w = {b->processes[0]->worker, number};
    assert_true(loop_run_until(b->loop, want_is, &w, WAIT_MS));
}

static void await_idle(struct booth *b) {
    assert_true(loop_run_until(b->loop, worker_is_idle, b, WAIT_MS));
}

static void an_event_and_its_answer(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    await_idle(&b);
    struct invocation *inv = booth_submit(&b, &r, "/items/42?a=b", "{\"n\":1}");
    char id[37] = {0};
    memcpy(id, inv->id, 36);
    uint64_t now_ms = clock_wall_ms(b.clock), deadline_ms = 0;
    take(c, &h);
    assert_string_equal(h.id, id);
    assert_string_not_equal(h.attempt, id);
    assert_int_equal(strlen(h.attempt), 36);
    assert_slice(message_field(&h.event, "Content-Type"), "application/json");
    assert_slice(message_field(&h.event, "Lambda-Runtime-Invoked-Function-Arn"),
                 "arn:aws:lambda:us-east-1:012345678912:function:shop");
    assert_true(slice_to_u64(message_field(&h.event, "Lambda-Runtime-Deadline-Ms"), &deadline_ms));
    assert_in_range(deadline_ms, now_ms + 19000, now_ms + 21000);
    struct slice trace = message_field(&h.event, "Lambda-Runtime-Trace-Id");
    assert_int_equal(trace.n, sizeof "Root=1-12345678-123456789012345678901234;Parent=1234567890123456;Sampled=0" - 1);
    assert_true(slice_starts_with(trace, SLICE("Root=1-")));
    assert_none(message_field(&h.event, "Lambda-Runtime-Cognito-Identity"));
    assert_none(message_field(&h.event, "Lambda-Runtime-Client-Context"));
    json_t *event = json_loads(h.event.body.p, 0, NULL);
    assert_non_null(event);
    assert_string_equal(json_string_value(json_object_get(event, "rawPath")), "/items/42");
    assert_string_equal(json_string_value(json_object_get(event, "body")), "{\"n\":1}");
    json_decref(event);
    answer(c, h.id, "", "{\"statusCode\":201,\"headers\":{\"x\":\"y\"},\"body\":\"done\"}");
    struct message m = client_receive(c);
    assert_int_equal(m.status, 202);
    assert_string_equal(m.body.p, "{\"status\":\"OK\"}");
    assert_slice(message_field(&m, "Content-Type"), "application/json");
    message_free(&m);
    booth_await_head(&b, &r);
    assert_string_equal(reply_body(&r), "done");
    assert_string_equal(r.headers, "x: y; content-type: application/json");
    booth_await(&b, &r, 201, "done");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

/* Post and next in one write, as quick clients do. */
static void a_pipelined_client(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial_local(&b, 0);
    client_get(c, NEXT);
    for (int i = 0; i < 20; i++) {
        struct reply r;
        struct held h;
        booth_submit(&b, &r, "/items/1", NULL);
        take(c, &h);
        client_printf(
            c,
            "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\"%d\""
            "GET " NEXT " HTTP/1.1\r\nHost: x\r\n\r\n",
            h.id, 10 + i);
        client_expect_reply(c, 202, "OK");
        char text[16];
        snprintf(text, sizeof text, "\"%d\"", 10 + i);
        booth_await(&b, &r, 200, text);
        message_free(&h.event);
    }
    client_free(c);
    booth_close(&b);
}

/* Go sends every body chunked, with declared trailers, without a length. */
static void a_chunked_answer(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    client_printf(
        c,
        "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type\r\nLambda-Runtime-Invocation-Id: %s\r\n\r\n"
        "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
        h.id, h.attempt);
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 200, "{\"a\":1}");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

static void answers_that_are_refused(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    const char *unknown = "11111111-1111-4111-8111-111111111111";
    answer(c, unknown, "", "{}");
    client_expect_reply(c, 403, "InvalidStateTransition");
    report(c, unknown, "", "{}");
    client_expect_reply(c, 403, "Started");
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    client_post(c, "/2018-06-01/runtime/init/error", "", "{}");
    client_expect_reply(c, 403, "from Running to InitError");
    answer(c, unknown, "", "{}");
    client_expect_reply(c, 400, "InvalidRequestID");
    answer(c, "short", "", "{}");
    client_expect_reply(c, 400, "InvalidRequestID");
    answer(c, h.id, "Lambda-Runtime-Invocation-Id: 11111111-1111-4111-8111-111111111111\r\n", "{}");
    client_expect_reply(c, 400, "InvalidRequestID");
    report(c, h.id, "Lambda-Runtime-Invocation-Id: x\r\n", "{}");
    client_expect_reply(c, 400, "InvalidRequestID");
    answer(c, h.id, "Lambda-Runtime-Function-Response-Mode: buffered\r\n", "{}");
    client_expect_reply(c, 400, "InvalidFunctionResponseMode");
    assert_false(r.finished);
    answer(c, h.id, "", "1");
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 200, "1");
    answer(c, h.id, "", "2");
    client_expect_reply(c, 400, "InvalidRequestID");
    report(c, h.id, "", "{}");
    client_expect_reply(c, 400, "InvalidRequestID");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

static void paths_and_methods(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, "/2018-06-01/ping");
    client_expect_reply(c, 200, "pong");
    client_get(c, "/2018-06-01/runtime/restore/next");
    client_expect_reply(c, 404, "errorType");
    client_get(c, "/2018-06-01/runtime/invocation//response");
    client_expect_reply(c, 404, "errorMessage");
    client_post(c, NEXT, "", "");
    client_expect_reply(c, 405, "MethodNotAllowed");
    client_get(c, "/v1/nothing");
    client_expect_reply(c, 404, "detail");
    client_get(c, "/v1/exchange");
    client_expect_reply(c, 405, "detail");
    client_free(c);
    booth_close(&b);
}

/* The connection was lost between the event and its reading: the same event again, with the same ids. */
static void a_second_next_is_given_the_same_event(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held first, second;
    booth_open(&b);
    booth_build(&b);
    struct client *lost = booth_dial(&b, 0);
    client_get(lost, NEXT);
    booth_submit(&b, &r, "/items/1", "{}");
    take(lost, &first);
    client_free(lost);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    take(c, &second);
    assert_string_equal(first.id, second.id);
    assert_string_equal(first.attempt, second.attempt);
    assert_string_equal(first.event.body.p, second.event.body.p);
    answer(c, second.id, "", "1");
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 200, "1");
    message_free(&first.event);
    message_free(&second.event);
    client_free(c);
    booth_close(&b);
}

/* A poll that has gone is given nothing; the event waits for the next one. */
static void a_poll_that_has_gone(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *lost = booth_dial(&b, 0);
    client_get(lost, NEXT);
    await_idle(&b);
    client_leave(lost);
    await_want(&b, 0);
    booth_submit(&b, &r, "/items/1", NULL);
    run_on(b.loop, 20);
    assert_int_equal(pool_queued(b.pool), 1);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    take(c, &h);
    answer(c, h.id, "", "1");
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 200, "1");
    message_free(&h.event);
    client_free(lost);
    client_free(c);
    booth_close(&b);
}

static void errors_reach_the_log_and_not_the_client(void **state) {
    (void)state;
    static const char *const cases[][4] = {
        /* header, body, type shown, text logged */
        {"", "{\"errorMessage\":\"secret one\",\"errorType\":\"KeyError\",\"stackTrace\":[\"at main\"]}", "KeyError",
         "secret one"},
        {"Lambda-Runtime-Function-Error-Type: Runtime.Oops\r\n",
         "{\"errorMessage\":\"secret two\",\"errorType\":\"java.io.IOException\"}", "java.io.IOException",
         "secret two"},
        {"Lambda-Runtime-Function-Error-Type: Runtime.Oops\r\n", "{\"errorMessage\":\"secret two\"}", "Runtime.Oops",
         "secret two"},
        {"Lambda-Runtime-Function-Error-Type: unhandled\r\n", "secret three", "Function.Unknown", "secret three"},
        {"Lambda-Runtime-Function-Error-Type: Function.bad\r\n", "{\"errorType\":\"<script>\"}", "Function.Unknown",
         "Function.Unknown"},
        {"", "", "Function.Unknown", "Function.Unknown"},
    };
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply r;
        struct held h;
        client_get(c, NEXT);
        booth_submit(&b, &r, "/items/1", NULL);
        take(c, &h);
        report(c, h.id, cases[i][0], cases[i][1]);
        client_expect_reply(c, 202, "OK");
        booth_await_head(&b, &r);
        assert_int_equal(r.failure, FAILURE_HANDLER_ERROR);
        assert_null(strstr(reply_body(&r), "secret"));
        booth_await(&b, &r, 502, cases[i][2]);
        assert_true(booth_logged(&b, cases[i][3]));
        message_free(&h.event);
    }
    assert_true(booth_logged(&b, "at main"));
    client_free(c);
    booth_close(&b);
}

static void an_invalid_answer(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    answer(c, h.id, "", "Traceback (most recent call last)");
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 502, "it is not JSON");
    assert_true(booth_logged(&b, "Traceback (most recent"));
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

/* At the limit it passes, above it both sides are told, and the process goes on. */
static void the_size_of_an_answer(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    for (int over = 0; over < 3; over++) {
        struct reply r;
        struct held h;
        struct buf body = {0};
        client_get(c, NEXT);
        booth_submit(&b, &r, "/items/1", NULL);
        take(c, &h);
        buf_append_char(&body, '"');
        for (int i = 0; i < 1098; i++) buf_append_char(&body, 'x');
        if (over) buf_append_char(&body, 'x');
        buf_append(&body, "\"", 2);
        if (over < 2)
            answer(c, h.id, "", body.p);
        else
            client_printf(c,
                          "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                          h.id, strlen(body.p), body.p);
        client_expect_reply(c, over ? 413 : 202, over ? "RequestEntityTooLarge" : "OK");
        booth_await(&b, &r, over ? 502 : 200, over ? "handler-answer-too-large" : "xxx");
        buf_free(&body);
        message_free(&h.event);
        if (over == 2) break; /* answered before its end: the connection is given up */
    }
    struct client *again = booth_dial(&b, 0);
    client_get(again, NEXT);
    await_idle(&b);
    client_free(again);
    client_free(c);
    booth_close(&b);
}

/* Its connection ends in the middle: nothing was answered, and it may be answered again. */
static void a_truncated_answer_is_none(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    client_printf(
        c, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"a\"",
        h.id);
    run_on(b.loop, 10);
    client_free(c);
    run_on(b.loop, 10);
    assert_false(r.finished);
    c = booth_dial(&b, 0);
    answer(c, h.id, "", "{\"a\":2}");
    client_expect_reply(c, 202, "OK");
    booth_await(&b, &r, 200, "{\"a\":2}");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

static void init_errors(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_post(c, "/2018-06-01/runtime/init/error",
                "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n",
                "{\"errorMessage\":\"no module\",\"errorType\":\"Runtime.ImportModuleError\"}");
    client_expect_reply(c, 202, "OK");
    assert_true(booth_logged(&b, "no module"));
    assert_int_equal(pool_workers(b.pool, WORKER_STARTING), 0);
    assert_true(loop_run_until(b.loop, client_has_ended, c, WAIT_MS));
    client_free(c);
    booth_close(&b);
}

static void many_at_once_answered_in_any_order(void **state) {
    (void)state;
    struct booth b;
    struct reply replies[4];
    struct held held[4];
    struct client *clients[5];
    booth_open(&b);
    b.handler.processes.concurrency = 4;
    booth_build(&b);
    assert_string_equal(process_variable(b.processes[0], "AWS_LAMBDA_MAX_CONCURRENCY"), "4");
    for (size_t i = 0; i < 5; i++) {
        clients[i] = booth_dial(&b, 0);
        client_get(clients[i], NEXT);
        await_want(&b, i < 4 ? (unsigned)i + 1 : 4); /* so that they wait in this order */
    }
    assert_int_equal(b.processes[0]->worker->want, 4);
    for (size_t i = 0; i < 4; i++) {
        char target[32];
        snprintf(target, sizeof target, "/items/%zu", i);
        booth_submit(&b, &replies[i], target, NULL);
    }
    for (size_t i = 0; i < 4; i++) take(clients[i], &held[i]);
    run_on(b.loop, 10);
    client_pump(clients[4]);
    assert_int_equal(clients[4]->in.n, 0);
    for (size_t i = 4; i-- > 0;) {
        char path[32], text[32];
        snprintf(path, sizeof path, "/items/%zu", i);
        assert_non_null(strstr(held[i].event.body.p, path));
        snprintf(text, sizeof text, "\"answer %zu\"", i);
        answer(clients[i], held[i].id, "", text);
        client_expect_reply(clients[i], 202, "OK");
        booth_await(&b, &replies[i], 200, text);
        message_free(&held[i].event);
    }
    struct reply r;
    struct held last;
    booth_submit(&b, &r, "/items/9", NULL);
    take(clients[4], &last); /* an answer by another connection is as good */
    answer(clients[0], last.id, "", "9");
    client_expect_reply(clients[0], 202, "OK");
    booth_await(&b, &r, 200, "9");
    message_free(&last.event);
    for (size_t i = 0; i < 5; i++) client_free(clients[i]);
    booth_close(&b);
}

static void a_late_answer(void **state) {
    (void)state;
    for (uint64_t concurrency = 1; concurrency <= 2; concurrency++) {
        struct booth b;
        struct reply r;
        struct held h;
        booth_open(&b);
        b.handler.timeout_ms = 30;
        b.handler.processes.concurrency = concurrency;
        booth_build(&b);
        b.processes[0]->stubborn = true;
        struct client *c = booth_dial(&b, 0);
        client_get(c, NEXT);
        await_idle(&b);
        booth_submit(&b, &r, "/items/1", NULL);
        take(c, &h);
        booth_await(&b, &r, 504, "handler-timeout");
        answer(c, h.id, "", "1");
        client_expect_reply(c, concurrency > 1 ? 410 : 400, concurrency > 1 ? "InvokeTimeout" : "InvalidRequestID");
        b.processes[0]->stubborn = false;
        message_free(&h.event);
        client_free(c);
        booth_close(&b);
    }
}

/* Another process of the same handler cannot answer for this one. */
static void an_id_of_another_process(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    b.handler.processes.min = b.handler.processes.max = 2;
    booth_build(&b);
    struct client *first = booth_dial(&b, 0), *second = booth_dial(&b, 1);
    client_get(first, NEXT);
    await_idle(&b);
    booth_submit(&b, &r, "/items/1", NULL);
    take(first, &h);
    client_get(second, NEXT);
    await_idle(&b);
    struct client *forger = booth_dial(&b, 1);
    answer(forger, h.id, "", "1");
    client_expect_reply(forger, 400, "InvalidRequestID");
    assert_false(r.finished);
    answer(first, h.id, "", "2");
    client_expect_reply(first, 202, "OK");
    booth_await(&b, &r, 200, "2");
    message_free(&h.event);
    client_free(first);
    client_free(second);
    client_free(forger);
    booth_close(&b);
}

/* next is never answered with an error: it is held, the process is signalled, the connection closes. */
static void the_end_of_a_process(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    booth_build(&b);
    b.processes[0]->stubborn = true;
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    await_idle(&b);
    pool_drain(b.pool);
    run_on(b.loop, 20);
    assert_int_equal(b.processes[0]->last_signal, SIGTERM);
    client_pump(c);
    assert_int_equal(c->in.n, 0);
    assert_false(c->ended);
    process_end(b.processes[0], 0);
    client_expect_end(c);
    assert_int_equal(c->in.n, 0);
    client_free(c);
    booth_close(&b);
}

/* The answer lies in the socket when the exit is seen: it counts. */
static void an_answer_just_before_the_exit(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    answer(c, h.id, "", "\"last words\"");
    client_leave(c);
    process_end(b.processes[0], 0);
    assert_false(r.finished);
    booth_await(&b, &r, 200, "last words");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

static void an_exit_without_an_answer(void **state) {
    (void)state;
    struct booth b;
    struct reply r;
    struct held h;
    booth_open(&b);
    booth_build(&b);
    struct client *c = booth_dial(&b, 0);
    client_get(c, NEXT);
    booth_submit(&b, &r, "/items/1", NULL);
    take(c, &h);
    process_end(b.processes[0], 3 << 8);
    booth_await(&b, &r, 502, "handler-died");
    message_free(&h.event);
    client_free(c);
    booth_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_and_its_answer),
        cmocka_unit_test(a_pipelined_client),
        cmocka_unit_test(a_chunked_answer),
        cmocka_unit_test(answers_that_are_refused),
        cmocka_unit_test(paths_and_methods),
        cmocka_unit_test(a_second_next_is_given_the_same_event),
        cmocka_unit_test(a_poll_that_has_gone),
        cmocka_unit_test(errors_reach_the_log_and_not_the_client),
        cmocka_unit_test(an_invalid_answer),
        cmocka_unit_test(the_size_of_an_answer),
        cmocka_unit_test(a_truncated_answer_is_none),
        cmocka_unit_test(init_errors),
        cmocka_unit_test(many_at_once_answered_in_any_order),
        cmocka_unit_test(a_late_answer),
        cmocka_unit_test(an_id_of_another_process),
        cmocka_unit_test(the_end_of_a_process),
        cmocka_unit_test(an_answer_just_before_the_exit),
        cmocka_unit_test(an_exit_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
