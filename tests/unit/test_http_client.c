#include "gateway/base/buf.h"
#include "gateway/client/http_client.h"
#include "gateway/loop/loop.h"
#include "tests/unit/unit.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_MS 10000

/* A server that answers each connection with fixed bytes by the path, in a thread of its own, one after another. */
struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    char last_head[2048];
};

struct row {
    const char *path;
    const char *answer; /* NULL: says nothing and waits until the client has left */
};
static const struct row rows[] = {
    {"/document",
     "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
    {"/interim", "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /document\r\nContent-Length: 0\r\n\r\n"},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"},
    {"/told-large", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n0123456789012345678901234567890123456789"},
    {"/large", "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789"},
    {"/exact", "HTTP/1.1 200 OK\r\n\r\n01234567890123456789012345678901"},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"},
    {"/garbage", "hello\r\n\r\n"},
    {"/silent", NULL},
    {"/trickle", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"},
};

static void read_head(struct server *s, int fd) {
    size_t n = 0;
    memset(s->last_head, 0, sizeof s->last_head);
    while (n < sizeof s->last_head - 1 && !strstr(s->last_head, "\r\n\r\n")) {
        ssize_t got = read(fd, s->last_head + n, sizeof s->last_head - 1 - n);
        if (got <= 0) return;
        n += (size_t)got;
    }
}

static void send_text(int fd, const char *text) {
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void send_fields(int fd) {
    char field[1024];
    memset(field, 'a', sizeof field);
    memcpy(field, "X: ", 3);
    memcpy(field + sizeof field - 3, "\r\n", 3);
    send_text(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 80; i++) send_text(fd, field);
    send_text(fd, "\r\n");
}

static void answer_one(struct server *s, int fd) {
    char path[64] = "", byte;
    bool stays = false;
    read_head(s, fd);
    if (sscanf(s->last_head, "GET %63s HTTP/1.1", path) != 1) return;
    if (strcmp(path, "/fields") == 0) send_fields(fd);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].path, path) != 0) continue;
        if (rows[i].answer) send_text(fd, rows[i].answer);
        stays = !rows[i].answer || strcmp(path, "/trickle") == 0;
    }
    while (stays && read(fd, &byte, 1) > 0) continue;
}

static void *serve(void *context) {
    struct server *s = context;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) answer_one(s, fd);
    return NULL;
}

static void server_open(struct server *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_close(struct server *s) {
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

struct fixture {
    struct clock *clock;
    struct loop *loop;
    struct http_client *client;
    struct server server;
    /* the last answer */
    unsigned answers;
    enum http_trouble trouble;
    int status;
    char body[128];
    char cache_control[64];
    bool has_early;
    char why[128];
    void (*next)(struct fixture *f); /* called by on_done */
};

static int set_up(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error e;
    f->clock = clock_system_new();
    f->loop = loop_new(f->clock, &e);
    assert_non_null(f->loop);
    f->client = http_client_new(f->loop, NULL, &e);
    assert_non_null(f->client);
    server_open(&f->server);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    http_client_free(f->client);
    server_close(&f->server);
    loop_free(f->loop);
    clock_system_free(f->clock);
    free(f);
    return 0;
}

static void on_done(void *context, const struct http_answer *a) {
    struct fixture *f = context;
    f->answers++;
    f->trouble = a->trouble;
    f->status = a->status;
    snprintf(f->why, sizeof f->why, "%s", a->why ? a->why : "");
    f->has_early = !slice_is_none(fields_get(&a->headers, SLICE("X-Early")));
    snprintf(f->body, sizeof f->body, SLICE_FMT, SLICE_ARG(a->body));
    snprintf(f->cache_control, sizeof f->cache_control, SLICE_FMT,
             SLICE_ARG(fields_get(&a->headers, SLICE("cache-control"))));
    if (f->next) f->next(f);
}

static bool answered(void *context) {
    return ((struct fixture *)context)->answers > 0;
}

static struct http_fetch *ask_url(struct fixture *f, const char *url, uint64_t timeout_ms) {
    const struct http_get get = {.url = url,
                                 .accept = "application/json",
                                 .timeout_ms = timeout_ms,
                                 .max_size = 32,
                                 .on_done = on_done,
                                 .context = f};
    return http_client_get(f->client, &get);
}

static struct http_fetch *ask(struct fixture *f, const char *path, uint64_t timeout_ms) {
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)f->server.port, path);
    return ask_url(f, url, timeout_ms);
}

static void wait_for_answer(struct fixture *f) {
    assert_int_equal(f->answers, 0); /* never before http_client_get has returned */
    assert_true(loop_run_until(f->loop, answered, f, LIMIT_MS));
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->trouble != HTTP_TROUBLE_NONE, f->why[0] != '\0');
    f->answers = 0;
}

static void get(struct fixture *f, const char *path) {
    ask(f, path, LIMIT_MS);
    wait_for_answer(f);
}

