/* Answers that libmicrohttpd cannot give: those that are due while it still reads the request's body, and those whose
 * head is too large for its memory. We write past it, and the connection ends with them. */
#include "gateway/base/http_text.h"
#include "gateway/source/http/http_private.h"
#include <errno.h>
#include <sys/socket.h>

void by_hand_head(const struct http_exchange *x, const struct http_reply *reply, struct buf *out) {
    char date[30];
    http_date(clock_wall_ms(loop_clock(x->server->loop)), date);
    buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close%s\r\n", reply->status, http_reason(reply->status),
               date, fields_offer_upgrade(reply->headers) ? ", Upgrade" : "");
    for (size_t i = 0; reply->headers && i < reply->headers->count; i++) {
        struct field f = reply->headers->items[i];
        if (field_is_ours(f.name) || !http_is_token(f.name) || !http_is_field_value(f.value)) continue;
        buf_printf(out, SLICE_FMT ": " SLICE_FMT "\r\n", SLICE_ARG(f.name), SLICE_ARG(f.value));
    }
    int64_t length = reply->take_body ? body_length(reply->take_body) : x->leaves ? BODY_LENGTH_UNKNOWN : 0;
    /* Without a length the answer lasts as long as the connection (RFC 9112 6.3). */
    if (status_has_body(reply->status) && length >= 0) buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    buf_append_text(out, "\r\n");
}

/* Our half is closed. What the client goes on sending is read and thrown away for a while, because closing at once
 * would make its system drop the answer (RFC 9112 9.6). */
static void by_hand_end(struct http_exchange *x) {
    body_release_consumer(x->stream);
    x->stream = NULL;
    shutdown(x->fd, SHUT_WR);
    if (x->stage == STAGE_END) {
        exchange_break(x); /* all of the request was read */
        return;
    }
    if (x->suspended && !x->in_call) exchange_resume(x);
    exchange_place(x, PLACE_LINGER);
}

static void on_writable(void *context, unsigned events) {
    struct http_exchange *x = context;
    (void)events;
    watch_set(x->hand_watch, 0);
    turn_add(loop_turn(x->server->loop), &x->hand_task);
}

static void by_hand_wait(struct http_exchange *x) {
    if (!x->hand_watch) x->hand_watch = watch_open(x->server->loop, x->fd, on_writable, x);
    if (x->hand_watch)
        watch_set(x->hand_watch, WATCH_WRITE);
    else
        exchange_break(x);
}

/* How much was sent; -1 when the socket takes no more now, or is broken. */
static ssize_t by_hand_send(struct http_exchange *x, struct slice piece, int flags) {
    ssize_t sent = send(x->fd, piece.p, piece.n, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    if (sent < 0 && errno == EAGAIN)
        by_hand_wait(x);
    else if (sent < 0)
        exchange_break(x);
    else
        exchange_place(x, PLACE_SENDING);
    return sent;
}

static void by_hand_pump(struct http_exchange *x) {
    ssize_t sent;
    if (!x->stream || x->broken) return;
    while (x->hand_head.n > 0) {
        if ((sent = by_hand_send(x, buf_slice(&x->hand_head), MSG_MORE)) <= 0) return;
        buf_consume(&x->hand_head, (size_t)sent);
    }
    for (struct slice piece; (piece = body_peek(x->stream)).n > 0;) {
        if ((sent = by_hand_send(x, piece, 0)) <= 0) return;
        body_consume(x->stream, (size_t)sent);
    }
    if (body_at_end(x->stream))
        by_hand_end(x);
    else if (body_state_of(x->stream) == BODY_FAILED)
        exchange_break(x);
}

static void on_hand_task(struct turn_task *task) {
    by_hand_pump(container_of(task, struct http_exchange, hand_task));
}

static void on_hand_readable(void *context) {
    struct http_exchange *x = context;
    turn_add(loop_turn(x->server->loop), &x->hand_task);
}

static struct body *by_hand_body(const struct http_exchange *x, const struct http_reply *reply) {
    bool sent = status_has_body(reply->status) && !slice_equal(x->method, SLICE("HEAD"));
    if (sent && reply->take_body) return reply->take_body;
    if (reply->take_body) body_release_consumer(reply->take_body);
    return body_of_chunk(NULL);
}

void reply_by_hand(struct http_exchange *x, const struct http_reply *reply) {
    by_hand_head(x, reply, &x->hand_head);
    x->stream = by_hand_body(x, reply);
    x->by_hand = true;
    /* Once all of the request is read, libmicrohttpd stays asleep until the connection is over. */
    if (x->suspended && x->stage != STAGE_END) exchange_resume(x);
    exchange_place(x, PLACE_SENDING);
    x->hand_task = (struct turn_task){.phase = x->server->config.phase, .run = on_hand_task};
    body_on_readable(x->stream, on_hand_readable, x);
    body_want(x->stream);
    by_hand_pump(x);
}

void by_hand_forget(struct http_exchange *x) {
    turn_remove(&x->hand_task);
    watch_close(x->hand_watch);
    x->hand_watch = NULL;
    buf_free(&x->hand_head);
}
