#include "gateway/source/listen/tls_pump.h"
#include "gateway/base/memory.h"
#include "gateway/source/listen/tls_client.h"
#include "gateway/source/listen/tls_private.h"
#include "gateway/source/listen/tls_socket.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_SIZE 16384                /* the most that one record carries (RFC 8446 5.1) */
#define ROUNDS 8                         /* records in a row before others get their turn */
#define HANDSHAKE_ALLOWANCE (128 * 1024) /* bytes from a client until its handshake is over */
#define KEPT_MAX (2 * RECORD_SIZE)       /* for a client that makes us answer but does not read */
#define LOOK_OUT_MS 60                   /* an unread client is looked after when it stays so */
#define WARM_MAX 128                     /* sessions that keep their buffers: 4 MiB */
#define FLUSH_MS 30000                   /* for the last bytes to leave */
#define LINGER_MS 2000                   /* after them */

enum pump_place { PUMP_SHAKING, PUMP_OPEN, PUMP_LINGERING, PUMP_PLACES };

struct tls_pumps {
    struct tls_pumps_config config;
    struct bio_method_st *method;
    struct list places[PUMP_PLACES];
    struct list warm; /* those that keep their buffers, the last used at the end */
    struct tls_pumps_counters counters;
    char record[RECORD_SIZE]; /* on its way; empty between calls */
};

struct tls_pump {
    struct list_node node;
    struct list_node warm_node;
    enum pump_place place;
    struct tls_pumps *pumps;
    void *listener;
    struct peer peer;
    struct tls_context *context;
    SSL *ssl;
    struct tls_socket client;
    struct watch *client_watch;
    unsigned client_interest;
    bool client_closed; /* its close_notify has come */
    bool client_gone;   /* it left while it was not read from */
    bool looking_out;

    int inner; /* our end of the pair; -1 = none */
    struct watch *inner_watch;
    unsigned inner_interest;
    bool inner_readable;
    bool inner_shut; /* our half of it */
    struct buf up;   /* plain bytes that the pair did not take */

    bool finished; /* our FIN has been sent */
    bool dead;     /* closed at the end of the run */
    struct turn_task task;
    struct deadline deadline;
};

static void pump_wake(struct tls_pump *p) {
    turn_add(loop_turn(p->pumps->config.loop), &p->task);
}

static void pump_expect(struct tls_pump *p, uint64_t within_ms) {
    struct loop *l = p->pumps->config.loop;
    deadline_arm(loop_deadlines(l), &p->deadline, clock_now_ms(loop_clock(l)) + within_ms);
}

static void pump_expect_nothing(struct tls_pump *p) {
    deadline_disarm(loop_deadlines(p->pumps->config.loop), &p->deadline);
}

static void pump_place(struct tls_pump *p, enum pump_place place) {
    list_remove(&p->node);
    p->place = place;
    list_push(&p->pumps->places[place], &p->node);
}

/* Of whoever used OpenSSL before: SSL_get_error would take them for the session's. Clearing what is clear costs. */
static void forget_errors(void) {
    if (ERR_peek_error()) ERR_clear_error();
}

/* A session's two buffers are as long as a record. To get and to return them for each record costs as much as to
 * decrypt a short one, to keep them is 33 KiB for each client: so those who spoke last keep theirs. */
