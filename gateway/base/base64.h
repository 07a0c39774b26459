/* base64.h - RFC 4648 section 4, padded, strict. */
#pragma once
#include "gateway/base/slice.h"

static inline size_t base64_encoded_size(size_t n) {
    return (n + 2) / 3 * 4;
}
/* Writes exactly base64_encoded_size(n) bytes. */
void base64_encode(const void *p, size_t n, char *out);
/* Decodes into `out` (room for s.n / 4 * 3; may be s's own memory). Returns the length, or -1 on any foreign byte,
 * missing padding or non-zero trailing bits. */
ptrdiff_t base64_decode(struct slice s, char *out);
