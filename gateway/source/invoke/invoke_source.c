#include "gateway/source/invoke/invoke_source.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/collector.h"
#include "gateway/source/http/http_check.h"
#include "gateway/source/schedule/schedule_event.h"
#include "gateway/source/websocket/websocket_trial.h"
#include "plugins/auth/guard.h"
#include "plugins/request_id/request_id.h"
#include <stdlib.h>

#define CALL_FIRST_BLOCK 1024
#define OUTPUT_KEPT 4096 /* what Lambda's X-Amz-Log-Result holds */

/* In flight the call is the invocation's source context. The outcome is copied out of the invocation's arena, because
 * on_end comes later, from the turn. */
struct invoke_call {
    const struct invoke_ops *ops;
    void *context;
    struct invocation *invocation; /* NULL once it has ended */
    uint64_t began_us;
    uint64_t limit;
    struct arena arena;
    struct fields headers;
    struct handler_report report;
    struct invoke_answer answer;
    struct buf output;
    struct collector collector;
};

static void call_free(struct invoke_call *c) {
    collector_release(&c->collector);
    if (c->answer.body) body_release_consumer(c->answer.body);
    buf_free(&c->output);
    arena_free(&c->arena);
    free(c);
}

/* --- the end --- */

/* A body that fails after its head has been told fails the whole call. */
static void call_take_bytes(struct invoke_call *c) {
    struct invoke_answer *a = &c->answer;
    a->bytes = collector_bytes(&c->collector);
    if (!slice_is_none(a->bytes) || a->failure != FAILURE_NONE) return;
    bool too_large = body_over_limit(c->collector.body);
    const char *why = body_failure(c->collector.body);
    a->failure = too_large ? FAILURE_HANDLER_ANSWER_TOO_LARGE : FAILURE_HANDLER_DIED;
    a->detail = arena_copy(&c->arena, slice_of(why ? why : "the answer did not end in time"));
}

static void on_collected(struct collector *collector) {
    struct invoke_call *c = container_of(collector, struct invoke_call, collector);
    struct invoke_answer *a = &c->answer;
    struct slice output = buf_slice(&c->output);
    if (c->ops->reading == INVOKE_WHOLE) call_take_bytes(c);
    a->output = output.n ? slice_make(output.p, output.n - 1) : SLICE("");
    a->duration_us = clock_now_us(c->collector.clock) - c->began_us;
    struct invoke_answer told = *a;
    a->body = NULL;
    c->ops->on_end(c->context, &told);
    call_free(c);
}

static void call_keep_headers(struct invoke_call *c, const struct fields *from) {
    struct arena *a = &c->arena;
    for (size_t i = 0; i < from->count; i++)
        fields_add(&c->headers, a, arena_copy(a, from->items[i].name), arena_copy(a, from->items[i].value));
}

static void call_keep_report(struct invoke_call *c, const struct handler_report *from) {
    struct arena *a = &c->arena;
    if (!from) return;
    c->report = (struct handler_report){.type = arena_copy(a, from->type),
                                        .message = arena_copy(a, from->message),
                                        .stack = arena_copy(a, from->stack),
                                        .posted = arena_copy(a, from->posted)};
    c->answer.report = &c->report;
}

static uint64_t waited_us(const struct invocation *inv) {
    return inv->queued_us && inv->started_us ? inv->started_us - inv->queued_us : 0;
}

static void call_finish(struct invocation *inv) {
    struct invoke_call *c = inv->source_context;
    const struct outcome *o = &inv->outcome;
    c->invocation = NULL;
    c->answer = (struct invoke_answer){.id = arena_copy(&c->arena, invocation_id(inv)),
                                       .failure = o->failure,
                                       .status = o->status,
                                       .headers = &c->headers,
                                       .detail = arena_copy(&c->arena, o->detail),
                                       .evidence = arena_copy(&c->arena, o->evidence),
                                       .waited_us = waited_us(inv)};
    call_keep_headers(c, &o->headers);
    call_keep_report(c, o->report);
    struct body *body = outcome_take_body(&inv->outcome);
    bool streamed = c->ops->reading == INVOKE_STREAMED;
    if (streamed) c->answer.body = body;
    /* A stream has a deadline of its own, which comes first. */
    uint64_t patience_ms = inv->route ? invocation_timeout_ms(inv) : 0;
    collector_take(&c->collector, streamed ? NULL : body, c->limit, patience_ms);
}

/* Keeps the last lines that fit. */
static void call_output(struct invocation *inv, struct slice line) {
    struct invoke_call *c = inv->source_context;
    buf_append_slice(&c->output, line);
    buf_append_char(&c->output, '\n');
    if (c->output.n <= OUTPUT_KEPT) return;
    size_t beyond = c->output.n - OUTPUT_KEPT;
    const char *end = memchr(c->output.p + beyond - 1, '\n', OUTPUT_KEPT);
    size_t cut = end ? (size_t)(end - c->output.p) + 1 : beyond;
    buf_consume(&c->output, cut < c->output.n ? cut : beyond);
}

static const struct source_ops invoke_ops = {.name = "invoke", .finish = call_finish, .output = call_output};

/* --- the beginning --- */

