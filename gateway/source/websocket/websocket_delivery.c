#include "gateway/source/websocket/websocket_delivery.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/source/websocket/websocket_private.h"
#include <stdlib.h>

#define WAIT_MOST_MS (3600 * 1000ULL)

struct delivery {
    struct list_node node;
    struct chunk *envelope;
    struct chunk *inform; /* NULL = nobody */
    uint64_t resends, due_ms;
    size_t id_size;
    char id[];
};
struct deliveries {
    struct session *session;
    struct list waiting;
    size_t bytes; /* of envelopes */
    uint64_t resend_ms, max_resends;
    struct deadline deadline;
};

bool delivery_id_is_good(struct slice id) {
    for (size_t i = 0; i < id.n; i++)
        if ((unsigned char)id.p[i] < ' ' || id.p[i] == 0x7f) return false;
    return id.n > 0 && id.n <= DELIVERY_ID_MAX && text_utf8_prefix(id) == id.n;
}

uint64_t delivery_wait_ms(uint64_t resend_ms, uint64_t resends) {
    uint64_t wait_ms = resend_ms;
    for (uint64_t i = 0; i < resends && wait_ms < WAIT_MOST_MS; i++) wait_ms *= 2;
    return wait_ms < WAIT_MOST_MS ? wait_ms : WAIT_MOST_MS;
}

static uint64_t now_ms(const struct deliveries *all) {
    return clock_now_ms(loop_clock(all->session->source->loop));
}

static struct slice id_of(const struct delivery *d) {
    return slice_make(d->id, d->id_size);
}

static struct slice session_id(const struct session *session) {
    return slice_make(session->id, sizeof session->id);
}

/* --- life --- */

static void delivery_free(struct deliveries *all, struct delivery *d) {
    all->bytes -= d->envelope->bytes.n;
    all->session->source->counters.unacknowledged--;
    list_remove(&d->node);
    chunk_release(d->envelope);
    chunk_release(d->inform);
    free(d);
}

static struct delivery *delivery_find(const struct deliveries *all, struct slice id) {
    list_each (&all->waiting, node) {
        struct delivery *d = list_entry(node, struct delivery, node);
        if (slice_equal(id_of(d), id)) return d;
    }
    return NULL;
}

static void deadline_follow(struct deliveries *all) {
    struct deadlines *deadlines = loop_deadlines(all->session->source->loop);
    uint64_t due_ms = DEADLINE_NEVER;
    for (struct list_node *node = list_first(&all->waiting); node; node = list_next(&all->waiting, node)) {
        const struct delivery *d = list_entry(node, struct delivery, node);
        if (d->due_ms < due_ms) due_ms = d->due_ms;
    }
    if (due_ms == DEADLINE_NEVER)
        deadline_disarm(deadlines, &all->deadline);
    else
        deadline_arm(deadlines, &all->deadline, due_ms);
}

/* --- a loss --- */

static struct chunk *loss_write(const struct session *session, struct slice message_id) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("event"), SLICE("lostMessage"));
    json_member(&w, SLICE("messageId"), message_id);
    json_member(&w, SLICE("connectionId"), session_id(session));
    json_close(&w, '}');
    struct chunk *c = chunk_copy(buf_slice(&text));
    buf_free(&text);
    return c;
}

static void inform(struct session *session, struct slice ids, struct slice message_id) {
    struct chunk *loss = loss_write(session, message_id);
    struct parcel p = parcel_make(WEBSOCKET_TEXT, loss->bytes);
    struct slice id;
    while (slice_next(&ids, ',', &id)) {
        struct member *m = members_find(session->source->host.members, id);
        if (m)
            m->ops->send(m, &p);
        else
            cluster_send_text(session->source, id, loss->bytes);
    }
    parcel_free(&p);
    chunk_release(loss);
}

static void lose(struct deliveries *all, struct delivery *d, const char *why) {
    struct session *session = all->session;
    session->source->counters.lost++;
    log_event(session->source->log, LOG_WARN, "websocket message lost", LOG_SLICE("connection", session_id(session)),
              LOG_SLICE("message_id", id_of(d)), LOG_TEXT("why", why), LOG_INT("resends", d->resends));
    if (d->inform) inform(session, d->inform->bytes, id_of(d));
    delivery_free(all, d);
}

/* --- again --- */

static struct delivery *first_due(const struct deliveries *all) {
    for (struct list_node *node = list_first(&all->waiting); node; node = list_next(&all->waiting, node)) {
        struct delivery *d = list_entry(node, struct delivery, node);
        if (d->due_ms <= now_ms(all)) return d;
    }
    return NULL;
}

static void resend(struct deliveries *all, struct delivery *d) {
    struct session *session = all->session;
    d->due_ms = now_ms(all) + delivery_wait_ms(all->resend_ms, ++d->resends);
    session->source->counters.resent++;
    session_say(session, WEBSOCKET_TEXT, d->envelope->bytes);
}

/* The client may have answered long ago: nothing is read from it while its own messages wait for their handler. */
static void put_off(struct deliveries *all) {
    list_each (&all->waiting, node) {
        struct delivery *d = list_entry(node, struct delivery, node);
        if (d->due_ms <= now_ms(all)) d->due_ms = now_ms(all) + all->resend_ms;
    }
}

