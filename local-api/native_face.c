#include "local-api/native_face.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "local-api/lambda_report.h"
#include "local-api/native_answer.h"
#include "local-api/native_connection.h"
#include "local-api/native_invoke.h"
#include "local-api/native_queue.h"
#include "local-api/report_retry.h"
#include "local-api/runtime_private.h"
#include "local-api/stream.h"
#include <inttypes.h>
#include <stdlib.h>

#define MESSAGES_TYPE "application/http"
#define ERROR_MAX (1024 * 1024)

/* --- events --- */

static void message_add(struct call *c, struct invocation *inv) {
    event_message_write(&c->out, inv, endpoint_deadline_ms(c->endpoint, inv));
}

/* --- exchange --- */

static void add_if_any(struct fields *f, struct slice name, const struct buf *value) {
    if (value->n) f->items[f->count++] = (struct field){name, buf_slice(value)};
}

static void exchange_reply(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct field items[4] = {{SLICE("Content-Type"), SLICE(MESSAGES_TYPE)}};
    struct fields headers = {items, 1, ARRAY_LEN(items)};
    size_t n;
    add_if_any(&headers, SLICE("Execgate-Cancelled"), &ep->cancelled);
    add_if_any(&headers, SLICE("Execgate-Refused"), &c->refused);
    if (ep->draining) items[headers.count++] = (struct field){SLICE("Execgate-Drain"), SLICE("true")};
    char *bytes = buf_take(&c->out, &n);
    http_exchange_reply_bytes(c->exchange, 200, &headers, bytes, n);
    ep->cancelled.n = 0;
    ep->cancelled_count = 0;
}

static const struct call_ops exchange_poll_ops = {
    .add = message_add, .send = exchange_reply, .drain = exchange_reply, .tell = exchange_reply};

static void exchange_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    answers_end(c);
    if (c->flaw)
        call_problem(c, 400, "%s; the answers before it have been taken", c->flaw);
    else if (c->room == 0 || ep->draining || ep->cancelled.n || c->refused.n)
        exchange_reply(c);
    else
        endpoint_park(c, c->room, &exchange_poll_ops);
}

static size_t exchange_data(struct call *c, struct slice bytes) {
    answers_read(c, bytes);
    return bytes.n;
}

static const struct call_ops exchange_ops = {.on_data = exchange_data, .on_end = exchange_end};

/* max=N; one when it is not given. */
static bool read_max(struct slice target, uint64_t *max) {
    struct slice path, name, value;
    *max = 1;
    slice_next(&target, '?', &path);
    while (url_query_next(&target, &name, &value))
        if (slice_equal(name, SLICE("max")) && !slice_to_u64(value, max)) return false;
    return true;
}

static void exchange_begin(struct call *c) {
    struct endpoint *ep = c->endpoint;
    uint64_t places = ep->worker->handler->processes.concurrency;
    uint64_t max;
    if (!read_max(http_exchange_target(c->exchange), &max)) {
        call_problem(c, 400, "max must be a number");
        return;
    }
    ep->tells_cancelled = true;
    c->room = (unsigned)(max < places ? max : places);
    c->ops = &exchange_ops;
    http_exchange_read(c->exchange);
}

/* --- next --- */

static void next_send(struct call *c) {
    call_reply(c, 200, MESSAGES_TYPE, &c->out);
}

static void next_drain(struct call *c) {
    struct field drain = {SLICE("Execgate-Drain"), SLICE("true")};
    struct fields headers = {&drain, 1, 1};
    http_exchange_reply_bytes(c->exchange, 204, &headers, NULL, 0);
}

static const struct call_ops next_ops = {.add = message_add, .send = next_send, .drain = next_drain};

static void next_begin(struct call *c) {
    if (c->endpoint->draining)
        next_drain(c);
    else
        endpoint_park(c, 1, &next_ops);
}

/* --- response --- */

static void refuse_missing(struct call *c) {
    const char *reason = answer_misses(c->endpoint, c->id);
    call_problem(c, strcmp(reason, "late") == 0 ? 410 : 404, "%s: no invocation of that id waits for an answer",
                 reason);
}

