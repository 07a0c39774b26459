#include "gateway/source/queue/queue_filter.h"
#include "gateway/source/queue/queue_private.h"
#include <assert.h>
#include <stdlib.h>

#define PLACES_RETRY_MS 20 /* others may have left their places meanwhile */
#define STORE_RETRY_MS 1000
#define PAUSE_LOOK_MS 1000
#define FETCH_BYTES (64u << 20) /* the most that one receive may bring */

static uint64_t now_ms(const struct queue_source *s) {
    return clock_now_ms(s->pipeline->clock);
}

static void arm(struct queue_source *s, struct deadline *d, uint64_t after_ms) {
    deadline_arm(s->pipeline->deadlines, d, now_ms(s) + after_ms);
}

void source_pump_soon(struct queue_source *s) {
    turn_add(s->pipeline->turn, &s->pump);
}

void source_try_again(struct queue_source *s, uint64_t after_ms) {
    if (!deadline_armed(&s->again)) arm(s, &s->again, after_ms);
}

struct queue_done source_done(struct queue_source *s, void (*on_done)(void *context, struct queue_reply *reply)) {
    s->calls++;
    return (struct queue_done){on_done, s};
}

/* --- messages in hand --- */

static void page_release(struct page *p) {
    if (--p->references > 0) return;
    arena_free(&p->memory);
    free(p);
}

static struct held *held_new(struct page *p, const struct queue_message *m) {
    struct held *h = xcalloc(1, sizeof *h);
    *h = (struct held){.message = m, .page = p};
    p->references++;
    return h;
}

void held_free(struct held *h) {
    list_remove(&h->node);
    page_release(h->page);
    free(h);
}

/* --- places --- */

/* Events that its handler can take beyond those that wait for it here. */
static size_t consumer_places(const struct consumer *c) {
    size_t places = pipeline_places(&c->route);
    uint64_t limit = c->config->concurrency;
    if (limit && c->running >= limit) return 0;
    if (limit && places > limit - c->running) places = (size_t)(limit - c->running);
    return places > c->waiting.length ? places - c->waiting.length : 0;
}

/* What may be fetched though all of it may be for one of the triggers. */
static size_t source_wants(const struct queue_source *s) {
    size_t wants = QUEUE_PAGE_MAX;
    for (size_t i = 0; i < s->consumer_count; i++) {
        const struct consumer *c = &s->consumers[i];
        size_t most = consumer_places(c) * (size_t)c->config->batch;
        size_t more = most > c->gathering.length ? most - c->gathering.length : 0;
        if (more < wants) wants = more;
    }
    size_t fits = FETCH_BYTES / (size_t)s->queue->max_message;
    return wants < fits ? wants : fits;
}

/* --- gathering --- */

static void consumer_close_batch(struct consumer *c) {
    struct batch *b = batch_new(c->source, c);
    deadline_disarm(c->source->pipeline->deadlines, &c->window);
    list_each (&c->gathering, node) batch_add(b, list_entry(node, struct held, node));
    list_push(&c->waiting, &b->node);
}

static void on_window(struct deadline *d) {
    struct consumer *c = container_of(d, struct consumer, window);
    consumer_close_batch(c);
    source_pump_soon(c->source);
}

static void settle_alone(struct queue_source *s, struct consumer *c, struct held *h, const char *reason) {
    struct batch *b = batch_new(s, c);
    batch_add(b, h);
    b->end = BATCH_FAILED;
    b->reason = reason;
    batch_settle(b);
}

static void consumer_take_alone(struct consumer *c, struct held *h) {
    struct batch *b = batch_new(c->source, c);
    batch_add(b, h);
    list_push(&c->waiting, &b->node);
}

static void consumer_take(struct consumer *c, struct held *h) {
    struct queue_source *s = c->source;
    if (h->message->receive_count > 1) {
        consumer_take_alone(c, h);
        return;
    }
    list_push(&c->gathering, &h->node);
    if (c->gathering.length >= c->config->batch)
        consumer_close_batch(c);
    else if (!deadline_armed(&c->window))
        arm(s, &c->window, c->config->window_ms);
}

static struct consumer *consumer_for(struct queue_source *s, const struct queue_message *m) {
    for (size_t i = 0; i < s->consumer_count; i++)
        if (queue_filter_fits(s->consumers[i].config, m->body)) return &s->consumers[i];
    return NULL;
}

/* One that was received more often than it may be attempted: the gateway has died with it each time, or with others. */
static void source_take(struct queue_source *s, struct held *h) {
    struct consumer *c = consumer_for(s, h->message);
    if (!c)
        settle_alone(s, NULL, h, "no trigger takes it");
    else if (s->queue->dead_letter && retry_is_spent(&s->policy, h->message->receive_count))
        settle_alone(s, c, h, retry_verdict_text(RETRY_EXHAUSTED));
    else if (c->async && async_is_too_old(c, h->message, 0))
        settle_alone(s, c, h, ASYNC_TOO_OLD);
    else
        consumer_take(c, h);
}

