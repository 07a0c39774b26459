#include "gateway/client/transfers.h"
#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Idle connections kept for one owner. */
#define IDLE_CONNECTIONS_MAX 64
/* A task that took as long leaves the rest to the next turn of the loop. */
#define LONG_TASK_MS 5

struct transfers {
    struct loop *loop;
    CURLM *multi;
    const struct transfers_ops *ops;
    void *context;
    struct turn_task task;
    struct deadline timer;
    bool timer_due;
    struct list sockets;
    struct list ready; /* sockets on which something has happened */
    struct list connections;
};

/* From its first request until it is closed, while a `transfer_socket` exists only as long as libcurl wants it watched.
 */
struct transfer_connection {
    struct list_node node;
    curl_socket_t fd;
    int local_port;
};

struct transfer_socket {
    struct list_node node;
    struct transfers *owner;
    struct watch *watch;
    curl_socket_t fd;
    unsigned happened;
};

static void on_socket_event(void *context, unsigned events) {
    struct transfer_socket *s = context;
    s->happened |= events;
    list_remove(&s->node);
    list_push(&s->owner->ready, &s->node);
    transfers_wake(s->owner);
}

static void socket_close(struct transfer_socket *s) {
    list_remove(&s->node);
    watch_close(s->watch);
    free(s);
}

/* Without a watch the transfer waits for its deadline; that happens only when libuv cannot poll a socket. */
static struct transfer_socket *socket_open(struct transfers *c, curl_socket_t fd) {
    struct transfer_socket *s = xcalloc(1, sizeof *s);
    s->owner = c;
    s->fd = fd;
    s->watch = watch_open(c->loop, fd, on_socket_event, s);
    list_push(&c->sockets, &s->node);
    curl_multi_assign(c->multi, fd, s);
    return s;
}

static unsigned watch_events_of(int what) {
    unsigned events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= WATCH_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= WATCH_WRITE;
    return events;
}

/* Many simple servers write head and body apart and with Nagle's algorithm on: their second write waits for our
 * acknowledgement of the first, which the system would hold back for 40 ms. It forgets this wish, so it is told anew.
 */
static void acknowledge_at_once(curl_socket_t fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket) {
    struct transfers *c = context;
    struct transfer_socket *s = socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) socket_close(s);
        return 0;
    }
    if (!s) s = socket_open(c, fd);
    if (what == CURL_POLL_IN) acknowledge_at_once(fd);
    if (s->watch) watch_set(s->watch, watch_events_of(what));
    return 0;
}

/* --- connections --- */

/* Of the transfer's own, not of the list: what fails to connect is closed without a word. */
static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    int *opened = context;
    (void)purpose;
    *opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return *opened < 0 ? CURL_SOCKET_BAD : *opened;
}

static int on_close_socket(void *context, curl_socket_t fd) {
    struct transfers *c = context;
    list_each (&c->connections, node) {
        struct transfer_connection *connection = list_entry(node, struct transfer_connection, node);
        if (connection->fd != fd) continue;
        list_remove(node);
        free(connection);
    }
    return close(fd);
}

static struct transfer_connection *connection_find(const struct transfers *c, int local_port) {
    list_each (&c->connections, node) {
        struct transfer_connection *connection = list_entry(node, struct transfer_connection, node);
        if (connection->local_port == local_port) return connection;
    }
    return NULL;
}

static void connection_add(struct transfers *c, curl_socket_t fd, int local_port) {
    struct transfer_connection *connection = xcalloc(1, sizeof *connection);
    connection->fd = fd;
    connection->local_port = local_port;
    list_push(&c->connections, &connection->node);
}

static bool socket_has_port(curl_socket_t fd, int local_port) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) return false;
    return ntohs(address.sin_port) == local_port;
}

/* One that is not known cannot be vouched for. */
enum connection_state transfers_examine(struct transfers *c, int socket, int local_port) {
    const struct transfer_connection *connection = connection_find(c, local_port);
    char byte;
    if (!connection && !socket_has_port(socket, local_port)) return CONNECTION_ENDED;
    if (!connection) {
        connection_add(c, socket, local_port);
        return CONNECTION_NEW;
    }
    ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return CONNECTION_TALKING;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? CONNECTION_SILENT : CONNECTION_ENDED;
}

/* --- the task --- */

static void on_timer_due(struct deadline *d) {
    struct transfers *c = container_of(d, struct transfers, timer);
    c->timer_due = true;
    transfers_wake(c);
}