static struct invoke_call *call_new(struct pipeline *p, const struct invoke_order *order) {
    struct invoke_call *c = xcalloc(1, sizeof *c);
    c->ops = order->ops;
    c->context = order->context;
    c->limit = order->answer_limit;
    c->began_us = clock_now_us(p->clock);
    arena_init(&c->arena, CALL_FIRST_BLOCK);
    collector_init(&c->collector, p, on_collected);
    struct invocation *inv = c->invocation = invocation_new(p, &invoke_ops, c);
    inv->timeout_ms = order->timeout_ms;
    return c;
}

static void call_vouch(struct invocation *inv, struct slice claims) {
    struct arena *a = &inv->arena;
    if (slice_is_none(claims)) return;
    inv->identity = identity_of_claims(a, IDENTITY_JWT, "Bearer", identity_json_line(arena_copy(a, claims), a));
}

static void call_give_body(struct invocation *inv, struct slice bytes) {
    if (bytes.n) inv->body = body_of_chunk(chunk_copy(bytes));
}

struct route invoke_route(const struct handler_config *handler, struct executor *executor) {
    return (struct route){.handler = handler, .executor = executor, .key = SLICE("POST /invoke")};
}

static void call_give_payload(struct invocation *inv, const struct invoke_payload *payload) {
    inv->trigger = TRIGGER_INVOKE;
    inv->client_context = arena_copy(&inv->arena, payload->client_context);
    invocation_request_post(inv, "/invoke");
    if (!slice_is_none(payload->content_type))
        fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"),
                   arena_copy(&inv->arena, payload->content_type));
    call_give_body(inv, payload->bytes);
}

struct invoke_call *invoke_bytes(struct pipeline *p, const struct route *route, const struct invoke_payload *payload,
                                 const struct invoke_order *order) {
    struct invoke_call *c = call_new(p, order);
    struct invocation *inv = c->invocation;
    inv->route = route;
    invocation_trace_from(inv, order->trace);
    call_vouch(inv, order->claims);
    if (payload->schedule)
        schedule_event_fill(inv, payload->schedule);
    else if (payload->websocket)
        websocket_trial_fill(inv, payload->websocket);
    else
        call_give_payload(inv, payload);
    pipeline_run(inv); /* may end it; the call lives until the turn */
    return c;
}

static void request_fill(struct request *r, struct arena *a, const struct invoke_http *from) {
    r->method = arena_copy(a, from->method);
    r->target = arena_copy(a, from->target);
    r->version = SLICE("HTTP/1.1");
    r->scheme = SLICE("http");
    r->client_address = slice_is_none(from->client_address) ? SLICE("127.0.0.1") : arena_copy(a, from->client_address);
    for (size_t i = 0; from->headers && i < from->headers->count; i++) {
        const struct field *f = &from->headers->items[i];
        fields_add(&r->headers, a, arena_copy(a, f->name), arena_copy(a, f->value));
    }
    r->host = fields_get(&r->headers, SLICE("Host"));
}

int invoke_request_fill(struct invocation *inv, const struct invoke_http *request, struct slice claims,
                        struct error *e) {
    struct request *r = &inv->request;
    request_fill(r, &inv->arena, request);
    call_vouch(inv, claims);
    call_give_body(inv, request->body);
    struct slice id = fields_get(&r->headers, SLICE("X-Request-Id"));
    if (request_id_is_sane(id)) inv->request_id = id;
    const struct http_head head = {r->method, r->target, r->version, &r->headers};
    struct http_verdict v = http_check(&head);
    if (v.failure != FAILURE_NONE)
        return error_set(e, ERROR_FORMAT, "%s", v.detail ? v.detail : failure_row(v.failure)->title);
    int status = url_parse(&r->url, &inv->arena, r->target, e);
    if (status == 0 && !slice_is_none(r->url.authority)) r->host = r->url.authority;
    return status;
}

struct invoke_call *invoke_request(struct pipeline *p, const struct invoke_http *request,
                                   const struct invoke_order *order) {
    struct invoke_call *c = call_new(p, order);
    struct invocation *inv = c->invocation;
    struct error e;
    int status = invoke_request_fill(inv, request, order->claims, &e);
    struct slice traceparent = fields_get(&inv->request.headers, SLICE("traceparent"));
    invocation_trace_from(inv, slice_is_none(order->trace) ? traceparent : order->trace);
    if (status < 0)
        pipeline_reply(inv, outcome_failure(inv, FAILURE_BAD_REQUEST, "%s", e.message));
    else
        pipeline_run(inv);
    return c;
}

void invoke_cancel(struct invoke_call *c) {
    struct invocation *inv = c->invocation;
    if (inv) invocation_cancel(inv, CANCEL_CLIENT_GONE);
    call_free(c);
}

bool invoke_claims_check(struct slice json, struct error *e) {
    struct arena scratch;
    struct jwt t;
    arena_init(&scratch, CALL_FIRST_BLOCK);
    struct jose_verdict v = jwt_read(&t, json, &scratch);
    if (v.result != JOSE_OK) error_set(e, ERROR_FORMAT, "%s", v.reason);
    arena_free(&scratch);
    return v.result == JOSE_OK;
}
