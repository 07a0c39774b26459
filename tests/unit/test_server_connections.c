#include "tests/unit/server_proxy_fixture.h"

/* --- connections --- */

static void test_connections_are_kept(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    for (int i = 1; i <= 4; i++) {
        char expected[16];
        struct answer a = i % 2 ? ask(&f, "GET", "/run/count")
                                : harness_ask(&f.h, "POST", "/run/count", "", body_of_text("x"));
        snprintf(expected, sizeof expected, "%d", i);
        assert_true(slice_equal(buf_slice(&a.text), slice_of(expected)));
        answer_free(&a);
    }
    fixture_close(&f);
}

static struct buf file_text(struct fixture *f, const char *name) {
    char path[128], bytes[512];
    struct buf text = {0};
    snprintf(path, sizeof path, "%s/%s", f->h.folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    buf_append(&text, bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
    return text;
}

/* The second request on a connection is read and then the connection closed. A GET may be sent again, a POST may not.
 */
static void test_only_idempotent_requests_are_repeated(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = ask(&f, "GET", "/run/first_only");
    assert_text(&a, "1");
    answer_free(&a);
    a = harness_ask(&f.h, "POST", "/run/first_only", "", body_of_text("x"));
    assert_int_equal(a.failure, FAILURE_HANDLER_DIED);
    answer_free(&a);
    a = ask(&f, "GET", "/run/first_only");
    assert_text(&a, "1");
    answer_free(&a);
    a = harness_ask(&f.h, "POST", "/run/first_only", "", NULL);
    assert_int_equal(a.failure, FAILURE_HANDLER_DIED);
    answer_free(&a);
    a = ask(&f, "GET", "/run/first_only");
    assert_text(&a, "1");
    answer_free(&a);
    a = ask(&f, "GET", "/run/first_only");
    assert_text(&a, "1");
    answer_free(&a);
    struct buf hits = file_text(&f, "hits");
    assert_slice(buf_slice(&hits), "GET\nPOST\nGET\nPOST\nGET\nGET\nGET\n");
    buf_free(&hits);
    fixture_close(&f);
}

/* A body that is still arriving, so that none of it may get lost on the way to another connection. */
static void assert_streamed_echo(struct fixture *f) {
    struct answer a = {0};
    struct body *body = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    assert_true(body_append_copy(body, SLICE("one ")));
    harness_submit(&f->h, &a, "POST", "/run/echo", "", body);
    assert_false(harness_run_until(&f->h, answer_has_head, &a, 50));
    assert_true(body_append_copy(body, SLICE("two")));
    body_finish(body);
    body_release_producer(body);
    harness_await(&f->h, &a);
    assert_int_equal(a.status, 200);
    assert_line(&a.text, "POST /run/echo HTTP/1.1");
    assert_line(&a.text, "one two");
    answer_free(&a);
}

/* Bytes behind an answer, here a whole second one, arrive before the next request: it must not get them as its own. */
static void test_stray_bytes_answer_nothing(void **state) {
    static const char *const rows[][2] = {
        {"HEAD", "/run/stray/200/length"}, {"HEAD", "/run/stray/404/length"}, {"GET", "/run/stray/204/none"},
        {"GET", "/run/stray/304/length"},  {"GET", "/run/stray/200/content"}, {"POST", "/run/stray/200/content"},
        {"GET", "/run/stray/200/chunked"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_start(&f);
        struct answer a = {.reading = rows[i][0][0] == 'H' ? ANSWER_READ_BY_TEST : ANSWER_COLLECTED};
        harness_submit(&f.h, &a, rows[i][0], rows[i][1], "", NULL);
        if (a.reading == ANSWER_READ_BY_TEST)
            harness_await_head(&f.h, &a);
        else
            harness_await(&f.h, &a);
        assert_int_equal(a.failure, 0);
        assert_false(a.broken);
        answer_free(&a);
        harness_make_file(&f.h, "gate");
        assert_true(harness_await_file(&f.h, "strayed", HARNESS_LIMIT_MS));
        assert_streamed_echo(&f);
        a = ask(&f, "GET", "/run/echo");
        assert_line(&a.text, "GET /run/echo HTTP/1.1");
        answer_free(&a);
        assert_int_equal(pool_counters(f.h.pool)->spawned, 1);
        fixture_close(&f);
    }
}

static void test_several_at_once(void **state) {
    struct fixture f;
    struct answer slow[3] = {0};
    (void)state;
    fixture_open(&f);
    f.h.handler.processes.concurrency = 4;
    fixture_begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) harness_submit(&f.h, &slow[i], "GET", "/run/slow", "", NULL);
    assert_true(harness_await_file(&f.h, "running", HARNESS_LIMIT_MS));
    struct answer a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) assert_false(slow[i].finished);
    harness_make_file(&f.h, "gate");
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        harness_await(&f.h, &slow[i]);
        assert_text(&slow[i], "slow");
        answer_free(&slow[i]);
    }
    fixture_close(&f);
}

