#include "gateway/command/gateway.h"
#include "gateway/base/memory.h"
#include "gateway/client/http_client.h"
#include "gateway/command/dev_issuer.h"
#include "gateway/loop/loop.h"
#include "gateway/observe/access_log.h"
#include "gateway/observe/status.h"
#include "gateway/pool/supervisor.h"
#include "gateway/source/http_source.h"
#include "gateway/source/invoke_source.h"
#include "local-api/once.h"
#include "local-api/runtime_api.h"
#include "local-api/server_proxy.h"
#include "plugins/plugin.h"
#include <signal.h>
#include <stdlib.h>

#define DRAIN_CHECK_MS 10
#define LOG_RETRY_MS 10
#define KILL_WAIT_MS 3000

enum gateway_stage { GATEWAY_SERVING, GATEWAY_DRAINING, GATEWAY_STOPPING, GATEWAY_STOPPED };

struct gateway {
    struct blueprint *blueprint;
    struct log *log;
    struct loop *loop;
    struct pipeline pipeline;
    struct router *router;
    struct route *routes;
    struct hook *hooks; /* the access log, then the plugins */
    struct supervisor *supervisor;
    struct pool_host host;
    struct pool **pools;
    struct route *invoke_routes; /* by handler */
    struct runtime_api *runtime_api;
    struct server_proxy *server_proxy;
    struct once_context once;
    struct http_source *http;
    struct http_client *client;
    struct dev_issuer *dev_issuer; /* NULL = none */
    struct turn_task log_task;
    struct deadline log_retry;
    struct deadline drain_check;
    struct deadline drain_limit;
    enum gateway_stage stage;
    bool hurried; /* the first signal is as good as a second one */
    bool forced;
    void (*on_output)(void *context, const struct worker *w, enum output_stream stream, struct slice line);
    void *output_context;
};

/* Whoever reads the log may be slow: what is left is tried again soon, and the loop never waits for it. */
static void flush_log(struct turn_task *task) {
    struct gateway *g = container_of(task, struct gateway, log_task);
    if (log_flush(g->log)) return;
    deadline_arm(loop_deadlines(g->loop), &g->log_retry, clock_now_ms(loop_clock(g->loop)) + LOG_RETRY_MS);
}

static void on_log_retry(struct deadline *d) {
    turn_add(loop_turn(container_of(d, struct gateway, log_retry)->loop),
             &container_of(d, struct gateway, log_retry)->log_task);
}

static void on_log_pending(void *context) {
    struct gateway *g = context;
    turn_add(loop_turn(g->loop), &g->log_task);
}

/* --- stopping --- */

static bool all_pools_empty(const struct gateway *g) {
    for (size_t i = 0; i < g->blueprint->handler_count; i++)
        if (!pool_is_empty(g->pools[i])) return false;
    return true;
}

static void check_again(struct gateway *g) {
    deadline_arm(loop_deadlines(g->loop), &g->drain_check, clock_now_ms(loop_clock(g->loop)) + DRAIN_CHECK_MS);
}

static void stop_processes(struct gateway *g) {
    g->stage = GATEWAY_STOPPING;
    for (size_t i = 0; i < g->blueprint->handler_count; i++) pool_drain(g->pools[i]);
}

static void on_drain_check(struct deadline *d) {
    struct gateway *g = container_of(d, struct gateway, drain_check);
    if (g->stage == GATEWAY_DRAINING && g->pipeline.in_flight == 0) stop_processes(g);
    if (g->stage == GATEWAY_STOPPING && all_pools_empty(g) && http_source_is_idle(g->http)) {
        g->stage = GATEWAY_STOPPED;
        loop_stop(g->loop);
        return;
    }
    check_again(g);
}

static void stop_now(struct gateway *g, const char *why) {
    if (g->forced) return;
    g->forced = true;
    log_event(g->log, LOG_WARN, "stopping at once", LOG_TEXT("reason", why),
              LOG_INT("in_flight", g->pipeline.in_flight));
    for (size_t i = 0; i < g->blueprint->handler_count; i++) pool_kill(g->pools[i]);
    stop_processes(g);
}

