#include "gateway/blueprint/schema_value.h"

static void write_bounds(struct buf *out, const struct field *f) {
    buf_append_text(out, ", ");
    value_write(out, f, f->least);
    buf_append_text(out, " to ");
    value_write(out, f, f->most);
}

static void write_choices(struct buf *out, const struct field *f) {
    for (size_t i = 0; f->choices[i]; i++) buf_printf(out, "%s`%s`", i ? ", " : "", f->choices[i]);
}

static void write_item_type(struct buf *out, const struct field *f) {
    const char *whole = f->kind == FIELD_LIST ? "list of" : "map of";
    if (f->object)
        buf_printf(out, "%s [%s](#%s)", whole, f->object->name, f->object->name);
    else
        buf_printf(out, "%s text", whole);
}

static void write_type(struct buf *out, const struct field *f) {
    static const char *const names[] = {
        [FIELD_TEXT] = "text", [FIELD_INTEGER] = "integer",         [FIELD_DURATION] = "duration",
        [FIELD_SIZE] = "size", [FIELD_BOOLEAN] = "`true`, `false`", [FIELD_COMMAND] = "text, or list of text",
    };
    if (f->kind == FIELD_ENUM)
        write_choices(out, f);
    else if (f->kind == FIELD_OBJECT)
        buf_printf(out, "[%s](#%s)", f->object->name, f->object->name);
    else if (f->kind == FIELD_LIST || f->kind == FIELD_MAP)
        write_item_type(out, f);
    else
        buf_append_text(out, names[f->kind]);
    bool is_bounded = f->kind == FIELD_INTEGER || f->kind == FIELD_DURATION || f->kind == FIELD_SIZE;
    if (is_bounded && f->most > f->least) write_bounds(out, f);
}

static void write_default(struct buf *out, const struct field *f) {
    if (f->flags & FIELD_REQUIRED)
        buf_append_text(out, "**required**");
    else if (f->preset)
        buf_printf(out, "`%s`", f->preset);
    else if (f->preset_note)
        buf_append_text(out, f->preset_note);
    else
        buf_append_text(out, "those below");
}

static void write_row(struct buf *out, const struct field *f) {
    buf_printf(out, "| `%s` | ", f->name);
    write_type(out, f);
    buf_append_text(out, " | ");
    write_default(out, f);
    buf_printf(out, " | %s", f->about);
    if (f->example) buf_printf(out, " Example: `%s: %s`", f->name, f->example);
    buf_append_text(out, " |\n");
}

static void write_section(struct buf *out, const struct object_schema *schema) {
    buf_printf(out, "### %s\n\n%s\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n", schema->name,
               schema->about);
    for (size_t i = 0; i < schema->count; i++) write_row(out, &schema->fields[i]);
    buf_append_char(out, '\n');
}

void schema_write_reference(struct buf *out, const struct object_schema *root) {
    const struct object_schema *list[SCHEMA_MAX_OBJECTS];
    size_t count = schema_collect(root, list);
    for (size_t i = 0; i < count; i++) write_section(out, list[i]);
}