/* --- what goes wrong --- */

static void test_bad_answers(void **state) {
    static const struct {
        const char *target;
        enum failure failure;
    } rows[] = {
        {"/run/silent", FAILURE_HANDLER_DIED},
        {"/run/garbage", FAILURE_HANDLER_ANSWER},
        {"/run/bad_head", FAILURE_HANDLER_ANSWER},
        {"/run/switch", FAILURE_HANDLER_ANSWER},
        {"/run/large_head", FAILURE_HANDLER_ANSWER_TOO_LARGE},
        {"/run/interims", FAILURE_HANDLER_ANSWER_TOO_LARGE},
    };
    struct fixture f;
    (void)state;
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = ask(&f, "GET", rows[i].target);
        if (a.failure != rows[i].failure) fail_msg("%s: %d %s", rows[i].target, (int)a.failure, a.detail);
        assert_int_equal(a.status, 502);
        answer_free(&a);
    }
    struct answer good = ask(&f, "GET", "/run/echo");
    assert_int_equal(good.status, 200);
    answer_free(&good);
    assert_int_equal(pool_counters(f.h.pool)->spawned, 1);
    fixture_close(&f);
}

static void test_answer_that_breaks_off(void **state) {
    struct fixture f;
    struct answer a = {0};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "GET", "/run/cut", "", NULL);
    harness_await_head(&f.h, &a);
    assert_int_equal(a.status, 200);
    assert_true(a.streamed);
    harness_make_file(&f.h, "gate");
    harness_await(&f.h, &a);
    assert_true(a.broken);
    answer_free(&a);
    fixture_close(&f);
}

static void test_endless_trailers(void **state) {
    struct fixture f;
    struct answer a = {0};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "GET", "/run/trailers", "", NULL);
    harness_await_head(&f.h, &a);
    assert_true(a.streamed);
    harness_make_file(&f.h, "gate");
    harness_await(&f.h, &a);
    assert_true(a.broken);
    answer_free(&a);
    a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_int_equal(pool_counters(f.h.pool)->spawned, 1);
    fixture_close(&f);
}

static bool process_has_ended(void *context) {
    struct fixture *f = context;
    return pool_counters(f->h.pool)->exits == 1;
}

static void test_process_dies(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = ask(&f, "GET", "/run/exit");
    assert_int_equal(a.failure, FAILURE_HANDLER_DIED);
    answer_free(&a);
    assert_true(harness_run_until(&f.h, process_has_ended, &f, HARNESS_LIMIT_MS));
    a = ask(&f, "GET", "/run/echo"); /* by the next one, after a back-off */
    assert_int_equal(a.status, 200);
    answer_free(&a);
    fixture_close(&f);
}

static void test_last_words_are_heard(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/last_words");
    assert_int_equal(a.status, 200);
    assert_text(&a, "last words");
    answer_free(&a);
}

/* It runs on but accepts nothing: it is replaced. */
static void test_server_stops_listening(void **state) {
    struct fixture f;
    (void)state;
    fixture_start(&f);
    struct answer a = ask(&f, "GET", "/run/deaf");
    assert_text(&a, "deaf");
    answer_free(&a);
    a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.failure, FAILURE_HANDLER_DIED);
    answer_free(&a);
    a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_int_equal(pool_counters(f.h.pool)->spawned, 2);
    fixture_close(&f);
}

static void test_timeout(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.h.handler.timeout_ms = 500;
    fixture_begin(&f);
    struct answer a = ask(&f, "GET", "/run/hang");
    assert_int_equal(a.failure, FAILURE_HANDLER_TIMEOUT);
    answer_free(&a);
    fixture_close(&f);
}

