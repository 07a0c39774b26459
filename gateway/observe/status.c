#include "gateway/observe/status.h"

static uint64_t age_us(uint64_t now_ms, uint64_t since_ms) {
    return since_ms && now_ms > since_ms ? (now_ms - since_ms) * 1000 : 0;
}

static void status_worker(const struct pool *p, const struct worker *w) {
    const struct pool_host *host = pool_host_of(p);
    uint64_t now_ms = clock_now_ms(host->clock);
    log_event(host->log, LOG_INFO, "worker status", LOG_TEXT("handler", w->handler->name), LOG_INT("worker", w->number),
              LOG_INT("pid", w->pid), LOG_TEXT("state", worker_state_name(w->state)),
              LOG_INT("running", w->running.length), LOG_INT("streams", w->streams.length), LOG_INT("wants", w->want),
              LOG_INT("served", w->served), LOG_US("age_ms", age_us(now_ms, w->started_ms)),
              LOG_TEXT("why", w->note[0] ? w->note : NULL));
}

static void status_pool(const struct pool *p) {
    const struct pool_host *host = pool_host_of(p);
    const struct pool_counters *c = pool_counters(p);
    uint64_t now_ms = clock_now_ms(host->clock);
    uint64_t until_ms = pool_backoff_until_ms(p);
    log_event(host->log, LOG_INFO, "pool status", LOG_TEXT("handler", pool_handler(p)->name),
              LOG_INT("starting", pool_workers(p, WORKER_STARTING)), LOG_INT("idle", pool_workers(p, WORKER_IDLE)),
              LOG_INT("busy", pool_workers(p, WORKER_BUSY)), LOG_INT("stopping", pool_workers(p, WORKER_STOPPING)),
              LOG_INT("backoff", pool_workers(p, WORKER_BACKOFF)), LOG_INT("queued", pool_queued(p)),
              LOG_INT("submitted", c->submitted), LOG_INT("completed", c->completed), LOG_INT("rejected", c->rejected),
              LOG_INT("spawned", c->spawned), LOG_INT("spawn_failures", c->spawn_failures), LOG_INT("exits", c->exits),
              LOG_INT("crashes", c->crashes), LOG_INT("timeouts", c->timeouts), LOG_INT("recycled", c->recycled),
              LOG_INT("kills", c->kills), LOG_INT("failures", pool_failures(p)),
              LOG_US("next_try_ms", until_ms ? (until_ms - now_ms) * 1000 : 0));
}

void status_log(struct pool *const *pools, size_t count) {
    for (size_t i = 0; i < count; i++) {
        status_pool(pools[i]);
        for (int s = 0; s < WORKER_STATES; s++)
            list_each (pool_worker_list(pools[i], (enum worker_state)s), node)
                status_worker(pools[i], list_entry(node, struct worker, node));
    }
}
