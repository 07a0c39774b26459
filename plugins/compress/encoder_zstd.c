#include "gateway/base/memory.h"
#include "plugins/compress/encoder.h"
#include <stdlib.h>
#include <zstd.h>

#define ROOM (16 * 1024)

struct zstd_encoder {
    struct encoder encoder;
    ZSTD_CCtx *context;
};

static struct zstd_encoder *zstd_of(struct encoder *e) {
    return container_of(e, struct zstd_encoder, encoder);
}

static int zstd_push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) {
    static const ZSTD_EndDirective directives[] = {
        [ENCODER_MORE] = ZSTD_e_continue, [ENCODER_FLUSH] = ZSTD_e_flush, [ENCODER_FINISH] = ZSTD_e_end};
    ZSTD_inBuffer input = {in.p, in.n, 0};
    size_t left;
    do {
        ZSTD_outBuffer output = {buf_reserve(out, ROOM), ROOM, 0};
        left = ZSTD_compressStream2(zstd_of(e)->context, &output, &input, directives[step]);
        if (ZSTD_isError(left)) return -1;
        out->n += output.pos;
    } while (step == ENCODER_MORE ? input.pos < input.size : left > 0);
    return 0;
}

static void zstd_free(struct encoder *e) {
    struct zstd_encoder *z = zstd_of(e);
    ZSTD_freeCCtx(z->context);
    free(z);
}

static const struct encoder_ops zstd_ops = {zstd_push, zstd_free};

struct encoder *encoder_new_zstd(enum encoder_level level, size_t size) {
    static const int levels[] = {[ENCODER_FAST] = 1, [ENCODER_BALANCED] = 3, [ENCODER_SMALL] = 12};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context) return NULL;
    struct zstd_encoder *z = xcalloc(1, sizeof *z);
    z->encoder.ops = &zstd_ops;
    z->context = context;
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, levels[level]);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, ENCODER_WINDOW_BITS);
    if (size) ZSTD_CCtx_setPledgedSrcSize(context, size);
    return &z->encoder;
}
