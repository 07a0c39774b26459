/* token_cache.h - tokens that were found good, until they expire.
 *
 * A client sends the same token with every request; its signature is checked once. The key is a keyed hash of the whole
 * token (siphash.h) with a key of this cache alone, so no token can be made to meet another's entry, and what one
 * guard accepted is nothing to another, which has its own cache. The token itself is not kept. An entry holds the
 * claims' text and is gone
 *   - when its time is over (the token's `exp` plus the guard's leeway),
 *   - when the guard's keys are of another generation (jwk_set_generation): a withdrawn key takes its tokens with it,
 *   - when room is needed: the least recently used goes first, for the count and for the bytes of claims.
 * Only tokens that passed every check of the guard belong here: a hit skips all of them. The guard's
 * rules are not part of the key; a gateway that reads new rules starts with a new cache.
 *
 * All operations take constant time; all memory but the claims is taken when the cache is made.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/siphash.h"

struct token_key {
    struct siphash_128 hash;
};
struct token_entry {
    struct slice claims;
    uint64_t until_ms; /* Unix time: not used from then on */
    uint64_t generation;
};
struct token_cache_counts {
    size_t entries;
    size_t bytes; /* of claims */
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions; /* for want of room */
};

struct token_cache;
/* At most `capacity` entries (1 to 1,000,000) whose claims have `limit_bytes` bytes in all. */
struct token_cache *token_cache_new(size_t capacity, size_t limit_bytes, struct clock *clock);
struct token_key token_cache_key(const struct token_cache *c, struct slice token);
/* The claims, copied into the arena, or absent: the token is to be verified. */
struct slice token_cache_find(struct token_cache *c, const struct token_key *key, uint64_t generation, struct arena *a);
/* Copies the claims. An entry that is over already or larger than all the room is not kept; one with the same key is
 * replaced. */
void token_cache_put(struct token_cache *c, const struct token_key *key, const struct token_entry *entry);
struct token_cache_counts token_cache_count(const struct token_cache *c);
void token_cache_free(struct token_cache *c); /* NULL is fine */
