/* /v1: exchanges of many events and answers, simple calls, cancellation, drain, and everything that is refused. */
#include "tests/support/booth.h"

#define MANY 16

struct hall { /* a booth with one process on the native face */
    struct booth b;
    struct client *c;
    struct reply replies[64];
    char ids[64][37];
};

static void hall_open(struct hall *h, uint64_t concurrency) {
    booth_open(&h->b);
    h->b.handler.processes.concurrency = concurrency;
}

static void hall_build(struct hall *h) {
    booth_build(&h->b);
    h->c = booth_dial_local(&h->b, 0);
}

static void hall_close(struct hall *h) {
    client_free(h->c);
    booth_close(&h->b);
}

static void submit(struct hall *h, size_t i) {
    char target[32];
    snprintf(target, sizeof target, "/items/%zu", i);
    struct invocation *inv = booth_submit(&h->b, &h->replies[i], target, i % 2 ? "{}" : NULL);
    snprintf(h->ids[i], sizeof h->ids[i], "%.36s", inv->id);
}

static void exchange(struct client *c, unsigned max, const struct buf *answers) {
    struct slice body = answers ? buf_slice(answers) : SLICE("");
    client_printf(
        c,
        "POST /v1/exchange?max=%u HTTP/1.1\r\nHost: x\r\nContent-Type: application/http\r\nContent-Length: %zu\r\n\r\n",
        max, body.n);
    if (body.n) client_send_slice(c, body);
}

static void add_answer(struct buf *out, const char *id, int status, const char *fields, const char *body) {
    buf_printf(out, "HTTP/1.1 %d X\r\nExecgate-Invocation-Id: %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, id,
               fields, strlen(body), body);
}

struct want {
    const struct worker *worker;
    unsigned number;
};

static bool want_is(void *context) {
    const struct want *w = context;
    return w->worker->want == w->number;
}

static void await_want(struct hall *h, unsigned number) {
    struct want w = {h->b.processes[0]->worker, number};
    if (!loop_run_until(h->b.loop, want_is, &w, WAIT_MS)) fail_msg("it wants %u", w.worker->want);
}

static size_t count_events(const struct message *m) {
    size_t count = 0;
    for (const char *at = m->body.p; (at = strstr(at, "Execgate-Invocation-Id: ")); at++) count++;
    return count;
}

static void many_events_and_many_answers(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, MANY);
    hall_build(&h);
    struct buf answers = {0};
    for (int round = 0; round < 5; round++) {
        exchange(h.c, MANY, &answers);
        answers.n = 0;
        await_want(&h, MANY);
        if (round)
            for (size_t i = 0; i < MANY; i++) {
                char text[32];
                snprintf(text, sizeof text, "answer %zu", i);
                booth_await(&h.b, &h.replies[i], 201, text);
            }
        for (size_t i = 0; i < MANY; i++) submit(&h, i);
        struct message m = client_receive(h.c);
        assert_int_equal(m.status, 200);
        assert_slice(message_field(&m, "Content-Type"), "application/http");
        assert_none(message_field(&m, "Execgate-Refused"));
        assert_int_equal(count_events(&m), MANY); /* one turn, one reply */
        for (size_t i = 0; i < MANY; i++) {
            char text[32];
            assert_non_null(strstr(m.body.p, h.ids[i]));
            snprintf(text, sizeof text, "answer %zu", i);
            add_answer(&answers, h.ids[i], 201, "X: y\r\n", text);
        }
        message_free(&m);
    }
    exchange(h.c, 0, &answers);
    struct message m = client_receive(h.c);
    assert_int_equal(m.status, 200);
    assert_int_equal(m.body.n, 1);
    message_free(&m);
    for (size_t i = 0; i < MANY; i++) {
        assert_string_equal(h.replies[i].headers, "X: y");
        booth_await(&h.b, &h.replies[i], 201, "answer");
    }
    buf_free(&answers);
    hall_close(&h);
}

