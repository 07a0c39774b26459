#include "gateway/pool/pool_state.h"
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

/* Events that those who want could take at once, as far as `enough`. */
static size_t pool_places(const struct pool *p, size_t enough) {
    size_t places = 0;
    for (const struct list_node *node = list_first(&p->wanting); node && places < enough;
         node = list_next(&p->wanting, node))
        places += worker_room(list_entry(node, struct worker, wanting));
    return places;
}

/* Events that processes which are being started, or may be started now, will take. */
static size_t pool_places_to_come(const struct pool *p) {
    size_t starting = pool_count(p, WORKER_STARTING);
    if (pool_may_start(p)) starting += p->handler->processes.max - pool_live(p);
    return starting * p->handler->processes.concurrency;
}

/* The bound is on what would still wait after the turn's dispatch. A bound of 0 means that nothing waits for the
 * answers of others, but for a process that is being started for it. */
static bool pool_queue_has_room(const struct pool *p) {
    size_t queued = p->queue.length;
    size_t limit = p->handler->queue_limit;
    if (queued < limit || pool_places_to_come(p) > queued) return true;
    size_t beyond = queued - limit;
    return pool_places(p, beyond + 1) > beyond;
}

static struct pool *pool_of(struct executor *e) {
    return container_of(e, struct pool, executor);
}

static enum failure pool_verdict(const struct pool *p) {
    if (p->draining) return FAILURE_SHUTTING_DOWN;
    if (pool_unavailable(p)) return FAILURE_UNAVAILABLE;
    return pool_queue_has_room(p) ? FAILURE_NONE : FAILURE_QUEUE_FULL;
}

static enum failure on_room(struct executor *e, uint32_t *retry_after_s) {
    enum failure f = pool_verdict(pool_of(e));
    *retry_after_s = f == FAILURE_NONE ? 0 : pool_retry_after_s(pool_of(e));
    return f;
}

static void on_submit(struct executor *e, struct invocation *inv) {
    struct pool *p = pool_of(e);
    enum failure f = pool_verdict(p);
    if (f == FAILURE_NONE)
        pool_enqueue(p, inv);
    else
        invocation_complete(inv, pool_refusal(p, inv, f));
}

static void on_completed(struct executor *e, struct invocation *inv) {
    struct pool *p = pool_of(e);
    struct worker *w = inv->worker;
    p->counters.completed++;
    if (w && inv->source->output) p->host.launcher->read_output(p->host.launcher, w);
    list_remove(&inv->node);
    if (w) {
        if (p->transport->forget) p->transport->forget(w, inv);
        inv->worker = NULL;
        w->served++;
        if (inv->outcome.failure == FAILURE_NONE) w->answered = true;
        worker_review(w);
    }
    if (p->draining) pool_wake(p);
}

static void on_cancel(struct executor *e, struct invocation *inv) {
    struct pool *p = pool_of(e);
    if (p->transport->cancel && inv->worker) p->transport->cancel(inv->worker, inv);
}

static struct outcome on_refuse(struct executor *e, struct invocation *inv, enum failure f) {
    return pool_refusal(pool_of(e), inv, f);
}

/* Of the living, whether they ask for work already or are about to. */
static size_t pool_places_free(const struct pool *p, enum worker_state s) {
    size_t places = 0;
    list_each (&p->workers[s], node) {
        const struct worker *w = list_entry(node, struct worker, node);
        uint64_t most = p->handler->processes.concurrency;
        if (!w->draining && !w->exited && w->running.length < most) places += most - w->running.length;
    }
    return places;
}

static size_t on_places(struct executor *e) {
    struct pool *p = pool_of(e);
    if (p->draining || pool_unavailable(p)) return 0;
    size_t places = pool_places_free(p, WORKER_IDLE) + pool_places_free(p, WORKER_BUSY) + pool_places_to_come(p);
    return places > p->queue.length ? places - p->queue.length : 0;
}

static const struct executor_ops pool_executor_ops = {
    .room = on_room,
    .refuse = on_refuse,
    .submit = on_submit,
    .completed = on_completed,
    .places = on_places,
    .cancel = on_cancel,
};

static void on_dispatch(struct turn_task *task) {
    pool_dispatch(container_of(task, struct pool, dispatch));
}

static void on_bury(struct turn_task *task) {
    pool_bury(container_of(task, struct pool, bury));
}

