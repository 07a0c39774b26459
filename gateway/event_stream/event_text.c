#include "gateway/event_stream/event_text.h"
#include "gateway/base/base64.h"
#include "gateway/base/text.h"

bool event_field_is_good(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') return false;
    return text_utf8_prefix(s) == s.n;
}

static void write_line(struct buf *out, const char *field, struct slice value) {
    buf_append_text(out, field);
    buf_append_slice(out, value);
    buf_append_char(out, '\n');
}

static size_t line_size(struct slice s) {
    size_t n = 0;
    while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n') n++;
    return n;
}

static size_t line_end_size(struct slice s) {
    return s.n > 1 && s.p[0] == '\r' && s.p[1] == '\n' ? 2 : 1;
}

/* A message that ends with a line end has an empty last line: so the client gets that line end, too. */
static void write_lines(struct buf *out, struct slice message) {
    for (;;) {
        size_t n = line_size(message);
        write_line(out, "data: ", slice_make(message.p, n));
        message = slice_make(message.p + n, message.n - n);
        if (!message.n) return;
        size_t end = line_end_size(message);
        message = slice_make(message.p + end, message.n - end);
    }
}

static void write_base64(struct buf *out, struct slice bytes) {
    size_t size = base64_encoded_size(bytes.n);
    buf_append_text(out, "data: ");
    base64_encode(bytes.p, bytes.n, buf_reserve(out, size));
    out->n += size;
    buf_append_char(out, '\n');
}

void event_text_write(struct buf *out, const struct event_text *t) {
    if (!slice_is_none(t->name)) write_line(out, "event: ", t->name);
    if (!slice_is_none(t->id)) write_line(out, "id: ", t->id);
    if (t->kind == EVENT_OF_TEXT)
        write_lines(out, t->message);
    else
        write_base64(out, t->message);
    buf_append_char(out, '\n');
}

void event_text_write_retry(struct buf *out, uint64_t after_ms) {
    buf_append_text(out, "retry: ");
    buf_append_u64(out, after_ms);
    buf_append_text(out, "\n\n");
}
