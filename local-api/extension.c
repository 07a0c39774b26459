#include "local-api/extension.h"
#include "gateway/base/http_text.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "local-api/event.h"
#include "local-api/lambda_face.h"
#include "local-api/lambda_report.h"
#include "local-api/runtime_private.h"
#include <stdlib.h>

#define REQUEST_MAX (64 * 1024)

enum extension_events { EXTENSION_INVOKE = 1, EXTENSION_SHUTDOWN = 2 };

struct extension {
    struct list_node node;
    char id[UUID_TEXT_SIZE];
    unsigned events;
    struct call *poll;           /* event/next that is parked */
    struct buf invoke, shutdown; /* events that it has not fetched yet */
};

/* --- events --- */

static void extension_reply(struct extension *x, struct call *c, struct buf *event) {
    char event_id[UUID_TEXT_SIZE];
    clock_uuid(loop_clock(c->endpoint->api->loop), event_id);
    struct field items[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("Lambda-Extension-Event-Identifier"), slice_make(event_id, sizeof event_id)},
    };
    struct fields headers = {items, ARRAY_LEN(items), ARRAY_LEN(items)};
    size_t n;
    char *bytes = buf_take(event, &n);
    x->poll = NULL;
    http_exchange_reply_bytes(c->exchange, 200, &headers, bytes, n);
}

/* One event meets one parked call; the end comes last. */
static void extension_serve(struct extension *x) {
    struct buf *event = x->invoke.n ? &x->invoke : &x->shutdown;
    if (x->poll && event->n) extension_reply(x, x->poll, event);
}

static void write_invoke(struct buf *out, struct endpoint *ep, const struct invocation *inv) {
    char arn[256], trace[LAMBDA_TRACE_SIZE];
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_member(&w, SLICE("eventType"), SLICE("INVOKE"));
    json_name(&w, SLICE("deadlineMs"));
    json_number(&w, (int64_t)endpoint_deadline_ms(ep, inv));
    json_member(&w, SLICE("requestId"), invocation_id(inv));
    json_member(&w, SLICE("invokedFunctionArn"), lambda_arn(ep, arn, sizeof arn));
    json_name(&w, SLICE("tracing"));
    json_open(&w, '{');
    json_member(&w, SLICE("type"), SLICE("X-Amzn-Trace-Id"));
    json_member(&w, SLICE("value"), lambda_trace(inv, trace));
    json_close(&w, '}');
    json_close(&w, '}');
}

void extensions_tell_invoke(struct endpoint *ep, const struct invocation *inv) {
    list_each (&ep->extensions, node) {
        struct extension *x = list_entry(node, struct extension, node);
        if (!(x->events & EXTENSION_INVOKE)) continue;
        buf_free(&x->invoke);
        write_invoke(&x->invoke, ep, inv);
        extension_serve(x);
    }
}

static const char *shutdown_reason(enum stop_reason why) {
    if (why == STOP_TIMEOUT) return "timeout";
    return why == STOP_FAILURE ? "failure" : "spindown";
}

static void write_shutdown(struct buf *out, struct endpoint *ep, enum stop_reason why) {
    uint64_t grace_ms = ep->worker->handler->processes.stop_timeout_ms;
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_member(&w, SLICE("eventType"), SLICE("SHUTDOWN"));
    json_member(&w, SLICE("shutdownReason"), slice_of(shutdown_reason(why)));
    json_name(&w, SLICE("deadlineMs"));
    json_number(&w, (int64_t)(clock_wall_ms(loop_clock(ep->api->loop)) + grace_ms));
    json_close(&w, '}');
}

void extensions_shut_down(struct endpoint *ep, enum stop_reason why) {
    list_each (&ep->extensions, node) {
        struct extension *x = list_entry(node, struct extension, node);
        if (!(x->events & EXTENSION_SHUTDOWN)) continue;
        write_shutdown(&x->shutdown, ep, why);
        extension_serve(x);
    }
}

void extensions_free(struct endpoint *ep) {
    list_each (&ep->extensions, node) {
        struct extension *x = list_entry(node, struct extension, node);
        list_remove(node);
        buf_free(&x->invoke);
        buf_free(&x->shutdown);
        free(x);
    }
}

/* --- register --- */

