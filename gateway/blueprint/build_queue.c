#include "gateway/base/memory.h"
#include "gateway/base/redis_address.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/build.h"
#include <stdlib.h>

#define BATCH_PRESET 10

/* --- triggers --- */

static void build_filters(const struct trigger_document *d, struct queue_trigger_config *t, struct blueprint *out) {
    struct node *const *values = d->filter.items;
    struct filter_config *filters = arena_zalloc(&out->arena, (d->filter.count + 1) * sizeof *filters);
    for (size_t i = 0; i < d->filter.count; i++)
        if (values[i])
            filters[t->filter_count++] = (struct filter_config){.path = d->filter.keys[i]->text,
                                                                .value = values[i]->text};
    t->filters = filters;
}

static uint64_t or_else(uint64_t value, uint64_t otherwise) {
    return value == VALUE_UNSET ? otherwise : value;
}

void build_queue_trigger(const struct trigger_document *d, struct handler_config *h, struct blueprint *out) {
    struct queue_trigger_config *t = &h->queue_triggers[h->queue_trigger_count++];
    *t = (struct queue_trigger_config){.queue = d->queue->text.p,
                                       .batch = or_else(d->batch, BATCH_PRESET),
                                       .window_ms = or_else(d->window_ms, 0),
                                       .concurrency = or_else(d->concurrency, 0),
                                       .report_failures = d->report_failures == 1,
                                       .line = d->queue->at.line,
                                       .column = d->queue->at.column};
    build_filters(d, t, out);
}

/* --- queues --- */

struct queue_retry_config build_retry(const struct retry_document *d, uint64_t max_attempts) {
    return (struct queue_retry_config){.max_attempts = max_attempts,
                                       .base_ms = d->base_ms,
                                       .factor = d->factor,
                                       .max_ms = d->max_ms,
                                       .jitter = (enum queue_jitter)d->jitter};
}

static const char *text_of(const struct node *n) {
    return n ? n->text.p : NULL;
}

static void check_senders(const struct composition *c, struct binder *b, const struct queue_document *d,
                          const struct handler_config *sender) {
    for (size_t i = 0; i < d->send.count; i++) {
        const struct trigger_document *t = composition_trigger(c, &d->send, i);
        const struct node *other = t->queue ? t->queue : t->schedule ? t->schedule : t->websocket;
        if (other) problems_add(b->problems, other->at, "send: only http triggers can send to a queue");
    }
    for (size_t i = 0; i < sender->http_trigger_count; i++) {
        const struct http_trigger_config *t = &sender->http_triggers[i];
        if (slice_equal(t->method, SLICE("GET")) || slice_equal(t->method, SLICE("HEAD")))
            problems_add(b->problems, (struct position){t->line, t->column},
                         "send: the message is the body of a request, and " SLICE_FMT " has none; write POST",
                         SLICE_ARG(t->method));
    }
}

static void check_url(struct binder *b, const struct node *url) {
    struct redis_address address;
    struct arena a;
    struct error e;
    if (!url) return;
    arena_init(&a, 256);
    if (redis_address_parse(&address, &a, url->text, &e) < 0) problems_add(b->problems, url->at, "url: %s", e.message);
    arena_free(&a);
}

static void build_queue(const struct composition *c, struct binder *b, const struct blueprint_document *d, size_t i,
                        struct blueprint *out) {
    const struct queue_document *document = &((const struct queue_document *)d->queues.items)[i];
    struct queue_config *q = &out->queues[i];
    const struct node *key = d->queues.keys[i];
    *q = (struct queue_config){.name = key->text.p,
                               .visibility_ms = document->visibility_ms,
                               .retry = build_retry(&document->retry, document->max_attempts),
                               .dead_letter = document->dead_letter ? document->dead_letter->text.p : NULL,
                               .retention_ms = or_else(document->retention_ms, 0),
                               .delay_ms = document->delay_ms,
                               .dedup_window_ms = document->dedup_window_ms,
                               .max_message = document->max_message,
                               .fifo = document->fifo == 1,
                               .keeper = (enum queue_keeper)document->store,
                               .url = text_of(document->url),
                               .stream = text_of(document->stream),
                               .group = text_of(document->group),
                               .line = key->at.line,
                               .column = key->at.column};
    q->route_text = arena_printf(&out->arena, "POST /queue/%s%c", q->name, 0).p;
    q->sender = (struct handler_config){.name = arena_printf(&out->arena, "queue %s%c", q->name, 0).p,
                                        .timeout_ms = d->limits.values.body_timeout_ms,
                                        .line = q->line,
                                        .column = q->column};
    build_triggers(c, b, &document->send, &q->sender, out);
    check_senders(c, b, document, &q->sender);
    check_url(b, document->url);
}

void build_queues(const struct composition *c, struct binder *b, const struct blueprint_document *d,
                  struct blueprint *out) {
    const struct node *directory = d->data_directory;
    out->data_directory = directory ? path_resolve(&out->arena, out->directory, directory->text) : out->directory;
    out->queues = arena_zalloc(&out->arena, (d->queues.count + 1) * sizeof *out->queues);
    out->queue_count = d->queues.count;
    for (size_t i = 0; i < out->queue_count; i++) build_queue(c, b, d, i, out);
}

