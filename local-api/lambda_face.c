#include "local-api/lambda_face.h"
#include "gateway/base/base64.h"
#include "local-api/answer_http.h"
#include "local-api/event.h"
#include "local-api/extension.h"
#include "local-api/held_sends.h"
#include "local-api/lambda_report.h"
#include "local-api/runtime_private.h"
#include "local-api/stream.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What the service adds to the size of an answer for its own framing. */
#define ANSWER_MARGIN 100
#define HELD_MAX (64 * 1024) /* of what may be trailers */
#define STREAMED_HTTP_TYPE "application/vnd.awslambda.http-integration-response"

static bool is_concurrent(const struct endpoint *ep) {
    return ep->worker->handler->processes.concurrency > 1;
}

/* --- next --- */

struct slice lambda_arn(const struct endpoint *ep, char *room, size_t size) {
    int n = snprintf(room, size, "arn:aws:lambda:" EVENT_REGION ":" EVENT_ACCOUNT ":function:%s",
                     ep->worker->handler->name);
    return slice_make(room, n > 0 && (size_t)n < size ? (size_t)n : 0);
}

struct slice lambda_trace(const struct invocation *inv, char room[LAMBDA_TRACE_SIZE]) {
    int n = snprintf(room, LAMBDA_TRACE_SIZE, "Root=1-%.8s-%.24s;Parent=%.16s;Sampled=%c", inv->trace_id,
                     inv->trace_id + 8, inv->parent_id, inv->trace_sampled ? '1' : '0');
    return slice_make(room, (size_t)n);
}

static void next_reply(struct call *c, struct invocation *inv) {
    struct endpoint *ep = c->endpoint;
    char arn[256], trace[LAMBDA_TRACE_SIZE], deadline[24];
    int n = snprintf(deadline, sizeof deadline, "%" PRIu64, endpoint_deadline_ms(ep, inv));
    struct buf event = {0};
    struct slice type = event_shape_of(inv)->write(&event, inv, pool_host_of(ep->worker->pool)->application);
    struct field items[] = {
        {SLICE("Content-Type"), type},
        {SLICE("Lambda-Runtime-Aws-Request-Id"), invocation_id(inv)},
        {SLICE("Lambda-Runtime-Invocation-Id"), slice_make(inv->attempt_id, UUID_TEXT_SIZE)},
        {SLICE("Lambda-Runtime-Deadline-Ms"), slice_make(deadline, (size_t)n)},
        {SLICE("Lambda-Runtime-Invoked-Function-Arn"), lambda_arn(ep, arn, sizeof arn)},
        {SLICE("Lambda-Runtime-Trace-Id"), lambda_trace(inv, trace)},
        {SLICE("Lambda-Runtime-Client-Context"), inv->client_context},
    };
    size_t count = ARRAY_LEN(items) - slice_is_none(inv->client_context);
    struct fields headers = {items, count, count};
    size_t size;
    char *bytes = buf_take(&event, &size);
    http_exchange_reply_bytes(c->exchange, 200, &headers, bytes, size);
}

static void next_add(struct call *c, struct invocation *inv) {
    next_reply(c, inv);
    extensions_tell_invoke(c->endpoint, inv);
}

static void next_send(struct call *c) {
    (void)c; /* the one event it had room for is its reply */
}

static const struct call_ops next_ops = {.add = next_add, .send = next_send};

static void next_begin(struct call *c) {
    struct endpoint *ep = c->endpoint;
    endpoint_greet(ep);
    struct list_node *first = list_first(&ep->worker->running);
    struct invocation *held = first ? list_entry(first, struct invocation, node) : NULL;
    if (held && !is_concurrent(ep) && !held_sends_are_sending(held))
        next_reply(c, held);
    else
        endpoint_park(c, 1, &next_ops);
}

/* --- answers: which invocation --- */

