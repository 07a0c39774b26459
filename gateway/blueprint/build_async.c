#include "gateway/base/memory.h"
#include "gateway/blueprint/build.h"
#include <stdlib.h>

#define VISIBILITY_MS 30000
#define MESSAGE_MAX (1024 * 1024 + 16 * 1024) /* the largest payload, and what is told beside it */

static const char *async_queue_name(struct arena *a, struct slice handler) {
    return arena_printf(a, "async/" SLICE_FMT "%c", SLICE_ARG(handler), 0).p;
}

/* An unknown queue keeps its name, for check_async to complain about. */
static struct destination_config build_destination(const struct destination_document *d, struct blueprint *out) {
    const struct node *n = d->queue ? d->queue : d->handler;
    if (!n) return (struct destination_config){.queue = NULL};
    const struct queue_config *q = d->queue ? blueprint_queue(out, n->text) : NULL;
    return (struct destination_config){.queue = d->queue ? n->text.p : async_queue_name(&out->arena, n->text),
                                       .max_message = q ? q->max_message : MESSAGE_MAX,
                                       .line = n->at.line,
                                       .column = n->at.column};
}

static struct queue_config *build_own_queue(const struct async_document *d, const struct handler_config *h,
                                            struct arena *a) {
    struct queue_config *q = arena_zalloc(a, sizeof *q);
    *q = (struct queue_config){.name = async_queue_name(a, slice_of(h->name)),
                               .visibility_ms = VISIBILITY_MS,
                               .retry = build_retry(&d->retry, d->max_attempts),
                               .max_message = MESSAGE_MAX,
                               .line = h->line,
                               .column = h->column};
    q->dead_letter = arena_printf(a, "%s/failed%c", q->name, 0).p;
    return q;
}

void build_async(const struct blueprint_document *d, struct blueprint *out) {
    for (size_t i = 0; i < out->handler_count; i++) {
        const struct async_document *async = &((const struct handler_document *)d->handlers.items)[i].async;
        struct handler_config *h = &out->handlers[i];
        h->async = (struct async_config){.said = async->origin || d->defaults.async.origin,
                                         .queue = build_own_queue(async, h, &out->arena),
                                         .max_age_ms = async->max_age_ms,
                                         .on_success = build_destination(&async->on_success, out),
                                         .on_failure = build_destination(&async->on_failure, out)};
    }
}

/* --- checks --- */

static const struct handler_config *handler_of(const struct blueprint *model, const char *queue) {
    for (size_t i = 0; i < model->handler_count; i++)
        if (strcmp(model->handlers[i].async.queue->name, queue) == 0) return &model->handlers[i];
    return NULL;
}

static void check_destination(struct problems *p, const struct blueprint *model, const struct destination_config *d,
                              const char *key) {
    if (!d->queue || blueprint_queue(model, slice_of(d->queue)) || handler_of(model, d->queue)) return;
    struct position at = {d->line, d->column};
    if (strncmp(d->queue, "async/", 6) == 0)
        problems_add(p, at, "%s: there is no handler \"%s\"", key, d->queue + 6);
    else
        queue_unknown(p, at, key, model, d->queue);
}

/* True when the end of one of its invocations can lead to another of `goal`. */
static bool leads_to(const struct blueprint *model, const struct handler_config *from,
                     const struct handler_config *goal, bool *seen) {
    const char *queues[] = {from->async.on_success.queue, from->async.on_failure.queue};
    for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
        const struct handler_config *next = queues[i] ? handler_of(model, queues[i]) : NULL;
        if (!next || seen[next->index]) continue;
        seen[next->index] = true;
        if (next == goal || leads_to(model, next, goal, seen)) return true;
    }
    return false;
}

static void check_circle(struct problems *p, const struct blueprint *model, const struct handler_config *h) {
    bool *seen = xcalloc(model->handler_count, sizeof *seen);
    if (leads_to(model, h, h, seen))
        problems_add(p, (struct position){h->line, h->column},
                     "async: the destinations lead back to %s; it would invoke itself for ever", h->name);
    free(seen);
}

void check_async(struct problems *p, const struct blueprint *model) {
    for (size_t i = 0; i < model->handler_count; i++) {
        const struct handler_config *h = &model->handlers[i];
        check_destination(p, model, &h->async.on_success, "onSuccess");
        check_destination(p, model, &h->async.on_failure, "onFailure");
        check_circle(p, model, h);
        check_retry(p, (struct position){h->line, h->column}, &h->async.queue->retry);
    }
}
