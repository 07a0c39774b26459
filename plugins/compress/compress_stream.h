/* compress_stream.h - a body that is compressed on its way.
 *
 * It stands between two bodies: consumer of the plain one, producer of the encoded one. As long as the encoded one
 * is wanted, it takes a piece per turn, so that a large body holds nothing else up, and hands on what came of it. When
 * nothing more is at hand it flushes, so a client sees each piece of a slow stream when it was made. Back-pressure
 * passes through: what is not wanted is not taken.
 *
 * It frees itself at the end, on failure, or when the client has gone. Those that are left when the gateway
 * closes are freed by compress_streams_close.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/base/turn.h"
#include "gateway/invocation/body.h"
#include "plugins/compress/encoder.h"

struct compress_streams {
    struct list all;
    struct turn *turn;
};

void compress_streams_init(struct compress_streams *streams, struct turn *turn);
/* The encoded body, consumer's end. Takes over the plain one's consumer's end and the encoder. */
struct body *compress_stream_new(struct compress_streams *streams, struct body *take_plain,
                                 struct encoder *take_encoder);
void compress_streams_close(struct compress_streams *streams);
