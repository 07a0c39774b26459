#include "gateway/base/fields.h"

#define FIELDS_FIRST_CAPACITY 16

static void fields_grow(struct fields *f, struct arena *a) {
    size_t capacity = f->capacity ? f->capacity * 2 : FIELDS_FIRST_CAPACITY;
    struct field *items = arena_alloc(a, capacity * sizeof *items);
    if (f->count) memcpy(items, f->items, f->count * sizeof *items);
    f->items = items;
    f->capacity = capacity;
}

void fields_add(struct fields *f, struct arena *a, struct slice name, struct slice value) {
    if (f->count == f->capacity) fields_grow(f, a);
    f->items[f->count++] = (struct field){name, value};
}

/* Most names differ in length already, which spares the call. */
static inline bool field_is(const struct field *field, struct slice name) {
    return field->name.n == name.n && slice_equal_nocase(field->name, name);
}

struct slice fields_get(const struct fields *f, struct slice name) {
    for (size_t i = 0; i < f->count; i++)
        if (field_is(&f->items[i], name)) return f->items[i].value;
    return SLICE_NONE;
}

size_t fields_count(const struct fields *f, struct slice name) {
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) count += field_is(&f->items[i], name);
    return count;
}

size_t fields_remove(struct fields *f, struct slice name) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (!field_is(&f->items[i], name)) f->items[kept++] = f->items[i];
    size_t removed = f->count - kept;
    f->count = kept;
    return removed;
}
