#include "local-api/once.h"
#include "tests/unit/handler_harness.h"

#define MAX_ANSWER 100000

struct fixture {
    struct harness h;
    struct once_context context;
};

static void fixture_open(struct fixture *f, const char *script) {
    harness_init(&f->h, "/bin/sh", script);
    f->context = (struct once_context){.loop = f->h.loop, .log = f->h.log, .max_answer = MAX_ANSWER};
}

static void fixture_start(struct fixture *f, const char *script) {
    fixture_open(f, script);
    harness_start(&f->h, &once_transport, &f->context);
}

static void fixture_close(struct fixture *f) {
    harness_stop(&f->h);
    harness_close(&f->h);
}

static struct answer ask(struct fixture *f, const char *method, const char *target, const char *fields,
                         const char *body) {
    return harness_ask(&f->h, method, target, fields, body ? body_of_text(body) : NULL);
}

/* One GET to a script, and the answer. */
static struct answer answer_of(const char *script) {
    struct fixture f;
    fixture_start(&f, script);
    struct answer a = ask(&f, "GET", "/run/x", "", NULL);
    fixture_close(&f);
    return a;
}

#define assert_text(a, literal) assert_slice(buf_slice(&(a)->text), literal)

static void test_plain_output(void **state) {
    (void)state;
    struct answer a = answer_of("echo hello");
    assert_int_equal(a.status, 200);
    assert_false(a.streamed);
    assert_line(&a.fields, "Content-Type: text/plain; charset=utf-8");
    assert_text(&a, "hello\n");
    answer_free(&a);
}

static void test_json_output(void **state) {
    (void)state;
    struct answer a = answer_of("echo '{\"a\": 1}'");
    assert_int_equal(a.status, 200);
    assert_line(&a.fields, "Content-Type: application/json");
    assert_text(&a, "{\"a\": 1}\n");
    answer_free(&a);
}

static void test_no_output(void **state) {
    (void)state;
    struct answer a = answer_of("exit 0");
    assert_int_equal(a.failure, FAILURE_NONE);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.text.n, 0);
    answer_free(&a);
}

static void test_document(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Status: 201 Made\\r\\nContent-Type: text/html\\r\\nSet-Cookie: a=1\\r\\n"
                                "Set-Cookie: b=2\\r\\nConnection: close\\r\\nExecgate-X: 1\\r\\n\\r\\n<p>made</p>'");
    assert_int_equal(a.status, 201);
    assert_line(&a.fields, "Content-Type: text/html");
    assert_line(&a.fields, "Set-Cookie: a=1");
    assert_line(&a.fields, "Set-Cookie: b=2");
    assert_false(lines_have_prefix(&a.fields, "Connection"));
    assert_false(lines_have_prefix(&a.fields, "Execgate-"));
    assert_false(lines_have_prefix(&a.fields, "Status"));
    assert_text(&a, "<p>made</p>");
    answer_free(&a);
}

static void test_redirect(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Location: /elsewhere\\n\\n'");
    assert_int_equal(a.status, 302);
    assert_line(&a.fields, "Location: /elsewhere");
    answer_free(&a);
}

/* What a document declares is all that belongs to it, and it is known to be whole before the process ends. */
static void test_document_with_length(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Content-Type: text/plain\\nContent-Length: 5\\n\\nhello and more'; exit 3");
    assert_int_equal(a.status, 200);
    assert_false(a.broken);
    assert_text(&a, "hello");
    answer_free(&a);
}

static void test_document_shorter_than_declared(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Content-Type: text/plain\\nContent-Length: 50\\n\\nhello'");
    assert_int_equal(a.status, 200);
    assert_true(a.broken);
    answer_free(&a);
}

/* CGI knows no exit status: the document has said what it is. */
static void test_document_of_a_failed_process(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Content-Type: text/plain\\n\\nhello'; exit 3");
    assert_int_equal(a.status, 200);
    assert_false(a.broken);
    assert_text(&a, "hello");
    answer_free(&a);
}

