#include "gateway/queue/routed_store.h"
#include "gateway/base/buf.h"
#include "gateway/base/list.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <stdlib.h>

struct routed_store {
    struct queue_store store;
    struct loop *loop;
    struct queue_store *stores[ROUTED_STORES_MAX]; /* the first is home */
    size_t count;
    struct map *routes; /* queue -> store */
    struct list refused;
    struct turn_task answer;
    size_t open;
    void (*on_closed)(void *context);
    void *closed_context;
};
struct queue_watch {
    struct queue_store *of;
    struct queue_watch *inner;
};

static struct routed_store *routed_of(struct queue_store *s) {
    return container_of(s, struct routed_store, store);
}

static struct queue_store *store_of(struct queue_store *s, struct slice queue) {
    struct routed_store *r = routed_of(s);
    struct queue_store *found = map_get(r->routes, queue);
    return found ? found : r->stores[0];
}

static struct queue_store *note_store(struct queue_store *s, struct slice key) {
    static const struct slice pause = {QUEUE_PAUSE_PREFIX, sizeof QUEUE_PAUSE_PREFIX - 1};
    struct routed_store *r = routed_of(s);
    if (slice_starts_with(key, pause)) return store_of(s, slice_make(key.p + pause.n, key.n - pause.n));
    return r->stores[r->count > 1 ? 1 : 0];
}

/* --- calls that no one store can carry out --- */

struct refusal {
    struct list_node node;
    struct queue_done done;
    struct queue_reply reply;
};

static void on_answer(struct turn_task *task) {
    struct routed_store *r = container_of(task, struct routed_store, answer);
    while (!list_empty(&r->refused)) {
        struct refusal *refusal = list_entry(list_first(&r->refused), struct refusal, node);
        struct arena nothing = {0};
        list_remove(&refusal->node);
        refusal->reply.memory = &nothing;
        refusal->done.on_done(refusal->done.context, &refusal->reply);
        arena_free(&nothing);
        free(refusal);
    }
}

static void refuse(struct queue_store *s, struct slice one, struct slice other, struct queue_done done) {
    struct routed_store *r = routed_of(s);
    if (!done.on_done) return;
    struct refusal *refusal = xcalloc(1, sizeof *refusal);
    refusal->done = done;
    refusal->reply.result = QUEUE_REFUSED;
    error_set(&refusal->reply.error, ERROR_USAGE,
              "queues " SLICE_FMT " and " SLICE_FMT " are in different stores, which cannot do one thing together: "
              "make two calls of it",
              SLICE_ARG(one), SLICE_ARG(other));
    list_push(&r->refused, &refusal->node);
    turn_add(loop_turn(r->loop), &r->answer);
}

/* --- calls --- */

static void routed_declare(struct queue_store *s, const struct queue_settings *settings) {
    struct queue_store *to = store_of(s, settings->name);
    to->ops->declare(to, settings);
}

static void routed_send(struct queue_store *s, const struct queue_send *sends, size_t count, struct queue_done done) {
    struct queue_store *to = count ? store_of(s, sends[0].queue) : routed_of(s)->stores[0];
    for (size_t i = 1; i < count; i++) {
        if (store_of(s, sends[i].queue) == to) continue;
        refuse(s, sends[0].queue, sends[i].queue, done);
        return;
    }
    to->ops->send(to, sends, count, done);
}

static void routed_receive(struct queue_store *s, const struct queue_receive *receive, struct queue_done done) {
    struct queue_store *to = store_of(s, receive->queue);
    to->ops->receive(to, receive, done);
}

static void routed_settle(struct queue_store *s, const struct queue_settlement *items, size_t count,
                          struct queue_done done) {
    struct queue_store *to = count ? store_of(s, items[0].queue) : routed_of(s)->stores[0];
    for (size_t i = 1; i < count; i++) {
        if (store_of(s, items[i].queue) == to) continue;
        refuse(s, items[0].queue, items[i].queue, done);
        return;
    }
    to->ops->settle(to, items, count, done);
}

static void routed_browse(struct queue_store *s, const struct queue_browse *browse, struct queue_done done) {
    struct queue_store *to = store_of(s, browse->queue);
    to->ops->browse(to, browse, done);
}

static void routed_purge(struct queue_store *s, struct slice queue, unsigned max, struct queue_done done) {
    struct queue_store *to = store_of(s, queue);
    to->ops->purge(to, queue, max, done);
}

/* Without a target, messages go back to where they died, which is in the same store. */
static void routed_redrive(struct queue_store *s, const struct queue_redrive *redrive, struct queue_done done) {
    struct queue_store *to = store_of(s, redrive->from);
    if (!slice_is_none(redrive->to) && store_of(s, redrive->to) != to)
        refuse(s, redrive->from, redrive->to, done);
    else
        to->ops->redrive(to, redrive, done);
}

static void routed_recall(struct queue_store *s, struct slice key, struct queue_done done) {
    struct queue_store *to = note_store(s, key);
    to->ops->recall(to, key, done);
}