static const char *state_name(const struct endpoint *ep) {
    if (!ep->asked) return "Started";
    if (!list_empty(&ep->worker->running)) return "Running";
    return list_empty(&ep->polls) ? "ResponseSent" : "Ready";
}

static void refuse_transition(struct call *c, const char *to) {
    call_refuse(c, 403, "InvalidStateTransition", "Transition from %s to %s is not allowed", state_name(c->endpoint),
                to);
}

static void refuse_id(struct call *c) {
    if (is_concurrent(c->endpoint) && endpoint_end_of(c->endpoint, c->id) == END_DEADLINE)
        call_refuse(c, 410, "InvokeTimeout", "The invocation timed out before it was answered");
    else
        call_refuse(c, 400, "InvalidRequestID", "No invocation of that id waits for an answer");
}

/* Clients that were told an attempt's id say which one they answer: not that of a retry. */
static bool is_of_other_attempt(const struct call *c, const struct invocation *inv) {
    struct slice attempt = call_header(c, SLICE("Lambda-Runtime-Invocation-Id"));
    return !slice_is_none(attempt) && !slice_equal(attempt, slice_make(inv->attempt_id, UUID_TEXT_SIZE));
}

/* NULL: it has been refused. Asked again at the end of an upload: much may have happened meanwhile. */
static struct invocation *answered(struct call *c) {
    struct invocation *inv = endpoint_find(c->endpoint, c->id);
    if (inv && !is_of_other_attempt(c, inv)) return inv;
    refuse_id(c);
    return NULL;
}

static uint64_t answer_limit(const struct call *c) {
    return c->endpoint->api->max_answer + ANSWER_MARGIN;
}

/* The process learns it and lives on; the client's answer is lost. */
static void refuse_size(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct invocation *inv = endpoint_find(ep, c->id);
    uint64_t limit = answer_limit(c);
    call_refuse(c, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (%" PRIu64 " bytes).", limit);
    if (!inv) return;
    endpoint_complete(
        ep, inv,
        outcome_failure(inv, FAILURE_HANDLER_ANSWER_TOO_LARGE, "at most %" PRIu64 " bytes are accepted", limit));
}

static size_t upload_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, answer_limit(c))) refuse_size(c);
    return bytes.n;
}

static void upload_begin(struct call *c, const struct call_ops *ops) {
    int64_t length = http_exchange_content_length(c->exchange);
    c->ops = ops;
    if (length > 0 && (uint64_t)length > answer_limit(c)) {
        refuse_size(c);
        return;
    }
    http_exchange_read(c->exchange);
}

/* --- answers: whole --- */

static void response_end(struct call *c) {
    struct invocation *inv = answered(c);
    if (!inv) return;
    size_t n;
    char *bytes = buf_take(&c->in, &n);
    call_accept(c);
    endpoint_complete(c->endpoint, inv, event_shape_of(inv)->read(inv, chunk_take(bytes, n)));
}

static const struct call_ops response_ops = {.on_data = upload_data, .on_end = response_end};

/* --- answers: streamed --- */

/* Says in the log what the client only sees as a broken connection. */
static void log_broken_stream(struct call *c, struct slice type, struct slice text) {
    struct runtime_api *api = c->endpoint->api;
    char *room = arena_alloc(&api->scratch, text.n + 1);
    ptrdiff_t n = text.n ? base64_decode(text, room) : 0;
    struct slice body = slice_make(room, n > 0 ? (size_t)n : 0);
    struct handler_report r = lambda_report_read(&api->scratch, type, body, SLICE("Function.Unknown"));
    lambda_report_log(c->endpoint, "handler broke its answer off", c->id, &r);
    arena_reset(&api->scratch);
}

/* What is kept back turns out to be the answer's own text. */
static void held_release(struct call *c) {
    if (c->sink && c->in.n) body_append_copy(c->sink, buf_slice(&c->in));
    buf_free(&c->in);
}

