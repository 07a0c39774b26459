#include "gateway/source/queue/queue_answer.h"
#include "gateway/source/queue/queue_frame.h"
#include "gateway/source/queue/queue_private.h"
#include <stdio.h>
#include <stdlib.h>

#define BATCH_FIRST_BLOCK 1024
#define ANSWER_LIMIT (6 * 1024 * 1024) /* of a streamed one; others are bounded by maxAnswer */
#define ERROR_KEPT 1000                /* of a failure's text, for a dead letter */

struct batch *batch_new(struct queue_source *s, struct consumer *c) {
    struct batch *b = xcalloc(1, sizeof *b);
    b->source = s;
    b->consumer = c;
    list_init(&b->messages);
    arena_init(&b->arena, BATCH_FIRST_BLOCK);
    return b;
}

void batch_add(struct batch *b, struct held *h) {
    list_remove(&h->node);
    list_push(&b->messages, &h->node);
}

void batch_free(struct batch *b) {
    list_remove(&b->node);
    if (b->collector.turn) collector_release(&b->collector);
    list_each (&b->messages, node) held_free(list_entry(node, struct held, node));
    arena_free(&b->arena);
    free(b);
}

/* --- the end --- */

static void batch_fail(struct batch *b, const char *error) {
    b->end = BATCH_FAILED;
    b->error = arena_copy(&b->arena, slice_of(error));
}

static void batch_read_answer(struct batch *b) {
    struct slice answer = collector_bytes(&b->collector);
    b->end = BATCH_ANSWERED;
    if (slice_is_none(answer)) {
        const char *why = body_failure(b->collector.body);
        batch_fail(b, why ? why : "the answer did not end in time");
    } else if (b->consumer->config->report_failures && !queue_answer_read(answer, &b->event, b->failed)) {
        batch_fail(b, "the answer is no {\"batchItemFailures\": [{\"itemIdentifier\": ID}]} of this batch");
    } else {
        b->error = SLICE("the handler reported it as failed");
    }
}

static void on_collected(struct collector *collector) {
    struct batch *b = container_of(collector, struct batch, collector);
    if (b->end == BATCH_ANSWERED) batch_read_answer(b);
    b->consumer->running--;
    batch_settle(b);
}

/* Cut between two characters of UTF-8. */
static size_t error_kept(struct slice text) {
    size_t n = text.n;
    if (n <= ERROR_KEPT) return n;
    for (n = ERROR_KEPT; n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80;) n--;
    return n;
}

static void batch_note_report(struct batch *b, const struct handler_report *r) {
    static const enum retry_wish wishes[] = {[REPORT_RETRY_UNSAID] = RETRY_AS_POLICY,
                                             [REPORT_RETRY_NEVER] = RETRY_NEVER,
                                             [REPORT_RETRY_AFTER] = RETRY_AFTER};
    if (!r) return;
    b->wish = wishes[r->retry];
    b->after_ms = r->retry_after_ms < QUEUE_DELAY_MS_MAX ? r->retry_after_ms : QUEUE_DELAY_MS_MAX;
    b->error_type = arena_copy(&b->arena, r->type);
    if (r->message.n == 0) return;
    size_t n = error_kept(r->message);
    b->error = arena_printf(&b->arena, SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(r->type), r->type.n ? ": " : "", (int)n,
                            r->message.p);
}

/* The outcome dies with the invocation: what is needed of it is copied. */
static void batch_finish(struct invocation *inv) {
    struct batch *b = inv->source_context;
    const struct outcome *o = &inv->outcome;
    b->invocation = NULL;
    b->end = o->failure == FAILURE_NONE ? BATCH_ANSWERED : inv->started_us ? BATCH_FAILED : BATCH_NEVER_RAN;
    if (o->failure != FAILURE_NONE) {
        const char *title = failure_row(o->failure)->title;
        b->error = arena_printf(&b->arena, "%s%s" SLICE_FMT, title, o->detail.n ? ": " : "", SLICE_ARG(o->detail));
        batch_note_report(b, o->report);
    }
    struct body *body = o->failure == FAILURE_NONE ? outcome_take_body(&inv->outcome) : NULL;
    collector_take(&b->collector, body, ANSWER_LIMIT, invocation_timeout_ms(inv));
}

