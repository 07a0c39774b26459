/* Streamed answers on both faces: preludes, back-pressure, trailers, losses and deadlines. */
#include "tests/support/booth.h"

#define PRELUDE_TYPE "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
#define MODE "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
#define PRELUDE "{\"statusCode\":201,\"headers\":{\"content-type\":\"text/plain\"},\"cookies\":[\"a=1\"]}"
#define NULS "\0\0\0\0\0\0\0\0"

/* A booth with one event taken by a process over Lambda's next. */
struct stage {
    struct booth b;
    struct client *c;
    struct reply r;
    char id[37];
};

static void stage_open(struct stage *s) {
    booth_open(&s->b);
    s->b.limits.max_answer = 16;
    s->b.handler.timeout_ms = 20000;
}

static void stage_take(struct stage *s) {
    client_get(s->c, "/2018-06-01/runtime/invocation/next");
    booth_submit(&s->b, &s->r, "/items/1", NULL);
    struct message m = client_receive(s->c);
    snprintf(s->id, sizeof s->id, SLICE_FMT, SLICE_ARG(message_field(&m, "Lambda-Runtime-Aws-Request-Id")));
    message_free(&m);
}

static void stage_build(struct stage *s) {
    booth_build(&s->b);
    s->c = booth_dial(&s->b, 0);
    stage_take(s);
}

static void stage_close(struct stage *s) {
    client_free(s->c);
    booth_close(&s->b);
    if (s->r.arriving) body_release_consumer(s->r.arriving);
    buf_free(&s->r.body);
}

static void begin(struct stage *s, const char *fields) {
    client_printf(
        s->c,
        "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n",
        s->id, fields);
}

static void send_chunk(struct stage *s, struct slice bytes) {
    struct buf chunk = {0};
    buf_printf(&chunk, "%zx\r\n", bytes.n);
    buf_append_slice(&chunk, bytes);
    buf_append_text(&chunk, "\r\n");
    client_send_slice(s->c, buf_slice(&chunk));
    buf_free(&chunk);
}

static void finish(struct stage *s) {
    client_send(s->c, "0\r\n\r\n");
}

struct arrival {
    struct reply *reply;
    const char *text;
};

static bool has_arrived(void *context) {
    struct arrival *a = context;
    return a->reply->body.n && memmem(a->reply->body.p, a->reply->body.n, a->text, strlen(a->text));
}

static void await_text(struct stage *s, const char *text) {
    struct arrival a = {&s->r, text};
    assert_true(loop_run_until(s->b.loop, has_arrived, &a, WAIT_MS));
}

/* The client sees what is there while the process is still at work. */
static void the_client_gets_it_as_it_comes(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    begin(&s, MODE PRELUDE_TYPE);
    send_chunk(&s, SLICE(PRELUDE NULS "one "));
    booth_await_head(&s.b, &s.r);
    assert_int_equal(s.r.status, 201);
    assert_string_equal(s.r.headers, "content-type: text/plain; set-cookie: a=1");
    await_text(&s, "one ");
    assert_int_equal(s.b.processes[0]->worker->streams.length, 1);
    send_chunk(&s, SLICE("two, and more than a whole answer may be "));
    await_text(&s, "may be ");
    assert_false(s.r.ended);
    send_chunk(&s, SLICE("three"));
    finish(&s);
    client_expect_reply(s.c, 202, "OK");
    booth_await(&s.b, &s.r, 201, "one two, and more than a whole answer may be three");
    assert_int_equal(s.b.processes[0]->worker->streams.length, 0);
    stage_take(&s);
    stage_close(&s);
}

/* Go sends the content type without the mode. */
static void the_prelude_may_be_cut_anywhere(void **state) {
    (void)state;
    const struct slice whole = SLICE(PRELUDE NULS "the body");
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    for (size_t n = 1; n < whole.n; n++) {
        begin(&s, n % 2 ? PRELUDE_TYPE : MODE PRELUDE_TYPE);
        send_chunk(&s, slice_make(whole.p, n));
        send_chunk(&s, slice_make(whole.p + n, whole.n - n));
        finish(&s);
        client_expect_reply(s.c, 202, "OK");
        booth_await(&s.b, &s.r, 201, "the body");
        stage_take(&s);
    }
    stage_close(&s);
}

