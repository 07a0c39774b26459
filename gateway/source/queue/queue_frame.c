#include "gateway/source/queue/queue_frame.h"
#include "gateway/base/http_text.h"
#include "gateway/base/url.h"
#include <inttypes.h>

static void add_field(struct fields *out, struct arena *a, struct slice name, struct slice value) {
    if (!slice_is_none(value) && http_is_field_value(value)) fields_add(out, a, name, value);
}

static void add_number(struct fields *out, struct arena *a, struct slice name, uint64_t value) {
    fields_add(out, a, name, arena_printf(a, "%" PRIu64, value));
}

/* Texts of any bytes. */
static void add_encoded(struct fields *out, struct arena *a, struct slice name, struct slice value) {
    struct buf text = {0};
    if (slice_is_none(value)) return;
    url_append_form(&text, value);
    fields_add(out, a, name, arena_copy(a, buf_slice(&text)));
    buf_free(&text);
}

static void add_attributes(struct fields *out, struct arena *a, const struct fields *attributes) {
    struct buf text = {0};
    if (attributes->count == 0) return;
    for (size_t i = 0; i < attributes->count; i++) {
        if (i) buf_append_char(&text, '&');
        url_append_form(&text, attributes->items[i].name);
        buf_append_char(&text, '=');
        url_append_form(&text, attributes->items[i].value);
    }
    fields_add(out, a, SLICE("Queue-Attributes"), arena_copy(a, buf_slice(&text)));
    buf_free(&text);
}

static void add_obituary(struct fields *out, struct arena *a, const struct queue_obituary *died) {
    if (slice_is_none(died->queue)) return;
    add_encoded(out, a, SLICE("Queue-Died-In"), died->queue);
    add_encoded(out, a, SLICE("Queue-Died-Why"), died->reason);
    add_encoded(out, a, SLICE("Queue-Died-Error"), died->error);
    add_number(out, a, SLICE("Queue-Died-Attempts"), died->attempts);
}

void queue_frame_fields(struct fields *out, const struct queue_record *m, struct arena *a) {
    add_field(out, a, SLICE("Queue-Message-Id"), m->id);
    add_number(out, a, SLICE("Queue-Receive-Count"), m->receive_count);
    add_number(out, a, SLICE("Queue-Sent"), m->sent_ms);
    add_encoded(out, a, SLICE("Queue-Group-Id"), m->group_id);
    add_encoded(out, a, SLICE("Queue-Dedup-Id"), m->deduplication_id);
    add_attributes(out, a, &m->attributes);
    add_obituary(out, a, &m->died);
    add_field(out, a, SLICE("Content-Type"), m->content_type);
}

static void write_message(struct buf *out, struct slice queue, const struct queue_record *m, struct arena *a) {
    struct fields fields = {0};
    queue_frame_fields(&fields, m, a);
    buf_reserve(out, m->body.n + 512);
    buf_append_text(out, "POST /queue/");
    buf_append_slice(out, queue);
    buf_append_text(out, " HTTP/1.1\r\n");
    for (size_t i = 0; i < fields.count; i++) {
        buf_append_slice(out, fields.items[i].name);
        buf_append_text(out, ": ");
        buf_append_slice(out, fields.items[i].value);
        buf_append_text(out, "\r\n");
    }
    buf_append_text(out, "Content-Length: ");
    buf_append_u64(out, m->body.n);
    buf_append_text(out, "\r\n\r\n");
    buf_append_slice(out, m->body);
}

void queue_frame_write(struct buf *out, const struct queue_event *event, struct arena *a) {
    for (size_t i = 0; i < event->count; i++) write_message(out, event->queue, &event->messages[i], a);
}
