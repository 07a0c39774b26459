/* stable.h - a pool with faked processes, a faked transport and a faked clock, for unit tests.
 *
 * Processes do what the test says: ask for work (stable_ask), answer (stable_answer), end (stable_end). Every
 * invocation has a struct ride that keeps how it ended; a second end of the same one fails the test. Time moves by
 * stable_wait only, deadline by deadline.
 */
#pragma once
#include "gateway/pool/pool.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STABLE_RIDES 512
#define STABLE_WORKERS 256

struct process { /* the fake launcher's */
    int signals[NSIG];
    int last_signal;
    uint64_t memory;
    bool exited;
};

struct fake_transport { /* a worker's, in the fake transport */
    struct worker *worker;
    unsigned delivered, flushes, cancelled, forgotten, aborted;
    bool told_stopping;
    enum stop_reason why;
};

struct ride {
    struct invocation *inv; /* NULL once it has ended */
    int ends;
    int status;
    enum failure failure;
    uint32_t retry_after_s;
    char detail[256];
};

struct stable {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct log *log;
    int log_fd;
    struct pipeline pipeline;
    struct router *router;
    struct handler_config handler;
    struct http_trigger_config trigger;
    struct route route;
    struct transport_ops transport;
    struct launcher launcher;
    struct pool *pool;

    struct ride rides[STABLE_RIDES];
    size_t ride_count;
    struct worker *workers[STABLE_WORKERS]; /* the first ones, by number - 1; NULL once closed */
    bool open_fails, spawn_fails, deferred, exited_later;
    size_t processes, opened, aborted;
    unsigned flushes;
    struct error launch_error;
};

/* --- the fakes --- */

static inline struct stable *stable_of(struct launcher *l) {
    return container_of(l, struct stable, launcher);
}

static inline int fake_start(struct launcher *l, struct worker *w, struct launch *launch, struct error *e) {
    struct stable *s = stable_of(l);
    launch_discard(launch);
    if (s->spawn_fails) return error_set(e, ERROR_SYSTEM, "cannot start /secret/path: no");
    w->process = xcalloc(1, sizeof *w->process);
    w->pid = (int)(1000 + w->number);
    s->processes++;
    return 0;
}

static inline void fake_signal(struct launcher *l, struct worker *w, int signal_number) {
    (void)l;
    assert_false(w->process->exited);
    w->process->signals[signal_number]++;
    w->process->last_signal = signal_number;
}

static inline uint64_t fake_memory(struct launcher *l, struct worker *w) {
    (void)l;
    return w->process->memory;
}

static inline void fake_last_lines(struct launcher *l, struct worker *w, struct buf *out) {
    (void)l;
    (void)w;
    buf_append_text(out, "the last line");
}

static inline void fake_read_output(struct launcher *l, struct worker *w) {
    (void)l;
    (void)w;
}

static inline void fake_release(struct launcher *l, struct worker *w) {
    assert_true(w->process->exited);
    stable_of(l)->processes--;
    free(w->process);
}

static inline struct stable *stable_of_worker(const struct worker *w) {
    return pool_transport_context(w->pool);
}

static inline struct fake_transport *fake_of(const struct worker *w) {
    return w->transport;
}

static inline int fake_open(struct worker *w, struct launch *launch, struct error *e) {
    struct stable *s = stable_of_worker(w);
    if (s->open_fails) return error_set(e, ERROR_SYSTEM, "no endpoint");
    struct fake_transport *f = xcalloc(1, sizeof *f);
    f->worker = w;
    w->transport = f;
    launch_set(launch, "FAKE", "1");
    launch->deferred = s->deferred;
    if (w->number <= STABLE_WORKERS) s->workers[w->number - 1] = w;
    s->opened++;
    return 0;
}

static inline void fake_deliver(struct worker *w, struct invocation *inv) {
    struct stable *s = stable_of_worker(w);
    assert_int_equal(inv->state, INVOCATION_RUNNING);
    assert_ptr_equal(inv->worker, w);
    inv->delivery = w;
    fake_of(w)->delivered++;
    if (!w->deferred) return;
    struct launch launch;
    launch_init(&launch, w->handler);
    if (worker_launch(w, &launch, &s->launch_error) < 0) assert_true(s->spawn_fails);
}

static inline void fake_flush(struct worker *w) {
    fake_of(w)->flushes++;
    stable_of_worker(w)->flushes++;
}

static inline void fake_cancel(struct worker *w, struct invocation *inv) {
    assert_ptr_equal(inv->delivery, w);
    fake_of(w)->cancelled++;
}

