#include "local-api/native_invoke.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/url.h"
#include "gateway/source/invoke/invoke_host.h"
#include "gateway/source/queue/async_send.h"
#include "local-api/runtime_private.h"
#include <stdlib.h>

#define PAYLOAD_MAX (24 * 1024 * 1024) /* of a call that waits */

/* A call under way. */
struct native_invoking {
    struct call *call;           /* NULL = nobody waits any more */
    struct invoke_call *waiting; /* NULL = it is being kept */
};

static const struct invoke_host *host_of(const struct call *c) {
    return &c->endpoint->api->calls;
}

static const struct route *route_of(const struct call *c) {
    const struct invoke_host *host = host_of(c);
    return host->context ? host->route(host->context, c->id) : NULL;
}

static bool read_wait(struct slice target, bool *wait) {
    struct slice path, name, value;
    *wait = true;
    slice_next(&target, '?', &path);
    while (url_query_next(&target, &name, &value)) {
        if (!slice_equal(name, SLICE("wait"))) continue;
        *wait = slice_equal(value, SLICE("true"));
        if (!*wait && !slice_equal(value, SLICE("false"))) return false;
    }
    return true;
}

static struct invoke_payload payload_of(struct call *c) {
    return (struct invoke_payload){.bytes = buf_slice(&c->in), .content_type = call_header(c, SLICE("Content-Type"))};
}

static void invoking_left(struct call *c) {
    struct native_invoking *i = c->context;
    c->context = NULL;
    if (!i) return;
    i->call = NULL;
    if (!i->waiting) return; /* the store will answer all the same */
    invoke_cancel(i->waiting);
    free(i);
}

/* Gives up the one that is told of the end, if it is still there. */
static struct call *invoking_end(struct native_invoking *i) {
    struct call *c = i->call;
    if (c) c->context = NULL;
    free(i);
    return c;
}

/* --- waiting --- */

static void reply_bytes(struct call *c, const struct invoke_answer *answer) {
    struct slice type = fields_get(answer->headers, SLICE("Content-Type"));
    struct field items[] = {{SLICE("Execgate-Invocation-Id"), answer->id}, {SLICE("Content-Type"), type}};
    struct fields headers = {items, slice_is_none(type) ? 1 : 2, 2};
    buf_append_slice(&c->out, answer->bytes);
    size_t n;
    char *bytes = buf_take(&c->out, &n);
    http_exchange_reply_bytes(c->exchange, 200, &headers, bytes, n);
}

static void on_answer(void *context, const struct invoke_answer *answer) {
    struct call *c = invoking_end(context);
    const struct failure_row *row = failure_row(answer->failure);
    struct slice said = answer->report ? answer->report->message : answer->detail;
    if (answer->failure == FAILURE_NONE)
        reply_bytes(c, answer);
    else if (said.n)
        call_problem(c, row->status, "%s: " SLICE_FMT, row->title, SLICE_ARG(said));
    else
        call_problem(c, row->status, "%s", row->title);
}

static const struct invoke_ops wait_ops = {.reading = INVOKE_WHOLE, .on_end = on_answer};

static void invoke_waiting(struct call *c, const struct route *route) {
    const struct invoke_host *host = host_of(c);
    const struct invoke_payload payload = payload_of(c);
    struct native_invoking *i = xcalloc(1, sizeof *i);
    const struct invoke_order order = {.ops = &wait_ops,
                                       .context = i,
                                       .trace = call_header(c, SLICE("traceparent")),
                                       .answer_limit = c->endpoint->api->max_answer};
    i->call = c;
    c->context = i;
    i->waiting = invoke_bytes(host->pipeline(host->context), route, &payload, &order);
}

/* --- not waiting --- */

static void on_kept(void *context, struct queue_reply *reply) {
    struct call *c = invoking_end(context);
    if (!c) return;
    if (reply->result != QUEUE_OK) {
        call_problem(c, reply->result == QUEUE_REFUSED ? 400 : 503, "%s", reply->error.message);
        return;
    }
    struct json_write w = json_write_to(&c->out);
    json_open(&w, '{');
    json_member(&w, SLICE("invocationId"), slice_of(reply->sent->id));
    json_close(&w, '}');
    call_reply(c, 202, "application/json", &c->out);
}

static void invoke_later(struct call *c, const struct route *route) {
    const struct invoke_host *host = host_of(c);
    const struct invoke_payload payload = payload_of(c);
    struct error e;
    struct queue_store *store = host->store(host->context, &e);
    if (!store) {
        call_problem(c, 503, "%s", e.message);
        return;
    }
    struct native_invoking *i = xcalloc(1, sizeof *i);
    i->call = c;
    c->context = i;
    async_send(store, route->handler, &payload, call_header(c, SLICE("traceparent")), (struct queue_done){on_kept, i});
}

/* --- the call --- */

/* A reload may have taken the handler away since the call began. */
static void begin_with(struct call *c, void (*begin)(struct call *c, const struct route *route)) {
    const struct route *route = route_of(c);
    if (route)
        begin(c, route);
    else
        call_problem(c, 404, "the handler is not in the blueprint any more");
}

static void waiting_end(struct call *c) {
    begin_with(c, invoke_waiting);
}

static void later_end(struct call *c) {
    begin_with(c, invoke_later);
}

static size_t collect(struct call *c, struct slice bytes, uint64_t limit) {
    if (!call_collect(c, bytes, limit))
        call_problem(c, 413, "at most %llu bytes are accepted", (unsigned long long)limit);
    return bytes.n;
}

static size_t waiting_data(struct call *c, struct slice bytes) {
    return collect(c, bytes, PAYLOAD_MAX);
}

static size_t later_data(struct call *c, struct slice bytes) {
    return collect(c, bytes, ASYNC_PAYLOAD_MAX);
}

static const struct call_ops waiting_ops = {.on_data = waiting_data, .on_end = waiting_end, .on_left = invoking_left};
static const struct call_ops later_ops = {.on_data = later_data, .on_end = later_end, .on_left = invoking_left};

void native_invoke_begin(struct call *c) {
    bool wait;
    if (!route_of(c)) {
        call_problem(c, 404, "there is no handler \"" SLICE_FMT "\" in the blueprint", SLICE_ARG(c->id));
        return;
    }
    if (!read_wait(http_exchange_target(c->exchange), &wait)) {
        call_problem(c, 400, "wait must be true or false");
        return;
    }
    c->ops = wait ? &waiting_ops : &later_ops;
    http_exchange_read(c->exchange);
}
