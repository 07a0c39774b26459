/* A connection that stops being HTTP (RFC 9110 7.8). libmicrohttpd keeps one that it has upgraded among those that
 * wait, with all its memory. So it is given back at once, and a copy of its descriptor lives on: libmicrohttpd closes
 * its own without shutting the socket down. */
#include "gateway/source/http/http_private.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

void upgrade_forget(struct http_exchange *x) {
    struct http_upgrade *u = x->upgrade;
    x->upgrade = NULL;
    if (u) u->lost(u);
}

/* libmicrohttpd has turned Nagle's algorithm on again. */
static int descriptor_copy(const struct http_exchange *x, int fd) {
    int on = 1, copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return -1;
    fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK);
    if (!x->peer.local && !x->peer.tls) setsockopt(copy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return copy;
}

static void on_upgraded(void *context, struct MHD_Connection *c, void *request, const char *early, size_t early_size,
                        MHD_socket fd, struct MHD_UpgradeResponseHandle *handle) {
    struct http_exchange *x = context;
    struct http_upgrade *u = x->upgrade;
    (void)c;
    (void)request;
    int copy = u && !x->broken ? descriptor_copy(x, fd) : -1;
    /* From here on the exchange must not shut the socket down. */
    if (copy >= 0) x->broken = true;
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    exchange_stir(x);
    lane_wake(x->lane);
    if (copy < 0) return; /* lost, when the exchange is over */
    x->upgrade = NULL;
    u->taken(u, copy, slice_make(early, early_size));
}

void http_exchange_upgrade(struct http_exchange *x, const struct fields *headers, struct http_upgrade *u) {
    if (!x->open || x->replied || x->broken) {
        u->lost(u);
        return;
    }
    x->replied = true;
    x->upgrade = u;
    x->status = MHD_HTTP_SWITCHING_PROTOCOLS;
    x->response = MHD_create_response_for_upgrade(on_upgraded, x);
    response_add_fields(x->response, headers);
    reply_send(x);
}
