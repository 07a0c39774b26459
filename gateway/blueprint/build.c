#include "gateway/blueprint/build.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/environment.h"
#include "gateway/blueprint/executable.h"
#include "gateway/blueprint/route_text.h"
#include <stdlib.h>

#define SERVER_CONCURRENCY 64
#define ATTACH_TIMEOUT_MS (24ULL * 60 * 60 * 1000)
#define ATTACH_START_MS (365 * ATTACH_TIMEOUT_MS)

void document_complete(const struct composition *c, struct arena *a, struct blueprint_document *d) {
    struct handler_document *handlers = d->handlers.items;
    for (size_t i = 0; i < d->handlers.count; i++) schema_inherit(a, &defaults_schema, &handlers[i], &d->defaults);
    schema_preset(&c->blueprint, d);
}

static const char *node_text(const struct node *n) {
    return n ? n->text.p : "";
}

/* A path is relative to the blueprint; a bare name that is not in PATH stays bare, for check.c to complain about. */
static char *resolve_executable(struct slice word, struct blueprint *out) {
    if (slice_find(word, '/') >= 0)
        return arena_text(&out->arena, slice_of(path_resolve(&out->arena, out->directory, word)));
    const char *found = executable_find(&out->arena, word);
    return arena_text(&out->arena, found ? slice_of(found) : word);
}

static char **build_words(const struct bound_command *command, struct blueprint *out) {
    char **words = arena_zalloc(&out->arena, (command->count + 1) * sizeof *words);
    for (size_t i = 0; i < command->count; i++) {
        struct slice word = command->words[i]->text;
        words[i] = i == 0 ? resolve_executable(word, out) : arena_text(&out->arena, word);
    }
    return words;
}

static void build_sources(const struct handler_document *d, struct handler_config *h, struct blueprint *out) {
    struct node *const *paths = d->sources.items;
    const char **sources = arena_zalloc(&out->arena, (d->sources.count + 1) * sizeof *sources);
    for (size_t i = 0; i < d->sources.count; i++)
        if (paths[i]) sources[h->source_count++] = path_resolve(&out->arena, out->directory, paths[i]->text);
    h->sources = sources;
}

/* A person may think for a day; more would be as good as never. */
static void build_attached(const struct handler_document *d, struct handler_config *h) {
    h->attach = true;
    h->processes.min = h->processes.max = 1;
    h->processes.max_invocations = h->processes.max_memory = 0;
    h->processes.start_timeout_ms = ATTACH_START_MS;
    if (!d->origin || !node_get(d->origin, "timeout")) h->timeout_ms = ATTACH_TIMEOUT_MS;
}

static bool is_attached(const struct composition *c, const struct handler_document *d, const char *name) {
    for (size_t i = 0; i < c->attach_count; i++)
        if (strcmp(c->attach[i], name) == 0) return true;
    return d->attach == 1;
}

static void build_environment(struct binder *b, const struct handler_document *d, struct handler_config *h,
                              struct blueprint *out) {
    struct node *const *values = d->environment.items;
    h->environment = arena_zalloc(&out->arena, (d->environment.count + 1) * sizeof *h->environment);
    for (size_t i = 0; i < d->environment.count; i++) {
        const struct node *name = d->environment.keys[i];
        const char *why = environment_reserved(name->text, h->mode);
        if (why) problems_add(b->problems, name->at, "%s may not be set here: %s", name->text.p, why);
        if (why || !values[i]) continue;
        h->environment[h->environment_count++] = (struct environment_variable){
            .name = name->text.p, .value = values[i]->text.p, .secret = values[i]->secret};
    }
}

static void build_trigger(struct binder *b, struct trigger_document *d, struct handler_config *h,
                          struct blueprint *out) {
    struct http_trigger_config t = {.number = out->http_trigger_count};
    struct error e;
    d->number = VALUE_UNSET;
    check_trigger_keys(b, d);
    if (d->schedule) build_schedule(b, d, h, out);
    if (d->queue) build_queue_trigger(d, h, out);
    if (d->websocket) build_websocket_trigger(b, d, h, out);
    if (!d->http) return;
    if (route_parse(d->http->text, &out->arena, &t, &e) < 0) {
        problems_add(b->problems, d->http->at, "http: %s", e.message);
        return;
    }
    t.line = d->http->at.line;
    t.column = d->http->at.column;
    d->number = out->http_trigger_count++;
    h->http_triggers[h->http_trigger_count++] = t;
}

