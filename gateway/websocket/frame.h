/* frame.h - the bytes of a WebSocket connection, cut into frames (RFC 6455 5.2).
 *
 * libwslay takes the frames apart and unmasks them. Its context has 4 kB of room, so a reader has one only while a
 * frame is on its way: between frames it is a few words. Whatever is wrong with a single frame is found here; what
 * frames mean together, reader.h says. Frames to clients are never masked (RFC 6455 5.1), so one that is made once can
 * be sent to many.
 */
#pragma once
#include "gateway/base/chunk.h"

enum frame_opcode {
    FRAME_CONTINUATION = 0x0,
    FRAME_TEXT = 0x1,
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xa
};
#define FRAME_RSV1 4u /* of frame_piece.rsv: RFC 7692 gives it a meaning */
#define FRAME_CONTROL_MAX 125

/* Some bytes of a frame. */
struct frame_piece {
    uint8_t opcode, rsv;
    bool fin, masked;
    bool first, last; /* of its frame */
    uint64_t size;    /* of the whole frame's payload */
    struct slice bytes;
};

struct wslay_frame_context;
struct frame_reader {
    struct wslay_frame_context *context; /* NULL between frames */
    struct slice input;
    uint64_t pulled; /* by libwslay since it began, against what came out */
    uint64_t passed;
    uint64_t left; /* of the present frame's payload */
    bool inside;
};

enum frame_result { FRAME_PIECE, FRAME_MORE, FRAME_INVALID };
/* What is to be read next; lent until all of it was (FRAME_MORE). */
void frame_reader_feed(struct frame_reader *r, struct slice bytes);
/* The piece's bytes live until the next call. */
enum frame_result frame_reader_next(struct frame_reader *r, struct frame_piece *piece);
void frame_reader_free(struct frame_reader *r); /* idempotent */

/* One whole frame from the server: head and payload. `rsv` as in a piece. */
struct chunk *frame_make(enum frame_opcode opcode, unsigned rsv, struct slice payload);
/* The payload is the code in network order and the reason, cut where a character ends; code 1005 = nothing. */
struct chunk *frame_make_close(int code, struct slice reason);
