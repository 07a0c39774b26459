#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_SIZE 256

static void buf_grow(struct buf *b, size_t more) {
    size_t needed;
    size_t capacity = b->capacity ? b->capacity : BUF_FIRST_SIZE;
    assert(!__builtin_add_overflow(b->n, more, &needed) && needed <= SIZE_MAX / 4);
    while (capacity < needed) capacity *= 2;
    b->p = xrealloc(b->p, capacity);
    b->capacity = capacity;
}

char *buf_reserve(struct buf *b, size_t more) {
    if (!b->p || b->capacity - b->n < more) buf_grow(b, more);
    return b->p + b->n;
}

void buf_append(struct buf *b, const void *p, size_t n) {
    if (n == 0) return;
    memcpy(buf_reserve(b, n), p, n);
    b->n += n;
}

void buf_append_slice(struct buf *b, struct slice s) {
    buf_append(b, s.p, s.n);
}

void buf_append_text(struct buf *b, const char *text) {
    buf_append(b, text, strlen(text));
}

void buf_append_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->n++;
}

void buf_append_u64(struct buf *b, uint64_t value) {
    char digits[20];
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_append(b, at, (size_t)(digits + sizeof digits - at));
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(b, format, arguments);
    va_end(arguments);
}

void buf_vprintf(struct buf *b, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    char *at = buf_reserve(b, 1);
    int n = vsnprintf(at, b->capacity - b->n, format, arguments);
    assert(n >= 0);
    /* vsnprintf wants room for its NUL too, which is not part of the buffer. */
    if ((size_t)n >= b->capacity - b->n) vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, format, again);
    va_end(again);
    b->n += (size_t)n;
}

void buf_consume(struct buf *b, size_t n) {
    assert(n <= b->n);
    b->n -= n;
    if (n && b->n) memmove(b->p, b->p + n, b->n);
}

char *buf_take(struct buf *b, size_t *n) {
    char *p = b->p;
    *n = b->n;
    *b = (struct buf){0};
    return p;
}

void buf_free(struct buf *b) {
    free(b->p);
    *b = (struct buf){0};
}