/* Whatever the pieces are in which the upload comes. */
static void an_upload_may_be_cut_anywhere(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 4);
    hall_build(&h);
    size_t total = 1;
    for (size_t cut = 0; cut < total; cut++) {
        struct buf answers = {0};
        exchange(h.c, 4, NULL);
        await_want(&h, 4);
        for (size_t i = 0; i < 3; i++) submit(&h, i);
        struct message m = client_receive(h.c);
        message_free(&m);
        for (size_t i = 0; i < 3; i++) add_answer(&answers, h.ids[i], 200, "", i == 1 ? "" : "some text");
        total = answers.n;
        client_printf(h.c, "POST /v1/exchange?max=0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        if (cut) {
            client_printf(h.c, "%zx\r\n", cut);
            client_send_slice(h.c, slice_make(answers.p, cut));
            client_send(h.c, "\r\n");
            run_on(h.b.loop, 1);
        }
        client_printf(h.c, "%zx\r\n", answers.n - cut);
        client_send_slice(h.c, slice_make(answers.p + cut, answers.n - cut));
        client_send(h.c, "\r\n0\r\n\r\n");
        client_expect_reply(h.c, 200, "");
        booth_await(&h.b, &h.replies[0], 200, "some text");
        booth_await(&h.b, &h.replies[1], 200, "");
        booth_await(&h.b, &h.replies[2], 200, "some text");
        buf_free(&answers);
    }
    hall_close(&h);
}

/* An event is what docs/runtime-api.md says. */
static void what_an_event_looks_like(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 1);
    hall_build(&h);
    client_get(h.c, "/v1/next");
    await_want(&h, 1);
    submit(&h, 7);
    struct message m = client_receive(h.c);
    assert_int_equal(m.status, 200);
    assert_ptr_equal(strstr(m.body.p, "POST /items/7 HTTP/1.1\r\nExecgate-Invocation-Id: "), m.body.p);
    static const char *const parts[] = {"Execgate-Trigger: http\r\n",
                                        "Execgate-Route: ANY /items/{id}\r\n",
                                        "Execgate-Parameters: id=7\r\n",
                                        "Execgate-Client-Address: 203.0.113.7\r\n",
                                        "\r\ntraceparent: 00-",
                                        "Host: shop.example\r\n",
                                        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!strstr(m.body.p, parts[i])) fail_msg("no %s in %s", parts[i], m.body.p);
    uint64_t deadline_ms = strtoull(strstr(m.body.p, "Execgate-Deadline: ") + 19, NULL, 10);
    uint64_t now_ms = clock_wall_ms(h.b.clock);
    assert_in_range(deadline_ms, now_ms + 18000, now_ms + 21000);
    message_free(&m);
    client_post(h.c, "/v1/exchange?max=0", "", "");
    client_expect_reply(h.c, 200, "");
    char path[96];
    snprintf(path, sizeof path, "/v1/invocations/%s/response", h.ids[7]);
    client_post(h.c, path, "", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    client_expect_reply(h.c, 202, "OK");
    booth_await(&h.b, &h.replies[7], 200, "done");
    hall_close(&h);
}

/* Events go to the exchange that has waited longest, and no more than the process has places for. */
static void two_exchanges_at_once(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 5);
    hall_build(&h);
    struct client *second = booth_dial_local(&h.b, 0);
    exchange(h.c, 3, NULL);
    await_want(&h, 3);
    exchange(second, 16, NULL);
    await_want(&h, 5);
    for (size_t i = 0; i < 4; i++) submit(&h, i);
    struct message m = client_receive(h.c);
    assert_int_equal(count_events(&m), 3);
    message_free(&m);
    m = client_receive(second);
    assert_int_equal(count_events(&m), 1);
    message_free(&m);
    exchange(h.c, 16, NULL);
    await_want(&h, 1);
    struct buf answers = {0};
    for (size_t i = 0; i < 4; i++) add_answer(&answers, h.ids[i], 200, "", "x");
    exchange(second, 0, &answers);
    await_want(&h, 5);
    client_expect_reply(second, 200, "");
    for (size_t i = 0; i < 4; i++) booth_await(&h.b, &h.replies[i], 200, "x");
    buf_free(&answers);
    client_free(second);
    hall_close(&h);
}

