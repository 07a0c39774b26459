#include "gateway/base/memory.h"
#include "gateway/source/http/http_private.h"
#include <assert.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SWEEP_MS 1000
#define LOOK_OUT_MS 50    /* how often new parked exchanges are looked through */
#define PARKED_LONG_MS 60 /* a watch costs three system calls: only for those that stay */
#define LINGER_MS 2000    /* for a client to read its answer before the connection is cut */

static void deadline_soon(struct http_server *s, struct deadline *d, uint64_t after_ms) {
    if (!deadline_armed(d)) deadline_arm(loop_deadlines(s->loop), d, s->now_ms + after_ms);
}

void exchange_place(struct http_exchange *x, enum http_place place) {
    struct http_server *s = x->server;
    list_remove(&x->place_node);
    x->place = place;
    x->since_ms = s->now_ms;
    x->looked_at = false;
    list_push(&s->places[place], &x->place_node);
    if (place == PLACE_PARKED) deadline_soon(s, &s->look_out, LOOK_OUT_MS);
}

void exchange_break(struct http_exchange *x) {
    if (x->broken) return;
    x->broken = true;
    shutdown(x->fd, SHUT_RDWR);
    if (x->suspended) exchange_resume(x);
    exchange_stir(x);
    lane_wake(x->lane);
}

static void exchange_lose(struct http_exchange *x) {
    x->server->counters.gone++;
    if (x->open && x->server->config.ops->on_gone) x->server->config.ops->on_gone(x);
    exchange_break(x);
}

static void on_peer_gone(void *context, unsigned events) {
    struct http_exchange *x = context;
    (void)events;
    watch_close(x->watch);
    x->watch = NULL;
    exchange_lose(x);
}

