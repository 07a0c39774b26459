#include "local-api/runtime_api.h"
#include "local-api/runtime_private.h"
#include "local-api/stream.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One process's few connections each get a daemon of their own for as long as they can. */
#define LANES 32
#define MAX_CONNECTIONS 16384
#define HEADER_TIMEOUT_MS 10000
/* Some runtimes put a stack trace in a header. */
#define MAX_HEADER (24 * 1024)
/* sun_path less "/", a number, ".sock" and the NUL. */
#define FOLDER_MAX (108 - 1 - 20 - 5 - 1)
#define MEMORY_DEFAULT_MIB 128

/* --- the server --- */

static void on_connection_over(struct http_server *s) {
    struct runtime_api *r = http_server_context(s);
    list_each (&r->attached, node) endpoint_look_for_client(list_entry(node, struct endpoint, attached));
}

static const struct http_server_ops server_ops = {
    .on_head = call_begin,
    .on_data = call_data,
    .on_end = call_end,
    .on_gone = call_gone,
    .on_done = call_done,
    .on_room = on_connection_over,
};

static char *folder_make_in(const char *parent) {
    if (!parent || parent[0] != '/') return NULL;
    char *folder = xasprintf("%s/execgate-XXXXXX", parent);
    if (strlen(folder) <= FOLDER_MAX && mkdtemp(folder)) return folder; /* mode 0700 */
    free(folder);
    return NULL;
}

static char *folder_make(struct error *e) {
    char *folder = folder_make_in(getenv("XDG_RUNTIME_DIR"));
    if (!folder) folder = folder_make_in(getenv("TMPDIR"));
    if (!folder) folder = folder_make_in("/tmp");
    if (!folder) error_set_errno(e, errno, "cannot make a private folder for the runtime API's sockets in /tmp");
    return folder;
}

static struct http_server *server_make(struct runtime_api *r, const struct limits_config *limits, struct error *e) {
    const struct http_server_config config = {
        .ops = &server_ops,
        .phase = TURN_LOCAL,
        .lanes = LANES,
        .max_header = MAX_HEADER,
        .max_connections = MAX_CONNECTIONS,
        .header_timeout_ms = HEADER_TIMEOUT_MS,
        .body_timeout_ms = limits->body_timeout_ms,
        .idle_timeout_ms = 0, /* a process may keep its connection for as long as it lives */
        .log = r->log,
        .context = r,
    };
    return http_server_new(r->loop, &config, e);
}

struct runtime_api *runtime_api_new(struct loop *l, struct log *log, const struct limits_config *limits,
                                    struct error *e) {
    struct runtime_api *r = xcalloc(1, sizeof *r);
    r->loop = l;
    r->log = log;
    r->max_answer = limits->max_answer;
    list_init(&r->spare_calls);
    list_init(&r->attached);
    arena_init(&r->scratch, 16 * 1024);
    r->peer_check = peer_check_new();
    r->accepted = http_canned_new(202, "application/json", SLICE("{\"status\":\"OK\"}"));
    r->folder = folder_make(e);
    if (r->folder) r->server = server_make(r, limits, e);
    if (r->server) return r;
    runtime_api_free(r);
    return NULL;
}

void runtime_api_free(struct runtime_api *r) {
    if (!r) return;
    if (r->server) http_server_free(r->server);
    http_canned_free(r->accepted);
    peer_check_free(r->peer_check);
    if (r->folder) rmdir(r->folder);
    free(r->folder);
    list_each (&r->spare_calls, node) free(list_entry(node, struct call, node));
    arena_free(&r->scratch);
    free(r);
}

void runtime_api_limit(struct runtime_api *r, const struct limits_config *limits) {
    const struct limits_config own = {.header_timeout_ms = HEADER_TIMEOUT_MS,
                                      .body_timeout_ms = limits->body_timeout_ms};
    r->max_answer = limits->max_answer;
    http_server_limit(r->server, MAX_CONNECTIONS, &own);
}

void runtime_api_calls(struct runtime_api *r, const struct invoke_host *host) {
    r->calls = *host;
}

bool runtime_api_is_idle(const struct runtime_api *r) {
    return http_server_connections(r->server) == 0;
}

/* --- the environment of a process --- */

