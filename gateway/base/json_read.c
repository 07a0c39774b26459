#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"

#define JSON_DEPTH_LIMIT 64

/* What a value's first byte says about its kind. */
static const unsigned char kinds[256] = {
    ['n'] = JSON_NULL,   ['f'] = JSON_FALSE,          ['t'] = JSON_TRUE,  ['-'] = JSON_NUMBER,
    ['"'] = JSON_STRING, ['0' ... '9'] = JSON_NUMBER, ['['] = JSON_ARRAY, ['{'] = JSON_OBJECT,
};

/* The first error stays; reading stops there, so every later call fails too. */
static bool fail(struct json_read *r, const char *error) {
    if (r->error) return false;
    r->error = error;
    r->at = (size_t)(r->p - r->start);
    return false;
}

static inline void skip_blanks(struct json_read *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static inline bool next_is(const struct json_read *r, char c) {
    return r->p < r->end && *r->p == c;
}

static inline bool take(struct json_read *r, char c) {
    if (!next_is(r, c)) return false;
    r->p++;
    return true;
}

void json_read_init(struct json_read *r, struct slice text) {
    const char *p = text.n ? text.p : "";
    *r = (struct json_read){.p = p, .end = p + text.n, .start = p, .first = true};
}

enum json_kind json_read_peek(struct json_read *r) {
    if (r->error) return JSON_INVALID;
    skip_blanks(r);
    return r->p < r->end ? (enum json_kind)kinds[(unsigned char)*r->p] : JSON_INVALID;
}

bool json_read_open(struct json_read *r, char bracket) {
    if (json_read_peek(r) == JSON_INVALID) return fail(r, "a value is expected");
    if (!next_is(r, bracket)) return false;
    if (r->depth == JSON_DEPTH_LIMIT) return fail(r, "nested too deeply");
    r->p++;
    r->depth++;
    r->first = true;
    return true;
}

/* Goes to the next member or element of the container that is open: false at its end, which is taken, and on an error.
 */
static bool next_member(struct json_read *r, char end, const char *error) {
    if (r->error) return false;
    if (r->depth == 0) return fail(r, "nothing is open");
    skip_blanks(r);
    bool first = r->first;
    r->first = false;
    if (take(r, end)) {
        r->depth--;
        return false;
    }
    return first || take(r, ',') || fail(r, error);
}

/* Four hex digits, or -1. */
static int hex4(const char *p) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

static inline bool is_high_surrogate(int unit) {
    return unit >= 0xd800 && unit < 0xdc00;
}
static inline bool is_low_surrogate(int unit) {
    return unit >= 0xdc00 && unit < 0xe000;
}

/* At the four digits of a \u escape: takes them, and the second half of a pair. */
static bool take_unicode_escape(struct json_read *r) {
    int unit = r->end - r->p >= 4 ? hex4(r->p) : -1;
    if (unit < 0) return fail(r, "\\u needs four hexadecimal digits");
    if (is_low_surrogate(unit)) return fail(r, "a lone surrogate");
    if (is_high_surrogate(unit)) {
        bool paired = r->end - r->p >= 10 && r->p[4] == '\\' && r->p[5] == 'u' && is_low_surrogate(hex4(r->p + 6));
        if (!paired) return fail(r, "a lone surrogate");
        r->p += 6;
    }
    r->p += 4;
    return true;
}

static bool take_escape(struct json_read *r) {
    r->p++;
    if (take(r, 'u')) return take_unicode_escape(r);
    if (r->p == r->end || *r->p == '\0' || !strchr("\"\\/bfnrt", *r->p)) return fail(r, "an unknown escape");
    r->p++;
    return true;
}

/* At an opening quote; *raw is the string with both its quotes. */
static bool take_string(struct json_read *r, struct slice *raw) {
    const char *start = r->p++;
    for (;;) {
        r->p += json_plain_prefix(slice_make(r->p, (size_t)(r->end - r->p)));
        if (take(r, '"')) break;
        if (r->p == r->end) return fail(r, "a string does not end");
        if (*r->p != '\\')
            return fail(r, (unsigned char)*r->p < 0x20 ? "a control character in a string" : "not UTF-8");
        if (!take_escape(r)) return false;
    }
    *raw = slice_make(start, (size_t)(r->p - start));
    return true;
}

static size_t take_digits(struct json_read *r) {
    const char *start = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return (size_t)(r->p - start);
}

static bool take_number(struct json_read *r) {
    take(r, '-');
    if (!take(r, '0') && take_digits(r) == 0) return fail(r, "a digit is expected");
    if (take(r, '.') && take_digits(r) == 0) return fail(r, "a digit is expected after the point");
    if (!next_is(r, 'e') && !next_is(r, 'E')) return true;
    r->p++;
    if (!take(r, '+')) take(r, '-');
    return take_digits(r) ? true : fail(r, "a digit is expected in the exponent");
}

static bool take_word(struct json_read *r, struct slice word) {
    if (!slice_starts_with(slice_make(r->p, (size_t)(r->end - r->p)), word)) return fail(r, "an unknown word");
    r->p += word.n;
    return true;
}

/* A name's raw text and its colon. */
static bool take_name(struct json_read *r, struct slice *raw) {
    skip_blanks(r);
    if (!next_is(r, '"')) return fail(r, "a name in quotes is expected");
    if (!take_string(r, raw)) return false;
    skip_blanks(r);
    return take(r, ':') || fail(r, "a colon is expected");
}

static bool next_raw_name(struct json_read *r, struct slice *raw) {
    return next_member(r, '}', "a comma or } is expected") && take_name(r, raw);
}

bool json_read_name(struct json_read *r, struct arena *a, struct slice *name) {
    struct slice raw;
    if (!next_raw_name(r, &raw)) return false;
    *name = json_text_of(a, (struct json_value){JSON_STRING, raw});
    return true;
}

bool json_read_element(struct json_read *r) {
    return next_member(r, ']', "a comma or ] is expected");
}

static bool take_scalar(struct json_read *r, enum json_kind kind) {
    struct slice ignored;
    switch (kind) {
    case JSON_NULL: return take_word(r, SLICE("null"));
    case JSON_FALSE: return take_word(r, SLICE("false"));
    case JSON_TRUE: return take_word(r, SLICE("true"));
    case JSON_NUMBER: return take_number(r);
    case JSON_STRING: return take_string(r, &ignored);
    case JSON_INVALID:
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    return fail(r, "a value is expected");
}

/* Enters a container, noting in the lowest bit of *objects what it is, or takes a scalar. */
static bool step_into(struct json_read *r, uint64_t *objects) {
    enum json_kind kind = json_read_peek(r);
    if (kind != JSON_ARRAY && kind != JSON_OBJECT) return take_scalar(r, kind);
    *objects = *objects << 1 | (kind == JSON_OBJECT);
    return json_read_open(r, *r->p);
}

/* No recursion: the open containers are bits, as many as the depth allows. */
static bool take_value(struct json_read *r) {
    uint64_t objects = 0;
    int outer = r->depth;
    struct slice ignored;
    if (!step_into(r, &objects)) return false;
    while (r->depth > outer) {
        bool more = objects & 1 ? next_raw_name(r, &ignored) : json_read_element(r);
        if (r->error) return false;
        if (!more)
            objects >>= 1;
        else if (!step_into(r, &objects))
            return false;
    }
    return true;
}

bool json_read_value(struct json_read *r, struct json_value *value) {
    value->kind = json_read_peek(r);
    const char *start = r->p;
    if (r->error || !take_value(r)) {
        *value = (struct json_value){0};
        return false;
    }
    value->raw = slice_make(start, (size_t)(r->p - start));
    return true;
}

bool json_read_end(struct json_read *r) {
    if (r->error) return false;
    skip_blanks(r);
    if (r->p < r->end) return fail(r, "something follows the value");
    if (r->p == r->start || r->depth) return fail(r, "the text ends too early");
    return true;
}

static char *put_utf8(char *out, int code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *out++ = (char)(0xff00 >> (more + 1) | code >> 6 * more);
    while (more--) *out++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return out;
}

/* At the byte after a backslash; returns where the escape ends. */
static const char *unescape_one(const char *p, char **out) {
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    if (*p != 'u') {
        *(*out)++ = letters[(unsigned char)*p];
        return p + 1;
    }
    int code = hex4(p + 1);
    p += 5;
    if (is_high_surrogate(code)) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
        p += 6;
    }
    *out = put_utf8(*out, code);
    return p;
}

size_t json_unescape(struct slice raw, char *out) {
    const char *p = raw.p + 1;
    const char *end = raw.p + raw.n - 1;
    char *at = out;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((backslash ? backslash : end) - p);
        memmove(at, p, run);
        at += run;
        p += run;
        if (backslash) p = unescape_one(p + 1, &at);
    }
    return (size_t)(at - out);
}

struct slice json_text_of(struct arena *a, struct json_value value) {
    struct slice inner = {value.raw.p + 1, value.raw.n - 2};
    if (slice_find(inner, '\\') < 0) return inner;
    char *text = arena_alloc(a, inner.n);
    return slice_make(text, json_unescape(value.raw, text));
}

bool json_int_of(struct json_value value, int64_t *number) {
    struct slice digits = value.raw;
    uint64_t magnitude;
    if (value.kind != JSON_NUMBER) return false;
    bool negative = digits.n && *digits.p == '-';
    if (negative) digits = slice_make(digits.p + 1, digits.n - 1);
    if (!slice_to_u64(digits, &magnitude)) return false;
    if (magnitude > (uint64_t)INT64_MAX + negative) return false;
    *number = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

bool json_is_valid(struct slice text) {
    struct json_read r;
    struct json_value value;
    json_read_init(&r, text);
    return json_read_value(&r, &value) && json_read_end(&r);
}
