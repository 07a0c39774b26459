#include "local-api/lambda_report.h"
#include "gateway/base/json_read.h"
#include "local-api/lambda_face.h"
#include "local-api/report_retry.h"
#include "local-api/runtime_private.h"

#define LOGGED_BYTES 4096

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

/* (Runtime|Function)\.[A-Z][A-Za-z]+ */
struct slice lambda_error_type(struct slice given, struct slice otherwise) {
    size_t dot = slice_starts_with(given, SLICE("Runtime.")) ? 8 : slice_starts_with(given, SLICE("Function.")) ? 9 : 0;
    if (!dot || given.n < dot + 2 || !is_upper(given.p[dot])) return otherwise;
    for (size_t i = dot; i < given.n; i++)
        if (!is_upper((char)(given.p[i] & ~0x20))) return otherwise;
    return given;
}

/* A name that may stand in a problem document: what languages call their exceptions. */
static bool is_type_name(struct slice s) {
    if (s.n == 0 || s.n > 128) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = is_upper((char)(c & ~0x20)) || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr("._:-$*", c))) return false;
    }
    return true;
}

static void take_member(struct handler_report *r, struct arena *a, struct slice name, struct json_value value) {
    struct slice text = value.kind == JSON_STRING ? json_text_of(a, value) : SLICE_NONE;
    if (slice_equal(name, SLICE("errorMessage"))) r->message = text;
    if (slice_equal(name, SLICE("errorType")) && is_type_name(text)) r->type = text;
    if (slice_equal(name, SLICE("stackTrace")) && value.kind == JSON_ARRAY) r->stack = value.raw;
    if (slice_equal(name, SLICE("retry")) && !report_retry_read(r, a, value)) r->retry = REPORT_RETRY_UNSAID;
}

static bool read_object(struct handler_report *r, struct arena *a, struct slice body) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    json_read_init(&json, body);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) take_member(r, a, name, value);
    return json_read_end(&json);
}

struct handler_report lambda_report_read(struct arena *a, struct slice type_header, struct slice body,
                                         struct slice unknown) {
    const struct handler_report raw = {.type = lambda_error_type(type_header, unknown), .message = body};
    struct handler_report r = {.type = raw.type};
    if (!read_object(&r, a, body)) r = raw;
    r.posted = body;
    return r;
}

/* One line "NAME: value CRLF" off the front. */
static bool take_line(struct slice *rest, struct slice name, struct slice *value) {
    if (!slice_starts_with(*rest, name)) return false;
    struct slice line = slice_make(rest->p + name.n, rest->n - name.n);
    ptrdiff_t end = slice_find(line, '\n');
    if (end < 1 || line.p[end - 1] != '\r') return false;
    *rest = slice_make(line.p + end + 1, line.n - (size_t)end - 1);
    *value = slice_trim(slice_make(line.p, (size_t)end - 1));
    return true;
}

bool lambda_trailers_read(struct slice text, struct slice *type, struct slice *body) {
    struct slice error_type, error_body;
    if (!take_line(&text, SLICE(LAMBDA_ERROR_TYPE_FIELD ": "), &error_type)) return false;
    if (!take_line(&text, SLICE(LAMBDA_ERROR_BODY_FIELD ": "), &error_body) || text.n) return false;
    *type = error_type;
    *body = error_body;
    return true;
}

static struct slice cut(struct slice s) {
    return slice_make(s.p, s.n < LOGGED_BYTES ? s.n : LOGGED_BYTES);
}

void lambda_report_log(const struct endpoint *ep, const char *what, struct slice invocation,
                       const struct handler_report *r) {
    log_event(ep->api->log, LOG_WARN, what, LOG_TEXT("handler", ep->worker->handler->name),
              LOG_INT("pid", ep->worker->pid), LOG_SLICE("invocation", invocation), LOG_SLICE("error_type", r->type),
              LOG_SLICE("error", cut(r->message)), LOG_SLICE("stack", cut(r->stack)));
}