/* The client is not kept waiting for an answer that cannot be read. */
static void response_invalid(struct call *c, const char *why) {
    struct endpoint *ep = c->endpoint;
    struct invocation *inv = endpoint_find(ep, c->id);
    call_problem(c, 400, "%s", why);
    if (inv) endpoint_complete(ep, inv, outcome_failure(inv, FAILURE_HANDLER_ANSWER, "%s", why));
}

static void response_too_large(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct invocation *inv = endpoint_find(ep, c->id);
    uint64_t limit = ep->api->max_answer;
    call_problem(c, 413, "at most %" PRIu64 " bytes are accepted", limit);
    if (inv)
        endpoint_complete(
            ep, inv,
            outcome_failure(inv, FAILURE_HANDLER_ANSWER_TOO_LARGE, "at most %" PRIu64 " bytes are accepted", limit));
}

/* Of the message in c->in; the fields' array is in the scratch arena. */
static bool response_head(struct call *c, struct response_head *head) {
    struct error e;
    if (response_head_parse(head, &c->endpoint->api->scratch, buf_slice(&c->in), &e) != HEAD_COMPLETE) {
        response_invalid(c, e.message);
        return false;
    }
    struct slice named = fields_get(&head->fields, SLICE("Execgate-Invocation-Id"));
    if (slice_is_none(named) || slice_equal(named, c->id)) return true;
    call_problem(c, 400, "the answer names another invocation than the path");
    return false;
}

static void whole_end(struct call *c) {
    struct response_head head;
    struct chunk *body = c->body;
    const char *reason = NULL;
    c->body = NULL;
    if (c->left) {
        chunk_release(body);
        call_problem(c, 400, "the upload ends within the answer");
        return;
    }
    bool valid = response_head(c, &head);
    if (valid)
        reason = answer_take(c->endpoint, c->id, &head, body);
    else
        chunk_release(body);
    arena_reset(&c->endpoint->api->scratch);
    if (!valid) return;
    if (!reason)
        call_accept(c);
    else if (strcmp(reason, "invalid") == 0)
        call_problem(c, 400, "the answer is not valid");
    else
        refuse_missing(c);
}

static size_t whole_data(struct call *c, struct slice bytes) {
    if (bytes.n > c->left) {
        response_invalid(c, "something follows the answer");
        return bytes.n;
    }
    memcpy((char *)c->body->memory + c->body->bytes.n, bytes.p, bytes.n);
    c->body->bytes.n += bytes.n;
    c->left -= bytes.n;
    return bytes.n;
}

static const struct call_ops whole_ops = {.on_data = whole_data, .on_end = whole_end};

static void streamed_end(struct call *c) {
    struct slice error = http_exchange_trailer(c->exchange, SLICE("Execgate-Error"));
    if (!slice_is_none(error)) {
        struct handler_report report = {.type = error};
        lambda_report_log(c->endpoint, "handler broke its answer off", c->id, &report);
        stream_fail(c, FAILURE_HANDLER_ERROR, "the handler reported an error while it answered");
    } else if (!stream_finish(c)) {
        refuse_missing(c);
        return;
    }
    call_accept(c);
}

static const struct call_ops streamed_ops = {
    .break_off = true, .on_data = stream_data, .on_end = streamed_end, .on_left = stream_left};

static void response_stream(struct call *c, struct invocation *inv, const struct response_head *head) {
    struct outcome o = answer_outcome(c->endpoint, inv, head, SLICE_NONE);
    if (o.failure == FAILURE_NONE) {
        stream_begin(c, inv, o, BODY_LENGTH_UNKNOWN, &streamed_ops);
        return;
    }
    static const struct call_ops accept_ops = {.on_end = call_accept};
    c->ops = &accept_ops;
    if (o.failure == FAILURE_HANDLER_ANSWER) call_problem(c, 400, "the answer is not valid");
    endpoint_complete(c->endpoint, inv, o);
}