static void set_endpoint_variables(const struct endpoint *ep, struct launch *launch) {
    const struct worker *w = ep->worker;
    unsigned port = listener_port(ep->tcp);
    launch_set_format(launch, "AWS_LAMBDA_RUNTIME_API", "127.0.0.1:%u", port);
    launch_set_format(launch, "EXECGATE_RUNTIME_API", "http://127.0.0.1:%u", port);
    launch_set(launch, "EXECGATE_RUNTIME_SOCKET", endpoint_socket_path(ep));
    launch_set(launch, "EXECGATE_APPLICATION", pool_host_of(w->pool)->application);
    launch_set(launch, "EXECGATE_HANDLER", w->handler->name);
    launch_set_format(launch, "EXECGATE_CONCURRENCY", "%" PRIu64, w->handler->processes.concurrency);
}

/* Clients take the size for a positive 32-bit number. */
static unsigned memory_mib(const struct processes_config *p) {
    uint64_t mib = p->max_memory / (1024 * 1024);
    if (p->max_memory == 0) return MEMORY_DEFAULT_MIB;
    return mib < 1 ? 1 : mib > INT32_MAX ? INT32_MAX : (unsigned)mib;
}

/* What a transport sets cannot be overridden; this one is only a default. */
static bool handler_sets(const struct handler_config *h, const char *name) {
    for (size_t i = 0; i < h->environment_count; i++)
        if (strcmp(h->environment[i].name, name) == 0) return true;
    return false;
}

static void set_lambda_variables(const struct endpoint *ep, struct launch *launch) {
    const struct worker *w = ep->worker;
    const struct handler_config *h = w->handler;
    uint64_t concurrency = h->processes.concurrency;
    launch_set(launch, "_HANDLER", h->name);
    launch_set(launch, "LAMBDA_TASK_ROOT", h->working_directory);
    launch_set(launch, "LAMBDA_RUNTIME_DIR", h->working_directory);
    launch_set(launch, "AWS_LAMBDA_FUNCTION_NAME", h->name);
    launch_set(launch, "AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
    launch_set_format(launch, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "%u", memory_mib(&h->processes));
    launch_set_format(launch, "AWS_LAMBDA_LOG_GROUP_NAME", "/execgate/%s/%s", pool_host_of(w->pool)->application,
                      h->name);
    launch_set_format(launch, "AWS_LAMBDA_LOG_STREAM_NAME", "%s-%u", h->name, w->number);
    launch_set(launch, "AWS_LAMBDA_INITIALIZATION_TYPE", concurrency > 1 ? "lambda-managed-instances" : "on-demand");
    if (!handler_sets(h, "TZ")) launch_set(launch, "TZ", ":UTC");
    /* Its mere presence makes clients poll concurrently. */
    if (concurrency > 1) launch_set_format(launch, "AWS_LAMBDA_MAX_CONCURRENCY", "%" PRIu64, concurrency);
}

/* --- the transport --- */

static int transport_open(struct worker *w, struct launch *launch, struct error *e) {
    struct endpoint *ep = endpoint_open(pool_transport_context(w->pool), w, e);
    if (!ep) return -1;
    w->transport = ep;
    set_endpoint_variables(ep, launch);
    set_lambda_variables(ep, launch);
    return 0;
}

static void transport_deliver(struct worker *w, struct invocation *inv) {
    endpoint_deliver(w->transport, inv);
}

static void transport_flush(struct worker *w) {
    endpoint_flush(w->transport);
}

static void transport_cancel(struct worker *w, struct invocation *inv) {
    endpoint_cancel(w->transport, inv);
}

static void transport_forget(struct worker *w, struct invocation *inv) {
    endpoint_forget(w->transport, inv);
}

static void transport_abort_stream(struct worker *w, struct answer_stream *s) {
    (void)w;
    stream_abort(s);
}

static void transport_stopping(struct worker *w, enum stop_reason why) {
    endpoint_stopping(w->transport, why);
}

static bool transport_exited(struct worker *w, int wait_status) {
    (void)wait_status;
    return endpoint_exited(w->transport);
}

static void transport_close(struct worker *w) {
    endpoint_close(w->transport);
    w->transport = NULL;
}

const struct transport_ops runtime_transport = {
    .name = "runtime",
    .streams_request = false,
    .open = transport_open,
    .deliver = transport_deliver,
    .flush = transport_flush,
    .cancel = transport_cancel,
    .forget = transport_forget,
    .abort_stream = transport_abort_stream,
    .stopping = transport_stopping,
    .exited = transport_exited,
    .close = transport_close,
};
