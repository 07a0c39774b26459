/* websocket_client.h - what a client sends, made by hand for tests: heads as they are told to be, masked payloads. */
#pragma once
#include "gateway/base/buf.h"

#define FIN 0x80u
#define RSV1 0x40u

enum client_mask { CLIENT_MASKED, CLIENT_BARE };

/* `first`: the first byte, with FIN and reserved bits. */
static inline void client_frame_as(struct buf *out, unsigned first, struct slice payload, enum client_mask masked) {
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned bit = masked == CLIENT_MASKED ? 0x80 : 0;
    buf_append_char(out, (char)first);
    if (payload.n < 126) {
        buf_append_char(out, (char)(bit | payload.n));
    } else if (payload.n < 65536) {
        buf_append_char(out, (char)(bit | 126));
        for (int shift = 8; shift >= 0; shift -= 8) buf_append_char(out, (char)(payload.n >> shift));
    } else {
        buf_append_char(out, (char)(bit | 127));
        for (int shift = 56; shift >= 0; shift -= 8) buf_append_char(out, (char)(payload.n >> shift));
    }
    if (bit) buf_append(out, key, sizeof key);
    for (size_t i = 0; i < payload.n; i++)
        buf_append_char(out, (char)(bit ? (unsigned char)payload.p[i] ^ key[i % 4] : (unsigned char)payload.p[i]));
}

static inline void client_frame(struct buf *out, unsigned first, struct slice payload) {
    client_frame_as(out, first, payload, CLIENT_MASKED);
}