/* The head is complete: what its body is to become. */
static void response_body_begin(struct call *c) {
    struct response_head head;
    struct invocation *inv = endpoint_find_wanted(c->endpoint, c->id);
    if (!inv) {
        refuse_missing(c);
    } else if (!response_head(c, &head)) {
        /* refused */
    } else if (head.content_length < 0) {
        response_stream(c, inv, &head);
    } else if ((uint64_t)head.content_length > c->endpoint->api->max_answer) {
        response_too_large(c);
    } else {
        c->left = (uint64_t)head.content_length;
        c->body = chunk_new((size_t)c->left);
        c->ops = &whole_ops;
    }
    arena_reset(&c->endpoint->api->scratch);
}

static size_t response_data(struct call *c, struct slice bytes) {
    const char *flaw;
    size_t taken;
    switch (answer_head_gather(c, bytes, &taken, &flaw)) {
    case HEAD_INCOMPLETE: return bytes.n;
    case HEAD_INVALID: response_invalid(c, flaw); return bytes.n;
    case HEAD_COMPLETE: response_body_begin(c); break;
    }
    struct slice rest = slice_make(bytes.p + taken, bytes.n - taken);
    if (!c->ops->on_data || !rest.n) return bytes.n;
    /* The first bytes of a stream are taken whether or not they are wanted yet. */
    if (c->sink)
        body_append_copy(c->sink, rest);
    else
        return taken + c->ops->on_data(c, rest);
    return bytes.n;
}

static void response_end(struct call *c) {
    response_invalid(c, "the answer has no complete head");
}

static const struct call_ops response_ops = {.on_data = response_data, .on_end = response_end};

static void response_begin(struct call *c) {
    if (!endpoint_find(c->endpoint, c->id)) {
        refuse_missing(c);
        return;
    }
    c->ops = &response_ops;
    http_exchange_read(c->exchange);
}

/* --- error --- */

static bool report_member(struct handler_report *r, struct arena *a, struct slice name, struct json_value value) {
    if (slice_equal(name, SLICE("retry"))) return report_retry_read(r, a, value);
    struct slice text = value.kind == JSON_STRING ? json_text_of(a, value) : SLICE_NONE;
    if (slice_equal(name, SLICE("message"))) r->message = text;
    if (slice_equal(name, SLICE("type"))) r->type = text;
    if (slice_equal(name, SLICE("stack"))) r->stack = value.kind == JSON_STRING ? text : value.raw;
    return true;
}

/* {message, type, stack, retry}; retry is for queues. */
static bool report_read(struct handler_report *r, struct arena *a, struct slice body) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    json_read_init(&json, body);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (!report_member(r, a, name, value)) return false;
    return json_read_end(&json);
}

static void error_end(struct call *c) {
    struct endpoint *ep = c->endpoint;
    struct invocation *inv = endpoint_find_wanted(ep, c->id);
    struct handler_report r = {0};
    if (!inv) {
        refuse_missing(c);
        return;
    }
    if (!report_read(&r, &inv->arena, buf_slice(&c->in))) {
        call_problem(c, 400,
                     "the body must be a JSON object {message, type, stack, retry}; retry is false or "
                     "{\"after\": \"30s\"}");
        return;
    }
    lambda_report_log(ep, "handler reported an error", c->id, &r);
    call_accept(c);
    r.posted = buf_slice(&c->in);
    endpoint_complete(ep, inv, outcome_reported(inv, &r));
}

static size_t error_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, ERROR_MAX)) call_problem(c, 413, "at most %d bytes are accepted", ERROR_MAX);
    return bytes.n;
}

static const struct call_ops error_ops = {.on_data = error_data, .on_end = error_end};

static void error_begin(struct call *c) {
    if (!endpoint_find(c->endpoint, c->id)) {
        refuse_missing(c);
        return;
    }
    c->ops = &error_ops;
    http_exchange_read(c->exchange);
}

/* --- cancelled --- */