static void on_drain_limit(struct deadline *d) {
    struct gateway *g = container_of(d, struct gateway, drain_limit);
    if (!g->forced) {
        stop_now(g, "the shutdown timeout passed");
        deadline_arm(loop_deadlines(g->loop), d, clock_now_ms(loop_clock(g->loop)) + KILL_WAIT_MS);
        return;
    }
    http_source_abort(g->http);
}

static void drain(struct gateway *g) {
    uint64_t now = clock_now_ms(loop_clock(g->loop));
    g->stage = GATEWAY_DRAINING;
    g->pipeline.draining = true;
    http_source_drain(g->http);
    deadline_arm(loop_deadlines(g->loop), &g->drain_limit, now + g->blueprint->limits.shutdown_timeout_ms);
    check_again(g);
}

static void on_stop_signal(void *context, int signal_number) {
    struct gateway *g = context;
    if (g->stage == GATEWAY_SERVING) {
        log_event(g->log, LOG_INFO, "stopping", LOG_TEXT("signal", sigabbrev_np(signal_number)),
                  LOG_INT("in_flight", g->pipeline.in_flight));
        drain(g);
        if (!g->hurried) return;
    }
    stop_now(g, "a second signal");
    deadline_arm(loop_deadlines(g->loop), &g->drain_limit, clock_now_ms(loop_clock(g->loop)) + KILL_WAIT_MS);
}

static void on_status_signal(void *context, int signal_number) {
    (void)signal_number;
    struct gateway *g = context;
    status_log(g->pools, g->blueprint->handler_count);
}

/* --- building --- */

static int add_routes_of(struct gateway *g, size_t handler, size_t *next, struct error *e) {
    const struct handler_config *h = &g->blueprint->handlers[handler];
    for (size_t i = 0; i < h->http_trigger_count; i++) {
        const struct http_trigger_config *t = &h->http_triggers[i];
        struct route *r = &g->routes[(*next)++];
        *r = (struct route){
            .handler = h, .trigger = t, .executor = pool_executor(g->pools[handler]), .key = slice_of(t->text)};
        int status = router_add(g->router, t->method, t->pattern, r, e);
        if (status < 0) return status;
    }
    return 0;
}

static int build_routes(struct gateway *g, struct error *e) {
    size_t total = 0, next = 0;
    for (size_t i = 0; i < g->blueprint->handler_count; i++) total += g->blueprint->handlers[i].http_trigger_count;
    g->routes = xcalloc(total + 1, sizeof *g->routes);
    g->router = router_new();
    for (size_t i = 0; i < g->blueprint->handler_count; i++) {
        int status = add_routes_of(g, i, &next, e);
        if (status < 0) return status;
    }
    g->pipeline.router = g->router;
    return 0;
}

static struct pool *build_pool(struct gateway *g, const struct handler_config *h) {
    switch (h->mode) {
    case HANDLER_RUNTIME: return pool_new(&g->host, h, &runtime_transport, g->runtime_api);
    case HANDLER_ONCE: return pool_new(&g->host, h, &once_transport, &g->once);
    case HANDLER_SERVER: return pool_new(&g->host, h, &server_transport, g->server_proxy);
    }
    abort();
}

static void tell_output(void *context, const struct worker *w, enum output_stream stream, struct slice line) {
    const struct gateway *g = context;
    if (g->on_output) g->on_output(g->output_context, w, stream, line);
}

static void build_invoke_routes(struct gateway *g) {
    g->invoke_routes = xcalloc(g->blueprint->handler_count + 1, sizeof *g->invoke_routes);
    for (size_t i = 0; i < g->blueprint->handler_count; i++)
        g->invoke_routes[i] = invoke_route(&g->blueprint->handlers[i], pool_executor(g->pools[i]));
}

static int build_pools(struct gateway *g, struct error *e) {
    g->supervisor = supervisor_new(g->loop, g->log);
    g->runtime_api = runtime_api_new(g->loop, g->log, &g->blueprint->limits, e);
    g->server_proxy = g->runtime_api ? server_proxy_new(g->loop, g->log, e) : NULL;
    if (!g->server_proxy) return -1;
    g->once = (struct once_context){.loop = g->loop, .log = g->log, .max_answer = g->blueprint->limits.max_answer};
    g->host = (struct pool_host){.clock = loop_clock(g->loop),
                                 .log = g->log,
                                 .deadlines = loop_deadlines(g->loop),
                                 .turn = loop_turn(g->loop),
                                 .launcher = supervisor_launcher(g->supervisor),
                                 .application = g->blueprint->name,
                                 .on_output = tell_output,
                                 .output_context = g};
    g->pools = xcalloc(g->blueprint->handler_count + 1, sizeof(struct pool *));
    for (size_t i = 0; i < g->blueprint->handler_count; i++) g->pools[i] = build_pool(g, &g->blueprint->handlers[i]);
    build_invoke_routes(g);
    return 0;
}

