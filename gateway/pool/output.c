#include "gateway/pool/output.h"

static struct slice line_trim(struct slice line) {
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

/* Keeps the start of a line; what does not fit is cut off. */
static void cutter_keep(struct output_cutter *c, struct slice bytes) {
    size_t room = sizeof c->partial - c->n;
    if (bytes.n > room) {
        c->skipping = true;
        bytes.n = room;
    }
    memcpy(c->partial + c->n, bytes.p, bytes.n);
    c->n += bytes.n;
}

static void cutter_line(struct output_cutter *c, struct slice end, void (*on_line)(void *context, struct slice line),
                        void *context) {
    if (c->n == 0 && !c->skipping && end.n <= sizeof c->partial) {
        on_line(context, line_trim(end)); /* straight from the caller's bytes */
        return;
    }
    if (!c->skipping) cutter_keep(c, end);
    on_line(context, line_trim(slice_make(c->partial, c->n)));
    c->n = 0;
    c->skipping = false;
}

void output_cut(struct output_cutter *c, struct slice bytes, void (*on_line)(void *context, struct slice line),
                void *context) {
    while (bytes.n > 0) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        if (!end) {
            if (!c->skipping) cutter_keep(c, bytes);
            return;
        }
        size_t n = (size_t)(end - bytes.p);
        cutter_line(c, slice_make(bytes.p, n), on_line, context);
        bytes = slice_make(end + 1, bytes.n - n - 1);
    }
}

void output_cut_end(struct output_cutter *c, void (*on_line)(void *context, struct slice line), void *context) {
    if (c->n > 0) cutter_line(c, SLICE(""), on_line, context);
    c->n = 0;
    c->skipping = false;
}

bool output_afford(struct output_budget *b, uint64_t now_ms, size_t n) {
    if (now_ms - b->window_ms >= OUTPUT_WINDOW_MS) {
        b->window_ms = now_ms;
        b->lines = b->bytes = 0;
    }
    if (b->lines < OUTPUT_WINDOW_LINES && b->bytes + n <= OUTPUT_WINDOW_BYTES) {
        b->lines++;
        b->bytes += n;
        return true;
    }
    b->dropped_lines++;
    b->dropped_bytes += n;
    return false;
}

bool output_take_dropped(struct output_budget *b, uint64_t *lines, uint64_t *bytes) {
    *lines = b->dropped_lines;
    *bytes = b->dropped_bytes;
    b->dropped_lines = b->dropped_bytes = 0;
    return *lines > 0;
}

static size_t ring_at(size_t position) {
    return position & (OUTPUT_TAIL_SIZE - 1);
}

static void tail_forget_line(struct output_tail *t) {
    bool more = true;
    while (more && t->n > 0) {
        more = t->ring[t->start] != '\n';
        t->start = ring_at(t->start + 1);
        t->n--;
    }
    if (t->lines > 0) t->lines--;
}

static void tail_put(struct output_tail *t, struct slice s) {
    size_t at = ring_at(t->start + t->n);
    size_t first = OUTPUT_TAIL_SIZE - at < s.n ? OUTPUT_TAIL_SIZE - at : s.n;
    memcpy(t->ring + at, s.p, first);
    memcpy(t->ring, s.p + first, s.n - first);
    t->n += s.n;
}

void output_tail_add(struct output_tail *t, struct slice line) {
    if (line.n > OUTPUT_TAIL_SIZE - 1) line.n = OUTPUT_TAIL_SIZE - 1;
    while (t->lines >= OUTPUT_TAIL_LINES || t->n + line.n + 1 > OUTPUT_TAIL_SIZE) tail_forget_line(t);
    tail_put(t, line);
    tail_put(t, SLICE("\n"));
    t->lines++;
}

void output_tail_write(const struct output_tail *t, struct buf *out) {
    if (t->n == 0) return;
    size_t first = OUTPUT_TAIL_SIZE - t->start < t->n ? OUTPUT_TAIL_SIZE - t->start : t->n;
    buf_append(out, t->ring + t->start, first);
    buf_append(out, t->ring, t->n - first);
    out->n--; /* the last one's end */
}
