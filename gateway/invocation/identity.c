#include "gateway/invocation/identity.h"
#include "gateway/base/buf.h"
#include "gateway/base/text.h"

struct slice identity_claim(const struct identity *i, struct slice name) {
    for (size_t k = 0; k < i->claims.count; k++)
        if (slice_equal(i->claims.items[k].name, name)) return i->claims.items[k].value;
    return SLICE_NONE;
}

/* A blank inside a string is the only one that stays, so nothing has to be done when there is none at all. */
static bool is_line(struct slice json) {
    for (size_t i = 0; i < json.n; i++)
        if (json.p[i] <= ' ' || json.p[i] > '~') return false;
    return true;
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

/* Takes one character of a string, an escape as a whole. */
static size_t append_character(struct buf *out, struct slice rest) {
    size_t n = rest.p[0] == '\\' && rest.n > 1 ? 2 : text_utf8_length(rest);
    if (n == 0) n = 1;
    if (n <= 2 && rest.p[0] >= ' ' && rest.p[0] <= '~')
        buf_append(out, rest.p, n);
    else
        append_escape(out, character_of(rest, n));
    return n;
}

struct slice identity_json_line(struct slice json, struct arena *a) {
    struct buf out = {0};
    bool inside = false;
    if (is_line(json)) return json;
    for (size_t i = 0; i < json.n;) {
        struct slice rest = slice_make(json.p + i, json.n - i);
        if (json.p[i] == '"') inside = !inside;
        if (!inside && memchr(" \t\r\n", json.p[i], 4))
            i++;
        else
            i += append_character(&out, rest);
    }
    struct slice line = arena_copy(a, buf_slice(&out));
    buf_free(&out);
    return line;
}
