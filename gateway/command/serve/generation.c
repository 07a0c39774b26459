#include "gateway/command/serve/generation.h"
#include "gateway/base/memory.h"
#include "gateway/observe/access_log.h"
#include "gateway/observe/recorder.h"
#include "gateway/source/invoke/invoke_source.h"
#include "gateway/source/queue/queue_sender.h"
#include "gateway/source/queue/queue_source.h"
#include "gateway/source/websocket/websocket_source.h"
#include "plugins/plugin.h"
#include <stdlib.h>

/* A handler's place in a generation. */
struct post {
    struct shared_pool *shared;
    struct route invoke_route;
    bool taken_over;
    bool warms; /* is awaited while WARMING */
    bool replaces;
    bool may_keep; /* the predecessor's processes would suit, too */
};

struct generation {
    const struct generation_host *host;
    struct blueprint *blueprint;
    struct pipeline pipeline;
    struct router *router;
    struct route *routes;
    struct hook *hooks;                  /* the access log, the recorder's, the plugins, the recorder's again */
    struct recorder_view *recorder_view; /* NULL = nothing is recorded */
    bool plugged;
    struct post *posts;            /* by handler */
    struct queue_store *store;     /* NULL = there are no queues */
    struct queue_sender **senders; /* by queue; NULL for those without `send` */
    struct queue_source **queues;  /* of the queues that have triggers */
    size_t queue_count;
    struct websocket_site **sites; /* by WebSocket path */
    size_t site_count;
    struct schedules *schedules; /* NULL = none, or not yet */
};

#define FIRST_PLUGIN 2

static struct pool *pool_at(const struct generation *g, size_t i) {
    return shared_pool_pool(g->posts[i].shared);
}

/* --- pools --- */

static const struct post *post_named(const struct generation *g, const char *name) {
    for (size_t i = 0; g && i < g->blueprint->handler_count; i++)
        if (strcmp(g->blueprint->handlers[i].name, name) == 0) return &g->posts[i];
    return NULL;
}

static bool names_have(const struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0) return true;
    return false;
}

/* Whoever is attached cannot be waited for. */
static bool pool_has_processes(const struct pool *p) {
    if (pool_handler(p)->attach) return false;
    return pool_workers(p, WORKER_STARTING) + pool_workers(p, WORKER_IDLE) + pool_workers(p, WORKER_BUSY) > 0;
}

static bool wishes_leave(const struct succession_wishes *w, const struct shared_pool *old, const char *name) {
    if (names_have(&w->kept, name)) return true;
    return !names_have(&w->renewed, name) && shared_pool_is_current(old);
}

static struct post post_fill(struct generation *g, const struct handler_config *h, const struct generation *previous,
                             const struct succession_wishes *wishes) {
    const struct post *old = post_named(previous, h->name);
    bool suits = old && shared_pool_suits(old->shared, g->blueprint, h);
    if (suits && wishes_leave(wishes, old->shared, h->name))
        return (struct post){.shared = shared_pool_hold(old->shared), .taken_over = true};
    bool had_processes = old && pool_has_processes(shared_pool_pool(old->shared));
    return (struct post){.shared = pool_set_add(g->host->pools, g->blueprint, h),
                         .replaces = had_processes || names_have(&wishes->renewed, h->name),
                         .may_keep = suits};
}

static void fill_posts(struct generation *g, const struct generation *previous,
                       const struct succession_wishes *wishes) {
    static const struct succession_wishes none = {.renewed = {NULL, 0}};
    g->posts = xcalloc(g->blueprint->handler_count + 1, sizeof *g->posts);
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        const struct handler_config *h = &g->blueprint->handlers[i];
        g->posts[i] = post_fill(g, h, previous, wishes ? wishes : &none);
        g->posts[i].invoke_route = invoke_route(h, pool_executor(pool_at(g, i)));
    }
}

/* --- routes and plugins --- */

static int open_store(struct generation *g, struct error *e) {
    if (!queue_stores_are_needed(g->host->stores, g->blueprint)) return 0;
    return generation_open_store(g, e) ? 0 : -1;
}

