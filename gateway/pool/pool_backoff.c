#include "gateway/pool/pool_state.h"
#include <stdio.h>
#include <sys/wait.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 30000
#define BACKOFF_JITTER_PERCENT 20
#define CRASH_LOOP_FAILURES 2

static bool worker_was_healthy(const struct worker *w, uint64_t now_ms) {
    return w->ready_ms && now_ms - w->ready_ms >= POOL_HEALTHY_MS;
}

/* A process per event may end as it likes: only that it could not be started says something about the handler. And one
 * that has long been healthy may leave when it holds nothing. */
static bool worker_end_is_no_failure(const struct worker *w, uint64_t now_ms) {
    if (w->deferred && w->launched) return true;
    return w->exited && worker_holds(w) == 0 && worker_was_healthy(w, now_ms);
}

static uint64_t backoff_draw_ms(struct pool *p) {
    unsigned doublings = p->backoff.failures - 1;
    uint64_t ms = doublings < 16 ? (uint64_t)BACKOFF_FIRST_MS << doublings : BACKOFF_MOST_MS;
    if (ms > BACKOFF_MOST_MS) ms = BACKOFF_MOST_MS;
    uint64_t percent = 100 - BACKOFF_JITTER_PERCENT + clock_random_below(p->host.clock, 2 * BACKOFF_JITTER_PERCENT + 1);
    return ms * percent / 100;
}

bool pool_in_crash_loop(const struct pool *p) {
    if (p->backoff.failures < CRASH_LOOP_FAILURES) return false;
    /* A deferred worker has not proved anything by being idle. */
    return p->deferred || pool_ready(p) == 0;
}

bool pool_unavailable(const struct pool *p) {
    if (!pool_in_crash_loop(p)) return false;
    /* Back-off over and nothing on trial: the next event is let in and starts one. */
    return pool_now_ms(p) < p->backoff.until_ms || pool_count(p, WORKER_STARTING) > 0;
}

uint32_t pool_retry_after_s(const struct pool *p) {
    uint64_t now_ms = pool_now_ms(p);
    if (p->backoff.until_ms <= now_ms) return 1;
    return (uint32_t)((p->backoff.until_ms - now_ms + 999) / 1000);
}

struct outcome pool_refusal(struct pool *p, struct invocation *inv, enum failure f) {
    struct outcome o;
    p->counters.rejected++;
    if (f == FAILURE_UNAVAILABLE) {
        p->backoff.missed = true;
        o = outcome_failure(inv, f, "%s keeps failing: %s; next try in %u s", p->handler->name, p->backoff.reason,
                            (unsigned)pool_retry_after_s(p));
    } else {
        o = outcome_failure(inv, f, NULL);
    }
    o.retry_after_s = pool_retry_after_s(p);
    return o;
}

static void backoff_reason(struct backoff *b, const struct worker *w) {
    char how[64];
    b->hint = NULL;
    if (w->reason[0]) {
        snprintf(b->reason, sizeof b->reason, "%s", w->reason);
        return;
    }
    exit_describe(w->exit_status, how, sizeof how);
    bool serves = w->handler->mode == HANDLER_SERVER;
    snprintf(b->reason, sizeof b->reason, "%s%s", how,
             w->ready_ms ? ""
             : serves    ? " before it listened on its port"
                         : " before it asked for an event");
    if (!w->ready_ms && w->handler->mode == HANDLER_RUNTIME && WIFEXITED(w->exit_status))
        b->hint = "it must poll the runtime API; a script needs `mode: once`, an HTTP server `mode: server`";
}

static void backoff_lengthen(struct pool *p, const struct worker *w, uint64_t now_ms) {
    struct backoff *b = &p->backoff;
    /* One that did its work before it fell is no loop: a request that kills cannot lock the others out. */
    if (worker_was_healthy(w, now_ms) || w->answered) b->failures = 0;
    b->failures++;
    b->began_ms = now_ms;
    b->until_ms = now_ms + backoff_draw_ms(p);
    b->missed = false;
    backoff_reason(b, w);
    deadline_arm(p->host.deadlines, &b->retry, b->until_ms);
}

void pool_count_failure(struct pool *p, struct worker *w) {
    uint64_t now_ms = pool_now_ms(p);
    if (worker_end_is_no_failure(w, now_ms)) return;
    w->failed = true;
    if (w->launched && w->exited) p->counters.crashes++;
    /* Several that fell together are one failure: what was started before this back-off cannot lengthen it. */
    if (now_ms < p->backoff.until_ms && w->started_ms <= p->backoff.began_ms) return;
    backoff_lengthen(p, w, now_ms);
    if (!pool_in_crash_loop(p)) return;
    log_event(p->host.log, LOG_WARN, "handler keeps failing", LOG_TEXT("handler", p->handler->name),
              LOG_TEXT("why", p->backoff.reason), LOG_INT("failures", p->backoff.failures),
              LOG_US("next_try_ms", (p->backoff.until_ms - now_ms) * 1000), LOG_INT("refused", p->queue.length),
              LOG_TEXT("hint", p->backoff.hint));
    if (pool_unavailable(p)) pool_flush_queue(p, FAILURE_UNAVAILABLE);
}

void pool_recover(struct pool *p) {
    struct backoff *b = &p->backoff;
    if (b->failures == 0) return;
    if (b->failures >= CRASH_LOOP_FAILURES)
        log_event(p->host.log, LOG_INFO, "handler is healthy again", LOG_TEXT("handler", p->handler->name));
    b->failures = 0;
    b->missed = false;
}

void pool_count_healthy(struct pool *p) {
    struct backoff *b = &p->backoff;
    if (p->deferred || b->failures == 0 || deadline_armed(&b->health)) return;
    deadline_arm(p->host.deadlines, &b->health, pool_now_ms(p) + POOL_HEALTHY_MS);
}

static uint64_t earliest_ready_ms(const struct pool *p, enum worker_state s, uint64_t earliest) {
    list_each (&p->workers[s], node) {
        const struct worker *w = list_entry(node, struct worker, node);
        if (w->ready_ms < earliest) earliest = w->ready_ms;
    }
    return earliest;
}

void on_pool_health(struct deadline *d) {
    struct pool *p = container_of(d, struct pool, backoff.health);
    uint64_t ready_ms = earliest_ready_ms(p, WORKER_IDLE, earliest_ready_ms(p, WORKER_BUSY, UINT64_MAX));
    if (ready_ms == UINT64_MAX) return; /* the next one that gets ready arms it again */
    if (pool_now_ms(p) - ready_ms >= POOL_HEALTHY_MS)
        pool_recover(p);
    else
        deadline_arm(p->host.deadlines, &p->backoff.health, ready_ms + POOL_HEALTHY_MS);
}

void on_pool_retry(struct deadline *d) {
    struct pool *p = container_of(d, struct pool, backoff.retry);
    pool_wake(p);
}
