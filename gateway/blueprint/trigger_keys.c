#include "gateway/base/memory.h"
#include "gateway/blueprint/build.h"

/* Which kind of trigger a key is for. The first of a kind names it; all that are not listed, those of plugins too, are
 * keys of http triggers. */
static const struct {
    const char *key, *kind;
} owners[] = {
    {"schedule", "schedule"}, {"timeZone", "schedule"}, {"input", "schedule"},      {"name", "schedule"},
    {"jitter", "schedule"},   {"overlap", "schedule"},  {"missed", "schedule"},     {"maxMissed", "schedule"},
    {"queue", "queue"},       {"batch", "queue"},       {"window", "queue"},        {"reportFailures", "queue"},
    {"concurrency", "queue"}, {"filter", "queue"},      {"websocket", "websocket"}, {"route", "websocket"},
    {"reply", "websocket"},
};

static const char *kind_of(struct slice key) {
    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        if (slice_equal(key, slice_of(owners[i].key))) return owners[i].kind;
    return "http";
}

void check_trigger_keys(struct binder *b, const struct trigger_document *d) {
    const struct node *map = d->origin;
    const char *kind = d->schedule ? "schedule" : d->queue ? "queue" : d->websocket ? "websocket" : "http";
    if (!d->schedule && !d->queue && !d->websocket && !d->http) return; /* which kind is meant is not known */
    for (size_t i = 0; map && i < map->count; i++) {
        struct slice key = map->keys[i]->text;
        const char *owner = kind_of(key);
        if (strcmp(owner, kind) == 0 || slice_equal(key, slice_of(owner))) continue; /* two kinds: told already */
        if (problems_know(b->problems, map->keys[i]->at)) continue;                  /* unknown keys */
        bool handshake = *owner == 'h' && d->websocket;
        problems_add(b->problems, map->keys[i]->at, "%s: only %s %s trigger has it; remove it%s", key.p,
                     *owner == 'h' ? "an" : "a", owner,
                     handshake ? ", or say it of the handshake in `websockets.paths`" : "");
    }
}