static void test_document_of_a_killed_process(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Content-Type: text/plain\\n\\nhello'; kill -KILL $$");
    assert_int_equal(a.status, 200);
    assert_true(a.broken);
    assert_string_equal(a.why, "the handler process was killed");
    answer_free(&a);
}

/* Its length is told, so the answer waits for the end of the output; a declared length is believed. */
static void test_head(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f, "printf 'Content-Type: text/plain\\n'\n"
                      "test \"$PATH_INFO\" = /declared && printf 'Content-Length: 1234\\n\\n' && exit\n"
                      "printf '\\nhello'; sleep 0.05; printf ', world'; exit 3");
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    harness_submit(&f.h, &a, "HEAD", "/run/x", "", NULL);
    harness_await_head(&f.h, &a);
    assert_int_equal(a.status, 200);
    assert_false(a.streamed);
    assert_int_equal(body_length(a.body), 12);
    answer_free(&a);
    a = (struct answer){.reading = ANSWER_READ_BY_TEST};
    harness_submit(&f.h, &a, "HEAD", "/run/declared", "", NULL);
    harness_await_head(&f.h, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(body_length(a.body), 1234);
    answer_free(&a);
    fixture_close(&f);
}

static void test_exit_status(void **state) {
    (void)state;
    struct answer a = answer_of("echo some output; echo secret >&2; exit 3");
    assert_int_equal(a.failure, FAILURE_HANDLER_ERROR);
    assert_int_equal(a.status, 502);
    assert_string_equal(a.detail, "exit status 3");
    answer_free(&a);
}

static void test_killed(void **state) {
    (void)state;
    struct answer a = answer_of("echo some output; kill -TERM $$");
    assert_int_equal(a.failure, FAILURE_HANDLER_DIED);
    assert_string_equal(a.detail, "killed by SIGTERM");
    answer_free(&a);
}

static void test_broken_head(void **state) {
    (void)state;
    struct answer a = answer_of("printf 'Content-Type: text/html\\n<p>\\n'; sleep 30");
    assert_int_equal(a.failure, FAILURE_HANDLER_ANSWER);
    assert_null(strstr(a.detail, "text/html")); /* its output is for the log */
    answer_free(&a);
}

/* The process is stopped as well: the harness waits for its end. */
static void test_too_large(void **state) {
    (void)state;
    struct answer a = answer_of("while :; do echo 'no end of this'; done");
    assert_int_equal(a.failure, FAILURE_HANDLER_ANSWER_TOO_LARGE);
    answer_free(&a);
}

static void test_request_reaches_the_process(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f, "echo \"$REQUEST_METHOD $SCRIPT_NAME $PATH_INFO $QUERY_STRING $CONTENT_TYPE $CONTENT_LENGTH\"\n"
                      "echo \"$HTTP_X_TEST $EXECGATE_APPLICATION $EXECGATE_HANDLER\"\n"
                      "test \"$EXECGATE_DEADLINE\" -gt \"$(date +%s)000\" && echo in time\n"
                      "cat");
    struct answer a = ask(&f, "POST", "/run/a/b?q=1", "Content-Type: text/x\nX-Test: yes\n", "the body");
    assert_int_equal(a.status, 200);
    assert_text(&a, "POST /run /a/b q=1 text/x 8\nyes unit tested\nin time\nthe body");
    answer_free(&a);
    fixture_close(&f);
}

/* Through a pipe that holds much less, both ways at once; large enough to have been spilled and mapped. */
static void test_large_body(void **state) {
    struct fixture f;
    size_t size = 3 * 1024 * 1024;
    struct chunk *big = chunk_new(size);
    (void)state;
    fixture_start(&f, "printf 'Content-Type: application/octet-stream\\n\\n'; cat");
    for (size_t i = 0; i < size; i++) ((char *)big->memory)[i] = (char)(i * 7 % 251);
    big->bytes = slice_make(big->memory, size);
    struct slice copy = big->bytes;
    big->holders++;
    struct answer a = harness_ask(&f.h, "PUT", "/run/x", "", body_of_chunk(big));
    assert_false(a.broken);
    assert_int_equal(a.text.n, size);
    assert_memory_equal(a.text.p, copy.p, size);
    chunk_release(big);
    answer_free(&a);
    fixture_close(&f);
}

