/* The client header of the examples against a gateway that is played here, in a thread, on a Unix socket. */
#define EXECGATE_IMPLEMENTATION
#include "sdk-examples/execgate.h"
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <cmocka.h>

#define BOUND_MS 10000

/* --- the played gateway --- */
struct gateway {
    int listener;
    char directory[64], path[96];
    pthread_t thread;
    void (*script)(struct gateway *g);
    const char *problem; /* what the script found wrong; NULL = nothing. Read after the join. */
    char *request;       /* the last one, NUL-terminated */
    size_t request_size;
    size_t exchanges;
    char *streamed; /* the decoded body of the last streamed answer */
};

static void expect(struct gateway *g, bool good, const char *problem) {
    if (!good && !g->problem) g->problem = problem;
}

static int gateway_accept(struct gateway *g) {
    struct pollfd p = {.fd = g->listener, .events = POLLIN};
    int fd = poll(&p, 1, BOUND_MS) == 1 ? accept(g->listener, NULL, NULL) : -1;
    struct timeval bound = {.tv_sec = BOUND_MS / 1000};
    expect(g, fd >= 0, "the client did not connect");
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    return fd;
}

/* A whole request with an exact length or chunked; its size, 0 at the end of the connection. */
static size_t request_read(struct gateway *g, int fd) {
    size_t capacity = 1 << 16, n = 0, want = 0;
    free(g->request);
    g->request = malloc(capacity);
    while (want == 0 || n < want) {
        if (n + 1 == capacity) g->request = realloc(g->request, capacity *= 2);
        ssize_t got = recv(fd, g->request + n, capacity - n - 1, 0);
        if (got <= 0) return g->request_size = 0;
        n += (size_t)got;
        g->request[n] = 0;
        char *end = strstr(g->request, "\r\n\r\n"), *length = strcasestr(g->request, "\r\nContent-Length: ");
        if (!end) continue;
        if (strncmp(g->request, "GET", 3) == 0)
            want = n;
        else if (length && length < end)
            want = (size_t)(end - g->request) + 4 + strtoul(length + 18, NULL, 10);
        else if (n >= 5 && memcmp(g->request + n - 5, "0\r\n\r\n", 5) == 0)
            want = n;
    }
    return g->request_size = n;
}

static bool request_is(const struct gateway *g, const char *start) {
    return strncmp(g->request, start, strlen(start)) == 0;
}

static const char *request_body(const struct gateway *g) {
    return strstr(g->request, "\r\n\r\n") + 4;
}

static void send_bytes(struct gateway *g, int fd, const char *data, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0) return expect(g, false, "the client closed while it was answered");
        data += sent;
        n -= (size_t)sent;
    }
}

/* Waits until the client has read everything, so that what follows is a read of its own. */
static void wait_until_read(struct gateway *g, int fd) {
    int waiting = 1;
    for (int i = 0; i < BOUND_MS * 100; i++) {
        if (ioctl(fd, SIOCOUTQ, &waiting) || waiting == 0) break;
        poll(NULL, 0, i < 1000 ? 0 : 1);
    }
    expect(g, waiting == 0, "the client does not read");
}

struct text {
    char bytes[8192];
    size_t n;
};

static void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text_add(struct text *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    t->n += (size_t)vsnprintf(t->bytes + t->n, sizeof t->bytes - t->n, format, arguments);
    va_end(arguments);
}

static void event_add(struct text *t, const char *id, const char *line, const char *body) {
    text_add(
        t,
        "%s HTTP/1.1\r\nExecgate-Invocation-Id: %s\r\nExecgate-Trigger: http\r\nExecgate-Route: GET /a/{id}/{path+}\r\n"
        "Execgate-Parameters: id=4%%262&path=a%%2Fb+c\r\nExecgate-Deadline: 4102444800000\r\nhost: shop.example\r\n"
        "X-Tag: one\r\nX-TAG:two\r\nContent-Length: %zu\r\n\r\n%s",
        line, id, strlen(body), body);
}