static void gets_a_document(void **state) {
    struct fixture *f = *state;
    get(f, "/document");
    assert_int_equal(f->trouble, HTTP_TROUBLE_NONE);
    assert_int_equal(f->status, 200);
    assert_string_equal(f->body, "hello");
    assert_string_equal(f->cache_control, "max-age=60");
    assert_non_null(strstr(f->server.last_head, "\r\nAccept: application/json\r\n"));
    assert_non_null(strstr(f->server.last_head, "\r\nUser-Agent: execgate/"));
    assert_null(strstr(f->server.last_head, "Accept-Encoding"));
    get(f, "/chunked");
    assert_string_equal(f->body, "hello");
    get(f, "/interim");
    assert_string_equal(f->body, "ok");
    assert_false(f->has_early);
    get(f, "/empty");
    assert_int_equal(f->status, 200);
    assert_string_equal(f->body, "");
}

static void other_answers_are_answers(void **state) {
    struct fixture *f = *state;
    get(f, "/redirect");
    assert_int_equal(f->trouble, HTTP_TROUBLE_NONE);
    assert_int_equal(f->status, 302);
    assert_string_equal(f->body, "");
    get(f, "/missing");
    assert_int_equal(f->status, 404);
    assert_string_equal(f->body, "none");
}

static void sizes_are_bounded(void **state) {
    struct fixture *f = *state;
    get(f, "/exact");
    assert_int_equal(f->trouble, HTTP_TROUBLE_NONE);
    assert_int_equal(strlen(f->body), 32);
    get(f, "/large");
    assert_int_equal(f->trouble, HTTP_TROUBLE_TOO_LARGE);
    assert_string_equal(f->why, "the answer is too large");
    get(f, "/told-large");
    assert_int_equal(f->trouble, HTTP_TROUBLE_TOO_LARGE);
    get(f, "/fields");
    assert_int_equal(f->trouble, HTTP_TROUBLE_TOO_LARGE);
}

static void a_broken_answer_is_trouble(void **state) {
    struct fixture *f = *state;
    get(f, "/cut");
    assert_int_equal(f->trouble, HTTP_TROUBLE_CONNECT);
    get(f, "/garbage");
    assert_int_equal(f->trouble, HTTP_TROUBLE_CONNECT);
}

static void time_is_bounded(void **state) {
    struct fixture *f = *state;
    ask(f, "/silent", 50);
    wait_for_answer(f);
    assert_int_equal(f->trouble, HTTP_TROUBLE_TIMEOUT);
    ask(f, "/trickle", 50);
    wait_for_answer(f);
    assert_int_equal(f->trouble, HTTP_TROUBLE_TIMEOUT);
}

static void nobody_there(void **state) {
    struct fixture *f = *state;
    struct server gone;
    char url[64];
    server_open(&gone);
    server_close(&gone);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)gone.port);
    ask_url(f, url, LIMIT_MS);
    wait_for_answer(f);
    assert_int_equal(f->trouble, HTTP_TROUBLE_CONNECT);
}

static void other_urls_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const urls[] = {"",
                                       "http://",
                                       "file:///etc/hostname",
                                       "ftp://127.0.0.1/",
                                       "gopher://127.0.0.1/",
                                       "http://user@127.0.0.1/",
                                       "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        ask_url(f, urls[i], LIMIT_MS);
        wait_for_answer(f);
        assert_int_equal(f->trouble, HTTP_TROUBLE_URL);
    }
}

/* The server speaks no TLS. */
static void https_needs_tls(void **state) {
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/document", (unsigned)f->server.port);
    ask_url(f, url, 200);
    wait_for_answer(f);
    assert_int_not_equal(f->trouble, HTTP_TROUBLE_NONE);
}

static void a_cancelled_request_is_silent(void **state) {
    struct fixture *f = *state;
    http_client_cancel(f->client, ask(f, "/document", LIMIT_MS)); /* libcurl has not seen it */
    struct http_fetch *under_way = ask(f, "/silent", LIMIT_MS);
    assert_false(loop_run_until(f->loop, answered, f, 50));
    http_client_cancel(f->client, under_way);
    get(f, "/document");
    assert_string_equal(f->body, "hello");
    ask(f, "/silent", LIMIT_MS); /* left for http_client_free */
    assert_false(loop_run_until(f->loop, answered, f, 50));
    ask(f, "/document", LIMIT_MS);
}

static void ask_once_more(struct fixture *f) {
    f->next = NULL;
    f->answers = 0;
    ask(f, "/chunked", LIMIT_MS);
}

static void an_answer_may_lead_to_a_request(void **state) {
    struct fixture *f = *state;
    f->next = ask_once_more;
    get(f, "/document");
    assert_string_equal(f->body, "hello");
    assert_string_equal(f->cache_control, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(gets_a_document),
        TEST(other_answers_are_answers),
        TEST(sizes_are_bounded),
        TEST(a_broken_answer_is_trouble),
        TEST(time_is_bounded),
        TEST(nobody_there),
        TEST(other_urls_are_refused),
        TEST(https_needs_tls),
        TEST(a_cancelled_request_is_silent),
        TEST(an_answer_may_lead_to_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
