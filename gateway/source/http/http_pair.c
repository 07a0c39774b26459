/* Exchanges whose socket is one end of a pair that a pump feeds (peer.h). libmicrohttpd tries to read again as soon as
 * an answer is out, finds nothing, and then pays for a place in its epoll set that the next request takes away again.
 * The pump knows better: until it tells that something has come, a lane whose exchanges all wait to be told rests. */
#include "gateway/source/http/http_private.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

void exchange_stir(struct http_exchange *x) {
    if (!x->eager) x->lane->eager++;
    x->eager = true;
}

void exchange_calm(struct http_exchange *x) {
    if (x->eager) x->lane->eager--;
    x->eager = false;
}

static void on_fed(void *context) {
    struct http_exchange *x = context;
    if (x->suspended) return; /* it is resumed when it may read */
    exchange_stir(x);
    lane_wake(x->lane);
}

void pair_join(struct http_exchange *x) {
    if (x->peer.tls) x->peer.tls->server = (struct peer_ear){on_fed, x};
}

void pair_leave(struct http_exchange *x) {
    list_remove(&x->pair_node);
    if (x->peer.tls) x->peer.tls->server.on_told = NULL;
}

static void await_run(struct http_exchange *x) {
    if (!list_holds(&x->lane->pairs, &x->pair_node)) list_push(&x->lane->pairs, &x->pair_node);
}

/* From inside the access handler libmicrohttpd writes an answer in a later run than the one that is under way: the pump
 * hears of it when it is complete. Any other answer is written in the next run, though libmicrohttpd says so only in
 * the one after. */
void pair_note_answer(struct http_exchange *x) {
    x->untold = true;
    if (!x->in_call) await_run(x);
}

/* A chunked body is not counted: then, as after blank lines before a request, the sums differ for good. */
void pair_note_end(struct http_exchange *x) {
    x->consumed += http_exchange_head_size(x);
    if (x->content_length > 0) x->consumed += (uint64_t)x->content_length;
    await_run(x);
}

/* Seen without asking the kernel when all that was fed was requests that have been answered. */
static bool pair_is_empty(const struct http_exchange *x) {
    int unread = 0;
    return x->consumed == x->peer.tls->fed || (ioctl(x->fd, SIOCINQ, &unread) == 0 && unread == 0);
}

/* All that came has been read: whether it was a whole request or a part of one, more must come first. */
static bool waits_to_be_fed(const struct http_exchange *x) {
    return x->stage == STAGE_NONE && !x->broken && pair_is_empty(x);
}

void pairs_settle(struct lane *lane) {
    for (struct list_node *node; (node = list_first(&lane->pairs));) {
        struct http_exchange *x = list_entry(node, struct http_exchange, pair_node);
        list_remove(node);
        if (waits_to_be_fed(x))
            exchange_calm(x);
        else
            lane_wake(lane);
        if (x->untold) peer_ear_tell(&x->peer.tls->pump);
        x->untold = false;
    }
}