/* Three events whose bodies look like messages or are empty. */
static void events_make(struct text *t) {
    t->n = 0;
    event_add(t, "id-1", "GET /a/4%262/a%2Fb%20c?x=1&y=%2Fz+1&flag", "");
    event_add(t, "id-2", "POST /b", "HTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    event_add(t, "id-3", "PUT /c?", "body three");
}

static void reply_make(struct text *t, const struct text *body, const char *fields) {
    t->n = 0;
    text_add(t, "HTTP/1.1 200 OK\r\nDate: today\r\n%sContent-Length: %zu\r\n\r\n%.*s", fields, body->n, (int)body->n,
             body->bytes);
}

static void send_drain(struct gateway *g, int fd) {
    static const char drain[] = "HTTP/1.1 200 OK\r\nExecgate-Drain: true\r\nContent-Length: 0\r\n\r\n";
    send_bytes(g, fd, drain, sizeof drain - 1);
}

static void *gateway_thread(void *context) {
    struct gateway *g = context;
    g->script(g);
    if (g->listener >= 0) close(g->listener);
    return NULL;
}

static void gateway_start(struct gateway *g, void (*script)(struct gateway *g)) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sigset_t alarm_only, before;
    memset(g, 0, sizeof *g);
    strcpy(g->directory, "/tmp/execgate-client-XXXXXX");
    assert_non_null(mkdtemp(g->directory));
    snprintf(g->path, sizeof g->path, "%s/api", g->directory);
    strcpy(address.sun_path, g->path);
    g->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(g->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(g->listener, 8), 0);
    setenv("EXECGATE_RUNTIME_SOCKET", g->path, 1);
    setenv("EXECGATE_CONCURRENCY", "16", 1);
    unsetenv("EXECGATE_RUNTIME_API");
    g->script = script;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, &before); /* signals are for the client's thread */
    assert_int_equal(pthread_create(&g->thread, NULL, gateway_thread, g), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void gateway_end(struct gateway *g) {
    pthread_join(g->thread, NULL);
    if (*g->path) unlink(g->path);
    if (*g->directory) rmdir(g->directory);
    free(g->request);
    free(g->streamed);
    if (g->problem) fail_msg("%s", g->problem);
}

/* --- handlers --- */
struct seen {
    size_t calls, wrong;
};

static bool is(const char *a, const char *b) {
    return a && strcmp(a, b) == 0;
}

static bool first_is_right(const struct execgate_request *q) {
    return is(q->id, "id-1") && is(q->trigger, "http") && is(q->route, "GET /a/{id}/{path+}") && is(q->method, "GET") &&
           is(q->target, "/a/4%262/a%2Fb%20c?x=1&y=%2Fz+1&flag") && is(q->path, "/a/4&2/a/b c") &&
           is(q->query, "x=1&y=%2Fz+1&flag") && is(q->body, "") && q->body_size == 0 &&
           q->deadline_ms == 4102444800000 && is(execgate_parameter(q, "id"), "4&2") &&
           is(execgate_parameter(q, "path"), "a/b c") && !execgate_parameter(q, "name") &&
           is(execgate_query_value(q, "x"), "1") && is(execgate_query_value(q, "y"), "/z 1") &&
           is(execgate_query_value(q, "flag"), "") && !execgate_query_value(q, "z") &&
           is(execgate_header(q, "Host"), "shop.example") && is(execgate_header(q, "x-tag"), "one") &&
           execgate_remaining_ms(q) > 0;
}

static bool others_are_right(const struct execgate_request *q) {
    if (is(q->id, "id-2"))
        return is(q->method, "POST") && is(q->path, "/b") && is(q->query, "") && q->body_size == 37 &&
               is(q->body, "HTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    return is(q->id, "id-3") && is(q->method, "PUT") && is(q->path, "/c") && is(q->query, "") &&
           is(q->body, "body three");
}

static void check_and_answer(const struct execgate_request *q, struct execgate_response *r, void *user) {
    struct seen *seen = user;
    bool right = seen->calls % 3 == 0 ? first_is_right(q) : others_are_right(q);
    seen->wrong += !right;
    seen->calls++;
    execgate_print(r, "answer to %s", q->id);
}

static const char three_answers[] =
    "HTTP/1.1 200 \r\nExecgate-Invocation-Id: id-1\r\nContent-Length: 14\r\n\r\nanswer to id-1"
    "HTTP/1.1 200 \r\nExecgate-Invocation-Id: id-2\r\nContent-Length: 14\r\n\r\nanswer to id-2"
    "HTTP/1.1 200 \r\nExecgate-Invocation-Id: id-3\r\nContent-Length: 14\r\n\r\nanswer to id-3";

/* Reads exchanges until the client has answered `replies`, each cut in two by the caller's choice. */
static void expect_three_answers(struct gateway *g, int fd) {
    expect(g, request_read(g, fd) > 0 && request_is(g, "POST /v1/exchange?max=16 HTTP/1.1\r\n"), "no exchange");
    if (!g->problem) expect(g, strcmp(request_body(g), three_answers) == 0, "not the three answers");
}

static void script_split(struct gateway *g) {
    struct text events, reply;
    int fd = gateway_accept(g);
    events_make(&events);
    reply_make(&reply, &events, "");
    expect(g, request_read(g, fd) > 0 && *request_body(g) == 0, "the first exchange has no answers");
    for (size_t cut = 1; cut < reply.n && !g->problem; cut++) {
        send_bytes(g, fd, reply.bytes, cut);
        wait_until_read(g, fd);
        send_bytes(g, fd, reply.bytes + cut, reply.n - cut);
        expect_three_answers(g, fd);
        g->exchanges++;
    }
    send_drain(g, fd);
    close(fd);
}

static void a_batch_may_arrive_split_at_every_byte(void **state) {
    struct gateway g;
    struct seen seen = {0};
    (void)state;
    gateway_start(&g, script_split);
    assert_int_equal(execgate_run(check_and_answer, &seen), 0);
    gateway_end(&g);
    assert_true(g.exchanges > 500);
    assert_int_equal(seen.calls, 3 * g.exchanges);
    assert_int_equal(seen.wrong, 0);
}

static void script_chunked(struct gateway *g) {
    struct text events, reply = {.n = 0};
    int fd = gateway_accept(g);
    events_make(&events);
    expect(g, request_read(g, fd) > 0, "no exchange");
    text_add(&reply, "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n");
    for (size_t at = 0; at < events.n; at += 37) {
        size_t size = events.n - at < 37 ? events.n - at : 37;
        text_add(&reply, at % 2 ? "%zX;note=1\r\n" : "%zx\r\n", size);
        text_add(&reply, "%.*s\r\n", (int)size, events.bytes + at);
    }
    text_add(&reply, "0\r\nA-Trailer: 1\r\n\r\n");
    for (size_t i = 0; i < reply.n && !g->problem; i++) {
        send_bytes(g, fd, reply.bytes + i, 1);
        wait_until_read(g, fd);
    }
    expect_three_answers(g, fd);
    send_drain(g, fd);
    close(fd);
}

static void a_chunked_reply_may_arrive_byte_by_byte(void **state) {
    struct gateway g;
    struct seen seen = {0};
    (void)state;
    gateway_start(&g, script_chunked);
    assert_int_equal(execgate_run(check_and_answer, &seen), 0);
    gateway_end(&g);
    assert_int_equal(seen.calls, 3);
    assert_int_equal(seen.wrong, 0);
}

/* --- large answers and events, with signals in between --- */
#define LARGE (4 * 1024 * 1024)

static volatile sig_atomic_t alarms;
static void on_alarm(int number) {
    (void)number;
    alarms = alarms + 1;
}

static void script_large(struct gateway *g) {
    static char body[LARGE / 8];
    char head[256];
    int fd = gateway_accept(g);
    expect(g, request_read(g, fd) > 0, "no exchange");
    memset(body, 'e', sizeof body);
    int n = snprintf(head, sizeof head,
                     "POST /large HTTP/1.1\r\nExecgate-Invocation-Id: big\r\nContent-Length: %zu\r\n\r\n", sizeof body);
    char reply[128];
    int r = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", (size_t)n + sizeof body);
    send_bytes(g, fd, reply, (size_t)r);
    send_bytes(g, fd, head, (size_t)n);
    send_bytes(g, fd, body, sizeof body);
    /* The answer does not fit into the socket: wait until signals have cut the client's write short. */
    for (int i = 0, before = alarms; i < BOUND_MS && alarms < before + 20; i++) poll(NULL, 0, 1);
    expect(g, request_read(g, fd) > LARGE, "the answer is not whole");
    const char *answer = strstr(request_body(g), "\r\n\r\n") + 4;
    for (size_t i = 0; i < LARGE && !g->problem; i++) expect(g, answer[i] == (char)('a' + i % 23), "a byte is wrong");
    send_drain(g, fd);
    close(fd);
}

static void answer_large(const struct execgate_request *q, struct execgate_response *r, void *user) {
    size_t *wrong = user;
    static char data[23 * 1000];
    *wrong += q->body_size != LARGE / 8 || strspn(q->body, "e") != LARGE / 8;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)('a' + i % 23);
    for (size_t left = LARGE, part; left > 0; left -= part) {
        part = left < sizeof data ? left : sizeof data;
        execgate_write(r, data, part);
    }
}

static void large_messages_survive_interruptions(void **state) {
    struct gateway g;
    struct sigaction action = {.sa_handler = on_alarm}, before;
    struct itimerval often = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}},
                     never = {{0, 0}, {0, 0}};
    size_t wrong = 0;
    (void)state;
    gateway_start(&g, script_large);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    int result = execgate_run(answer_large, &wrong);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    gateway_end(&g);
    assert_int_equal(result, 0);
    assert_int_equal(wrong, 0);
}