static int add_routes(struct generation *g, const struct handler_config *h, struct executor *executor, size_t *next,
                      struct error *e) {
    for (size_t i = 0; i < h->http_trigger_count; i++) {
        const struct http_trigger_config *t = &h->http_triggers[i];
        struct route *r = &g->routes[(*next)++];
        *r = (struct route){.handler = h, .trigger = t, .executor = executor, .key = slice_of(t->text)};
        int status = router_add(g->router, t->method, t->pattern, r, e);
        if (status < 0) return status;
    }
    return 0;
}

static int add_sender(struct generation *g, size_t queue, size_t *next, struct error *e) {
    const struct queue_config *q = &g->blueprint->queues[queue];
    if (q->sender.http_trigger_count == 0) return 0;
    g->senders[queue] = queue_sender_new(g->store, q);
    return add_routes(g, &q->sender, queue_sender_executor(g->senders[queue]), next, e);
}

static int add_senders(struct generation *g, size_t *next, struct error *e) {
    int status = 0;
    g->senders = xcalloc(g->blueprint->queue_count + 1, sizeof *g->senders);
    for (size_t i = 0; i < g->blueprint->queue_count && status == 0; i++) status = add_sender(g, i, next, e);
    return status;
}

static struct executor *executor_of(void *context, const char *handler_name);

static int add_site(struct generation *g, const struct websocket_config *w, size_t *next, struct error *e) {
    const struct websocket_site_config config = {.source = g->host->websockets,
                                                 .pipeline = &g->pipeline,
                                                 .blueprint = g->blueprint,
                                                 .config = w,
                                                 .executor_of = executor_of,
                                                 .context = g};
    struct websocket_site *site = websocket_site_new(&config);
    const struct route *door = &g->routes[*next];
    g->sites[g->site_count++] = site;
    int status = add_routes(g, &w->door, websocket_site_executor(site), next, e);
    if (status == 0) websocket_site_name_parameters(site, door);
    return status;
}

static int add_sites(struct generation *g, size_t *next, struct error *e) {
    const struct blueprint *b = g->blueprint;
    int status = 0;
    g->sites = xcalloc(b->websocket_count + 1, sizeof *g->sites);
    for (size_t i = 0; i < b->websocket_count && status == 0; i++) status = add_site(g, &b->websockets[i], next, e);
    return status;
}

static int build_routes(struct generation *g, struct error *e) {
    size_t next = 0;
    g->routes = xcalloc(g->blueprint->http_trigger_count + 1, sizeof *g->routes);
    g->router = router_new();
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        int status = add_routes(g, &g->blueprint->handlers[i], pool_executor(pool_at(g, i)), &next, e);
        if (status < 0) return status;
    }
    int status = add_senders(g, &next, e);
    if (status == 0) status = add_sites(g, &next, e);
    if (status < 0) return status;
    g->pipeline.router = g->router;
    return 0;
}

/* --- queues --- */

static size_t collect_queue_triggers(struct generation *g, const struct queue_config *q,
                                     struct queue_source_trigger *triggers) {
    size_t count = 0;
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        const struct handler_config *h = &g->blueprint->handlers[i];
        for (size_t k = 0; k < h->queue_trigger_count; k++) {
            if (strcmp(h->queue_triggers[k].queue, q->name) != 0) continue;
            const struct route route = {
                .handler = h, .executor = pool_executor(pool_at(g, i)), .key = slice_of(q->route_text)};
            triggers[count++] = (struct queue_source_trigger){.config = &h->queue_triggers[k], .route = route};
        }
    }
    return count;
}

static void add_source(struct generation *g, const struct queue_config *q, const struct queue_source_trigger *triggers,
                       size_t count) {
    if (count) g->queues[g->queue_count++] = queue_source_new(&g->pipeline, g->store, q, triggers, count);
}

/* That of a handler's invocations that nobody waits for. */
static void add_async_source(struct generation *g, size_t handler) {
    static const struct queue_trigger_config one_by_one = {.batch = 1};
    const struct handler_config *h = &g->blueprint->handlers[handler];
    const struct queue_source_trigger trigger = {
        .config = &one_by_one, .route = g->posts[handler].invoke_route, .async = &h->async};
    add_source(g, h->async.queue, &trigger, 1);
}

