#include "gateway/pool/pool_state.h"

#define QUEUE_TIMEOUT_RETRY_MOST_S 30

static void on_queue_due(struct deadline *d) {
    struct invocation *inv = container_of(d, struct invocation, deadline);
    uint64_t waited_s = invocation_timeout_ms(inv) / 1000;
    struct outcome o = outcome_failure(inv, FAILURE_QUEUE_TIMEOUT, NULL);
    o.retry_after_s = (uint32_t)(waited_s > QUEUE_TIMEOUT_RETRY_MOST_S ? QUEUE_TIMEOUT_RETRY_MOST_S : waited_s);
    if (o.retry_after_s == 0) o.retry_after_s = 1;
    invocation_complete(inv, o);
}

void pool_enqueue(struct pool *p, struct invocation *inv) {
    p->counters.submitted++;
    invocation_move(inv, INVOCATION_QUEUED, &p->queue);
    invocation_arm(inv, invocation_timeout_ms(inv), on_queue_due);
    pool_wake(p);
}

void pool_flush_queue(struct pool *p, enum failure f) {
    for (struct list_node *node; (node = list_first(&p->queue));) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        invocation_complete(inv, pool_refusal(p, inv, f));
    }
}

/* The worker is taken out of service first, so that what follows from the answer finds it so. One that is attached to
 * stays: whoever debugs its process has not finished. */
static void on_invocation_due(struct deadline *d) {
    struct invocation *inv = container_of(d, struct invocation, deadline);
    struct worker *w = inv->worker;
    w->pool->counters.timeouts++;
    if (!w->handler->attach) {
        worker_blame(w, "an invocation did not end within its timeout");
        worker_quit(w, WORKER_TIMEOUT, STOP_TIMEOUT);
    }
    invocation_complete(inv, outcome_failure(inv, FAILURE_HANDLER_TIMEOUT, NULL));
}

static void pool_deliver(struct worker *w, struct invocation *inv) {
    struct pool *p = w->pool;
    clock_uuid(p->host.clock, inv->attempt_id);
    inv->attempts++;
    inv->worker = w;
    w->want--;
    if (w->deferred) memcpy(w->only_id, inv->id, sizeof w->only_id);
    w->silent_since_ms = 0;
    invocation_move(inv, INVOCATION_RUNNING, &w->running);
    invocation_arm(inv, invocation_timeout_ms(inv), on_invocation_due);
    if (w->state == WORKER_IDLE) worker_happens(w, WORKER_TAKES);
    p->transport->deliver(w, inv);
    if (w->exited && !w->launched) worker_spawn_failed(w);
}

static void pool_give(struct pool *p, struct worker *w, size_t share) {
    size_t room = worker_room(w);
    list_remove(&w->wanting);
    for (size_t n = room < share ? room : share; n > 0 && !w->exited; n--)
        pool_deliver(w, list_entry(list_first(&p->queue), struct invocation, node));
    if (w->state == WORKER_BUSY && !w->touched.list) list_push(&p->touched, &w->touched);
    /* At the end of the line: the next event goes to somebody else. */
    if (worker_room(w) > 0 && !w->wanting.list) list_push(&p->wanting, &w->wanting);
}

/* One pass over those that want: each gets its even share of what is left, so that a batch is as large for the last as
 * for the first. What the full ones could not take goes round again. Costs as much as it delivers. */
static void pool_share(struct pool *p) {
    while (!list_empty(&p->queue) && !list_empty(&p->wanting)) {
        for (size_t sharers = p->wanting.length; sharers > 0 && !list_empty(&p->queue); sharers--) {
            struct list_node *node = list_first(&p->wanting);
            if (!node) break;
            pool_give(p, list_entry(node, struct worker, wanting), (p->queue.length + sharers - 1) / sharers);
        }
    }
}

static void pool_flush_touched(struct pool *p) {
    for (struct list_node *node; (node = list_first(&p->touched));) {
        list_remove(node);
        if (p->transport->flush) p->transport->flush(list_entry(node, struct worker, touched));
    }
}

static void pool_retire_list(struct pool *p, enum worker_state s) {
    list_each (&p->workers[s], node) {
        struct worker *w = list_entry(node, struct worker, node);
        if (worker_holds(w) == 0) worker_quit(w, WORKER_STOP, STOP_SHUTDOWN);
    }
}

/* Draining, and nothing waits: nobody is needed any more. */
static void pool_retire(struct pool *p) {
    static const enum worker_state states[] = {WORKER_STARTING, WORKER_IDLE, WORKER_BUSY, WORKER_BACKOFF};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) pool_retire_list(p, states[i]);
}

void pool_dispatch(struct pool *p) {
    pool_share(p);
    pool_flush_touched(p);
    pool_grow(p);
    if (p->draining && list_empty(&p->queue)) pool_retire(p);
}
