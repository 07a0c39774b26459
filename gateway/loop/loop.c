#include "gateway/base/memory.h"
#include "gateway/loop/loop_private.h"
#include <assert.h>
#include <stdlib.h>
#include <uv.h>

/* How many phases one drain may run before descriptors and timers get their turn again. */
#define TURN_ROUNDS 64
#define SIGNALS_MAX 8

struct signal_slot {
    uv_signal_t handle;
    void (*on_signal)(void *context, int signal_number);
    void *context;
};
struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while tasks are left: the loop must not sleep then */
    uv_timer_t timer;
    uint64_t timer_at_ms; /* what the timer is set to; DEADLINE_NEVER = stopped */
    uv_timer_t limit;
    bool limit_passed;
    bool (*until)(void *context); /* loop_run_until waits for it; else NULL */
    void *until_context;
    struct clock *clock;
    struct turn turn;
    struct deadlines deadlines;
    struct signal_slot signals[SIGNALS_MAX];
    size_t signal_count;
    size_t watches;
};
struct watch {
    uv_poll_t handle;
    struct loop *loop;
    unsigned events;
    void (*on_event)(void *context, unsigned events);
    void *context;
};

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

/* Sets the one timer to the earliest deadline; nothing is done when it is set so already. */
static void timer_follow(struct loop *l) {
    uint64_t next = deadlines_next_ms(&l->deadlines);
    if (next == l->timer_at_ms) return;
    l->timer_at_ms = next;
    if (next == DEADLINE_NEVER) {
        uv_timer_stop(&l->timer);
        return;
    }
    uint64_t now = clock_now_ms(l->clock);
    uv_update_time(&l->uv);
    uv_timer_start(&l->timer, l->timer.timer_cb, next > now ? next - now : 0, 0);
}

static void on_timer(uv_timer_t *handle) {
    struct loop *l = handle->data;
    l->timer_at_ms = DEADLINE_NEVER;
    deadlines_run(&l->deadlines, clock_now_ms(l->clock));
    timer_follow(l);
}

static void turn_drain(struct loop *l) {
    if (turn_run(&l->turn, TURN_ROUNDS))
        uv_idle_start(&l->idle, on_idle);
    else
        uv_idle_stop(&l->idle);
    timer_follow(l);
}

/* What these tasks have done may be what loop_run_until waits for: then the loop must not sleep first. */
static void on_prepare(uv_prepare_t *handle) {
    struct loop *l = handle->data;
    turn_drain(l);
    if (l->until && l->until(l->until_context)) uv_stop(&l->uv);
}

static void on_check(uv_check_t *handle) {
    turn_drain(handle->data);
}

static void on_limit(uv_timer_t *handle) {
    struct loop *l = handle->data;
    l->limit_passed = true;
}

struct loop *loop_new(struct clock *clock, struct error *e) {
    struct loop *l = xcalloc(1, sizeof *l);
    int status = uv_loop_init(&l->uv);
    if (status < 0) {
        error_set(e, ERROR_SYSTEM, "cannot create the event loop: %s", uv_strerror(status));
        free(l);
        return NULL;
    }
    l->clock = clock;
    turn_init(&l->turn);
    deadlines_init(&l->deadlines);
    /* These five cannot fail: they take no descriptor. */
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->timer);
    uv_timer_init(&l->uv, &l->limit);
    l->prepare.data = l->check.data = l->idle.data = l->timer.data = l->limit.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    /* Remembers the callback without running: timer_follow sets it by need. */
    uv_timer_start(&l->timer, on_timer, 0, 0);
    uv_timer_stop(&l->timer);
    l->timer_at_ms = DEADLINE_NEVER;
    return l;
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void loop_free(struct loop *l) {
    if (!l) return;
    assert(l->watches == 0);
    close_handle((uv_handle_t *)&l->prepare);
    close_handle((uv_handle_t *)&l->check);
    close_handle((uv_handle_t *)&l->idle);
    close_handle((uv_handle_t *)&l->timer);
    close_handle((uv_handle_t *)&l->limit);
    for (size_t i = 0; i < l->signal_count; i++) close_handle((uv_handle_t *)&l->signals[i].handle);
    /* Closing is finished by the loop itself, that of late watches too. */
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int status = uv_loop_close(&l->uv);
    assert(status == 0);
    (void)status;
    deadlines_free(&l->deadlines);
    free(l);
}

