#include "gateway/base/memory.h"
#include "gateway/command/serve/attach_notice.h"
#include "gateway/command/serve/gateway_private.h"
#include "gateway/observe/recorder.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 10
#define LOG_RETRY_MS 10
#define ECHO_MS 100
#define KILL_WAIT_MS 3000
#define STORE_WAIT_MS 60000 /* a commit may take its time; messages are at stake */

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

size_t gateway_in_flight(const struct gateway *g) {
    size_t n = generation_pipeline(g->current)->in_flight;
    for (size_t i = 0; i < g->retired_count; i++) n += generation_pipeline(g->retired[i])->in_flight;
    return n;
}

void gateway_look_soon(struct gateway *g) {
    if (deadline_armed(&g->look)) return;
    deadline_arm(loop_deadlines(g->loop), &g->look, clock_now_ms(loop_clock(g->loop)) + LOOK_MS);
}

/* What was fetched must be settled before the store is closed. */
static bool queues_are_over(const struct gateway *g) {
    for (size_t i = 0; i < g->retired_count; i++)
        if (!generation_has_settled(g->retired[i])) return false;
    return generation_has_settled(g->current);
}

static void stop_processes(struct gateway *g) {
    g->stage = GATEWAY_STOPPING;
    pool_set_drain(g->pools);
    if (g->admin) admin_drain(g->admin);
}

static void abort_connections(struct gateway *g) {
    http_source_abort(g->http);
    websocket_source_abort(g->websockets);
    event_streams_abort(event_source_streams(g->events));
    if (g->admin) admin_abort(g->admin);
}

static bool connections_are_over(const struct gateway *g) {
    return http_source_is_idle(g->http) && websocket_source_is_idle(g->websockets) &&
           event_streams_count(event_source_streams(g->events)) == 0 && (!g->admin || admin_is_idle(g->admin));
}

static void on_look(struct deadline *d) {
    struct gateway *g = container_of(d, struct gateway, look);
    bool again = gateway_reload_look(g);
    if (g->stage == GATEWAY_DRAINING && gateway_in_flight(g) == 0 && websocket_source_is_idle(g->websockets))
        stop_processes(g);
    if (g->stage == GATEWAY_STOPPING && pool_set_is_empty(g->pools) && connections_are_over(g) && queues_are_over(g)) {
        g->stage = GATEWAY_STOPPED;
        loop_stop(g->loop);
    }
    if (again || g->stage == GATEWAY_DRAINING || g->stage == GATEWAY_STOPPING) gateway_look_soon(g);
}

static void stop_now(struct gateway *g, const char *why) {
    if (g->forced) return;
    g->forced = true;
    log_event(g->log, LOG_WARN, "stopping at once", LOG_TEXT("reason", why),
              LOG_INT("in_flight", gateway_in_flight(g)));
    pool_set_kill(g->pools);
    stop_processes(g);
}

static void on_drain_limit(struct deadline *d) {
    struct gateway *g = container_of(d, struct gateway, drain_limit);
    if (!g->forced) {
        stop_now(g, "the shutdown timeout passed");
        deadline_arm(loop_deadlines(g->loop), d, clock_now_ms(loop_clock(g->loop)) + KILL_WAIT_MS);
        return;
    }
    abort_connections(g);
}

static void drain(struct gateway *g) {
    uint64_t now = clock_now_ms(loop_clock(g->loop));
    g->stage = GATEWAY_DRAINING;
    gateway_reload_abandon(g);
    generation_stop_fetching(g->current);
    generation_pipeline(g->current)->draining = true;
    for (size_t i = 0; i < g->retired_count; i++) generation_pipeline(g->retired[i])->draining = true;
    http_source_drain(g->http);
    websocket_source_drain(g->websockets);
    event_streams_drain(event_source_streams(g->events));
    deadline_arm(loop_deadlines(g->loop), &g->drain_limit,
                 now + generation_blueprint(g->current)->limits.shutdown_timeout_ms);
    gateway_look_soon(g);
}

