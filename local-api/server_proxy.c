#include "local-api/server_proxy.h"
#include "gateway/pool/pool.h"
#include "local-api/port_probe.h"
#include "local-api/proxy_request.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 511
/* Ports that are tried before one is found that is free and that no other starting worker has been told. */
#define PORT_ATTEMPTS 64
/* Below those that the system gives to whoever asks for any (ip_local_port_range): between noting a free port and the
 * process taking it, none of those would stay free. */
#define PORT_LOW 20000
#define PORT_HIGH 32767
#define DOUBT_MS 20

struct server_proxy {
    struct loop *loop;
    struct log *log;
    struct list servers;
};

/* One worker: one process that listens. */
struct server {
    struct list_node node; /* in the proxy's list */
    struct server_proxy *proxy;
    struct worker *worker;
    struct proxy_upstream upstream;
    struct port_probe probe;
    bool inherits;
    bool ready;
    bool stopping;
    bool exited;
};

struct server_proxy *server_proxy_new(struct loop *l, struct log *log, struct error *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(e, ERROR_SYSTEM, "libcurl cannot be set up");
        return NULL;
    }
    struct server_proxy *p = xcalloc(1, sizeof *p);
    p->loop = l;
    p->log = log;
    list_init(&p->servers);
    return p;
}

void server_proxy_free(struct server_proxy *s) {
    if (!s) return;
    free(s);
    curl_global_cleanup();
}

/* --- its port --- */

/* A socket bound to this port of 127.0.0.1, 0 = any free one; or a negative code. */
static int port_bind(uint16_t *port, struct error *e) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof address;
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return error_set_errno(e, errno, "cannot create a socket for a handler");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool bound = bind(fd, (struct sockaddr *)&address, size) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    *port = ntohs(address.sin_port);
    if (bound) return fd;
    int status = error_set_errno(e, errno, "cannot bind a port for a handler");
    close(fd);
    return status;
}

static bool port_is_promised(const struct server_proxy *p, uint16_t port) {
    list_each (&p->servers, node)
        if (list_entry(node, struct server, node)->upstream.port == port) return true;
    return false;
}

/* A port is only noted: most servers cannot bind one that somebody holds. The process is told it and takes it soon. */
static int port_choose(struct server *s, struct error *e) {
    struct clock *clock = loop_clock(s->proxy->loop);
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        uint16_t port = (uint16_t)(PORT_LOW + clock_random_below(clock, PORT_HIGH - PORT_LOW + 1));
        if (port_is_promised(s->proxy, port)) continue;
        int fd = port_bind(&port, e);
        if (fd < 0) continue;
        close(fd);
        s->upstream.port = port;
        return 0;
    }
    return error_set(e, ERROR_SYSTEM, "no free port for a handler on 127.0.0.1 among %d to %d", PORT_LOW, PORT_HIGH);
}

static int socket_open(struct server *s, struct launch *launch, struct error *e) {
    s->upstream.port = 0;
    int fd = port_bind(&s->upstream.port, e);
    if (fd < 0) return fd;
    launch->inherited_fd = fd;
    return listen(fd, BACKLOG) == 0 ? 0 : error_set_errno(e, errno, "cannot listen for a handler");
}

/* --- its life --- */

static void server_offer(struct server *s) {
    uint64_t held = proxy_requests(&s->upstream);
    uint64_t places = s->worker->handler->processes.concurrency;
    if (s->ready && !s->exited) worker_offer(s->worker, places > held ? (unsigned)(places - held) : 0);
}

static void on_port_open(void *context) {
    struct server *s = context;
    s->ready = true;
    server_offer(s);
}

/* The end of a process is seen in its connections before it is known as such, and what is delivered in between is lost.
 * So nothing is, for a moment and until the port has answered again. */
static void server_doubt(struct server *s) {
    s->upstream.suspicious = false;
    if (!s->ready || s->exited || s->worker->draining) return;
    s->ready = false;
    worker_offer(s->worker, 0);
    port_probe_start(&s->probe, DOUBT_MS);
}

/* The process accepts nothing any more, or has gone and all that it had sent was read. */
static void server_conclude(struct server *s) {
    size_t held = proxy_requests(&s->upstream);
    bool refused = s->upstream.refused && !s->exited;
    s->upstream.refused = false;
    if (held == 0 && s->stopping) {
        s->stopping = false;
        transfers_disconnect(s->upstream.transfers);
    }
    if (refused) worker_fail(s->worker, "it does not accept connections any more");
    if (held == 0 && s->exited) worker_finished(s->worker);
}

