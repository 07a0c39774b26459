/* buf.h - a growing byte buffer with one owner.
 *
 * Zero-initialised is empty and valid. Appending grows it by doubling; the bytes may move, so
 * slices of it live until the next append. buf_take hands the malloc'd memory to the caller.
 */
#pragma once
#include "gateway/base/slice.h"
#include <stdarg.h>

struct buf {
    char *p;
    size_t n;
    size_t capacity;
};

/* Makes room for `more` bytes after n and returns where they go; the caller adds to n what it wrote. */
char *buf_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_append_slice(struct buf *b, struct slice s);
void buf_append_text(struct buf *b, const char *text);
void buf_append_char(struct buf *b, char c);
void buf_append_u64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->p, b->n};
}
/* Gives up the memory (may be NULL when empty); the buffer is empty afterwards. The caller frees with free(). */
char *buf_take(struct buf *b, size_t *n);
void buf_free(struct buf *b); /* back to empty; idempotent */
