/* booth.h - the runtime API with a real loop, real sockets and a real pool, where the test plays the processes.
 *
 * The launcher starts nothing: it notes the environment that a process would get, so that the test can dial its
 * endpoint (booth_dial, booth_dial_local) and speak as that process. A signal ends such a process unless the test wants
 * it to be stubborn. Requests come in by booth_submit, and what a client would get is in a struct reply.
 */
#pragma once
#include "gateway/pool/pool.h"
#include "local-api/runtime_api.h"
#include "tests/support/client.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/un.h>

#define BOOTH_PROCESSES 8

struct reply {
    bool finished; /* status and headers are here */
    bool ended;    /* the body too */
    bool patient;  /* the test takes the body itself */
    int status;
    enum failure failure;
    char headers[1024]; /* "name: value" joined by "; " */
    struct buf body;
    struct body *arriving;
    char broken[128]; /* why the body failed */
};

struct process { /* the launcher's */
    struct worker *worker;
    struct buf environment;
    int last_signal;
    bool stubborn;
    bool exited;
    struct deadline end;
};

struct booth {
    struct clock *clock;
    struct loop *loop;
    struct log *log;
    int log_fd;
    struct limits_config limits;
    struct runtime_api *api;
    struct pool *pool;
    struct pipeline pipeline;
    struct router *router;
    struct handler_config handler;
    struct http_trigger_config trigger;
    struct route route;
    struct launcher launcher;
    struct process *processes[BOOTH_PROCESSES]; /* in the order of their start; NULL once released */
    size_t started;
};

/* --- the launcher --- */

static inline struct booth *booth_of(struct launcher *l) {
    return container_of(l, struct booth, launcher);
}

static inline void process_end(struct process *p, int wait_status) {
    if (p->exited) return;
    p->exited = true;
    worker_exited(p->worker, wait_status);
    worker_output_closed(p->worker);
}

static inline void on_process_end(struct deadline *d) {
    struct process *p = container_of(d, struct process, end);
    process_end(p, p->last_signal);
}

static inline int booth_start(struct launcher *l, struct worker *w, struct launch *launch, struct error *e) {
    (void)e;
    struct booth *b = booth_of(l);
    struct process *p = xcalloc(1, sizeof *p);
    assert_true(b->started < BOOTH_PROCESSES);
    p->worker = w;
    p->end.on_due = on_process_end;
    p->environment = launch->environment;
    launch->environment = (struct buf){0};
    launch_discard(launch);
    w->process = p;
    w->pid = (int)(1000 + b->started);
    b->processes[b->started++] = p;
    return 0;
}

static inline void booth_signal(struct launcher *l, struct worker *w, int signal_number) {
    struct process *p = w->process;
    p->last_signal = signal_number;
    if (!p->stubborn) deadline_arm(loop_deadlines(booth_of(l)->loop), &p->end, 0);
}

static inline uint64_t booth_memory(struct launcher *l, struct worker *w) {
    (void)l;
    (void)w;
    return 0;
}

static inline void booth_last_lines(struct launcher *l, struct worker *w, struct buf *out) {
    (void)l;
    (void)w;
    (void)out;
}

static inline void booth_read_output(struct launcher *l, struct worker *w) {
    (void)l;
    (void)w;
}

static inline void booth_release(struct launcher *l, struct worker *w) {
    struct booth *b = booth_of(l);
    struct process *p = w->process;
    deadline_disarm(loop_deadlines(b->loop), &p->end);
    for (size_t i = 0; i < BOOTH_PROCESSES; i++)
        if (b->processes[i] == p) b->processes[i] = NULL;
    buf_free(&p->environment);
    free(p);
}

/* --- a process --- */

static inline const char *process_variable(const struct process *p, const char *name) {
    size_t n = strlen(name);
    for (const char *at = p->environment.p; at < p->environment.p + p->environment.n; at += strlen(at) + 1)
        if (strncmp(at, name, n) == 0 && at[n] == '=') return at + n + 1;
    return NULL;
}

/* Over TCP, as official clients do. */
static inline struct client *booth_dial(struct booth *b, size_t process) {
    const char *api = process_variable(b->processes[process], "AWS_LAMBDA_RUNTIME_API");
    return client_new(b->loop, (uint16_t)atoi(strchr(api, ':') + 1));
}

/* Over the Unix socket. */
static inline struct client *booth_dial_local(struct booth *b, size_t process) {
    struct client *c = xcalloc(1, sizeof *c);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", process_variable(b->processes[process], "EXECGATE_RUNTIME_SOCKET"));
    c->loop = b->loop;
    c->tick.on_due = client_on_tick;
    client_on_tick(&c->tick);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    return c;
}

static inline void client_printf(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void client_printf(struct client *c, const char *format, ...) {
    struct buf text = {0};
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    client_send_slice(c, buf_slice(&text));
    buf_free(&text);
}

static inline void client_get(struct client *c, const char *path) {
    client_printf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
}

/* `fields` is "Name: value\r\n"..., perhaps empty. */
static inline void client_post(struct client *c, const char *path, const char *fields, const char *body) {
    client_printf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n%s", path, strlen(body), fields,
                  body);
}