/* Rust's lambda_runtime (1.5) writes the trailers that it announces as the last chunk of the body. So a chunk that
 * looks like them is kept back until it is known whether more follows; the client is not told of an error as if it were
 * content. */
static bool may_be_trailers(const struct call *c, struct slice bytes) {
    return slice_starts_with(bytes, SLICE(LAMBDA_ERROR_TYPE_FIELD ": ")) &&
           !slice_is_none(call_header(c, SLICE("Trailer")));
}

static size_t streamed_data(struct call *c, struct slice bytes) {
    if (c->in.n == 0 && !may_be_trailers(c, bytes)) return stream_data(c, bytes);
    if (c->in.n + bytes.n <= HELD_MAX) {
        buf_append_slice(&c->in, bytes);
        return bytes.n;
    }
    held_release(c);
    return stream_data(c, bytes);
}

static void streamed_end(struct call *c) {
    struct slice type = http_exchange_trailer(c->exchange, SLICE(LAMBDA_ERROR_TYPE_FIELD));
    struct slice text = http_exchange_trailer(c->exchange, SLICE(LAMBDA_ERROR_BODY_FIELD));
    if (slice_is_none(type) && !lambda_trailers_read(buf_slice(&c->in), &type, &text)) held_release(c);
    if (!slice_is_none(type)) {
        log_broken_stream(c, type, text);
        stream_fail(c, FAILURE_HANDLER_ERROR, "the handler reported an error while it answered");
    } else if (!stream_finish(c)) {
        refuse_id(c);
        return;
    }
    call_accept(c);
}

static const struct call_ops streamed_ops = {.on_data = streamed_data, .on_end = streamed_end, .on_left = stream_left};
static const struct call_ops ignored_ops = {.on_end = call_accept};

/* The runtime did its part; the answer is what is wrong. */
static void prelude_refused(struct call *c, struct invocation *inv, struct outcome o) {
    c->ops = &ignored_ops;
    endpoint_complete(c->endpoint, inv, o);
}

static void prelude_complete(struct call *c, struct invocation *inv, struct slice json, size_t size) {
    int64_t length = http_exchange_content_length(c->exchange);
    struct slice rest = slice_make(c->in.p + size, c->in.n - size);
    struct outcome o = prelude_read(inv, json);
    if (o.failure != FAILURE_NONE) {
        prelude_refused(c, inv, o);
        return;
    }
    stream_begin(c, inv, o, length == BODY_LENGTH_UNKNOWN ? length : length - (int64_t)size, &streamed_ops);
    if (c->sink && rest.n) body_append_copy(c->sink, rest);
    buf_free(&c->in);
}

static size_t prelude_data(struct call *c, struct slice bytes) {
    struct invocation *inv = answered(c);
    struct slice json;
    size_t size;
    if (!inv) return bytes.n;
    stream_acknowledge(c);
    buf_append_slice(&c->in, bytes);
    switch (prelude_find(buf_slice(&c->in), &json, &size)) {
    case PRELUDE_INCOMPLETE: break;
    case PRELUDE_COMPLETE: prelude_complete(c, inv, json, size); break;
    case PRELUDE_INVALID:
        prelude_refused(c, inv, answer_invalid(inv, "its prelude does not end in eight NUL bytes", buf_slice(&c->in)));
        break;
    }
    return bytes.n;
}

static void prelude_end(struct call *c) {
    struct invocation *inv = answered(c);
    if (!inv) return;
    call_accept(c);
    endpoint_complete(c->endpoint, inv, answer_invalid(inv, "it ends within its prelude", buf_slice(&c->in)));
}

static const struct call_ops prelude_ops = {.on_data = prelude_data, .on_end = prelude_end};

/* Without a prelude the bytes are the body. */
static void raw_begin(struct call *c, struct invocation *inv) {
    struct slice type = call_header(c, SLICE("Content-Type"));
    struct outcome o = {.status = 200};
    if (!type.n) type = SLICE("application/octet-stream");
    fields_add(&o.headers, &inv->arena, SLICE("content-type"), arena_copy(&inv->arena, type));
    stream_acknowledge(c);
    stream_begin(c, inv, o, http_exchange_content_length(c->exchange), &streamed_ops);
    http_exchange_read(c->exchange);
}

