#include "plugins/auth/token_cache.h"
#include "gateway/base/list.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#define CAPACITY_MAX 1000000

/* In use: in its bucket's chain and in the list of uses. Otherwise in the list of free ones. */
struct cached_token {
    struct list_node node;
    struct cached_token *next; /* in the bucket */
    struct token_key key;
    uint64_t until_ms;
    uint64_t generation;
    char *claims;
    size_t size;
};
struct token_cache {
    struct clock *clock;
    struct siphash_key seed;
    struct cached_token *tokens;
    struct cached_token **buckets; /* a power of two, at least as many as tokens */
    size_t bucket_mask;
    struct list used; /* least recently used first */
    struct list unused;
    size_t limit_bytes;
    size_t bytes;
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions;
};

struct token_cache *token_cache_new(size_t capacity, size_t limit_bytes, struct clock *clock) {
    assert(capacity > 0 && capacity <= CAPACITY_MAX);
    struct token_cache *c = xcalloc(1, sizeof *c);
    size_t buckets = 1;
    while (buckets < capacity) buckets *= 2;
    c->clock = clock;
    c->limit_bytes = limit_bytes;
    clock->random(clock, &c->seed, sizeof c->seed);
    c->tokens = xcalloc(capacity, sizeof *c->tokens);
    c->buckets = xcalloc(buckets, sizeof(struct cached_token *));
    c->bucket_mask = buckets - 1;
    list_init(&c->used);
    list_init(&c->unused);
    for (size_t i = 0; i < capacity; i++) list_push(&c->unused, &c->tokens[i].node);
    return c;
}

struct token_key token_cache_key(const struct token_cache *c, struct slice token) {
    return (struct token_key){siphash_long(&c->seed, token)};
}

static bool token_key_equal(const struct token_key *a, const struct token_key *b) {
    return CRYPTO_memcmp(a, b, sizeof *a) == 0;
}

/* Any bits of a key spread evenly. */
static struct cached_token **bucket_of(struct token_cache *c, const struct token_key *key) {
    return &c->buckets[key->hash.words[0] & c->bucket_mask];
}

/* Where the chain points to the token, or its end. */
static struct cached_token **link_of(struct token_cache *c, const struct token_key *key) {
    struct cached_token **link = bucket_of(c, key);
    while (*link && !token_key_equal(&(*link)->key, key)) link = &(*link)->next;
    return link;
}

/* Claims name people: they do not stay behind in freed memory. */
static void token_drop(struct token_cache *c, struct cached_token **link) {
    struct cached_token *t = *link;
    assert(t);
    *link = t->next;
    c->bytes -= t->size;
    OPENSSL_cleanse(t->claims, t->size);
    free(t->claims);
    t->claims = NULL;
    t->size = 0;
    list_remove(&t->node);
    list_push(&c->unused, &t->node);
}

struct slice token_cache_find(struct token_cache *c, const struct token_key *key, uint64_t generation,
                              struct arena *a) {
    struct cached_token **link = link_of(c, key);
    struct cached_token *t = *link;
    bool good = t && t->generation == generation && clock_wall_ms(c->clock) < t->until_ms;
    if (t && !good) token_drop(c, link);
    if (!good) {
        c->misses++;
        return SLICE_NONE;
    }
    c->hits++;
    list_remove(&t->node);
    list_push(&c->used, &t->node);
    return arena_copy(a, slice_make(t->claims, t->size));
}

static void make_room(struct token_cache *c, size_t size) {
    while (list_empty(&c->unused) || c->bytes + size > c->limit_bytes) {
        struct cached_token *oldest = list_entry(list_first(&c->used), struct cached_token, node);
        token_drop(c, link_of(c, &oldest->key));
        c->evictions++;
    }
}

void token_cache_put(struct token_cache *c, const struct token_key *key, const struct token_entry *entry) {
    struct cached_token **link = link_of(c, key);
    if (*link) token_drop(c, link);
    if (entry->claims.n > c->limit_bytes || entry->until_ms <= clock_wall_ms(c->clock)) return;
    make_room(c, entry->claims.n);
    struct cached_token *t = list_entry(list_first(&c->unused), struct cached_token, node);
    list_remove(&t->node);
    list_push(&c->used, &t->node);
    t->key = *key;
    t->until_ms = entry->until_ms;
    t->generation = entry->generation;
    t->claims = xmalloc(entry->claims.n);
    t->size = entry->claims.n;
    memcpy(t->claims, entry->claims.p, t->size);
    c->bytes += t->size;
    link = bucket_of(c, key);
    t->next = *link;
    *link = t;
}

struct token_cache_counts token_cache_count(const struct token_cache *c) {
    return (struct token_cache_counts){c->used.length, c->bytes, c->hits, c->misses, c->evictions};
}

void token_cache_free(struct token_cache *c) {
    if (!c) return;
    while (!list_empty(&c->used)) {
        struct cached_token *t = list_entry(list_first(&c->used), struct cached_token, node);
        token_drop(c, link_of(c, &t->key));
    }
    free(c->buckets);
    free(c->tokens);
    free(c);
}