static void without_a_prelude_the_bytes_are_the_body(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    begin(&s, MODE);
    booth_await_head(&s.b, &s.r);
    assert_int_equal(s.r.status, 200);
    assert_string_equal(s.r.headers, "content-type: application/octet-stream");
    send_chunk(&s, SLICE("raw"));
    finish(&s);
    client_expect_reply(s.c, 202, "OK");
    booth_await(&s.b, &s.r, 200, "raw");
    stage_take(&s);
    client_printf(s.c,
                  "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n" MODE
                  "Content-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>",
                  s.id);
    client_expect_reply(s.c, 202, "OK");
    assert_string_equal(s.r.headers, "content-type: text/html");
    booth_await(&s.b, &s.r, 200, "<p/>");
    stage_close(&s);
}

static void preludes_that_are_none(void **state) {
    (void)state;
    static const struct slice cases[] = {{"{\"statusCode\":200}\0\0x", 21},
                                         {"no json" NULS "x", 16},
                                         {"{\"statusCode\":200}", 18},
                                         {"{\"statusCode\":9}" NULS, 24}};
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(&s, PRELUDE_TYPE);
        send_chunk(&s, cases[i]);
        finish(&s);
        client_expect_reply(s.c, 202, "OK");
        booth_await(&s.b, &s.r, 502, "handler-answer-invalid");
        stage_take(&s);
    }
    stage_close(&s);
}

/* {"errorMessage":"disk full","errorType":"X"} */
#define ERROR_BODY "eyJlcnJvck1lc3NhZ2UiOiJkaXNrIGZ1bGwiLCJlcnJvclR5cGUiOiJYIn0="

static void a_failure_in_trailers_breaks_the_clients_answer(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    begin(&s, PRELUDE_TYPE "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n");
    send_chunk(&s, SLICE(PRELUDE NULS "half of "));
    await_text(&s, "half of ");
    client_send(s.c, "0\r\nLambda-Runtime-Function-Error-Type: Runtime.Broken\r\n"
                     "Lambda-Runtime-Function-Error-Body: " ERROR_BODY "\r\n\r\n");
    client_expect_reply(s.c, 202, "OK");
    booth_await(&s.b, &s.r, 201, "half of ");
    assert_string_equal(s.r.broken, "the handler reported an error while it answered");
    assert_true(booth_logged(&s.b, "disk full"));
    assert_true(booth_logged(&s.b, "\"X\""));
    stage_take(&s);
    stage_close(&s);
}

#define ANNOUNCED "Trailer: Lambda-Runtime-Function-Error-Type\r\nTrailer: Lambda-Runtime-Function-Error-Body\r\n"
#define TYPE_LINE "Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
#define BODY_LINE "Lambda-Runtime-Function-Error-Body: ZGlzayBmdWxs\r\n" /* disk full */

/* As Rust's lambda_runtime does. */
static void trailers_within_the_body_break_the_clients_answer(void **state) {
    (void)state;
    static const char *const cuts[][2] = {{TYPE_LINE BODY_LINE, ""},
                                          {TYPE_LINE "Lambda-Run", "time-Function-Error-Body: ZGlzayBmdWxs\r\n"}};
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        begin(&s, PRELUDE_TYPE ANNOUNCED);
        send_chunk(&s, SLICE(PRELUDE NULS "half of "));
        await_text(&s, "half of ");
        send_chunk(&s, slice_of(cuts[i][0]));
        if (cuts[i][1][0]) send_chunk(&s, slice_of(cuts[i][1]));
        finish(&s);
        client_expect_reply(s.c, 202, "OK");
        booth_await(&s.b, &s.r, 201, "half of ");
        assert_string_equal(s.r.broken, "the handler reported an error while it answered");
        assert_true(booth_logged(&s.b, "disk full"));
        assert_true(booth_logged(&s.b, "Runtime.StreamError"));
        stage_take(&s);
    }
    stage_close(&s);
}