/* --- what answers look like --- */
static void send_events(struct gateway *g, int fd, const char *const *ids, const char *fields) {
    struct text events = {.n = 0}, reply;
    for (; *ids; ids++) event_add(&events, *ids, "GET /", "");
    reply_make(&reply, &events, fields);
    send_bytes(g, fd, reply.bytes, reply.n);
}

static void script_answers(struct gateway *g) {
    static const char *const ids[] = {"plain", "full", "failed", "late-fail", NULL};
    static const char wanted[] =
        "HTTP/1.1 200 \r\nExecgate-Invocation-Id: plain\r\nContent-Length: 0\r\n\r\n"
        "HTTP/1.1 404 \r\nExecgate-Invocation-Id: full\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 35\r\n\r\n"
        "7 \"q\\\"b\\\\n\\nt\\tz\\u0000e\\u001b\xc3\xa9\" \"\""
        "HTTP/1.1 500 \r\nExecgate-Invocation-Id: failed\r\nExecgate-Error: Database\r\nContent-Length: "
        "6\r\n\r\nno 42!"
        "HTTP/1.1 500 \r\nExecgate-Invocation-Id: late-fail\r\nExecgate-Error: Error\r\nContent-Length: "
        "4\r\n\r\noops";
    int fd = gateway_accept(g);
    expect(g, request_read(g, fd) > 0, "no exchange");
    send_events(g, fd, ids, "Execgate-Refused: old late\r\n");
    expect(g, request_read(g, fd) > 0, "no answers");
    if (!g->problem) expect(g, strcmp(request_body(g), wanted) == 0, "the answers are not as wanted");
    send_drain(g, fd);
    close(fd);
}

