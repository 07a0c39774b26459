/* Messages and the client header, against a gateway that is played here: a thread that answers one exchange with one
 * event, and what is sent while that event is handled. */
#define EXECGATE_IMPLEMENTATION
#include "sdk-examples/execgate.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#define BOUND_S 30

struct played {
    int listener;
    char folder[64], path[96];
    pthread_t thread;
    const char *event, *reply; /* reply: to a send; "" = none, and silence */
    char sent[4096];           /* what the client sent to the queue */
    char answer[4096];         /* what it answered the event with */
};

/* A whole request with an exact length into `text`; 0 at the end of the connection. */
static size_t request_read(int fd, char *text, size_t size) {
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, text + n, size - 1 - n, 0);
        if (got <= 0) return 0;
        text[n += (size_t)got] = 0;
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (end && length && n >= (size_t)(end - text) + 4 + strtoul(length + 16, NULL, 10)) return n;
    }
}

static void reply_write(int fd, const char *status, const char *body) {
    char text[4096];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %lu\r\n\r\n%s", status,
                     (unsigned long)strlen(body), body);
    (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static int connection_accept(const struct played *p) {
    struct timeval bound = {.tv_sec = BOUND_S};
    int fd = accept(p->listener, NULL, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    return fd;
}

/* A second connection is one that sends; the first goes on waiting meanwhile. */
static void *play(void *context) {
    struct played *p = context;
    char first[4096];
    int fd = connection_accept(p), sending = -1;
    if (!request_read(fd, first, sizeof first)) return NULL;
    reply_write(fd, "200 OK", p->event);
    if (p->reply) {
        sending = connection_accept(p);
        request_read(sending, p->sent, sizeof p->sent);
        if (*p->reply)
            reply_write(sending, strncmp(p->reply, "{\"messages", 10) == 0 ? "202 Accepted" : "413 Too Large",
                        p->reply);
    }
    if (request_read(fd, p->answer, sizeof p->answer)) reply_write(fd, "200 OK\r\nExecgate-Drain: true", "");
    if (sending >= 0) close(sending);
    close(fd);
    return NULL;
}

static void run(struct played *p, execgate_handler *handler, void *user) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(p->folder, "/tmp/execgate-queue-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/api", p->folder);
    strcpy(address.sun_path, p->path);
    p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    setenv("EXECGATE_RUNTIME_SOCKET", p->path, 1);
    setenv("EXECGATE_CONCURRENCY", "1", 1);
    assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
    assert_int_equal(execgate_run(handler, user), 0);
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(p->path);
    rmdir(p->folder);
}

#define EVENT_HEAD                                                                                                     \
    "POST /queue/orders HTTP/1.1\r\nExecgate-Invocation-Id: id-1\r\nExecgate-Trigger: queue\r\n"                       \
    "Content-Type: application/http\r\n"
#define FIRST                                                                                                          \
    "POST /queue/orders HTTP/1.1\r\nQueue-Message-Id: m-1\r\nQueue-Receive-Count: 3\r\nQueue-Sent: 1795251281712\r\n"  \
    "Queue-Group-Id: a+b%26c\r\nQueue-Dedup-Id: %C3%A9\r\nQueue-Attributes: colour=dark+blue&a%3Db=c%26d\r\n"          \
    "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\na\r\n\r\nPOST"
#define SECOND                                                                                                         \
    "POST /queue/orders HTTP/1.1\r\nQueue-Message-Id: m-2\r\nQueue-Receive-Count: 1\r\nQueue-Sent: 1\r\n"              \
    "Content-Length: 0\r\n\r\n"

static const char *event_make(char *text, size_t size, const char *head, const char *body) {
    snprintf(text, size, "%sContent-Length: %lu\r\n\r\n%s", head, (unsigned long)strlen(body), body);
    return text;
}

static void look(const struct execgate_request *q, struct execgate_response *r, void *user) {
    struct execgate_message m = {0};
    const char *name;
    (void)user;
    assert_int_equal(execgate_message_next(q, &m), 1);
    assert_string_equal(m.id, "m-1");
    assert_int_equal(m.body_size, 9);
    assert_memory_equal(m.body, "a\r\n\r\nPOST", 10);
    assert_string_equal(m.group, "a b&c");
    assert_string_equal(m.dedup_id, "\xc3\xa9");
    assert_string_equal(m.content_type, "text/plain");
    assert_int_equal(m.attempt, 3);
    assert_true(m.sent_ms == 1795251281712);
    assert_string_equal(execgate_message_attribute(q, "colour"), "dark blue");
    assert_string_equal(execgate_message_attribute_at(q, 1, &name), "c&d");
    assert_string_equal(name, "a=b");
    assert_null(execgate_message_attribute_at(q, 2, &name));
    execgate_message_fail(r, m.id);
    assert_int_equal(execgate_message_next(q, &m), 1);
    assert_string_equal(m.id, "m-2");
    assert_int_equal(m.body_size, 0);
    assert_string_equal(m.dedup_id, "");
    assert_null(execgate_message_attribute_at(q, 0, &name));
    assert_int_equal(execgate_message_next(q, &m), 0);
    execgate_message_fail(r, "m-2");
}

static void everything_of_a_message_is_told(void **state) {
    struct played p = {0};
    char event[2048];
    (void)state;
    p.event = event_make(event, sizeof event, EVENT_HEAD, FIRST SECOND);
    run(&p, look, NULL);
    assert_non_null(strstr(
        p.answer, "\r\n\r\n{\"batchItemFailures\":[{\"itemIdentifier\":\"m-1\"},{\"itemIdentifier\":\"m-2\"}]}"));
}

/* --- sending --- */
static const char *const attributes[] = {"a", "b\n", "\"", "c", NULL};
static const struct execgate_outgoing two[] = {
    {.body = "\0\xff\"",
     .body_size = 3,
     .content_type = "text/plain",
     .group = "g",
     .dedup_id = "d",
     .attributes = attributes,
     .delay_ms = 90000},
    {.body = "fo", .body_size = 2, .delay_ms = -1},
};
#define LIST                                                                                                           \
    "{\"messages\":[{\"bodyBase64\":\"AP8i\",\"contentType\":\"text/plain\",\"groupId\":\"g\",\"dedupId\":\"d\","      \
    "\"delay\":\"90000ms\",\"attributes\":{\"a\":\"b\\n\",\"\\\"\":\"c\"}},{\"bodyBase64\":\"Zm8=\",\"delay\":"        \
    "\"0ms\"}]}"

static void send_two(const struct execgate_request *q, struct execgate_response *r, void *user) {
    int duplicate = -1;
    (void)r;
    (void)user;
    assert_null(execgate_sent_id(q, 0, &duplicate));
    assert_int_equal(execgate_send(q, "orders", two, 2), 0);
    assert_string_equal(execgate_sent_id(q, 0, &duplicate), "m-1");
    assert_int_equal(duplicate, 1);
    assert_string_equal(execgate_sent_id(q, 1, &duplicate), "m-2");
    assert_int_equal(duplicate, 0);
    assert_null(execgate_sent_id(q, 2, &duplicate));
    assert_string_equal(execgate_send_problem(q), "");
    assert_int_equal(execgate_send(q, "a b", two, 2), -1);
    assert_string_equal(execgate_send_problem(q), "no queue has the name a b");
    assert_int_equal(execgate_send(q, "orders", NULL, 0), 0);
}

static void messages_are_sent_as_one_list(void **state) {
    struct played p = {
        .reply =
            "{\"messages\":[{\"messageId\":\"m-1\",\"duplicate\":true},{\"messageId\":\"m-2\",\"duplicate\":false}]}"};
    char event[2048];
    (void)state;
    p.event = event_make(event, sizeof event, EVENT_HEAD, SECOND);
    run(&p, send_two, NULL);
    assert_memory_equal(p.sent, "POST /v1/queues/orders/messages HTTP/1.1\r\n", 42);
    assert_string_equal(strstr(p.sent, "\r\n\r\n") + 4, LIST);
    assert_null(strstr(p.sent, "Execgate-Invocation-Id"));
}

static void send_held(const struct execgate_request *q, struct execgate_response *r, void *user) {
    assert_int_equal(execgate_send_with_answer(q, "orders", two, 1), -1);
    strcpy(user, execgate_send_problem(q));
    execgate_fail(r, "NotSent", "no");
    assert_int_equal(execgate_retry(r, "30s"), 0);
}

static void a_refusal_is_told_and_a_failure_says_when(void **state) {
    struct played p = {.reply = "{\"status\":413,\"detail\":\"at most 1 byte\",\"title\":\"x\"}"};
    char event[2048], problem[256] = "";
    (void)state;
    p.event = event_make(event, sizeof event, EVENT_HEAD, SECOND);
    run(&p, send_held, problem);
    assert_string_equal(problem, "the queue orders answered 413: at most 1 byte");
    assert_non_null(strstr(p.sent, "\r\nExecgate-Invocation-Id: id-1\r\n"));
    assert_non_null(strstr(p.answer, "\r\nExecgate-Error: NotSent\r\nExecgate-Retry: 30s\r\n"));
}

static void a_send_gives_up_at_the_deadline(void **state) {
    struct played p = {.reply = ""};
    char event[2048], head[512], problem[256] = "";
    struct timespec now;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(head, sizeof head, EVENT_HEAD "Execgate-Deadline: %lld\r\n", (long long)now.tv_sec * 1000 + 2000);
    p.event = event_make(event, sizeof event, head, SECOND);
    run(&p, send_held, problem);
    assert_non_null(strstr(problem, "it is not known whether the queue orders has the messages"));
}

/* --- schedules --- */
static void tell_time(const struct execgate_request *q, struct execgate_response *r, void *user) {
    (void)r;
    *(long long *)user = execgate_scheduled_ms(q);
}

static void the_time_of_a_schedule_is_told(void **state) {
    static const struct {
        const char *text;
        long long s;
    } times[] = {{"2026-03-29T01:00:00Z", 1774746000}, {"1970-01-01T00:00:00Z", 0},
                 {"2024-02-29T23:59:59Z", 1709251199}, {"2000-03-01T00:00:00Z", 951868800},
                 {"2199-12-31T12:00:00Z", 7258075200}, {"soon", 0}};
    char event[1024], head[512];
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct played p = {0};
        long long told = -1;
        snprintf(head, sizeof head, EVENT_HEAD "Execgate-Scheduled-Time: %s\r\n", times[i].text);
        p.event = event_make(event, sizeof event, head, "{}");
        run(&p, tell_time, &told);
        assert_true(told == times[i].s * 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_a_message_is_told),
        cmocka_unit_test(messages_are_sent_as_one_list),
        cmocka_unit_test(a_refusal_is_told_and_a_failure_says_when),
        cmocka_unit_test(a_send_gives_up_at_the_deadline),
        cmocka_unit_test(the_time_of_a_schedule_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
