#include "gateway/source/queue_frame.h"
#include "gateway/base/http_text.h"
#include "gateway/base/url.h"

static void write_field(struct buf *out, const char *name, struct slice value) {
    if (slice_is_none(value) || !http_is_field_value(value)) return;
    buf_append_text(out, name);
    buf_append_text(out, ": ");
    buf_append_slice(out, value);
    buf_append_text(out, "\r\n");
}

static void write_number(struct buf *out, const char *name, uint64_t value) {
    buf_append_text(out, name);
    buf_append_text(out, ": ");
    buf_append_u64(out, value);
    buf_append_text(out, "\r\n");
}

/* Texts of any bytes. */
static void write_encoded(struct buf *out, const char *name, struct slice value) {
    if (slice_is_none(value)) return;
    buf_append_text(out, name);
    buf_append_text(out, ": ");
    url_append_form(out, value);
    buf_append_text(out, "\r\n");
}

static void write_attributes(struct buf *out, const struct fields *attributes) {
    if (attributes->count == 0) return;
    buf_append_text(out, "Queue-Attributes: ");
    for (size_t i = 0; i < attributes->count; i++) {
        if (i) buf_append_char(out, '&');
        url_append_form(out, attributes->items[i].name);
        buf_append_char(out, '=');
        url_append_form(out, attributes->items[i].value);
    }
    buf_append_text(out, "\r\n");
}

static void write_message(struct buf *out, struct slice queue, const struct queue_record *m) {
    buf_reserve(out, m->body.n + 512);
    buf_append_text(out, "POST /queue/");
    buf_append_slice(out, queue);
    buf_append_text(out, " HTTP/1.1\r\n");
    write_field(out, "Execgate-Message-Id", m->id);
    write_number(out, "Execgate-Receive-Count", m->receive_count);
    write_number(out, "Execgate-Sent", m->sent_ms);
    write_encoded(out, "Queue-Group-Id", m->group_id);
    write_encoded(out, "Queue-Dedup-Id", m->deduplication_id);
    write_attributes(out, &m->attributes);
    write_field(out, "Content-Type", m->content_type);
    write_number(out, "Content-Length", m->body.n);
    buf_append_text(out, "\r\n");
    buf_append_slice(out, m->body);
}

void queue_frame_write(struct buf *out, const struct queue_event *event) {
    for (size_t i = 0; i < event->count; i++) write_message(out, event->queue, &event->messages[i]);
}