static void answer_variously(const struct execgate_request *q, struct execgate_response *r, void *user) {
    size_t *refused = user;
    if (is(q->id, "full")) {
        execgate_print(r, "%d ", 7);
        execgate_write_json(r, "q\"b\\n\nt\tz\0e\x1b\xc3\xa9", 14);
        execgate_write(r, " ", 1);
        execgate_write_json(r, "", 0);
        execgate_add_header(r, "X-A", "1");
        *refused += execgate_add_header(r, "X-B", "1\r\nX-C: 2") == -1;
        *refused += execgate_add_header(r, "X B", "1") == -1;
        *refused += execgate_add_header(r, "", "1") == -1;
        *refused += execgate_add_header(r, "X-A", "2") != 0;
        *refused += execgate_add_header(r, "content-length", "1") == -1;
        *refused += execgate_add_header(r, "Transfer-Encoding", "chunked") == -1;
        *refused += execgate_add_header(r, "execgate-error", "none") == -1;
        *refused += execgate_add_header(r, "X-B", "\x7f") == -1;
        *refused += execgate_status(r, 99) == -1;
        execgate_status(r, 404);
    } else if (is(q->id, "failed")) {
        execgate_reply(r, 201, "text/plain", "forget this");
        execgate_fail(r, "Database", "no %d!", 42);
        *refused += execgate_status(r, 200) == -1;
    } else if (is(q->id, "late-fail")) {
        execgate_fail(r, "no\r\ntoken", "oops");
    }
}

