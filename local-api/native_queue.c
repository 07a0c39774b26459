#include "local-api/native_queue.h"
#include "gateway/base/json_write.h"
#include "gateway/queue/message.h"
#include "gateway/source/queue/queue_posting.h"
#include "gateway/source/queue/queue_sender.h"
#include "local-api/held_sends.h"
#include "local-api/runtime_private.h"
#include <inttypes.h>
#include <stdlib.h>

#define POSTING_MAX (24 * 1024 * 1024)

/* A send that is with the store; the call may be over before. */
struct native_sending {
    struct call *call; /* NULL = nobody waits any more */
    struct queue_posting posting;
    struct arena arena;
};

static void sending_free(struct native_sending *s) {
    arena_free(&s->arena);
    free(s);
}

static void reply_failure(struct call *c, const struct queue_reply *reply) {
    enum failure f = queue_sender_failure(reply);
    if (f == FAILURE_NOT_KEPT)
        log_event(c->endpoint->api->log, LOG_ERROR, "a message could not be kept", LOG_SLICE("queue", c->id),
                  LOG_TEXT("why", reply->error.message));
    call_problem(c, failure_row(f)->status, "%s",
                 f == FAILURE_NOT_KEPT ? "the message could not be kept; try again" : reply->error.message);
}

static void on_sent(void *context, struct queue_reply *reply) {
    struct native_sending *s = context;
    struct call *c = s->call;
    if (c) c->context = NULL;
    if (c && reply->result == QUEUE_OK) {
        queue_posting_answer(&c->out, &s->posting, reply->sent);
        call_reply(c, 202, "application/json", &c->out);
    } else if (c) {
        reply_failure(c, reply);
    }
    sending_free(s);
}

static void send_left(struct call *c) {
    struct native_sending *s = c->context;
    if (s) s->call = NULL;
    c->context = NULL;
}

static const struct queue_config *queue_of(const struct call *c) {
    const struct invoke_host *host = &c->endpoint->api->calls;
    return host->context ? host->queue(host->context, c->id) : NULL;
}

static struct queue_store *store_of(const struct call *c, struct error *e) {
    const struct invoke_host *host = &c->endpoint->api->calls;
    return host->store(host->context, e);
}

/* A reload may have taken the queue away since the call began. */
static int posting_read(struct native_sending *s, const struct call *c, struct error *e) {
    const struct queue_config *queue = queue_of(c);
    struct fields headers = {0};
    if (!queue) return error_set(e, ERROR_STATE, "the queue is not in the blueprint any more");
    http_exchange_fields(c->exchange, &s->arena, HTTP_COPY, &headers);
    return queue_posting_read(&s->posting, queue, &headers, buf_slice(&c->in), &s->arena, e);
}

static void send_now(struct call *c, struct native_sending *s, struct queue_store *store) {
    s->call = c;
    c->context = s;
    store->ops->send(store, s->posting.sends, s->posting.count, (struct queue_done){on_sent, s});
}

/* What the store would refuse must be refused now: later it would be the whole answer that fails. */
static int posting_check(const struct queue_posting *p, const struct queue_config *queue, struct error *e) {
    for (size_t i = 0; i < p->count; i++) {
        int status = queue_send_check(&p->sends[i], (uint32_t)queue->max_message, e);
        if (status < 0) return status;
    }
    return 0;
}

static bool has_place(const struct queue_config *q, const char *url) {
    return q->url && url ? strcmp(q->url, url) == 0 : q->url == url;
}

/* All that is held is one transaction. */
static int place_check(struct call *c, const struct invocation *inv, struct error *e) {
    const struct invoke_host *host = &c->endpoint->api->calls;
    const struct queue_config *queue = queue_of(c), *first = host->queue(host->context, held_sends_first_queue(inv));
    if (!first || has_place(first, queue->url)) return 0;
    return error_set(e, ERROR_FORMAT,
                     "queues %s and %s are in different stores: an answer can send to one of them only", first->name,
                     queue->name);
}

static void reply_held(struct call *c, int count) {
    struct json_write w = json_write_to(&c->out);
    json_open(&w, '{');
    json_name(&w, SLICE("held"));
    json_number(&w, count);
    json_close(&w, '}');
    call_reply(c, 202, "application/json", &c->out);
}

static void send_with_answer(struct call *c, struct native_sending *s, struct slice id) {
    struct invocation *inv = endpoint_find(c->endpoint, id);
    struct error e;
    int status = posting_check(&s->posting, queue_of(c), &e);
    if (status == 0 && inv) status = place_check(c, inv, &e);
    if (status == 0 && inv) status = held_sends_add(inv, &s->posting, &e);
    if (!inv)
        call_problem(c, 404, "no invocation of that id waits for an answer");
    else if (status < 0)
        call_problem(c, status == -ERROR_LIMIT ? 413 : 400, "%s", e.message);
    else
        reply_held(c, status);
    sending_free(s);
}

static void send_end(struct call *c) {
    struct native_sending *s = xcalloc(1, sizeof *s);
    struct slice id = call_header(c, SLICE("Execgate-Invocation-Id"));
    struct error e;
    arena_init(&s->arena, 1024);
    int status = posting_read(s, c, &e);
    struct queue_store *store = status < 0 ? NULL : store_of(c, &e);
    if (!store) {
        call_problem(c, status < 0 ? 400 : 503, "%s", e.message);
        sending_free(s);
    } else if (slice_is_none(id)) {
        send_now(c, s, store);
    } else {
        send_with_answer(c, s, id);
    }
}

static size_t send_data(struct call *c, struct slice bytes) {
    if (!call_collect(c, bytes, POSTING_MAX)) call_problem(c, 413, "at most %d bytes are accepted", POSTING_MAX);
    return bytes.n;
}

static const struct call_ops send_ops = {.on_data = send_data, .on_end = send_end, .on_left = send_left};

void native_queue_begin(struct call *c) {
    if (!queue_of(c)) {
        call_problem(c, 404, "there is no queue \"" SLICE_FMT "\" in the blueprint", SLICE_ARG(c->id));
        return;
    }
    c->ops = &send_ops;
    http_exchange_read(c->exchange);
}