/* The sign that some clients give without the other; where an answer has no status, there is nothing to begin with. */
static bool has_prelude(const struct call *c, const struct invocation *inv) {
    if (event_shape_of(inv)->answer == EVENT_ANSWER_BYTES) return false;
    struct slice type = call_header(c, SLICE("Content-Type")), name;
    return slice_next(&type, ';', &name) && slice_equal_nocase(slice_trim(name), SLICE(STREAMED_HTTP_TYPE));
}

static void response_begin(struct call *c) {
    struct slice mode = call_header(c, SLICE("Lambda-Runtime-Function-Response-Mode"));
    if (!c->endpoint->asked) {
        refuse_transition(c, "ResponseSent");
        return;
    }
    struct invocation *inv = answered(c);
    if (!inv) return;
    if (!slice_is_none(mode) && !slice_equal(mode, SLICE("streaming"))) {
        call_refuse(c, 400, "InvalidFunctionResponseMode",
                    "Lambda-Runtime-Function-Response-Mode must be streaming or absent");
        return;
    }
    if (has_prelude(c, inv)) {
        stream_acknowledge(c);
        c->ops = &prelude_ops;
        http_exchange_read(c->exchange);
    } else if (!slice_is_none(mode)) {
        raw_begin(c, inv);
    } else {
        upload_begin(c, &response_ops);
    }
}

/* --- errors --- */

static void error_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct invocation *inv = answered(c);
    if (!inv) return;
    struct slice type = call_header(c, SLICE(LAMBDA_ERROR_TYPE_FIELD));
    struct handler_report r = lambda_report_read(&inv->arena, type, buf_slice(&c->in), SLICE("Function.Unknown"));
    lambda_report_log(ep, "handler reported an error", c->id, &r);
    call_accept(c);
    endpoint_complete(ep, inv, outcome_reported(inv, &r));
}

static const struct call_ops error_ops = {.on_data = upload_data, .on_end = error_end};

static void error_begin(struct call *c) {
    if (!c->endpoint->asked)
        refuse_transition(c, "InvocationError");
    else if (answered(c))
        upload_begin(c, &error_ops);
}

static void init_error_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct arena *a = &ep->api->scratch;
    struct slice type = call_header(c, SLICE(LAMBDA_ERROR_TYPE_FIELD));
    if (ep->asked) {
        refuse_transition(c, "InitError");
        return;
    }
    struct handler_report r = lambda_report_read(a, type, buf_slice(&c->in), SLICE("Runtime.Unknown"));
    lambda_report_log(ep, "handler cannot start", SLICE_NONE, &r);
    call_accept(c);
    worker_init_error(ep->worker, r.type, r.message);
    arena_reset(a);
}

static const struct call_ops init_error_ops = {.on_data = upload_data, .on_end = init_error_end};

static void init_error_begin(struct call *c) {
    if (c->endpoint->asked)
        refuse_transition(c, "InitError");
    else
        upload_begin(c, &init_error_ops);
}

static void ping_begin(struct call *c) {
    struct buf pong = {0};
    buf_append_text(&pong, "pong");
    call_reply(c, 200, "text/plain", &pong);
}

const struct api_route lambda_routes[] = {
    {"GET", "/2018-06-01/runtime/invocation/next", next_begin},
    {"POST", "/2018-06-01/runtime/invocation/{id}/response", response_begin},
    {"POST", "/2018-06-01/runtime/invocation/{id}/error", error_begin},
    {"POST", "/2018-06-01/runtime/init/error", init_error_begin},
    {"GET", "/2018-06-01/ping", ping_begin},
};
const size_t lambda_route_count = ARRAY_LEN(lambda_routes);
