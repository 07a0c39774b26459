#include "gateway/websocket/websocket_private.h"
#include <errno.h>
#include <sys/socket.h>

struct parcel parcel_make(enum websocket_kind kind, struct slice payload) {
    return (struct parcel){.kind = kind, .payload = payload};
}

void parcel_free(struct parcel *p) {
    chunk_release(p->plain);
    chunk_release(p->packed);
    p->plain = p->packed = NULL;
}

static enum frame_opcode opcode_of(const struct parcel *p) {
    return p->kind == WEBSOCKET_TEXT ? FRAME_TEXT : FRAME_BINARY;
}

static struct chunk *hold(struct chunk *c) {
    c->holders++;
    return c;
}

static struct chunk *parcel_plain(struct parcel *p) {
    if (!p->plain) p->plain = frame_make(opcode_of(p), 0, p->payload);
    return hold(p->plain);
}

/* NULL when it is better sent as it is. */
static struct chunk *pack(struct deflater **d, const struct deflate_terms *t, const struct parcel *p) {
    struct buf packed = {0};
    struct chunk *frame = NULL;
    if (deflater_write(d, t, p->payload, &packed)) frame = frame_make(opcode_of(p), FRAME_RSV1, buf_slice(&packed));
    buf_free(&packed);
    return frame;
}

/* Without a window of their own all clients can read the same bytes, but those that bound the window. */
static struct chunk *parcel_for(struct parcel *p, struct websocket *ws) {
    const struct deflate_terms *t = &ws->reader.terms;
    struct chunk *own;
    if (!t->agreed) return parcel_plain(p);
    if (!t->server_takeover && !t->bits_asked) {
        if (!p->packed) p->packed = pack(&ws->deflater, t, p);
        if (!p->packed) p->packed = parcel_plain(p);
        return hold(p->packed);
    }
    own = pack(&ws->deflater, t, p);
    return own ? own : parcel_plain(p);
}

/* A frame that others hold too gets a link of its own. */
static struct chunk *link_of(struct chunk *take_frame) {
    if (take_frame->holders == 1 && !take_frame->next) return take_frame;
    struct chunk *own = chunk_share(take_frame, take_frame->bytes);
    chunk_release(take_frame);
    return own;
}

void outbound_add(struct websocket *ws, struct chunk *take_frame) {
    struct chunk *c = link_of(take_frame);
    ws->outbound += c->bytes.n;
    if (ws->last)
        ws->last->next = c;
    else
        ws->first = c;
    ws->last = c;
}

static void outbound_shift(struct websocket *ws) {
    struct chunk *c = ws->first;
    ws->first = c->next;
    if (!ws->first) ws->last = NULL;
    c->next = NULL;
    chunk_release(c);
}

void outbound_free(struct websocket *ws) {
    while (ws->first) outbound_shift(ws);
    ws->outbound = 0;
    ws->begun = false;
}

/* A frame that was begun must be finished for the Close behind it to be understood. */
void outbound_forget(struct websocket *ws) {
    struct chunk *begun = ws->first;
    if (!ws->begun) {
        outbound_free(ws);
        return;
    }
    while (begun->next) {
        struct chunk *c = begun->next;
        begun->next = c->next;
        c->next = NULL;
        ws->outbound -= c->bytes.n;
        chunk_release(c);
    }
    ws->last = begun;
}

bool outbound_flush(struct websocket *ws) {
    while (ws->first) {
        struct chunk *c = ws->first;
        int more = c->next ? MSG_MORE : 0;
        ssize_t sent = send(ws->fd, c->bytes.p, c->bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT | more);
        if (sent < 0) return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        ws->outbound -= (size_t)sent;
        c->bytes = slice_make(c->bytes.p + sent, c->bytes.n - (size_t)sent);
        ws->begun = c->bytes.n > 0;
        if (!ws->begun) outbound_shift(ws);
    }
    return true;
}

/* One message more than the bound may wait, so that no message is too large for an idle connection. */
static bool is_too_slow(struct websocket *ws) {
    if (ws->outbound <= ws->rules.max_outbound) return false;
    if (!outbound_flush(ws)) return true;
    return ws->outbound > ws->rules.max_outbound;
}

bool websocket_send(struct websocket *ws, struct parcel *p) {
    if (ws->state != WEBSOCKET_OPEN) return false;
    if (is_too_slow(ws)) {
        ws->all->counters.slow++;
        outbound_forget(ws);
        websocket_close(ws, CLOSE_TRY_LATER, SLICE("messages are not taken fast enough"));
        return false;
    }
    ws->active_ms = websockets_now_ms(ws->all);
    ws->all->counters.sent++;
    outbound_add(ws, parcel_for(p, ws));
    websocket_wake(ws);
    return true;
}
