#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/schema_value.h"

/* A string with a reference may stand for any scalar; what it becomes is checked when it is loaded. */
#define REFERENCE_PATTERN "\\$\\{"

static void write_text_member(struct json_write *w, const char *name, const char *value) {
    json_member(w, slice_of(name), slice_of(value));
}

static void write_number_member(struct json_write *w, const char *name, uint64_t value) {
    json_name(w, slice_of(name));
    json_number(w, (int64_t)value);
}

static void write_types(struct json_write *w, const char *const *types) {
    json_name(w, SLICE("type"));
    json_open(w, '[');
    for (size_t i = 0; types[i]; i++) json_text(w, slice_of(types[i]));
    json_close(w, ']');
}

/* Patterns bind strings only, `minimum` and `maximum` numbers only. */
static void write_pattern(struct json_write *w, const char *pattern) {
    struct buf text = {0};
    buf_printf(&text, "%s%s" REFERENCE_PATTERN, pattern, *pattern ? "|" : "");
    json_member(w, SLICE("pattern"), buf_slice(&text));
    buf_free(&text);
}

static void write_integer(struct json_write *w, const struct schema_field *f) {
    static const char *const types[] = {"integer", "string", NULL};
    write_types(w, types);
    write_number_member(w, "minimum", f->least);
    write_number_member(w, "maximum", f->most);
    write_pattern(w, "");
}

static void write_boolean(struct json_write *w, const struct schema_field *f) {
    static const char *const types[] = {"boolean", "string", NULL};
    (void)f;
    write_types(w, types);
    write_pattern(w, "");
}

static void write_duration(struct json_write *w, const struct schema_field *f) {
    (void)f;
    write_text_member(w, "type", "string");
    write_pattern(w, "^[0-9]+(ms|s|m|h|d)$");
}

static void write_rate(struct json_write *w, const struct schema_field *f) {
    (void)f;
    write_text_member(w, "type", "string");
    write_pattern(w, "^[0-9]+/(s|m|h|d)$");
}

static void write_size(struct json_write *w, const struct schema_field *f) {
    static const char *const types[] = {"string", "integer", NULL};
    write_pattern(w, "^[0-9]+(B|KiB|MiB|GiB)$");
    if (f->least > 0) {
        write_text_member(w, "type", "string");
        return;
    }
    write_types(w, types);
    write_number_member(w, "minimum", 0);
    write_number_member(w, "maximum", 0);
}

/* To an editor `1.2` is a number; to us it is the text. */
static bool looks_like_number(const char *text) {
    size_t whole = strspn(text, "123456789");
    size_t rest = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;
    return whole > 0 && rest != 1 && text[whole + rest] == '\0';
}

static void write_enum(struct json_write *w, const char *const *choices) {
    json_name(w, SLICE("enum"));
    json_open(w, '[');
    for (size_t i = 0; choices[i]; i++) {
        json_text(w, slice_of(choices[i]));
        if (looks_like_number(choices[i])) json_raw(w, slice_of(choices[i]));
    }
    json_close(w, ']');
}

static void write_choices(struct json_write *w, const struct schema_field *f) {
    json_name(w, SLICE("anyOf"));
    json_open(w, '[');
    json_open(w, '{');
    write_enum(w, f->choices);
    json_close(w, '}');
    json_open(w, '{');
    write_text_member(w, "type", "string");
    write_pattern(w, "");
    json_close(w, '}');
    json_close(w, ']');
}

/* To an editor `DEBUG: true` is a boolean; to us it is the text. */
static void write_text(struct json_write *w, const struct schema_field *f) {
    static const char *const types[] = {"string", "number", "boolean", NULL};
    write_types(w, types);
    if (f->rule) write_pattern(w, f->rule->pattern);
}

static void write_command(struct json_write *w, const struct schema_field *f) {
    const struct schema_field word = {.kind = FIELD_TEXT};
    (void)f;
    json_name(w, SLICE("anyOf"));
    json_open(w, '[');
    json_open(w, '{');
    write_text_member(w, "type", "string");
    write_number_member(w, "minLength", 1);
    json_close(w, '}');
    json_open(w, '{');
    write_text_member(w, "type", "array");
    write_number_member(w, "minItems", 1);
    json_name(w, SLICE("items"));
    json_open(w, '{');
    write_text(w, &word);
    json_close(w, '}');
    json_close(w, '}');
    json_close(w, ']');
}

