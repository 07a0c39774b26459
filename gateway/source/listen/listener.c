#include "gateway/source/listen/listener.h"
#include "gateway/base/memory.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define BREATHER_MS 100 /* when descriptors ran out */
#define BACKLOG 4096    /* the kernel cuts it to net.core.somaxconn */

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};
struct listener {
    struct loop *loop;
    int fd;
    enum listener_kind kind;
    char *text;
    uint16_t port;
    char *made_file; /* a socket file to unlink; NULL = none */
    struct watch *watch;
    bool paused;
    struct deadline breather;
    void (*on_accept)(void *context, int take_fd, const struct peer *peer);
    void *context;
};

static void peer_describe(struct peer *peer, const union any_address *a) {
    *peer = (struct peer){0};
    if (a->any.sa_family == AF_UNIX)
        peer_set_local(peer);
    else if (a->any.sa_family == AF_INET)
        peer_set_ipv4(peer, &a->v4.sin_addr, ntohs(a->v4.sin_port));
    else
        peer_set_ipv6(peer, &a->v6.sin6_addr, ntohs(a->v6.sin6_port));
}

static void listener_interest(struct listener *l) {
    bool wanted = !l->paused && !deadline_armed(&l->breather);
    watch_set(l->watch, wanted ? WATCH_READ : 0);
}

static void on_breather_over(struct deadline *d) {
    listener_interest(container_of(d, struct listener, breather));
}

/* False when there is nobody left to accept, or no descriptor to do it with. */
static bool listener_accept_one(struct listener *l) {
    union any_address address;
    socklen_t size = sizeof address;
    int fd = accept4(l->fd, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* A client that gave up in the backlog is no reason to stop (accept(2)). */
        if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) return true;
        if (errno == EAGAIN) return false;
        deadline_arm(loop_deadlines(l->loop), &l->breather, clock_now_ms(loop_clock(l->loop)) + BREATHER_MS);
        listener_interest(l);
        return false;
    }
    int on = 1;
    if (l->kind == LISTENER_TCP) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer peer;
    peer_describe(&peer, &address);
    l->on_accept(l->context, fd, &peer);
    return true;
}

static void on_connections(void *context, unsigned events) {
    struct listener *l = context;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->paused; i++)
        if (!listener_accept_one(l)) return;
}

static int address_of_tcp(const struct listener_config *c, union any_address *a, socklen_t *size, struct error *e) {
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, c->host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(c->port);
        *size = sizeof a->v4;
        return 0;
    }
    if (inet_pton(AF_INET6, c->host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(c->port);
        *size = sizeof a->v6;
        return 0;
    }
    return error_set(e, ERROR_USAGE, "cannot listen on %s: \"%s\" is not a numeric address", c->text, c->host);
}

static int address_of_unix(const struct listener_config *c, union any_address *a, socklen_t *size, struct error *e) {
    memset(a, 0, sizeof *a);
    size_t n = strlen(c->path);
    if (n >= sizeof a->local.sun_path)
        return error_set(e, ERROR_USAGE, "cannot listen on %s: the path is longer than %zu bytes", c->text,
                         sizeof a->local.sun_path - 1);
    a->local.sun_family = AF_UNIX;
    memcpy(a->local.sun_path, c->path, n);
    *size = sizeof a->local;
    return 0;
}

/* Removes a socket file on which nobody accepts any more. Anything else is left alone: bind tells. */
static int stale_socket_remove(const struct listener_config *c, const union any_address *a, struct error *e) {
    struct stat info;
    if (lstat(c->path, &info) != 0 || !S_ISSOCK(info.st_mode)) return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return error_set_errno(e, errno, "cannot listen on %s", c->text);
    int refused = connect(fd, &a->any, sizeof a->local) != 0 ? errno : 0;
    close(fd);
    if (refused != ECONNREFUSED)
        return error_set(e, ERROR_SYSTEM, "cannot listen on %s: another process listens there", c->text);
    unlink(c->path);
    return 0;
}

static int listener_bind(struct listener *l, const struct listener_config *c, struct error *e) {
    union any_address address;
    socklen_t size = 0;
    int status = c->kind == LISTENER_UNIX ? address_of_unix(c, &address, &size, e)
                                          : address_of_tcp(c, &address, &size, e);
    if (status < 0) return status;
    if (c->kind == LISTENER_UNIX && (status = stale_socket_remove(c, &address, e)) < 0) return status;
    l->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) return error_set_errno(e, errno, "cannot listen on %s", c->text);
    int on = 1;
    if (c->kind == LISTENER_TCP) setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l->fd, &address.any, size) != 0) {
        const char *advice = errno == EADDRINUSE ? " (stop what listens there, or choose another address)" : "";
        return error_set_errno(e, errno, "cannot listen on %s%s", c->text, advice);
    }
    if (c->kind == LISTENER_UNIX) l->made_file = xstrdup(c->path);
    if (listen(l->fd, BACKLOG) != 0) return error_set_errno(e, errno, "cannot listen on %s", c->text);
    return 0;
}

static void listener_name(struct listener *l, const struct listener_config *c) {
    if (c->kind == LISTENER_UNIX) {
        l->text = xasprintf("unix:%s", c->path);
        return;
    }
    union any_address address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    getsockname(l->fd, &address.any, &size);
    bool v6 = address.any.sa_family == AF_INET6;
    char host[INET6_ADDRSTRLEN] = "";
    inet_ntop(address.any.sa_family, v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr, host,
              sizeof host);
    l->port = ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port);
    l->text = xasprintf(v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)l->port);
}

struct listener *listener_open(struct loop *loop, const struct listener_config *c,
                               void (*on_accept)(void *context, int take_fd, const struct peer *peer), void *context,
                               struct error *e) {
    struct listener *l = xcalloc(1, sizeof *l);
    *l = (struct listener){.loop = loop, .fd = -1, .kind = c->kind, .on_accept = on_accept, .context = context};
    l->breather.on_due = on_breather_over;
    if (listener_bind(l, c, e) < 0) goto fail;
    listener_name(l, c);
    l->watch = watch_open(loop, l->fd, on_connections, l);
    if (!l->watch) {
        error_set(e, ERROR_SYSTEM, "cannot watch the listening socket of %s", c->text);
        goto fail;
    }
    listener_interest(l);
    return l;
fail:
    listener_close(l);
    return NULL;
}

const char *listener_address(const struct listener *l) {
    return l->text;
}

uint16_t listener_port(const struct listener *l) {
    return l->port;
}

void listener_pause(struct listener *l) {
    l->paused = true;
    listener_interest(l);
}

void listener_resume(struct listener *l) {
    l->paused = false;
    listener_interest(l);
}

void listener_close(struct listener *l) {
    if (!l) return;
    watch_close(l->watch);
    deadline_disarm(loop_deadlines(l->loop), &l->breather);
    if (l->fd >= 0) close(l->fd);
    if (l->made_file) unlink(l->made_file);
    free(l->made_file);
    free(l->text);
    free(l);
}
