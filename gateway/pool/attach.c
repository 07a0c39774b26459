#include "gateway/pool/attach.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

struct attacher {
    struct launcher launcher;
    struct turn *turn;
    void (*on_wait)(void *context, const struct worker *w, const struct launch *launch);
    void *context;
    size_t workers;
};

/* Stands for the process that is not ours. */
struct process {
    struct attacher *attacher;
    struct worker *worker;
    struct turn_task end; /* nothing calls back before it returns */
    bool ended;
};

static void on_end(struct turn_task *task) {
    struct process *p = container_of(task, struct process, end);
    p->ended = true;
    worker_exited(p->worker, 0);
    worker_output_closed(p->worker);
}

static int on_start(struct launcher *l, struct worker *w, struct launch *launch, struct error *e) {
    struct attacher *a = container_of(l, struct attacher, launcher);
    struct process *p = xcalloc(1, sizeof *p);
    (void)e;
    *p = (struct process){.attacher = a, .worker = w, .end = {.phase = TURN_DISPATCH, .run = on_end}};
    w->process = p;
    a->workers++;
    a->on_wait(a->context, w, launch);
    return 0;
}

static void on_signal(struct launcher *l, struct worker *w, int signal_number) {
    struct attacher *a = container_of(l, struct attacher, launcher);
    (void)signal_number;
    if (!w->process->ended) turn_add(a->turn, &w->process->end);
}

static uint64_t on_memory(struct launcher *l, struct worker *w) {
    (void)l;
    (void)w;
    return 0;
}

static void on_read_output(struct launcher *l, struct worker *w) {
    (void)l;
    (void)w;
}

static void on_last_lines(struct launcher *l, struct worker *w, struct buf *out) {
    (void)l;
    (void)w;
    (void)out;
}

static void on_release(struct launcher *l, struct worker *w) {
    struct attacher *a = container_of(l, struct attacher, launcher);
    turn_remove(&w->process->end);
    free(w->process);
    w->process = NULL;
    a->workers--;
}

struct attacher *attacher_new(struct turn *turn,
                              void (*on_wait)(void *context, const struct worker *w, const struct launch *launch),
                              void *context) {
    struct attacher *a = xcalloc(1, sizeof *a);
    *a = (struct attacher){.launcher = {on_start, on_signal, on_memory, on_last_lines, on_release, on_read_output},
                           .turn = turn,
                           .on_wait = on_wait,
                           .context = context};
    return a;
}

struct launcher *attacher_launcher(struct attacher *a) {
    return &a->launcher;
}

void attacher_free(struct attacher *a) {
    if (!a) return;
    assert(a->workers == 0);
    free(a);
}
