#include "gateway/command/serve/queue_stores.h"
#include "gateway/base/log.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include "gateway/queue/redis_store.h"
#include "gateway/queue/routed_store.h"
#include "gateway/queue/sqlite_store.h"
#include <assert.h>
#include <stdlib.h>

struct redis_place {
    const char *url;
    struct queue_store *store;
};
struct queue_stores {
    struct loop *loop;
    struct log *log;
    struct queue_store *store; /* all of them as one; NULL = not opened */
    char *path;                /* of the SQLite file */
    struct redis_place redis[ROUTED_STORES_MAX];
    size_t redis_count;
    struct map *places; /* queue -> what place_of said when it was first seen */
    struct arena memory;
    bool closing;
};

struct queue_stores *queue_stores_new(struct loop *loop, struct log *log) {
    struct queue_stores *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = log;
    s->places = map_new();
    return s;
}

static void tell_moved(const struct queue_stores *s, const char *path) {
    if (strcmp(s->path, path) == 0) return;
    log_event(s->log, LOG_WARN, "queues move with a restart only", LOG_TEXT("kept", s->path), LOG_TEXT("new", path));
}

/* --- the file --- */

static int file_open(struct queue_stores *s, const struct blueprint *b, struct error *e) {
    char *path = sqlite_store_path(b->data_directory, slice_of(b->name), e);
    if (!path) return -ERROR_SYSTEM;
    if (s->store) {
        tell_moved(s, path);
        free(path);
        return 0;
    }
    struct queue_store *home = sqlite_store_open(s->loop, path, e);
    if (!home) {
        free(path);
        return -ERROR_SYSTEM;
    }
    s->store = routed_store_new(s->loop, home);
    s->path = path;
    log_event(s->log, LOG_INFO, "queues are kept", LOG_TEXT("path", path));
    return 0;
}

/* --- Redis --- */

/* One connection to each server, however many queues are there. */
static struct queue_store *redis_at(struct queue_stores *s, const struct blueprint *b, const char *url,
                                    struct error *e) {
    for (size_t i = 0; i < s->redis_count; i++)
        if (strcmp(s->redis[i].url, url) == 0) return s->redis[i].store;
    if (s->redis_count == ROUTED_STORES_MAX - 1) {
        error_set(e, ERROR_LIMIT, "queues can be in %d Redis servers at most", ROUTED_STORES_MAX - 1);
        return NULL;
    }
    const struct redis_store_options options = {.url = slice_of(url), .name = slice_of(b->name), .log = s->log};
    struct queue_store *store = redis_store_open(s->loop, &options, e);
    if (!store) return NULL;
    bool added = routed_store_add(s->store, store);
    assert(added);
    (void)added;
    s->redis[s->redis_count++] = (struct redis_place){arena_text(&s->memory, slice_of(url)), store};
    return store;
}

static struct slice optional(const char *text) {
    return text ? slice_of(text) : SLICE_NONE;
}

/* A queue stays where it was when it was first seen: its messages do, too. */
static bool is_placed(struct queue_stores *s, const struct queue_config *q) {
    const char *place = q->url ? q->url : "", *before = map_get(s->places, slice_of(q->name));
    if (!before) {
        map_put(s->places, slice_of(q->name), arena_text(&s->memory, slice_of(place)));
        return false;
    }
    if (strcmp(before, place) != 0)
        log_event(s->log, LOG_WARN, "a queue moves to another store with a restart only", LOG_TEXT("queue", q->name));
    return true;
}

static int queue_place(struct queue_stores *s, const struct blueprint *b, const struct queue_config *q,
                       struct error *e) {
    struct queue_store *store = q->url ? redis_at(s, b, q->url, e) : NULL;
    if (q->url && !store) return -ERROR_FORMAT;
    if (is_placed(s, q) || !store) return 0;
    redis_store_bind(store, slice_of(q->name), optional(q->stream), optional(q->group));
    routed_store_route(s->store, slice_of(q->name), store);
    return 0;
}

struct queue_store *queue_stores_open(struct queue_stores *s, const struct blueprint *b, struct error *e) {
    int status = file_open(s, b, e);
    for (size_t i = 0; status == 0 && i < b->queue_count; i++) status = queue_place(s, b, &b->queues[i], e);
    return status < 0 ? NULL : s->store;
}

/* --- all of them --- */

static bool says_async(const struct blueprint *b) {
    for (size_t i = 0; i < b->handler_count; i++)
        if (b->handlers[i].async.said) return true;
    return false;
}

bool queue_stores_are_needed(const struct queue_stores *s, const struct blueprint *b) {
    return s->store || b->queue_count > 0 || says_async(b) || sqlite_store_exists(b->data_directory, slice_of(b->name));
}

static void declare(struct queue_stores *s, const struct queue_config *q) {
    const struct queue_settings settings = {.name = slice_of(q->name),
                                            .dead_letter = optional(q->dead_letter),
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
    map_free(s->places);
    arena_free(&s->memory);
    free(s);
}
