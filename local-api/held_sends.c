#include "local-api/held_sends.h"
#include "gateway/base/memory.h"
#include "gateway/queue/message.h"
#include "local-api/runtime_private.h"
#include <assert.h>
#include <stdlib.h>

#define HELD_BYTES (16u << 20)

struct held_sends {
    struct arena arena;
    struct queue_send *sends;
    size_t count, room;
    uint64_t bytes;
    struct endpoint *endpoint;     /* SENDING */
    struct invocation *invocation; /* the same; NULL = it has ended meanwhile */
    struct outcome outcome;
};

static struct held_sends *held_of(struct invocation *inv) {
    if (inv->held_sends) return inv->held_sends;
    struct held_sends *h = xcalloc(1, sizeof *h);
    arena_init(&h->arena, 4096);
    inv->held_sends = h;
    return h;
}

static void held_free(struct held_sends *h) {
    arena_free(&h->arena);
    free(h->sends);
    free(h);
}

static uint64_t posting_bytes(const struct queue_posting *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->count; i++) bytes += queue_send_size(&p->sends[i]);
    return bytes;
}

static struct queue_send *held_place(struct held_sends *h) {
    if (h->count == h->room) {
        h->room = h->room ? 2 * h->room : 4;
        h->sends = xrealloc(h->sends, h->room * sizeof *h->sends);
    }
    return &h->sends[h->count++];
}

struct slice held_sends_first_queue(const struct invocation *inv) {
    const struct held_sends *h = inv->held_sends;
    return h && h->count ? h->sends->queue : SLICE_NONE;
}

int held_sends_add(struct invocation *inv, const struct queue_posting *p, struct error *e) {
    struct held_sends *h = held_of(inv);
    uint64_t bytes = posting_bytes(p);
    if (h->count + p->count > QUEUE_PAGE_MAX || h->bytes + bytes > HELD_BYTES)
        return error_set(e, ERROR_LIMIT, "an invocation may hold %d messages of %u bytes", QUEUE_PAGE_MAX, HELD_BYTES);
    for (size_t i = 0; i < p->count; i++) queue_send_copy(held_place(h), &p->sends[i], &h->arena);
    h->bytes += bytes;
    return (int)h->count;
}

static void on_sent(void *context, struct queue_reply *reply) {
    struct held_sends *h = context;
    struct invocation *inv = h->invocation;
    if (!inv) {
        outcome_release(&h->outcome);
        held_free(h);
        return;
    }
    struct endpoint *ep = h->endpoint;
    struct outcome o = h->outcome;
    if (reply->result != QUEUE_OK) {
        outcome_release(&o);
        o = outcome_failure(inv, FAILURE_NOT_KEPT, NULL);
        log_event(ep->api->log, LOG_ERROR, "a handler's messages could not be kept",
                  LOG_SLICE("invocation", invocation_id(inv)), LOG_TEXT("why", reply->error.message));
    }
    inv->held_sends = NULL;
    held_free(h);
    endpoint_complete(ep, inv, o);
}

bool held_sends_begin(struct endpoint *ep, struct invocation *inv, struct outcome o) {
    struct held_sends *h = inv->held_sends;
    const struct invoke_host *host = &ep->api->calls;
    struct error e;
    if (!h || h->count == 0 || o.failure != FAILURE_NONE || inv->cancelled) return false;
    struct queue_store *store = host->store(host->context, &e);
    assert(store); /* they were handed in for one of its queues, and a store stays open */
    h->endpoint = ep;
    h->invocation = inv;
    h->outcome = o;
    deadline_disarm(inv->pipeline->deadlines, &inv->deadline);
    store->ops->send(store, h->sends, h->count, (struct queue_done){on_sent, h});
    return true;
}

bool held_sends_are_sending(const struct invocation *inv) {
    return inv->held_sends && inv->held_sends->endpoint;
}

void held_sends_forget(struct invocation *inv) {
    struct held_sends *h = inv->held_sends;
    inv->held_sends = NULL;
    if (!h) return;
    if (h->endpoint)
        h->invocation = NULL; /* on_sent frees it */
    else
        held_free(h);
}
