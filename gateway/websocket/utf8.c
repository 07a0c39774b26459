#include "gateway/websocket/utf8.h"
#include "gateway/base/memory.h"

/* What may follow a first byte (RFC 3629 4): overlong forms, surrogates and what lies beyond U+10FFFF are shut out by
 * the bounds of the second byte. */
struct lead {
    uint8_t from, to, left, least, most;
};
static const struct lead leads[] = {
    {0x00, 0x7f, 0, 0x80, 0xbf}, {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf},
    {0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf},
    {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static bool begin(struct utf8_check *c, uint8_t byte) {
    for (size_t i = 0; i < ARRAY_LEN(leads); i++) {
        if (byte < leads[i].from || byte > leads[i].to) continue;
        *c = (struct utf8_check){leads[i].left, leads[i].least, leads[i].most};
        return true;
    }
    return false;
}

static bool go_on(struct utf8_check *c, uint8_t byte) {
    if (byte < c->least || byte > c->most) return false;
    *c = (struct utf8_check){(uint8_t)(c->left - 1), 0x80, 0xbf};
    return true;
}

/* Eight bytes at once where nothing but ASCII stands. */
static size_t skip_ascii(struct slice bytes, size_t at) {
    uint64_t word;
    while (bytes.n - at >= sizeof word) {
        memcpy(&word, bytes.p + at, sizeof word);
        if (word & 0x8080808080808080ULL) break;
        at += sizeof word;
    }
    return at;
}

bool utf8_check_feed(struct utf8_check *c, struct slice bytes) {
    for (size_t i = 0; i < bytes.n; i++) {
        if (c->left == 0) i = skip_ascii(bytes, i);
        if (i == bytes.n) break;
        uint8_t byte = (uint8_t)bytes.p[i];
        if (!(c->left ? go_on(c, byte) : begin(c, byte))) return false;
    }
    return true;
}
