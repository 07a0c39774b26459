/* schema_value.h - single values: from text to number and back to words.
 *
 * Internal to the schema: schema_bind.c, schema_json.c and reference.c share it.
 */
#pragma once
#include "gateway/blueprint/schema.h"

static inline bool field_is_number(const struct field *f) {
    return f->kind == FIELD_INTEGER || f->kind == FIELD_DURATION || f->kind == FIELD_SIZE || f->kind == FIELD_BOOLEAN ||
           f->kind == FIELD_ENUM;
}
static inline uint64_t *field_number(const struct field *f, void *target) {
    return (uint64_t *)(void *)((char *)target + f->offset);
}
/* Text -> number by the field's kind, without bounds. False when it is none. */
bool value_parse(const struct field *f, struct slice text, uint64_t *value);
/* A number in the field's unit: "30s", "1MiB", "4". */
void value_write(struct buf *out, const struct field *f, uint64_t value);
/* "a duration such as 250ms, 30s or 5m", "one of a, b, c". */
void value_write_expected(struct buf *out, const struct field *f);
#define SCHEMA_MAX_OBJECTS 32
/* The root and all objects it is made of, each once, in the order they are met. Returns their number. */
size_t schema_collect(const struct object_schema *root, const struct object_schema *list[SCHEMA_MAX_OBJECTS]);
