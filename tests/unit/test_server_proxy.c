#include "tests/unit/server_proxy_fixture.h"

/* --- the request --- */

static void test_request_head(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = harness_ask(&f.h, "GET", "/run/echo/a%20b/%2F?q=%41&&x",
                                  "Host: shop.example:8080\nUser-Agent: test\nX-Twice: 1\nX-Twice: 2\nX-Empty:\n"
                                  "X_Under: 1\nConnection: close, X-Named\nX-Named: 1\nUpgrade: websocket\n"
                                  "Execgate-Claims: forged\nX-Forwarded-For: 10.0.0.1\nX-Forwarded-Proto: https\n"
                                  "X-Forwarded-Host: forged\nX-Real-IP: 10.0.0.1\nForwarded: for=10.0.0.1\n"
                                  "X-Request-Id: forged\ntraceparent: forged\nTE: trailers\nExpect: 100-continue\n",
                                  NULL);
    assert_int_equal(a.status, 200);
    assert_line(&a.text, "GET /run/echo/a%20b/%2F?q=%41&&x HTTP/1.1");
    assert_line(&a.text, "Host: shop.example:8080");
    assert_line(&a.text, "User-Agent: test");
    assert_line(&a.text, "X-Twice: 1");
    assert_line(&a.text, "X-Twice: 2");
    assert_line(&a.text, "X-Empty:");
    assert_line(&a.text, "X_Under: 1");
    assert_line(&a.text, "X-Forwarded-For: 203.0.113.7");
    assert_line(&a.text, "X-Forwarded-Proto: http");
    assert_line(&a.text, "X-Forwarded-Host: shop.example:8080");
    assert_line(&a.text, "Execgate-Trigger: http");
    assert_line(&a.text, "Execgate-Route: ANY /run/{path+}");
    assert_line(&a.text, "Execgate-Parameters: path=echo%2Fa%20b%2F%2F");
    assert_line(&a.text, "Execgate-Client-Address: 203.0.113.7");
    assert_true(lines_have_prefix(&a.text, "Execgate-Invocation-Id: "));
    assert_true(lines_have_prefix(&a.text, "Execgate-Deadline: "));
    assert_true(lines_have_prefix(&a.text, "traceparent: 00-"));
    assert_null(memmem(a.text.p, a.text.n, "forged", 6));
    assert_null(memmem(a.text.p, a.text.n, "10.0.0.1", 8));
    static const char *const absent[] = {"Connection:", "X-Named:",      "Upgrade:",           "TE:",
                                         "Expect:",     "Accept:",       "Content-Length:",    "Forwarded:",
                                         "X-Real-IP:",  "Content-Type:", "Transfer-Encoding:", "Proxy"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        if (lines_have_prefix(&a.text, absent[i])) fail_msg("%s", absent[i]);
    answer_free(&a);
    fixture_close(&f);
}

static void test_bodies(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = harness_ask(&f.h, "POST", "/run/echo", "Content-Type: text/x\nContent-Length: 7\n",
                                  body_of_text("payload"));
    assert_line(&a.text, "Content-Length: 7");
    assert_line(&a.text, "Content-Type: text/x");
    assert_line(&a.text, "payload");
    answer_free(&a);
    a = harness_ask(&f.h, "POST", "/run/echo", "", NULL);
    assert_line(&a.text, "POST /run/echo HTTP/1.1");
    assert_line(&a.text, "Content-Length: 0");
    assert_false(lines_have_prefix(&a.text, "Content-Type:"));
    answer_free(&a);
    a = harness_ask(&f.h, "DELETE", "/run/echo", "", NULL);
    assert_line(&a.text, "DELETE /run/echo HTTP/1.1");
    assert_false(lines_have_prefix(&a.text, "Content-Length:"));
    answer_free(&a);
    a = harness_ask(&f.h, "OPTIONS", "/run/echo", "", NULL);
    assert_line(&a.text, "OPTIONS /run/echo HTTP/1.1");
    answer_free(&a);
    fixture_close(&f);
}

/* A body of unknown length that is still arriving when the request goes out. */
/* The event is a request like any other; what is not 2xx says that the handler failed. */
static void test_an_invocation_by_name(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = harness_invoke(&f.h, SLICE("payload"));
    assert_int_equal(a.status, 202);
    assert_line(&a.text, "POST /invoke HTTP/1.1");
    assert_line(&a.text, "Execgate-Trigger: invoke");
    assert_line(&a.text, "Content-Type: text/x");
    assert_line(&a.text, "payload");
    assert_false(lines_have_prefix(&a.text, "X-Forwarded-For"));
    answer_free(&a);
    a = harness_invoke(&f.h, SLICE("fail"));
    assert_int_equal(a.failure, FAILURE_HANDLER_ERROR);
    assert_string_equal(a.detail, "it answered with the status 500");
    answer_free(&a);
    fixture_close(&f);
}

static bool is_wanted(void *body) {
    return body_wants(body);
}

static void test_streamed_body(void **state) {
    struct fixture f;
    struct answer a = {0};
    struct body *body = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "PUT", "/run/echo", "", body);
    assert_true(body_append_copy(body, SLICE("one ")));
    assert_true(harness_run_until(&f.h, is_wanted, body, HARNESS_LIMIT_MS));
    assert_false(answer_has_head(&a));
    assert_true(body_append_copy(body, SLICE("two ")));
    assert_false(harness_run_until(&f.h, answer_has_head, &a, 50));
    assert_true(body_append_copy(body, SLICE("three")));
    body_finish(body);
    body_release_producer(body);
    harness_await(&f.h, &a);
    assert_line(&a.text, "Transfer-Encoding: chunked");
    assert_line(&a.text, "one two three");
    answer_free(&a);
    fixture_close(&f);
}