/* --- letting go --- */

static void consumer_release(struct consumer *c) {
    if (!list_empty(&c->gathering)) consumer_close_batch(c);
    list_each (&c->waiting, node) {
        struct batch *b = list_entry(node, struct batch, node);
        b->end = BATCH_NEVER_RAN;
        batch_settle(b);
    }
}

static void source_release(struct queue_source *s) {
    for (size_t i = 0; i < s->consumer_count; i++) consumer_release(&s->consumers[i]);
    list_each (&s->running, node) batch_withdraw(list_entry(node, struct batch, node));
}

/* --- fetching --- */

/* Batches without a window do not wait for the next receive. */
static void close_batches(struct queue_source *s) {
    for (size_t i = 0; i < s->consumer_count; i++) {
        struct consumer *c = &s->consumers[i];
        if (!c->config->window_ms && !list_empty(&c->gathering)) consumer_close_batch(c);
    }
}

static void source_take_page(struct queue_source *s, struct queue_reply *reply) {
    const struct queue_message *messages = reply->messages;
    size_t count = reply->count;
    struct page *page = xcalloc(1, sizeof *page);
    *page = (struct page){.memory = queue_reply_take(reply), .references = 1};
    for (size_t i = 0; i < count; i++) source_take(s, held_new(page, &messages[i]));
    page_release(page);
    close_batches(s);
    if (s->stopped) source_release(s);
}

static void on_received(void *context, struct queue_reply *reply) {
    struct queue_source *s = context;
    s->calls--;
    s->receiving = false;
    if (reply->result != QUEUE_OK) {
        source_complain(s, reply);
        s->may_find_more = true;
        s->spares_store = !s->stopped;
        if (!s->stopped) arm(s, &s->again, STORE_RETRY_MS);
        return;
    }
    if (reply->count >= s->asked) s->may_find_more = true; /* otherwise the watch says so */
    if (reply->count) source_take_page(s, reply);
    source_pump_soon(s);
}

static void source_fetch(struct queue_source *s) {
    if (s->stopped || s->pausing || s->receiving || !s->may_find_more || s->spares_store) return;
    size_t wants = source_wants(s);
    if (wants == 0) {
        source_try_again(s, PLACES_RETRY_MS);
        return;
    }
    s->asked = wants;
    s->receiving = true;
    s->may_find_more = false;
    const struct queue_receive receive = {
        .queue = s->name, .max = (unsigned)wants, .visibility_ms = s->queue->visibility_ms};
    s->store->ops->receive(s->store, &receive, source_done(s, on_received));
}

static void consumer_run(struct consumer *c) {
    list_each (&c->waiting, node) {
        uint64_t limit = c->config->concurrency;
        if ((limit && c->running >= limit) || pipeline_places(&c->route) == 0) return;
        batch_run(list_entry(node, struct batch, node));
    }
}

static bool source_waits(const struct queue_source *s) {
    for (size_t i = 0; i < s->consumer_count; i++)
        if (!list_empty(&s->consumers[i].waiting)) return true;
    return false;
}

static void on_pump(struct turn_task *task) {
    struct queue_source *s = container_of(task, struct queue_source, pump);
    for (size_t i = 0; i < s->consumer_count && !s->stopped; i++) consumer_run(&s->consumers[i]);
    if (source_waits(s)) source_try_again(s, PLACES_RETRY_MS);
    source_fetch(s);
}

static void on_again(struct deadline *d) {
    struct queue_source *s = container_of(d, struct queue_source, again);
    s->spares_store = false;
    source_settle_again(s);
    source_pump_soon(s);
}

static void on_ready(void *context) {
    struct queue_source *s = context;
    s->may_find_more = true;
    source_pump_soon(s);
}

/* --- heartbeat --- */

static void on_extended(void *context, struct queue_reply *reply) {
    struct queue_source *s = context;
    s->calls--;
    if (reply->result != QUEUE_OK) source_complain(s, reply);
}

struct heartbeat {
    struct queue_source *source;
    struct queue_settlement items[QUEUE_PAGE_MAX];
    size_t count;
};

static void beat_send(struct heartbeat *h) {
    struct queue_source *s = h->source;
    if (h->count) s->store->ops->settle(s->store, h->items, h->count, source_done(s, on_extended));
    h->count = 0;
}

static void beat_add(struct heartbeat *h, const struct list *messages) {
    list_each (messages, node) {
        h->items[h->count++] = (struct queue_settlement){
            .queue = h->source->name,
            .receipt = list_entry(node, struct held, node)->message->receipt,
            .action = QUEUE_EXTEND,
            .delay_ms = h->source->queue->visibility_ms};
        if (h->count == QUEUE_PAGE_MAX) beat_send(h);
    }
}

