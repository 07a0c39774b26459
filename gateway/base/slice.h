/* slice.h - a borrowed run of bytes.
 *
 * A slice names bytes that somebody else owns: a request buffer, an arena, a literal. It is
 * passed by value, is never NUL-terminated by assumption, and must not outlive its buffer.
 * {NULL, 0} is the absent slice; {non-NULL, 0} is an empty one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE_NONE ((struct slice){NULL, 0})
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text ? strlen(text) : 0};
}
static inline struct slice slice_make(const char *p, size_t n) {
    return (struct slice){p, n};
}
static inline bool slice_is_none(struct slice s) {
    return s.p == NULL;
}
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive; header names (RFC 9110 5.1). */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_starts_with_nocase(struct slice s, struct slice prefix);
/* Without leading and trailing spaces and tabs (RFC 9110 5.6.3 OWS). */
struct slice slice_trim(struct slice s);
/* Index of the first byte, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
/* Cuts the part before `separator` off *rest and returns it; the last part leaves *rest absent. False when *rest is
 * absent. */
bool slice_next(struct slice *rest, char separator, struct slice *part);
/* Decimal digits only, no sign, no blanks, no overflow. */
bool slice_to_u64(struct slice s, uint64_t *value);
/* A malloc'd NUL-terminated copy, owned by the caller. */
char *slice_dup(struct slice s);