static void on_server_turn(void *context) {
    struct server *s = context;
    size_t held = proxy_requests(&s->upstream);
    if (s->inherits && !s->ready) on_port_open(s);
    proxy_requests_settle(&s->upstream);
    if (s->upstream.suspicious) server_doubt(s);
    if (proxy_requests(&s->upstream) < held) server_offer(s);
    server_conclude(s);
}

static const struct transfers_ops server_transfers_ops = {.on_done = proxy_request_done, .on_turn = on_server_turn};

static void server_set_environment(const struct server *s, struct launch *launch) {
    const struct handler_config *h = s->worker->handler;
    launch_set(launch, "EXECGATE_APPLICATION", pool_host_of(s->worker->pool)->application);
    launch_set(launch, "EXECGATE_HANDLER", h->name);
    launch_set_format(launch, "EXECGATE_CONCURRENCY", "%llu", (unsigned long long)h->processes.concurrency);
    launch_set(launch, "HOST", "127.0.0.1");
    launch_set_format(launch, "PORT", "%u", (unsigned)s->upstream.port);
}

static struct server *server_new(struct worker *w) {
    struct server_proxy *p = pool_transport_context(w->pool);
    struct server *s = xcalloc(1, sizeof *s);
    s->proxy = p;
    s->worker = w;
    s->inherits = w->handler->server_socket == SERVER_SOCKET_INHERITED;
    s->upstream = (struct proxy_upstream){.worker = w, .loop = p->loop, .log = p->log};
    list_init(&s->upstream.resting);
    list_init(&s->upstream.marked);
    list_push(&p->servers, &s->node);
    return s;
}

static void server_free(struct server *s) {
    proxy_requests_drop(&s->upstream);
    transfers_free(s->upstream.transfers);
    list_remove(&s->node);
    free(s);
}

/* --- the transport --- */

static int server_open(struct worker *w, struct launch *launch, struct error *e) {
    struct server *s = server_new(w);
    int status = s->inherits ? socket_open(s, launch, e) : port_choose(s, e);
    if (status == 0) s->upstream.transfers = transfers_new(s->proxy->loop, &server_transfers_ops, s, e);
    if (!s->upstream.transfers) {
        server_free(s);
        return -ERROR_SYSTEM;
    }
    server_set_environment(s, launch);
    port_probe_init(&s->probe, s->proxy->loop, s->upstream.port, on_port_open, s);
    w->transport = s;
    return 0;
}

/* An inherited socket accepts from the beginning: the system keeps connections until the process takes them. */
static void server_started(struct worker *w) {
    struct server *s = w->transport;
    if (s->inherits)
        transfers_wake(s->upstream.transfers);
    else
        port_probe_start(&s->probe, 0);
}

static void server_deliver(struct worker *w, struct invocation *inv) {
    struct server *s = w->transport;
    proxy_request_start(&s->upstream, inv);
}

static void server_cancel(struct worker *w, struct invocation *inv) {
    (void)w;
    proxy_request_cancel(inv);
}

static void server_forget(struct worker *w, struct invocation *inv) {
    (void)w;
    proxy_request_forget(inv);
}

static void server_abort_stream(struct worker *w, struct answer_stream *stream) {
    (void)w;
    proxy_request_abort_stream(stream);
}

static void server_stopping(struct worker *w, enum stop_reason why) {
    struct server *s = w->transport;
    (void)why;
    port_probe_stop(&s->probe);
    s->stopping = true;
    transfers_wake(s->upstream.transfers);
}

/* What it had sent is still in the sockets. */
static bool server_exited(struct worker *w, int wait_status) {
    struct server *s = w->transport;
    (void)wait_status;
    s->exited = true;
    port_probe_stop(&s->probe);
    return proxy_requests(&s->upstream) == 0;
}

static void server_close(struct worker *w) {
    struct server *s = w->transport;
    port_probe_stop(&s->probe);
    server_free(s);
}

const struct transport_ops server_transport = {
    .name = "server",
    .streams_request = true,
    .open = server_open,
    .started = server_started,
    .deliver = server_deliver,
    .cancel = server_cancel,
    .forget = server_forget,
    .abort_stream = server_abort_stream,
    .stopping = server_stopping,
    .exited = server_exited,
    .close = server_close,
};