static inline void fake_forget(struct worker *w, struct invocation *inv) {
    assert_ptr_equal(inv->delivery, w);
    inv->delivery = NULL;
    fake_of(w)->forgotten++;
}

static inline void fake_abort_stream(struct worker *w, struct answer_stream *stream) {
    assert_ptr_equal(stream->worker, w);
    stable_of_worker(w)->aborted++;
    free(stream); /* as a transport may */
}

static inline void fake_stopping(struct worker *w, enum stop_reason why) {
    assert_false(fake_of(w)->told_stopping);
    fake_of(w)->told_stopping = true;
    fake_of(w)->why = why;
}

static inline bool fake_exited(struct worker *w, int wait_status) {
    (void)wait_status;
    return !stable_of_worker(w)->exited_later;
}

static inline void fake_close(struct worker *w) {
    struct stable *s = stable_of_worker(w);
    assert_int_equal(w->running.length + w->streams.length, 0);
    if (w->number <= STABLE_WORKERS) s->workers[w->number - 1] = NULL;
    s->opened--;
    free(w->transport);
}

static inline void stable_finish(struct invocation *inv) {
    struct ride *r = inv->source_context;
    r->inv = NULL;
    r->ends++;
    assert_int_equal(r->ends, 1);
    r->status = inv->outcome.status;
    r->failure = inv->outcome.failure;
    r->retry_after_s = inv->outcome.retry_after_s;
    snprintf(r->detail, sizeof r->detail, SLICE_FMT, SLICE_ARG(inv->outcome.detail));
}

static const struct source_ops stable_source = {.name = "stable", .finish = stable_finish};

/* --- the stable --- */

/* The handler as most tests want it; a test changes it between stable_open and stable_build. */
static inline struct handler_config stable_handler(void) {
    return (struct handler_config){
        .name = "horse",
        .working_directory = "/",
        .timeout_ms = 30000,
        .queue_limit = 100,
        .processes = {.min = 0,
                      .max = 4,
                      .concurrency = 1,
                      .start_timeout_ms = 10000,
                      .idle_timeout_ms = 60000,
                      .stop_timeout_ms = 5000},
    };
}

static inline void stable_open(struct stable *s) {
    memset(s, 0, sizeof *s);
    clock_fake_init(&s->clock);
    s->clock.now_us += 1000000000; /* so that a time of 0 is long ago */
    deadlines_init(&s->deadlines);
    turn_init(&s->turn);
    s->log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(s->log_fd >= 0);
    s->log = log_new(s->log_fd, LOG_FORMAT_TEXT, LOG_INFO, &s->clock.clock);
    s->handler = stable_handler();
    s->launcher = (struct launcher){fake_start,      fake_signal,  fake_memory,
                                    fake_last_lines, fake_release, fake_read_output};
    s->transport = (struct transport_ops){
        .name = "fake",
        .open = fake_open,
        .deliver = fake_deliver,
        .flush = fake_flush,
        .cancel = fake_cancel,
        .forget = fake_forget,
        .abort_stream = fake_abort_stream,
        .stopping = fake_stopping,
        .exited = fake_exited,
        .close = fake_close,
    };
}

static inline void stable_turn(struct stable *s) {
    for (int rounds = 0; turn_run(&s->turn, 100); rounds++) assert_true(rounds < 100);
}

static inline void stable_build(struct stable *s) {
    struct error e;
    struct pool_host host = {.clock = &s->clock.clock,
                             .log = s->log,
                             .deadlines = &s->deadlines,
                             .turn = &s->turn,
                             .launcher = &s->launcher,
                             .application = "test"};
    s->pool = pool_new(&host, &s->handler, &s->transport, s);
    s->route = (struct route){&s->handler, &s->trigger, pool_executor(s->pool), SLICE("ANY /"), NULL, 0};
    s->router = router_new();
    assert_int_equal(router_add(s->router, SLICE("ANY"), SLICE("/"), &s->route, &e), 0);
    pipeline_init(&s->pipeline, &s->clock.clock, s->log, &s->deadlines, &s->turn);
    s->pipeline.router = s->router;
    s->pipeline.in_flight_limit = UINT64_MAX;
    pool_start(s->pool);
    stable_turn(s);
}

/* Time passes from deadline to deadline. */
static inline void stable_wait(struct stable *s, uint64_t ms) {
    uint64_t end_us = s->clock.now_us + ms * 1000;
    for (uint64_t next; (next = deadlines_next_ms(&s->deadlines)) <= end_us / 1000;) {
        if (next * 1000 > s->clock.now_us) s->clock.now_us = next * 1000;
        deadlines_run(&s->deadlines, s->clock.now_us / 1000);
        stable_turn(s);
    }
    s->clock.now_us = end_us;
    stable_turn(s);
}

