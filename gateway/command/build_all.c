/* Builds before there is anything to serve, on a loop of their own. */
#include "gateway/base/memory.h"
#include "gateway/command/build_report.h"
#include "gateway/command/watcher.h"
#include <stdlib.h>

struct lone_build {
    const struct handler_config *handler;
    struct log *log;
    bool over, succeeded;
};

static void on_end(void *context, const struct build_result *r) {
    struct lone_build *b = context;
    build_report_end(b->log, b->handler, r);
    b->succeeded = r->succeeded;
    b->over = true;
}

static bool is_over(void *context) {
    const struct lone_build *b = context;
    return b->over;
}

static bool build_one(struct loop *l, struct lone_build *b) {
    struct error e;
    build_report_begin(b->log, b->handler);
    log_flush(b->log);
    struct build_job *job = build_job_start(l, b->handler, on_end, b, &e);
    if (!job) {
        build_report_unstarted(b->log, b->handler, &e);
        return false;
    }
    while (!loop_run_until(l, is_over, b, UINT32_MAX)) {
    }
    return b->succeeded;
}

static bool is_chosen(const struct handler_config *h, const char *const *handlers, size_t count) {
    for (size_t i = 0; handlers && i < count; i++)
        if (strcmp(handlers[i], h->name) == 0) return true;
    return !handlers;
}

/* One run served those before it, too. */
static bool was_built(const struct blueprint *b, size_t index, const char *const *handlers, size_t count) {
    for (size_t i = 0; i < index; i++)
        if (is_chosen(&b->handlers[i], handlers, count) && build_equal(&b->handlers[i], &b->handlers[index]))
            return true;
    return false;
}

bool build_all(const struct blueprint *b, const char *const *handlers, size_t count, struct clock *clock,
               struct log *log) {
    struct error e;
    struct loop *l = loop_new(clock, &e);
    bool good = l != NULL;
    if (!l) log_event(log, LOG_ERROR, "cannot build", LOG_TEXT("why", e.message));
    for (size_t i = 0; l && i < b->handler_count; i++) {
        const struct handler_config *h = &b->handlers[i];
        if (!h->build || !is_chosen(h, handlers, count) || was_built(b, i, handlers, count)) continue;
        struct lone_build lone = {.handler = h, .log = log};
        good = build_one(l, &lone) && good;
    }
    loop_free(l);
    log_flush(log);
    return good;
}