/* timeout(1), npm and others pass on a signal that the whole process group has got already. */
static bool is_echo(const struct gateway *g, int signal_number) {
    return signal_number == g->stop_signal && clock_now_ms(loop_clock(g->loop)) < g->stop_ms + ECHO_MS;
}

void gateway_stop(struct gateway *g) {
    if (g->stage == GATEWAY_SERVING) drain(g);
}

void gateway_stop_at_once(struct gateway *g, const char *why) {
    gateway_stop(g);
    stop_now(g, why);
    deadline_arm(loop_deadlines(g->loop), &g->drain_limit, clock_now_ms(loop_clock(g->loop)) + KILL_WAIT_MS);
}

static void on_stop_signal(void *context, int signal_number) {
    struct gateway *g = context;
    if (is_echo(g, signal_number)) return;
    g->stop_signal = signal_number;
    g->stop_ms = clock_now_ms(loop_clock(g->loop));
    if (g->stage == GATEWAY_SERVING) {
        log_event(g->log, LOG_INFO, "stopping", LOG_TEXT("signal", sigabbrev_np(signal_number)),
                  LOG_INT("in_flight", gateway_in_flight(g)));
        drain(g);
        if (!g->hurried) return;
    }
    gateway_stop_at_once(g, "a second signal");
}

/* Its window was closed: the kernel says so with a SIGHUP, too (setsid(2), tty hangup). */
static bool terminal_has_gone(const struct gateway *g) {
    return g->on_terminal && !isatty(STDERR_FILENO);
}

static void on_reload_signal(void *context, int signal_number) {
    struct gateway *g = context;
    if (terminal_has_gone(g)) {
        on_stop_signal(context, signal_number);
        return;
    }
    log_event(g->log, LOG_INFO, "reloading", LOG_TEXT("signal", "HUP"));
    gateway_reload(g);
}

static void on_status_signal(void *context, int signal_number) {
    (void)signal_number;
    struct gateway *g = context;
    pool_set_log(g->pools);
}

/* --- building --- */

static void tell_output(void *context, const struct worker *w, enum output_stream stream, struct slice line) {
    const struct gateway *g = context;
    if (g->on_output) g->on_output(g->output_context, w, stream, line);
}

static void on_attach_wait(void *context, const struct worker *w, const struct launch *launch) {
    struct gateway *g = context;
    attach_notice_tell(g->log, w->handler, launch);
}

static int build_pools(struct gateway *g, const struct limits_config *limits, struct error *e) {
    g->supervisor = supervisor_new(g->loop, g->log);
    g->attacher = attacher_new(loop_turn(g->loop), on_attach_wait, g);
    g->runtime_api = runtime_api_new(g->loop, g->log, limits, e);
    g->server_proxy = g->runtime_api ? server_proxy_new(g->loop, g->log, e) : NULL;
    if (!g->server_proxy) return -1;
    g->once = (struct once_context){.loop = g->loop, .log = g->log, .max_answer = limits->max_answer};
    const struct pool_set_config config = {.loop = g->loop,
                                           .log = g->log,
                                           .supervisor = g->supervisor,
                                           .attacher = g->attacher,
                                           .runtime_api = g->runtime_api,
                                           .server_proxy = g->server_proxy,
                                           .once = &g->once,
                                           .on_output = tell_output,
                                           .output_context = g};
    g->pools = pool_set_new(&config);
    return 0;
}

static int build_generation(struct gateway *g, struct blueprint *b, struct error *e) {
    g->host = (struct generation_host){.loop = g->loop,
                                       .log = g->log,
                                       .client = g->client,
                                       .development_keys_url = g->dev_issuer ? dev_issuer_keys_url(g->dev_issuer)
                                                                             : NULL,
                                       .pools = g->pools,
                                       .stores = g->stores,
                                       .websockets = g->websockets,
                                       .event_streams = event_source_streams(g->events)};
    g->current = generation_new(&g->host, b, NULL, NULL, e);
    return g->current ? 0 : -1;
}

