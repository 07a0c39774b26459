#include "gateway/command/serve/schedules.h"
#include "gateway/base/memory.h"
#include "gateway/source/schedule/schedule_source.h"
#include <stdlib.h>

struct schedules {
    struct schedule_source **sources;
    size_t count;
};

static size_t count_all(const struct blueprint *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->handler_count; i++) n += b->handlers[i].schedule_count;
    return n;
}

static struct queue_store *open_store(const struct schedules_host *host) {
    struct error e;
    if (host->store) return host->store;
    struct queue_store *store = queue_stores_open(host->stores, host->blueprint, &e);
    if (!store)
        log_event(host->pipeline->log, LOG_WARN, "schedules run without memory: missed runs will not be noticed",
                  LOG_TEXT("why", e.message));
    return store;
}

static void start_handler(struct schedules *s, const struct schedules_host *host, const struct handler_config *h,
                          struct queue_store *store) {
    for (size_t i = 0; i < h->schedule_count; i++) {
        const struct schedule_config *c = &h->schedules[i];
        const struct route route = {
            .handler = h, .executor = host->executor_of(host->context, h->name), .key = slice_of(c->key)};
        struct schedule_source *source = schedule_source_new(host->pipeline, store, c, &route);
        s->sources[s->count++] = source;
        schedule_source_start(source);
    }
}

struct schedules *schedules_start(const struct schedules_host *host) {
    const struct blueprint *b = host->blueprint;
    size_t count = count_all(b);
    if (count == 0) return NULL;
    struct schedules *s = xcalloc(1, sizeof *s);
    s->sources = xcalloc(count, sizeof(struct schedule_source *));
    struct queue_store *store = open_store(host);
    for (size_t i = 0; i < b->handler_count; i++) start_handler(s, host, &b->handlers[i], store);
    return s;
}

void schedules_stop(struct schedules *s) {
    for (size_t i = 0; s && i < s->count; i++) schedule_source_stop(s->sources[i]);
}

bool schedules_show(const struct schedules *s, size_t index, struct admin_schedule *out) {
    if (!s || index >= s->count) return false;
    *out = (struct admin_schedule){.name = schedule_source_name(s->sources[index]),
                                   .counts = schedule_source_counts(s->sources[index])};
    return true;
}

bool schedules_are_idle(const struct schedules *s) {
    for (size_t i = 0; s && i < s->count; i++)
        if (!schedule_source_is_idle(s->sources[i])) return false;
    return true;
}

void schedules_free(struct schedules *s) {
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) schedule_source_free(s->sources[i]);
    free(s->sources);
    free(s);
}
