#include "gateway/command/queue_stores.h"
#include "gateway/base/log.h"
#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_store.h"
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct queue_stores {
    struct loop *loop;
    struct log *log;
    struct queue_store *store;
    char *path;
    bool closing;
};

struct queue_stores *queue_stores_new(struct loop *loop, struct log *log) {
    struct queue_stores *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = log;
    return s;
}

static void tell_moved(const struct queue_stores *s, const char *path) {
    if (strcmp(s->path, path) == 0) return;
    log_event(s->log, LOG_WARN, "queues move with a restart only", LOG_TEXT("kept", s->path), LOG_TEXT("new", path));
}

struct queue_store *queue_stores_open(struct queue_stores *s, const struct blueprint *b, struct error *e) {
    char *path = sqlite_store_path(b->data_directory, slice_of(b->name), e);
    if (!path) return NULL;
    if (s->store) {
        tell_moved(s, path);
        free(path);
        return s->store;
    }
    s->store = sqlite_store_open(s->loop, path, e);
    if (!s->store) {
        free(path);
        return NULL;
    }
    s->path = path;
    log_event(s->log, LOG_INFO, "queues are kept", LOG_TEXT("path", path));
    return s->store;
}

static bool says_async(const struct blueprint *b) {
    for (size_t i = 0; i < b->handler_count; i++)
        if (b->handlers[i].async.said) return true;
    return false;
}

static bool is_there(const struct blueprint *b) {
    char *path = xasprintf("%s/.execgate/%s/queues.db", b->data_directory, b->name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

bool queue_stores_are_needed(const struct queue_stores *s, const struct blueprint *b) {
    return s->store || b->queue_count > 0 || says_async(b) || is_there(b);
}

static void declare(struct queue_stores *s, const struct queue_config *q) {
    const struct queue_settings settings = {.name = slice_of(q->name),
                                            .dead_letter = q->dead_letter ? slice_of(q->dead_letter) : SLICE_NONE,
                                            .retention_ms = q->retention_ms,
                                            .dedup_window_ms = q->dedup_window_ms,
                                            .message_size_bytes = (uint32_t)q->max_message};
    s->store->ops->declare(s->store, &settings);
}

void queue_stores_declare(struct queue_stores *s, const struct blueprint *b) {
    if (!s->store) return;
    for (size_t i = 0; i < b->queue_count; i++) declare(s, &b->queues[i]);
    for (size_t i = 0; i < b->handler_count; i++) declare(s, b->handlers[i].async.queue);
}

static void on_closed(void *context) {
    struct queue_stores *s = context;
    s->store = NULL;
}

void queue_stores_close(struct queue_stores *s) {
    if (s->closing || !s->store) return;
    s->closing = true;
    s->store->ops->close(s->store, on_closed, s);
}

bool queue_stores_are_closed(const struct queue_stores *s) {
    return s->store == NULL;
}

void queue_stores_free(struct queue_stores *s) {
    if (!s) return;
    assert(!s->store);
    free(s->path);
    free(s);
}
