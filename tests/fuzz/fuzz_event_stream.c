/* Streams of events, cut anywhere: comments that are put where the boundary says so change nothing for the client, what
 * ends an event ends it, and any message comes out of its event as it went in. */
#include "gateway/event_stream/event_boundary.h"
#include "gateway/event_stream/event_text.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

/* The next line without its end; false when none is complete. */
static bool next_line(struct slice *rest, struct slice *line) {
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\r' && rest->p[n] != '\n') n++;
    if (n == rest->n) return false;
    *line = slice_make(rest->p, n);
    size_t end = rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n' ? 2 : 1;
    *rest = slice_make(rest->p + n + end, rest->n - n - end);
    return true;
}

/* What a client makes of it (WHATWG HTML 9.2.6): the lines of each event, each event's end. */
static void interpret(struct slice stream, struct buf *seen) {
    struct slice line;
    bool any = false;
    while (next_line(&stream, &line)) {
        if (line.n && line.p[0] == ':') continue;
        if (line.n || any) buf_append_slice(seen, line);
        if (line.n || any) buf_append_text(seen, line.n ? "|" : "#");
        any = line.n > 0;
    }
}

static bool is_alike(const struct buf *a, const struct buf *b) {
    return slice_equal(buf_slice(a), buf_slice(b));
}

/* `step` bytes at a time. */
static void check_comments(struct slice stream, size_t step) {
    struct buf commented = {0}, plain_seen = {0}, commented_seen = {0};
    struct event_boundary b = {0};
    for (size_t at = 0; at < stream.n; at += step) {
        struct slice piece = slice_make(stream.p + at, stream.n - at < step ? stream.n - at : step);
        event_boundary_feed(&b, piece);
        buf_append_slice(&commented, piece);
        if (event_boundary_is_between(&b)) buf_append_slice(&commented, EVENT_HEARTBEAT);
    }
    interpret(stream, &plain_seen);
    interpret(buf_slice(&commented), &commented_seen);
    must(is_alike(&plain_seen, &commented_seen));
    event_boundary_feed(&b, event_boundary_ending(&b));
    must(event_boundary_is_between(&b));
    buf_free(&commented);
    buf_free(&plain_seen);
    buf_free(&commented_seen);
}

/* CR and CRLF come out as LF. */
static void append_normal(struct buf *out, struct slice message) {
    for (size_t i = 0; i < message.n; i++) {
        if (message.p[i] == '\n' && i && message.p[i - 1] == '\r') continue;
        buf_append_char(out, message.p[i] == '\r' ? '\n' : message.p[i]);
    }
}

static void check_message(struct slice message) {
    struct buf text = {0}, normal = {0}, got = {0};
    struct event_boundary b = {0};
    struct slice rest, line;
    event_text_write(&text, &(struct event_text){.message = message});
    event_boundary_feed(&b, buf_slice(&text));
    must(event_boundary_is_between(&b));
    rest = buf_slice(&text);
    while (next_line(&rest, &line) && line.n) {
        must(slice_starts_with(line, SLICE("data: ")));
        if (got.n || line.p != text.p) buf_append_char(&got, '\n');
        buf_append(&got, line.p + 6, line.n - 6);
    }
    must(rest.n == 0);
    append_normal(&normal, message);
    must(is_alike(&got, &normal));
    buf_free(&text);
    buf_free(&normal);
    buf_free(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice rest = {(const char *)data + 1, size - 1};
    check_comments(rest, 1 + data[0] % 16);
    check_message(rest);
    return 0;
}
