/* tls_desk.h - an https listener in front of a pipeline whose executor answers at once what it saw.
 *
 * The answer to a request is "scheme client-address subject" and a line end; `answer_size` makes it that long instead,
 * `silent` leaves it out, so that the invocation stays.
 */
#pragma once
#include "gateway/source/http/http_source.h"
#include "tests/support/tls_client.h"
#include <unistd.h>

struct desk {
    char folder[64];
    char *paths[8];
    size_t path_count;
    struct certificate_config certificates[3];
    struct tls_config tls;
    struct listener_config listener;
    struct limits_config limits;
    const struct cidr *trusted;
    size_t trusted_count;
    struct clock *clock;
    struct loop *loop;
    FILE *log_file;
    struct log *log;
    struct pipeline pipeline;
    struct router *router;
    struct http_trigger_config trigger;
    struct handler_config handler;
    struct route route;
    struct executor executor;
    struct list queued;
    struct http_source *source;
    uint16_t port;
    size_t submitted, cancelled, answer_size, body_size;
    bool silent;
    struct invocation *last;
    char fingerprint[80];
};

static inline enum failure desk_room(struct executor *e, uint32_t *retry_after_s) {
    (void)e;
    (void)retry_after_s;
    return FAILURE_NONE;
}

static inline void desk_answer(struct desk *d, struct invocation *inv) {
    struct buf text = {0};
    const struct request *r = &inv->request;
    buf_printf(&text, SLICE_FMT " " SLICE_FMT " " SLICE_FMT "\n", SLICE_ARG(r->scheme), SLICE_ARG(r->client_address),
               SLICE_ARG(r->client_certificate));
    while (text.n < d->answer_size) buf_append_char(&text, (char)('a' + text.n % 23));
    struct outcome o = {.status = 200, .body = body_of_chunk(chunk_copy(buf_slice(&text)))};
    buf_free(&text);
    assert_true(invocation_complete(inv, o));
}

static inline void desk_submit(struct executor *e, struct invocation *inv) {
    struct desk *d = container_of(e, struct desk, executor);
    d->submitted++;
    d->last = inv;
    d->body_size = inv->body ? (size_t)body_length(inv->body) : 0;
    snprintf(d->fingerprint, sizeof d->fingerprint, SLICE_FMT, SLICE_ARG(inv->request.client_fingerprint));
    invocation_move(inv, INVOCATION_QUEUED, &d->queued);
    if (!d->silent) desk_answer(d, inv);
}

static inline void desk_completed(struct executor *e, struct invocation *inv) {
    (void)inv;
    container_of(e, struct desk, executor)->last = NULL;
}

static inline void desk_cancel(struct executor *e, struct invocation *inv) {
    (void)e;
    (void)inv;
}

static inline void desk_post(void *self, struct invocation *inv) {
    struct desk *d = self;
    if (inv->cancelled == CANCEL_CLIENT_GONE) d->cancelled++;
}

static const struct executor_ops desk_executor = {
    .room = desk_room, .submit = desk_submit, .completed = desk_completed, .cancel = desk_cancel};

static inline const char *desk_path(struct desk *d, const char *name) {
    assert_true(d->path_count < ARRAY_LEN(d->paths));
    return d->paths[d->path_count++] = xasprintf("%s/%s", d->folder, name);
}

/* A certificate for the listener, from files of these names. */
static inline void desk_certify(struct desk *d, const struct identity *i, const char *certificate, const char *key) {
    struct certificate_config *c = &d->certificates[d->tls.certificate_count++];
    *c = (struct certificate_config){desk_path(d, certificate), desk_path(d, key)};
    identity_write(i, c->certificate, c->key);
}

static inline struct desk *desk_new(void) {
    struct desk *d = xcalloc(1, sizeof *d);
    struct error e;
    snprintf(d->folder, sizeof d->folder, "/tmp/execgate-tls-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    d->clock = clock_system_new();
    d->loop = loop_new(d->clock, &e);
    d->log_file = tmpfile();
    d->log = log_new(fileno(d->log_file), LOG_FORMAT_JSON, LOG_INFO, d->clock);
    d->tls.certificates = d->certificates;
    d->listener = (struct listener_config){
        .kind = LISTENER_TCP, .host = "127.0.0.1", .text = "desk", .scheme = LISTENER_HTTPS, .tls = &d->tls};
    d->limits = (struct limits_config){.connections = 20, .max_body = 16 << 20, .max_header = 4096};
    d->limits.header_timeout_ms = d->limits.body_timeout_ms = d->limits.idle_timeout_ms = 10000;
    pipeline_init(&d->pipeline, d->clock, d->log, loop_deadlines(d->loop), loop_turn(d->loop));
    list_init(&d->queued);
    d->executor.ops = &desk_executor;
    d->route = (struct route){.handler = &d->handler, .trigger = &d->trigger, .executor = &d->executor};
    d->router = router_new();
    assert_int_equal(router_add(d->router, SLICE("ANY"), SLICE("/{all+}"), &d->route, &e), 0);
    d->pipeline.router = d->router;
    return d;
}

static inline uint16_t desk_port(const struct desk *d, size_t i) {
    return (uint16_t)atoi(strrchr(http_source_address(d->source, i), ':') + 1);
}

static inline void desk_open(struct desk *d) {
    struct error e = {0};
    static struct hook hook;
    hook = (struct hook){.name = "desk", .self = d, .post = desk_post};
    d->pipeline.hooks = &hook;
    d->pipeline.hook_count = 1;
    d->source = http_source_new(d->loop, &d->pipeline, &d->limits, &e);
    assert_non_null(d->source);
    http_source_trust(d->source, d->trusted, d->trusted_count);
    if (http_source_listen(d->source, &d->listener, &e) < 0) fail_msg("%s", e.message);
    d->port = desk_port(d, 0);
}

static inline bool desk_is_idle(void *context) {
    return http_source_is_idle(context);
}

static inline void desk_free(struct desk *d) {
    if (d->source) {
        http_source_abort(d->source);
        assert_true(loop_run_until(d->loop, desk_is_idle, d->source, WAIT_MS));
        http_source_free(d->source);
    }
    pipeline_close(&d->pipeline);
    router_free(d->router);
    loop_free(d->loop);
    log_free(d->log);
    fclose(d->log_file);
    clock_system_free(d->clock);
    for (size_t i = 0; i < d->path_count; i++) {
        unlink(d->paths[i]);
        free(d->paths[i]);
    }
    rmdir(d->folder);
    free(d);
}

/* Whether the log has a line with this text. */
static inline bool desk_logged(struct desk *d, const char *text) {
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    log_flush(d->log);
    rewind(d->log_file);
    while (!found && getline(&line, &room, d->log_file) > 0) found = strstr(line, text) != NULL;
    fseek(d->log_file, 0, SEEK_END);
    free(line);
    return found;
}

#define GET "GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n"
