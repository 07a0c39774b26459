#include "gateway/invocation/identity.h"
#include "gateway/base/buf.h"
#include "gateway/base/text.h"

const struct identity_details *identity_details(struct identity *i) {
    if (i->details) return i->details;
    struct identity_details *d = arena_zalloc(i->arena, sizeof *d);
    i->read(i, d);
    i->details = d;
    return d;
}

struct slice identity_claim(struct identity *i, struct slice name) {
    const struct fields *claims = &identity_details(i)->claims;
    for (size_t k = 0; k < claims->count; k++)
        if (slice_equal(claims->items[k].name, name)) return claims->items[k].value;
    return SLICE_NONE;
}

struct identity *identity_keep(const struct identity *i, struct arena *a) {
    if (!i) return NULL;
    struct identity *own = arena_zalloc(a, sizeof *own);
    *own = (struct identity){.shape = i->shape,
                             .guard = arena_copy(a, i->guard),
                             .scheme = arena_copy(a, i->scheme),
                             .claims_json = arena_copy(a, i->claims_json),
                             .read = i->read,
                             .arena = a};
    return own;
}

/* --- JSON on a line --- */

struct line_reader {
    struct slice json;
    size_t at;
    bool inside; /* a string */
};

/* Takes what stays as it is; true when something follows that does not. */
static bool reader_skip_plain(struct line_reader *r) {
    for (; r->at < r->json.n; r->at++) {
        char c = r->json.p[r->at];
        if (c < ' ' || c > '~' || (c == ' ' && !r->inside)) return true;
        if (c == '"')
            r->inside = !r->inside;
        else if (c == '\\')
            r->at++; /* what is escaped is ASCII in valid JSON, and perhaps a quote */
    }
    return false;
}

static uint32_t character_of(struct slice s, size_t length) {
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)s.p[0] & masks[length];
    for (size_t i = 1; i < length; i++) c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
    return c;
}

/* Beyond 16 bits as a pair of surrogates (RFC 8259 7). */
static void append_escape(struct buf *out, uint32_t c) {
    if (c > 0xffff) {
        buf_printf(out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    buf_printf(out, "\\u%04x", c);
}

static void reader_take_odd(struct line_reader *r, struct buf *out) {
    struct slice rest = slice_make(r->json.p + r->at, r->json.n - r->at);
    size_t length = r->inside ? text_utf8_length(rest) : 0;
    if (length) append_escape(out, character_of(rest, length));
    r->at += length ? length : 1;
}

struct slice identity_json_line(struct slice json, struct arena *a) {
    struct line_reader r = {.json = json};
    struct buf out = {0};
    size_t taken = 0;
    while (reader_skip_plain(&r)) {
        buf_append(&out, json.p + taken, r.at - taken);
        reader_take_odd(&r, &out);
        taken = r.at;
    }
    if (taken == 0) return json;
    buf_append(&out, json.p + taken, json.n - taken);
    struct slice line = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return line;
}
