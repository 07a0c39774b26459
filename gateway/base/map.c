#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include "gateway/base/siphash.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MAP_FIRST_ENTRIES 8

/* A removed entry keeps its place with key NULL until the next rebuild. */
struct map_entry {
    char *key;
    size_t key_size;
    uint64_t hash;
    void *value;
};
/* `entries` holds insertion order; `slots` is the open-addressed index into it (entry number + 1, 0 = empty). There are
 * twice as many slots as room for entries, so a probe always ends. */
struct map {
    struct siphash_key seed;
    struct map_entry *entries;
    size_t used; /* entries in use, removed ones included */
    size_t count;
    size_t capacity; /* of entries; a power of two */
    uint32_t *slots;
};

static inline size_t map_mask(const struct map *m) {
    return m->capacity * 2 - 1;
}

static bool entry_is(const struct map_entry *entry, struct slice key, uint64_t hash) {
    return entry->hash == hash && slice_equal(slice_make(entry->key, entry->key_size), key);
}

/* The key's slot, or the empty one where it would go. */
static size_t map_find_slot(const struct map *m, struct slice key, uint64_t hash) {
    size_t at = hash & map_mask(m);
    while (m->slots[at] && !entry_is(&m->entries[m->slots[at] - 1], key, hash)) at = (at + 1) & map_mask(m);
    return at;
}

/* Linear probing without tombstones: whatever was pushed past the hole moves into it. */
static void map_clear_slot(struct map *m, size_t hole) {
    size_t mask = map_mask(m);
    for (size_t at = (hole + 1) & mask; m->slots[at]; at = (at + 1) & mask) {
        size_t home = m->entries[m->slots[at] - 1].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole] = 0;
}

static void map_index(struct map *m, size_t number) {
    size_t at = m->entries[number].hash & map_mask(m);
    while (m->slots[at]) at = (at + 1) & map_mask(m);
    m->slots[at] = (uint32_t)(number + 1);
}

/* Called when the entries are full: closes the gaps, doubles unless half of them were gaps, and indexes anew. */
static void map_rebuild(struct map *m) {
    size_t kept = 0;
    for (size_t i = 0; i < m->used; i++)
        if (m->entries[i].key) m->entries[kept++] = m->entries[i];
    m->used = kept;
    if (m->count > m->capacity / 2) m->capacity *= 2;
    assert(m->capacity <= UINT32_MAX / 4);
    m->entries = xrealloc(m->entries, m->capacity * sizeof *m->entries);
    free(m->slots);
    m->slots = xcalloc(m->capacity * 2, sizeof *m->slots);
    for (size_t i = 0; i < m->used; i++) map_index(m, i);
}

struct map *map_new(void) {
    struct map *m = xcalloc(1, sizeof *m);
    if (getrandom(&m->seed, sizeof m->seed, 0) != (ssize_t)sizeof m->seed) {
        perror("execgate: getrandom");
        abort();
    }
    m->capacity = MAP_FIRST_ENTRIES;
    m->entries = xcalloc(m->capacity, sizeof *m->entries);
    m->slots = xcalloc(m->capacity * 2, sizeof *m->slots);
    return m;
}

void map_free(struct map *m) {
    if (!m) return;
    for (size_t i = 0; i < m->used; i++) free(m->entries[i].key);
    free(m->entries);
    free(m->slots);
    free(m);
}

void *map_get(const struct map *m, struct slice key) {
    if (m->count == 0) return NULL;
    uint32_t number = m->slots[map_find_slot(m, key, siphash_short(&m->seed, key))];
    return number ? m->entries[number - 1].value : NULL;
}

void *map_put(struct map *m, struct slice key, void *value) {
    assert(value);
    uint64_t hash = siphash_short(&m->seed, key);
    uint32_t number = m->slots[map_find_slot(m, key, hash)];
    if (number) {
        void *old = m->entries[number - 1].value;
        m->entries[number - 1].value = value;
        return old;
    }
    if (m->used == m->capacity) map_rebuild(m);
    m->entries[m->used] = (struct map_entry){slice_dup(key), key.n, hash, value};
    map_index(m, m->used);
    m->used++;
    m->count++;
    return NULL;
}

void *map_remove(struct map *m, struct slice key) {
    size_t slot = map_find_slot(m, key, siphash_short(&m->seed, key));
    if (!m->slots[slot]) return NULL;
    struct map_entry *entry = &m->entries[m->slots[slot] - 1];
    void *value = entry->value;
    map_clear_slot(m, slot);
    free(entry->key);
    *entry = (struct map_entry){0};
    m->count--;
    return value;
}

size_t map_count(const struct map *m) {
    return m->count;
}

bool map_next(const struct map *m, size_t *cursor, struct slice *key, void **value) {
    while (*cursor < m->used && !m->entries[*cursor].key) ++*cursor;
    if (*cursor >= m->used) return false;
    const struct map_entry *entry = &m->entries[(*cursor)++];
    *key = slice_make(entry->key, entry->key_size);
    *value = entry->value;
    return true;
}
