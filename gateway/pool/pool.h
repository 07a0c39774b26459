/* pool.h - a handler's processes and the invocations that wait for them.
 *
 * A pool is an executor: pool_submit puts an invocation into a bounded FIFO (arrow 3). Once per loop turn, after the
 * public side has been read, pool_dispatch shares what waits evenly among the workers that want work, and flushes each
 * worker once. While events wait and no start is under way for them it grows, up to `max`; what stays idle longer than
 * idleTimeout is stopped, down to `min`. Workers are in the list of their state; the worker table (worker.h) says what
 * follows from what.
 *
 * Back-off: consecutive failed lives (spawn error, init error, exit before ready, crash) delay the next start by 100 ms
 * x 2^n up to 30 s, with jitter; 10 s of health reset it. A pool in a crash loop without a healthy worker answers 503
 * at once.
 *
 * Pure: no libuv. Processes come from a launcher, events travel by a transport; both are tables of functions, faked in
 * tests.
 */
#pragma once
#include "gateway/pool/transport.h"

/* Starts, signals and observes processes: the supervisor (supervisor.h), or a fake. It reports through worker_exited
 * and worker_output_closed. */
struct launcher {
    int (*start)(struct launcher *l, struct worker *w, struct launch *launch,
                 struct error *e);                                           /* sets w->process, w->pid */
    void (*signal)(struct launcher *l, struct worker *w, int signal_number); /* to the process group */
    uint64_t (*memory)(struct launcher *l, struct worker *w);                /* resident bytes; 0 = unknown */
    /* Its last stderr lines, joined by '\n', into `out`. */
    void (*last_lines)(struct launcher *l, struct worker *w, struct buf *out);
    void (*release)(struct launcher *l, struct worker *w); /* frees w->process */
    /* Passes on what it has printed so far, which its answer may have overtaken. */
    void (*read_output)(struct launcher *l, struct worker *w);
};

enum output_stream { OUTPUT_STDOUT, OUTPUT_STDERR };

struct pool_host { /* shared by all pools of a gateway */
    struct clock *clock;
    struct log *log;
    struct deadlines *deadlines;
    struct turn *turn;
    struct launcher *launcher;
    const char *application; /* the blueprint's name */
    /* Every line that a process prints, besides the log. NULL = nobody wants to know. */
    void (*on_output)(void *context, const struct worker *w, enum output_stream stream, struct slice line);
    void *output_context;
};

struct pool_counters {
    uint64_t submitted, completed, rejected, spawned, spawn_failures, exits, crashes, timeouts, recycled, kills;
};

/* The blueprint must outlive the pool. `transport` is the handler mode's. */
struct pool *pool_new(const struct pool_host *host, const struct handler_config *handler,
                      const struct transport_ops *transport, void *transport_context);
void pool_start(struct pool *p); /* starts `min` workers */
/* The same, but `count` when that is more; those above `min` stay no longer than idleTimeout. */
void pool_start_at_least(struct pool *p, size_t count);
struct executor *pool_executor(struct pool *p);
const struct handler_config *pool_handler(const struct pool *p);
const struct pool_host *pool_host_of(const struct pool *p);
void *pool_transport_context(const struct pool *p);
const struct pool_counters *pool_counters(const struct pool *p);
size_t pool_workers(const struct pool *p, enum worker_state s);                 /* the length of that list */
const struct list *pool_worker_list(const struct pool *p, enum worker_state s); /* of struct worker, by node */
size_t pool_queued(const struct pool *p);
uint64_t pool_backoff_until_ms(const struct pool *p);  /* 0 = not in back-off */
unsigned pool_failures(const struct pool *p);          /* consecutive; from 2 on it is a crash loop */
const char *pool_failure_reason(const struct pool *p); /* of the last one, for clients; "" = there was none */
/* Graceful: nothing new starts, what waits and runs goes on; idle workers are stopped, others after their last answer.
 */
void pool_drain(struct pool *p);
/* Now: everything waiting is completed as SHUTTING_DOWN, SIGKILL to every process. */
void pool_kill(struct pool *p);
/* SIGKILL to those that were sent a SIGTERM. */
void pool_hasten(struct pool *p);
bool pool_is_empty(const struct pool *p); /* no invocation and no process left */
void pool_free(struct pool *p);           /* must be empty; NULL is fine */

/* --- what the launcher calls --- */
void worker_exited(struct worker *w, int wait_status);
void worker_output_closed(struct worker *w);
/* "exit status 3", "killed by SIGKILL". */
void exit_describe(int wait_status, char *text, size_t size);