static void text_that_looks_like_trailers_is_text(void **state) {
    (void)state;
    static const struct {
        const char *fields, *chunks[2], *body;
    } cases[] = {
        {PRELUDE_TYPE, {TYPE_LINE BODY_LINE, ""}, TYPE_LINE BODY_LINE},
        {PRELUDE_TYPE ANNOUNCED, {TYPE_LINE BODY_LINE, "and more"}, TYPE_LINE BODY_LINE "and more"},
        {PRELUDE_TYPE ANNOUNCED, {TYPE_LINE, ""}, TYPE_LINE},
        {PRELUDE_TYPE ANNOUNCED, {"see " TYPE_LINE BODY_LINE, ""}, "see " TYPE_LINE BODY_LINE},
        {PRELUDE_TYPE ANNOUNCED,
         {"Lambda-Runtime-Function-Error-Type: x", "y"},
         "Lambda-Runtime-Function-Error-Type: xy"},
    };
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(&s, cases[i].fields);
        send_chunk(&s, SLICE(PRELUDE NULS));
        for (size_t k = 0; k < 2; k++)
            if (cases[i].chunks[k][0]) send_chunk(&s, slice_of(cases[i].chunks[k]));
        finish(&s);
        client_expect_reply(s.c, 202, "OK");
        booth_await(&s.b, &s.r, 201, cases[i].body);
        assert_string_equal(s.r.broken, "");
        stage_take(&s);
    }
    stage_close(&s);
}

static void a_lost_connection_breaks_the_clients_answer(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    begin(&s, PRELUDE_TYPE);
    send_chunk(&s, SLICE(PRELUDE NULS "half of "));
    await_text(&s, "half of ");
    client_free(s.c);
    booth_await(&s.b, &s.r, 201, "half of ");
    assert_string_equal(s.r.broken, "the handler's connection ended before its answer did");
    assert_int_equal(s.b.processes[0]->worker->streams.length, 0);
    s.c = booth_dial(&s.b, 0);
    stage_take(&s);
    stage_close(&s);
}

static void a_stream_has_a_deadline(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    s.b.handler.timeout_ms = 100;
    stage_build(&s);
    s.b.processes[0]->stubborn = true;
    begin(&s, PRELUDE_TYPE);
    send_chunk(&s, SLICE(PRELUDE NULS "half of "));
    booth_await(&s.b, &s.r, 201, "half of ");
    assert_string_equal(s.r.broken, "the answer did not end in time");
    send_chunk(&s, SLICE("the rest"));
    finish(&s);
    client_expect_reply(s.c, 400, "InvalidRequestID");
    s.b.processes[0]->stubborn = false;
    stage_close(&s);
}

static void a_process_that_dies_within_its_answer(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    begin(&s, PRELUDE_TYPE);
    send_chunk(&s, SLICE(PRELUDE NULS "half of "));
    await_text(&s, "half of ");
    process_end(s.b.processes[0], SIGKILL);
    booth_await(&s.b, &s.r, 201, "half of ");
    assert_true(s.r.broken[0]);
    stage_close(&s);
}

/* Sends what fits, and lets the loop turn; all of it lies in a file descriptor's buffer or beyond. */
static void send_all(struct stage *s, struct slice bytes) {
    while (bytes.n) {
        ssize_t n = send(s->c->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) bytes = slice_make(bytes.p + n, bytes.n - (size_t)n);
        run_on(s->b.loop, 1);
    }
}

static struct buf long_chunk(size_t n) {
    struct buf chunk = {0};
    buf_printf(&chunk, "%zx\r\n", n);
    memset(buf_reserve(&chunk, n), 'x', n);
    chunk.n += n;
    buf_append_text(&chunk, "\r\n");
    return chunk;
}