/* A new one, or one that has ended when all are taken. */
static inline struct ride *stable_free_ride(struct stable *s) {
    if (s->ride_count < STABLE_RIDES) return &s->rides[s->ride_count++];
    for (size_t i = 0; i < STABLE_RIDES; i++)
        if (!s->rides[i].inv) return &s->rides[i];
    fail_msg("too many rides at once");
    return NULL;
}

static inline struct ride *stable_submit(struct stable *s) {
    struct error e;
    struct ride *r = stable_free_ride(s);
    *r = (struct ride){0};
    struct invocation *inv = invocation_new(&s->pipeline, &stable_source, r);
    r->inv = inv;
    inv->request.method = SLICE("GET");
    inv->request.target = SLICE("/");
    assert_int_equal(url_parse(&inv->request.url, &inv->arena, inv->request.target, &e), 0);
    pipeline_run(inv);
    return r;
}

static inline struct ride *stable_ride(struct stable *s) {
    struct ride *r = stable_submit(s);
    stable_turn(s);
    return r;
}

static inline size_t stable_count(const struct stable *s, enum worker_state state) {
    return pool_workers(s->pool, state);
}

static inline struct worker *stable_first(struct stable *s, enum worker_state state) {
    struct list_node *node = list_first(pool_worker_list(s->pool, state));
    assert_non_null(node);
    return list_entry(node, struct worker, node);
}

static inline void stable_ask(struct stable *s, struct worker *w, unsigned want) {
    worker_offer(w, want);
    stable_turn(s);
}

/* All that are starting get ready. */
static inline void stable_ready(struct stable *s, unsigned want) {
    while (stable_count(s, WORKER_STARTING) > 0) worker_offer(stable_first(s, WORKER_STARTING), want);
    stable_turn(s);
}

static inline struct outcome stable_answer_text(void) {
    return (struct outcome){.status = 200, .body = body_of_chunk(chunk_copy(SLICE("neigh")))};
}

/* Answers the oldest that it holds. */
static inline void stable_answer(struct stable *s, struct worker *w) {
    struct list_node *node = list_first(&w->running);
    assert_non_null(node);
    invocation_complete(list_entry(node, struct invocation, node), stable_answer_text());
    stable_turn(s);
}

static inline void stable_end(struct stable *s, struct worker *w, int wait_status) {
    w->process->exited = true;
    worker_exited(w, wait_status);
    worker_output_closed(w);
    stable_turn(s);
}

/* One process, busy with one event. */
static inline struct worker *stable_busy_one(struct stable *s) {
    stable_ride(s);
    stable_ready(s, 1);
    return stable_first(s, WORKER_BUSY);
}

static inline struct ride *stable_last(struct stable *s) {
    return &s->rides[s->ride_count - 1];
}

/* What was logged so far. */
static inline bool stable_logged(struct stable *s, const char *text) {
    static char log[1 << 16];
    log_flush(s->log);
    ssize_t n = pread(s->log_fd, log, sizeof log - 1, 0);
    assert_true(n >= 0);
    log[n] = '\0';
    return strstr(log, text) != NULL;
}

static inline struct worker *stable_find_signalled(struct stable *s) {
    for (int state = 0; state < WORKER_STATES; state++) {
        list_each (pool_worker_list(s->pool, (enum worker_state)state), node) {
            struct worker *w = list_entry(node, struct worker, node);
            if (w->process && !w->process->exited && w->process->last_signal) return w;
        }
    }
    return NULL;
}

/* Every process obeys SIGTERM and SIGKILL. */
static inline void stable_obey(struct stable *s) {
    for (struct worker *w; (w = stable_find_signalled(s));) stable_end(s, w, w->process->last_signal);
}

static inline void stable_close(struct stable *s) {
    s->exited_later = false;
    pool_kill(s->pool);
    stable_turn(s);
    stable_obey(s);
    stable_turn(s);
    assert_true(pool_is_empty(s->pool));
    pool_free(s->pool);
    for (size_t i = 0; i < s->ride_count; i++) assert_null(s->rides[i].inv);
    assert_int_equal(s->processes, 0);
    assert_int_equal(s->opened, 0);
    assert_int_equal(s->pipeline.in_flight, 0);
    assert_int_equal(deadlines_next_ms(&s->deadlines), DEADLINE_NEVER);
    pipeline_close(&s->pipeline);
    router_free(s->router);
    deadlines_free(&s->deadlines);
    log_free(s->log);
    close(s->log_fd);
}
