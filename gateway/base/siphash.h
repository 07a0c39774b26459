/* siphash.h - SipHash (Aumasson and Bernstein, 2012): a keyed hash of text that outsiders choose.
 *
 * Whoever does not know the key cannot tell its results from chance, so cannot make two texts meet on purpose. The
 * short form (one round per word, three at the end) spreads keys over the slots of a map. The long form (two and four
 * rounds, 128 bits) may stand for the text itself: that another text meets one of n entries has the chance n / 2^128
 * at each try, and there is nothing to try it on but this process.
 */
#pragma once
#include "gateway/base/slice.h"

struct siphash_key {
    uint64_t words[2]; /* random, from this process alone */
};
struct siphash_128 {
    uint64_t words[2]; /* little-endian, in order */
};
uint64_t siphash_short(const struct siphash_key *key, struct slice text);
struct siphash_128 siphash_long(const struct siphash_key *key, struct slice text);