struct uv_loop_s *loop_uv(struct loop *l) {
    return &l->uv;
}

struct clock *loop_clock(struct loop *l) {
    return l->clock;
}

struct turn *loop_turn(struct loop *l) {
    return &l->turn;
}

struct deadlines *loop_deadlines(struct loop *l) {
    return &l->deadlines;
}

void loop_run(struct loop *l) {
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l) {
    uv_stop(&l->uv);
}

bool loop_run_until(struct loop *l, bool (*done)(void *context), void *context, uint64_t limit_ms) {
    l->limit_passed = false;
    uv_update_time(&l->uv);
    uv_timer_start(&l->limit, on_limit, limit_ms, 0);
    l->until = done;
    l->until_context = context;
    while (!done(context) && !l->limit_passed) uv_run(&l->uv, UV_RUN_ONCE);
    uv_timer_stop(&l->limit);
    l->until = NULL;
    return done(context);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void watch_poll(struct watch *w) {
    int wanted = 0;
    if (w->events & WATCH_READ) wanted |= UV_READABLE;
    if (w->events & WATCH_WRITE) wanted |= UV_WRITABLE;
    if (w->events & WATCH_GONE) wanted |= UV_DISCONNECT;
    if (wanted == 0)
        uv_poll_stop(&w->handle);
    else
        uv_poll_start(&w->handle, wanted, on_poll);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
    struct watch *w = handle->data;
    unsigned happened = 0;
    if (events & UV_READABLE) happened |= WATCH_READ;
    if (events & UV_WRITABLE) happened |= WATCH_WRITE;
    if (events & UV_DISCONNECT) happened |= WATCH_GONE;
    /* An error on the descriptor. Every interest is told, and the owner's system calls find the reason, perhaps only
     * after some data that came before it: so libuv, which has stopped polling, is made to go on. */
    if (status < 0) {
        happened = w->events;
        watch_poll(w);
    }
    w->on_event(w->context, happened & w->events);
}

struct watch *watch_open(struct loop *l, int fd, void (*on_event)(void *context, unsigned events), void *context) {
    struct watch *w = xcalloc(1, sizeof *w);
    if (uv_poll_init(&l->uv, &w->handle, fd) < 0) {
        free(w);
        return NULL;
    }
    w->handle.data = w;
    w->loop = l;
    w->on_event = on_event;
    w->context = context;
    l->watches++;
    return w;
}

void watch_set(struct watch *w, unsigned events) {
    w->events = events;
    watch_poll(w);
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle->data);
}

void watch_close(struct watch *w) {
    if (!w) return;
    w->loop->watches--;
    uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

static void on_uv_signal(uv_signal_t *handle, int signal_number) {
    struct signal_slot *slot = handle->data;
    slot->on_signal(slot->context, signal_number);
}

int loop_on_signal(struct loop *l, int signal_number, void (*on_signal)(void *context, int signal_number),
                   void *context, struct error *e) {
    if (l->signal_count == SIGNALS_MAX) return error_set(e, ERROR_LIMIT, "more than %d signals watched", SIGNALS_MAX);
    struct signal_slot *slot = &l->signals[l->signal_count];
    int status = uv_signal_init(&l->uv, &slot->handle);
    if (status < 0) return error_set(e, ERROR_SYSTEM, "cannot watch signals: %s", uv_strerror(status));
    l->signal_count++;
    *slot = (struct signal_slot){.handle = slot->handle, .on_signal = on_signal, .context = context};
    slot->handle.data = slot;
    status = uv_signal_start(&slot->handle, on_uv_signal, signal_number);
    if (status < 0) return error_set(e, ERROR_SYSTEM, "cannot watch signal %d: %s", signal_number, uv_strerror(status));
    return 0;
}

/* --- other threads --- */

struct work {
    uv_work_t request;
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

static void on_work(uv_work_t *request) {
    struct work *w = request->data;
    w->run(w->context);
}

static void on_work_done(uv_work_t *request, int status) {
    struct work *w = request->data;
    (void)status; /* nobody cancels work */
    w->done(w->context);
    free(w);
}

void loop_work(struct loop *l, void (*run)(void *context), void (*done)(void *context), void *context) {
    struct work *w = xcalloc(1, sizeof *w);
    *w = (struct work){.run = run, .done = done, .context = context};
    w->request.data = w;
    int status = uv_queue_work(&l->uv, &w->request, on_work, on_work_done);
    assert(status == 0);
    (void)status;
}