static const struct handler_config *handler_of(const struct gateway *g, const char *name) {
    for (size_t i = 0; i < g->blueprint->handler_count; i++)
        if (strcmp(g->blueprint->handlers[i].name, name) == 0) return &g->blueprint->handlers[i];
    return NULL;
}

struct pool *gateway_pool(const struct gateway *g, const char *handler_name) {
    const struct handler_config *h = handler_of(g, handler_name);
    return h ? g->pools[h->index] : NULL;
}

static struct executor *executor_of(void *context, const char *handler_name) {
    struct pool *pool = gateway_pool(context, handler_name);
    return pool ? pool_executor(pool) : NULL;
}

static int build_hooks(struct gateway *g, struct error *e) {
    const struct plugin_host host = {.clock = loop_clock(g->loop),
                                     .log = g->log,
                                     .deadlines = loop_deadlines(g->loop),
                                     .turn = loop_turn(g->loop),
                                     .loop = g->loop,
                                     .client = g->client,
                                     .development_keys_url = g->dev_issuer ? dev_issuer_keys_url(g->dev_issuer) : NULL,
                                     .pipeline = &g->pipeline,
                                     .blueprint = g->blueprint,
                                     .executor_of = executor_of,
                                     .context = g};
    g->hooks = xcalloc(plugin_count + 1, sizeof *g->hooks);
    g->hooks[0] = access_log_hook(g->log);
    int status = plugins_open(&host, g->hooks + 1, e);
    g->pipeline.hooks = g->hooks;
    g->pipeline.hook_count = status < 0 ? 0 : plugin_count + 1;
    return status;
}

static int watch_signals(struct gateway *g, struct error *e) {
    static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++) {
        int status = loop_on_signal(g->loop, stop_signals[i], on_stop_signal, g, e);
        if (status < 0) return status;
    }
    return loop_on_signal(g->loop, SIGUSR1, on_status_signal, g, e);
}

static int build_client(struct gateway *g, enum gateway_issuers issuers, struct error *e) {
    g->client = http_client_new(g->loop, getenv("SSL_CERT_FILE"), e);
    if (!g->client) return -1;
    if (issuers == GATEWAY_ISSUERS_REAL) return 0;
    g->dev_issuer = dev_issuer_new(g->loop, g->log, e);
    if (!g->dev_issuer) return -1;
    log_event(g->log, LOG_WARN, "development issuer: jwt guards believe tokens that `execgate token` makes here",
              LOG_TEXT("url", dev_issuer_url(g->dev_issuer)));
    return 0;
}

static int build(struct gateway *g, struct clock *clock, enum gateway_issuers issuers, struct error *e) {
    g->loop = loop_new(clock, e);
    if (!g->loop || build_client(g, issuers, e) < 0) return -1;
    pipeline_init(&g->pipeline, clock, g->log, loop_deadlines(g->loop), loop_turn(g->loop));
    g->pipeline.in_flight_limit = g->blueprint->limits.in_flight;
    if (build_pools(g, e) < 0 || build_routes(g, e) < 0 || build_hooks(g, e) < 0) return -1;
    g->http = http_source_new(g->loop, &g->pipeline, &g->blueprint->limits, e);
    if (!g->http) return -1;
    http_source_trust(g->http, g->blueprint->trusted_proxies, g->blueprint->trusted_proxy_count);
    return watch_signals(g, e);
}

struct gateway *gateway_new(struct blueprint *b, struct clock *clock, struct log *log, enum gateway_issuers issuers,
                            struct error *e) {
    struct gateway *g = xcalloc(1, sizeof *g);
    g->blueprint = blueprint_hold(b);
    g->log = log;
    g->log_task = (struct turn_task){.phase = TURN_LAST, .run = flush_log};
    g->drain_check.on_due = on_drain_check;
    g->log_retry.on_due = on_log_retry;
    g->drain_limit.on_due = on_drain_limit;
    if (build(g, clock, issuers, e) < 0) {
        gateway_free(g);
        return NULL;
    }
    log_on_pending(log, on_log_pending, g);
    return g;
}

