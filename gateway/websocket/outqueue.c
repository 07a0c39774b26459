#include "gateway/websocket/outqueue.h"
#include <errno.h>
#include <sys/socket.h>

/* A chunk that others hold too gets a link of its own. */
static struct chunk *link_of(struct chunk *take_chunk) {
    if (take_chunk->holders == 1 && !take_chunk->next) return take_chunk;
    struct chunk *own = chunk_share(take_chunk, take_chunk->bytes);
    chunk_release(take_chunk);
    return own;
}

void outqueue_add(struct outqueue *q, struct chunk *take_chunk) {
    struct chunk *c = link_of(take_chunk);
    q->bytes += c->bytes.n;
    if (q->last)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
}

static void outqueue_shift(struct outqueue *q) {
    struct chunk *c = q->first;
    q->first = c->next;
    if (!q->first) q->last = NULL;
    c->next = NULL;
    chunk_release(c);
}

void outqueue_free(struct outqueue *q) {
    while (q->first) outqueue_shift(q);
    q->bytes = 0;
    q->begun = false;
}

void outqueue_forget(struct outqueue *q) {
    struct chunk *begun = q->first;
    if (!q->begun) {
        outqueue_free(q);
        return;
    }
    while (begun->next) {
        struct chunk *c = begun->next;
        begun->next = c->next;
        c->next = NULL;
        q->bytes -= c->bytes.n;
        chunk_release(c);
    }
    q->last = begun;
}

bool outqueue_flush(struct outqueue *q, int fd) {
    while (q->first) {
        struct chunk *c = q->first;
        int more = c->next ? MSG_MORE : 0;
        ssize_t sent = send(fd, c->bytes.p, c->bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT | more);
        if (sent < 0) return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        q->bytes -= (size_t)sent;
        c->bytes = slice_make(c->bytes.p + sent, c->bytes.n - (size_t)sent);
        q->begun = c->bytes.n > 0;
        if (!q->begun) outqueue_shift(q);
    }
    return true;
}
