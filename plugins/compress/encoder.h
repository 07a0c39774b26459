/* encoder.h - bytes in, compressed bytes out, by one of three libraries.
 *
 * One encoder makes one body: it is pushed pieces in order and told with each whether more is at hand (MORE), whether
 * what was pushed must be readable by the client now (FLUSH), or whether that was all (FINISH, once).
 * Memory per encoder is bounded: windows of 32 KiB (gzip) and 256 KiB (the others).
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"
#include "plugins/compress/encoding_choice.h"

enum encoder_level { ENCODER_FAST, ENCODER_BALANCED, ENCODER_SMALL };
enum encoder_step { ENCODER_MORE, ENCODER_FLUSH, ENCODER_FINISH };

#define ENCODER_WINDOW_BITS 18

struct encoder;
struct encoder_ops {
    int (*push)(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out);
    void (*free)(struct encoder *e);
};
struct encoder {
    const struct encoder_ops *ops;
};

/* `size` is that of the body if it is known, else 0. NULL when the library has no memory. */
struct encoder *encoder_new(enum coding c, enum encoder_level level, size_t size);
/* Appends to `out`. 0, or -1 when the library gives up. */
int encoder_push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) MUST_CHECK;
void encoder_free(struct encoder *e); /* NULL is fine */

/* A file each. */
struct encoder *encoder_new_gzip(enum encoder_level level, size_t size);
struct encoder *encoder_new_brotli(enum encoder_level level, size_t size);
struct encoder *encoder_new_zstd(enum encoder_level level, size_t size);