int gateway_listen(struct gateway *g, const struct listener_config *listeners, size_t count, struct error *e) {
    if (count == 0) {
        listeners = g->blueprint->listeners;
        count = g->blueprint->listener_count;
    }
    for (size_t i = 0; i < count; i++) {
        int status = http_source_listen(g->http, &listeners[i], e);
        if (status < 0) return status;
    }
    return 0;
}

size_t gateway_address_count(const struct gateway *g) {
    return http_source_listener_count(g->http);
}
const char *gateway_address(const struct gateway *g, size_t index) {
    return http_source_address(g->http, index);
}
enum listener_scheme gateway_scheme(const struct gateway *g, size_t index) {
    return http_source_scheme(g->http, index);
}

const char *gateway_dev_issuer(const struct gateway *g) {
    return g->dev_issuer ? dev_issuer_url(g->dev_issuer) : NULL;
}

bool gateway_serve(struct gateway *g) {
    for (size_t i = 0; i < g->blueprint->handler_count; i++) pool_start(g->pools[i]);
    loop_run(g->loop);
    return !g->forced;
}

void gateway_stop(struct gateway *g) {
    if (g->stage == GATEWAY_SERVING) drain(g);
}

void gateway_hurry(struct gateway *g) {
    g->hurried = true;
}

struct pipeline *gateway_pipeline(struct gateway *g) {
    return &g->pipeline;
}

struct loop *gateway_loop(struct gateway *g) {
    return g->loop;
}

const struct route *gateway_invoke_route(const struct gateway *g, const char *handler_name) {
    const struct handler_config *h = handler_of(g, handler_name);
    return h ? &g->invoke_routes[h->index] : NULL;
}

void gateway_on_output(struct gateway *g,
                       void (*on_output)(void *context, const struct worker *w, enum output_stream stream,
                                         struct slice line),
                       void *context) {
    g->on_output = on_output;
    g->output_context = context;
}

/* --- taking down --- */

static bool nothing_left(void *context) {
    struct gateway *g = context;
    return all_pools_empty(g) && http_source_is_idle(g->http) && runtime_api_is_idle(g->runtime_api) &&
           (!g->dev_issuer || dev_issuer_is_idle(g->dev_issuer));
}

/* A gateway that never served, or whose loop stopped with something left, is emptied by force before it is freed. */
static void settle(struct gateway *g) {
    if (!g->http || !g->pools) return;
    if (g->dev_issuer) dev_issuer_close(g->dev_issuer);
    if (!nothing_left(g)) {
        for (size_t i = 0; i < g->blueprint->handler_count; i++) pool_kill(g->pools[i]);
        http_source_abort(g->http);
    }
    loop_run_until(g->loop, nothing_left, g, KILL_WAIT_MS);
}

static void free_pools(struct gateway *g) {
    for (size_t i = 0; g->pools && i < g->blueprint->handler_count; i++) pool_free(g->pools[i]);
    free(g->pools);
    free(g->invoke_routes);
    server_proxy_free(g->server_proxy);
    runtime_api_free(g->runtime_api);
    supervisor_free(g->supervisor);
}

void gateway_free(struct gateway *g) {
    if (!g) return;
    settle(g);
    log_on_pending(g->log, NULL, NULL);
    http_source_free(g->http);
    free_pools(g);
    if (g->hooks && g->pipeline.hook_count) plugins_close(g->hooks + 1);
    http_client_free(g->client);
    dev_issuer_free(g->dev_issuer);
    if (g->loop) {
        pipeline_close(&g->pipeline);
        deadline_disarm(loop_deadlines(g->loop), &g->drain_check);
        deadline_disarm(loop_deadlines(g->loop), &g->drain_limit);
        deadline_disarm(loop_deadlines(g->loop), &g->log_retry);
        turn_remove(&g->log_task);
    }
    loop_free(g->loop);
    router_free(g->router);
    free(g->routes);
    free(g->hooks);
    blueprint_release(g->blueprint);
    free(g);
}