/* One whole reply: its status, its head and its body, NUL-terminated, until the next call. */
struct message {
    int status;
    struct buf head;
    struct buf body;
};

static inline void message_free(struct message *m) {
    buf_free(&m->head);
    buf_free(&m->body);
}

/* The value of a field of the reply; NULL when there is none. The text lives until the message is freed. */
static inline struct slice message_field(const struct message *m, const char *name) {
    struct slice rest = buf_slice(&m->head), line;
    while (slice_next(&rest, '\n', &line)) {
        ptrdiff_t colon = slice_find(line, ':');
        if (colon < 0 || !slice_equal_nocase(slice_make(line.p, (size_t)colon), slice_of(name))) continue;
        struct slice value = slice_make(line.p + colon + 1, line.n - (size_t)colon - 1);
        if (value.n && value.p[value.n - 1] == '\r') value.n--;
        return slice_trim(value);
    }
    return SLICE_NONE;
}

static inline struct message client_receive(struct client *c) {
    struct message m = {0};
    uint64_t length = 0;
    c->until = "\r\n\r\n";
    if (!loop_run_until(c->loop, client_has_awaited, c, WAIT_MS))
        fail_msg("no reply: \"%.*s\"", (int)c->in.n, c->in.p ? c->in.p : "");
    size_t head = (size_t)((char *)memmem(c->in.p, c->in.n, "\r\n\r\n", 4) - c->in.p) + 4;
    buf_append(&m.head, c->in.p, head);
    buf_consume(&c->in, head);
    m.status = atoi(m.head.p + 9);
    struct slice size = message_field(&m, "Content-Length");
    if (!slice_is_none(size)) assert_true(slice_to_u64(size, &length));
    client_expect_size(c, (size_t)length);
    buf_append(&m.body, c->in.p, (size_t)length);
    buf_append_char(&m.body, '\0');
    buf_consume(&c->in, (size_t)length);
    return m;
}

/* For replies of which only status and body matter. */
static inline void client_expect_reply(struct client *c, int status, const char *part_of_body) {
    struct message m = client_receive(c);
    if (m.status != status || !strstr(m.body.p, part_of_body)) fail_msg("%d %s", m.status, m.body.p);
    message_free(&m);
}

/* --- the booth --- */

/* One warm process of concurrency 1; the test may change handler and limits before booth_build. */
static inline void booth_open(struct booth *b) {
    struct error e;
    *b = (struct booth){0};
    signal(SIGPIPE, SIG_IGN);
    b->clock = clock_system_new();
    b->loop = loop_new(b->clock, &e);
    assert_non_null(b->loop);
    b->log_fd = memfd_create("log", MFD_CLOEXEC);
    b->log = log_new(getenv("TEST_LOG") ? 2 : b->log_fd, LOG_FORMAT_JSON, LOG_DEBUG, b->clock);
    b->limits = (struct limits_config){.max_answer = 1000, .body_timeout_ms = 30000};
    b->trigger = (struct http_trigger_config){.method = SLICE("ANY"), .text = "ANY /items/{id}"};
    b->handler = (struct handler_config){.name = "shop",
                                         .working_directory = "/tmp",
                                         .timeout_ms = 20000,
                                         .queue_limit = 100,
                                         .http_triggers = &b->trigger};
    b->handler.http_trigger_count = 1;
    b->handler.processes = (struct processes_config){.min = 1,
                                                     .max = 1,
                                                     .concurrency = 1,
                                                     .start_timeout_ms = 20000,
                                                     .idle_timeout_ms = 60000,
                                                     .stop_timeout_ms = 2000};
    b->launcher = (struct launcher){booth_start,      booth_signal,  booth_memory,
                                    booth_last_lines, booth_release, booth_read_output};
}

static inline void booth_build(struct booth *b) {
    struct error e;
    struct pool_host host = {.clock = b->clock,
                             .log = b->log,
                             .deadlines = loop_deadlines(b->loop),
                             .turn = loop_turn(b->loop),
                             .launcher = &b->launcher,
                             .application = "unit"};
    b->api = runtime_api_new(b->loop, b->log, &b->limits, &e);
    if (!b->api) fail_msg("%s", e.message);
    b->pool = pool_new(&host, &b->handler, &runtime_transport, b->api);
    b->route = (struct route){&b->handler, &b->trigger, pool_executor(b->pool), SLICE("ANY /items/{id}"), NULL, 0};
    b->router = router_new();
    assert_int_equal(router_add(b->router, SLICE("ANY"), SLICE("/items/{id}"), &b->route, &e), 0);
    pipeline_init(&b->pipeline, b->clock, b->log, loop_deadlines(b->loop), loop_turn(b->loop));
    b->pipeline.router = b->router;
    pool_start(b->pool);
    assert_int_equal(b->started, b->handler.processes.min);
}

static inline bool booth_is_empty(void *context) {
    struct booth *b = context;
    return pool_is_empty(b->pool) && runtime_api_is_idle(b->api);
}