static void answers_are_exact_and_cannot_be_split_by_their_fields(void **state) {
    struct gateway g;
    size_t refused = 0;
    (void)state;
    gateway_start(&g, script_answers);
    assert_int_equal(execgate_run(answer_variously, &refused), 0);
    gateway_end(&g);
    assert_int_equal(refused, 9);
}

/* --- streaming --- */
/* The chunked body of g->request, decoded into g->streamed; false when it does not end. */
static bool streamed_decode(struct gateway *g) {
    const char *at = request_body(g);
    size_t n = 0;
    free(g->streamed);
    g->streamed = calloc(1, g->request_size + 1);
    for (;;) {
        char *stop;
        size_t size = strtoul(at, &stop, 16);
        if (stop == at) return false;
        if (size == 0) return true;
        memcpy(g->streamed + n, stop + 2, size);
        n += size;
        at = stop + 2 + size + 2;
    }
}

static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";

/* first and second are answered at once, "streamed" on a connection of its own, and "last" with the next exchange. */
static void script_stream(struct gateway *g) {
    static const char *const ids[] = {"first", "second", "streamed", "last", NULL};
    int fd = gateway_accept(g);
    expect(g, request_read(g, fd) > 0, "no exchange");
    send_events(g, fd, ids, "");
    int other = gateway_accept(g);
    expect(g, request_read(g, other) > 0 && request_is(g, "POST /v1/exchange?max=0 "),
           "earlier answers wait for the stream");
    if (!g->problem)
        expect(g, strstr(g->request, "second") && !strstr(g->request, "streamed"), "not the earlier answers");
    send_bytes(g, other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38);
    expect(g, request_read(g, other) > 0 && request_is(g, "POST /v1/invocations/streamed/response "), "no stream");
    if (!g->problem) expect(g, streamed_decode(g), "the stream does not end");
    if (!g->problem)
        expect(g,
               strcmp(g->streamed, "HTTP/1.1 201 \r\nExecgate-Invocation-Id: streamed\r\nX-A: 1\r\n\r\n"
                                   "before, one, two, three") == 0,
               "not what was streamed");
    send_bytes(g, other, accepted, sizeof accepted - 1);
    expect(g, request_read(g, fd) > 0 && strstr(g->request, "last") && !strstr(g->request, "second"),
           "not the last answer");
    send_drain(g, fd);
    close(other);
    close(fd);
}

static void stream_the_third(const struct execgate_request *q, struct execgate_response *r, void *user) {
    size_t *failed = user;
    if (!is(q->id, "streamed")) return;
    execgate_status(r, 201);
    execgate_add_header(r, "X-A", "1");
    execgate_print(r, "before, ");
    *failed += execgate_stream_begin(r) != 0;
    *failed += execgate_add_header(r, "X-Late", "1") != -1;
    *failed += execgate_stream_write(r, NULL, 0) != 0;
    *failed += execgate_stream_write(r, "one, ", 5) != 0;
    execgate_print(r, "two, ");
    *failed += execgate_stream_write(r, "thr", 3) != 0;
    execgate_print(r, "ee"); /* the end is implied */
}

static void a_stream_has_its_own_connection_and_holds_up_nobody(void **state) {
    struct gateway g;
    size_t failed = 0;
    (void)state;
    gateway_start(&g, script_stream);
    assert_int_equal(execgate_run(stream_the_third, &failed), 0);
    gateway_end(&g);
    assert_int_equal(failed, 0);
}