struct feed {
    struct body *body;
    struct turn *turn;
    struct turn_task task;
    size_t left;
};

static void on_feed_wanted(void *context) {
    struct feed *feed = context;
    turn_add(feed->turn, &feed->task);
}

static void on_feed(struct turn_task *task) {
    static const char zeros[65536];
    struct feed *feed = container_of(task, struct feed, task);
    while (feed->left && body_wants(feed->body)) {
        size_t n = feed->left < sizeof zeros ? feed->left : sizeof zeros;
        feed->left -= n;
        body_append_copy(feed->body, slice_make(zeros, n));
    }
    if (feed->left) return;
    body_finish(feed->body);
    body_release_producer(feed->body);
    feed->left = SIZE_MAX;
}

/* More than any buffer holds, of known length, taken from the producer piece by piece, and all of it echoed. */
static void test_large_streamed_body(void **state) {
    struct fixture f;
    struct answer a = {0};
    struct feed feed = {.left = 3000000};
    (void)state;
    fixture_start(&f);
    feed.body = body_new(3000000, UINT64_MAX);
    feed.turn = loop_turn(f.h.loop);
    feed.task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_feed};
    body_on_wanted(feed.body, on_feed_wanted, &feed);
    harness_submit(&f.h, &a, "PUT", "/run/echo", "", feed.body);
    harness_await(&f.h, &a);
    assert_int_equal(feed.left, SIZE_MAX);
    assert_false(a.broken);
    assert_line(&a.text, "Content-Length: 3000000");
    assert_true(a.text.n > 3000000);
    answer_free(&a);
    fixture_close(&f);
}

/* The answer comes while the request still goes out, and both are far larger than what is held in memory. */
static void test_answer_during_the_upload(void **state) {
    struct fixture f;
    struct answer a = {0};
    struct feed feed = {.left = 12000000};
    (void)state;
    fixture_start(&f);
    feed.body = body_new(12000000, UINT64_MAX);
    feed.turn = loop_turn(f.h.loop);
    feed.task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_feed};
    body_on_wanted(feed.body, on_feed_wanted, &feed);
    harness_submit(&f.h, &a, "PUT", "/run/duplex", "", feed.body);
    harness_await_head(&f.h, &a);
    assert_int_equal(feed.left, SIZE_MAX); /* not before the end of the request */
    harness_await(&f.h, &a);
    assert_false(a.broken);
    assert_int_equal(a.text.n, 12000000);
    answer_free(&a);
    fixture_close(&f);
}

static void test_body_that_fails(void **state) {
    struct fixture f;
    struct answer a = {0};
    struct body *body = body_new(BODY_LENGTH_UNKNOWN, 1000);
    char bytes[2000] = {0};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "PUT", "/run/echo", "", body);
    assert_false(harness_run_until(&f.h, answer_has_head, &a, 200));
    assert_false(body_append_copy(body, slice_make(bytes, sizeof bytes)));
    body_release_producer(body);
    harness_await(&f.h, &a);
    assert_int_equal(a.failure, FAILURE_BODY_TOO_LARGE);
    answer_free(&a);
    fixture_close(&f);
}

/* The server answers without having read all of a body, which never comes: the answer is whole nevertheless. */
static void test_early_answers(void **state) {
    static const struct {
        const char *target, *text;
        int64_t length;
        int status;
    } rows[] = {
        {"/run/early", "too much", 1000000, 413},
        {"/run/early", "too much", BODY_LENGTH_UNKNOWN, 413},
        {"/run/early_split", "too much", 1000000, 413},
        {"/run/early_close", "too much", 1000000, 413},
        {"/run/early_empty", "", 1000000, 204},
        {"/run/early_chunked", "too much", 1000000, 413},
        {"/run/early_chunked", "too much", BODY_LENGTH_UNKNOWN, 413},
    };
    struct fixture f;
    (void)state;
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = {0};
        struct body *body = body_new(rows[i].length, UINT64_MAX);
        harness_submit(&f.h, &a, "POST", rows[i].target, "", body);
        assert_true(body_append_copy(body, SLICE("the beginning")));
        harness_await(&f.h, &a);
        assert_int_equal(a.status, rows[i].status);
        assert_false(a.broken);
        assert_true(slice_equal(buf_slice(&a.text), slice_of(rows[i].text)));
        body_release_producer(body);
        answer_free(&a);
    }
    struct answer next = ask(&f, "GET", "/run/echo");
    assert_int_equal(next.status, 200);
    answer_free(&next);
    fixture_close(&f);
}

