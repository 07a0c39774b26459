#include "gateway/source/queue/queue_private.h"

#define RELEASE_DELAY_MS 1000 /* of what no process could take */
#define STORE_RETRY_MS 500

/* --- what one message is told --- */

static struct queue_settlement settlement_of(const struct batch *b, const struct queue_message *m,
                                             enum queue_action action) {
    return (struct queue_settlement){.queue = b->source->name,
                                     .receipt = m->receipt,
                                     .action = action,
                                     .error = b->error,
                                     .attempts = m->receive_count};
}

/* Without a dead letter queue nothing is thrown away. */
static struct queue_settlement settle_bury(const struct batch *b, const struct queue_message *m, const char *reason) {
    const struct queue_source *s = b->source;
    bool can = s->queue->dead_letter != NULL;
    struct queue_settlement item = settlement_of(b, m, can ? QUEUE_BURY : QUEUE_RETRY);
    item.reason = slice_of(reason);
    item.delay_ms = can ? 0 : s->policy.max_ms;
    if (b->consumer && b->consumer->async) return item; /* async_conclude tells */
    log_event(s->pipeline->log, LOG_WARN, can ? "message moved to the dead letter queue" : "message put off",
              LOG_SLICE("queue", s->name), LOG_SLICE("message_id", slice_of(m->id)), LOG_TEXT("reason", reason),
              LOG_SLICE("error", b->error), LOG_INT("attempts", m->receive_count));
    return item;
}

static struct queue_settlement settle_failure(const struct batch *b, const struct queue_message *m) {
    const struct queue_source *s = b->source;
    if (b->reason) return settle_bury(b, m, b->reason);
    /* Which of several it means, nobody knows: they come again one by one, and then it can say so. */
    enum retry_wish wish = b->wish == RETRY_NEVER && b->messages.length > 1 ? RETRY_AS_POLICY : b->wish;
    struct retry_decision d = retry_decide(&s->policy, m->receive_count, wish, b->after_ms, s->pipeline->clock);
    if (d.verdict != RETRY_AGAIN) return settle_bury(b, m, retry_verdict_text(d.verdict));
    struct queue_settlement item = settlement_of(b, m, QUEUE_RETRY);
    item.delay_ms = d.delay_ms;
    return item;
}

static struct queue_settlement settle_one(const struct batch *b, const struct queue_message *m, size_t i) {
    struct queue_settlement item;
    switch (b->end) {
    case BATCH_ANSWERED: return b->failed[i] ? settle_failure(b, m) : settlement_of(b, m, QUEUE_ACK);
    case BATCH_FAILED: return settle_failure(b, m);
    case BATCH_NEVER_RAN: break;
    }
    item = settlement_of(b, m, QUEUE_RETRY);
    item.delay_ms = b->source->stopped ? 0 : RELEASE_DELAY_MS;
    return item;
}

/* --- telling the store --- */

void source_complain(struct queue_source *s, const struct queue_reply *reply) {
    if (s->store_failed) return;
    s->store_failed = true;
    log_event(s->pipeline->log, LOG_ERROR, "the store of a queue fails", LOG_SLICE("queue", s->name),
              LOG_TEXT("why", reply->error.message));
}

static void tell_stale(const struct batch *b, const struct queue_reply *reply) {
    size_t stale = 0;
    for (size_t i = 0; i < reply->count; i++) stale += reply->settled[i] != QUEUE_SETTLED;
    if (stale)
        log_event(b->source->pipeline->log, LOG_WARN, "messages were no longer ours and may be handled again",
                  LOG_SLICE("queue", b->source->name), LOG_INT("messages", stale));
}

/* True when a call's end is not the end: what the store cannot do now it is asked again, while anybody is here to ask;
 * otherwise the messages come back when their visibility is over. */
static bool batch_put_off(struct batch *b, const struct queue_reply *reply) {
    struct queue_source *s = b->source;
    s->calls--;
    if (reply->result != QUEUE_TRY_AGAIN || s->stopped) return false;
    source_complain(s, reply);
    list_remove(&b->node);
    list_push(&s->unsettled, &b->node);
    source_try_again(s, STORE_RETRY_MS);
    return true;
}

static void on_settled(void *context, struct queue_reply *reply) {
    struct batch *b = context;
    struct queue_source *s = b->source;
    if (batch_put_off(b, reply)) return;
    if (reply->result == QUEUE_OK) {
        s->store_failed = false;
        tell_stale(b, reply);
    } else {
        source_complain(s, reply);
    }
    batch_free(b);
    source_pump_soon(s);
}

static void batch_tell(struct batch *b);

/* The record comes before the message goes: told twice, perhaps, but not never. */
static void on_record_sent(void *context, struct queue_reply *reply) {
    struct batch *b = context;
    struct queue_source *s = b->source;
    if (batch_put_off(b, reply)) return;
    if (reply->result != QUEUE_OK) {
        source_complain(s, reply);
        b->settlements->action = QUEUE_BURY;
        b->settlements->reason = SLICE("its destination did not take the record");
    }
    b->told = NULL;
    batch_tell(b);
}

static void batch_send_record(struct batch *b) {
    struct queue_source *s = b->source;
    const struct queue_send send = {
        .queue = slice_of(b->told), .body = b->record, .content_type = SLICE("application/json")};
    s->store->ops->send(s->store, &send, 1, (struct queue_done){on_record_sent, b});
}

static void batch_tell(struct batch *b) {
    struct queue_source *s = b->source;
    list_remove(&b->node);
    list_push(&s->settling, &b->node);
    s->calls++;
    if (b->told)
        batch_send_record(b);
    else
        s->store->ops->settle(s->store, b->settlements, b->messages.length, (struct queue_done){on_settled, b});
}

void batch_settle(struct batch *b) {
    size_t i = 0;
    b->settlements = arena_alloc(&b->arena, (b->messages.length + 1) * sizeof *b->settlements);
    list_each (&b->messages, node) {
        const struct held *h = list_entry(node, struct held, node);
        b->settlements[i] = settle_one(b, h->message, i);
        i++;
    }
    if (b->consumer && b->consumer->async) async_conclude(b, b->settlements);
    batch_tell(b);
}

void source_settle_again(struct queue_source *s) {
    list_each (&s->unsettled, node) {
        struct batch *b = list_entry(node, struct batch, node);
        if (s->stopped)
            batch_free(b);
        else
            batch_tell(b);
    }
}
