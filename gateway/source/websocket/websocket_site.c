#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/source/queue/queue_filter.h"
#include "gateway/source/websocket/websocket_private.h"
#include "gateway/websocket/handshake.h"
#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_places.h"
#include <assert.h>
#include <stdlib.h>

#define SCRATCH_SIZE 512

/* --- routes --- */

static const struct site_route *route_named(const struct websocket_site *s, struct slice name) {
    for (size_t i = 0; i < s->route_count; i++)
        if (slice_equal(s->routes[i].name, name)) return &s->routes[i];
    return NULL;
}

/* Messages cannot ask for what only connections do. */
static bool is_named(struct slice name) {
    return name.n > 0 && name.p[0] != '$';
}

static const struct site_route *route_asked(const struct websocket_site *s, struct slice text) {
    const struct site_route *found = NULL;
    struct arena scratch;
    if (!json_is_valid(text)) return NULL;
    arena_init(&scratch, SCRATCH_SIZE);
    struct json_value value = queue_filter_member(text, slice_of(s->config->route_key), &scratch);
    if (value.kind == JSON_STRING) {
        struct slice name = json_text_of(&scratch, value);
        if (is_named(name)) found = route_named(s, name);
    }
    arena_free(&scratch);
    return found;
}

const struct site_route *site_route_for(const struct websocket_site *s, const struct message *m) {
    const struct site_route *asked = NULL;
    if (s->named && m->kind == WEBSOCKET_TEXT) asked = route_asked(s, m->bytes->bytes);
    return asked ? asked : s->preset;
}

static void site_add_route(struct websocket_site *s, const struct websocket_site_config *c,
                           const struct handler_config *h, const struct websocket_trigger_config *t) {
    struct site_route *r = &s->routes[s->route_count++];
    r->trigger = t;
    r->name = slice_of(t->route);
    r->route = (struct route){.handler = h, .executor = c->executor_of(c->context, h->name), .key = slice_of(t->text)};
    if (is_named(r->name)) s->named++;
}

static void site_add_routes(struct websocket_site *s, const struct websocket_site_config *c) {
    const struct blueprint *b = c->blueprint;
    size_t most = 0;
    for (size_t i = 0; i < b->handler_count; i++) most += b->handlers[i].websocket_trigger_count;
    s->routes = xcalloc(most + 1, sizeof *s->routes);
    for (size_t i = 0; i < b->handler_count; i++) {
        const struct handler_config *h = &b->handlers[i];
        for (size_t k = 0; k < h->websocket_trigger_count; k++)
            if (strcmp(h->websocket_triggers[k].path, c->config->path) == 0)
                site_add_route(s, c, h, &h->websocket_triggers[k]);
    }
    s->connect = route_named(s, SLICE("$connect"));
    s->disconnect = route_named(s, SLICE("$disconnect"));
    s->preset = route_named(s, SLICE("$default"));
}

void websocket_site_name_parameters(struct websocket_site *s, const struct route *door) {
    s->proof_route.parameter_names = door->parameter_names;
    s->proof_route.parameter_count = door->parameter_count;
    for (size_t i = 0; i < s->route_count; i++) {
        s->routes[i].route.parameter_names = door->parameter_names;
        s->routes[i].route.parameter_count = door->parameter_count;
    }
}

/* --- origins --- */

static struct cors_origins *origins_of(const struct slice *items, size_t count) {
    struct cors_origins *o = cors_origins_new();
    for (size_t i = 0; i < count; i++) cors_origins_add(o, items[i]);
    return o;
}

static struct cors_origins *site_origins(const struct websocket_site_config *c) {
    const struct websocket_config *w = c->config;
    if (w->origins_from == WEBSOCKET_ORIGINS_LIST) return origins_of(w->origins, w->origin_count);
    if (w->origins_from == WEBSOCKET_ORIGINS_ANY || !w->door.http_triggers) return NULL;
    const struct slices *listed = cors_origins_for(c->blueprint, w->door.http_triggers);
    return listed ? origins_of(listed->items, listed->count) : NULL;
}

/* A page's origin cannot be forged by the page (RFC 6455 10.2). Given twice, it is nobody's. */
bool site_trusts_origin(const struct websocket_site *s, const struct request *r) {
    struct slice origin = fields_get(&r->headers, SLICE("Origin"));
    if (slice_is_none(origin) || s->config->origins_from == WEBSOCKET_ORIGINS_ANY) return true;
    if (fields_count(&r->headers, SLICE("Origin")) != 1) return false;
    if (s->origins && cors_origins_match(s->origins, origin) != CORS_REFUSED) return true;
    return s->config->origins_from == WEBSOCKET_ORIGINS_CORS && handshake_same_origin(origin, r->scheme, r->host);
}

/* --- the executor --- */

static enum failure on_room(struct executor *e, uint32_t *retry_after_s) {
    const struct websocket_source *s = container_of(e, struct websocket_site, executor)->source;
    *retry_after_s = 1;
    return s->sessions.length < s->max_connections ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static void on_cancel(struct executor *e, struct invocation *inv) {
    (void)e;
    (void)inv; /* never RUNNING */
}

/* What the guards of those who prove late are asked through: the door's, whose rules they are. */
static void site_add_proof(struct websocket_site *s) {
    const struct handler_config *door = &s->config->door;
    s->prover.ops = &proof_executor;
    s->proof_route = (struct route){
        .handler = door, .trigger = door->http_triggers, .executor = &s->prover, .key = slice_of(s->config->path)};
}

static const struct executor_ops site_ops = {
    .room = on_room, .submit = handshake_submit, .completed = handshake_completed, .cancel = on_cancel};

struct websocket_site *websocket_site_new(const struct websocket_site_config *c) {
    struct websocket_site *s = xcalloc(1, sizeof *s);
    s->executor.ops = &site_ops;
    s->source = c->source;
    s->pipeline = c->pipeline;
    s->config = c->config;
    s->origins = site_origins(c);
    list_init(&s->pending);
    site_add_routes(s, c);
    site_add_proof(s);
    return s;
}

struct executor *websocket_site_executor(struct websocket_site *s) {
    return &s->executor;
}

struct slice websocket_site_path(const struct websocket_site *s) {
    return slice_of(s->config->path);
}

bool websocket_site_is_idle(const struct websocket_site *s) {
    return s->busy == 0;
}

void websocket_site_free(struct websocket_site *s) {
    if (!s) return;
    cors_origins_free(s->origins);
    free(s->routes);
    free(s);
}