static bool add_event(unsigned *events, struct slice name) {
    if (slice_equal(name, SLICE("INVOKE")))
        *events |= EXTENSION_INVOKE;
    else if (slice_equal(name, SLICE("SHUTDOWN")))
        *events |= EXTENSION_SHUTDOWN;
    else
        return false;
    return true;
}

enum registration { REGISTRATION_VALID, REGISTRATION_MALFORMED, REGISTRATION_UNKNOWN_EVENT };

static enum registration read_event_list(struct arena *a, struct json_value list, unsigned *events) {
    struct json_read json;
    struct json_value value;
    if (list.kind == JSON_NULL) return REGISTRATION_VALID;
    if (list.kind != JSON_ARRAY) return REGISTRATION_MALFORMED;
    json_read_init(&json, list.raw);
    json_read_open(&json, '[');
    while (json_read_element(&json) && json_read_value(&json, &value)) {
        if (value.kind != JSON_STRING) return REGISTRATION_MALFORMED;
        if (!add_event(events, json_text_of(a, value))) return REGISTRATION_UNKNOWN_EVENT;
    }
    return REGISTRATION_VALID;
}

/* {"events": ["INVOKE", "SHUTDOWN"]}; the list may be empty or missing. */
static enum registration read_registration(struct arena *a, struct slice body, unsigned *events) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    enum registration result = REGISTRATION_VALID;
    json_read_init(&json, body);
    if (!json_read_open(&json, '{')) return REGISTRATION_MALFORMED;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (slice_equal(name, SLICE("events"))) result = read_event_list(a, value, events);
    return json_read_end(&json) ? result : REGISTRATION_MALFORMED;
}

static void register_reply(struct call *c, struct extension *x) {
    struct field items[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("Lambda-Extension-Identifier"), slice_make(x->id, sizeof x->id)},
    };
    struct fields headers = {items, ARRAY_LEN(items), ARRAY_LEN(items)};
    struct slice name = slice_of(c->endpoint->worker->handler->name);
    bool account = http_list_has(call_header(c, SLICE("Lambda-Extension-Accept-Feature")), SLICE("accountId"));
    struct json_write w = json_write_to(&c->out);
    json_open(&w, '{');
    json_member(&w, SLICE("functionName"), name);
    json_member(&w, SLICE("functionVersion"), SLICE("$LATEST"));
    json_member(&w, SLICE("handler"), name);
    if (account) json_member(&w, SLICE("accountId"), SLICE(EVENT_ACCOUNT));
    json_close(&w, '}');
    size_t n;
    char *bytes = buf_take(&c->out, &n);
    http_exchange_reply_bytes(c->exchange, 200, &headers, bytes, n);
}

static void register_extension(struct call *c, unsigned events) {
    struct endpoint *ep = c->endpoint;
    struct extension *x = xcalloc(1, sizeof *x);
    x->events = events;
    clock_uuid(loop_clock(ep->api->loop), x->id);
    list_push(&ep->extensions, &x->node);
    register_reply(c, x);
}

static void register_end(struct call *c) {
    struct arena *a = &c->endpoint->api->scratch;
    unsigned events = 0;
    enum registration result = read_registration(a, buf_slice(&c->in), &events);
    arena_reset(a);
    switch (result) {
    case REGISTRATION_VALID: register_extension(c, events); break;
    case REGISTRATION_MALFORMED:
        call_refuse(c, 403, "InvalidRequestFormat", "The body must be {\"events\": [...]}");
        break;
    case REGISTRATION_UNKNOWN_EVENT:
        call_refuse(c, 403, "Extension.InvalidEventType", "Events are INVOKE and SHUTDOWN");
        break;
    }
}

static size_t small_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, REQUEST_MAX)) call_refuse(c, 413, "RequestEntityTooLarge", "The body is too large");
    return bytes.n;
}

static const struct call_ops register_ops = {.on_data = small_data, .on_end = register_end};

static void register_begin(struct call *c) {
    struct endpoint *ep = c->endpoint;
    if (!call_header(c, SLICE("Lambda-Extension-Name")).n) {
        call_refuse(c, 403, "Extension.InvalidExtensionName", "Lambda-Extension-Name is missing");
    } else if (ep->extensions.length == EXTENSIONS_MAX) {
        call_refuse(c, 403, "Extension.TooManyExtensions", "At most %d extensions may register", EXTENSIONS_MAX);
    } else {
        c->ops = &register_ops;
        http_exchange_read(c->exchange);
    }
}