/* --- checks --- */

static struct position queue_position(const struct queue_config *q) {
    return (struct position){q->line, q->column};
}

void queue_unknown(struct problems *p, struct position at, const char *key, const struct blueprint *model,
                   const char *name) {
    const char **names = xcalloc(model->queue_count + 1, sizeof *names);
    for (size_t i = 0; i < model->queue_count; i++) names[i] = model->queues[i].name;
    const char *near = text_nearest(slice_of(name), names, model->queue_count);
    if (near)
        problems_add(p, at, "%s: there is no queue \"%s\"; did you mean \"%s\"?", key, name, near);
    else
        problems_add(p, at, "%s: there is no queue \"%s\"; add it to `queues`", key, name);
    free(names);
}

void check_retry(struct problems *p, struct position at, const struct queue_retry_config *retry) {
    if (retry->base_ms > retry->max_ms)
        problems_add(p, at, "retry: `base` (%llu ms) is longer than `max` (%llu ms)",
                     (unsigned long long)retry->base_ms, (unsigned long long)retry->max_ms);
}

/* Messages that fail in a circle of dead letter queues would go round for ever. */
static void check_dead_letter(struct problems *p, const struct blueprint *model, const struct queue_config *q) {
    const struct queue_config *at = q;
    if (q->dead_letter && !blueprint_queue(model, slice_of(q->dead_letter)))
        queue_unknown(p, queue_position(q), "deadLetter", model, q->dead_letter);
    for (size_t i = 0; i <= model->queue_count && at && at->dead_letter; i++) {
        at = blueprint_queue(model, slice_of(at->dead_letter));
        if (at != q) continue;
        problems_add(p, queue_position(q), "deadLetter: messages of %s would come back to it", q->name);
        return;
    }
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_keeper(struct problems *p, const struct blueprint *model, const struct queue_config *q) {
    const struct queue_config *dead = q->dead_letter ? blueprint_queue(model, slice_of(q->dead_letter)) : NULL;
    bool redis = q->keeper == KEEPER_REDIS;
    if (redis && !q->url)
        problems_add(p, queue_position(q), "store: redis needs a `url`: write redis://[[USER]:PASSWORD@]HOST[:PORT]");
    if (!redis && (q->url || q->stream || q->group))
        problems_add(p, queue_position(q), "url, stream and group are of Redis: add `store: redis`, or remove them");
    if (dead && (dead->keeper != q->keeper || !same_text(dead->url, q->url)))
        problems_add(p, queue_position(q),
                     "deadLetter: %s must have the same `store` and `url`, so that messages go there whole",
                     q->dead_letter);
}

/* Behind a trigger without a filter, none of the same queue would ever be asked. */
static void check_reach(struct problems *p, const struct queue_trigger_config *t, const struct blueprint *model) {
    for (size_t i = 0; i < model->handler_count; i++) {
        const struct handler_config *h = &model->handlers[i];
        for (size_t k = 0; k < h->queue_trigger_count; k++) {
            const struct queue_trigger_config *first = &h->queue_triggers[k];
            if (first == t) return;
            if (first->filter_count || strcmp(first->queue, t->queue) != 0) continue;
            problems_add(p, (struct position){t->line, t->column},
                         "queue: the trigger of %s on line %d takes every message of %s; give that one a `filter`, or "
                         "put it last",
                         h->name, first->line, t->queue);
            return;
        }
    }
}

static void check_trigger(struct problems *p, const struct queue_trigger_config *t, const struct blueprint *model) {
    struct position at = {t->line, t->column};
    const struct queue_config *q = blueprint_queue(model, slice_of(t->queue));
    check_reach(p, t, model);
    if (!q) {
        queue_unknown(p, at, "queue", model, t->queue);
        return;
    }
    if (t->window_ms >= q->visibility_ms)
        problems_add(p, at, "window: %llu ms must be less than the visibilityTimeout of %s (%llu ms)",
                     (unsigned long long)t->window_ms, q->name, (unsigned long long)q->visibility_ms);
    if (t->batch > 1 && q->max_message > (16u << 20) / 4)
        problems_add(p, at, "batch: with a maxMessage above 4MiB, %s can be taken with `batch: 1` only", q->name);
}

void check_queues(struct problems *p, const struct blueprint *model) {
    for (size_t i = 0; i < model->queue_count; i++) {
        check_dead_letter(p, model, &model->queues[i]);
        check_keeper(p, model, &model->queues[i]);
        check_retry(p, queue_position(&model->queues[i]), &model->queues[i].retry);
    }
    for (size_t i = 0; i < model->handler_count; i++)
        for (size_t k = 0; k < model->handlers[i].queue_trigger_count; k++)
            check_trigger(p, &model->handlers[i].queue_triggers[k], model);
}
