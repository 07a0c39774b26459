#include "gateway/command/queue/queue_ids.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

#define CAPACITY_FIRST 1024

static bool is_free(const struct siphash_128 *slot) {
    return slot->words[0] == 0 && slot->words[1] == 0;
}

/* Where it is, or the free slot where it would be. */
static struct siphash_128 *slot_of(const struct queue_ids *ids, const struct siphash_128 *id) {
    size_t at = (size_t)id->words[0] & (ids->capacity - 1);
    while (!is_free(&ids->slots[at]) && memcmp(&ids->slots[at], id, sizeof *id) != 0)
        at = (at + 1) & (ids->capacity - 1);
    return &ids->slots[at];
}

static void grow(struct queue_ids *ids) {
    struct siphash_128 *old = ids->slots;
    size_t old_capacity = ids->capacity;
    ids->capacity = old_capacity ? 2 * old_capacity : CAPACITY_FIRST;
    ids->slots = xcalloc(ids->capacity, sizeof *ids->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (!is_free(&old[i])) *slot_of(ids, &old[i]) = old[i];
    free(old);
}

static void add(struct queue_ids *ids, struct slice id) {
    if (ids->count * 4 >= ids->capacity * 3) grow(ids);
    const struct siphash_128 hash = siphash_long(&ids->key, id);
    struct siphash_128 *slot = slot_of(ids, &hash);
    if (!is_free(slot)) return;
    *slot = hash;
    ids->count++;
}

int queue_ids_read(struct queue_ids *ids, struct queue_desk *d, struct slice queue, struct error *e) {
    struct queue_walk walk = {.desk = d, .queue = queue};
    const struct queue_reply *page;
    d->clock->random(d->clock, &ids->key, sizeof ids->key);
    do {
        page = queue_walk_next(&walk, QUEUE_PAGE_MAX, e);
        for (size_t i = 0; page && i < page->count; i++) add(ids, slice_of(page->messages[i].id));
    } while (page && page->count && !d->stopped);
    queue_walk_free(&walk);
    return page ? 0 : -ERROR_SYSTEM;
}

bool queue_ids_has(const struct queue_ids *ids, struct slice id) {
    const struct siphash_128 hash = siphash_long(&ids->key, id);
    return ids->capacity > 0 && !is_free(slot_of(ids, &hash));
}

void queue_ids_free(struct queue_ids *ids) {
    free(ids->slots);
}
