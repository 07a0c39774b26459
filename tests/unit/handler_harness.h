/* handler_harness.h - one handler behind the real pipeline, pool and supervisor on a real loop, without the public
 * side.
 *
 * A test writes its handler as a script into a folder of its own, submits requests as the http source would, and looks
 * at what came out. An answer is collected whole unless the test wants to read its body itself.
 */
#pragma once
#include "gateway/pool/pool.h"
#include "gateway/pool/supervisor.h"
#include "tests/unit/unit.h"
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HARNESS_LIMIT_MS 10000

enum answer_reading { ANSWER_COLLECTED, ANSWER_READ_BY_TEST };

struct answer {
    enum answer_reading reading;
    bool finished; /* the outcome is here */
    bool ended;    /* its body too */
    bool streamed; /* the body was still arriving when the outcome came */
    int status;
    enum failure failure;
    char detail[512];
    struct buf fields; /* "Name: value\n"... */
    struct body *body;
    struct buf text;
    bool broken; /* the body failed */
    char why[256];
};

struct harness {
    struct clock *clock;
    struct loop *loop;
    struct log *log;
    struct supervisor *supervisor;
    struct pool *pool;
    struct pipeline pipeline;
    struct router *router;
    struct route route;
    struct handler_config handler;
    struct http_trigger_config trigger;
    char folder[64];
    char script[96];
    char *command[3];
    struct deadline tick;
    const char *awaited;
};

