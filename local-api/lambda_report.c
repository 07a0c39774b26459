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
    struct handler_report r = {.type = unknown};
    if (!read_object(&r, a, body)) r = (struct handler_report){.type = unknown, .message = body};
    r.posted = body;
    r.type = lambda_error_type(type_header, r.type);
    return r;
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
