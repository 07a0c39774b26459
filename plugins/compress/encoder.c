#include "plugins/compress/encoder.h"
#include <stdlib.h>

struct encoder *encoder_new(enum coding c, enum encoder_level level, size_t size) {
    switch (c) {
    case CODING_GZIP: return encoder_new_gzip(level, size);
    case CODING_BROTLI: return encoder_new_brotli(level, size);
    case CODING_ZSTD: return encoder_new_zstd(level, size);
    case CODING_IDENTITY:
    case CODINGS: break;
    }
    abort();
}

int encoder_push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) {
    return e->ops->push(e, in, step, out);
}

void encoder_free(struct encoder *e) {
    if (e) e->ops->free(e);
}
