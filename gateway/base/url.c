#include "gateway/base/url.h"

/* Bits of byte_kinds: in a path segment a byte may be bad or the start of an escape, in a query or an authority it may
 * be bad. Zero bits are the usual bytes, so a run is judged by its bits ORed together. */
enum { ESCAPE = 1, BAD_IN_PATH = 2, BAD_IN_QUERY = 4, BAD_IN_AUTHORITY = 8 };
#define BAD (BAD_IN_PATH | BAD_IN_QUERY | BAD_IN_AUTHORITY)

/* RFC 3986 3: pchar in a segment; a query has '/' and '?' too, and the brackets that forms send unescaped. No '@' in an
 * authority: user information is not for http (RFC 9110 4.2.4). */
static const unsigned char byte_kinds[256] = {
    [0x00 ... 0x20] = BAD,
    ['"'] = BAD,
    ['#'] = BAD,
    ['%'] = ESCAPE,
    ['/'] = BAD_IN_AUTHORITY,
    ['<'] = BAD,
    ['>'] = BAD,
    ['?'] = BAD_IN_PATH | BAD_IN_AUTHORITY,
    ['@'] = BAD_IN_AUTHORITY,
    ['['] = BAD_IN_PATH,
    ['\\'] = BAD,
    [']'] = BAD_IN_PATH,
    ['^'] = BAD,
    ['`'] = BAD,
    ['{' ... '}'] = BAD,
    [0x7f ... 0xff] = BAD,
};

