#include "gateway/source/listen/stage.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/source/listen/proxy_header.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

struct stages {
    struct stages_config config;
    struct tls_pumps *pumps;
    struct list arrivals; /* those whose PROXY header is awaited */
};

struct arrival {
    struct list_node node;
    struct stages *stages;
    const struct stage_plan *plan;
    int fd;
    struct peer peer;
    struct watch *watch;
    struct deadline deadline;
    struct buf head; /* of the PROXY header, taken from the socket */
};

static void go_on(struct stages *s, const struct stage_plan *plan, int take_fd, const struct peer *peer,
                  uint64_t deadline_ms) {
    if (!plan->tls) {
        s->config.on_ready(s->config.context, plan->listener, take_fd, peer);
        return;
    }
    struct tls_arrival a = {take_fd, peer, tls_current(plan->tls), plan->listener, deadline_ms};
    tls_pumps_add(s->pumps, &a);
}

/* --- the PROXY header --- */

/* Its socket is the caller's. */
static void arrival_free(struct arrival *a) {
    watch_close(a->watch);
    deadline_disarm(loop_deadlines(a->stages->config.loop), &a->deadline);
    list_remove(&a->node);
    buf_free(&a->head);
    free(a);
}

static void arrival_close(struct arrival *a) {
    struct stages *s = a->stages;
    close(a->fd);
    arrival_free(a);
    if (s->config.on_closed) s->config.on_closed(s->config.context);
}

static void log_refusal(const struct stages *s, const struct peer *peer, const char *reason) {
    log_event(s->config.log, LOG_INFO, "connection refused: PROXY header", LOG_TEXT("peer", peer->address),
              LOG_TEXT("reason", reason));
}

static void arrival_refuse(struct arrival *a, const char *reason) {
    log_refusal(a->stages, &a->peer, reason);
    arrival_close(a);
}

static void arrival_end(struct arrival *a, const struct proxy_header *h) {
    struct stages *s = a->stages;
    const struct stage_plan *plan = a->plan;
    struct peer peer = h->names_client ? h->client : a->peer;
    int fd = a->fd;
    uint64_t deadline_ms = a->deadline.at_ms;
    arrival_free(a);
    go_on(s, plan, fd, &peer, deadline_ms);
}

/* Takes what has only been peeked at so far. */
static bool take(int fd, size_t n) {
    char room[PROXY_HEADER_MAX];
    return recv(fd, room, n, 0) == (ssize_t)n;
}

/* While the header is not complete, all that has come is part of it; once it is, its size says how much is. So nothing
 * that belongs to the next stage is ever taken, and nothing stays unread to wake the loop again. */
static void arrival_read(struct arrival *a) {
    size_t before = a->head.n;
    ssize_t n = recv(a->fd, buf_reserve(&a->head, PROXY_HEADER_MAX), PROXY_HEADER_MAX - before, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        arrival_close(a);
        return;
    }
    a->head.n += (size_t)n;
    struct proxy_header h;
    enum proxy_progress progress = proxy_header_parse(buf_slice(&a->head), &h);
    if (progress == PROXY_HEADER_BAD) {
        arrival_refuse(a, h.flaw);
        return;
    }
    bool done = progress == PROXY_HEADER_DONE;
    if (!take(a->fd, done ? h.size - before : (size_t)n))
        arrival_close(a);
    else if (done)
        arrival_end(a, &h);
}

static void on_arrival_readable(void *context, unsigned events) {
    (void)events;
    arrival_read(context);
}

static void on_arrival_overdue(struct deadline *d) {
    arrival_refuse(container_of(d, struct arrival, deadline), "it did not come in time");
}

static bool is_trusted(const struct stage_plan *plan, const struct peer *peer) {
    struct address address;
    return address_parse(slice_of(peer->address), &address) &&
           cidr_list_contains(plan->trusted, plan->trusted_count, &address);
}

static void arrival_begin(struct stages *s, const struct stage_plan *plan, int take_fd, const struct peer *peer,
                          uint64_t deadline_ms) {
    struct arrival *a = xcalloc(1, sizeof *a);
    *a = (struct arrival){.stages = s, .plan = plan, .fd = take_fd, .peer = *peer};
    list_push(&s->arrivals, &a->node);
    a->deadline.on_due = on_arrival_overdue;
    deadline_arm(loop_deadlines(s->config.loop), &a->deadline, deadline_ms);
    a->watch = watch_open(s->config.loop, take_fd, on_arrival_readable, a);
    if (!a->watch) {
        arrival_close(a);
        return;
    }
    watch_set(a->watch, WATCH_READ);
}

void stages_add(struct stages *s, const struct stage_plan *plan, int take_fd, const struct peer *peer) {
    uint64_t timeout_ms = s->config.timeout_ms ? s->config.timeout_ms : TIMEOUT_MS;
    uint64_t deadline_ms = clock_now_ms(loop_clock(s->config.loop)) + timeout_ms;
    if (!plan->proxy_protocol) {
        go_on(s, plan, take_fd, peer, deadline_ms);
    } else if (is_trusted(plan, peer)) {
        arrival_begin(s, plan, take_fd, peer, deadline_ms);
    } else {
        log_refusal(s, peer, "the peer is not among trustedProxies");
        close(take_fd);
    }
}

/* --- all of them --- */

struct stages *stages_new(const struct stages_config *c, struct error *e) {
    struct stages *s = xcalloc(1, sizeof *s);
    s->config = *c;
    list_init(&s->arrivals);
    struct tls_pumps_config pumps = {c->loop, c->log, c->on_ready, c->on_closed, c->context};
    s->pumps = tls_pumps_new(&pumps, e);
    if (s->pumps) return s;
    free(s);
    return NULL;
}

void stages_limit(struct stages *s, uint64_t timeout_ms) {
    s->config.timeout_ms = timeout_ms;
}

void stages_free(struct stages *s) {
    if (!s) return;
    tls_pumps_free(s->pumps);
    free(s);
}

void stages_abandon(struct stages *s, const struct stage_plan *plan) {
    list_each (&s->arrivals, node) {
        struct arrival *a = list_entry(node, struct arrival, node);
        if (a->plan == plan) arrival_close(a);
    }
    tls_pumps_abandon(s->pumps, plan->listener);
}

void stages_drain(struct stages *s) {
    for (struct list_node *node; (node = list_first(&s->arrivals));)
        arrival_close(list_entry(node, struct arrival, node));
    tls_pumps_drain(s->pumps);
}

void stages_abort(struct stages *s) {
    stages_drain(s);
    tls_pumps_abort(s->pumps);
}

bool stages_are_idle(const struct stages *s) {
    return list_empty(&s->arrivals) && tls_pumps_count(s->pumps) == 0;
}

size_t stages_count_outside(const struct stages *s) {
    return s->arrivals.length + tls_pumps_count_outside(s->pumps);
}

const struct tls_pumps_counters *stages_tls_counters(const struct stages *s) {
    return tls_pumps_counters(s->pumps);
}
