#include "gateway/base/memory.h"
#include "gateway/base/redis_address.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/build.h"
#include "gateway/blueprint/route_text.h"
#include <stdlib.h>

#define ROUTE_KEY_PRESET "action"

static uint64_t or_else(uint64_t value, uint64_t otherwise) {
    return value == VALUE_UNSET ? otherwise : value;
}

static const char *const own_routes[] = {"$connect", "$disconnect", "$default"};

/* Names that begin with $ are the gateway's, so a misspelt one is no message that never comes. */
static void check_route_name(struct binder *b, const struct node *route) {
    struct slice name = route->text;
    if (name.n == 0)
        problems_add(b->problems, route->at, "route: a name is missing; `$default` takes all that no other does");
    if (name.n == 0 || name.p[0] != '$') return;
    for (size_t i = 0; i < ARRAY_LEN(own_routes); i++)
        if (slice_equal(name, slice_of(own_routes[i]))) return;
    const char *near = text_nearest(name, own_routes, ARRAY_LEN(own_routes));
    if (near)
        problems_add(b->problems, route->at, "route: there is no event %s; did you mean \"%s\"?", name.p, near);
    else
        problems_add(b->problems, route->at,
                     "route: there is no event %s; expected $connect, $disconnect, $default or a name without $",
                     name.p);
}

void build_websocket_trigger(struct binder *b, const struct trigger_document *d, struct handler_config *h,
                             struct blueprint *out) {
    struct websocket_trigger_config *t = &h->websocket_triggers[h->websocket_trigger_count++];
    struct slice route = d->route ? d->route->text : SLICE("$default");
    *t = (struct websocket_trigger_config){.path = d->websocket->text.p,
                                           .route = route.p,
                                           .reply = d->reply == 1,
                                           .line = d->websocket->at.line,
                                           .column = d->websocket->at.column};
    t->text = arena_printf(&out->arena, "websocket %s %s%c", t->path, t->route, 0).p;
    if (d->route) check_route_name(b, d->route);
    if (t->reply && (slice_equal(route, SLICE("$connect")) || slice_equal(route, SLICE("$disconnect"))))
        problems_add(b->problems, d->websocket->at, "reply: what answers %s is not a message; remove it", t->route);
}

/* --- paths --- */

static struct slice *build_texts(const struct bound_items *items, size_t *count, struct arena *a) {
    struct node *const *nodes = items->items;
    struct slice *texts = arena_zalloc(a, (items->count + 1) * sizeof *texts);
    for (size_t i = 0; i < items->count; i++)
        if (nodes[i]) texts[(*count)++] = nodes[i]->text;
    return texts;
}

/* Its handshake is a GET that takes the way of every other request. */
static void build_door(struct binder *b, struct websocket_path_document *d, struct websocket_config *w,
                       struct blueprint *out) {
    struct http_trigger_config *t = arena_zalloc(&out->arena, sizeof *t);
    struct slice text = arena_printf(&out->arena, "GET %s", w->path);
    struct error e;
    t->guarded_later = w->auth_by_message;
    t->line = w->line;
    t->column = w->column;
    d->number = VALUE_UNSET;
    w->door = (struct handler_config){
        .name = w->path, .timeout_ms = out->limits.body_timeout_ms, .line = w->line, .column = w->column};
    if (route_parse(text, &out->arena, t, &e) < 0) {
        problems_add(b->problems, (struct position){w->line, w->column}, "websocket: %s", e.message);
        return;
    }
    d->number = t->number = out->http_trigger_count++;
    w->door.http_triggers = t;
    w->door.http_trigger_count = 1;
}

/* What a key goes with, where it says nothing by itself. */
static void check_key_alone(struct binder *b, const struct node *path, const char *key, const char *other) {
    const struct node *n = path ? node_get(path, key) : NULL;
    if (n) problems_add(b->problems, n->at, "%s: says nothing without `%s`; add that, or remove it", key, other);
}

