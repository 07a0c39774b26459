#include "gateway/source/queue/queue_sender.h"
#include "gateway/base/memory.h"
#include "gateway/source/queue/queue_posting.h"
#include <stdlib.h>

struct queue_sender {
    struct executor executor;
    struct queue_store *store;
    const struct queue_config *queue;
    struct list pending; /* invocations that the store has not answered */
};

/* A send that is with the store. The invocation may end before. */
struct sending {
    struct invocation *invocation; /* NULL = nobody waits any more */
    struct queue_posting posting;
    struct arena arena;
};

static struct queue_sender *sender_of(struct executor *e) {
    return container_of(e, struct queue_sender, executor);
}

static enum failure on_room(struct executor *e, uint32_t *retry_after_s) {
    (void)e;
    *retry_after_s = 0;
    return FAILURE_NONE;
}

enum failure queue_sender_failure(const struct queue_reply *reply) {
    if (reply->result != QUEUE_REFUSED) return FAILURE_NOT_KEPT;
    return reply->error.code == ERROR_LIMIT ? FAILURE_BODY_TOO_LARGE : FAILURE_BAD_REQUEST;
}

static struct outcome accepted(struct invocation *inv, const struct queue_posting *p, const struct queue_sent *sent) {
    struct buf text = {0};
    struct outcome o = {.status = 202};
    queue_posting_answer(&text, p, sent);
    fields_add(&o.headers, &inv->arena, SLICE("Content-Type"), SLICE("application/json"));
    o.body = body_of_chunk(chunk_copy(buf_slice(&text)));
    buf_free(&text);
    return o;
}

/* What the store says of its own troubles is for the operator. */
static struct outcome refused(struct invocation *inv, const struct queue_reply *reply) {
    enum failure f = queue_sender_failure(reply);
    if (f != FAILURE_NOT_KEPT) return outcome_failure(inv, f, "%s", reply->error.message);
    log_event(inv->pipeline->log, LOG_ERROR, "a message could not be kept",
              LOG_TEXT("handler", inv->route->handler->name), LOG_TEXT("why", reply->error.message));
    struct outcome o = outcome_failure(inv, f, "try again");
    o.retry_after_s = 1;
    return o;
}

static void on_sent(void *context, struct queue_reply *reply) {
    struct sending *sending = context;
    struct invocation *inv = sending->invocation;
    if (inv) {
        bool ok = reply->result == QUEUE_OK;
        (void)invocation_complete(inv, ok ? accepted(inv, &sending->posting, reply->sent) : refused(inv, reply));
    }
    arena_free(&sending->arena);
    free(sending);
}

static void on_submit(struct executor *e, struct invocation *inv) {
    struct queue_sender *s = sender_of(e);
    struct slice body = inv->body ? body_whole(inv->body) : SLICE("");
    struct sending *sending = xcalloc(1, sizeof *sending);
    struct error error;
    arena_init(&sending->arena, 1024);
    invocation_move(inv, INVOCATION_QUEUED, &s->pending);
    int status = queue_posting_read(&sending->posting, s->queue, &inv->request.headers, body, &sending->arena, &error);
    if (status < 0) {
        arena_free(&sending->arena);
        free(sending);
        (void)invocation_complete(inv, outcome_failure(inv, FAILURE_BAD_REQUEST, "%s", error.message));
        return;
    }
    sending->invocation = inv;
    inv->delivery = sending;
    const struct queue_posting *p = &sending->posting;
    s->store->ops->send(s->store, p->sends, p->count, (struct queue_done){on_sent, sending});
}

static void on_completed(struct executor *e, struct invocation *inv) {
    (void)e;
    struct sending *sending = inv->delivery;
    if (sending) sending->invocation = NULL;
    inv->delivery = NULL;
}

static void on_cancel(struct executor *e, struct invocation *inv) {
    (void)e;
    (void)inv; /* never RUNNING */
}

static const struct executor_ops sender_ops = {
    .room = on_room, .submit = on_submit, .completed = on_completed, .cancel = on_cancel};

struct queue_sender *queue_sender_new(struct queue_store *store, const struct queue_config *queue) {
    struct queue_sender *s = xcalloc(1, sizeof *s);
    s->executor.ops = &sender_ops;
    s->store = store;
    s->queue = queue;
    list_init(&s->pending);
    return s;
}

struct executor *queue_sender_executor(struct queue_sender *s) {
    return &s->executor;
}

void queue_sender_free(struct queue_sender *s) {
    free(s);
}