/* What the client does not take is not read from the process. */
static void a_slow_client_slows_the_process(void **state) {
    (void)state;
    const size_t size = 1024 * 1024;
    struct stage s;
    struct buf chunk = long_chunk(size);
    struct slice rest = buf_slice(&chunk);
    uint64_t received = 0;
    stage_open(&s);
    stage_build(&s);
    begin(&s, PRELUDE_TYPE);
    s.r.patient = true;
    send_chunk(&s, SLICE(PRELUDE NULS));
    booth_await_head(&s.b, &s.r);
    do {
        received = body_received(s.r.arriving);
        ssize_t n = send(s.c->fd, rest.p, rest.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) rest = slice_make(rest.p + n, rest.n - (size_t)n);
        run_on(s.b.loop, 20);
    } while (received < body_received(s.r.arriving));
    assert_in_range(received, BODY_HIGH_WATER, BODY_HIGH_WATER + 256 * 1024);
    s.r.patient = false;
    on_reply_readable(&s.r);
    send_all(&s, rest);
    finish(&s);
    client_expect_reply(s.c, 202, "OK");
    assert_true(loop_run_until(s.b.loop, reply_has_ended, &s.r, WAIT_MS));
    assert_int_equal(s.r.body.n - 1, size);
    buf_free(&chunk);
    stage_close(&s);
}

/* The client has left: the rest is thrown away, the process is not held up. */
static void a_client_that_leaves_does_not_hold_the_process_up(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    s.r.patient = true;
    begin(&s, PRELUDE_TYPE);
    send_chunk(&s, SLICE(PRELUDE NULS "half of "));
    booth_await_head(&s.b, &s.r);
    body_release_consumer(s.r.arriving);
    s.r.arriving = NULL;
    struct buf chunk = long_chunk(1024 * 1024);
    send_all(&s, buf_slice(&chunk));
    buf_free(&chunk);
    finish(&s);
    client_expect_reply(s.c, 202, "OK");
    stage_take(&s);
    stage_close(&s);
}

/* --- the native face --- */

static void native_begin(struct stage *s, const char *fields) {
    client_printf(s->c, "POST /v1/invocations/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n",
                  s->id, fields);
}

static void a_native_answer_without_a_length_is_streamed(void **state) {
    (void)state;
    const struct slice whole = SLICE("HTTP/1.1 203 Fine\r\nX: y\r\nExecgate-Hidden: 1\r\n\r\nthe body");
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    for (size_t n = 1; n < whole.n; n++) {
        native_begin(&s, "");
        send_chunk(&s, slice_make(whole.p, n));
        send_chunk(&s, slice_make(whole.p + n, whole.n - n));
        send_chunk(&s, SLICE(" is longer than the limit of a whole one"));
        booth_await_head(&s.b, &s.r);
        assert_false(s.r.ended);
        assert_string_equal(s.r.headers, "X: y");
        finish(&s);
        client_expect_reply(s.c, 202, "OK");
        booth_await(&s.b, &s.r, 203, "the body is longer than the limit of a whole one");
        stage_take(&s);
    }
    stage_close(&s);
}

static void a_native_stream_may_fail(void **state) {
    (void)state;
    struct stage s;
    stage_open(&s);
    stage_build(&s);
    native_begin(&s, "Trailer: Execgate-Error\r\n");
    send_chunk(&s, SLICE("HTTP/1.1 200 OK\r\n\r\nhalf of "));
    await_text(&s, "half of ");
    client_send(s.c, "0\r\nExecgate-Error: Disk.Full\r\n\r\n");
    client_expect_reply(s.c, 202, "OK");
    booth_await(&s.b, &s.r, 200, "half of ");
    assert_true(s.r.broken[0]);
    assert_true(booth_logged(&s.b, "Disk.Full"));
    stage_take(&s);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_gets_it_as_it_comes),
        cmocka_unit_test(the_prelude_may_be_cut_anywhere),
        cmocka_unit_test(without_a_prelude_the_bytes_are_the_body),
        cmocka_unit_test(preludes_that_are_none),
        cmocka_unit_test(a_failure_in_trailers_breaks_the_clients_answer),
        cmocka_unit_test(trailers_within_the_body_break_the_clients_answer),
        cmocka_unit_test(text_that_looks_like_trailers_is_text),
        cmocka_unit_test(a_lost_connection_breaks_the_clients_answer),
        cmocka_unit_test(a_stream_has_a_deadline),
        cmocka_unit_test(a_process_that_dies_within_its_answer),
        cmocka_unit_test(a_slow_client_slows_the_process),
        cmocka_unit_test(a_client_that_leaves_does_not_hold_the_process_up),
        cmocka_unit_test(a_native_answer_without_a_length_is_streamed),
        cmocka_unit_test(a_native_stream_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