static void take_events(struct hall *h, size_t count) {
    exchange(h->c, (unsigned)count, NULL);
    await_want(h, (unsigned)count);
    for (size_t i = 0; i < count; i++) submit(h, i);
    struct message m = client_receive(h->c);
    assert_int_equal(count_events(&m), count);
    message_free(&m);
}

static void answers_that_are_not_taken(void **state) {
    (void)state;
    const char *unknown = "11111111-1111-4111-8111-111111111111";
    struct hall h;
    char large[1100], expected[256];
    hall_open(&h, 4);
    hall_build(&h);
    take_events(&h, 4);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    struct buf answers = {0};
    add_answer(&answers, unknown, 200, "", "x");
    add_answer(&answers, h.ids[0], 200, "", "first");
    add_answer(&answers, h.ids[0], 200, "", "twice");
    add_answer(&answers, h.ids[1], 200, "", large);
    add_answer(&answers, h.ids[2], 101, "", "x");
    add_answer(&answers, h.ids[3], 200, "Execgate-Error: Disk.Full\r\n", "the secret reason");
    exchange(h.c, 4, &answers);
    struct message m = client_receive(h.c); /* at once */
    assert_int_equal(m.status, 200);
    snprintf(expected, sizeof expected, "%s unknown, %s unknown, %s too-large, %s invalid", unknown, h.ids[0], h.ids[1],
             h.ids[2]);
    assert_true(slice_equal(message_field(&m, "Execgate-Refused"), slice_of(expected)));
    message_free(&m);
    booth_await(&h.b, &h.replies[0], 200, "first");
    booth_await(&h.b, &h.replies[1], 502, "handler-answer-too-large");
    booth_await(&h.b, &h.replies[2], 502, "handler-answer-invalid");
    booth_await_head(&h.b, &h.replies[3]);
    assert_null(strstr(h.replies[3].body.p, "secret"));
    booth_await(&h.b, &h.replies[3], 502, "Disk.Full");
    assert_true(booth_logged(&h.b, "the secret reason"));
    buf_free(&answers);
    hall_close(&h);
}

static void pipelines_that_are_malformed(void **state) {
    (void)state;
    static const char *const flaws[] = {
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", /* no id */
        "HTTP/1.1 200 OK\r\nExecgate-Invocation-Id: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nExecgate-Invocation-Id: x\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nExecgate-Invo",
        "HTTP/1.1 200 OK\nExecgate-Invocation-Id: x\n\n",
    };
    struct hall h;
    hall_open(&h, 2);
    hall_build(&h);
    for (size_t i = 0; i < ARRAY_LEN(flaws); i++) {
        struct buf answers = {0};
        take_events(&h, 2);
        add_answer(&answers, h.ids[0], 200, "", "before");
        buf_append_text(&answers, flaws[i]);
        exchange(h.c, 2, &answers);
        client_expect_reply(h.c, 400, "the answers before it have been taken");
        booth_await(&h.b, &h.replies[0], 200, "before");
        answers.n = 0;
        add_answer(&answers, h.ids[1], 200, "", "after");
        exchange(h.c, 0, &answers);
        client_expect_reply(h.c, 200, "");
        booth_await(&h.b, &h.replies[1], 200, "after");
        buf_free(&answers);
    }
    client_post(h.c, "/v1/exchange?max=many", "", "");
    client_expect_reply(h.c, 400, "max must be a number");
    hall_close(&h);
}