/* The listener of "left" goes away in mid-stream, "broken" fails in mid-stream; the process goes on after both. */
static void script_broken_streams(struct gateway *g) {
    static const char *const left[] = {"left", NULL}, *const broken[] = {"broken", NULL};
    char byte;
    int fd = gateway_accept(g);
    expect(g, request_read(g, fd) > 0, "no exchange");
    send_events(g, fd, left, "");
    int other = gateway_accept(g);
    expect(g, recv(other, &byte, 1, 0) == 1, "no stream");
    close(other);
    expect(g, request_read(g, fd) > 0 && *request_body(g) == 0, "a broken stream was answered again");
    send_events(g, fd, broken, "");
    other = gateway_accept(g);
    expect(g, request_read(g, other) == 0, "the stream has an end");
    expect(g, request_read(g, fd) > 0 && *request_body(g) == 0, "a failed stream was answered again");
    send_drain(g, fd);
    close(other);
    close(fd);
}

static void stream_in_vain(const struct execgate_request *q, struct execgate_response *r, void *user) {
    size_t *ended = user;
    execgate_stream_begin(r);
    if (is(q->id, "broken")) {
        *ended += execgate_cancelled(q) == 0;
        execgate_fail(r, "Midway", "on purpose");
        *ended += execgate_stream_write(r, "x", 1) == -1;
        return;
    }
    for (int i = 0; i < BOUND_MS && !execgate_cancelled(q); i++) poll(NULL, 0, 1);
    *ended += execgate_stream_write(r, "x", 1) == -1;
}

static void a_broken_stream_ends_only_its_event(void **state) {
    struct gateway g;
    size_t ended = 0;
    (void)state;
    gateway_start(&g, script_broken_streams);
    assert_int_equal(execgate_run(stream_in_vain, &ended), 0);
    gateway_end(&g);
    assert_int_equal(ended, 3);
}

/* --- cancellation --- */
static volatile sig_atomic_t watch_answered;

static void answer_watch(struct gateway *g, int fd, const char *id, const char *reply) {
    char start[96];
    const char *const ids[] = {id, NULL};
    watch_answered = 0;
    send_events(g, fd, ids, "");
    int watch = gateway_accept(g);
    snprintf(start, sizeof start, "GET /v1/invocations/%s/cancelled HTTP/1.1\r\n", id);
    expect(g, request_read(g, watch) > 0 && request_is(g, start), "no watch");
    send_bytes(g, watch, reply, strlen(reply));
    watch_answered = 1;
    expect(g, request_read(g, fd) > 0 && strstr(request_body(g), id), "no answer");
    expect(g, request_read(g, watch) == 0, "the watch is left open");
    close(watch);
}

static void script_cancel(struct gateway *g) {
    int fd = gateway_accept(g);
    expect(g, request_read(g, fd) > 0, "no exchange");
    answer_watch(g, fd, "long", "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"reason\":\"client-gone\"}");
    answer_watch(g, fd, "ended", "HTTP/1.1 204 No Content\r\n\r\n");
    send_drain(g, fd);
    close(fd);
}

static void ask_whether_cancelled(const struct execgate_request *q, struct execgate_response *r, void *user) {
    int *told = user;
    (void)r;
    execgate_cancelled(q); /* asks */
    for (int i = 0; i < BOUND_MS && !watch_answered; i++) poll(NULL, 0, 1);
    told[is(q->id, "ended")] = execgate_cancelled(q);
}

static void a_cancelled_invocation_is_told(void **state) {
    struct gateway g;
    int told[2] = {-1, -1};
    (void)state;
    gateway_start(&g, script_cancel);
    assert_int_equal(execgate_run(ask_whether_cancelled, told), 0);
    gateway_end(&g);
    assert_int_equal(told[0], 1);
    assert_int_equal(told[1], 0);
}