static void cool_down(struct tls_pump *p) {
    list_remove(&p->warm_node);
    SSL_set_mode(p->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_free_buffers(p->ssl); /* unless a part of a record is in them */
}

static void warm_up(struct tls_pump *p) {
    struct list *warm = &p->pumps->warm;
    if (!list_holds(warm, &p->warm_node)) SSL_clear_mode(p->ssl, SSL_MODE_RELEASE_BUFFERS);
    list_remove(&p->warm_node);
    list_push(warm, &p->warm_node);
    if (warm->length > WARM_MAX) cool_down(list_entry(list_first(warm), struct tls_pump, warm_node));
}

static void tell_server(const struct tls_pump *p) {
    if (p->peer.tls) peer_ear_tell(&p->peer.tls->server);
}

static void inner_close(struct tls_pump *p) {
    if (p->inner < 0) return;
    watch_close(p->inner_watch);
    p->inner_watch = NULL;
    close(p->inner);
    p->inner = -1;
    buf_free(&p->up);
    p->peer.tls->pump.on_told = NULL;
    tell_server(p);
}

static void pump_close(struct tls_pump *p) {
    struct tls_pumps *ps = p->pumps;
    inner_close(p);
    watch_close(p->client_watch);
    turn_remove(&p->task);
    pump_expect_nothing(p);
    list_remove(&p->node);
    list_remove(&p->warm_node);
    if (p->peer.tls) p->peer.tls->wire = -1;
    peer_tls_release(p->peer.tls);
    SSL_free(p->ssl);
    tls_context_release(p->context);
    buf_free(&p->client.out);
    close(p->client.fd);
    free(p);
    if (ps->config.on_closed) ps->config.on_closed(ps->config.context);
}

/* --- what the watches are to look for --- */

static void interest_set(struct watch *w, unsigned *now, unsigned wanted) {
    if (!w || *now == wanted) return;
    *now = wanted;
    watch_set(w, wanted);
}

/* An open client whose bytes cannot be passed on. */
static bool is_held_up(const struct tls_pump *p) {
    return p->place == PUMP_OPEN && !p->client_closed && (p->up.n > 0 || p->client.out.n > KEPT_MAX);
}

static unsigned client_wanted(const struct tls_pump *p) {
    unsigned wanted = p->client.out.n ? WATCH_WRITE : 0;
    if (is_held_up(p)) return wanted | (p->looking_out ? WATCH_GONE : 0);
    if (p->client.ended || (p->place == PUMP_OPEN && p->client_closed)) return wanted;
    return wanted | WATCH_READ;
}

static unsigned inner_wanted(const struct tls_pump *p) {
    unsigned wanted = p->up.n ? WATCH_WRITE : 0;
    return p->client.out.n ? wanted : wanted | WATCH_READ;
}

static void look_out(struct tls_pump *p) {
    if (p->place != PUMP_OPEN) return;
    if (!is_held_up(p)) {
        p->looking_out = false;
        pump_expect_nothing(p);
    } else if (!p->looking_out && !deadline_armed(&p->deadline)) {
        pump_expect(p, LOOK_OUT_MS);
    }
}

static void pump_settle(struct tls_pump *p) {
    look_out(p);
    interest_set(p->client_watch, &p->client_interest, client_wanted(p));
    interest_set(p->inner_watch, &p->inner_interest, inner_wanted(p));
}

/* --- LINGERING --- */

static void linger_begin(struct tls_pump *p) {
    inner_close(p);
    cool_down(p);
    p->client.allowance = 0;
    pump_place(p, PUMP_LINGERING);
    pump_expect(p, FLUSH_MS);
}

static void linger_run(struct tls_pump *p) {
    if (p->client.out.n == 0 && !p->finished) {
        p->finished = true;
        shutdown(p->client.fd, SHUT_WR);
        pump_expect(p, LINGER_MS);
    }
    for (int i = 0; i < ROUNDS; i++)
        if (tls_socket_receive(&p->client, p->pumps->record, RECORD_SIZE) == 0) break;
    if (p->client.ended || p->client.failed) p->dead = true;
    if (p->client.readable) pump_wake(p);
}

/* --- SHAKING --- */

static bool speaks_plain_http(const struct tls_pump *p) {
    return p->client.received > 0 && p->client.first >= 'A' && p->client.first <= 'Z';
}

static void answer_in_the_clear(struct tls_pump *p) {
    static const char text[] = "This port speaks HTTPS: use an https:// address.\n";
    struct buf answer = {0};
    buf_printf(&answer, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n");
    buf_printf(&answer, "Content-Length: %zu\r\n\r\n%s", sizeof text - 1, text);
    tls_socket_send(&p->client, buf_slice(&answer));
    buf_free(&answer);
}

static void log_failure(const struct tls_pump *p, const char *reason) {
    log_event(p->pumps->config.log, LOG_INFO, "TLS handshake failed", LOG_TEXT("client", p->peer.address),
              LOG_TEXT("reason", reason));
}

/* OpenSSL has sent its alert. */
static void shake_fail(struct tls_pump *p, const char *reason) {
    p->pumps->counters.failed_handshakes++;
    if (p->client.received > 0) log_failure(p, reason);
    ERR_clear_error();
    linger_begin(p);
}

static void shake_end(struct tls_pump *p, int result) {
    int why = SSL_get_error(p->ssl, result);
    if (why == SSL_ERROR_WANT_READ) return;
    if (speaks_plain_http(p)) {
        answer_in_the_clear(p);
        shake_fail(p, "the client speaks plain HTTP");
    } else if (p->client.too_much) {
        shake_fail(p, "the client sent too much");
    } else if (p->client.ended || p->client.failed) {
        shake_fail(p, "the client left");
    } else {
        shake_fail(p, tls_error_reason());
    }
}

static void on_inner(void *context, unsigned events);

static bool pair_open(struct tls_pump *p, int *other) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return false;
    p->inner = ends[0];
    *other = ends[1];
    p->inner_watch = watch_open(p->pumps->config.loop, p->inner, on_inner, p);
    if (p->inner_watch) return true;
    close(*other);
    return false;
}

/* So the answer leaves before the loop looks at descriptors again. */
static void on_answered(void *context) {
    on_inner(context, WATCH_READ);
}

/* False when the client's certificate cannot be told, or descriptors have run out. */
static bool pump_open(struct tls_pump *p) {
    int other = -1;
    p->peer.tls = peer_tls_new(p->client.fd);
    if (!tls_client_describe(p->ssl, p->peer.tls) || !pair_open(p, &other)) return false;
    p->peer.tls->pump = (struct peer_ear){on_answered, p};
    p->client.allowance = 0;
    p->pumps->counters.handshakes++;
    if (SSL_session_reused(p->ssl)) p->pumps->counters.resumed++;
    pump_place(p, PUMP_OPEN);
    pump_expect_nothing(p);
    struct peer peer = p->peer;
    peer_tls_hold(peer.tls);
    p->pumps->config.on_open(p->pumps->config.context, p->listener, other, &peer);
    return true;
}

static void shake_run(struct tls_pump *p) {
    forget_errors();
    int result = SSL_do_handshake(p->ssl);
    if (result != 1)
        shake_end(p, result);
    else if (!pump_open(p))
        shake_fail(p, "the connection cannot be taken");
}

/* --- OPEN --- */

/* False while the pair is full. What the server no longer takes is dropped: its end of file is on the way. */
static bool feed(struct tls_pump *p, const char *bytes, size_t n) {
    ssize_t sent = send(p->inner, bytes, n, MSG_NOSIGNAL);
    if (sent < 0) sent = errno == EAGAIN || errno == EINTR ? 0 : (ssize_t)n;
    if (sent > 0) {
        p->peer.tls->fed += (uint64_t)sent;
        tell_server(p);
    }
    if (bytes == p->up.p)
        buf_consume(&p->up, (size_t)sent);
    else if ((size_t)sent < n)
        buf_append(&p->up, bytes + sent, n - (size_t)sent);
    if (p->up.n == 0) buf_free(&p->up);
    return p->up.n == 0;
}

static void client_end(struct tls_pump *p, int result) {
    int why = SSL_get_error(p->ssl, result);
    if (why == SSL_ERROR_WANT_READ) return;
    if (why == SSL_ERROR_ZERO_RETURN) {
        p->client_closed = true;
        return;
    }
    ERR_clear_error();
    if (p->client.ended || p->client.failed) {
        p->pumps->counters.truncated++;
        p->dead = true;
        return;
    }
    linger_begin(p); /* with the alert that OpenSSL has sent */
}

static void carry_up(struct tls_pump *p) {
    for (int i = 0; i < ROUNDS; i++) {
        if (p->up.n && !feed(p, p->up.p, p->up.n)) return;
        if (p->client_closed || p->client.out.n > KEPT_MAX) return;
        if (!p->client.readable && !SSL_has_pending(p->ssl)) return;
        int n = SSL_read(p->ssl, p->pumps->record, RECORD_SIZE);
        if (n <= 0) {
            client_end(p, n);
            return;
        }
        feed(p, p->pumps->record, (size_t)n);
    }
    pump_wake(p);
}

static void server_end(struct tls_pump *p) {
    SSL_shutdown(p->ssl);
    ERR_clear_error();
    linger_begin(p);
}

static void carry_down(struct tls_pump *p) {
    for (int i = 0; i < ROUNDS; i++) {
        if (!p->inner_readable || p->client.out.n > 0) return;
        ssize_t n = recv(p->inner, p->pumps->record, RECORD_SIZE, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            p->inner_readable = false;
            return;
        }
        if (n <= 0) {
            server_end(p);
            return;
        }
        if (n < RECORD_SIZE) p->inner_readable = false;
        if (SSL_write(p->ssl, p->pumps->record, (int)n) <= 0) {
            p->dead = true;
            return;
        }
    }
    pump_wake(p);
}

static void open_run(struct tls_pump *p) {
    forget_errors();
    warm_up(p);
    carry_up(p);
    if (p->place != PUMP_OPEN || p->dead) return;
    if (p->client_closed && p->up.n == 0 && !p->inner_shut) {
        p->inner_shut = true;
        shutdown(p->inner, SHUT_WR);
        tell_server(p);
    }
    carry_down(p);
}

/* --- events --- */

static void pump_run(struct turn_task *task) {
    struct tls_pump *p = container_of(task, struct tls_pump, task);
    tls_socket_flush(&p->client);
    if (p->client.failed || p->client_gone) p->dead = true;
    if (!p->dead && p->place == PUMP_SHAKING) shake_run(p);
    if (!p->dead && p->place == PUMP_OPEN) open_run(p);
    if (!p->dead && p->place == PUMP_LINGERING) linger_run(p);
    if (p->dead)
        pump_close(p);
    else
        pump_settle(p);
}

static void on_client(void *context, unsigned events) {
    struct tls_pump *p = context;
    if (events & WATCH_READ) p->client.readable = true;
    if (events & WATCH_GONE) p->client_gone = true;
    pump_wake(p);
}

static void on_inner(void *context, unsigned events) {
    struct tls_pump *p = context;
    if (events & WATCH_READ) p->inner_readable = true;
    pump_wake(p);
}

static void on_overdue(struct deadline *d) {
    struct tls_pump *p = container_of(d, struct tls_pump, deadline);
    if (p->place == PUMP_OPEN) {
        p->looking_out = true;
        pump_settle(p);
        return;
    }
    if (p->place == PUMP_SHAKING) {
        p->pumps->counters.failed_handshakes++;
        log_failure(p, "it took too long");
    }
    pump_close(p);
}

/* --- all of them --- */

struct tls_pumps *tls_pumps_new(const struct tls_pumps_config *c, struct error *e) {
    struct tls_pumps *ps = xcalloc(1, sizeof *ps);
    ps->config = *c;
    for (int place = 0; place < PUMP_PLACES; place++) list_init(&ps->places[place]);
    list_init(&ps->warm);
    ps->method = tls_socket_method_new();
    if (ps->method) return ps;
    error_set(e, ERROR_SYSTEM, "cannot prepare TLS");
    free(ps);
    return NULL;
}

void tls_pumps_free(struct tls_pumps *ps) {
    if (!ps) return;
    tls_socket_method_free(ps->method);
    free(ps);
}

static bool pump_start(struct tls_pump *p) {
    p->ssl = tls_context_session(p->context);
    if (!p->ssl || !tls_socket_attach(&p->client, p->ssl, p->pumps->method)) return false;
    p->client_watch = watch_open(p->pumps->config.loop, p->client.fd, on_client, p);
    return p->client_watch != NULL;
}

void tls_pumps_add(struct tls_pumps *ps, const struct tls_arrival *a) {
    struct tls_pump *p = xcalloc(1, sizeof *p);
    *p = (struct tls_pump){.pumps = ps, .listener = a->listener, .peer = *a->peer, .inner = -1};
    p->client = (struct tls_socket){.fd = a->take_fd, .readable = true, .allowance = HANDSHAKE_ALLOWANCE};
    p->context = tls_context_hold(a->context);
    p->task = (struct turn_task){.phase = TURN_WIRE, .run = pump_run};
    p->deadline.on_due = on_overdue;
    pump_place(p, PUMP_SHAKING);
    if (!pump_start(p)) {
        pump_close(p);
        return;
    }
    deadline_arm(loop_deadlines(ps->config.loop), &p->deadline, a->deadline_ms);
    pump_wake(p);
}

static void close_all(struct tls_pumps *ps, enum pump_place place) {
    for (struct list_node *node; (node = list_first(&ps->places[place]));)
        pump_close(list_entry(node, struct tls_pump, node));
}

void tls_pumps_drain(struct tls_pumps *ps) {
    close_all(ps, PUMP_SHAKING);
}

void tls_pumps_abandon(struct tls_pumps *ps, const void *listener) {
    list_each (&ps->places[PUMP_SHAKING], node) {
        struct tls_pump *p = list_entry(node, struct tls_pump, node);
        if (p->listener == listener) pump_close(p);
    }
}

void tls_pumps_abort(struct tls_pumps *ps) {
    for (int place = 0; place < PUMP_PLACES; place++) close_all(ps, (enum pump_place)place);
}

size_t tls_pumps_count_outside(const struct tls_pumps *ps) {
    return ps->places[PUMP_SHAKING].length + ps->places[PUMP_LINGERING].length;
}

size_t tls_pumps_count(const struct tls_pumps *ps) {
    return tls_pumps_count_outside(ps) + ps->places[PUMP_OPEN].length;
}

const struct tls_pumps_counters *tls_pumps_counters(const struct tls_pumps *ps) {
    return &ps->counters;
}