void build_triggers(const struct composition *c, struct binder *b, const struct bound_items *triggers,
                    struct handler_config *h, struct blueprint *out) {
    h->http_triggers = arena_zalloc(&out->arena, (triggers->count + 1) * sizeof *h->http_triggers);
    h->queue_triggers = arena_zalloc(&out->arena, (triggers->count + 1) * sizeof *h->queue_triggers);
    h->websocket_triggers = arena_zalloc(&out->arena, (triggers->count + 1) * sizeof *h->websocket_triggers);
    h->schedules = arena_zalloc(&out->arena, (triggers->count + 1) * sizeof *h->schedules);
    for (size_t i = 0; i < triggers->count; i++) build_trigger(b, composition_trigger(c, triggers, i), h, out);
}

/* What `defaults` says about concurrency is meant for those handlers that can have more than one event at once. */
static uint64_t concurrency_of(const struct handler_document *d) {
    if (d->mode == HANDLER_ONCE) return 1;
    uint64_t given = d->processes.values.concurrency;
    if (given != VALUE_UNSET) return given;
    return d->mode == HANDLER_SERVER ? SERVER_CONCURRENCY : 1;
}

static void check_attach_names(struct binder *b, const struct composition *c, const struct blueprint *out) {
    const char **names = xcalloc(out->handler_count + 1, sizeof *names);
    for (size_t k = 0; k < out->handler_count; k++) names[k] = out->handlers[k].name;
    for (size_t i = 0; i < c->attach_count; i++) {
        const char *near = text_nearest(slice_of(c->attach[i]), names, out->handler_count);
        if (near && strcmp(near, c->attach[i]) == 0) continue;
        problems_add(b->problems, (struct position){0, 0}, "--attach %s: there is no such handler%s%s%s", c->attach[i],
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    free(names);
}

static void build_handler(const struct composition *c, struct binder *b, const struct blueprint_document *d, size_t i,
                          struct blueprint *out) {
    const struct handler_document *document = &((const struct handler_document *)d->handlers.items)[i];
    struct handler_config *h = &out->handlers[i];
    const struct node *key = d->handlers.keys[i];
    h->name = key->text.p;
    h->index = i;
    h->line = key->at.line;
    h->column = key->at.column;
    h->mode = (enum handler_mode)document->mode;
    h->server_socket = (enum server_socket)document->socket;
    h->timeout_ms = document->timeout_ms;
    h->queue_limit = document->queue_limit;
    h->processes = document->processes.values;
    h->processes.concurrency = concurrency_of(document);
    const struct node *directory = document->working_directory;
    h->working_directory = directory ? path_resolve(&out->arena, out->directory, directory->text) : out->directory;
    h->command = build_words(&document->command, out);
    if (document->build.count) h->build = build_words(&document->build, out);
    build_sources(document, h, out);
    build_environment(b, document, h, out);
    if (is_attached(c, document, h->name)) build_attached(document, h);
}

void blueprint_build(const struct composition *c, struct binder *b, struct blueprint_document *d,
                     struct blueprint *out) {
    const struct handler_document *handlers = d->handlers.items;
    out->name = node_text(d->name);
    out->limits = d->limits.values;
    build_listeners(b, d, out);
    build_admin(b, d, out);
    build_trusted_proxies(b, d, out);
    out->handlers = arena_zalloc(&out->arena, (d->handlers.count + 1) * sizeof *out->handlers);
    out->handler_count = d->handlers.count;
    for (size_t i = 0; i < out->handler_count; i++) {
        build_handler(c, b, d, i, out);
        build_triggers(c, b, &handlers[i].triggers, &out->handlers[i], out);
    }
    build_queues(c, b, d, out);
    build_websockets(c, b, d, out);
    build_async(d, out);
    check_attach_names(b, c, out);
}
