#include "gateway/base/siphash.h"
#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void sip_rounds(uint64_t v[4], int count) {
    for (int i = 0; i < count; i++) sip_round(v);
}

static inline void sip_absorb(uint64_t v[4], uint64_t word, int rounds) {
    v[3] ^= word;
    sip_rounds(v, rounds);
    v[0] ^= word;
}

static inline void sip_start(uint64_t v[4], const struct siphash_key *key) {
    v[0] = key->words[0] ^ 0x736f6d6570736575u, v[1] = key->words[1] ^ 0x646f72616e646f6du;
    v[2] = key->words[0] ^ 0x6c7967656e657261u, v[3] = key->words[1] ^ 0x7465646279746573u;
}

/* The last word ends in the text's length. */
static inline void sip_text(uint64_t v[4], struct slice text, int rounds) {
    uint64_t last = (uint64_t)text.n << 56;
    uint64_t word;
    size_t whole = text.n & ~(size_t)7;
    for (size_t i = 0; i < whole; i += sizeof word) {
        memcpy(&word, text.p + i, sizeof word);
        sip_absorb(v, le64toh(word), rounds);
    }
    for (size_t i = whole; i < text.n; i++) last |= (uint64_t)(unsigned char)text.p[i] << 8 * (i - whole);
    sip_absorb(v, last, rounds);
}

static inline uint64_t sip_end(uint64_t v[4], int rounds) {
    sip_rounds(v, rounds);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash_short(const struct siphash_key *key, struct slice text) {
    uint64_t v[4];
    sip_start(v, key);
    sip_text(v, text, 1);
    v[2] ^= 0xff;
    return sip_end(v, 3);
}

struct siphash_128 siphash_long(const struct siphash_key *key, struct slice text) {
    uint64_t v[4];
    struct siphash_128 h;
    sip_start(v, key);
    v[1] ^= 0xee;
    sip_text(v, text, 2);
    v[2] ^= 0xee;
    h.words[0] = sip_end(v, 4);
    v[1] ^= 0xdd;
    h.words[1] = sip_end(v, 4);
    return h;
}
