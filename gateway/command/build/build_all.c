/* Builds before there is anything to serve, on a loop of their own.
 *
 * A build has a process group of its own, which no Ctrl-C reaches, and of the group only the leader dies with us: so
 * what would end us ends the group first. */
#include "gateway/base/memory.h"
#include "gateway/command/build/build_report.h"
#include "gateway/command/build/watcher.h"
#include <signal.h>
#include <stdlib.h>

struct builder {
    struct loop *loop;
    struct log *log;
    int signal_number; /* 0 = nobody wants it to end */
};

struct lone_build {
    const struct handler_config *handler;
    struct builder *builder;
    bool over, succeeded;
};

static void on_end(void *context, const struct build_result *r) {
    struct lone_build *b = context;
    build_report_end(b->builder->log, b->handler, r);
    b->succeeded = r->succeeded;
    b->over = true;
}

static bool is_over(void *context) {
    const struct lone_build *b = context;
    return b->over || b->builder->signal_number;
}

static bool build_one(struct builder *builder, const struct handler_config *h) {
    struct lone_build b = {.handler = h, .builder = builder};
    struct error e;
    build_report_begin(builder->log, h);
    log_flush(builder->log);
    struct build_job *job = build_job_start(builder->loop, h, on_end, &b, &e);
    if (!job) {
        build_report_unstarted(builder->log, h, &e);
        return false;
    }
    while (!loop_run_until(builder->loop, is_over, &b, UINT32_MAX)) {
    }
    if (!b.over) build_job_cancel(job);
    return b.succeeded;
}

/* --- signals --- */

static void on_signal(void *context, int signal_number) {
    struct builder *builder = context;
    builder->signal_number = signal_number;
}

/* As nohup(1) has it, and shells for what runs in the background. */
static bool is_ignored(int signal_number) {
    struct sigaction now;
    return sigaction(signal_number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static int watch_signals(struct builder *builder, struct error *e) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    int status = 0;
    for (size_t i = 0; i < ARRAY_LEN(signals) && status == 0; i++)
        if (!is_ignored(signals[i])) status = loop_on_signal(builder->loop, signals[i], on_signal, builder, e);
    return status;
}

/* --- which --- */

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
    struct builder builder = {.loop = loop_new(clock, &e), .log = log};
    bool good = builder.loop && watch_signals(&builder, &e) == 0;
    bool ready = good;
    if (!ready) log_event(log, LOG_ERROR, "cannot build", LOG_TEXT("why", e.message));
    for (size_t i = 0; ready && !builder.signal_number && i < b->handler_count; i++) {
        const struct handler_config *h = &b->handlers[i];
        if (!h->build || !is_chosen(h, handlers, count) || was_built(b, i, handlers, count)) continue;
        good = build_one(&builder, h) && good;
    }
    loop_free(builder.loop);
    log_flush(log);
    if (builder.signal_number) raise(builder.signal_number); /* nobody catches it any more */
    return good;
}
