#include "gateway/base/slice.h"
#include "gateway/base/memory.h"

/* Only ASCII letters have two cases here; the locale has no say. */
static inline unsigned char lower(char c) {
    unsigned char byte = (unsigned char)c;
    return (unsigned char)(byte - 'A') < 26 ? (unsigned char)(byte | 0x20) : byte;
}

static bool bytes_equal_nocase(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
    return true;
}

bool slice_equal_nocase(struct slice a, struct slice b) {
    return a.n == b.n && bytes_equal_nocase(a.p, b.p, a.n);
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix) {
    return s.n >= prefix.n && bytes_equal_nocase(s.p, prefix.p, prefix.n);
}

static inline bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s) {
    while (s.n && is_blank(s.p[s.n - 1])) s.n--;
    while (s.n && is_blank(*s.p)) s.p++, s.n--;
    return s;
}

ptrdiff_t slice_find(struct slice s, char c) {
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

bool slice_next(struct slice *rest, char separator, struct slice *part) {
    if (slice_is_none(*rest)) return false;
    ptrdiff_t cut = slice_find(*rest, separator);
    if (cut < 0) {
        *part = *rest;
        *rest = SLICE_NONE;
        return true;
    }
    *part = slice_make(rest->p, (size_t)cut);
    *rest = slice_make(rest->p + cut + 1, rest->n - (size_t)cut - 1);
    return true;
}

bool slice_to_u64(struct slice s, uint64_t *value) {
    uint64_t total = 0;
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9) return false;
        if (__builtin_mul_overflow(total, 10u, &total) || __builtin_add_overflow(total, digit, &total)) return false;
    }
    *value = total;
    return true;
}

char *slice_dup(struct slice s) {
    char *text = xmalloc(s.n + 1);
    if (s.n) memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}
