/* deflate.h - permessage-deflate (RFC 7692): messages that are compressed, each by itself or with the window of those
 * before it.
 *
 * A window costs 40 kB to read and up to 256 kB to write, for as long as the connection. So by default both sides are
 * told to begin anew with every message (server_no_context_takeover, client_no_context_takeover), and there is state
 * only while a message is on its way. What comes out of a message is bounded while it comes out: a bomb is refused
 * after its first bytes too many.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/fields.h"

enum deflate_mode { DEFLATE_OFF, DEFLATE_MESSAGE, DEFLATE_CONNECTION };

/* What was agreed in the handshake. Zero-initialised: nothing is compressed. */
struct deflate_terms {
    bool agreed;
    bool server_takeover, client_takeover;
    uint8_t server_bits; /* 9 to 15 */
    bool bits_asked;     /* the client has bounded the server's window, and is told that it is */
};
/* The first offer of the Sec-WebSocket-Extensions fields that can be met (RFC 7692 5, 7.1). */
struct deflate_terms deflate_negotiate(const struct fields *headers, enum deflate_mode mode);
/* The answer's field value. */
void deflate_write_terms(struct buf *out, const struct deflate_terms *t);

enum inflate_result { INFLATE_OK, INFLATE_BAD, INFLATE_TOO_BIG };
struct inflater;
struct inflater *inflater_new(void);
/* Appends what comes out, as long as `out` stays within `limit` bytes. */
enum inflate_result inflater_feed(struct inflater *i, struct slice bytes, struct buf *out, uint64_t limit);
/* The message is over. */
enum inflate_result inflater_end(struct inflater *i, struct buf *out, uint64_t limit);
void inflater_free(struct inflater *i); /* NULL is fine */

/* Appends the compressed message. *deflater is kept between messages when the terms say so, else NULL. False when it
 * would not be smaller: then it is sent as it is. */
struct deflater;
bool deflater_write(struct deflater **deflater, const struct deflate_terms *t, struct slice message, struct buf *out);
void deflater_free(struct deflater *d); /* NULL is fine */