static void test_body_is_not_read(void **state) {
    struct fixture f;
    size_t size = 1024 * 1024;
    struct chunk *big = chunk_new(size);
    (void)state;
    memset(big->memory, 'x', size);
    big->bytes = slice_make(big->memory, size);
    fixture_start(&f, "exec <&-; echo ignored");
    struct answer a = harness_ask(&f.h, "PUT", "/run/x", "", body_of_chunk(big));
    assert_int_equal(a.status, 200);
    assert_text(&a, "ignored\n");
    answer_free(&a);
    fixture_close(&f);
}

static bool answer_holds_a_line(void *context) {
    struct answer *a = context;
    return a->finished && a->body && body_peek(a->body).n >= 6;
}

/* The first line is there while the process still waits to be allowed to go on. */
static void test_document_streams(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f, "printf 'Content-Type: text/plain\\n\\nfirst\\n'\n"
                      "while ! test -e gate; do sleep 0.02; done\n"
                      "echo second\n");
    harness_submit(&f.h, &a, "GET", "/run/x", "", NULL);
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
    assert_text(&a, "first\nsecond\n");
    answer_free(&a);
    fixture_close(&f);
}

static bool is_full(void *context) {
    struct answer *a = context;
    return body_received(a->body) >= BODY_HIGH_WATER;
}

/* A client that does not read holds the process up, and gets everything once it does. */
static void test_back_pressure(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f, "printf 'Content-Type: text/plain\\n\\n'; head -c 2000000 /dev/zero; : > through");
    harness_submit(&f.h, &a, "GET", "/run/x", "", NULL);
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
    assert_int_equal(a.text.n, 2000000);
    answer_free(&a);
    fixture_close(&f);
}

/* The process would run for half a minute; it is stopped because nobody reads on. */
static void test_client_leaves_a_stream(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f, "printf 'Content-Type: text/plain\\n\\nhello'; exec sleep 30");
    harness_submit(&f.h, &a, "GET", "/run/x", "", NULL);
    harness_await_head(&f.h, &a);
    body_release_consumer(a.body);
    a.body = NULL;
    answer_free(&a);
    fixture_close(&f);
}

static void test_cancellation(void **state) {
    struct fixture f;
    struct answer a = {0};
    (void)state;
    fixture_start(&f, ": > running; exec sleep 30");
    struct invocation *inv = harness_submit(&f.h, &a, "GET", "/run/x", "", NULL);
    assert_true(harness_await_file(&f.h, "running", HARNESS_LIMIT_MS));
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    assert_true(harness_run_until(&f.h, harness_is_quiet, &f.h, HARNESS_LIMIT_MS));
    assert_false(a.finished); /* its source has been detached */
    fixture_close(&f);
}

static void test_timeout(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "exec sleep 30");
    f.h.handler.timeout_ms = 100;
    harness_start(&f.h, &once_transport, &f.context);
    struct answer a = ask(&f, "GET", "/run/x", "", NULL);
    assert_int_equal(a.failure, FAILURE_HANDLER_TIMEOUT);
    answer_free(&a);
    fixture_close(&f);
}

static void test_stream_timeout(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "printf 'Content-Type: text/plain\\n\\nhello'; exec sleep 30");
    f.h.handler.timeout_ms = 300;
    harness_start(&f.h, &once_transport, &f.context);
    struct answer a = ask(&f, "GET", "/run/x", "", NULL);
    assert_int_equal(a.status, 200);
    assert_true(a.broken);
    answer_free(&a);
    fixture_close(&f);
}