static void routed_swap(struct queue_store *s, const struct queue_swap *swap, struct queue_done done) {
    struct queue_store *to = note_store(s, swap->key);
    to->ops->swap(to, swap, done);
}

static void routed_lease(struct queue_store *s, const struct queue_lease *lease, struct queue_done done) {
    struct queue_store *to = note_store(s, lease->key);
    to->ops->lease(to, lease, done);
}

/* --- stats of all: one store after the other --- */

struct gathering {
    struct arena arena; /* holds this itself */
    struct routed_store *of;
    size_t next;
    struct queue_done done;
    struct buf stats;
};

static int by_name(const void *a, const void *b) {
    struct slice x = ((const struct queue_stats *)a)->queue, y = ((const struct queue_stats *)b)->queue;
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static void gathering_end(struct gathering *g, struct queue_reply *reply) {
    struct arena memory = g->arena;
    struct queue_stats *stats = (void *)g->stats.p;
    size_t count = g->stats.n / sizeof *stats;
    if (reply->result == QUEUE_OK) {
        if (count) qsort(stats, count, sizeof *stats, by_name);
        struct queue_stats *kept = arena_alloc(&memory, count * sizeof *kept);
        if (count) memcpy(kept, stats, count * sizeof *kept);
        reply->stats = kept;
        reply->count = count;
    }
    struct queue_done done = g->done;
    buf_free(&g->stats);
    reply->memory = &memory;
    done.on_done(done.context, reply);
    arena_free(&memory);
}

static void on_gathered(void *context, struct queue_reply *reply);

static void gather(struct gathering *g) {
    struct queue_store *from = g->of->stores[g->next++];
    from->ops->stats(from, SLICE_NONE, (struct queue_done){on_gathered, g});
}

static void on_gathered(void *context, struct queue_reply *reply) {
    struct gathering *g = context;
    for (size_t i = 0; i < reply->count; i++) {
        struct queue_stats stats = reply->stats[i];
        stats.queue = arena_copy(&g->arena, stats.queue);
        buf_append(&g->stats, &stats, sizeof stats);
    }
    if (reply->result != QUEUE_OK || g->next == g->of->count)
        gathering_end(g, reply);
    else
        gather(g);
}

static void routed_stats(struct queue_store *s, struct slice queue, struct queue_done done) {
    struct arena a = {0};
    if (!slice_is_none(queue)) {
        struct queue_store *to = store_of(s, queue);
        to->ops->stats(to, queue, done);
        return;
    }
    struct gathering *g = arena_zalloc(&a, sizeof *g);
    *g = (struct gathering){.arena = a, .of = routed_of(s), .done = done};
    gather(g);
}

/* --- watches and the end --- */

static struct queue_watch *routed_watch(struct queue_store *s, struct slice queue, void (*on_ready)(void *context),
                                        void *context) {
    struct queue_watch *w = xcalloc(1, sizeof *w);
    w->of = store_of(s, queue);
    w->inner = w->of->ops->watch(w->of, queue, on_ready, context);
    return w;
}

static void routed_unwatch(struct queue_watch *w) {
    if (!w) return;
    w->of->ops->unwatch(w->inner);
    free(w);
}

static void on_one_closed(void *context) {
    struct routed_store *r = context;
    if (--r->open > 0) return;
    on_answer(&r->answer);
    turn_remove(&r->answer);
    void (*on_closed)(void *context) = r->on_closed;
    void *closed_context = r->closed_context;
    map_free(r->routes);
    free(r);
    on_closed(closed_context);
}

static void routed_close(struct queue_store *s, void (*on_closed)(void *context), void *context) {
    struct routed_store *r = routed_of(s);
    r->on_closed = on_closed;
    r->closed_context = context;
    r->open = r->count;
    for (size_t i = 0; i < r->count; i++) r->stores[i]->ops->close(r->stores[i], on_one_closed, r);
}

static const struct queue_store_ops routed_ops = {
    .declare = routed_declare,
    .send = routed_send,
    .receive = routed_receive,
    .settle = routed_settle,
    .stats = routed_stats,
    .browse = routed_browse,
    .purge = routed_purge,
    .redrive = routed_redrive,
    .recall = routed_recall,
    .swap = routed_swap,
    .lease = routed_lease,
    .watch = routed_watch,
    .unwatch = routed_unwatch,
    .close = routed_close,
};

struct queue_store *routed_store_new(struct loop *loop, struct queue_store *take_home) {
    struct routed_store *r = xcalloc(1, sizeof *r);
    r->store.ops = &routed_ops;
    r->loop = loop;
    r->stores[r->count++] = take_home;
    r->routes = map_new();
    list_init(&r->refused);
    r->answer = (struct turn_task){.phase = TURN_DISPATCH, .run = on_answer};
    return &r->store;
}

bool routed_store_add(struct queue_store *s, struct queue_store *take_store) {
    struct routed_store *r = routed_of(s);
    if (r->count == ROUTED_STORES_MAX) return false;
    r->stores[r->count++] = take_store;
    return true;
}

void routed_store_route(struct queue_store *s, struct slice queue, struct queue_store *to) {
    map_put(routed_of(s)->routes, queue, to);
}
