/* schema_value.h - single values: from text to number and back to words; where a member stands in its struct.
 *
 * Internal to the schema: its own .c files share it, and those that compose tables.
 */
#pragma once
#include "gateway/blueprint/schema.h"

static inline bool field_is_number(const struct schema_field *f) {
    return f->kind == FIELD_INTEGER || f->kind == FIELD_DURATION || f->kind == FIELD_SIZE || f->kind == FIELD_RATE ||
           f->kind == FIELD_BOOLEAN || f->kind == FIELD_ENUM;
}
/* Numbers that `least` and `most` bound. */
static inline bool field_is_bounded(const struct schema_field *f) {
    return f->kind == FIELD_INTEGER || f->kind == FIELD_DURATION || f->kind == FIELD_SIZE || f->kind == FIELD_RATE;
}
static inline uint64_t *field_number(const struct schema_field *f, void *target) {
    return (uint64_t *)(void *)((char *)target + f->offset);
}
static inline uint64_t *field_word(const struct schema_field *f, void *target) {
    return (uint64_t *)(void *)((char *)target + f->word_offset);
}
static inline struct node **field_node(const struct schema_field *f, void *target) {
    return (struct node **)(void *)((char *)target + f->offset);
}
static inline struct bound_items *field_items(const struct schema_field *f, void *target) {
    return (struct bound_items *)(void *)((char *)target + f->offset);
}
static inline struct bound_command *field_command(const struct schema_field *f, void *target) {
    return (struct bound_command *)(void *)((char *)target + f->offset);
}
static inline void *field_object(const struct schema_field *f, void *target) {
    return (char *)target + f->offset;
}
static inline struct node **schema_origin(const struct object_schema *schema, void *target) {
    return (struct node **)(void *)((char *)target + schema->origin_offset);
}
static inline uint64_t *schema_variant(const struct object_schema *schema, void *target) {
    return (uint64_t *)(void *)((char *)target + schema->variant_offset);
}
/* The variant that was chosen; NULL when none was, or when there are none. */
static inline const struct variant *schema_variant_of(const struct object_schema *schema, void *target) {
    if (!schema->variants || *schema_variant(schema, target) == VALUE_UNSET) return NULL;
    return &schema->variants[*schema_variant(schema, target)];
}

/* Text -> number by the field's kind, without bounds. False when it is none. */
bool value_parse(const struct schema_field *f, struct slice text, uint64_t *value);
/* A number in the field's unit: "30s", "1MiB", "4". */
void value_write(struct buf *out, const struct schema_field *f, uint64_t value);
/* "a duration such as 250ms, 30s or 5m", "one of a, b, c". */
void value_write_expected(struct buf *out, const struct schema_field *f);
/* One value of an object, under its field (schema_bind.c); schema_keys.c looks the keys up. */
void schema_bind_field(struct binder *b, const struct schema_field *f, struct node *n, void *target);
#define SCHEMA_MAX_OBJECTS 96
/* The root and all objects it is made of, each once, in the order they are met. Returns their number. Variants are not
 * listed: they are parts of their objects. */
size_t schema_collect(const struct object_schema *root, const struct object_schema *list[SCHEMA_MAX_OBJECTS]);