/* --- the answer --- */

static void test_answer_fields(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/fields");
    assert_int_equal(a.status, 200);
    assert_line(&a.fields, "Set-Cookie: a=1");
    assert_line(&a.fields, "Set-Cookie: b=2");
    assert_line(&a.fields, "Content-Encoding: gzip");
    assert_false(lines_have_prefix(&a.fields, "Connection:"));
    assert_false(lines_have_prefix(&a.fields, "X-Hop:"));
    assert_false(lines_have_prefix(&a.fields, "Content-Length:"));
    assert_text(&a, "x");
    answer_free(&a);
}

static bool answer_holds_a_line(void *context) {
    struct answer *a = context;
    return a->finished && a->body && body_peek(a->body).n >= 6;
}

static void test_streamed_answer(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "GET", "/run/chunked", "", NULL);
    harness_await_head(&f.h, &a);
    assert_true(a.streamed);
    body_want(a.body);
    assert_true(harness_run_until(&f.h, answer_holds_a_line, &a, HARNESS_LIMIT_MS));
    assert_slice(body_peek(a.body), "first\n");
    harness_make_file(&f.h, "gate");
    a.reading = ANSWER_COLLECTED;
    body_on_readable(a.body, on_answer_readable, &a);
    body_collect(a.body);
    harness_await(&f.h, &a);
    assert_false(a.broken);
    assert_text(&a, "first\nsecond\n");
    assert_false(lines_have_prefix(&a.fields, "X-Trailer"));
    answer_free(&a);
    fixture_close(&f);
}

static bool is_full(void *context) {
    struct answer *a = context;
    return body_received(a->body) >= BODY_HIGH_WATER;
}

static void test_back_pressure(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "GET", "/run/big", "", NULL);
    harness_await_head(&f.h, &a);
    body_want(a.body);
    assert_true(harness_run_until(&f.h, is_full, &a, HARNESS_LIMIT_MS));
    assert_false(harness_await_file(&f.h, "through", 200));
    assert_in_range(body_received(a.body), BODY_HIGH_WATER, BODY_HIGH_WATER + 128 * 1024);
    a.reading = ANSWER_COLLECTED;
    body_on_readable(a.body, on_answer_readable, &a);
    body_collect(a.body);
    harness_await(&f.h, &a);
    assert_false(a.broken);
    assert_int_equal(a.text.n, 32000000);
    answer_free(&a);
    fixture_close(&f);
}

static void test_answer_until_close(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/until_close");
    assert_int_equal(a.status, 200);
    assert_false(a.broken);
    assert_text(&a, "to the end");
    answer_free(&a);
}

static void test_interim_answers(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/interim");
    assert_int_equal(a.status, 200);
    assert_line(&a.fields, "X-Late: 1");
    assert_false(lines_have_prefix(&a.fields, "X-Early"));
    assert_text(&a, "final");
    answer_free(&a);
}

static void test_answers_without_body(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/no_content");
    assert_int_equal(a.status, 204);
    assert_line(&a.fields, "X-A: 1");
    assert_int_equal(a.text.n, 0);
    answer_free(&a);
    a = answer_to("GET", "/run/not_modified");
    assert_int_equal(a.status, 304);
    assert_line(&a.fields, "ETag: \"a\"");
    answer_free(&a);
    a = answer_to("GET", "/run/redirect");
    assert_int_equal(a.status, 302);
    assert_line(&a.fields, "Location: http://127.0.0.1:1/");
    answer_free(&a);
}

/* The length is told although no byte comes, and the worker is free again once the client's side has let go. */
static void test_head(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "HEAD", "/run/length", "", NULL);
    harness_await_head(&f.h, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(body_length(a.body), 1234);
    answer_free(&a);
    struct answer b = ask(&f, "GET", "/run/count");
    assert_text(&b, "1"); /* a server that sends a body nevertheless is not given the chance to */
    answer_free(&b);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_head),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_an_invocation_by_name),
        cmocka_unit_test(test_streamed_body),
        cmocka_unit_test(test_large_streamed_body),
        cmocka_unit_test(test_answer_during_the_upload),
        cmocka_unit_test(test_body_that_fails),
        cmocka_unit_test(test_early_answers),
        cmocka_unit_test(test_answer_fields),
        cmocka_unit_test(test_streamed_answer),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_answer_until_close),
        cmocka_unit_test(test_interim_answers),
        cmocka_unit_test(test_answers_without_body),
        cmocka_unit_test(test_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
