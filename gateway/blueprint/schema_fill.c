#include "gateway/base/memory.h"
#include "gateway/blueprint/schema_value.h"
#include <assert.h>

void schema_clear(const struct object_schema *schema, void *target) {
    memset(target, 0, schema->size);
    if (schema->variants) *schema_variant(schema, target) = VALUE_UNSET;
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if (f->kind == FIELD_OBJECT)
            schema_clear(f->object, field_object(f, target));
        else if (field_is_number(f))
            *field_number(f, target) = VALUE_UNSET;
    }
}

static size_t items_find(const struct bound_items *items, struct slice key) {
    for (size_t i = 0; i < items->count; i++) {
        if (slice_equal(items->keys[i]->text, key)) return i;
    }
    return items->count;
}

/* Maps of text only; own entries win. */
static void merge_items(struct arena *a, struct bound_items *to, const struct bound_items *from) {
    if (!from->node) return;
    struct bound_items merged = {.node = to->node ? to->node : from->node};
    size_t room = to->count + from->count + 1;
    struct node **items = arena_alloc(a, room * sizeof *items);
    merged.items = items;
    merged.keys = arena_alloc(a, room * sizeof *merged.keys);
    merged.nodes = items;
    const struct bound_items *sources[] = {to, from};
    for (size_t s = 0; s < ARRAY_LEN(sources); s++) {
        for (size_t i = 0; i < sources[s]->count; i++) {
            if (s == 1 && items_find(to, from->keys[i]->text) < to->count) continue;
            merged.keys[merged.count] = sources[s]->keys[i];
            items[merged.count++] = ((struct node *const *)sources[s]->items)[i];
        }
    }
    *to = merged;
}

/* Members that are set or not as a whole: `origin` of what stands there, or NULL. */
static bool member_is_unset(const struct schema_field *f, void *target) {
    if (field_is_number(f)) return *field_number(f, target) == VALUE_UNSET;
    if (f->kind == FIELD_COMMAND) return !field_command(f, target)->node;
    if (f->kind == FIELD_LIST || f->kind == FIELD_MAP) return !field_items(f, target)->node;
    return !*field_node(f, target);
}

static size_t member_size(const struct schema_field *f) {
    if (field_is_number(f)) return sizeof(uint64_t);
    if (f->kind == FIELD_COMMAND) return sizeof(struct bound_command);
    return f->kind == FIELD_LIST || f->kind == FIELD_MAP ? sizeof(struct bound_items) : sizeof(struct node *);
}

/* A word stands for the whole object, so one that was written inherits nothing, and an object takes over no word. */
static void inherit_object(struct arena *a, const struct schema_field *f, void *target, const void *from) {
    if (f->flags & FIELD_OR_WORD) {
        uint64_t *word = field_word(f, target);
        if (*word) return;
        if (!*schema_origin(f->object, field_object(f, target)))
            memcpy(word, (const char *)from + f->word_offset, sizeof *word);
    }
    schema_inherit(a, f->object, field_object(f, target), (const char *)from + f->offset);
}

/* List and word stand for each other. */
static void inherit_worded_list(const struct schema_field *f, void *target, const void *from) {
    if (*field_word(f, target) || field_items(f, target)->node) return;
    memcpy(field_word(f, target), (const char *)from + f->word_offset, sizeof(uint64_t));
    memcpy(field_items(f, target), (const char *)from + f->offset, sizeof(struct bound_items));
}

void schema_inherit(struct arena *a, const struct object_schema *schema, void *target, const void *from) {
    assert(!schema->variants);
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        const char *source = (const char *)from + f->offset;
        if (f->kind == FIELD_OBJECT)
            inherit_object(a, f, target, from);
        else if (f->kind == FIELD_MAP && !f->object)
            merge_items(a, field_items(f, target), (const struct bound_items *)(const void *)source);
        else if (f->kind == FIELD_LIST && (f->flags & FIELD_OR_WORD))
            inherit_worded_list(f, target, from);
        else if (member_is_unset(f, target))
            memcpy((char *)target + f->offset, source, member_size(f));
    }
}

static void preset_items(const struct schema_field *f, struct bound_items *items) {
    if (!f->object) return;
    for (size_t i = 0; i < items->count; i++) schema_preset(f->object, (char *)items->items + i * f->object->size);
}

static void preset_number(const struct schema_field *f, uint64_t *number) {
    if (!f->preset || *number != VALUE_UNSET) return;
    bool parsed = value_parse(f, slice_of(f->preset), number);
    assert(parsed);
    (void)parsed;
}

void schema_preset(const struct object_schema *schema, void *target) {
    const struct variant *variant = schema_variant_of(schema, target);
    if (variant) schema_preset(variant->object, (char *)target + variant->offset);
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if (f->flags & FIELD_AS_WRITTEN) continue;
        if (f->kind == FIELD_OBJECT)
            schema_preset(f->object, field_object(f, target));
        else if (f->kind == FIELD_LIST || f->kind == FIELD_MAP)
            preset_items(f, field_items(f, target));
        else if (field_is_number(f))
            preset_number(f, field_number(f, target));
    }
}