static inline void harness_write_script(struct harness *h, const char *text) {
    FILE *f = fopen(h->script, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Loop, pipeline and configuration; the test may change h->handler and h->trigger before harness_start. */
static inline void harness_init(struct harness *h, const char *interpreter, const char *script) {
    struct error e;
    *h = (struct harness){0};
    signal(SIGPIPE, SIG_IGN);
    snprintf(h->folder, sizeof h->folder, "/tmp/execgate-unit-XXXXXX");
    assert_non_null(mkdtemp(h->folder));
    snprintf(h->script, sizeof h->script, "%s/handler", h->folder);
    harness_write_script(h, script);
    h->clock = clock_system_new();
    h->loop = loop_new(h->clock, &e);
    assert_non_null(h->loop);
    h->log = log_new(2, LOG_FORMAT_TEXT, getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF, h->clock);
    h->supervisor = supervisor_new(h->loop, h->log);
    h->command[0] = (char *)(uintptr_t)interpreter;
    h->command[1] = h->script;
    h->trigger = (struct http_trigger_config){
        .method = SLICE("ANY"), .pattern = SLICE("/run/{path+}"), .text = "ANY /run/{path+}"};
    h->handler = (struct handler_config){.name = "tested",
                                         .command = h->command,
                                         .working_directory = h->folder,
                                         .timeout_ms = 8000,
                                         .queue_limit = 100};
    h->handler.http_triggers = &h->trigger;
    h->handler.http_trigger_count = 1;
    h->handler.processes = (struct processes_config){
        .max = 1, .concurrency = 1, .start_timeout_ms = 8000, .idle_timeout_ms = 60000, .stop_timeout_ms = 2000};
}

static inline void harness_start(struct harness *h, const struct transport_ops *transport, void *context) {
    struct error e;
    struct pool_host host = {.clock = h->clock,
                             .log = h->log,
                             .deadlines = loop_deadlines(h->loop),
                             .turn = loop_turn(h->loop),
                             .launcher = supervisor_launcher(h->supervisor),
                             .application = "unit"};
    h->pool = pool_new(&host, &h->handler, transport, context);
    h->router = router_new();
    h->route = (struct route){.handler = &h->handler,
                              .trigger = &h->trigger,
                              .executor = pool_executor(h->pool),
                              .key = slice_of(h->trigger.text)};
    assert_int_equal(router_add(h->router, h->trigger.method, h->trigger.pattern, &h->route, &e), 0);
    pipeline_init(&h->pipeline, h->clock, h->log, loop_deadlines(h->loop), loop_turn(h->loop));
    h->pipeline.router = h->router;
    pool_start(h->pool);
}

static inline void on_harness_tick(struct deadline *d) {
    struct harness *h = container_of(d, struct harness, tick);
    deadline_arm(loop_deadlines(h->loop), d, clock_now_ms(h->clock) + 10);
}

/* The tick wakes the loop, which hears nothing of files, and may sleep although `done` has come true in its last turn.
 */
static inline bool harness_run_until(struct harness *h, bool (*done)(void *context), void *context, uint64_t limit_ms) {
    h->tick.on_due = on_harness_tick;
    on_harness_tick(&h->tick);
    bool result = loop_run_until(h->loop, done, context, limit_ms);
    deadline_disarm(loop_deadlines(h->loop), &h->tick);
    return result;
}

static inline bool harness_pool_is_empty(void *context) {
    struct harness *h = context;
    return pool_is_empty(h->pool) && supervisor_processes(h->supervisor) == 0;
}

static inline bool harness_is_quiet(void *context) {
    struct harness *h = context;
    return h->pipeline.in_flight == 0;
}

/* Everything must come to an end by itself: no invocation may be left behind, and the processes go when they are told
 * to. */
static inline void harness_stop(struct harness *h) {
    assert_true(harness_run_until(h, harness_is_quiet, h, HARNESS_LIMIT_MS));
    pool_drain(h->pool);
    assert_true(harness_run_until(h, harness_pool_is_empty, h, HARNESS_LIMIT_MS));
    pool_free(h->pool);
    pipeline_close(&h->pipeline);
    router_free(h->router);
}

static inline void harness_close(struct harness *h) {
    char command[128];
    supervisor_free(h->supervisor);
    loop_free(h->loop);
    log_free(h->log);
    clock_system_free(h->clock);
    snprintf(command, sizeof command, "rm -rf '%s'", h->folder);
    assert_int_equal(system(command), 0);
}

/* --- the source --- */

static inline void answer_take(struct answer *a) {
    char bytes[4096];
    for (size_t n; (n = body_read(a->body, bytes, sizeof bytes)) > 0;) buf_append(&a->text, bytes, n);
    if (body_state_of(a->body) == BODY_FAILED) {
        snprintf(a->why, sizeof a->why, "%s", body_failure(a->body));
        a->broken = true;
    }
    if (!a->broken && !body_at_end(a->body)) return;
    a->ended = true;
    body_release_consumer(a->body);
    a->body = NULL;
}

static inline void on_answer_readable(void *context) {
    struct answer *a = context;
    if (a->reading == ANSWER_COLLECTED && a->body && body_state_of(a->body) != BODY_OPEN) answer_take(a);
}

static inline void on_harness_finish(struct invocation *inv) {
    struct answer *a = inv->source_context;
    assert_false(a->finished);
    a->finished = true;
    a->status = inv->outcome.status;
    a->failure = inv->outcome.failure;
    snprintf(a->detail, sizeof a->detail, SLICE_FMT, SLICE_ARG(inv->outcome.detail));
    for (size_t i = 0; i < inv->outcome.headers.count; i++)
        buf_printf(&a->fields, SLICE_FMT ": " SLICE_FMT "\n", SLICE_ARG(inv->outcome.headers.items[i].name),
                   SLICE_ARG(inv->outcome.headers.items[i].value));
    a->body = outcome_take_body(&inv->outcome);
    a->ended = !a->body;
    if (!a->body) return;
    a->streamed = body_state_of(a->body) == BODY_OPEN;
    if (a->reading == ANSWER_READ_BY_TEST) return;
    body_on_readable(a->body, on_answer_readable, a);
    body_collect(a->body);
    on_answer_readable(a);
}

static const struct source_ops harness_source = {.name = "harness", .finish = on_harness_finish};

/* A request as a client would send it; `fields` is "Name: value\n"... The body is taken over; NULL = none. */
static inline struct invocation *harness_submit(struct harness *h, struct answer *a, const char *method,
                                                const char *target, const char *fields, struct body *take_body) {
    struct invocation *inv = invocation_new(&h->pipeline, &harness_source, a);
    struct request *r = &inv->request;
    struct slice rest = slice_of(fields), line;
    struct error e;
    r->method = arena_copy(&inv->arena, slice_of(method));
    r->target = arena_copy(&inv->arena, slice_of(target));
    r->version = SLICE("HTTP/1.1");
    r->scheme = SLICE("http");
    r->client_address = SLICE("203.0.113.7");
    r->client_port = 4711;
    assert_int_equal(url_parse(&r->url, &inv->arena, r->target, &e), 0);
    while (slice_next(&rest, '\n', &line) && line.n) {
        size_t colon = (size_t)slice_find(line, ':');
        struct slice value = slice_trim(slice_make(line.p + colon + 1, line.n - colon - 1));
        fields_add(&r->headers, &inv->arena, arena_copy(&inv->arena, slice_make(line.p, colon)),
                   arena_copy(&inv->arena, value));
    }
    r->host = fields_get(&r->headers, SLICE("Host"));
    inv->body = take_body;
    pipeline_run(inv);
    return inv;
}

static inline bool answer_is_ended(void *context) {
    return ((struct answer *)context)->ended;
}

/* POST /invoke, as the invoke source makes it, and the whole answer. */
static inline struct answer harness_invoke(struct harness *h, struct slice body) {
    struct answer a = {0};
    struct invocation *inv = invocation_new(&h->pipeline, &harness_source, &a);
    inv->trigger = TRIGGER_INVOKE;
    inv->route = &h->route;
    invocation_request_post(inv, "/invoke");
    fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"), SLICE("text/x"));
    if (body.n) inv->body = body_of_chunk(chunk_copy(body));
    pipeline_run(inv);
    assert_true(harness_run_until(h, answer_is_ended, &a, HARNESS_LIMIT_MS));
    return a;
}

static inline struct body *body_of_text(const char *text) {
    return body_of_chunk(chunk_copy(slice_of(text)));
}

static inline bool answer_is_finished(void *context) {
    return ((struct answer *)context)->finished;
}

static inline void harness_await(struct harness *h, struct answer *a) {
    assert_true(harness_run_until(h, answer_is_ended, a, HARNESS_LIMIT_MS));
}

static inline void harness_await_head(struct harness *h, struct answer *a) {
    assert_true(harness_run_until(h, answer_is_finished, a, HARNESS_LIMIT_MS));
}

static inline bool harness_has_file(void *context) {
    struct harness *h = context;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", h->folder, h->awaited);
    return access(path, F_OK) == 0;
}

/* A script's word that it has come to some point. */
static inline bool harness_await_file(struct harness *h, const char *name, uint64_t limit_ms) {
    h->awaited = name;
    return harness_run_until(h, harness_has_file, h, limit_ms);
}

/* A word to the script. */
static inline void harness_make_file(struct harness *h, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

/* Submits and waits for the whole answer. */
static inline struct answer harness_ask(struct harness *h, const char *method, const char *target, const char *fields,
                                        struct body *take_body) {
    struct answer a = {0};
    harness_submit(h, &a, method, target, fields, take_body);
    harness_await(h, &a);
    return a;
}

static inline void answer_free(struct answer *a) {
    buf_free(&a->fields);
    buf_free(&a->text);
    if (a->body) body_release_consumer(a->body);
    a->body = NULL;
}

/* True when the answer's fields, or lines of its text, hold this line. */
static inline bool lines_have(const struct buf *lines, const char *wanted) {
    struct slice rest = buf_slice(lines), line;
    while (slice_next(&rest, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (slice_equal(line, slice_of(wanted))) return true;
    }
    return false;
}

static inline bool lines_have_prefix(const struct buf *lines, const char *wanted) {
    struct slice rest = buf_slice(lines), line;
    while (slice_next(&rest, '\n', &line))
        if (slice_starts_with_nocase(line, slice_of(wanted))) return true;
    return false;
}

#define assert_line(lines, wanted) assert_line_is((lines), (wanted), __FILE__, __LINE__)
static inline void assert_line_is(const struct buf *lines, const char *wanted, const char *file, int line) {
    if (lines_have(lines, wanted)) return;
    print_error("no line \"%s\" in:\n" SLICE_FMT "\n", wanted, SLICE_ARG(buf_slice(lines)));
    _fail(file, line);
}
