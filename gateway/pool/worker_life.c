#include "gateway/base/text.h"
#include "gateway/pool/pool_state.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAVE_MS 500 /* between being told that no more comes and SIGTERM */

size_t worker_holds(const struct worker *w) {
    return w->running.length + w->streams.length;
}

void worker_blame(struct worker *w, const char *format, ...) {
    if (w->reason[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(w->reason, sizeof w->reason, format, arguments);
    va_end(arguments);
    if (!w->note[0]) snprintf(w->note, sizeof w->note, "%s", w->reason);
}

/* Invocations that it may still be given before maxInvocations recycles it. */
static uint64_t worker_left(const struct worker *w) {
    uint64_t most = w->handler->processes.max_invocations;
    uint64_t taken = w->served + w->running.length;
    if (!most) return UINT64_MAX;
    return most > taken ? most - taken : 0;
}

unsigned worker_room(const struct worker *w) {
    if ((w->state != WORKER_IDLE && w->state != WORKER_BUSY) || w->draining || w->exited) return 0;
    uint64_t held = worker_holds(w);
    uint64_t places = w->handler->processes.concurrency;
    uint64_t room = places > held ? places - held : 0;
    uint64_t left = worker_left(w);
    if (room > left) room = left;
    return room < w->want ? (unsigned)room : w->want;
}

/* --- carrying out what the table says --- */

/* Keeps its membership of the pool's `wanting` right. */
static void worker_place(struct worker *w) {
    struct pool *p = w->pool;
    if (worker_room(w) == 0) {
        list_remove(&w->wanting);
        return;
    }
    if (!w->wanting.list) list_push(&p->wanting, &w->wanting);
    if (!list_empty(&p->queue)) pool_wake(p);
}

static void worker_enter_idle(struct worker *w) {
    struct pool *p = w->pool;
    w->idle_since_ms = pool_now_ms(p);
    if (!w->ready_ms) {
        w->ready_ms = w->idle_since_ms;
        p->backoff.missed = false;
        deadline_disarm(p->host.deadlines, &w->deadline);
    }
    pool_watch_idle(p);
}

static void worker_enter(struct worker *w, enum worker_state next) {
    struct pool *p = w->pool;
    log_event(p->host.log, LOG_DEBUG, "worker moved", LOG_TEXT("handler", w->handler->name),
              LOG_INT("worker", w->number), LOG_TEXT("from", worker_state_name(w->state)),
              LOG_TEXT("to", worker_state_name(next)));
    list_remove(&w->node);
    list_push(&p->workers[next], &w->node);
    w->state = next;
    if (next == WORKER_IDLE) worker_enter_idle(w);
    if (next >= WORKER_STOPPING) deadline_disarm(p->host.deadlines, &w->deadline);
    if (next == WORKER_BACKOFF) deadline_arm(p->host.deadlines, &w->deadline, p->backoff.until_ms);
    if (next != WORKER_BUSY) worker_place(w); /* else the dispatch that gave it something does */
}

static void worker_tell_stopping(struct worker *w) {
    struct pool *p = w->pool;
    if (w->draining) return;
    w->draining = true;
    if (w->stop_reason == STOP_RECYCLE) p->counters.recycled++;
    if (p->transport->stopping && w->opened && !w->exited) p->transport->stopping(w, w->stop_reason);
}

/* It was told that no more comes: SIGTERM waits a moment, so that it may end in its own way. */
static bool worker_is_leaving(struct worker *w) {
    struct pool *p = w->pool;
    if (!w->may_leave || w->exited) return false;
    if (!deadline_armed(&w->deadline)) deadline_arm(p->host.deadlines, &w->deadline, pool_now_ms(p) + LEAVE_MS);
    return true;
}

static void worker_terminate(struct worker *w) {
    struct pool *p = w->pool;
    worker_tell_stopping(w);
    if (w->terminated || worker_holds(w) > 0 || worker_is_leaving(w)) return;
    w->terminated = true;
    if (!w->launched) {
        worker_vanish(w);
        return;
    }
    if (w->exited) return;
    p->host.launcher->signal(p->host.launcher, w, SIGTERM);
    deadline_arm(p->host.deadlines, &w->deadline, pool_now_ms(p) + w->handler->processes.stop_timeout_ms);
}

static void worker_kill(struct worker *w) {
    struct pool *p = w->pool;
    if (w->exited || !w->launched) return;
    log_event(p->host.log, LOG_WARN, "handler killed", LOG_TEXT("handler", w->handler->name), LOG_INT("pid", w->pid),
              LOG_TEXT("why", "it did not end within stopTimeout after SIGTERM"));
    p->counters.kills++;
    p->host.launcher->signal(p->host.launcher, w, SIGKILL);
}

static void worker_count_failure(struct worker *w) {
    pool_count_failure(w->pool, w);
}

static void worker_count_healthy(struct worker *w) {
    pool_count_healthy(w->pool);
}

static void worker_wake_pool(struct worker *w) {
    pool_wake(w->pool);
}

/* It is in the list of those that are gone; the end of the turn frees them. */
static void worker_await_burial(struct worker *w) {
    turn_add(w->pool->host.turn, &w->pool->bury);
}

struct worker_act {
    unsigned action;
    void (*carry_out)(struct worker *w);
};
/* In this order: a failure is known before its victims' answers go out. */
static const struct worker_act acts[] = {
    {WORKER_ACT_COUNT_FAILURE, worker_count_failure},
    {WORKER_ACT_FAIL_RUNNING, worker_fail_running},
    {WORKER_ACT_OBITUARY, worker_obituary},
    {WORKER_ACT_TERMINATE, worker_terminate},
    {WORKER_ACT_KILL, worker_kill},
    {WORKER_ACT_COUNT_HEALTHY, worker_count_healthy},
    {WORKER_ACT_DISPATCH, worker_wake_pool},
    {WORKER_ACT_FREE, worker_await_burial},
};

void worker_happens(struct worker *w, enum worker_event event) {
    struct worker_transition t = worker_step(w->state, event);
    if (t.next != w->state) worker_enter(w, t.next);
    if (t.actions == WORKER_ACT_NONE) return;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (t.actions & acts[i].action) acts[i].carry_out(w);
}

void worker_quit(struct worker *w, enum worker_event event, enum stop_reason why) {
    if (w->state < WORKER_STOPPING) w->stop_reason = why;
    worker_happens(w, event);
}

/* --- the facts that events are made of --- */

/* Holds nothing and asks for nothing: allowed for as long as an invocation may take. The deadline is left
 * armed when it speaks again and looks at the facts when it is due, so that a busy worker costs the heap nothing. */
static void worker_note_silence(struct worker *w) {
    struct pool *p = w->pool;
    if (w->silent_since_ms) return;
    w->silent_since_ms = pool_now_ms(p);
    if (!deadline_armed(&w->deadline))
        deadline_arm(p->host.deadlines, &w->deadline, w->silent_since_ms + w->handler->timeout_ms);
}

static void worker_review_unoccupied(struct worker *w) {
    if (w->state == WORKER_STOPPING) {
        if (!w->terminated && !w->exited) worker_happens(w, WORKER_STOP);
        return;
    }
    if (w->exited) return;
    if (w->want > 0 && (w->state == WORKER_STARTING || w->state == WORKER_BUSY)) {
        w->silent_since_ms = 0;
        worker_happens(w, WORKER_READY);
    } else if (w->want > 0) {
        w->silent_since_ms = 0;
    } else if (w->state == WORKER_IDLE || w->state == WORKER_BUSY) {
        worker_note_silence(w);
    }
}

void worker_review(struct worker *w) {
    if (worker_left(w) == 0 && w->running.length == 0 && w->state < WORKER_STOPPING)
        worker_quit(w, WORKER_STOP, STOP_RECYCLE);
    if (worker_holds(w) == 0) worker_review_unoccupied(w);
    worker_place(w);
}

static void worker_silence_due(struct worker *w) {
    struct pool *p = w->pool;
    if (!w->silent_since_ms || worker_holds(w) > 0 || w->exited) return;
    if (w->handler->attach) return; /* its process may have left, and the next one has all the time there is */
    uint64_t due_ms = w->silent_since_ms + w->handler->timeout_ms;
    if (pool_now_ms(p) < due_ms) {
        deadline_arm(p->host.deadlines, &w->deadline, due_ms);
        return;
    }
    worker_blame(w, "it did not ask for the next event within its timeout");
    worker_quit(w, WORKER_TIMEOUT, STOP_TIMEOUT);
}

static void worker_start_due(struct worker *w) {
    struct buf limit = {0};
    text_append_duration(&limit, w->handler->processes.start_timeout_ms);
    worker_blame(w, "it did not %s within startTimeout (" SLICE_FMT ")",
                 w->handler->mode == HANDLER_SERVER ? "listen on its port" : "ask for an event",
                 SLICE_ARG(buf_slice(&limit)));
    buf_free(&limit);
    worker_quit(w, WORKER_TIMEOUT, STOP_FAILURE);
}

static void on_worker_due(struct deadline *d) {
    struct worker *w = container_of(d, struct worker, deadline);
    enum worker_event event;
    switch (w->state) {
    case WORKER_STARTING: worker_start_due(w); return;
    case WORKER_IDLE:
    case WORKER_BUSY: worker_silence_due(w); return;
    case WORKER_STOPPING:
        event = w->may_leave ? WORKER_STOP : WORKER_TICK;
        w->may_leave = false;
        worker_happens(w, event);
        return;
    case WORKER_BACKOFF: worker_happens(w, WORKER_TICK); return;
    case WORKER_GONE:
    case WORKER_STATES: return;
    }
}

void worker_expect_leave(struct worker *w) {
    w->may_leave = w->stop_reason != STOP_TIMEOUT && w->stop_reason != STOP_FAILURE;
}

void worker_offer(struct worker *w, unsigned want) {
    w->want = want;
    worker_review(w);
}

/* The place stays for the next process. */
static void worker_tell_init_error(struct worker *w) {
    log_event(w->pool->host.log, LOG_WARN, "attached process cannot start", LOG_TEXT("handler", w->handler->name),
              LOG_TEXT("why", w->note));
    w->note[0] = '\0';
    w->last_type = SLICE_NONE;
}

void worker_init_error(struct worker *w, struct slice type, struct slice message) {
    struct buf text = {0};
    text_append_quoted(&text, type, sizeof w->reason / 2);
    size_t type_size = text.n;
    buf_append_text(&text, ": ");
    text_append_quoted(&text, message, sizeof w->note - type_size - 8);
    snprintf(w->note, sizeof w->note, SLICE_FMT, SLICE_ARG(buf_slice(&text)));
    buf_free(&text);
    if (w->handler->attach) {
        worker_tell_init_error(w);
        return;
    }
    w->last_type = slice_make(w->note, type_size < sizeof w->note ? type_size : 0);
    worker_blame(w, "init error " SLICE_FMT, SLICE_ARG(w->last_type));
    worker_quit(w, WORKER_FAULT, STOP_FAILURE);
}

void worker_fail(struct worker *w, const char *why) {
    worker_blame(w, "%s", why);
    worker_quit(w, WORKER_FAULT, STOP_FAILURE);
}

void worker_stop(struct worker *w) {
    worker_quit(w, WORKER_STOP, STOP_SCALE_DOWN);
}

/* --- streams --- */

static void on_stream_due(struct deadline *d) {
    struct answer_stream *s = container_of(d, struct answer_stream, deadline);
    struct worker *w = s->worker;
    struct pool *p = w->pool;
    list_remove(&s->node); /* before the transport is told, which may free its record with the stream in it */
    p->counters.timeouts++;
    p->transport->abort_stream(w, s);
    worker_blame(w, "its answer did not end within the timeout");
    worker_quit(w, WORKER_TIMEOUT, STOP_TIMEOUT);
    worker_review(w);
}

void worker_stream_begin(struct worker *w, struct answer_stream *s, const struct invocation *inv) {
    struct deadlines *deadlines = w->pool->host.deadlines;
    uint64_t at_ms = deadline_armed(&inv->deadline) ? inv->deadline.at_ms
                                                    : pool_now_ms(w->pool) + w->handler->timeout_ms;
    bool is_bounded = !invocation_answers_events(inv);
    *s = (struct answer_stream){.worker = w, .deadline.on_due = on_stream_due};
    memcpy(s->id, inv->id, sizeof s->id);
    list_push(&w->streams, &s->node);
    if (is_bounded) deadline_arm(deadlines, &s->deadline, at_ms);
}

void worker_stream_unwanted(struct answer_stream *s) {
    struct pool *p = s->worker->pool;
    if (!s->node.list || deadline_armed(&s->deadline)) return;
    deadline_arm(p->host.deadlines, &s->deadline, pool_now_ms(p) + s->worker->handler->timeout_ms);
}

void worker_stream_end(struct worker *w, struct answer_stream *s) {
    if (!s->node.list) return;
    deadline_disarm(w->pool->host.deadlines, &s->deadline);
    list_remove(&s->node);
    worker_review(w);
}

/* --- the beginning --- */

static struct worker *worker_new(struct pool *p) {
    struct worker *w = xcalloc(1, sizeof *w);
    w->pool = p;
    w->handler = p->handler;
    w->number = ++p->last_number;
    w->started_ms = pool_now_ms(p);
    w->deadline.on_due = on_worker_due;
    list_init(&w->running);
    list_init(&w->streams);
    w->state = WORKER_STARTING;
    list_push(&p->workers[WORKER_STARTING], &w->node);
    return w;
}

/* For the log only: it may name paths. */
static void worker_note(struct worker *w, const struct error *e) {
    snprintf(w->note, sizeof w->note, "%.*s", (int)sizeof w->note - 1, e->message);
}

int worker_launch(struct worker *w, struct launch *launch, struct error *e) {
    struct pool *p = w->pool;
    struct error mine;
    if (!e) e = &mine;
    launch_add_defaults(launch, w->handler);
    int status = p->host.launcher->start(p->host.launcher, w, launch, e);
    launch_discard(launch);
    if (status < 0) {
        worker_note(w, e);
        w->exited = true;
        return status;
    }
    w->launched = true;
    p->counters.spawned++;
    if (w->deferred) pool_recover(p);
    pool_watch_memory(p);
    if (w->handler->attach) return 0; /* nothing was started */
    log_event(p->host.log, w->deferred ? LOG_DEBUG : LOG_INFO, "handler started", LOG_TEXT("handler", w->handler->name),
              LOG_INT("pid", w->pid), LOG_INT("worker", w->number));
    return 0;
}

static int worker_open(struct worker *w, struct launch *launch) {
    struct pool *p = w->pool;
    struct error e = {0};
    launch_init(launch, w->handler);
    if (p->transport->open(w, launch, &e) < 0) {
        worker_note(w, &e);
        return -1;
    }
    w->opened = true;
    w->deferred = p->deferred = launch->deferred;
    return 0;
}

void worker_start(struct pool *p) {
    struct worker *w = worker_new(p);
    struct launch launch;
    struct error e;
    int status = worker_open(w, &launch);
    if (status == 0 && !w->deferred) status = worker_launch(w, &launch, &e);
    launch_discard(&launch);
    if (status < 0) {
        worker_spawn_failed(w);
        return;
    }
    if (w->deferred) {
        worker_offer(w, 1);
        return;
    }
    deadline_arm(p->host.deadlines, &w->deadline, w->started_ms + w->handler->processes.start_timeout_ms);
    if (p->transport->started) p->transport->started(w);
}
