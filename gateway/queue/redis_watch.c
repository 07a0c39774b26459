/* Who waits for messages is told by this gateway's own calls at once, and of what others do by looking now and then. */
#include "gateway/base/memory.h"
#include "gateway/queue/redis_private.h"
#include <stdlib.h>

#define LOOK_INTERVAL_MS 100
/* Every so many looks, what dead gateways and other programs left behind is looked for, too. */
#define LOOKS_PER_ROUND 300
#define ORPHAN_IDLE_MS "60000"
#define CONSUMER_IDLE_MS "3600000"

struct queue_watch {
    struct list_node node;
    struct redis_store *store;
    struct slice queue;
    void (*on_ready)(void *context);
    void *context;
    struct deadline due;
    struct turn_task task;
};

static void watch_ready_in(struct queue_watch *w, uint64_t in_ms) {
    struct redis_store *s = w->store;
    uint64_t at = clock_now_ms(s->clock) + in_ms;
    if (in_ms == 0)
        turn_add(loop_turn(s->loop), &w->task);
    else if (!deadline_armed(&w->due) || at < w->due.at_ms)
        deadline_arm(loop_deadlines(s->loop), &w->due, at);
}

void redis_ready_in(struct redis_store *s, struct slice queue, uint64_t in_ms) {
    list_each (&s->watches, node) {
        struct queue_watch *w = list_entry(node, struct queue_watch, node);
        if (slice_equal(w->queue, queue)) watch_ready_in(w, in_ms);
    }
}

void redis_ready_all(struct redis_store *s) {
    list_each (&s->watches, node) watch_ready_in(list_entry(node, struct queue_watch, node), 0);
}

/* --- looking --- */

static void read_look(struct redis_call *c, const redisReply *r) {
    for (size_t i = 0; i < c->queue_count && i + 1 < r->elements; i++) {
        const redisReply *in = r->element[i + 1];
        if (in->type == REDIS_REPLY_INTEGER && in->integer >= 0)
            redis_ready_in(c->store, c->queues[i], (uint64_t)in->integer);
    }
}
static const struct redis_kind kind_look = {REDIS_SCRIPT_UPKEEP, read_look, REDIS_ONCE, 1, 1};

static void on_looked(void *context, struct queue_reply *reply) {
    (void)reply; /* the next look is the answer to a failed one */
    ((struct redis_store *)context)->looking = false;
}

static void look(struct redis_store *s) {
    bool round = s->looks++ % LOOKS_PER_ROUND == 0;
    struct redis_call *c = redis_call_new(s, &kind_look, 256, (struct queue_done){on_looked, s});
    c->queues = arena_alloc(&c->arena, s->watches.length * sizeof *c->queues);
    redis_put(c, SLICE("look"));
    redis_put(c, slice_of(s->consumer));
    redis_put(c, round ? SLICE(ORPHAN_IDLE_MS) : SLICE_NONE);
    redis_put(c, round ? SLICE(CONSUMER_IDLE_MS) : SLICE_NONE);
    list_each (&s->watches, node) {
        c->queues[c->queue_count] = arena_copy(&c->arena, list_entry(node, struct queue_watch, node)->queue);
        redis_put(c, c->queues[c->queue_count++]);
    }
    s->looking = true;
    redis_call_submit(c);
}

static void look_arm(struct redis_store *s) {
    if (list_empty(&s->watches))
        deadline_disarm(loop_deadlines(s->loop), &s->look);
    else
        deadline_arm(loop_deadlines(s->loop), &s->look, clock_now_ms(s->clock) + LOOK_INTERVAL_MS);
}

static void on_look(struct deadline *d) {
    struct redis_store *s = container_of(d, struct redis_store, look);
    if (s->up && !s->looking) look(s);
    look_arm(s);
}

/* --- watches --- */

static void on_watch_due(struct deadline *d) {
    struct queue_watch *w = container_of(d, struct queue_watch, due);
    turn_add(loop_turn(w->store->loop), &w->task);
}

static void on_watch_turn(struct turn_task *task) {
    struct queue_watch *w = container_of(task, struct queue_watch, task);
    w->on_ready(w->context);
}

struct queue_watch *redis_watch(struct queue_store *store, struct slice queue, void (*on_ready)(void *context),
                                void *context) {
    struct redis_store *s = container_of(store, struct redis_store, store);
    struct queue_watch *w = xcalloc(1, sizeof *w);
    *w = (struct queue_watch){.store = s, .on_ready = on_ready, .context = context};
    w->queue = slice_make(slice_dup(queue), queue.n);
    w->due.on_due = on_watch_due;
    w->task = (struct turn_task){.phase = TURN_DISPATCH, .run = on_watch_turn};
    list_push(&s->watches, &w->node);
    turn_add(loop_turn(s->loop), &w->task);
    if (!deadline_armed(&s->look)) look_arm(s);
    return w;
}

void redis_unwatch(struct queue_watch *w) {
    if (!w) return;
    list_remove(&w->node);
    deadline_disarm(loop_deadlines(w->store->loop), &w->due);
    turn_remove(&w->task);
    if (list_empty(&w->store->watches)) look_arm(w->store);
    free((char *)w->queue.p);
    free(w);
}

void redis_watches_init(struct redis_store *s) {
    list_init(&s->watches);
    s->look.on_due = on_look;
}
