#include "gateway/base/base64.h"

#define FOREIGN 0x80

static const char digits[64] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"};

/* Values of the digits; a foreign byte has the high bit, so that four can be checked at once. */
static const unsigned char values[256] = {
    [0 ... '+' - 1] = FOREIGN,
    ['+'] = 62,
    ['+' + 1 ... '/' - 1] = FOREIGN,
    ['/'] = 63,
    ['0'] = 52,
    53,
    54,
    55,
    56,
    57,
    58,
    59,
    60,
    61,
    ['9' + 1 ... 'A' - 1] = FOREIGN,
    ['A'] = 0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    ['Z' + 1 ... 'a' - 1] = FOREIGN,
    ['a'] = 26,
    27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
    40,
    41,
    42,
    43,
    44,
    45,
    46,
    47,
    48,
    49,
    50,
    51,
    ['z' + 1 ... 255] = FOREIGN,
};

static void encode_group(uint32_t bits, char *out) {
    out[0] = digits[bits >> 18];
    out[1] = digits[bits >> 12 & 63];
    out[2] = digits[bits >> 6 & 63];
    out[3] = digits[bits & 63];
}

void base64_encode(const void *p, size_t n, char *out) {
    const unsigned char *in = p;
    for (; n >= 3; n -= 3, in += 3, out += 4) encode_group((uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2], out);
    if (n == 0) return;
    encode_group((uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0), out);
    out[3] = '=';
    if (n == 1) out[2] = '=';
}

/* Four digits as 24 bits; FOREIGN << 24 or more when one is foreign. */
static inline uint32_t decode_group(const unsigned char *in) {
    uint32_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
    return ((a | b | c | d) & FOREIGN) << 24 | (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
}

/* The last group, which may be padded: how many bytes it holds, or -1. */
static ptrdiff_t decode_last(const unsigned char *in, char *out) {
    unsigned char group[4];
    ptrdiff_t n = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
    memcpy(group, in, sizeof group);
    memset(group + n + 1, 'A', (size_t)(3 - n));
    uint32_t bits = decode_group(group);
    uint32_t unused = n == 3 ? 0 : n == 2 ? 0xff : 0xffff;
    if (bits >> 24 || bits & unused) return -1;
    for (ptrdiff_t i = 0; i < n; i++) out[i] = (char)(bits >> (16 - 8 * i));
    return n;
}

ptrdiff_t base64_decode(struct slice s, char *out) {
    const unsigned char *in = (const unsigned char *)s.p;
    char *at = out;
    if (s.n % 4) return -1;
    if (s.n == 0) return 0;
    for (const unsigned char *last = in + s.n - 4; in < last; in += 4, at += 3) {
        uint32_t bits = decode_group(in);
        if (bits >> 24) return -1;
        at[0] = (char)(bits >> 16);
        at[1] = (char)(bits >> 8);
        at[2] = (char)bits;
    }
    ptrdiff_t n = decode_last(in, at);
    return n < 0 ? -1 : at - out + n;
}
