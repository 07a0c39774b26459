/* bucket_table.h - the buckets of one limit, by whom they count.
 *
 * Clients choose how many there are, so the table has a fixed number of places: when all are taken, the bucket that
 * was not touched for the longest time makes room. Forgetting one fills it; with more busy clients than places a limit
 * is therefore less strict, and never costs more memory. Memory is used as places are taken for the first time.
 *
 * Keys are digests (bucket_key_make) under a random seed: the table holds no credential that somebody might be counted
 * by, and nobody can choose a key that meets another's.
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/slice.h"

struct bucket_seed {
    uint64_t words[4];
};
struct bucket_key {
    uint64_t words[2];
};
void bucket_seed_draw(struct bucket_seed *seed, struct clock *clock);
/* `kind` keeps apart what different readings of a request may say in the same bytes. */
struct bucket_key bucket_key_make(const struct bucket_seed *seed, unsigned kind, struct slice text);

struct bucket_table;
struct bucket_table *bucket_table_new(uint32_t capacity); /* at least 1 */
void bucket_table_free(struct bucket_table *t);           /* NULL is fine */
/* The bucket (token_bucket.h), full if it is new; valid until the next call. Now it is the last one to be forgotten. */
uint64_t *bucket_table_at(struct bucket_table *t, struct bucket_key key);
uint32_t bucket_table_count(const struct bucket_table *t);
