/* fields.h - HTTP header fields as an ordered array of slices.
 *
 * Order and repetition are kept as received (RFC 9110 5.3). The array lives in an arena; names
 * and values point wherever the bytes are. Lookups compare names without case.
 */
#pragma once
#include "gateway/base/arena.h"

struct field {
    struct slice name;
    struct slice value;
};
struct fields {
    struct field *items;
    size_t count;
    size_t capacity;
};

/* Appends; grows in the arena by doubling. */
void fields_add(struct fields *f, struct arena *a, struct slice name, struct slice value);
/* The first value, or absent. */
struct slice fields_get(const struct fields *f, struct slice name);
size_t fields_count(const struct fields *f, struct slice name);
/* Removes all of that name; returns how many. */
size_t fields_remove(struct fields *f, struct slice name);
