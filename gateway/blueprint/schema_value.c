#include "gateway/blueprint/schema_value.h"
#include "gateway/base/text.h"
#include <assert.h>

static bool parse_boolean(const struct schema_field *f, struct slice text, uint64_t *value) {
    (void)f;
    *value = slice_equal(text, SLICE("true"));
    return *value || slice_equal(text, SLICE("false"));
}

static bool parse_choice(const struct schema_field *f, struct slice text, uint64_t *value) {
    for (uint64_t i = 0; f->choices[i]; i++) {
        if (!slice_equal(text, slice_of(f->choices[i]))) continue;
        *value = i;
        return true;
    }
    return false;
}

static bool parse_integer(const struct schema_field *f, struct slice text, uint64_t *value) {
    (void)f;
    return slice_to_u64(text, value);
}

static bool parse_duration(const struct schema_field *f, struct slice text, uint64_t *value) {
    (void)f;
    return text_to_duration_ms(text, value);
}

/* `0` needs no unit: it is nothing in every one. */
static bool parse_size(const struct schema_field *f, struct slice text, uint64_t *value) {
    *value = 0;
    return (f->least == 0 && slice_equal(text, SLICE("0"))) || text_to_size_bytes(text, value);
}

static bool parse_rate(const struct schema_field *f, struct slice text, uint64_t *value) {
    (void)f;
    return text_to_rate_per_day(text, value);
}

bool value_parse(const struct schema_field *f, struct slice text, uint64_t *value) {
    static bool (*const parsers[])(const struct schema_field *, struct slice, uint64_t *) = {
        [FIELD_TEXT] = NULL,       [FIELD_INTEGER] = parse_integer, [FIELD_DURATION] = parse_duration,
        [FIELD_SIZE] = parse_size, [FIELD_BOOLEAN] = parse_boolean, [FIELD_ENUM] = parse_choice,
        [FIELD_RATE] = parse_rate,
    };
    return field_is_number(f) && parsers[f->kind](f, text, value);
}

void value_write(struct buf *out, const struct schema_field *f, uint64_t value) {
    if (f->kind == FIELD_DURATION)
        text_append_duration(out, value);
    else if (f->kind == FIELD_SIZE)
        text_append_size(out, value);
    else if (f->kind == FIELD_RATE)
        text_append_rate(out, value);
    else
        buf_append_u64(out, value);
}

static void write_choices(struct buf *out, const struct schema_field *f) {
    buf_append_text(out, "one of ");
    for (size_t i = 0; f->choices[i]; i++) buf_printf(out, "%s%s", i ? ", " : "", f->choices[i]);
}

static void write_integer(struct buf *out, const struct schema_field *f) {
    if (f->least == f->most)
        buf_printf(out, "the number %llu", (unsigned long long)f->least);
    else
        buf_printf(out, "a whole number from %llu to %llu", (unsigned long long)f->least, (unsigned long long)f->most);
}

static void write_words(struct buf *out, const struct schema_field *f) {
    buf_append_text(out, ", or ");
    for (size_t i = 0; f->choices[i]; i++) buf_printf(out, "%s%s", i ? " or " : "", f->choices[i]);
}

static void write_one_or_more(struct buf *out, const struct schema_field *f) {
    const char *item = f->object ? f->object->title : f->rule ? f->rule->expected : "text";
    buf_printf(out, "%s, or a list", item);
    if (f->flags & FIELD_OR_WORD) write_words(out, f);
}

static void write_or_word(struct buf *out, const struct schema_field *f) {
    buf_append_text(out, f->kind == FIELD_LIST ? "a list" : "a map");
    write_words(out, f);
}

void value_write_expected(struct buf *out, const struct schema_field *f) {
    static const char *const words[] = {
        [FIELD_TEXT] = "text",
        [FIELD_DURATION] = "a duration such as 250ms, 30s, 5m or 1h",
        [FIELD_SIZE] = "a size such as 512B, 64KiB, 6MiB or 1GiB",
        [FIELD_RATE] = "a rate such as 100/s, 5/m or 10/h",
        [FIELD_BOOLEAN] = "true or false",
        [FIELD_COMMAND] = "an executable with its arguments, as text or as a list",
        [FIELD_OBJECT] = "a map",
        [FIELD_LIST] = "a list",
        [FIELD_MAP] = "a map",
        [FIELD_ANY] = "any value",
    };
    if (f->kind == FIELD_ENUM)
        write_choices(out, f);
    else if (f->kind == FIELD_INTEGER)
        write_integer(out, f);
    else if (f->kind == FIELD_TEXT && f->rule)
        buf_append_text(out, f->rule->expected);
    else if (f->kind == FIELD_LIST && (f->flags & FIELD_ONE_OR_MORE))
        write_one_or_more(out, f);
    else if (f->flags & FIELD_OR_WORD)
        write_or_word(out, f);
    else
        buf_append_text(out, words[f->kind]);
}

static bool list_has(const struct object_schema *const *list, size_t count, const struct object_schema *schema) {
    for (size_t i = 0; i < count; i++) {
        if (list[i] == schema) return true;
    }
    return false;
}

static size_t collect_parts(const struct object_schema *schema, const struct object_schema **list, size_t count) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct object_schema *part = schema->fields[i].object;
        if (!part || list_has(list, count, part)) continue;
        assert(count < SCHEMA_MAX_OBJECTS);
        list[count++] = part;
    }
    return count;
}

size_t schema_collect(const struct object_schema *root, const struct object_schema *list[SCHEMA_MAX_OBJECTS]) {
    size_t count = 0;
    list[count++] = root;
    for (size_t i = 0; i < count; i++) {
        count = collect_parts(list[i], list, count);
        for (size_t k = 0; k < list[i]->variant_count; k++)
            count = collect_parts(list[i]->variants[k].object, list, count);
    }
    return count;
}
