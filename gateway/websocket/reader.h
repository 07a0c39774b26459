/* reader.h - what a client says: frames become messages, pings and a Close, or a reason to end the connection.
 *
 * Pure: bytes go in, items come out, in order. All rules of RFC 6455 about what clients send are kept here (masking,
 * fragments with control frames between them, reserved bits, UTF-8 that is checked as it comes, what a Close may say),
 * and RFC 7692's about compressed messages. After READER_FAILED or READER_CLOSE nothing more is read.
 *
 *   reader_feed(bytes) -> reader_next ... -> READER_MORE -> reader_feed ...
 *
 * An idle reader holds no memory but itself, unless a window was agreed to be kept.
 */
#pragma once
#include "gateway/websocket/deflate.h"
#include "gateway/websocket/frame.h"
#include "gateway/websocket/utf8.h"

struct reader_limits {
    uint64_t max_message; /* bytes, as they are once decompressed */
    uint64_t max_frame;   /* bytes, as they come */
};

struct reader {
    struct frame_reader frames;
    struct reader_limits limits;
    struct deflate_terms terms;
    struct inflater *inflater;
    struct buf message; /* so far */
    struct buf control; /* of the control frame that is on its way */
    uint8_t opcode;     /* of the message; FRAME_CONTINUATION = none is on its way */
    bool compressed;
    struct utf8_check text;
    bool over;
};

enum reader_result { READER_MORE, READER_TEXT, READER_BINARY, READER_PING, READER_PONG, READER_CLOSE, READER_FAILED };
struct reader_item {
    struct slice bytes; /* message, ping or pong; the reason of a Close, or why it failed. Lives until the next call. */
    int code;           /* of CLOSE (1005 when it says none), or what FAILED is to be answered with */
};

void reader_init(struct reader *r, const struct reader_limits *limits, const struct deflate_terms *terms);
void reader_feed(struct reader *r, struct slice bytes);
enum reader_result reader_next(struct reader *r, struct reader_item *item);
/* The message that was just read, moved out. */
struct chunk *reader_take_message(struct reader *r);
/* The first fragment of a message is here and the last is not. */
bool reader_is_amid_message(const struct reader *r);
void reader_free(struct reader *r); /* idempotent */
