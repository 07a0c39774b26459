/* Connections that leave libmicrohttpd, because they stop being HTTP (RFC 9110 7.8) or because an answer is to last for
 * hours. libmicrohttpd keeps one that it has upgraded, or that is suspended, among those that wait, with all its
 * memory. So it is given back at once, and a copy of its descriptor lives on.
 *
 * Of an upgraded one libmicrohttpd closes its own descriptor without shutting the socket down. Any other it would shut
 * down, so a socket that leads nowhere takes the place of that descriptor first; while the connection is suspended,
 * libmicrohttpd's epoll set does not have it. */
#include "gateway/source/http/http_private.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

void upgrade_forget(struct http_exchange *x) {
    struct http_upgrade *u = x->upgrade;
    x->upgrade = NULL;
    if (!u) return;
    if (u->fd >= 0) close(u->fd);
    u->lost(u);
}

static bool nowhere_is_there(struct http_server *s) {
    if (s->nowhere < 0) s->nowhere = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return s->nowhere >= 0;
}

/* False when the connection that is to leave cannot have a descriptor of its own. */
static bool descriptor_take(const struct http_exchange *x, struct http_upgrade *u) {
    u->fd = nowhere_is_there(x->server) ? fcntl(x->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (u->fd >= 0) return true;
    log_event(x->server->config.log, LOG_WARN, "a connection cannot be kept; raise the limit of open files (ulimit -n)",
              LOG_TEXT("why", strerror(errno)));
    return false;
}

/* Both hold for the socket, whichever descriptor is used. libmicrohttpd has turned Nagle's algorithm on again. */
static void descriptor_prepare(const struct http_exchange *x, int fd) {
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (!x->peer.local && !x->peer.tls) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void on_upgraded(void *context, struct MHD_Connection *c, void *request, const char *early, size_t early_size,
                        MHD_socket fd, struct MHD_UpgradeResponseHandle *handle) {
    struct http_exchange *x = context;
    struct http_upgrade *u = x->upgrade;
    bool wanted = u && !x->broken;
    (void)c;
    (void)request;
    (void)fd;
    /* From here on the exchange must not shut the socket down. */
    if (wanted) x->broken = true;
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    exchange_stir(x);
    lane_wake(x->lane);
    if (!wanted) return; /* lost, when the exchange is over */
    x->upgrade = NULL;
    descriptor_prepare(x, u->fd);
    u->taken(u, u->fd, slice_make(early, early_size));
}

bool http_exchange_upgrade(struct http_exchange *x, const struct fields *headers, struct http_upgrade *u) {
    if (!x->open || x->replied || x->broken) {
        u->lost(u);
        return true;
    }
    if (!descriptor_take(x, u)) return false;
    x->replied = true;
    x->upgrade = u;
    x->status = MHD_HTTP_SWITCHING_PROTOCOLS;
    x->response = MHD_create_response_for_upgrade(on_upgraded, x);
    response_add_fields(x->response, headers);
    reply_send(x);
    return true;
}

/* --- without a 101 --- */

void exchange_leave(struct http_exchange *x) {
    struct http_upgrade *u = x->upgrade;
    if (!x->suspended) exchange_suspend(x);
    /* A watch that were closed later would let go of the wrong socket. */
    watch_close(x->watch);
    x->watch = NULL;
    if (dup3(x->server->nowhere, x->fd, O_CLOEXEC) < 0) {
        exchange_break(x); /* lost, when the exchange is over */
        return;
    }
    x->broken = true;
    x->upgrade = NULL;
    exchange_resume(x);
    descriptor_prepare(x, u->fd);
    u->taken(u, u->fd, SLICE_NONE);
}

bool http_exchange_hand_over(struct http_exchange *x, int status, const struct fields *headers,
                             struct http_upgrade *u) {
    if (!x->open || x->replied || x->broken) {
        u->lost(u);
        return true;
    }
    if (!descriptor_take(x, u)) return false;
    x->replied = true;
    x->leaves = true;
    by_hand_head(x, &(struct http_reply){.status = status, .headers = headers}, &u->head);
    x->upgrade = u;
    if (x->in_call) return true; /* settle looks after it */
    if (x->stage == STAGE_END)
        exchange_leave(x);
    else if (x->suspended)
        exchange_resume(x);
    return true;
}
