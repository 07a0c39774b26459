#include "gateway/blueprint/schema_value.h"

static void write_bounds(struct buf *out, const struct schema_field *f) {
    buf_append_text(out, ", ");
    value_write(out, f, f->least);
    buf_append_text(out, " to ");
    value_write(out, f, f->most);
}

static void write_choices(struct buf *out, const struct schema_field *f) {
    for (size_t i = 0; f->choices[i]; i++) buf_printf(out, "%s`%s`", i ? ", " : "", f->choices[i]);
}

static void write_link(struct buf *out, const struct object_schema *object) {
    buf_printf(out, "[%s](#%s)", object->name, object->name);
}

static void write_item(struct buf *out, const struct schema_field *f) {
    if (f->object)
        write_link(out, f->object);
    else
        buf_append_text(out, "text");
}

static void write_word_choices(struct buf *out, const struct schema_field *f) {
    if (!(f->flags & FIELD_OR_WORD)) return;
    buf_append_text(out, ", or ");
    write_choices(out, f);
}

static void write_item_type(struct buf *out, const struct schema_field *f) {
    if (f->flags & FIELD_ONE_OR_MORE) {
        write_item(out, f);
        buf_append_text(out, ", or ");
    }
    buf_append_text(out, f->kind == FIELD_LIST ? "list of " : "map of ");
    write_item(out, f);
    write_word_choices(out, f);
}

static void write_object_type(struct buf *out, const struct schema_field *f) {
    write_link(out, f->object);
    write_word_choices(out, f);
}

static void write_type(struct buf *out, const struct schema_field *f) {
    static const char *const names[] = {
        [FIELD_TEXT] = "text",
        [FIELD_INTEGER] = "integer",
        [FIELD_DURATION] = "duration",
        [FIELD_SIZE] = "size",
        [FIELD_BOOLEAN] = "`true`, `false`",
        [FIELD_COMMAND] = "text, or list of text",
        [FIELD_ANY] = "any value",
        [FIELD_RATE] = "rate",
    };
    if (f->kind == FIELD_ENUM)
        write_choices(out, f);
    else if (f->kind == FIELD_OBJECT)
        write_object_type(out, f);
    else if (f->kind == FIELD_LIST || f->kind == FIELD_MAP)
        write_item_type(out, f);
    else
        buf_append_text(out, names[f->kind]);
    if (field_is_bounded(f) && f->most > f->least) write_bounds(out, f);
}

static void write_default(struct buf *out, const struct schema_field *f) {
    if ((f->flags & FIELD_REQUIRED) && f->unless)
        buf_printf(out, "**required**, unless `%s` is there", f->unless);
    else if (f->flags & FIELD_REQUIRED)
        buf_append_text(out, "**required**");
    else if (f->flags & FIELD_ALTERNATIVE)
        buf_append_text(out, "**one of these is required**");
    else if (f->preset)
        buf_printf(out, "`%s`", f->preset);
    else if (f->preset_note)
        buf_append_text(out, f->preset_note);
    else
        buf_append_text(out, f->kind == FIELD_OBJECT ? "those below" : "none");
}

static void write_row(struct buf *out, const struct schema_field *f) {
    buf_printf(out, "| `%s` | ", f->name);
    write_type(out, f);
    buf_append_text(out, " | ");
    write_default(out, f);
    buf_printf(out, " | %s", f->about);
    if (f->example) buf_printf(out, " Example: `%s: %s`", f->name, f->example);
    buf_append_text(out, " |\n");
}

static void write_table_head(struct buf *out) {
    buf_append_text(out, "\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
}

static void write_type_row(struct buf *out, const struct object_schema *schema) {
    buf_append_text(out, "| `" VARIANT_KEY "` | ");
    for (size_t i = 0; i < schema->variant_count; i++)
        buf_printf(out, "%s[`%s`](#%s)", i ? ", " : "", schema->variants[i].name, schema->variants[i].object->name);
    buf_append_text(out, " | **required** | Which further keys there are. |\n");
}

static void write_variant(struct buf *out, const struct variant *variant) {
    buf_printf(out, "#### %s\n\n`" VARIANT_KEY ": %s`. %s", variant->object->name, variant->name,
               variant->object->about);
    if (variant->object->count) write_table_head(out);
    for (size_t i = 0; i < variant->object->count; i++) write_row(out, &variant->object->fields[i]);
    buf_append_char(out, '\n');
}

static void write_section(struct buf *out, const struct object_schema *schema) {
    buf_printf(out, "### %s\n\n%s", schema->name, schema->about);
    write_table_head(out);
    if (schema->variants) write_type_row(out, schema);
    for (size_t i = 0; i < schema->count; i++) write_row(out, &schema->fields[i]);
    buf_append_char(out, '\n');
    for (size_t i = 0; i < schema->variant_count; i++) write_variant(out, &schema->variants[i]);
}

void schema_write_reference(struct buf *out, const struct object_schema *root) {
    const struct object_schema *list[SCHEMA_MAX_OBJECTS];
    size_t count = schema_collect(root, list);
    for (size_t i = 0; i < count; i++) write_section(out, list[i]);
}
