#include "gateway/observe/access_log.h"
#include "gateway/blueprint/model.h"

#define ACCESS_LOG_PATH_MAX 200
#define ACCESS_LOG_FIELDS 12

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

static void access_log_post(void *self, struct invocation *inv) {
    struct log *log = self;
    const struct failure_row *row = failure_row(inv->outcome.failure);
    enum log_level level = inv->outcome.failure == FAILURE_NONE ? LOG_INFO : row->level;
    int64_t size = inv->outcome.body ? body_length(inv->outcome.body) : 0;
    struct line l = {.count = 0};
    if (!log_wants(log, level)) return;
    line_add(&l, LOG_SLICE("method", inv->request.method));
    line_add(&l, LOG_SLICE("path", request_path(&inv->request)));
    line_add(&l, LOG_INT("status", inv->outcome.status));
    line_add(&l, LOG_US("duration_ms", inv->completed_us - inv->received_us));
    if (size >= 0) line_add(&l, LOG_INT("bytes", size));
    line_add_route(&l, inv->route);
    line_add(&l, LOG_SLICE("request_id", inv->request_id));
    line_add(&l, LOG_SLICE("client", inv->request.client_address));
    if (inv->outcome.failure != FAILURE_NONE) line_add(&l, LOG_TEXT("failure", row->slug));
    log_fields(log, level, "request", l.fields, l.count);
}

struct hook access_log_hook(struct log *log) {
    return (struct hook){.name = "access log", .self = log, .post = access_log_post};
}