static int on_curl_timer(CURLM *multi, long after_ms, void *context) {
    struct transfers *c = context;
    struct deadlines *deadlines = loop_deadlines(c->loop);
    (void)multi;
    deadline_disarm(deadlines, &c->timer);
    c->timer_due = after_ms == 0;
    if (after_ms == 0) transfers_wake(c);
    if (after_ms > 0) deadline_arm(deadlines, &c->timer, clock_now_ms(loop_clock(c->loop)) + (uint64_t)after_ms);
    return 0;
}

static void sockets_run(struct transfers *c) {
    int running;
    for (struct list_node *node; (node = list_first(&c->ready));) {
        struct transfer_socket *s = list_entry(node, struct transfer_socket, node);
        int mask = 0;
        if (s->happened & WATCH_READ) mask |= CURL_CSELECT_IN;
        if (s->happened & WATCH_WRITE) mask |= CURL_CSELECT_OUT;
        s->happened = 0;
        list_remove(node);
        list_push(&c->sockets, node);
        curl_multi_socket_action(c->multi, s->fd, mask, &running);
    }
}

static void timer_run(struct transfers *c) {
    int running;
    if (!c->timer_due) return;
    c->timer_due = false;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* What a server has written behind its answer must arrive now, and be seen before the next request is sent, instead of
 * waiting for that to acknowledge the answer. */
static void connection_keep(CURL *easy) {
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd != CURL_SOCKET_BAD) acknowledge_at_once(fd);
}

static void report_done(struct transfers *c) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        CURL *easy = m->easy_handle;
        CURLcode result = m->data.result;
        void *transfer;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        connection_keep(easy);
        curl_multi_remove_handle(c->multi, easy);
        c->ops->on_done(transfer, (int)result);
    }
}

/* After a hundred reads libcurl asks to be called again at once, for as long as a server keeps its socket full. What it
 * reads may be framing without content (chunk extensions, RFC 9112 7.1.1), which nothing else holds back. */
static void timer_postpone(struct transfers *c, uint64_t began_ms) {
    uint64_t now_ms = clock_now_ms(loop_clock(c->loop));
    if (!c->timer_due || now_ms - began_ms < LONG_TASK_MS) return;
    c->timer_due = false;
    deadline_arm(loop_deadlines(c->loop), &c->timer, now_ms + 1);
}

static void on_curl_task(struct turn_task *task) {
    struct transfers *c = container_of(task, struct transfers, task);
    uint64_t began_ms = clock_now_ms(loop_clock(c->loop));
    sockets_run(c);
    timer_run(c);
    timer_postpone(c, began_ms);
    report_done(c);
    c->ops->on_turn(c->context);
}

static bool multi_open(struct transfers *c) {
    c->multi = curl_multi_init();
    if (!c->multi) return false;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return true;
}

static void multi_close(struct transfers *c) {
    curl_multi_cleanup(c->multi);
    while (!list_empty(&c->sockets)) socket_close(list_entry(list_first(&c->sockets), struct transfer_socket, node));
    while (!list_empty(&c->ready)) socket_close(list_entry(list_first(&c->ready), struct transfer_socket, node));
    assert(list_empty(&c->connections));
    deadline_disarm(loop_deadlines(c->loop), &c->timer);
    c->timer_due = false;
}

struct transfers *transfers_new(struct loop *l, const struct transfers_ops *ops, void *context, struct error *e) {
    struct transfers *c = xcalloc(1, sizeof *c);
    c->loop = l;
    c->ops = ops;
    c->context = context;
    c->task = (struct turn_task){.phase = TURN_LOCAL, .run = on_curl_task};
    c->timer.on_due = on_timer_due;
    list_init(&c->sockets);
    list_init(&c->ready);
    list_init(&c->connections);
    if (multi_open(c)) return c;
    error_set(e, ERROR_SYSTEM, "libcurl cannot be set up");
    free(c);
    return NULL;
}

void transfers_add(struct transfers *c, void *easy, int *socket) {
    if (socket) {
        *socket = -1;
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, socket);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, c);
    }
    CURLMcode result = curl_multi_add_handle(c->multi, easy);
    assert(result == CURLM_OK);
    (void)result;
}

void transfers_remove(struct transfers *c, void *easy) {
    curl_multi_remove_handle(c->multi, easy);
}

void transfers_wake(struct transfers *c) {
    turn_add(loop_turn(c->loop), &c->task);
}

void transfers_disconnect(struct transfers *c) {
    multi_close(c);
    if (!multi_open(c)) abort(); /* as xmalloc does */
}

void transfers_free(struct transfers *c) {
    if (!c) return;
    multi_close(c);
    turn_remove(&c->task);
    free(c);
}