struct pool *pool_new(const struct pool_host *host, const struct handler_config *handler,
                      const struct transport_ops *transport, void *transport_context) {
    struct pool *p = xcalloc(1, sizeof *p);
    p->executor = (struct executor){.ops = &pool_executor_ops, .streams_request = transport->streams_request};
    p->host = *host;
    p->handler = handler;
    p->transport = transport;
    p->transport_context = transport_context;
    for (int s = 0; s < WORKER_STATES; s++) list_init(&p->workers[s]);
    list_init(&p->queue);
    list_init(&p->wanting);
    list_init(&p->touched);
    p->dispatch = (struct turn_task){.phase = TURN_DISPATCH, .run = on_dispatch};
    p->bury = (struct turn_task){.phase = TURN_LAST, .run = on_bury};
    p->growth.on_due = on_pool_growth;
    p->idle.on_due = on_pool_idle;
    p->memory.on_due = on_pool_memory;
    p->backoff.retry.on_due = on_pool_retry;
    p->backoff.health.on_due = on_pool_health;
    return p;
}

void pool_start(struct pool *p) {
    pool_keep_minimum(p);
}

void pool_start_at_least(struct pool *p, size_t count) {
    pool_keep_minimum(p);
    while (pool_live(p) < count && pool_may_start(p)) worker_start(p);
}

void pool_drain(struct pool *p) {
    p->draining = true;
    pool_wake(p);
}

static void worker_kill_now(struct worker *w) {
    struct pool *p = w->pool;
    worker_blame(w, "the gateway is shutting down");
    worker_quit(w, WORKER_STOP, STOP_SHUTDOWN);
    if (!w->launched || w->exited) return;
    p->counters.kills++;
    p->host.launcher->signal(p->host.launcher, w, SIGKILL);
}

void pool_kill(struct pool *p) {
    /* STOPPING first: the others are on their way there. */
    static const enum worker_state states[] = {WORKER_STOPPING, WORKER_STARTING, WORKER_IDLE, WORKER_BUSY,
                                               WORKER_BACKOFF};
    p->killed = true;
    pool_drain(p);
    pool_flush_queue(p, FAILURE_SHUTTING_DOWN);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        list_each (&p->workers[states[i]], node) worker_kill_now(list_entry(node, struct worker, node));
}

void pool_hasten(struct pool *p) {
    list_each (&p->workers[WORKER_STOPPING], node) {
        struct worker *w = list_entry(node, struct worker, node);
        if (!w->terminated || !w->launched || w->exited) continue;
        p->counters.kills++;
        p->host.launcher->signal(p->host.launcher, w, SIGKILL);
    }
}

bool pool_is_empty(const struct pool *p) {
    size_t left = p->queue.length;
    for (int s = 0; s < WORKER_STATES; s++) left += p->workers[s].length;
    return left == 0;
}

void pool_free(struct pool *p) {
    if (!p) return;
    assert(pool_is_empty(p));
    struct deadline *deadlines[] = {&p->growth, &p->idle, &p->memory, &p->backoff.retry, &p->backoff.health};
    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) deadline_disarm(p->host.deadlines, deadlines[i]);
    turn_remove(&p->dispatch);
    turn_remove(&p->bury);
    free(p);
}

/* --- what can be seen --- */

struct executor *pool_executor(struct pool *p) {
    return &p->executor;
}

const struct handler_config *pool_handler(const struct pool *p) {
    return p->handler;
}

const struct pool_host *pool_host_of(const struct pool *p) {
    return &p->host;
}

void *pool_transport_context(const struct pool *p) {
    return p->transport_context;
}

const struct pool_counters *pool_counters(const struct pool *p) {
    return &p->counters;
}

size_t pool_workers(const struct pool *p, enum worker_state s) {
    return p->workers[s].length;
}

const struct list *pool_worker_list(const struct pool *p, enum worker_state s) {
    return &p->workers[s];
}

size_t pool_queued(const struct pool *p) {
    return p->queue.length;
}

uint64_t pool_backoff_until_ms(const struct pool *p) {
    return p->backoff.until_ms > pool_now_ms(p) ? p->backoff.until_ms : 0;
}

unsigned pool_failures(const struct pool *p) {
    return p->backoff.failures;
}

const char *pool_failure_reason(const struct pool *p) {
    return p->backoff.reason;
}