static inline void booth_close(struct booth *b) {
    pool_kill(b->pool);
    assert_true(loop_run_until(b->loop, booth_is_empty, b, WAIT_MS));
    pool_free(b->pool);
    runtime_api_free(b->api);
    pipeline_close(&b->pipeline);
    router_free(b->router);
    loop_free(b->loop);
    log_free(b->log);
    close(b->log_fd);
    clock_system_free(b->clock);
}

/* True when a line of the log holds the text. */
static inline bool booth_logged(struct booth *b, const char *text) {
    struct buf all = {0};
    log_flush(b->log);
    lseek(b->log_fd, 0, SEEK_SET);
    for (ssize_t n = 1; n > 0;) {
        char *room = buf_reserve(&all, 65536);
        n = read(b->log_fd, room, 65536);
        if (n > 0) all.n += (size_t)n;
    }
    bool found = all.n && memmem(all.p, all.n, text, strlen(text));
    buf_free(&all);
    return found;
}

/* --- the client's side --- */

static inline void reply_read(struct reply *r) {
    char bytes[4096];
    for (size_t n; (n = body_read(r->arriving, bytes, sizeof bytes)) > 0;) buf_append(&r->body, bytes, n);
    if (body_state_of(r->arriving) == BODY_FAILED)
        snprintf(r->broken, sizeof r->broken, "%s", body_failure(r->arriving));
    if (!r->broken[0] && !body_at_end(r->arriving)) return;
    r->ended = true;
    buf_append_char(&r->body, '\0');
    body_release_consumer(r->arriving);
    r->arriving = NULL;
}

static inline void on_reply_readable(void *context) {
    struct reply *r = context;
    if (r->arriving && !r->patient) reply_read(r);
}

static inline void booth_finish(struct invocation *inv) {
    struct reply *r = inv->source_context;
    size_t n = 0;
    assert_false(r->finished);
    r->finished = true;
    r->status = inv->outcome.status;
    r->failure = inv->outcome.failure;
    for (size_t i = 0; i < inv->outcome.headers.count; i++)
        n += (size_t)snprintf(r->headers + n, sizeof r->headers - n, "%s" SLICE_FMT ": " SLICE_FMT, i ? "; " : "",
                              SLICE_ARG(inv->outcome.headers.items[i].name),
                              SLICE_ARG(inv->outcome.headers.items[i].value));
    r->arriving = outcome_take_body(&inv->outcome);
    if (!r->arriving) {
        buf_append_char(&r->body, '\0');
        r->ended = true;
        return;
    }
    body_on_readable(r->arriving, on_reply_readable, r);
    body_want(r->arriving);
    on_reply_readable(r);
}

static const struct source_ops booth_source = {.name = "booth", .finish = booth_finish};

/* POST /items/ID with a JSON body, or GET without one when it is NULL. */
static inline struct invocation *booth_submit(struct booth *b, struct reply *r, const char *target, const char *body) {
    struct error e;
    struct invocation *inv = invocation_new(&b->pipeline, &booth_source, r);
    inv->request.method = body ? SLICE("POST") : SLICE("GET");
    inv->request.version = SLICE("HTTP/1.1");
    inv->request.target = arena_copy(&inv->arena, slice_of(target));
    inv->request.client_address = SLICE("203.0.113.7");
    inv->request.host = SLICE("shop.example");
    fields_add(&inv->request.headers, &inv->arena, SLICE("Host"), inv->request.host);
    fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"), SLICE("application/json"));
    assert_int_equal(url_parse(&inv->request.url, &inv->arena, inv->request.target, &e), 0);
    if (body) inv->body = body_of_chunk(chunk_copy(slice_of(body)));
    *r = (struct reply){0};
    pipeline_run(inv);
    return inv;
}

/* POST /invoke, as the invoke source makes it; NULL leaves the type or the context out. */
static inline struct invocation *booth_invoke(struct booth *b, struct reply *r, const char *type, const char *context,
                                              struct slice body) {
    struct invocation *inv = invocation_new(&b->pipeline, &booth_source, r);
    inv->trigger = TRIGGER_INVOKE;
    inv->route = &b->route;
    invocation_request_post(inv, "/invoke");
    if (type) fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"), slice_of(type));
    if (context) inv->client_context = slice_of(context);
    if (body.n) inv->body = body_of_chunk(chunk_copy(body));
    *r = (struct reply){0};
    pipeline_run(inv);
    return inv;
}

static inline bool reply_has_finished(void *context) {
    return ((struct reply *)context)->finished;
}
static inline bool reply_has_ended(void *context) {
    return ((struct reply *)context)->ended;
}

static inline void booth_await_head(struct booth *b, struct reply *r) {
    assert_true(loop_run_until(b->loop, reply_has_finished, r, WAIT_MS));
}

static inline void booth_await(struct booth *b, struct reply *r, int status, const char *part_of_body) {
    assert_true(loop_run_until(b->loop, reply_has_ended, r, WAIT_MS));
    if (r->status != status || !strstr(r->body.p, part_of_body)) fail_msg("%d %s", r->status, r->body.p);
    buf_free(&r->body);
}