/* Whoever is too slow is closed by a resend, and another deadline of this very moment may have closed it before; then
 * session_run loses the rest. */
static void on_due(struct deadline *deadline) {
    struct deliveries *all = container_of(deadline, struct deliveries, deadline);
    struct delivery *d;
    if (!all->session->ws) return;
    if (websocket_is_paused(all->session->ws)) put_off(all);
    while (all->session->ws && (d = first_due(all))) {
        if (d->resends < all->max_resends)
            resend(all, d);
        else
            lose(all, d, "the client did not acknowledge it");
    }
    if (all->session->ws) deadline_follow(all);
}

/* --- the order --- */

static struct chunk *envelope_write(const struct delivery_order *o) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    json_member(&w, SLICE("messageId"), o->message_id);
    json_name(&w, SLICE("data"));
    if (json_is_valid(o->text))
        json_raw(&w, o->text);
    else
        json_text(&w, o->text);
    json_close(&w, '}');
    struct chunk *c = chunk_copy(buf_slice(&text));
    buf_free(&text);
    return c;
}

static bool inform_is_good(struct slice ids) {
    struct slice id;
    size_t count = 0;
    if (slice_is_none(ids)) return true;
    for (; slice_next(&ids, ',', &id); count++)
        if (id.n != WEBSOCKET_ID_SIZE) return false;
    return count > 0 && count <= DELIVERY_INFORM_MOST;
}

static struct deliveries *deliveries_of(struct session *session, const struct acknowledge_config *c) {
    if (session->deliveries) return session->deliveries;
    struct deliveries *all = xcalloc(1, sizeof *all);
    all->session = session;
    all->resend_ms = c->resend_ms;
    all->max_resends = c->max_resends;
    all->deadline.on_due = on_due;
    list_init(&all->waiting);
    session->deliveries = all;
    return all;
}

static void delivery_add(struct deliveries *all, const struct delivery_order *o, struct chunk *take_envelope) {
    struct delivery *d = xcalloc(1, sizeof *d + o->message_id.n);
    d->envelope = take_envelope;
    d->inform = slice_is_none(o->inform) ? NULL : chunk_copy(o->inform);
    d->id_size = o->message_id.n;
    memcpy(d->id, o->message_id.p, d->id_size);
    d->due_ms = now_ms(all) + delivery_wait_ms(all->resend_ms, 0);
    all->bytes += take_envelope->bytes.n;
    all->session->source->counters.unacknowledged++;
    list_push(&all->waiting, &d->node);
    deadline_follow(all);
}

static enum delivery_result order_check(const struct delivery_order *o) {
    if (!delivery_id_is_good(o->message_id)) return DELIVERY_BAD_ID;
    if (text_utf8_prefix(o->text) != o->text.n) return DELIVERY_BAD_TEXT;
    return inform_is_good(o->inform) ? DELIVERY_SENT : DELIVERY_BAD_INFORM;
}

/* One larger than the bound may wait alone, as with all that is sent. */
static bool deliveries_are_full(const struct deliveries *all, uint64_t most_bytes) {
    return all->waiting.length >= DELIVERY_WAITING_MOST || all->bytes > most_bytes;
}

enum delivery_result websocket_deliver(struct member *m, const struct delivery_order *o) {
    struct websocket *ws = websocket_of_member(m);
    if (!ws) return DELIVERY_OFF;
    struct session *session = websocket_owner(ws);
    const struct websocket_config *c = session_config(session);
    enum delivery_result checked = order_check(o);
    if (!c || !c->acknowledge.on) return DELIVERY_OFF;
    if (checked != DELIVERY_SENT) return checked;
    struct deliveries *all = deliveries_of(session, &c->acknowledge);
    if (delivery_find(all, o->message_id)) return DELIVERY_SENT;
    if (deliveries_are_full(all, c->max_outbound)) return DELIVERY_TOO_MANY;
    struct chunk *envelope = envelope_write(o);
    session_say(session, WEBSOCKET_TEXT, envelope->bytes);
    if (session->ws) {
        delivery_add(all, o, envelope);
        return DELIVERY_SENT;
    }
    chunk_release(envelope);
    return DELIVERY_GONE;
}

/* --- the session's --- */

void deliveries_acknowledge(struct session *session, struct slice id) {
    struct deliveries *all = session->deliveries;
    struct delivery *d = all ? delivery_find(all, id) : NULL;
    if (!d) return; /* late, twice, or made up */
    delivery_free(all, d);
    deadline_follow(all);
}

void deliveries_lose(struct session *session) {
    struct deliveries *all = session->deliveries;
    if (!all) return;
    list_each (&all->waiting, node)
        lose(all, list_entry(node, struct delivery, node), "the connection ended before it was acknowledged");
    deadline_follow(all);
}

void deliveries_free(struct session *session) {
    struct deliveries *all = session->deliveries;
    if (!all) return;
    list_each (&all->waiting, node) delivery_free(all, list_entry(node, struct delivery, node));
    deadline_disarm(loop_deadlines(session->source->loop), &all->deadline);
    free(all);
    session->deliveries = NULL;
}
