/* Which keys belong to which kind of trigger. */
#include "gateway/base/memory.h"
#include "gateway/blueprint/build.h"

/* A key that says something about another kind would be silently ignored. */
static const struct key_row {
    const char *key, *kind, *called;
} key_rows[] = {
    {"batch", "queue", "a queue"},         {"window", "queue", "a queue"}, {"reportFailures", "queue", "a queue"},
    {"concurrency", "queue", "a queue"},   {"filter", "queue", "a queue"}, {"route", "websocket", "a websocket"},
    {"reply", "websocket", "a websocket"},
};

/* Those of http triggers and those of plugins have no row. */
static const struct key_row *row_of(struct slice key) {
    for (size_t i = 0; i < ARRAY_LEN(key_rows); i++)
        if (slice_equal(key, slice_of(key_rows[i].key))) return &key_rows[i];
    return NULL;
}

static bool is_kind(struct slice key) {
    return slice_equal(key, SLICE("http")) || slice_equal(key, SLICE("queue")) || slice_equal(key, SLICE("websocket"));
}

static const char *kind_of(const struct trigger_document *d) {
    return d->queue ? "queue" : d->websocket ? "websocket" : "http";
}

static const char *where_else(const struct trigger_document *d) {
    return d->websocket ? "; for handshakes it stands in `websockets.paths`" : "";
}

static void check_key(struct binder *b, const struct trigger_document *d, const struct node *key) {
    const struct key_row *row = row_of(key->text);
    const char *own = row ? row->kind : "http";
    if (is_kind(key->text) || strcmp(own, kind_of(d)) == 0) return;
    problems_add(b->problems, key->at, "%s: only %s trigger has it; remove it%s", key->text.p,
                 row ? row->called : "an http", row ? "" : where_else(d));
}

void build_refuse_keys(struct binder *b, const struct trigger_document *d) {
    const struct node *map = d->origin;
    for (size_t i = 0; map && i < map->count; i++) check_key(b, d, map->keys[i]);
}