static void build_queues(struct generation *g) {
    const struct blueprint *b = g->blueprint;
    size_t most = 0;
    for (size_t i = 0; i < b->handler_count; i++) most += b->handlers[i].queue_trigger_count;
    struct queue_source_trigger *triggers = xcalloc(most + 1, sizeof *triggers);
    g->queues = xcalloc(b->queue_count + b->handler_count + 1, sizeof *g->queues);
    for (size_t i = 0; i < b->queue_count; i++)
        add_source(g, &b->queues[i], triggers, collect_queue_triggers(g, &b->queues[i], triggers));
    for (size_t i = 0; i < b->handler_count; i++) add_async_source(g, i);
    free(triggers);
}

struct websocket_site *generation_site(const struct generation *g, struct slice path) {
    for (size_t i = 0; i < g->site_count; i++)
        if (slice_equal(websocket_site_path(g->sites[i]), path)) return g->sites[i];
    return NULL;
}

static bool sites_are_idle(const struct generation *g) {
    for (size_t i = 0; i < g->site_count; i++)
        if (!websocket_site_is_idle(g->sites[i])) return false;
    return true;
}

bool generation_has_settled(const struct generation *g) {
    for (size_t i = 0; i < g->queue_count; i++)
        if (!queue_source_is_idle(g->queues[i])) return false;
    return true;
}

struct queue_store *generation_store(const struct generation *g) {
    return g->store;
}

const struct schedules *generation_schedules(const struct generation *g) {
    return g->schedules;
}

struct queue_store *generation_open_store(struct generation *g, struct error *e) {
    g->store = queue_stores_open(g->host->stores, g->blueprint, e);
    if (g->store) build_queues(g);
    return g->store;
}

static struct executor *executor_of(void *context, const char *handler_name) {
    struct pool *pool = generation_pool(context, handler_name);
    return pool ? pool_executor(pool) : NULL;
}

void generation_fetch(struct generation *g) {
    for (size_t i = 0; i < g->queue_count; i++) queue_source_start(g->queues[i]);
    const struct schedules_host host = {.pipeline = &g->pipeline,
                                        .blueprint = g->blueprint,
                                        .store = g->store,
                                        .stores = g->host->stores,
                                        .executor_of = executor_of,
                                        .context = g};
    if (!g->schedules) g->schedules = schedules_start(&host);
}

void generation_stop_fetching(struct generation *g) {
    for (size_t i = 0; i < g->queue_count; i++) queue_source_stop(g->queues[i]);
    schedules_stop(g->schedules);
}

static int build_hooks(struct generation *g, const struct generation *previous, struct error *e) {
    struct loop *loop = g->host->loop;
    const struct plugin_host host = {.clock = loop_clock(loop),
                                     .log = g->host->log,
                                     .deadlines = loop_deadlines(loop),
                                     .turn = loop_turn(loop),
                                     .loop = loop,
                                     .client = g->host->client,
                                     .event_streams = g->host->event_streams,
                                     .development_keys_url = g->host->development_keys_url,
                                     .pipeline = &g->pipeline,
                                     .blueprint = g->blueprint,
                                     .executor_of = executor_of,
                                     .context = g};
    g->hooks = xcalloc(FIRST_PLUGIN + plugin_count + 1, sizeof *g->hooks);
    g->hooks[0] = access_log_hook(g->host->log);
    int status = plugins_open(&host, previous ? previous->hooks + FIRST_PLUGIN : NULL, g->hooks + FIRST_PLUGIN, e);
    if (status < 0) return status;
    g->plugged = true;
    g->pipeline.hooks = g->hooks;
    g->pipeline.hook_count = FIRST_PLUGIN + plugin_count + 1;
    if (g->host->recorder) generation_record(g);
    return 0;
}

void generation_record(struct generation *g) {
    g->recorder_view = recorder_view_new(g->host->recorder, g->blueprint);
    g->hooks[1] = recorder_client_hook(g->recorder_view);
    g->hooks[FIRST_PLUGIN + plugin_count] = recorder_handler_hook(g->recorder_view);
}

/* --- life --- */

struct generation *generation_new(const struct generation_host *host, struct blueprint *b,
                                  const struct generation *previous, const struct succession_wishes *wishes,
                                  struct error *e) {
    struct generation *g = xcalloc(1, sizeof *g);
    struct loop *loop = host->loop;
    g->host = host;
    g->blueprint = blueprint_hold(b);
    pipeline_init(&g->pipeline, loop_clock(loop), host->log, loop_deadlines(loop), loop_turn(loop));
    g->pipeline.in_flight_limit = b->limits.in_flight;
    fill_posts(g, previous, wishes);
    if (open_store(g, e) == 0 && build_routes(g, e) == 0 && build_hooks(g, previous, e) == 0) return g;
    generation_free(g);
    return NULL;
}

