/* Batches of one, which are invocations that nobody waits for. */
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include "gateway/source/queue/queue_private.h"

static const struct queue_message *message_of(const struct batch *b) {
    return list_entry(list_first(&b->messages), struct held, node)->message;
}

static struct slice attribute_of(const struct queue_message *m, struct slice name) {
    for (size_t i = 0; i < m->attribute_count; i++)
        if (slice_equal(m->attributes[i].name, name)) return m->attributes[i].value;
    return SLICE_NONE;
}

bool async_is_too_old(const struct consumer *c, const struct queue_message *m, uint64_t delay_ms) {
    uint64_t now_ms = clock_wall_ms(c->source->pipeline->clock) + delay_ms;
    return now_ms > m->sent_ms && now_ms - m->sent_ms > c->async->max_age_ms;
}

void async_prepare(struct batch *b, struct invocation *inv) {
    const struct queue_message *m = message_of(b);
    inv->trigger = TRIGGER_INVOKE;
    inv->client_context = attribute_of(m, SLICE(ASYNC_CONTEXT));
    /* Every attempt has the id that the sender was told; one that was imported may be none. */
    if (strlen(m->id) == UUID_TEXT_SIZE) memcpy(inv->id, m->id, UUID_TEXT_SIZE);
    invocation_request_post(inv, "/invoke");
    invocation_trace_from(inv, attribute_of(m, SLICE(ASYNC_TRACE)));
    if (!slice_is_none(m->content_type))
        fields_add(&inv->request.headers, &inv->arena, SLICE("Content-Type"), m->content_type);
    if (m->body.n) inv->body = body_of_chunk(chunk_copy(m->body));
}

/* --- the end is told --- */

/* JSON as it is, other text as a text, and other bytes as base64. */
static void write_payload(struct json_write *w, struct slice name, struct slice bytes) {
    json_name(w, name);
    if (bytes.n == 0)
        json_null(w);
    else if (json_is_valid(bytes))
        json_raw(w, slice_trim(bytes));
    else if (text_utf8_prefix(bytes) == bytes.n)
        json_text(w, bytes);
    else
        json_base64(w, bytes);
}

static void write_error(struct json_write *w, const struct batch *b, const struct queue_settlement *item) {
    json_name(w, SLICE("responsePayload"));
    json_open(w, '{');
    if (b->error_type.n) json_member(w, SLICE("errorType"), b->error_type);
    json_member(w, SLICE("errorMessage"), b->error.n ? b->error : item->reason);
    json_close(w, '}');
}

static const char *condition_of(const struct batch *b, const struct queue_settlement *item) {
    if (b->end == BATCH_ANSWERED) return "Success";
    if (slice_equal(item->reason, SLICE(ASYNC_TOO_OLD))) return "EventAgeExceeded";
    if (slice_equal(item->reason, slice_of(retry_verdict_text(RETRY_REFUSED)))) return "RetryRefused";
    return "RetriesExhausted";
}

static void write_context(struct json_write *w, const struct batch *b, const struct queue_settlement *item) {
    const struct queue_message *m = message_of(b);
    json_name(w, SLICE("requestContext"));
    json_open(w, '{');
    json_member(w, SLICE("requestId"), slice_of(m->id));
    json_member(w, SLICE("handler"), slice_of(b->consumer->route.handler->name));
    json_member(w, SLICE("condition"), slice_of(condition_of(b, item)));
    json_name(w, SLICE("approximateInvokeCount"));
    json_number(w, (int64_t)m->receive_count);
    json_close(w, '}');
}

enum payloads { PAYLOADS_SHOWN, PAYLOADS_LEFT_OUT };
static void write_record(struct buf *out, const struct batch *b, const struct queue_settlement *item,
                         enum payloads payloads) {
    struct json_write w = json_write_to(out);
    char now[25];
    clock_iso_time(clock_wall_ms(b->source->pipeline->clock), now);
    json_open(&w, '{');
    json_member(&w, SLICE("version"), SLICE("1.0"));
    json_member(&w, SLICE("timestamp"), slice_of(now));
    write_context(&w, b, item);
    bool shown = payloads == PAYLOADS_SHOWN;
    if (shown) write_payload(&w, SLICE("requestPayload"), message_of(b)->body);
    if (b->end != BATCH_ANSWERED)
        write_error(&w, b, item);
    else if (shown)
        write_payload(&w, SLICE("responsePayload"), collector_bytes(&b->collector));
    json_close(&w, '}');
}

/* What is too large for its queue goes without the payloads. */
static struct slice record_of(struct batch *b, const struct queue_settlement *item,
                              const struct destination_config *to) {
    struct buf text = {0};
    write_record(&text, b, item, PAYLOADS_SHOWN);
    if (text.n > to->max_message) {
        text.n = 0;
        write_record(&text, b, item, PAYLOADS_LEFT_OUT);
    }
    struct slice kept = arena_copy(&b->arena, buf_slice(&text));
    buf_free(&text);
    return kept;
}

void async_conclude(struct batch *b, struct queue_settlement *item) {
    const struct async_config *async = b->consumer->async;
    const struct queue_message *m = message_of(b);
    if (b->end == BATCH_FAILED && item->action == QUEUE_RETRY && async_is_too_old(b->consumer, m, item->delay_ms)) {
        item->action = QUEUE_BURY;
        item->reason = SLICE(ASYNC_TOO_OLD);
    }
    bool failed = item->action == QUEUE_BURY;
    const struct destination_config *to = failed ? &async->on_failure : &async->on_success;
    if (failed)
        log_event(b->source->pipeline->log, LOG_WARN, "invocation given up",
                  LOG_TEXT("handler", b->consumer->route.handler->name), LOG_SLICE("request_id", slice_of(m->id)),
                  LOG_SLICE("reason", item->reason), LOG_SLICE("error", b->error),
                  LOG_INT("attempts", m->receive_count), LOG_TEXT("told", to->queue ? to->queue : "nobody"));
    if (!to->queue || item->action == QUEUE_RETRY) return;
    b->told = to->queue;
    b->record = record_of(b, item, to);
    item->action = QUEUE_ACK;
}