static void write_reference(struct json_write *w, const struct schema_field *f) {
    struct buf reference = {0};
    buf_printf(&reference, "#/$defs/%s", f->object->name);
    json_member(w, SLICE("$ref"), buf_slice(&reference));
    buf_free(&reference);
}

static void write_object(struct json_write *w, const struct schema_field *f) {
    if (!(f->flags & FIELD_OR_WORD)) {
        write_reference(w, f);
        return;
    }
    json_name(w, SLICE("anyOf"));
    json_open(w, '[');
    json_open(w, '{');
    write_reference(w, f);
    json_close(w, '}');
    json_open(w, '{');
    write_enum(w, f->choices);
    json_close(w, '}');
    json_close(w, ']');
}

static void write_item_members(struct json_write *w, const struct schema_field *f) {
    if (f->object)
        write_reference(w, f);
    else
        write_text(w, f);
}

static void write_item(struct json_write *w, const char *name, const struct schema_field *f) {
    json_name(w, slice_of(name));
    json_open(w, '{');
    write_item_members(w, f);
    json_close(w, '}');
}

static void write_array(struct json_write *w, const struct schema_field *f) {
    write_text_member(w, "type", "array");
    if (f->least) write_number_member(w, "minItems", f->least);
    if (f->most) write_number_member(w, "maxItems", f->most);
    write_item(w, "items", f);
}

static void write_list(struct json_write *w, const struct schema_field *f) {
    if (!(f->flags & (FIELD_ONE_OR_MORE | FIELD_OR_WORD))) {
        write_array(w, f);
        return;
    }
    json_name(w, SLICE("anyOf"));
    json_open(w, '[');
    if (f->flags & FIELD_ONE_OR_MORE) {
        json_open(w, '{');
        write_item_members(w, f);
        json_close(w, '}');
    }
    json_open(w, '{');
    write_array(w, f);
    json_close(w, '}');
    if (f->flags & FIELD_OR_WORD) {
        json_open(w, '{');
        write_enum(w, f->choices);
        json_close(w, '}');
    }
    json_close(w, ']');
}

/* Any value is what a schema without further words accepts. */
static void write_any(struct json_write *w, const struct schema_field *f) {
    (void)w;
    (void)f;
}

static void write_map(struct json_write *w, const struct schema_field *f) {
    write_text_member(w, "type", "object");
    if (f->least) write_number_member(w, "minProperties", f->least);
    if (f->most) write_number_member(w, "maxProperties", f->most);
    json_name(w, SLICE("propertyNames"));
    json_open(w, '{');
    if (f->key_rule) write_text_member(w, "pattern", f->key_rule->pattern);
    json_close(w, '}');
    write_item(w, "additionalProperties", f);
}

static void write_default(struct json_write *w, const struct schema_field *f) {
    if (!f->preset) return;
    json_name(w, SLICE("default"));
    bool is_bare = f->kind == FIELD_INTEGER || f->kind == FIELD_BOOLEAN || strcmp(f->preset, "0") == 0;
    if (is_bare)
        json_raw(w, slice_of(f->preset));
    else
        json_text(w, slice_of(f->preset));
}

static void write_field(struct json_write *w, const struct schema_field *f) {
    static void (*const writers[])(struct json_write *, const struct schema_field *) = {
        [FIELD_TEXT] = write_text,       [FIELD_INTEGER] = write_integer, [FIELD_DURATION] = write_duration,
        [FIELD_SIZE] = write_size,       [FIELD_BOOLEAN] = write_boolean, [FIELD_ENUM] = write_choices,
        [FIELD_COMMAND] = write_command, [FIELD_OBJECT] = write_object,   [FIELD_LIST] = write_list,
        [FIELD_MAP] = write_map,         [FIELD_ANY] = write_any,         [FIELD_RATE] = write_rate,
    };
    json_name(w, slice_of(f->name));
    json_open(w, '{');
    write_text_member(w, "description", f->about);
    writers[f->kind](w, f);
    write_default(w, f);
    json_close(w, '}');
}