/* What looks like a document is not taken for one, and the exit status alone says whether it failed. */
static void test_an_invocation_by_name(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f, "printf 'Status: 404\\n\\n%s %s %s %s ' $EXECGATE_TRIGGER $REQUEST_METHOD $REQUEST_URI "
                      "$CONTENT_TYPE; cat");
    struct answer a = harness_invoke(&f.h, SLICE("a\0b"));
    assert_int_equal(a.failure, FAILURE_NONE);
    assert_int_equal(a.status, 200);
    assert_text(&a, "Status: 404\n\ninvoke POST /invoke text/x a\0b");
    answer_free(&a);
    harness_write_script(&f.h, "echo no; exit 3");
    a = harness_invoke(&f.h, SLICE(""));
    assert_int_equal(a.failure, FAILURE_HANDLER_ERROR);
    assert_string_equal(a.detail, "exit status 3");
    answer_free(&a);
    fixture_close(&f);
}

static void test_missing_command(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f, "");
    f.h.command[0] = (char *)(uintptr_t) "/nowhere/to/be/found";
    harness_start(&f.h, &once_transport, &f.context);
    struct answer a = ask(&f, "GET", "/run/x", "", NULL);
    assert_int_equal(a.failure, FAILURE_UNAVAILABLE);
    assert_int_equal(a.status, 503);
    answer_free(&a);
    fixture_close(&f);
}

/* Failing processes are the handler's own affair: each event gets its own, and none is held back. */
static void test_failures_do_not_hold_back_others(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f, "test \"$PATH_INFO\" = /ok && echo fine && exit 0; exit 1");
    for (int i = 0; i < 5; i++) {
        struct answer bad = ask(&f, "GET", "/run/bad", "", NULL);
        assert_int_equal(bad.failure, FAILURE_HANDLER_ERROR);
        answer_free(&bad);
    }
    struct answer good = ask(&f, "GET", "/run/ok", "", NULL);
    assert_text(&good, "fine\n");
    answer_free(&good);
    fixture_close(&f);
}

/* Several at once, each with its own process. */
static void test_several(void **state) {
    struct fixture f;
    struct answer answers[6] = {0};
    (void)state;
    fixture_open(&f, "echo \"$PATH_INFO\"; cat");
    f.h.handler.processes.max = 3;
    harness_start(&f.h, &once_transport, &f.context);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char target[32];
        snprintf(target, sizeof target, "/run/%zu", i);
        harness_submit(&f.h, &answers[i], "POST", target, "", body_of_text("payload"));
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char expected[32];
        harness_await(&f.h, &answers[i]);
        snprintf(expected, sizeof expected, "/%zu\npayload", i);
        assert_true(slice_equal(buf_slice(&answers[i].text), slice_of(expected)));
        answer_free(&answers[i]);
    }
    fixture_close(&f);
}

/* Somebody in a session of its own goes on holding stdout; the answer does not wait for it. */
static void test_output_held_open(void **state) {
    (void)state;
    struct answer a = answer_of("setsid sleep 3 & echo done");
    assert_int_equal(a.status, 200);
    assert_text(&a, "done\n");
    answer_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_output),
        cmocka_unit_test(test_json_output),
        cmocka_unit_test(test_no_output),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_document_with_length),
        cmocka_unit_test(test_document_shorter_than_declared),
        cmocka_unit_test(test_document_of_a_failed_process),
        cmocka_unit_test(test_document_of_a_killed_process),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_exit_status),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_broken_head),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_request_reaches_the_process),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_body_is_not_read),
        cmocka_unit_test(test_document_streams),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_client_leaves_a_stream),
        cmocka_unit_test(test_cancellation),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_stream_timeout),
        cmocka_unit_test(test_an_invocation_by_name),
        cmocka_unit_test(test_missing_command),
        cmocka_unit_test(test_failures_do_not_hold_back_others),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_output_held_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