/* API Gateway writes `$request.body.action`. */
static void check_route_key(struct binder *b, const struct node *key) {
    struct slice prefix = SLICE("$request.body."), text = key->text;
    if (slice_starts_with(text, prefix))
        problems_add(b->problems, key->at, "routeKey: the name of a member, found \"%s\"; write %s", text.p,
                     text.p + prefix.n);
    else if (text.n == 0)
        problems_add(b->problems, key->at, "routeKey: a name is missing; without the key it is `" ROUTE_KEY_PRESET "`");
}

static void check_path_keys(struct binder *b, const struct websocket_path_document *d) {
    if (d->route_key) check_route_key(b, d->route_key);
    if (d->auth != 1) check_key_alone(b, d->origin, "authTimeout", "auth: message");
    if (d->rate_per_day == VALUE_UNSET) check_key_alone(b, d->origin, "messageBurst", "messageRate");
}

static void build_path(struct binder *b, struct websocket_path_document *d, struct websocket_config *w,
                       struct blueprint *out) {
    w->route_key = d->route_key ? d->route_key->text.p : ROUTE_KEY_PRESET;
    w->origins_from = d->origins_word == 2   ? WEBSOCKET_ORIGINS_ANY
                      : d->origins.count > 0 ? WEBSOCKET_ORIGINS_LIST
                                             : WEBSOCKET_ORIGINS_CORS;
    w->origins = build_texts(&d->origins, &w->origin_count, &out->arena);
    w->protocols = build_texts(&d->protocols, &w->protocol_count, &out->arena);
    w->deflate = (unsigned)d->deflate;
    w->concurrency = d->concurrency;
    w->max_message = d->max_message;
    w->max_frame = or_else(d->max_frame, d->max_message);
    w->max_outbound = d->max_outbound;
    w->ping_ms = d->ping_ms;
    w->pong_ms = d->pong_ms;
    w->idle_ms = d->idle_ms;
    w->rate_per_day = or_else(d->rate_per_day, 0);
    w->burst = d->burst;
    w->max_connections = or_else(d->max_connections, 0);
    w->max_per_client = or_else(d->max_per_client, 0);
    w->max_groups = d->max_groups;
    w->auth_by_message = d->auth == 1;
    w->auth_timeout_ms = d->auth_timeout_ms;
    w->acknowledge = (struct acknowledge_config){.on = d->acknowledge.origin != NULL,
                                                 .window_ms = d->acknowledge.window_ms,
                                                 .resend_ms = d->acknowledge.resend_ms,
                                                 .max_resends = d->acknowledge.max_resends};
    check_path_keys(b, d);
    build_door(b, d, w, out);
}

static struct websocket_config *websocket_named(struct blueprint *out, const char *path) {
    for (size_t i = 0; i < out->websocket_count; i++)
        if (strcmp(out->websockets[i].path, path) == 0) return &out->websockets[i];
    return NULL;
}

/* A path that only triggers name has the defaults. */
static void build_unsaid(struct binder *b, const struct websocket_trigger_config *t, struct blueprint *out) {
    struct websocket_path_document defaults;
    if (websocket_named(out, t->path)) return;
    schema_clear(&websocket_path_schema, &defaults);
    schema_preset(&websocket_path_schema, &defaults);
    struct websocket_config *w = &out->websockets[out->websocket_count++];
    *w = (struct websocket_config){.path = t->path, .line = t->line, .column = t->column};
    build_path(b, &defaults, w, out);
}

static void build_cluster(struct binder *b, const struct websockets_document *d, struct blueprint *out) {
    struct redis_address address;
    struct arena a;
    struct error e;
    out->websocket_lease_ms = d->lease_ms;
    if (!d->cluster) check_key_alone(b, d->origin, "lease", "cluster");
    if (!d->cluster) return;
    out->websocket_cluster = d->cluster->text.p;
    arena_init(&a, 256);
    if (redis_address_parse(&address, &a, d->cluster->text, &e) < 0)
        problems_add(b->problems, d->cluster->at, "cluster: %s", e.message);
    arena_free(&a);
}