/* --- connections that end --- */
static void script_reconnect(struct gateway *g) {
    struct text events, reply;
    int fd = gateway_accept(g);
    events_make(&events);
    reply_make(&reply, &events, "Connection: close\r\n");
    expect(g, request_read(g, fd) > 0, "no exchange");
    send_bytes(g, fd, reply.bytes, reply.n);
    close(fd); /* as announced */
    fd = gateway_accept(g);
    expect_three_answers(g, fd);
    close(fd); /* and unannounced: the same answers come again */
    fd = gateway_accept(g);
    expect_three_answers(g, fd);
    reply_make(&reply, &events, "");
    send_bytes(g, fd, reply.bytes, reply.n);
    expect_three_answers(g, fd);
    send_bytes(g, fd, reply.bytes, reply.n / 2);
    close(g->listener);
    g->listener = -1;
    close(fd); /* in the middle of a reply, and for good */
}

static void a_lost_connection_is_renewed_and_a_lost_gateway_is_the_end(void **state) {
    struct gateway g;
    struct seen seen = {0};
    (void)state;
    gateway_start(&g, script_reconnect);
    assert_int_equal(execgate_run(check_and_answer, &seen), 0);
    gateway_end(&g);
    assert_int_equal(seen.calls, 6);
    assert_int_equal(seen.wrong, 0);
}

static void script_refuse(struct gateway *g) {
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nno good";
    int fd = gateway_accept(g);
    while (request_read(g, fd) > 0 && g->exchanges < 10) {
        send_bytes(g, fd, bad, sizeof bad - 1);
        g->exchanges++;
    }
    close(fd);
}

static void a_gateway_that_always_refuses_is_left(void **state) {
    struct gateway g;
    struct seen seen = {0};
    (void)state;
    gateway_start(&g, script_refuse);
    assert_int_equal(execgate_run(check_and_answer, &seen), -1);
    gateway_end(&g);
    assert_int_equal(g.exchanges, 3);
}

static void without_a_gateway_it_says_so(void **state) {
    (void)state;
    setenv("EXECGATE_RUNTIME_SOCKET", "/nonexistent/execgate/api", 1);
    setenv("EXECGATE_RUNTIME_API", "http://not-an-address:1", 1);
    assert_int_equal(execgate_run(check_and_answer, NULL), -1);
}

static void script_whole(struct gateway *g) {
    struct text events, reply;
    int fd = gateway_accept(g);
    events_make(&events);
    reply_make(&reply, &events, "");
    expect(g, request_read(g, fd) > 0, "no exchange");
    send_bytes(g, fd, reply.bytes, reply.n);
    expect_three_answers(g, fd);
    send_drain(g, fd);
    close(fd);
}

/* The same over TCP, which is used when there is no Unix socket. */
static void tcp_is_the_second_choice(void **state) {
    struct gateway g;
    struct seen seen = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    char api[64];
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    memset(&g, 0, sizeof g);
    g.listener = listener;
    g.script = script_whole;
    unsetenv("EXECGATE_RUNTIME_SOCKET");
    snprintf(api, sizeof api, "http://127.0.0.1:%d", ntohs(address.sin_port));
    setenv("EXECGATE_RUNTIME_API", api, 1);
    setenv("EXECGATE_CONCURRENCY", "16", 1);
    assert_int_equal(pthread_create(&g.thread, NULL, gateway_thread, &g), 0);
    assert_int_equal(execgate_run(check_and_answer, &seen), 0);
    gateway_end(&g);
    assert_int_equal(seen.calls, 3);
    assert_int_equal(seen.wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_may_arrive_split_at_every_byte),
        cmocka_unit_test(a_chunked_reply_may_arrive_byte_by_byte),
        cmocka_unit_test(large_messages_survive_interruptions),
        cmocka_unit_test(answers_are_exact_and_cannot_be_split_by_their_fields),
        cmocka_unit_test(a_stream_has_its_own_connection_and_holds_up_nobody),
        cmocka_unit_test(a_broken_stream_ends_only_its_event),
        cmocka_unit_test(a_cancelled_invocation_is_told),
        cmocka_unit_test(a_lost_connection_is_renewed_and_a_lost_gateway_is_the_end),
        cmocka_unit_test(a_gateway_that_always_refuses_is_left),
        cmocka_unit_test(without_a_gateway_it_says_so),
        cmocka_unit_test(tcp_is_the_second_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
