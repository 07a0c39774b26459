#include "gateway/base/text.h"
#include "gateway/pool/pool_state.h"
#include <signal.h>

/* A burst that the living absorb within this time starts nobody. */
#define GROWTH_PATIENCE_MS 10
#define MEMORY_CHECK_MS 1000

bool pool_may_start(const struct pool *p) {
    uint64_t max = p->handler->processes.max;
    size_t live = pool_live(p);
    /* Those that are stopping make room for their replacements, but not without bound. */
    return live < max && live + pool_count(p, WORKER_STOPPING) < 2 * max && pool_now_ms(p) >= p->backoff.until_ms;
}

/* While it keeps failing one worker at a time is tried, and only if somebody wants it. */
static size_t pool_minimum(const struct pool *p) {
    size_t min = p->handler->processes.min;
    if (p->draining) return 0;
    if (!pool_in_crash_loop(p)) return min;
    return (min > 0 || p->backoff.missed) && !p->deferred;
}

void pool_keep_minimum(struct pool *p) {
    while (pool_live(p) < pool_minimum(p) && pool_may_start(p)) worker_start(p);
}

/* True when the living should be given a moment; the pool is woken after it. */
static bool pool_is_patient(struct pool *p) {
    if (pool_live(p) == 0 || p->deferred) return false;
    const struct invocation *head = list_entry(list_first(&p->queue), struct invocation, node);
    uint64_t due_ms = head->queued_us / 1000 + GROWTH_PATIENCE_MS;
    if (pool_now_ms(p) >= due_ms) return false;
    if (!deadline_armed(&p->growth)) deadline_arm(p->host.deadlines, &p->growth, due_ms);
    return true;
}

/* Whether what is being started, or was just started and wants, suffices for what waits. */
static bool pool_expects_enough(const struct pool *p) {
    uint64_t expected = pool_count(p, WORKER_STARTING) * p->handler->processes.concurrency + p->wanting.length;
    if (pool_in_crash_loop(p) && pool_count(p, WORKER_STARTING) > 0) return true;
    return expected >= p->queue.length;
}

void pool_grow(struct pool *p) {
    pool_keep_minimum(p);
    if (list_empty(&p->queue) || pool_expects_enough(p) || !pool_may_start(p) || pool_is_patient(p)) return;
    while (!pool_expects_enough(p) && pool_may_start(p)) worker_start(p);
}

void on_pool_growth(struct deadline *d) {
    pool_wake(container_of(d, struct pool, growth));
}

/* --- idleness --- */

static struct worker *pool_longest_idle(const struct pool *p) {
    struct list_node *node = list_first(&p->workers[WORKER_IDLE]);
    return node ? list_entry(node, struct worker, node) : NULL;
}

void pool_watch_idle(struct pool *p) {
    const struct worker *w = pool_longest_idle(p);
    if (!w || deadline_armed(&p->idle) || pool_live(p) <= p->handler->processes.min) return;
    deadline_arm(p->host.deadlines, &p->idle, w->idle_since_ms + p->handler->processes.idle_timeout_ms);
}

void on_pool_idle(struct deadline *d) {
    struct pool *p = container_of(d, struct pool, idle);
    uint64_t now_ms = pool_now_ms(p);
    for (struct worker *w; pool_live(p) > p->handler->processes.min && (w = pool_longest_idle(p));) {
        if (now_ms - w->idle_since_ms < p->handler->processes.idle_timeout_ms) break;
        worker_quit(w, WORKER_STOP, STOP_SCALE_DOWN);
    }
    pool_watch_idle(p);
}

/* --- memory --- */

static void worker_over_memory(struct worker *w, uint64_t bytes, const char *what) {
    struct buf used = {0}, most = {0};
    text_append_size(&used, bytes);
    text_append_size(&most, w->handler->processes.max_memory);
    log_event(w->pool->host.log, LOG_WARN, what, LOG_TEXT("handler", w->handler->name), LOG_INT("pid", w->pid),
              LOG_SLICE("memory", buf_slice(&used)), LOG_SLICE("maxMemory", buf_slice(&most)));
    buf_free(&used);
    buf_free(&most);
}

static void worker_kill_for_memory(struct worker *w, uint64_t bytes) {
    struct pool *p = w->pool;
    struct buf most = {0};
    worker_over_memory(w, bytes, "handler over twice its memory limit, killed");
    text_append_size(&most, w->handler->processes.max_memory);
    worker_blame(w, "it was killed: it used more than twice its memory limit (" SLICE_FMT ")",
                 SLICE_ARG(buf_slice(&most)));
    buf_free(&most);
    p->counters.kills++;
    w->draining = true; /* dead in a moment: nothing more for it */
    worker_review(w);
    p->host.launcher->signal(p->host.launcher, w, SIGKILL);
}

static void worker_check_memory(struct worker *w) {
    struct pool *p = w->pool;
    uint64_t most = w->handler->processes.max_memory;
    if (!w->launched || w->exited || w->reason[0]) return;
    uint64_t bytes = p->host.launcher->memory(p->host.launcher, w);
    if (bytes > 2 * most) {
        worker_kill_for_memory(w, bytes);
    } else if (bytes > most && (w->state == WORKER_IDLE || w->state == WORKER_BUSY)) {
        /* A busy one finishes what it holds first. */
        worker_over_memory(w, bytes, "handler over its memory limit, recycled");
        worker_quit(w, WORKER_STOP, STOP_RECYCLE);
    }
}

void on_pool_memory(struct deadline *d) {
    struct pool *p = container_of(d, struct pool, memory);
    static const enum worker_state checked[] = {WORKER_STOPPING, WORKER_STARTING, WORKER_IDLE, WORKER_BUSY};
    for (size_t i = 0; i < ARRAY_LEN(checked); i++)
        list_each (&p->workers[checked[i]], node) worker_check_memory(list_entry(node, struct worker, node));
    pool_watch_memory(p);
}

void pool_watch_memory(struct pool *p) {
    if (!p->handler->processes.max_memory || deadline_armed(&p->memory)) return;
    if (pool_live(p) + pool_count(p, WORKER_STOPPING) == 0) return;
    deadline_arm(p->host.deadlines, &p->memory, pool_now_ms(p) + MEMORY_CHECK_MS);
}
