/* pool_state.h - what the files of this room share of a pool; nobody else includes it.
 *
 * pool.c          making, draining, killing; the executor's table
 * pool_dispatch.c what waits meets who wants; what becomes of a deadline
 * pool_grow.c     how many workers there should be: minimum, growth, idleness, memory
 * pool_backoff.c  what follows from lives that ended badly
 * worker_life.c   carries out what the worker table decides
 * worker_end.c    exits, remains, obituaries
 *
 * Whatever changes what a worker holds, wants or may take ends in worker_review, which raises the events
 * that follow and keeps `wanting` right. Workers are freed by the bury task at the end of the turn, so a
 * worker that somebody further up the stack has in hand stays valid.
 */
#pragma once
#include "gateway/pool/pool.h"

#define POOL_HEALTHY_MS 10000

struct backoff {
    unsigned failures;           /* consecutive lives that ended badly */
    uint64_t began_ms, until_ms; /* no start before `until` */
    bool missed;                 /* an event was refused meanwhile: somebody wants this handler */
    const char *hint;            /* for the log: what may be wrong; NULL = nothing comes to mind */
    char reason[160];            /* of the last failure, for clients */
    struct deadline retry;       /* at `until` */
    struct deadline health;      /* the reset */
};

struct pool {
    struct executor executor;
    struct pool_host host;
    const struct handler_config *handler;
    const struct transport_ops *transport;
    void *transport_context;
    struct list workers[WORKER_STATES];
    struct list queue;
    struct list wanting; /* workers that can be given an event now, the next one first */
    struct list touched; /* given something in this dispatch, to be flushed */
    struct turn_task dispatch, bury;
    struct deadline growth; /* the longest waiting event has waited long enough to start another worker */
    struct deadline idle;   /* the longest idle worker's */
    struct deadline memory;
    struct backoff backoff;
    struct pool_counters counters;
    unsigned last_number;
    bool draining;
    bool killed;   /* pool_kill: what dies now is the gateway's doing */
    bool deferred; /* its launches are */
};

static inline uint64_t pool_now_ms(const struct pool *p) {
    return clock_now_ms(p->host.clock);
}
static inline size_t pool_count(const struct pool *p, enum worker_state s) {
    return p->workers[s].length;
}
static inline size_t pool_ready(const struct pool *p) {
    return pool_count(p, WORKER_IDLE) + pool_count(p, WORKER_BUSY);
}
/* What counts against `max`. */
static inline size_t pool_live(const struct pool *p) {
    return pool_count(p, WORKER_STARTING) + pool_ready(p);
}
static inline void pool_wake(struct pool *p) {
    turn_add(p->host.turn, &p->dispatch);
}

/* pool_dispatch.c */
void pool_dispatch(struct pool *p);
void pool_enqueue(struct pool *p, struct invocation *inv);
void pool_flush_queue(struct pool *p, enum failure f);

/* pool_grow.c */
void pool_keep_minimum(struct pool *p);
void pool_grow(struct pool *p);
bool pool_may_start(const struct pool *p);
void pool_watch_idle(struct pool *p); /* a worker has become idle */
void on_pool_growth(struct deadline *d);
void on_pool_idle(struct deadline *d);
void on_pool_memory(struct deadline *d);
void pool_watch_memory(struct pool *p); /* a process was started */

/* pool_backoff.c */
void pool_count_failure(struct pool *p, struct worker *w);
void pool_count_healthy(struct pool *p);
void pool_recover(struct pool *p);
/* The last lives ended badly and nobody is healthy; what `room` and growth go by. */
bool pool_in_crash_loop(const struct pool *p);
bool pool_unavailable(const struct pool *p);
uint32_t pool_retry_after_s(const struct pool *p);
struct outcome pool_refusal(struct pool *p, struct invocation *inv, enum failure f);
void on_pool_retry(struct deadline *d);
void on_pool_health(struct deadline *d);

/* worker_life.c */
void worker_start(struct pool *p);
void worker_happens(struct worker *w, enum worker_event event);
void worker_review(struct worker *w);
/* Into STOPPING by `event`; the first reason stays. */
void worker_quit(struct worker *w, enum worker_event event, enum stop_reason why);
size_t worker_holds(const struct worker *w);
unsigned worker_room(const struct worker *w);
/* Why it ends, for clients and, unless more is known, for the log. The first word stays. */
void worker_blame(struct worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* worker_end.c */
void worker_spawn_failed(struct worker *w);
void worker_vanish(struct worker *w); /* there is no process: nothing to wait for */
void worker_fail_running(struct worker *w);
void worker_obituary(struct worker *w);
void pool_bury(struct pool *p);
