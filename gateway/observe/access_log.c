#include "gateway/observe/access_log.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/event.h"
#include <stdlib.h>

#define ACCESS_LOG_PATH_MAX 200
#define ACCESS_LOG_FIELDS 14

struct line {
    struct log_field fields[ACCESS_LOG_FIELDS];
    size_t count;
};

static void line_add(struct line *l, struct log_field field) {
    l->fields[l->count++] = field;
}

/* From the raw target: it is there even when it could not be understood. */
static struct slice request_path(const struct request *r) {
    ptrdiff_t query = slice_find(r->target, '?');
    size_t n = query < 0 ? r->target.n : (size_t)query;
    return slice_make(r->target.p, n < ACCESS_LOG_PATH_MAX ? n : ACCESS_LOG_PATH_MAX);
}

static void line_add_route(struct line *l, const struct route *route) {
    if (!route) return;
    if (route->handler) line_add(l, LOG_TEXT("handler", route->handler->name));
    line_add(l, LOG_SLICE("route", route->key));
}

/* What goes on within a connection would drown its opening and its end. */
static enum log_level level_of_success(const struct invocation *inv) {
    bool message = inv->websocket && inv->websocket->type == WEBSOCKET_MESSAGE;
    return message && inv->outcome.status < 300 ? LOG_DEBUG : LOG_INFO;
}

/* A streamed answer has its line when the stream is over: how long it took, how much it was and how it ended are
 * known only then. The line's texts are copied, since the invocation is long gone. */
struct late_line {
    struct log *log;
    struct clock *clock;
    uint64_t received_us;
    enum log_level level; /* if it ends well */
    struct line line;
    char texts[];
};

static struct log_field copy_field(struct log_field f, char **room) {
    if (f.kind != LOG_FIELD_SLICE || slice_is_none(f.text)) return f;
    memcpy(*room, f.text.p, f.text.n);
    f.text.p = *room;
    *room += f.text.n;
    return f;
}

static struct late_line *late_line_new(struct log *log, const struct invocation *inv, const struct line *l) {
    size_t size = 0;
    for (size_t i = 0; i < l->count; i++) size += l->fields[i].text.n;
    struct late_line *late = xmalloc(sizeof *late + size);
    *late = (struct late_line){
        .log = log, .clock = inv->pipeline->clock, .received_us = inv->received_us, .level = level_of_success(inv)};
    char *room = late->texts;
    for (size_t i = 0; i < l->count; i++) line_add(&late->line, copy_field(l->fields[i], &room));
    return late;
}

static void on_stream_over(void *context, const struct body *b) {
    struct late_line *late = context;
    enum log_level level = late->level;
    line_add(&late->line, LOG_US("duration_ms", clock_now_us(late->clock) - late->received_us));
    line_add(&late->line, LOG_INT("bytes", body_taken(b)));
    /* Its producer fails behind a client that leaves, too. */
    if (body_was_cut(b)) {
        line_add(&late->line, LOG_TEXT("cut", "the client left"));
    } else if (body_state_of(b) == BODY_FAILED) {
        level = LOG_WARN;
        line_add(&late->line, LOG_TEXT("cut", body_failure(b)));
    }
    log_fields(late->log, level, "request", late->line.fields, late->line.count);
    free(late);
}

static void line_add_head(struct line *l, const struct invocation *inv) {
    line_add(l, LOG_SLICE("method", inv->request.method));
    line_add(l, LOG_SLICE("path", request_path(&inv->request)));
    line_add(l, LOG_INT("status", inv->outcome.status));
    line_add_route(l, inv->route);
    line_add(l, LOG_SLICE("request_id", inv->request_id));
    line_add(l, LOG_SLICE("client", inv->request.client_address));
}

static void line_add_failure(struct line *l, const struct outcome *o) {
    line_add(l, LOG_TEXT("failure", failure_row(o->failure)->slug));
    line_add(l, LOG_SLICE("detail", o->detail));
    line_add(l, LOG_SLICE("answer", o->evidence));
}

static void access_log_post(void *self, struct invocation *inv) {
    struct log *log = self;
    const struct failure_row *row = failure_row(inv->outcome.failure);
    enum log_level level = inv->outcome.failure == FAILURE_NONE ? level_of_success(inv) : row->level;
    /* Nothing of it is sent to a HEAD (RFC 9110 9.3.2), and it may never come. */
    struct body *body = slice_equal(inv->request.method, SLICE("HEAD")) ? NULL : inv->outcome.body;
    struct line l = {.count = 0};
    bool streams = body && body_state_of(body) == BODY_OPEN;
    if (!log_wants(log, streams ? LOG_WARN : level)) return;
    line_add_head(&l, inv);
    if (streams) {
        body_on_over(body, on_stream_over, late_line_new(log, inv, &l));
        return;
    }
    line_add(&l, LOG_US("duration_ms", inv->completed_us - inv->received_us));
    line_add(&l, LOG_INT("bytes", body ? body_length(body) : 0));
    if (inv->outcome.failure != FAILURE_NONE) line_add_failure(&l, &inv->outcome);
    log_fields(log, level, "request", l.fields, l.count);
}

struct hook access_log_hook(struct log *log) {
    return (struct hook){.name = "access log", .self = log, .scope = HOOK_SEES_ALL, .post = access_log_post};
}