/* Half of an upload is no answer. */
static void an_exchange_that_is_cut_off(void **state) {
    (void)state;
    struct hall h;
    struct buf answers = {0};
    hall_open(&h, 2);
    hall_build(&h);
    take_events(&h, 2);
    add_answer(&answers, h.ids[0], 200, "", "whole");
    add_answer(&answers, h.ids[1], 200, "", "cut off");
    client_printf(h.c, "POST /v1/exchange?max=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", answers.n);
    client_send_slice(h.c, slice_make(answers.p, answers.n - 1));
    booth_await(&h.b, &h.replies[0], 200, "whole");
    client_free(h.c);
    h.c = booth_dial(&h.b, 0);
    run_on(h.b.loop, 20);
    assert_false(h.replies[1].finished);
    answers.n = 0;
    add_answer(&answers, h.ids[1], 200, "", "again");
    exchange(h.c, 0, &answers);
    client_expect_reply(h.c, 200, "");
    booth_await(&h.b, &h.replies[1], 200, "again");
    buf_free(&answers);
    hall_close(&h);
}

/* --- cancellation --- */

static struct invocation *running(struct hall *h, size_t i) {
    list_each (&h->b.processes[0]->worker->running, node) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        if (memcmp(inv->id, h->ids[i], 36) == 0) return inv;
    }
    fail_msg("%zu does not run", i);
    return NULL;
}

static struct client *watch_cancelled(struct hall *h, const char *id) {
    char path[96];
    struct client *c = booth_dial_local(&h->b, 0);
    snprintf(path, sizeof path, "/v1/invocations/%s/cancelled", id);
    client_get(c, path);
    run_on(h->b.loop, 5);
    return c;
}

static void clients_that_leave_are_told_of(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 4);
    hall_build(&h);
    take_events(&h, 2);
    struct client *watcher = watch_cancelled(&h, h.ids[0]), *other = watch_cancelled(&h, h.ids[1]);
    exchange(h.c, 2, NULL);
    await_want(&h, 2);
    invocation_cancel(running(&h, 0), CANCEL_CLIENT_GONE);
    struct message m = client_receive(h.c);
    assert_int_equal(m.status, 200);
    assert_int_equal(m.body.n, 1);
    assert_true(slice_equal(message_field(&m, "Execgate-Cancelled"), slice_of(h.ids[0])));
    message_free(&m);
    client_expect_reply(watcher, 200, "{\"reason\":\"client-gone\"}");
    client_free(watcher);
    watcher = watch_cancelled(&h, h.ids[0]);
    client_expect_reply(watcher, 200, "client-gone");
    struct buf answers = {0};
    add_answer(&answers, h.ids[0], 200, "", "for nobody");
    add_answer(&answers, h.ids[1], 200, "", "x");
    exchange(h.c, 0, &answers);
    m = client_receive(h.c);
    assert_none(message_field(&m, "Execgate-Cancelled")); /* told once */
    assert_non_null(
        memmem(message_field(&m, "Execgate-Refused").p, message_field(&m, "Execgate-Refused").n, "late", 4));
    message_free(&m);
    assert_false(h.replies[0].finished);
    booth_await(&h.b, &h.replies[1], 200, "x");
    client_expect_reply(other, 204, "");
    client_free(other);
    other = watch_cancelled(&h, h.ids[1]); /* over long ago */
    client_expect_reply(other, 204, "");
    buf_free(&answers);
    client_free(watcher);
    client_free(other);
    hall_close(&h);
}

