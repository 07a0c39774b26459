#include "gateway/pool/pool_state.h"
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

void exit_describe(int wait_status, char *text, size_t size) {
    if (WIFEXITED(wait_status)) {
        snprintf(text, size, "exit status %d", WEXITSTATUS(wait_status));
        return;
    }
    const char *name = sigabbrev_np(WTERMSIG(wait_status));
    if (name)
        snprintf(text, size, "killed by SIG%s", name);
    else
        snprintf(text, size, "killed by signal %d", WTERMSIG(wait_status));
}

static void worker_await_end(struct worker *w) {
    turn_add(w->pool->host.turn, &w->pool->bury);
}

void worker_vanish(struct worker *w) {
    w->exited = w->output_closed = w->finished = true;
    worker_await_end(w);
}

void worker_spawn_failed(struct worker *w) {
    w->pool->counters.spawn_failures++;
    worker_blame(w, "it cannot be started");
    w->stop_reason = STOP_FAILURE;
    worker_vanish(w);
    worker_happens(w, WORKER_SPAWN_FAILED);
}

static void worker_died(struct worker *w) {
    w->finished = true;
    worker_happens(w, WORKER_EXIT);
    worker_await_end(w);
}

void worker_exited(struct worker *w, int wait_status) {
    struct pool *p = w->pool;
    assert(!w->exited);
    w->exited = true;
    w->exit_status = wait_status;
    p->counters.exits++;
    deadline_disarm(p->host.deadlines, &w->deadline);
    worker_review(w);
    if (!p->transport->exited || p->transport->exited(w, wait_status)) worker_died(w);
}

void worker_finished(struct worker *w) {
    if (w->exited && !w->finished) worker_died(w);
}

void worker_output_closed(struct worker *w) {
    w->output_closed = true;
    worker_await_end(w);
}

/* --- what it held --- */

static void worker_describe_death(const struct worker *w, char *text, size_t size) {
    if (w->reason[0])
        snprintf(text, size, "%s", w->reason);
    else if (WIFEXITED(w->exit_status))
        snprintf(text, size, "exited with status %d", WEXITSTATUS(w->exit_status));
    else
        exit_describe(w->exit_status, text, size);
}

static void worker_abort_streams(struct worker *w) {
    struct pool *p = w->pool;
    for (struct list_node *node; (node = list_first(&w->streams));) {
        struct answer_stream *s = list_entry(node, struct answer_stream, node);
        deadline_disarm(p->host.deadlines, &s->deadline);
        list_remove(node);
        p->transport->abort_stream(w, s);
    }
}

void worker_fail_running(struct worker *w) {
    char detail[sizeof w->reason];
    /* Without a process none of it was ever taken. */
    enum failure f = w->launched ? FAILURE_HANDLER_DIED : FAILURE_UNAVAILABLE;
    if (w->pool->killed) f = FAILURE_SHUTTING_DOWN;
    worker_describe_death(w, detail, sizeof detail);
    for (struct list_node *node; (node = list_first(&w->running));) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        struct outcome o = outcome_failure(inv, f, "%s", detail);
        if (f == FAILURE_UNAVAILABLE) o.retry_after_s = pool_retry_after_s(w->pool);
        invocation_complete(inv, o);
    }
    worker_abort_streams(w);
}

/* --- its end --- */

static enum log_level obituary_level(const struct worker *w) {
    if (w->failed) return w->launched ? LOG_WARN : LOG_ERROR;
    if (w->terminated && (w->stop_reason == STOP_TIMEOUT || w->stop_reason == STOP_FAILURE)) return LOG_WARN;
    if (!w->terminated && w->exit_status != 0) return LOG_WARN;
    return w->deferred ? LOG_DEBUG : LOG_INFO;
}

static const char *obituary_title(const struct worker *w) {
    if (!w->launched && w->failed) return "handler cannot be started";
    return w->terminated ? "handler stopped" : "handler exited";
}

void worker_obituary(struct worker *w) {
    struct pool *p = w->pool;
    enum log_level level = obituary_level(w);
    char how[64];
    struct buf lines = {0};
    if (!log_wants(p->host.log, level)) return;
    if (w->launched) exit_describe(w->exit_status, how, sizeof how);
    if (w->launched && level >= LOG_WARN) p->host.launcher->last_lines(p->host.launcher, w, &lines);
    log_event(p->host.log, level, obituary_title(w), LOG_TEXT("handler", w->handler->name), LOG_INT("pid", w->pid),
              LOG_TEXT("exit", w->launched ? how : NULL), LOG_TEXT("why", w->note[0] ? w->note : NULL),
              LOG_US("uptime_ms", (pool_now_ms(p) - w->started_ms) * 1000), LOG_INT("served", w->served),
              LOG_SLICE("stderr", lines.n ? buf_slice(&lines) : SLICE_NONE));
    buf_free(&lines);
}

static void worker_release(struct worker *w) {
    struct pool *p = w->pool;
    assert(worker_holds(w) == 0);
    if (w->process) p->host.launcher->release(p->host.launcher, w);
    w->process = NULL;
    w->pid = 0;
    if (w->opened && p->transport->close) p->transport->close(w);
    w->opened = false;
    w->transport = NULL;
}

static void worker_end(struct worker *w) {
    worker_happens(w, w->failed ? WORKER_ENDED_BADLY : WORKER_ENDED);
    worker_release(w);
}

void pool_bury(struct pool *p) {
    list_each (&p->workers[WORKER_STOPPING], node) {
        struct worker *w = list_entry(node, struct worker, node);
        if (w->exited && w->output_closed && w->finished) worker_end(w);
    }
    list_each (&p->workers[WORKER_GONE], node) {
        list_remove(node);
        free(list_entry(node, struct worker, node));
    }
}
