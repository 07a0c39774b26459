#include "gateway/base/json_write.h"
#include "gateway/base/base64.h"
#include "gateway/base/text.h"
#include <endian.h>

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* What follows the backslash for bytes that must be escaped (RFC 8259 7); 'u' stands for \u00XX. 1 marks bytes that
 * need a look at their neighbours. */
static const unsigned char escapes[256] = {
    [0 ... '\b' - 1] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n',  ['\v'] = 'u',        ['\f'] = 'f',
    ['\r'] = 'r',           ['"'] = '"',  [0x0e ... 0x1f] = 'u', ['\\'] = '\\', [0x80 ... 0xff] = 1,
};

/* High bits where a byte of the word is a control, a quote, a backslash or not ASCII. A byte above a true one may be
 * marked too, never one below: the lowest mark is right. */
static inline uint64_t special_bytes(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    word = le64toh(word); /* so that the lowest byte is the first */
    uint64_t quote = word ^ ONES * '"';
    uint64_t backslash = word ^ ONES * '\\';
    return ((word - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | word) & HIGHS;
}

/* The first byte from p on that is not plain ASCII. `start` says how far back the text goes: the last word may overlap
 * what was seen already, which spares going byte by byte. */
static inline const char *skip_plain(const char *start, const char *p, const char *end) {
    uint64_t marks;
    for (; end - p >= 8; p += 8)
        if ((marks = special_bytes(p)) != 0) return p + __builtin_ctzll(marks) / 8;
    if (p < end && end - start >= 8) {
        marks = special_bytes(end - 8) >> 8 * (8 - (end - p));
        return marks ? p + __builtin_ctzll(marks) / 8 : end;
    }
    while (p < end && !escapes[(unsigned char)*p]) p++;
    return p;
}

size_t json_plain_prefix(struct slice s) {
    if (s.n == 0) return 0;
    const char *end = s.p + s.n;
    const char *p = skip_plain(s.p, s.p, end);
    while (p < end && escapes[(unsigned char)*p] == 1) {
        size_t n = text_utf8_length(slice_make(p, (size_t)(end - p)));
        if (n == 0) break;
        p = skip_plain(s.p, p + n, end);
    }
    return (size_t)(p - s.p);
}

static void escape_byte(struct buf *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    const char unicode[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char letter[2] = {'\\', (char)escapes[c]};
    if (escapes[c] == 1)
        buf_append(out, "\xef\xbf\xbd", 3); /* U+FFFD */
    else if (escapes[c] == 'u')
        buf_append(out, unicode, sizeof unicode);
    else
        buf_append(out, letter, sizeof letter);
}

void json_escape(struct buf *out, struct slice s) {
    while (s.n) {
        size_t plain = json_plain_prefix(s);
        buf_append(out, s.p, plain);
        if (plain == s.n) return;
        escape_byte(out, (unsigned char)s.p[plain]);
        s = slice_make(s.p + plain + 1, s.n - plain - 1);
    }
}

/* The usual text is plain: one reservation, one copy. */
static void write_quoted(struct json_write *w, struct slice s) {
    size_t plain = json_plain_prefix(s);
    char *at = buf_reserve(w->out, s.n + 4);
    if (w->comma) *at++ = ',';
    *at++ = '"';
    if (plain) memcpy(at, s.p, plain);
    at += plain;
    if (plain == s.n) *at++ = '"';
    w->out->n = (size_t)(at - w->out->p);
    if (plain == s.n) return;
    json_escape(w->out, slice_make(s.p + plain, s.n - plain));
    buf_append_char(w->out, '"');
}

static void write_plain(struct json_write *w, struct slice s) {
    char *at = buf_reserve(w->out, s.n + 1);
    if (w->comma) *at++ = ',';
    if (s.n) memcpy(at, s.p, s.n);
    w->out->n = (size_t)(at - w->out->p) + s.n;
    w->comma = true;
}

void json_open(struct json_write *w, char bracket) {
    write_plain(w, slice_make(&bracket, 1));
    w->comma = false;
}

void json_close(struct json_write *w, char bracket) {
    buf_append_char(w->out, bracket);
    w->comma = true;
}

void json_name(struct json_write *w, struct slice name) {
    write_quoted(w, name);
    buf_append_char(w->out, ':');
    w->comma = false;
}

void json_text(struct json_write *w, struct slice s) {
    write_quoted(w, s);
    w->comma = true;
}

void json_number(struct json_write *w, int64_t value) {
    write_plain(w, value < 0 ? SLICE("-") : SLICE(""));
    buf_append_u64(w->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_bool(struct json_write *w, bool value) {
    write_plain(w, value ? SLICE("true") : SLICE("false"));
}

void json_null(struct json_write *w) {
    write_plain(w, SLICE("null"));
}

void json_raw(struct json_write *w, struct slice value) {
    write_plain(w, value);
}

void json_base64(struct json_write *w, struct slice bytes) {
    size_t n = base64_encoded_size(bytes.n);
    write_plain(w, SLICE("\""));
    base64_encode(bytes.p, bytes.n, buf_reserve(w->out, n + 1));
    w->out->n += n;
    buf_append_char(w->out, '"');
}

void json_pairs(struct json_write *w, const struct fields *f) {
    json_open(w, '[');
    for (size_t i = 0; i < f->count; i++) {
        json_open(w, '[');
        json_text(w, f->items[i].name);
        json_text(w, f->items[i].value);
        json_close(w, ']');
    }
    json_close(w, ']');
}

void json_member(struct json_write *w, struct slice name, struct slice value) {
    json_name(w, name);
    json_text(w, value);
}