static void deadlines_are_told_of(void **state) {
    (void)state;
    struct hall h;
    char expected[64], path[96];
    hall_open(&h, 4);
    h.b.handler.timeout_ms = 60;
    hall_build(&h);
    h.b.processes[0]->stubborn = true;
    take_events(&h, 1);
    struct client *watcher = watch_cancelled(&h, h.ids[0]);
    booth_await(&h.b, &h.replies[0], 504, "handler-timeout");
    client_expect_reply(watcher, 200, "deadline");
    struct buf answers = {0};
    add_answer(&answers, h.ids[0], 200, "", "late");
    exchange(h.c, 1, &answers);
    struct message m = client_receive(h.c);
    snprintf(expected, sizeof expected, "%s late", h.ids[0]);
    assert_true(slice_equal(message_field(&m, "Execgate-Refused"), slice_of(expected)));
    assert_true(slice_equal(message_field(&m, "Execgate-Cancelled"), slice_of(h.ids[0])));
    assert_slice(message_field(&m, "Execgate-Drain"), "true"); /* such a process is replaced */
    message_free(&m);
    snprintf(path, sizeof path, "/v1/invocations/%s/response", h.ids[0]);
    client_post(h.c, path, "", "HTTP/1.1 200 OK\r\n\r\nx");
    client_expect_reply(h.c, 410, "late");
    h.b.processes[0]->stubborn = false;
    buf_free(&answers);
    client_free(watcher);
    hall_close(&h);
}

/* --- drain --- */

static void a_process_is_told_to_drain(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 4);
    hall_build(&h);
    h.b.processes[0]->stubborn = true;
    take_events(&h, 1);
    struct client *simple = booth_dial_local(&h.b, 0);
    exchange(h.c, 2, NULL);
    await_want(&h, 2);
    client_get(simple, "/v1/next");
    await_want(&h, 3);
    pool_drain(h.b.pool);
    run_on(h.b.loop, 5);
    client_pump(h.c);
    assert_int_equal(h.c->in.n, 0); /* it still holds one */
    struct buf answers = {0};
    add_answer(&answers, h.ids[0], 200, "", "x");
    struct client *third = booth_dial_local(&h.b, 0);
    exchange(third, 1, &answers);
    static const char *const names[] = {"first", "third"};
    struct client *const exchanges[] = {h.c, third};
    for (size_t i = 0; i < 2; i++) {
        struct message m = client_receive(exchanges[i]);
        if (m.status != 200 || m.body.n != 1) fail_msg("%s: %d %s", names[i], m.status, m.body.p);
        assert_slice(message_field(&m, "Execgate-Drain"), "true");
        message_free(&m);
    }
    struct message m = client_receive(simple);
    assert_int_equal(m.status, 204);
    assert_slice(message_field(&m, "Execgate-Drain"), "true");
    message_free(&m);
    client_get(simple, "/v1/next");
    client_expect_reply(simple, 204, "");
    booth_await(&h.b, &h.replies[0], 200, "x");
    assert_int_equal(h.b.processes[0]->last_signal, 0); /* it was told, and may leave in its own way */
    process_end(h.b.processes[0], 0);
    client_expect_end(simple);
    buf_free(&answers);
    client_free(simple);
    client_free(third);
    hall_close(&h);
}

/* --- the simple calls --- */

struct response_case {
    const char *body;
    int status;       /* to the process */
    int client;       /* 0 = it still waits */
    const char *says; /* to the process */
};

