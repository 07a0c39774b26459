/* Who waits for messages is told by this gateway's own calls at once, and of what others do by looking now and then. */
#include "gateway/base/memory.h"
#include "gateway/queue/redis_private.h"

#define LOOK_INTERVAL_MS 100
/* Every so many looks, what dead gateways and other programs left behind is looked for, too. */
#define LOOKS_PER_ROUND 300
#define ORPHAN_IDLE_MS "60000"
#define CONSUMER_IDLE_MS "3600000"

void redis_ready_in(struct redis_store *s, struct slice queue, uint64_t in_ms) {
    list_each (&s->watches.list, node) {
        struct queue_watch *w = list_entry(node, struct queue_watch, node);
        if (slice_equal(w->queue, queue)) queue_watch_ready_in(w, in_ms);
    }
}

void redis_ready_all(struct redis_store *s) {
    list_each (&s->watches.list, node) queue_watch_ready_in(list_entry(node, struct queue_watch, node), 0);
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
    c->queues = arena_alloc(&c->arena, s->watches.list.length * sizeof *c->queues);
    redis_put(c, SLICE("look"));
    redis_put(c, slice_of(s->consumer));
    redis_put(c, round ? SLICE(ORPHAN_IDLE_MS) : SLICE_NONE);
    redis_put(c, round ? SLICE(CONSUMER_IDLE_MS) : SLICE_NONE);
    list_each (&s->watches.list, node) {
        c->queues[c->queue_count] = arena_copy(&c->arena, list_entry(node, struct queue_watch, node)->queue);
        redis_put(c, c->queues[c->queue_count++]);
    }
    s->looking = true;
    redis_call_submit(c);
}

static void on_look(struct queue_watches *all) {
    struct redis_store *s = container_of(all, struct redis_store, watches);
    if (s->up && !s->looking) look(s);
}

struct queue_watch *redis_watch(struct queue_store *store, struct slice queue, void (*on_ready)(void *context),
                                void *context) {
    return queue_watch_new(&container_of(store, struct redis_store, store)->watches, queue, on_ready, context);
}

void redis_watches_init(struct redis_store *s) {
    queue_watches_init(&s->watches, s->loop, LOOK_INTERVAL_MS, on_look);
}