static void beat_add_batches(struct heartbeat *h, const struct list *batches) {
    list_each (batches, node) beat_add(h, &list_entry(node, struct batch, node)->messages);
}

static void on_beat(struct deadline *d) {
    struct queue_source *s = container_of(d, struct queue_source, beat);
    struct heartbeat *h = xcalloc(1, sizeof *h);
    h->source = s;
    beat_add_batches(h, &s->running);
    beat_add_batches(h, &s->unsettled);
    for (size_t i = 0; i < s->consumer_count; i++) {
        beat_add(h, &s->consumers[i].gathering);
        beat_add_batches(h, &s->consumers[i].waiting);
    }
    beat_send(h);
    free(h);
    if (!queue_source_is_idle(s)) arm(s, &s->beat, s->queue->visibility_ms / 3);
}

/* --- pausing --- */

void queue_pause_key(struct buf *out, struct slice queue) {
    buf_append_text(out, QUEUE_PAUSE_PREFIX);
    buf_append_slice(out, queue);
}

static void on_pause_note(void *context, struct queue_reply *reply) {
    struct queue_source *s = context;
    s->calls--;
    if (s->stopped) return;
    arm(s, &s->look, PAUSE_LOOK_MS);
    if (reply->result != QUEUE_OK) return;
    bool paused = !slice_is_none(reply->value);
    if (paused != s->pausing || !s->pause_known)
        log_event(s->pipeline->log, LOG_INFO, paused ? "queue paused" : "queue is taken from",
                  LOG_SLICE("queue", s->name));
    s->pausing = paused;
    s->pause_known = true;
    source_pump_soon(s);
}

static void on_look(struct deadline *d) {
    struct queue_source *s = container_of(d, struct queue_source, look);
    s->store->ops->recall(s->store, buf_slice(&s->pause_key), source_done(s, on_pause_note));
}

/* --- life --- */

static struct retry_policy policy_of(const struct queue_retry_config *r) {
    return (struct retry_policy){.base_ms = r->base_ms,
                                 .factor = (double)r->factor,
                                 .max_ms = r->max_ms,
                                 .jitter = r->jitter == QUEUE_JITTER_FULL ? RETRY_JITTER_FULL : RETRY_JITTER_NONE,
                                 .max_attempts = r->max_attempts};
}

static void consumer_init(struct consumer *c, struct queue_source *s, const struct queue_source_trigger *t) {
    *c = (struct consumer){.source = s, .config = t->config, .route = t->route, .async = t->async};
    c->window.on_due = on_window;
    list_init(&c->gathering);
    list_init(&c->waiting);
}

struct queue_source *queue_source_new(struct pipeline *p, struct queue_store *store, const struct queue_config *queue,
                                      const struct queue_source_trigger *triggers, size_t count) {
    struct queue_source *s = xcalloc(1, sizeof *s);
    *s = (struct queue_source){.pipeline = p,
                               .store = store,
                               .queue = queue,
                               .name = slice_of(queue->name),
                               .policy = policy_of(&queue->retry),
                               .consumer_count = count,
                               .pausing = true,
                               .pump = {.phase = TURN_DISPATCH, .run = on_pump},
                               .beat = {.on_due = on_beat},
                               .again = {.on_due = on_again},
                               .look = {.on_due = on_look}};
    s->consumers = xcalloc(count, sizeof *s->consumers);
    for (size_t i = 0; i < count; i++) consumer_init(&s->consumers[i], s, &triggers[i]);
    list_init(&s->running);
    list_init(&s->settling);
    list_init(&s->unsettled);
    queue_pause_key(&s->pause_key, s->name);
    return s;
}

void queue_source_start(struct queue_source *s) {
    if (s->watch || s->stopped) return;
    s->watch = s->store->ops->watch(s->store, s->name, on_ready, s);
    arm(s, &s->beat, s->queue->visibility_ms / 3);
    if (s->consumers->async)
        s->pausing = false;
    else
        on_look(&s->look);
}

void queue_source_stop(struct queue_source *s) {
    if (s->stopped) return;
    s->stopped = true;
    s->store->ops->unwatch(s->watch);
    s->watch = NULL;
    deadline_disarm(s->pipeline->deadlines, &s->look);
    deadline_disarm(s->pipeline->deadlines, &s->again);
    source_settle_again(s);
    source_release(s);
}

bool queue_source_is_idle(const struct queue_source *s) {
    return s->stopped && s->calls == 0 && list_empty(&s->running) && !source_waits(s);
}

void queue_source_free(struct queue_source *s) {
    if (!s) return;
    struct deadline *deadlines[] = {&s->beat, &s->again, &s->look};
    assert(s->calls == 0 && list_empty(&s->running));
    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) deadline_disarm(s->pipeline->deadlines, deadlines[i]);
    turn_remove(&s->pump);
    buf_free(&s->pause_key);
    free(s->consumers);
    free(s);
}