static inline unsigned kinds_of(struct slice s) {
    unsigned kinds = 0;
    for (size_t i = 0; i < s.n; i++) kinds |= byte_kinds[(unsigned char)s.p[i]];
    return kinds;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    char letter = (char)(c | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The byte that "%XX" at s.p + at stands for, or -1. */
static int escaped_byte(struct slice s, size_t at) {
    if (s.n - at < 3) return -1;
    int high = hex_digit(s.p[at + 1]);
    int low = hex_digit(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static int refuse_byte(struct slice s, unsigned bad, const char *where, struct error *e) {
    size_t i = 0;
    while (!(byte_kinds[(unsigned char)s.p[i]] & bad)) i++;
    return error_set(e, ERROR_FORMAT, "the request target's %s holds the byte 0x%02x, which must be percent-encoded",
                     where, (unsigned char)s.p[i]);
}

static int decode_segment(struct slice *segment, struct arena *a, struct error *e) {
    char *out = arena_alloc(a, segment->n);
    size_t n = 0;
    for (size_t i = 0; i < segment->n; i++) {
        if (segment->p[i] != '%') {
            out[n++] = segment->p[i];
            continue;
        }
        int byte = escaped_byte(*segment, i);
        if (byte < 0) return error_set(e, ERROR_FORMAT, "the request target has a '%%' without two hexadecimal digits");
        if (byte == 0) return error_set(e, ERROR_FORMAT, "the request target's path holds a NUL byte (%%00)");
        out[n++] = (char)byte;
        i += 2;
    }
    *segment = slice_make(out, n);
    return 0;
}

static inline bool is_dot_segment(struct slice s) {
    return s.n && s.n <= 2 && s.p[0] == '.' && s.p[s.n - 1] == '.';
}

/* A decoded slash makes no segment here, but it does for a handler that reads PATH_INFO, opens a file by a parameter,
 * or routes by the decoded path: to all of those /open/..%2Fadmin is /admin, which may have another guard. */
static bool holds_dot_segment(struct slice decoded) {
    struct slice part;
    while (slice_next(&decoded, '/', &part))
        if (is_dot_segment(part)) return true;
    return false;
}

/* Decodes after the split, so an escaped slash or dot is seen for what it becomes, and never splits. */
static int add_segment(struct url *u, struct arena *a, struct slice segment, struct error *e) {
    unsigned kinds = kinds_of(segment);
    if (u->segment_count == URL_MAX_SEGMENTS)
        return error_set(e, ERROR_FORMAT, "the request target's path has more than %d segments", URL_MAX_SEGMENTS);
    if (kinds & BAD_IN_PATH) return refuse_byte(segment, BAD_IN_PATH, "path", e);
    if (kinds & ESCAPE) {
        int failed = decode_segment(&segment, a, e);
        if (failed) return failed;
    }
    if (kinds & ESCAPE ? holds_dot_segment(segment) : is_dot_segment(segment))
        return error_set(e, ERROR_FORMAT, "the request target's path holds a '.' or '..' segment");
    u->segments[u->segment_count++] = segment;
    return 0;
}

static int split_path(struct url *u, struct arena *a, struct error *e) {
    struct slice rest = {u->path.p + 1, u->path.n - 1};
    struct slice segment;
    u->segment_count = 0;
    while (slice_next(&rest, '/', &segment)) {
        int failed = add_segment(u, a, segment, e);
        if (failed) return failed;
    }
    return 0;
}

/* Cuts "http://authority" off an absolute-form target; what is left may be empty. */
static int take_authority(struct url *u, struct slice *target, struct error *e) {
    size_t scheme = slice_starts_with_nocase(*target, SLICE("http://"))    ? 7
                    : slice_starts_with_nocase(*target, SLICE("https://")) ? 8
                                                                           : 0;
    if (scheme == 0) return error_set(e, ERROR_FORMAT, "the request target is neither a path nor an http or https URL");
    size_t end = scheme;
    while (end < target->n && target->p[end] != '/' && target->p[end] != '?') end++;
    u->authority = slice_make(target->p + scheme, end - scheme);
    *target = slice_make(target->p + end, target->n - end);
    if (u->authority.n == 0) return error_set(e, ERROR_FORMAT, "the request target names no host");
    if (kinds_of(u->authority) & BAD_IN_AUTHORITY) return refuse_byte(u->authority, BAD_IN_AUTHORITY, "host", e);
    return 0;
}

/* The query's escapes are not judged here: what they mean is up to whoever decodes it. */
static int take_query(struct url *u, struct slice *target, struct error *e) {
    ptrdiff_t mark = slice_find(*target, '?');
    if (mark < 0) return 0;
    u->query = slice_make(target->p + mark + 1, target->n - (size_t)mark - 1);
    target->n = (size_t)mark;
    if (kinds_of(u->query) & BAD_IN_QUERY) return refuse_byte(u->query, BAD_IN_QUERY, "query", e);
    return 0;
}

int url_parse(struct url *u, struct arena *a, struct slice target, struct error *e) {
    int failed = 0;
    u->query = u->authority = SLICE_NONE;
    u->segment_count = 0;
    if (target.n == 0 || *target.p != '/') failed = take_authority(u, &target, e);
    if (!failed) failed = take_query(u, &target, e);
    if (failed) return failed;
    /* An absolute-form target may leave the path out (RFC 9110 4.2.3). */
    u->path = target.n ? target : SLICE("/");
    return split_path(u, a, e);
}

struct slice url_decode(struct arena *a, struct slice s, enum url_plus plus) {
    bool blanks = plus == URL_PLUS_IS_BLANK && slice_find(s, '+') >= 0;
    if (!blanks && slice_find(s, '%') < 0) return s;
    char *out = arena_alloc(a, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int byte = s.p[i] == '%' ? escaped_byte(s, i) : -1;
        if (byte >= 0) i += 2;
        char plain = s.p[i] == '+' && blanks ? ' ' : s.p[i];
        out[n++] = byte >= 0 ? (char)byte : plain;
    }
    return slice_make(out, n);
}

bool url_query_next(struct slice *rest, struct slice *name, struct slice *value) {
    struct slice part;
    do
        if (!slice_next(rest, '&', &part)) return false;
    while (part.n == 0);
    ptrdiff_t equals = slice_find(part, '=');
    size_t cut = equals < 0 ? part.n : (size_t)equals;
    *name = slice_make(part.p, cut);
    *value = equals < 0 ? slice_make(part.p + cut, 0) : slice_make(part.p + cut + 1, part.n - cut - 1);
    return true;
}

static bool is_unreserved(unsigned char c) {
    bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
    return letter || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

void url_append_form(struct buf *out, struct slice s) {
    static const char hex[] = "0123456789ABCDEF";
    char *at = buf_reserve(out, s.n * 3);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    out->n = (size_t)(at - out->p);
}