static void test_stream_timeout(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.h.handler.timeout_ms = 600;
    fixture_begin(&f);
    struct answer a = ask(&f, "GET", "/run/chunked");
    assert_int_equal(a.status, 200);
    assert_true(a.broken);
    answer_free(&a);
    fixture_close(&f);
}

/* The server sees that its client has gone. */
static void test_cancellation(void **state) {
    struct fixture f;
    struct answer a = {0};
    (void)state;
    fixture_start(&f);
    struct invocation *inv = harness_submit(&f.h, &a, "GET", "/run/hang", "", NULL);
    assert_true(harness_await_file(&f.h, "running", HARNESS_LIMIT_MS));
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    assert_true(harness_run_until(&f.h, harness_is_quiet, &f.h, HARNESS_LIMIT_MS));
    assert_true(harness_await_file(&f.h, "left", HARNESS_LIMIT_MS));
    assert_false(a.finished);
    struct answer b = ask(&f, "GET", "/run/echo");
    assert_int_equal(b.status, 200);
    answer_free(&b);
    assert_int_equal(pool_counters(f.h.pool)->spawned, 1);
    fixture_close(&f);
}

static void test_client_leaves_a_stream(void **state) {
    struct fixture f;
    struct answer a = {.reading = ANSWER_READ_BY_TEST};
    (void)state;
    fixture_start(&f);
    harness_submit(&f.h, &a, "GET", "/run/big", "", NULL);
    harness_await_head(&f.h, &a);
    answer_free(&a);
    struct answer b = ask(&f, "GET", "/run/echo");
    assert_int_equal(b.status, 200);
    answer_free(&b);
    fixture_close(&f);
}

/* --- the start --- */

static void test_environment(void **state) {
    (void)state;
    struct answer a = answer_to("GET", "/run/env");
    assert_line(&a.text, "HOST=127.0.0.1");
    assert_line(&a.text, "EXECGATE_APPLICATION=unit");
    assert_line(&a.text, "EXECGATE_HANDLER=tested");
    assert_line(&a.text, "EXECGATE_CONCURRENCY=1");
    assert_true(lines_have_prefix(&a.text, "PORT="));
    assert_false(lines_have_prefix(&a.text, "LISTEN_FDS="));
    answer_free(&a);
}

/* The probe goes on until the port is open. */
static void test_slow_start(void **state) {
    struct fixture f;
    struct environment_variable delay = {"START_DELAY", "0.5", false};
    (void)state;
    fixture_open(&f);
    f.h.handler.environment = &delay;
    f.h.handler.environment_count = 1;
    fixture_begin(&f);
    struct answer a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_int_equal(pool_counters(f.h.pool)->spawned, 1);
    fixture_close(&f);
}

static void test_start_timeout(void **state) {
    struct fixture f;
    struct environment_variable delay = {"START_DELAY", "60", false};
    (void)state;
    fixture_open(&f);
    f.h.handler.environment = &delay;
    f.h.handler.environment_count = 1;
    f.h.handler.processes.start_timeout_ms = 200;
    f.h.handler.timeout_ms = 1500;
    fixture_begin(&f);
    struct answer a = ask(&f, "GET", "/run/echo");
    assert_int_equal(a.status, 503);
    answer_free(&a);
    fixture_close(&f);
}

static void test_inherited_socket(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.h.handler.server_socket = SERVER_SOCKET_INHERITED;
    fixture_begin(&f);
    struct answer a = ask(&f, "GET", "/run/env");
    assert_line(&a.text, "LISTEN_FDS=1");
    answer_free(&a);
    a = ask(&f, "GET", "/run/count");
    assert_text(&a, "2"); /* no probe came before the first */
    answer_free(&a);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_only_idempotent_requests_are_repeated),
        cmocka_unit_test(test_stray_bytes_answer_nothing),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_answer_that_breaks_off),
        cmocka_unit_test(test_endless_trailers),
        cmocka_unit_test(test_process_dies),
        cmocka_unit_test(test_last_words_are_heard),
        cmocka_unit_test(test_server_stops_listening),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_stream_timeout),
        cmocka_unit_test(test_cancellation),
        cmocka_unit_test(test_client_leaves_a_stream),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_slow_start),
        cmocka_unit_test(test_start_timeout),
        cmocka_unit_test(test_inherited_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