struct blueprint *generation_blueprint(const struct generation *g) {
    return g->blueprint;
}

struct pipeline *generation_pipeline(struct generation *g) {
    return &g->pipeline;
}

struct pool *generation_pool(const struct generation *g, const char *handler_name) {
    const struct post *post = post_named(g, handler_name);
    return post ? shared_pool_pool(post->shared) : NULL;
}

bool generation_has_processes(const struct generation *g, const char *handler_name) {
    const struct pool *pool = generation_pool(g, handler_name);
    return pool && pool_has_processes(pool);
}

const struct route *generation_invoke_route(const struct generation *g, const char *handler_name) {
    const struct post *post = post_named(g, handler_name);
    return post ? &post->invoke_route : NULL;
}

void generation_start(struct generation *g) {
    for (size_t i = 0; i < g->blueprint->handler_count; i++)
        if (!g->posts[i].taken_over) pool_start(pool_at(g, i));
}

void generation_warm(struct generation *g) {
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        const struct handler_config *h = &g->blueprint->handlers[i];
        struct post *post = &g->posts[i];
        if (post->taken_over) continue;
        pool_start_at_least(pool_at(g, i), post->replaces);
        post->warms = !h->attach && (post->replaces || h->processes.min > 0);
    }
}

static enum warmth pool_warmth(const struct pool *p, struct error *e) {
    if (pool_workers(p, WORKER_IDLE) + pool_workers(p, WORKER_BUSY) > 0) return GENERATION_WARM;
    if (pool_failures(p) == 0) return GENERATION_WARMING;
    error_set(e, ERROR_STATE, "the new processes of %s do not start: %s", pool_handler(p)->name,
              pool_failure_reason(p));
    return GENERATION_FAILED;
}

enum warmth generation_warmth(const struct generation *g, const struct handler_config **failed, struct error *e) {
    enum warmth all = GENERATION_WARM;
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        if (!g->posts[i].warms) continue;
        *failed = &g->blueprint->handlers[i];
        enum warmth one = pool_warmth(pool_at(g, i), e);
        if (one == GENERATION_FAILED) return one;
        if (one == GENERATION_WARMING) all = one;
    }
    return all;
}

bool generation_may_keep(const struct generation *g, const struct handler_config *handler) {
    return g->posts[handler->index].may_keep;
}

size_t generation_new_pools(const struct generation *g) {
    size_t count = 0;
    for (size_t i = 0; i < g->blueprint->handler_count; i++) count += !g->posts[i].taken_over;
    return count;
}

bool generation_is_over(const struct generation *g) {
    return g->pipeline.in_flight == 0 && generation_has_settled(g) && sites_are_idle(g) &&
           schedules_are_idle(g->schedules) && (!g->plugged || plugins_are_idle(g->hooks + FIRST_PLUGIN));
}

void generation_free(struct generation *g) {
    if (!g) return;
    if (g->plugged) plugins_close(g->hooks + FIRST_PLUGIN);
    for (size_t i = 0; i < g->queue_count; i++) queue_source_free(g->queues[i]);
    free(g->queues);
    schedules_free(g->schedules);
    recorder_view_free(g->recorder_view);
    pipeline_close(&g->pipeline);
    for (size_t i = 0; g->senders && i < g->blueprint->queue_count; i++) queue_sender_free(g->senders[i]);
    free(g->senders);
    for (size_t i = 0; i < g->site_count; i++) websocket_site_free(g->sites[i]);
    free(g->sites);
    router_free(g->router);
    free(g->routes);
    free(g->hooks);
    for (size_t i = 0; g->posts && i < g->blueprint->handler_count; i++) shared_pool_release(g->posts[i].shared);
    free(g->posts);
    blueprint_release(g->blueprint);
    free(g);
}

void generation_forsake(struct generation *g) {
    for (size_t i = 0; g && i < g->blueprint->handler_count; i++)
        if (!g->posts[i].taken_over) shared_pool_forsake(g->posts[i].shared);
    generation_free(g);
}