static const struct source_ops queue_ops = {.name = "queue", .finish = batch_finish};

/* --- the beginning --- */

static struct queue_obituary obituary_of(const struct queue_death *d) {
    if (!d) return (struct queue_obituary){.queue = SLICE_NONE};
    size_t shown = d->error.n > ERROR_KEPT ? ERROR_KEPT : d->error.n;
    return (struct queue_obituary){
        .queue = d->queue, .reason = d->reason, .error = slice_make(d->error.p, shown), .attempts = d->attempts};
}

static struct queue_record record_of(const struct queue_message *m, struct arena *a) {
    struct queue_record r = {.id = slice_of(m->id),
                             .receipt = m->receipt,
                             .body = m->body,
                             .content_type = m->content_type,
                             .group_id = m->group_id,
                             .deduplication_id = m->dedup_id,
                             .receive_count = (unsigned)m->receive_count,
                             .sent_ms = m->sent_ms,
                             .first_received_ms = m->first_received_ms,
                             .died = obituary_of(m->death)};
    for (size_t i = 0; i < m->attribute_count; i++)
        fields_add(&r.attributes, a, m->attributes[i].name, m->attributes[i].value);
    return r;
}

static void batch_write_event(struct batch *b) {
    size_t i = 0;
    struct queue_record *records = arena_alloc(&b->arena, b->messages.length * sizeof *records);
    list_each (&b->messages, node) records[i++] = record_of(list_entry(node, struct held, node)->message, &b->arena);
    b->event = (struct queue_event){.queue = b->source->name, .messages = records, .count = i};
}

static struct body *bytes_body(struct slice bytes) {
    return bytes.n ? body_of_chunk(chunk_copy(bytes)) : NULL;
}

static void give_frame(struct batch *b, struct invocation *inv) {
    struct buf frame = {0};
    queue_frame_write(&frame, &b->event, &b->arena);
    inv->body = bytes_body(buf_slice(&frame));
    buf_free(&frame);
    fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"), SLICE("application/http"));
}

static void batch_prepare(struct batch *b, struct invocation *inv) {
    char path[QUEUE_NAME_SIZE_MAX + 16];
    batch_write_event(b);
    inv->trigger = TRIGGER_QUEUE;
    inv->messages = &b->event;
    snprintf(path, sizeof path, "/queue/%s", b->source->queue->name);
    invocation_request_post(inv, path);
    if (b->consumer->config->batch > 1) {
        give_frame(b, inv);
        return;
    }
    queue_frame_fields(&inv->request.headers, b->event.messages, &inv->arena);
    inv->body = bytes_body(b->event.messages->body);
}

void batch_run(struct batch *b) {
    struct queue_source *s = b->source;
    list_remove(&b->node);
    list_push(&s->running, &b->node);
    b->consumer->running++;
    b->failed = arena_zalloc(&b->arena, b->messages.length * sizeof *b->failed);
    collector_init(&b->collector, s->pipeline, on_collected);
    struct invocation *inv = invocation_new(s->pipeline, &queue_ops, b);
    b->invocation = inv;
    inv->route = &b->consumer->route;
    if (b->consumer->async)
        async_prepare(b, inv);
    else
        batch_prepare(b, inv);
    pipeline_run(inv); /* may end it; the batch lives until the turn */
}

void batch_withdraw(struct batch *b) {
    if (b->invocation && b->invocation->state == INVOCATION_QUEUED) invocation_cancel(b->invocation, CANCEL_SHUTDOWN);
}
