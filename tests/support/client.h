/* client.h - a raw HTTP client on loopback that shares the thread with the loop of the server under test.
 *
 * client_expect runs the loop until the awaited bytes are here, or fails. While a client exists, a ticker wakes the
 * loop now and then, because the client's socket is none of the loop's business.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/loop/loop.h"
#include "tests/unit/unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 4000 /* for what must happen */

struct client {
    struct loop *loop;
    int fd;
    struct buf in;
    bool ended;
    const char *until; /* text waited for */
    size_t until_size; /* bytes waited for */
    struct deadline tick;
};

static inline void client_on_tick(struct deadline *d) {
    struct client *c = container_of(d, struct client, tick);
    deadline_arm(loop_deadlines(c->loop), d, clock_now_ms(loop_clock(c->loop)) + 5);
}

static inline struct client *client_new(struct loop *l, uint16_t port) {
    struct client *c = xcalloc(1, sizeof *c);
    c->loop = l;
    c->tick.on_due = client_on_tick;
    client_on_tick(&c->tick);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c;
}

static inline void client_leave(struct client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static inline void client_free(struct client *c) {
    client_leave(c);
    deadline_disarm(loop_deadlines(c->loop), &c->tick);
    buf_free(&c->in);
    free(c);
}

static inline void client_send_slice(struct client *c, struct slice bytes) {
    assert_int_equal(send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
}

static inline void client_send(struct client *c, const char *text) {
    client_send_slice(c, slice_of(text));
}

static inline void client_pump(struct client *c) {
    for (ssize_t n = 1; n > 0;) {
        char *room = buf_reserve(&c->in, 65536);
        n = recv(c->fd, room, 65536, MSG_DONTWAIT);
        if (n > 0) c->in.n += (size_t)n;
        if (n == 0 || (n < 0 && errno != EAGAIN)) c->ended = true;
    }
}

static inline bool client_has(const struct client *c, const char *text) {
    return memmem(c->in.p ? c->in.p : "", c->in.n, text, strlen(text)) != NULL;
}

static inline bool client_has_awaited(void *context) {
    struct client *c = context;
    client_pump(c);
    return c->until ? client_has(c, c->until) : c->in.n >= c->until_size;
}

/* Waits for the text and drops everything up to its end. */
static inline void client_expect(struct client *c, const char *text) {
    c->until = text;
    if (!loop_run_until(c->loop, client_has_awaited, c, WAIT_MS))
        fail_msg("no \"%s\" in \"%.*s\"", text, (int)(c->in.n < 2000 ? c->in.n : 2000), c->in.p ? c->in.p : "");
    char *at = memmem(c->in.p, c->in.n, text, strlen(text));
    buf_consume(&c->in, (size_t)(at - c->in.p) + strlen(text));
}

static inline void client_expect_size(struct client *c, size_t n) {
    c->until = NULL;
    c->until_size = n;
    assert_true(loop_run_until(c->loop, client_has_awaited, c, WAIT_MS));
}

static inline bool client_has_ended(void *context) {
    struct client *c = context;
    client_pump(c);
    return c->ended;
}

static inline void client_expect_end(struct client *c) {
    assert_true(loop_run_until(c->loop, client_has_ended, c, WAIT_MS));
}

struct client_count {
    const size_t *number;
    size_t at_least;
};

static inline bool client_count_reached(void *context) {
    struct client_count *c = context;
    return *c->number >= c->at_least;
}

static inline void wait_count(struct loop *l, const size_t *number, size_t at_least) {
    struct client_count c = {number, at_least};
    if (!loop_run_until(l, client_count_reached, &c, WAIT_MS)) fail_msg("%zu, wanted %zu", *number, at_least);
}

static inline bool client_never(void *context) {
    (void)context;
    return false;
}

/* For showing that something does not happen: the loop goes on for a while. */
static inline void run_on(struct loop *l, uint64_t ms) {
    loop_run_until(l, client_never, NULL, ms);
}