/* --- the calls of a registered one --- */

static struct extension *extension_with_id(struct endpoint *ep, struct slice id) {
    list_each (&ep->extensions, node) {
        struct extension *x = list_entry(node, struct extension, node);
        if (slice_equal(slice_make(x->id, sizeof x->id), id)) return x;
    }
    return NULL;
}

/* NULL: it has been refused. */
static struct extension *extension_of(struct call *c) {
    struct slice id = call_header(c, SLICE("Lambda-Extension-Identifier"));
    struct extension *x = extension_with_id(c->endpoint, id);
    if (x) return x;
    if (!id.n)
        call_refuse(c, 403, "Extension.MissingExtensionIdentifier", "Lambda-Extension-Identifier is missing");
    else if (id.n != UUID_TEXT_SIZE)
        call_refuse(c, 403, "Extension.InvalidExtensionIdentifier", "Lambda-Extension-Identifier is not a UUID");
    else
        call_refuse(c, 403, "Extension.UnknownExtensionIdentifier", "No extension of this process has that identifier");
    return NULL;
}

static void event_next_left(struct call *c) {
    struct extension *x = c->context;
    if (x->poll == c) x->poll = NULL;
}

static const struct call_ops event_next_ops = {.on_left = event_next_left};

static void event_next_begin(struct call *c) {
    struct extension *x = extension_of(c);
    if (!x) return;
    if (x->poll) {
        call_refuse(c, 403, "Extension.InvalidExtensionState", "The extension waits for an event already");
        return;
    }
    c->context = x;
    c->ops = &event_next_ops;
    x->poll = c;
    extension_serve(x);
}

static struct handler_report read_report(struct call *c) {
    struct slice type = call_header(c, SLICE("Lambda-Extension-Function-Error-Type"));
    struct handler_report r = lambda_report_read(&c->endpoint->api->scratch, SLICE_NONE, buf_slice(&c->in),
                                                 SLICE("Extension.Unknown"));
    if (type.n && slice_starts_with(type, SLICE("Extension."))) r.type = type;
    return r;
}

static void init_error_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct handler_report r = read_report(c);
    lambda_report_log(ep, "extension cannot start", SLICE_NONE, &r);
    call_accept(c);
    worker_init_error(ep->worker, r.type, r.message);
    arena_reset(&ep->api->scratch);
}

static void exit_error_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct handler_report r = read_report(c);
    lambda_report_log(ep, "extension failed", SLICE_NONE, &r);
    call_accept(c);
    worker_fail(ep->worker, "an extension of it failed");
    arena_reset(&ep->api->scratch);
}

static const struct call_ops init_error_ops = {.on_data = small_data, .on_end = init_error_end};
static const struct call_ops exit_error_ops = {.on_data = small_data, .on_end = exit_error_end};

static void report_begin(struct call *c, const struct call_ops *ops) {
    if (!extension_of(c)) return;
    c->ops = ops;
    http_exchange_read(c->exchange);
}

static void init_error_begin(struct call *c) {
    report_begin(c, &init_error_ops);
}

static void exit_error_begin(struct call *c) {
    report_begin(c, &exit_error_ops);
}

/* --- what is not supported, in the words of the service --- */

static void telemetry_begin(struct call *c) {
    call_refuse(c, 202, "Telemetry.NotSupported", "Telemetry API is not supported");
}

static void logs_begin(struct call *c) {
    call_refuse(c, 202, "Logs.NotSupported", "Logs API is not supported");
}

const struct api_route extension_routes[] = {
    {"POST", "/2020-01-01/extension/register", register_begin},
    {"GET", "/2020-01-01/extension/event/next", event_next_begin},
    {"POST", "/2020-01-01/extension/init/error", init_error_begin},
    {"POST", "/2020-01-01/extension/exit/error", exit_error_begin},
    {"PUT", "/2022-07-01/telemetry", telemetry_begin},
    {"PUT", "/2020-08-15/logs", logs_begin},
};
const size_t extension_route_count = ARRAY_LEN(extension_routes);