static void cancelled_reply(struct call *c, enum end_reason reason) {
    struct json_write w = json_write_to(&c->out);
    if (reason == END_NONE) {
        http_exchange_reply_bytes(c->exchange, 204, NULL, NULL, 0);
        return;
    }
    json_open(&w, '{');
    json_member(&w, SLICE("reason"), slice_of(end_reason_text(reason)));
    json_close(&w, '}');
    call_reply(c, 200, "application/json", &c->out);
}

static enum end_reason reason_for(struct endpoint *ep, struct slice id) {
    const struct invocation *inv = endpoint_find(ep, id);
    if (!inv || !inv->cancelled) return endpoint_end_of(ep, id);
    return inv->cancelled == CANCEL_SHUTDOWN ? END_SHUTDOWN : END_CLIENT_GONE;
}

static void cancelled_tell(struct call *c) {
    cancelled_reply(c, reason_for(c->endpoint, c->id));
}

static const struct call_ops cancelled_ops = {.tell = cancelled_tell};

static void cancelled_begin(struct call *c) {
    struct endpoint *ep = c->endpoint;
    enum end_reason reason = reason_for(ep, c->id);
    if (reason != END_NONE || (!endpoint_find(ep, c->id) && !endpoint_is_streaming(ep, c->id))) {
        cancelled_reply(c, reason);
        return;
    }
    c->ops = &cancelled_ops;
    list_remove(&c->node);
    list_push(&ep->waiters, &c->node);
}

/* --- config --- */

static void config_begin(struct call *c) {
    const struct worker *w = c->endpoint->worker;
    struct json_write j = json_write_to(&c->out);
    json_open(&j, '{');
    json_member(&j, SLICE("application"), slice_of(pool_host_of(w->pool)->application));
    json_member(&j, SLICE("handler"), slice_of(w->handler->name));
    json_name(&j, SLICE("worker"));
    json_number(&j, w->number);
    json_name(&j, SLICE("concurrency"));
    json_number(&j, (int64_t)w->handler->processes.concurrency);
    json_name(&j, SLICE("timeoutMs"));
    json_number(&j, (int64_t)w->handler->timeout_ms);
    json_name(&j, SLICE("maxAnswer"));
    json_number(&j, (int64_t)c->endpoint->api->max_answer);
    json_name(&j, SLICE("triggers"));
    json_open(&j, '[');
    for (size_t i = 0; i < w->handler->http_trigger_count; i++) {
        json_open(&j, '{');
        json_member(&j, SLICE("http"), slice_of(w->handler->http_triggers[i].text));
        json_close(&j, '}');
    }
    for (size_t i = 0; i < w->handler->queue_trigger_count; i++) {
        json_open(&j, '{');
        json_member(&j, SLICE("queue"), slice_of(w->handler->queue_triggers[i].queue));
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    call_reply(c, 200, "application/json", &c->out);
}

const struct api_route native_routes[] = {
    {"POST", "/v1/exchange", exchange_begin},
    {"GET", "/v1/next", next_begin},
    {"POST", "/v1/invocations/{id}/response", response_begin},
    {"POST", "/v1/invocations/{id}/error", error_begin},
    {"GET", "/v1/invocations/{id}/cancelled", cancelled_begin},
    {"POST", "/v1/queues/{id}/messages", native_queue_begin},
    {"POST", "/v1/handlers/{id}/invocations", native_invoke_begin},
    {NULL, "/v1/connections", native_connection_begin},
    {NULL, "/v1/connections/{id}", native_connection_begin},
    {NULL, "/v1/connections/{id}/groups/{id}", native_connection_begin},
    {NULL, "/@connections/{id}", native_connection_begin},
    {NULL, "/%40connections/{id}", native_connection_begin},
    {NULL, "/v1/groups/{id}", native_connection_begin},
    {NULL, "/v1/groups/{id}/messages", native_connection_begin},
    {NULL, "/v1/nodes", native_connection_begin},
    {"GET", "/v1/config", config_begin},
};
const size_t native_route_count = ARRAY_LEN(native_routes);
