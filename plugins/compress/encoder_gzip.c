#include "gateway/base/memory.h"
#include "plugins/compress/encoder.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define ROOM (16 * 1024)
#define GZIP_WRAPPER 16 /* added to the window's bits */

struct gzip_encoder {
    struct encoder encoder;
    z_stream z;
};

static struct gzip_encoder *gzip_of(struct encoder *e) {
    return container_of(e, struct gzip_encoder, encoder);
}

/* Done once zlib leaves room unused: it has nothing more to say (zlib.h, "deflate"). */
static int gzip_push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) {
    static const int flushes[] = {
        [ENCODER_MORE] = Z_NO_FLUSH, [ENCODER_FLUSH] = Z_SYNC_FLUSH, [ENCODER_FINISH] = Z_FINISH};
    z_stream *z = &gzip_of(e)->z;
    assert(in.n <= UINT_MAX);
    z->next_in = (z_const Bytef *)(const void *)in.p;
    z->avail_in = (uInt)in.n;
    int result;
    do {
        z->next_out = (Bytef *)(void *)buf_reserve(out, ROOM);
        z->avail_out = ROOM;
        result = deflate(z, flushes[step]);
        out->n += ROOM - z->avail_out;
    } while (result == Z_OK && z->avail_out == 0);
    bool nothing_to_do = result == Z_BUF_ERROR && step != ENCODER_FINISH;
    return result == Z_OK || result == Z_STREAM_END || nothing_to_do ? 0 : -1;
}

static void gzip_free(struct encoder *e) {
    struct gzip_encoder *g = gzip_of(e);
    deflateEnd(&g->z);
    free(g);
}

static const struct encoder_ops gzip_ops = {gzip_push, gzip_free};

struct encoder *encoder_new_gzip(enum encoder_level level, size_t size) {
    static const int levels[] = {[ENCODER_FAST] = 1, [ENCODER_BALANCED] = 6, [ENCODER_SMALL] = 9};
    struct gzip_encoder *g = xcalloc(1, sizeof *g);
    (void)size;
    g->encoder.ops = &gzip_ops;
    if (deflateInit2(&g->z, levels[level], Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, 8, Z_DEFAULT_STRATEGY) == Z_OK)
        return &g->encoder;
    free(g);
    return NULL;
}
