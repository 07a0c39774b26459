#include "gateway/queue/watches.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

static uint64_t now_ms(const struct queue_watches *all) {
    return clock_now_ms(loop_clock(all->loop));
}

static void look_arm(struct queue_watches *all) {
    if (list_empty(&all->list))
        deadline_disarm(loop_deadlines(all->loop), &all->look);
    else
        deadline_arm(loop_deadlines(all->loop), &all->look, now_ms(all) + all->look_every_ms);
}

static void on_look(struct deadline *d) {
    struct queue_watches *all = container_of(d, struct queue_watches, look);
    all->on_look(all);
    look_arm(all);
}

void queue_watches_init(struct queue_watches *all, struct loop *loop, uint64_t look_every_ms,
                        void (*look)(struct queue_watches *all)) {
    *all = (struct queue_watches){.loop = loop, .look_every_ms = look_every_ms, .on_look = look};
    all->look.on_due = on_look;
    list_init(&all->list);
}

static void on_due(struct deadline *d) {
    struct queue_watch *w = container_of(d, struct queue_watch, due);
    turn_add(loop_turn(w->all->loop), &w->task);
}

static void on_turn(struct turn_task *task) {
    struct queue_watch *w = container_of(task, struct queue_watch, task);
    w->on_ready(w->context);
}

struct queue_watch *queue_watch_new(struct queue_watches *all, struct slice queue, void (*on_ready)(void *context),
                                    void *context) {
    struct queue_watch *w = xcalloc(1, sizeof *w);
    *w = (struct queue_watch){.all = all, .on_ready = on_ready, .context = context};
    w->queue = slice_make(slice_dup(queue), queue.n);
    w->due.on_due = on_due;
    w->task = (struct turn_task){.phase = TURN_DISPATCH, .run = on_turn};
    list_push(&all->list, &w->node);
    turn_add(loop_turn(all->loop), &w->task);
    if (!deadline_armed(&all->look)) look_arm(all);
    return w;
}

void queue_watch_free(struct queue_watch *w) {
    if (!w) return;
    list_remove(&w->node);
    deadline_disarm(loop_deadlines(w->all->loop), &w->due);
    turn_remove(&w->task);
    if (list_empty(&w->all->list)) look_arm(w->all);
    free((char *)w->queue.p);
    free(w);
}

void queue_watch_ready_in(struct queue_watch *w, uint64_t in_ms) {
    uint64_t at = now_ms(w->all) + in_ms;
    if (in_ms == 0)
        turn_add(loop_turn(w->all->loop), &w->task);
    else if (!deadline_armed(&w->due) || at < w->due.at_ms)
        deadline_arm(loop_deadlines(w->all->loop), &w->due, at);
}
