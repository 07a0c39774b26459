/* map.h - a hash map from text to pointers.
 *
 * Keys are copied into the map; values are the caller's. The hash is seeded per process, so
 * keys chosen by a client cannot be made to collide on purpose. Iteration is in insertion order.
 */
#pragma once
#include "gateway/base/slice.h"

struct map;
struct map *map_new(void);
void map_free(struct map *m); /* NULL is fine; values are not touched */
/* NULL when absent. */
void *map_get(const struct map *m, struct slice key);
/* Returns the value that was replaced, or NULL. `value` must not be NULL. */
void *map_put(struct map *m, struct slice key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct slice key);
size_t map_count(const struct map *m);
/* Start with *cursor = 0; false at the end. No put or remove while iterating. */
bool map_next(const struct map *m, size_t *cursor, struct slice *key, void **value);