static void simple_responses(void **state) {
    (void)state;
    static const struct response_case cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 202, 200, "OK"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 202, 200, "OK"},
        {"HTTP/1.1 200 OK\r\n\r\n", 202, 200, "OK"},
        {"HTTP/1.1 204 OK\r\nExecgate-Invocation-Id: %s\r\n\r\n", 202, 204, "OK"},
        {"HTTP/1.1 200 OK\r\nExecgate-Error: X\r\n\r\nwhy", 202, 502, "OK"},
        {"HTTP/1.1 200 OK\r\nExecgate-Error: X\r\nContent-Length: 3\r\n\r\nwhy", 202, 502, "OK"},
        {"HTTP/1.1 200 OK\r\nExecgate-Invocation-Id: other\r\n\r\n", 400, 0, "another invocation"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", 400, 0, "ends within"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi", 400, 502, "something follows"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nhi", 413, 502, "at most 1000 bytes"},
        {"HTTP/1.1 100 Continue\r\n\r\n", 400, 502, "not valid"},
        {"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", 400, 502, "not valid"},
        {"nonsense\r\n\r\n", 400, 502, "must begin with"},
        {"HTTP/1.1 200 OK\r\n", 400, 502, "no complete head"},
    };
    struct hall h;
    hall_open(&h, 1);
    hall_build(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct response_case *c = &cases[i];
        char path[96], body[256];
        take_events(&h, 1);
        snprintf(path, sizeof path, "/v1/invocations/%s/response", h.ids[0]);
        snprintf(body, sizeof body, "%s", c->body);
        const char *hole = strstr(c->body, "%s");
        if (hole) snprintf(body, sizeof body, "%.*s%s%s", (int)(hole - c->body), c->body, h.ids[0], hole + 2);
        client_post(h.c, path, "", body);
        struct message m = client_receive(h.c);
        if (m.status != c->status || !strstr(m.body.p, c->says)) fail_msg("%s: %d %s", c->body, m.status, m.body.p);
        message_free(&m);
        if (!c->client) {
            assert_false(h.replies[0].finished);
            client_post(h.c, path, "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            client_expect_reply(h.c, 202, "OK");
        }
        booth_await(&h.b, &h.replies[0], c->client ? c->client : 200, "");
        client_post(h.c, path, "", "HTTP/1.1 200 OK\r\n\r\n");
        client_expect_reply(h.c, 404, "unknown");
    }
    hall_close(&h);
}

static void simple_errors(void **state) {
    (void)state;
    struct hall h;
    char path[96];
    hall_open(&h, 1);
    hall_build(&h);
    take_events(&h, 1);
    snprintf(path, sizeof path, "/v1/invocations/%s/error", h.ids[0]);
    client_post(h.c, path, "", "not json");
    client_expect_reply(h.c, 400, "JSON object");
    client_post(h.c, path, "",
                "{\"message\":\"the secret reason\",\"type\":\"Disk.Full\",\"stack\":\"at main\",\"retry\":false}");
    client_expect_reply(h.c, 202, "OK");
    booth_await_head(&h.b, &h.replies[0]);
    assert_null(strstr(h.replies[0].body.p, "secret"));
    booth_await(&h.b, &h.replies[0], 502, "Disk.Full");
    assert_true(booth_logged(&h.b, "the secret reason"));
    assert_true(booth_logged(&h.b, "at main"));
    client_post(h.c, path, "", "{}");
    client_expect_reply(h.c, 404, "unknown");
    hall_close(&h);
}

static void config_says_what_is_served(void **state) {
    (void)state;
    struct hall h;
    hall_open(&h, 3);
    hall_build(&h);
    client_get(h.c, "/v1/config");
    client_expect_reply(
        h.c, 200,
        "{\"application\":\"unit\",\"handler\":\"shop\",\"worker\":1,\"concurrency\":3,\"timeoutMs\":20000,"
        "\"maxAnswer\":1000,\"triggers\":[{\"http\":\"ANY /items/{id}\"}]}");
    hall_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_events_and_many_answers),
        cmocka_unit_test(an_upload_may_be_cut_anywhere),
        cmocka_unit_test(what_an_event_looks_like),
        cmocka_unit_test(two_exchanges_at_once),
        cmocka_unit_test(answers_that_are_not_taken),
        cmocka_unit_test(pipelines_that_are_malformed),
        cmocka_unit_test(an_exchange_that_is_cut_off),
        cmocka_unit_test(clients_that_leave_are_told_of),
        cmocka_unit_test(deadlines_are_told_of),
        cmocka_unit_test(a_process_is_told_to_drain),
        cmocka_unit_test(simple_responses),
        cmocka_unit_test(simple_errors),
        cmocka_unit_test(config_says_what_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