static int watch_signals(struct gateway *g, struct error *e) {
    static const int stop_signals[] = {SIGTERM, SIGINT};
    /* A closed connection, and a file that may not grow (RLIMIT_FSIZE), are errors of the writes that meet them. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++) {
        int status = loop_on_signal(g->loop, stop_signals[i], on_stop_signal, g, e);
        if (status < 0) return status;
    }
    int status = loop_on_signal(g->loop, SIGHUP, on_reload_signal, g, e);
    return status < 0 ? status : loop_on_signal(g->loop, SIGUSR1, on_status_signal, g, e);
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

static struct websocket_site *present_site(void *context, struct slice path) {
    return generation_site(((const struct gateway *)context)->current, path);
}

static void on_connection_ended(void *context) {
    const struct gateway *g = context;
    if (g->http) http_source_recount(g->http);
}

/* Clients that have left HTTP. */
static size_t count_connections(void *context) {
    const struct gateway *g = context;
    return websocket_source_count(g->websockets) + event_streams_count(event_source_streams(g->events));
}

static void build_websockets(struct gateway *g, const struct limits_config *limits) {
    g->members = members_new();
    const struct websocket_source_host host = {
        .context = g, .site = present_site, .on_ended = on_connection_ended, .members = g->members};
    g->websockets = websocket_source_new(g->loop, g->log, &host);
    websocket_source_limit(g->websockets, limits->connections);
}

static void build_events(struct gateway *g) {
    const struct event_source_config config = {
        .loop = g->loop, .log = g->log, .members = g->members, .on_ended = on_connection_ended, .context = g};
    g->events = event_source_new(&config);
}

static int build(struct gateway *g, struct blueprint *b, struct clock *clock, enum gateway_issuers issuers,
                 struct error *e) {
    g->loop = loop_new(clock, e);
    if (!g->loop || build_client(g, issuers, e) < 0) return -1;
    g->stores = queue_stores_new(g->loop, g->log);
    build_websockets(g, &b->limits);
    build_events(g);
    if (build_pools(g, &b->limits, e) < 0 || build_generation(g, b, e) < 0) return -1;
    const struct invoke_host calls = gateway_calls(g);
    runtime_api_calls(g->runtime_api, &calls);
    g->http = http_source_new(g->loop, generation_pipeline(g->current), &b->limits, e);
    if (!g->http) return -1;
    http_source_count_also(g->http, count_connections, g);
    http_source_stream_events(g->http, g->events);
    g->most_header = b->limits.max_header;
    http_source_trust(g->http, b->trusted_proxies, b->trusted_proxy_count);
    return watch_signals(g, e);
}

struct gateway *gateway_new(struct blueprint *b, struct clock *clock, struct log *log, enum gateway_issuers issuers,
                            struct error *e) {
    struct gateway *g = xcalloc(1, sizeof *g);
    g->log = log;
    g->on_terminal = isatty(STDERR_FILENO);
    g->log_task = (struct turn_task){.phase = TURN_LAST, .run = flush_log};
    g->look.on_due = on_look;
    g->log_retry.on_due = on_log_retry;
    g->drain_limit.on_due = on_drain_limit;
    if (build(g, b, clock, issuers, e) < 0) {
        gateway_free(g);
        return NULL;
    }
    log_on_pending(log, on_log_pending, g);
    return g;
}

int gateway_listen(struct gateway *g, const struct listener_config *listeners, size_t count, struct error *e) {
    const struct blueprint *b = generation_blueprint(g->current);
    g->own_listeners = count == 0;
    if (g->own_listeners) {
        listeners = b->listeners;
        count = b->listener_count;
    }
    for (size_t i = 0; i < count; i++) {
        int status = http_source_listen(g->http, &listeners[i], e);
        if (status < 0) return status;
    }
    return 0;
}

int gateway_record(struct gateway *g, const struct recorder_config *c, struct error *e) {
    g->host.recorder = recorder_new(g->loop, g->log, c, e);
    if (!g->host.recorder) return -ERROR_SYSTEM;
    generation_record(g->current);
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

void gateway_take_messages(struct gateway *g) {
    g->takes_messages = true;
}

static void join_cluster(struct gateway *g) {
    const struct blueprint *b = generation_blueprint(g->current);
    struct error e;
    if (!g->takes_messages || !b->websocket_cluster) return;
    const struct websocket_cluster_config config = {
        .url = slice_of(b->websocket_cluster), .name = slice_of(b->name), .lease_ms = b->websocket_lease_ms};
    g->cluster_url = xstrdup(b->websocket_cluster);
    if (websocket_source_join(g->websockets, &config, &e) < 0)
        log_event(g->log, LOG_ERROR, "no cluster can be joined", LOG_TEXT("why", e.message));
}

bool gateway_serve(struct gateway *g) {
    join_cluster(g);
    generation_start(g->current);
    gateway_queues_follow(g);
    loop_run(g->loop);
    return !g->forced;
}

void gateway_hurry(struct gateway *g) {
    g->hurried = true;
}

struct pipeline *gateway_pipeline(struct gateway *g) {
    return generation_pipeline(g->current);
}

struct loop *gateway_loop(struct gateway *g) {
    return g->loop;
}

const struct route *gateway_invoke_route(const struct gateway *g, const char *handler_name) {
    return generation_invoke_route(g->current, handler_name);
}

struct pool *gateway_pool(const struct gateway *g, const char *handler_name) {
    return generation_pool(g->current, handler_name);
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
    return pool_set_is_empty(g->pools) && connections_are_over(g) && runtime_api_is_idle(g->runtime_api) &&
           (!g->dev_issuer || dev_issuer_is_idle(g->dev_issuer));
}

static bool stores_closed(void *context) {
    return queue_stores_are_closed(((const struct gateway *)context)->stores);
}

static void close_stores(struct gateway *g) {
    if (!g->stores) return;
    queue_stores_close(g->stores);
    loop_run_until(g->loop, stores_closed, g, STORE_WAIT_MS);
}

static bool cluster_left(void *context) {
    return websocket_source_has_left(((const struct gateway *)context)->websockets);
}

static void leave_cluster(struct gateway *g) {
    if (!g->websockets) return;
    websocket_source_leave(g->websockets);
    loop_run_until(g->loop, cluster_left, g, KILL_WAIT_MS);
}

/* A gateway that never served, or whose loop stopped with something left, is emptied by force before it is freed. */
static void settle(struct gateway *g) {
    if (!g->http) return;
    if (g->dev_issuer) dev_issuer_close(g->dev_issuer);
    if (!nothing_left(g)) {
        pool_set_kill(g->pools);
        abort_connections(g);
    }
    loop_run_until(g->loop, nothing_left, g, KILL_WAIT_MS);
}

static void free_generations(struct gateway *g) {
    for (size_t i = 0; i < g->retired_count; i++) generation_free(g->retired[i]);
    free(g->retired);
    generation_free(g->current);
    pool_set_free(g->pools);
}

static void disarm(struct gateway *g) {
    struct deadline *deadlines[] = {&g->look, &g->drain_limit, &g->log_retry};
    if (!g->loop) return;
    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) deadline_disarm(loop_deadlines(g->loop), deadlines[i]);
    turn_remove(&g->log_task);
}

void gateway_free(struct gateway *g) {
    if (!g) return;
    settle(g);
    log_on_pending(g->log, NULL, NULL);
    http_source_free(g->http);
    g->http = NULL; /* sessions end after it */
    admin_free(g->admin);
    gateway_reload_free(g);
    close_stores(g);
    leave_cluster(g);
    websocket_source_free(g->websockets);
    event_source_free(g->events);
    members_free(g->members);
    free_generations(g);
    queue_stores_free(g->stores);
    server_proxy_free(g->server_proxy);
    runtime_api_free(g->runtime_api);
    supervisor_free(g->supervisor);
    attacher_free(g->attacher);
    if (g->loop) recorder_free(g->host.recorder);
    http_client_free(g->client);
    dev_issuer_free(g->dev_issuer);
    disarm(g);
    loop_free(g->loop);
    free(g->cluster_url);
    free(g);
}
