#include "plugins/limits/bucket_table.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

/* Places are numbered from 1, so that memory of zeros is an empty table; 0 is none, and place 0 the ends of the list:
 * its `next` is the place touched last, its `previous` the one touched longest ago. */
struct place {
    struct bucket_key key;
    uint64_t full_at_ns;
    uint32_t next, previous; /* in the order of touching */
    uint32_t chained;        /* in the slot */
};
struct bucket_table {
    struct place *places;
    uint32_t *slots; /* the first place of each chain */
    uint32_t capacity;
    uint32_t used;
    uint32_t mask;
};

void bucket_seed_draw(struct bucket_seed *seed, struct clock *clock) {
    clock->random(clock, seed->words, sizeof seed->words);
}

static inline uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed digest that is not to be foreseen or undone without the seed. */
static uint64_t sip_hash(const uint64_t seed[2], unsigned kind, struct slice text) {
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                     seed[1] ^ 0x7465646279746573u};
    /* The kind is a word of its own in front, the length closes the text: no two inputs read the same. */
    for (size_t i = 0, words = text.n / 8 + 2; i < words; i++) {
        uint64_t word = i == 0 ? kind : 0;
        size_t at = i ? (i - 1) * 8 : 0, left = text.n - at;
        if (i) memcpy(&word, text.p + at, left < 8 ? left : 8);
        if (i + 1 == words) word |= (uint64_t)text.n << 56;
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct bucket_key bucket_key_make(const struct bucket_seed *seed, unsigned kind, struct slice text) {
    struct slice given = text.p ? text : SLICE("");
    return (struct bucket_key){{sip_hash(seed->words, kind, given), sip_hash(seed->words + 2, kind, given)}};
}

struct bucket_table *bucket_table_new(uint32_t capacity) {
    struct bucket_table *t = xcalloc(1, sizeof *t);
    uint32_t slots = 1;
    while (slots < capacity) slots *= 2;
    t->capacity = capacity;
    t->mask = slots - 1;
    t->places = xcalloc((size_t)capacity + 1, sizeof *t->places);
    t->slots = xcalloc(slots, sizeof *t->slots);
    return t;
}

void bucket_table_free(struct bucket_table *t) {
    if (!t) return;
    free(t->places);
    free(t->slots);
    free(t);
}

uint32_t bucket_table_count(const struct bucket_table *t) {
    return t->used;
}

static void order_unlink(struct bucket_table *t, uint32_t at) {
    struct place *p = &t->places[at];
    t->places[p->previous].next = p->next;
    t->places[p->next].previous = p->previous;
}

static void order_first(struct bucket_table *t, uint32_t at) {
    uint32_t second = t->places[0].next;
    t->places[at].next = second;
    t->places[at].previous = 0;
    t->places[second].previous = at;
    t->places[0].next = at;
}

static uint32_t *slot_of(struct bucket_table *t, struct bucket_key key) {
    return &t->slots[key.words[0] & t->mask];
}

static uint32_t chain_find(struct bucket_table *t, struct bucket_key key) {
    uint32_t at = *slot_of(t, key);
    while (at && memcmp(&t->places[at].key, &key, sizeof key) != 0) at = t->places[at].chained;
    return at;
}

static void chain_remove(struct bucket_table *t, uint32_t at) {
    uint32_t *link = slot_of(t, t->places[at].key);
    while (*link != at) link = &t->places[*link].chained;
    *link = t->places[at].chained;
}

/* A place for one that has none: a new one, or that of the bucket that was touched longest ago. */
static uint32_t place_take(struct bucket_table *t) {
    if (t->used < t->capacity) return ++t->used;
    uint32_t oldest = t->places[0].previous;
    order_unlink(t, oldest);
    chain_remove(t, oldest);
    return oldest;
}

uint64_t *bucket_table_at(struct bucket_table *t, struct bucket_key key) {
    uint32_t at = chain_find(t, key);
    if (at) {
        order_unlink(t, at);
    } else {
        at = place_take(t);
        uint32_t *slot = slot_of(t, key);
        t->places[at] = (struct place){.key = key, .chained = *slot};
        *slot = at;
    }
    order_first(t, at);
    return &t->places[at].full_at_ns;
}