void build_websockets(const struct composition *c, struct binder *b, struct blueprint_document *d,
                      struct blueprint *out) {
    build_cluster(b, &d->websockets, out);
    const struct bound_items *paths = &d->websockets.paths;
    size_t most = paths->count;
    for (size_t i = 0; i < out->handler_count; i++) most += out->handlers[i].websocket_trigger_count;
    out->websockets = arena_zalloc(&out->arena, (most + 1) * sizeof *out->websockets);
    for (size_t i = 0; i < paths->count; i++) {
        const struct node *key = paths->keys[i];
        struct websocket_config *w = &out->websockets[out->websocket_count++];
        *w = (struct websocket_config){.path = key->text.p, .line = key->at.line, .column = key->at.column};
        build_path(b, composition_path(c, paths, i), w, out);
    }
    for (size_t i = 0; i < out->handler_count; i++)
        for (size_t k = 0; k < out->handlers[i].websocket_trigger_count; k++)
            build_unsaid(b, &out->handlers[i].websocket_triggers[k], out);
}

/* --- checks --- */

static struct position position_of(const struct websocket_trigger_config *t) {
    return (struct position){t->line, t->column};
}

static void check_twice(struct problems *p, const struct websocket_trigger_config *t, const struct blueprint *model) {
    for (size_t i = 0; i < model->handler_count; i++) {
        const struct handler_config *h = &model->handlers[i];
        for (size_t k = 0; k < h->websocket_trigger_count; k++) {
            const struct websocket_trigger_config *first = &h->websocket_triggers[k];
            if (first == t) return;
            if (strcmp(first->path, t->path) != 0 || strcmp(first->route, t->route) != 0) continue;
            problems_add(p, position_of(t), "websocket: %s %s has the handler %s on line %d already; remove one",
                         t->path, t->route, h->name, first->line);
            return;
        }
    }
}

static bool path_has_trigger(const struct blueprint *model, const char *path) {
    for (size_t i = 0; i < model->handler_count; i++)
        for (size_t k = 0; k < model->handlers[i].websocket_trigger_count; k++)
            if (strcmp(model->handlers[i].websocket_triggers[k].path, path) == 0) return true;
    return false;
}

/* The path of a trigger that was meant, perhaps; NULL when none is like it. */
static const char *path_nearest(const struct blueprint *model, const char *path) {
    size_t count = 0, most = 0;
    for (size_t i = 0; i < model->handler_count; i++) most += model->handlers[i].websocket_trigger_count;
    const char **paths = xcalloc(most + 1, sizeof *paths);
    for (size_t i = 0; i < model->handler_count; i++)
        for (size_t k = 0; k < model->handlers[i].websocket_trigger_count; k++)
            paths[count++] = model->handlers[i].websocket_triggers[k].path;
    const char *near = text_nearest(slice_of(path), paths, count);
    free(paths);
    return near;
}

static void check_path_used(struct problems *p, const struct websocket_config *w, const struct blueprint *model) {
    const struct position at = {w->line, w->column};
    if (path_has_trigger(model, w->path)) return;
    const char *near = path_nearest(model, w->path);
    if (w->path[0] != '/')
        problems_add(p, at, "%s: a path begins with /; write /%s", w->path, w->path);
    else if (near)
        problems_add(p, at, "%s: no trigger has this path; did you mean \"%s\"?", w->path, near);
    else
        problems_add(p, at, "%s: no trigger has this path; give a handler `websocket: %s`, or remove it", w->path,
                     w->path);
}

void check_websockets(struct problems *p, const struct blueprint *model) {
    for (size_t i = 0; i < model->handler_count; i++)
        for (size_t k = 0; k < model->handlers[i].websocket_trigger_count; k++)
            check_twice(p, &model->handlers[i].websocket_triggers[k], model);
    for (size_t i = 0; i < model->websocket_count; i++) check_path_used(p, &model->websockets[i], model);
}
