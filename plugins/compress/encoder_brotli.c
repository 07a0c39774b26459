#include "gateway/base/memory.h"
#include "plugins/compress/encoder.h"
#include <brotli/encode.h>
#include <stdlib.h>

struct brotli_encoder {
    struct encoder encoder;
    BrotliEncoderState *state;
};

static struct brotli_encoder *brotli_of(struct encoder *e) {
    return container_of(e, struct brotli_encoder, encoder);
}

static int brotli_push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) {
    static const BrotliEncoderOperation operations[] = {[ENCODER_MORE] = BROTLI_OPERATION_PROCESS,
                                                        [ENCODER_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                        [ENCODER_FINISH] = BROTLI_OPERATION_FINISH};
    BrotliEncoderState *s = brotli_of(e)->state;
    const uint8_t *next = (const void *)in.p;
    size_t left = in.n;
    do {
        size_t room = 0, made = 0;
        if (!BrotliEncoderCompressStream(s, operations[step], &left, &next, &room, NULL, NULL)) return -1;
        const uint8_t *bytes = BrotliEncoderTakeOutput(s, &made);
        buf_append(out, bytes, made);
    } while (left || BrotliEncoderHasMoreOutput(s));
    return 0;
}

static void brotli_free(struct encoder *e) {
    struct brotli_encoder *b = brotli_of(e);
    BrotliEncoderDestroyInstance(b->state);
    free(b);
}

static const struct encoder_ops brotli_ops = {brotli_push, brotli_free};

struct encoder *encoder_new_brotli(enum encoder_level level, size_t size) {
    static const uint32_t qualities[] = {[ENCODER_FAST] = 1, [ENCODER_BALANCED] = 4, [ENCODER_SMALL] = 9};
    BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!s) return NULL;
    struct brotli_encoder *b = xcalloc(1, sizeof *b);
    b->encoder.ops = &brotli_ops;
    b->state = s;
    BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, qualities[level]);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, ENCODER_WINDOW_BITS);
    if (size && size <= UINT32_MAX) BrotliEncoderSetParameter(s, BROTLI_PARAM_SIZE_HINT, (uint32_t)size);
    return &b->encoder;
}
