#include "gateway/websocket/websocket_private.h"

struct parcel parcel_make(enum websocket_kind kind, struct slice payload) {
    return (struct parcel){.kind = kind, .payload = payload};
}

void parcel_free(struct parcel *p) {
    chunk_release(p->plain);
    chunk_release(p->packed);
    chunk_release(p->event_text);
    p->plain = p->packed = p->event_text = NULL;
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

/* One message more than the bound may wait, so that no message is too large for an idle connection. */
static bool is_too_slow(struct websocket *ws) {
    if (ws->out.bytes <= ws->rules.max_outbound) return false;
    if (!outqueue_flush(&ws->out, ws->fd)) return true;
    return ws->out.bytes > ws->rules.max_outbound;
}

bool websocket_send(struct websocket *ws, struct parcel *p) {
    if (ws->state != WEBSOCKET_OPEN) return false;
    if (is_too_slow(ws)) {
        ws->all->counters.slow++;
        /* A frame that was begun must be finished for the Close behind it to be understood. */
        outqueue_forget(&ws->out);
        websocket_close(ws, CLOSE_TRY_LATER, SLICE("messages are not taken fast enough"));
        return false;
    }
    ws->active_ms = websockets_now_ms(ws->all);
    ws->all->counters.sent++;
    outqueue_add(&ws->out, parcel_for(p, ws));
    websocket_wake(ws);
    return true;
}

/* --- as a member --- */

static struct websocket *of_member(struct member *m) {
    return container_of(m, struct websocket, member);
}

static bool on_send(struct member *m, struct parcel *p) {
    return websocket_send(of_member(m), p);
}

static void on_close(struct member *m, int code, struct slice reason) {
    websocket_close(of_member(m), code, reason);
}

static struct member_facts on_facts(struct member *m) {
    struct websocket *ws = of_member(m);
    struct clock *clock = loop_clock(ws->all->loop);
    struct member_facts f = ws->all->ops.facts(ws->owner);
    f.active_ms = clock_wall_ms(clock) - (clock_now_ms(clock) - ws->active_ms);
    f.outbound = ws->out.bytes;
    return f;
}

const struct member_ops websocket_member_ops = {
    .kind = "websocket", .send = on_send, .close = on_close, .facts = on_facts};