static void write_required(struct json_write *w, const struct object_schema *schema) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if ((f->flags & FIELD_REQUIRED) && !f->unless) json_text(w, slice_of(f->name));
    }
}

static void write_requirement(struct json_write *w, const char *name) {
    json_open(w, '{');
    json_name(w, SLICE("required"));
    json_open(w, '[');
    json_text(w, slice_of(name));
    json_close(w, ']');
    json_close(w, '}');
}

/* A key that another one makes needless: at least one of the two. One per object. */
static void write_either(struct json_write *w, const struct object_schema *schema) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if (!(f->flags & FIELD_REQUIRED) || !f->unless) continue;
        json_name(w, SLICE("anyOf"));
        json_open(w, '[');
        write_requirement(w, f->name);
        write_requirement(w, f->unless);
        json_close(w, ']');
    }
}

static bool has_alternatives(const struct object_schema *schema) {
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->fields[i].flags & FIELD_ALTERNATIVE) return true;
    }
    return false;
}

/* Exactly one of the keys: each branch requires another one. */
static void write_alternatives(struct json_write *w, const struct object_schema *schema) {
    if (!has_alternatives(schema)) return;
    json_name(w, SLICE("oneOf"));
    json_open(w, '[');
    for (size_t i = 0; i < schema->count; i++) {
        if (!(schema->fields[i].flags & FIELD_ALTERNATIVE)) continue;
        write_requirement(w, schema->fields[i].name);
    }
    json_close(w, ']');
}

static void write_variant_key(struct json_write *w, const struct variant *variant) {
    json_name(w, SLICE(VARIANT_KEY));
    json_open(w, '{');
    write_text_member(w, "const", variant->name);
    json_close(w, '}');
}

/* A whole object: the fields of `schema` and, with a variant, its key and its own ones. */
static void write_members(struct json_write *w, const struct object_schema *schema, const struct variant *variant) {
    const struct object_schema *parts[] = {schema, variant ? variant->object : NULL};
    write_text_member(w, "type", "object");
    json_name(w, SLICE("additionalProperties"));
    json_bool(w, false);
    json_name(w, SLICE("required"));
    json_open(w, '[');
    if (variant) json_text(w, SLICE(VARIANT_KEY));
    for (size_t i = 0; i < ARRAY_LEN(parts) && parts[i]; i++) write_required(w, parts[i]);
    json_close(w, ']');
    json_name(w, SLICE("properties"));
    json_open(w, '{');
    if (variant) write_variant_key(w, variant);
    for (size_t i = 0; i < ARRAY_LEN(parts) && parts[i]; i++) {
        for (size_t k = 0; k < parts[i]->count; k++) write_field(w, &parts[i]->fields[k]);
    }
    json_close(w, '}');
    write_alternatives(w, variant ? variant->object : schema);
    write_either(w, schema);
}

/* The members of a definition; the caller opens and closes it. */
static void write_definition(struct json_write *w, const struct object_schema *schema) {
    write_text_member(w, "description", schema->about);
    if (!schema->variants) {
        write_members(w, schema, NULL);
        return;
    }
    json_name(w, SLICE("oneOf"));
    json_open(w, '[');
    for (size_t i = 0; i < schema->variant_count; i++) {
        json_open(w, '{');
        write_text_member(w, "description", schema->variants[i].object->about);
        write_members(w, schema, &schema->variants[i]);
        json_close(w, '}');
    }
    json_close(w, ']');
}

void schema_write_json(struct buf *out, const struct object_schema *root) {
    const struct object_schema *list[SCHEMA_MAX_OBJECTS];
    size_t count = schema_collect(root, list);
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    write_text_member(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    write_text_member(&w, "title", "execgate blueprint");
    write_definition(&w, root);
    json_name(&w, SLICE("$defs"));
    json_open(&w, '{');
    for (size_t i = 1; i < count; i++) {
        json_name(&w, slice_of(list[i]->name));
        json_open(&w, '{');
        write_definition(&w, list[i]);
        json_close(&w, '}');
    }
    json_close(&w, '}');
    json_close(&w, '}');
    buf_append_char(out, '\n');
}
