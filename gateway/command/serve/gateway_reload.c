#include "gateway/base/memory.h"
#include "gateway/command/serve/gateway_private.h"
#include <stdlib.h>

void gateway_reload_from(struct gateway *g, const struct blueprint_source *source) {
    g->reload.source = *source;
}

/* --- wishes --- */

static void names_add(struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0) return;
    names->items = xrealloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = xstrdup(name);
}

static void names_clear(struct names *names) {
    for (size_t i = 0; i < names->count; i++) free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}

static void wishes_clear(struct succession_wishes *w) {
    names_clear(&w->renewed);
    names_clear(&w->kept);
}

/* --- the candidate --- */

static void candidate_drop(struct gateway *g) {
    generation_forsake(g->reload.candidate);
    g->reload.candidate = NULL;
}

void gateway_reload_abandon(struct gateway *g) {
    candidate_drop(g);
    wishes_clear(&g->reload.wishes);
}

void gateway_reload_free(struct gateway *g) {
    gateway_reload_abandon(g);
}

static void candidate_fail(struct gateway *g, const char *why) {
    gateway_reload_abandon(g);
    log_event(g->log, LOG_ERROR, "reload refused, what was served goes on", LOG_TEXT("why", why));
}

/* A candidate that still warms up makes way; what it was to renew, its successor does. However many follow each other,
 * no more than the last one's processes are still on their way out. */
static void candidate_make(struct gateway *g, struct blueprint *b) {
    struct reload *r = &g->reload;
    struct error e = {0};
    struct generation *fresh = generation_new(&g->host, b, g->current, &r->wishes, &e);
    pool_set_hasten(g->pools);
    candidate_drop(g);
    r->candidate = fresh;
    if (!fresh) {
        candidate_fail(g, e.message);
        return;
    }
    generation_warm(fresh);
    gateway_look_soon(g);
}

static int candidate_listen(struct gateway *g, const struct blueprint *b, struct error *e) {
    if (!g->own_listeners) return 0;
    return http_source_relisten(g->http, b->listeners, b->listener_count, e);
}

static void retire(struct gateway *g, struct generation *old) {
    g->retired = xrealloc(g->retired, (g->retired_count + 1) * sizeof(struct generation *));
    g->retired[g->retired_count++] = old;
}

static void tell_cluster(const struct gateway *g, const struct blueprint *b) {
    const char *before = g->cluster_url ? g->cluster_url : "", *now = b->websocket_cluster ? b->websocket_cluster : "";
    if (g->takes_messages && strcmp(before, now) != 0)
        log_event(g->log, LOG_WARN, "websockets.cluster changes with a restart only");
}

static void apply_limits(struct gateway *g, const struct blueprint *b) {
    struct limits_config limits = b->limits;
    if (limits.max_header > g->most_header) {
        limits.max_header = g->most_header;
        log_event(g->log, LOG_WARN, "limits.maxHeader grows with a restart only", LOG_INT("bytes", g->most_header));
    }
    g->once.max_answer = limits.max_answer;
    runtime_api_limit(g->runtime_api, &limits);
    http_source_follow(g->http, generation_pipeline(g->current), &limits);
    http_source_trust(g->http, b->trusted_proxies, b->trusted_proxy_count);
    websocket_source_limit(g->websockets, b->limits.connections);
    websocket_source_follow(g->websockets);
}

static void candidate_serve(struct gateway *g) {
    struct generation *fresh = g->reload.candidate, *old = g->current;
    const struct blueprint *b = generation_blueprint(fresh);
    struct error e = {0};
    if (candidate_listen(g, b, &e) < 0) {
        candidate_fail(g, e.message);
        return;
    }
    g->current = fresh;
    g->reload.candidate = NULL;
    wishes_clear(&g->reload.wishes);
    apply_limits(g, b);
    tell_cluster(g, b);
    generation_stop_fetching(old);
    gateway_queues_follow(g);
    retire(g, old);
    log_event(g->log, LOG_INFO, "reloaded", LOG_TEXT("name", b->name), LOG_INT("handlers", b->handler_count),
              LOG_INT("replaced", generation_new_pools(fresh)));
}

void gateway_reload(struct gateway *g) {
    struct reload *r = &g->reload;
    if (g->stage != GATEWAY_SERVING || !r->source.load) return;
    names_clear(&r->wishes.kept); /* whatever did not start may have been mended */
    struct blueprint *b = r->source.load(r->source.context);
    if (b)
        candidate_make(g, b);
    else
        candidate_fail(g, "the blueprint has problems");
    blueprint_release(b);
}

void gateway_renew(struct gateway *g, const char *handler) {
    names_add(&g->reload.wishes.renewed, handler);
}

/* --- what goes on meanwhile --- */

/* One handler's new executable that does not start holds up nobody else: its processes go on as they are. */
static void candidate_go_without(struct gateway *g, const struct handler_config *failed, const struct error *e) {
    const struct generation *candidate = g->reload.candidate;
    if (!generation_may_keep(candidate, failed)) {
        candidate_fail(g, e->message);
        return;
    }
    bool old_ones = generation_has_processes(g->current, failed->name);
    log_event(g->log, LOG_ERROR,
              old_ones ? "new processes refused, the old ones go on"
                       : "new processes refused, and no old ones are left",
              LOG_TEXT("handler", failed->name), LOG_TEXT("why", e->message));
    names_add(&g->reload.wishes.kept, failed->name);
    candidate_make(g, generation_blueprint(candidate));
}

static void candidate_look(struct gateway *g) {
    const struct handler_config *failed = NULL;
    struct error e = {0};
    switch (generation_warmth(g->reload.candidate, &failed, &e)) {
    case GENERATION_WARMING: return;
    case GENERATION_WARM: candidate_serve(g); return;
    case GENERATION_FAILED: candidate_go_without(g, failed, &e); return;
    }
}

static void retired_sweep(struct gateway *g) {
    size_t left = 0;
    for (size_t i = 0; i < g->retired_count; i++) {
        if (generation_is_over(g->retired[i]))
            generation_free(g->retired[i]);
        else
            g->retired[left++] = g->retired[i];
    }
    g->retired_count = left;
}

bool gateway_reload_look(struct gateway *g) {
    if (g->reload.candidate) candidate_look(g);
    retired_sweep(g);
    bool leaving = pool_set_sweep(g->pools);
    return leaving || g->reload.candidate || g->retired_count > 0;
}
