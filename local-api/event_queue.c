#include "local-api/event_queue.h"
#include "gateway/base/base64.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include "local-api/event.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#define MD5_BYTES 16

static void write_number_text(struct json_write *w, struct slice name, uint64_t number) {
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, number);
    json_member(w, name, slice_make(text, (size_t)n));
}

static void write_arn(struct json_write *w, struct slice name, struct slice queue) {
    json_name(w, name);
    buf_append_text(w->out, "\"arn:aws:sqs:" EVENT_REGION ":" EVENT_ACCOUNT ":");
    json_escape(w->out, queue);
    buf_append_char(w->out, '"');
    w->comma = true;
}

/* The first is one of SQS', the others are not. */
static void write_obituary(struct json_write *w, const struct queue_obituary *died) {
    if (slice_is_none(died->queue)) return;
    write_arn(w, SLICE("DeadLetterQueueSourceArn"), died->queue);
    json_member(w, SLICE("DeadLetterReason"), died->reason);
    json_member(w, SLICE("DeadLetterError"), slice_make(died->error.p, text_utf8_prefix(died->error)));
    write_number_text(w, SLICE("DeadLetterAttempts"), died->attempts);
}

/* All of them are texts, numbers too. */
static void write_attributes(struct json_write *w, const struct queue_record *m) {
    json_name(w, SLICE("attributes"));
    json_open(w, '{');
    write_number_text(w, SLICE("ApproximateReceiveCount"), m->receive_count);
    write_number_text(w, SLICE("SentTimestamp"), m->sent_ms);
    json_member(w, SLICE("SenderId"), SLICE(EVENT_ACCOUNT));
    write_number_text(w, SLICE("ApproximateFirstReceiveTimestamp"), m->first_received_ms);
    if (m->sequence) write_number_text(w, SLICE("SequenceNumber"), m->sequence);
    if (!slice_is_none(m->group_id)) json_member(w, SLICE("MessageGroupId"), m->group_id);
    if (!slice_is_none(m->deduplication_id)) json_member(w, SLICE("MessageDeduplicationId"), m->deduplication_id);
    write_obituary(w, &m->died);
    json_close(w, '}');
}

static void write_empty_list(struct json_write *w, struct slice name) {
    json_name(w, name);
    json_open(w, '[');
    json_close(w, ']');
}

static void write_sent_attribute(struct json_write *w, struct slice name, struct slice value) {
    json_name(w, name);
    json_open(w, '{');
    json_member(w, SLICE("stringValue"), value);
    write_empty_list(w, SLICE("stringListValues"));
    write_empty_list(w, SLICE("binaryListValues"));
    json_member(w, SLICE("dataType"), SLICE("String"));
    json_close(w, '}');
}

static void write_digest(struct json_write *w, struct slice shown) {
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[MD5_BYTES];
    char text[2 * MD5_BYTES];
    unsigned n = 0;
    int done = EVP_Digest(shown.n ? shown.p : "", shown.n, digest, &n, EVP_md5(), NULL);
    if (done != 1 || n != MD5_BYTES) return; /* a machine that has no MD5: clients that find none verify none */
    for (size_t i = 0; i < MD5_BYTES; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    json_member(w, SLICE("md5OfBody"), slice_make(text, sizeof text));
}

static void write_body(struct json_write *w, struct slice body, bool is_text) {
    struct buf encoded = {0};
    if (!is_text) {
        base64_encode(body.p, body.n, buf_reserve(&encoded, base64_encoded_size(body.n)));
        encoded.n = base64_encoded_size(body.n);
    }
    struct slice shown = is_text ? body : buf_slice(&encoded);
    json_member(w, SLICE("body"), shown);
    write_digest(w, shown);
    buf_free(&encoded);
}

static void write_record(struct json_write *w, const struct queue_event *event, const struct queue_record *m) {
    bool is_text = text_utf8_prefix(m->body) == m->body.n;
    json_open(w, '{');
    json_member(w, SLICE("messageId"), m->id);
    json_member(w, SLICE("receiptHandle"), m->receipt);
    write_body(w, m->body, is_text);
    write_attributes(w, m);
    json_name(w, SLICE("messageAttributes"));
    json_open(w, '{');
    for (size_t i = 0; i < m->attributes.count; i++)
        write_sent_attribute(w, m->attributes.items[i].name, m->attributes.items[i].value);
    if (!is_text) write_sent_attribute(w, SLICE("contentTransferEncoding"), SLICE("base64"));
    json_close(w, '}');
    json_member(w, SLICE("eventSource"), SLICE("aws:sqs"));
    write_arn(w, SLICE("eventSourceARN"), event->queue);
    json_member(w, SLICE("awsRegion"), SLICE(EVENT_REGION));
    json_close(w, '}');
}

struct slice queue_event_write(struct buf *out, const struct queue_event *event) {
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_name(&w, SLICE("Records"));
    json_open(&w, '[');
    for (size_t i = 0; i < event->count; i++) write_record(&w, event, &event->messages[i]);
    json_close(&w, ']');
    json_close(&w, '}');
    return SLICE("application/json");
}