static bool peer_has_ended(const struct http_exchange *x) {
    char byte;
    return recv(x->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* libmicrohttpd waits for edges and takes a short read for the end of what is there: the end of a stream that came
 * together with its last bytes is an edge that it has already had. One look at each exchange that has come to wait
 * finds it; an end that comes later is an edge of its own. */
static void look_for_ended(struct http_server *s, enum http_place place) {
    struct list_node *head = &s->places[place].head, *previous;
    for (struct list_node *node = head->previous; node != head; node = previous) {
        struct http_exchange *x = list_entry(node, struct http_exchange, place_node);
        previous = node->previous;
        if (x->looked_at) return;
        x->looked_at = true;
        if (peer_has_ended(x)) exchange_lose(x);
    }
}

/* Exchanges that stay parked get a watch: libmicrohttpd does not look at a suspended connection's socket. */
static void on_look_out(struct deadline *d) {
    struct http_server *s = container_of(d, struct http_server, look_out);
    s->now_ms = clock_now_ms(loop_clock(s->loop));
    list_each (&s->places[PLACE_PARKED], node) {
        struct http_exchange *x = list_entry(node, struct http_exchange, place_node);
        if (x->since_ms + PARKED_LONG_MS > s->now_ms) break;
        exchange_place(x, PLACE_WATCHED);
        x->watch = watch_open(s->loop, x->fd, on_peer_gone, x);
        if (x->watch) watch_set(x->watch, WATCH_GONE);
    }
    if (!list_empty(&s->places[PLACE_PARKED])) deadline_soon(s, &s->look_out, LOOK_OUT_MS);
}

/* The kernel still empties its buffer: the client reads, slowly, while libmicrohttpd has nothing to do. Behind TLS
 * there are two such buffers, the pair's and the client's. */
static bool exchange_sends(struct http_exchange *x) {
    int outq = 0, wire = 0;
    if (ioctl(x->fd, SIOCOUTQ, &outq) != 0) return false;
    if (x->peer.tls && x->peer.tls->wire >= 0 && ioctl(x->peer.tls->wire, SIOCOUTQ, &wire) == 0) outq += wire;
    if (outq == x->outq) return false;
    x->outq = outq;
    return true;
}

static void time_out_header(struct http_exchange *x) {
    x->server->counters.header_timeouts++;
    exchange_break(x);
}

static void time_out_idle(struct http_exchange *x) {
    x->server->counters.idle_timeouts++;
    exchange_break(x);
}

/* LINGER, so that the owner has time to answer, and the client to read it. */
static void time_out_body(struct http_exchange *x) {
    const struct http_server_ops *ops = x->server->config.ops;
    x->server->counters.body_timeouts++;
    if (!x->open || x->replied || !ops->on_body_timeout) {
        exchange_break(x);
        return;
    }
    exchange_place(x, PLACE_LINGER);
    ops->on_body_timeout(x);
}

static void time_out_sending(struct http_exchange *x) {
    if (exchange_sends(x)) {
        exchange_place(x, PLACE_SENDING);
        return;
    }
    x->server->counters.send_timeouts++;
    exchange_break(x);
}

struct sweep_row {
    enum http_place place;
    uint64_t timeout_ms; /* 0 = none */
    void (*on_overdue)(struct http_exchange *x);
};

static void sweep_place(struct http_server *s, const struct sweep_row *row) {
    if (row->timeout_ms == 0) return;
    /* An overdue exchange that stays goes to the end of its list, so the first one in time ends the walk. */
    for (size_t left = s->places[row->place].length; left; left--) {
        struct http_exchange *x = list_entry(list_first(&s->places[row->place]), struct http_exchange, place_node);
        if (x->since_ms + row->timeout_ms > s->now_ms) return;
        exchange_place(x, row->place);
        row->on_overdue(x);
        if (list_empty(&s->places[row->place])) return;
    }
}

static void on_sweep(struct deadline *d) {
    struct http_server *s = container_of(d, struct http_server, sweep);
    const struct http_server_config *c = &s->config;
    const struct sweep_row rows[] = {
        {PLACE_HEADER, c->header_timeout_ms, time_out_header},
        {PLACE_IDLE, c->idle_timeout_ms, time_out_idle},
        {PLACE_BODY, c->body_timeout_ms, time_out_body},
        {PLACE_SENDING, c->body_timeout_ms, time_out_sending},
        {PLACE_LINGER, LINGER_MS, exchange_break},
    };
    s->now_ms = clock_now_ms(loop_clock(s->loop));
    look_for_ended(s, PLACE_HEADER);
    look_for_ended(s, PLACE_IDLE);
    look_for_ended(s, PLACE_BODY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) sweep_place(s, &rows[i]);
    if (s->connections) deadline_soon(s, &s->sweep, SWEEP_MS);
}

void http_group_init(struct http_group *g, void *context) {
    g->context = context;
    list_init(&g->connections);
}

void http_group_close(struct http_group *g) {
    list_each (&g->connections, node) {
        struct http_exchange *x = list_entry(node, struct http_exchange, group_node);
        list_remove(node);
        x->group = NULL;
        exchange_break(x);
    }
}

struct http_server *http_server_new(struct loop *l, const struct http_server_config *c, struct error *e) {
    struct http_server *s = xcalloc(1, sizeof *s);
    s->config = *c;
    s->loop = l;
    s->now_ms = clock_now_ms(loop_clock(l));
    s->nowhere = -1;
    s->sweep.on_due = on_sweep;
    s->look_out.on_due = on_look_out;
    for (int place = 0; place < PLACES; place++) list_init(&s->places[place]);
    s->lanes = xcalloc(c->lanes, sizeof *s->lanes);
    for (unsigned i = 0; i < c->lanes; i++)
        if (lane_start(&s->lanes[i], s, e) < 0) {
            http_server_free(s);
            return NULL;
        }
    return s;
}

void http_server_free(struct http_server *s) {
    if (!s) return;
    assert(s->connections == 0);
    deadline_disarm(loop_deadlines(s->loop), &s->sweep);
    deadline_disarm(loop_deadlines(s->loop), &s->look_out);
    for (unsigned i = 0; i < s->config.lanes; i++) lane_stop(&s->lanes[i]);
    if (s->nowhere >= 0) close(s->nowhere);
    free(s->lanes);
    free(s);
}

static struct http_exchange *connection_new(struct http_server *s, struct http_group *g, int fd,
                                            const struct peer *peer) {
    struct http_exchange *x = xcalloc(1, sizeof *x);
    x->server = s;
    x->lane = &s->lanes[s->next_lane++ % s->config.lanes];
    x->fd = fd;
    x->peer = *peer;
    exchange_stir(x);
    pair_join(x);
    x->group = g;
    if (g) list_push(&g->connections, &x->group_node);
    return x;
}

static void connection_free(struct http_exchange *x) {
    list_remove(&x->place_node);
    list_remove(&x->group_node);
    pair_leave(x);
    exchange_calm(x);
    watch_close(x->watch);
    peer_tls_release(x->peer.tls);
    buf_free(&x->target_long);
    free(x);
}

bool http_server_add(struct http_server *s, struct http_group *g, int take_fd, const struct peer *peer) {
    if (s->connections >= s->config.max_connections) {
        s->counters.refused_connections++;
        peer_tls_release(peer->tls);
        close(take_fd);
        return false;
    }
    struct http_exchange *x = connection_new(s, g, take_fd, peer);
    /* Only the family matters to libmicrohttpd; ours is in x->peer. */
    struct sockaddr address = {.sa_family = peer->local ? AF_UNIX : AF_INET};
    s->adding = x;
    enum MHD_Result added = MHD_add_connection(x->lane->daemon, take_fd, &address, sizeof address);
    s->adding = NULL;
    /* A refused socket has been closed by libmicrohttpd. */
    if (added != MHD_YES || !x->mhd) {
        s->counters.refused_connections++;
        if (!x->mhd) connection_free(x);
        return false;
    }
    lane_wake(x->lane);
    return true;
}

void server_on_connection(void *server, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    struct http_server *s = server;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection_free(*context);
        s->connections--;
        if (s->config.ops->on_room) s->config.ops->on_room(s);
        return;
    }
    struct http_exchange *x = s->adding;
    x->mhd = c;
    *context = x;
    s->connections++;
    s->counters.connections++;
    s->now_ms = clock_now_ms(loop_clock(s->loop));
    exchange_place(x, PLACE_HEADER);
    deadline_soon(s, &s->sweep, SWEEP_MS);
}

/* A connection whose client has not sent a byte of a request yet is idle too. */
static bool exchange_is_idle(const struct http_exchange *x) {
    return x->place == PLACE_IDLE || (x->place == PLACE_HEADER && x->stage == STAGE_NONE && !x->target.p);
}

void http_server_drain(struct http_server *s) {
    s->draining = true;
    list_each (&s->places[PLACE_IDLE], node) exchange_break(list_entry(node, struct http_exchange, place_node));
    list_each (&s->places[PLACE_HEADER], node) {
        struct http_exchange *x = list_entry(node, struct http_exchange, place_node);
        if (exchange_is_idle(x)) exchange_break(x);
    }
}

void http_group_drain(struct http_group *g) {
    g->draining = true;
    list_each (&g->connections, node) {
        struct http_exchange *x = list_entry(node, struct http_exchange, group_node);
        if (exchange_is_idle(x)) exchange_break(x);
    }
}

bool exchange_is_last(const struct http_exchange *x) {
    return x->server->draining || (x->group && x->group->draining);
}

void http_server_limit(struct http_server *s, uint64_t max_connections, const struct limits_config *limits) {
    s->config.max_connections = max_connections;
    s->config.header_timeout_ms = limits->header_timeout_ms;
    s->config.body_timeout_ms = limits->body_timeout_ms;
    s->config.idle_timeout_ms = limits->idle_timeout_ms;
}

size_t http_server_connections(const struct http_server *s) {
    return s->connections;
}

size_t http_server_exchanges(const struct http_server *s) {
    return s->exchanges;
}

const struct http_server_counters *http_server_counters(const struct http_server *s) {
    return &s->counters;
}

void *http_server_context(const struct http_server *s) {
    return s->config.context;
}
