/* Which keys an object takes, and which it needs: the half of schema_bind that looks at maps. */
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/schema_value.h"
#include <assert.h>

#define SCHEMA_MAX_FIELDS 64

/* The keys of one object: its own, and those of the variant that was chosen. */
struct key_set {
    const char *title;
    struct node *origin;
    bool has_variants;
    struct key_part {
        const struct object_schema *schema;
        void *target;
    } parts[2];
    size_t count;
    bool is_open; /* the variant is not known, so nobody can say which keys are wrong */
};

static const struct schema_field *field_find(const struct object_schema *schema, struct slice name) {
    for (size_t i = 0; i < schema->count; i++) {
        if (slice_equal(slice_of(schema->fields[i].name), name)) return &schema->fields[i];
    }
    return NULL;
}

static size_t key_names(const struct key_set *keys, const char *names[SCHEMA_MAX_FIELDS]) {
    size_t count = 0;
    if (keys->has_variants) names[count++] = VARIANT_KEY;
    for (size_t part = 0; part < keys->count; part++) {
        const struct object_schema *schema = keys->parts[part].schema;
        assert(count + schema->count <= SCHEMA_MAX_FIELDS);
        for (size_t i = 0; i < schema->count; i++) names[count++] = schema->fields[i].name;
    }
    return count;
}

/* Returns the key that was probably meant, or NULL. */
static const char *report_unknown_key(struct binder *b, const struct key_set *keys, const struct node *key) {
    char shown[NODE_SHOWN_SIZE];
    const char *names[SCHEMA_MAX_FIELDS];
    size_t count = key_names(keys, names);
    const char *nearest = text_nearest(key->text, names, count);
    if (nearest) {
        problems_add(b->problems, key->at, "unknown key %s in %s; did you mean \"%s\"?", node_show(key, shown),
                     keys->title, nearest);
        return nearest;
    }
    struct buf listed = {0};
    for (size_t i = 0; i < count; i++) buf_printf(&listed, "%s%s", i ? ", " : "", names[i]);
    problems_add(b->problems, key->at, "unknown key %s in %s; it takes: " SLICE_FMT, node_show(key, shown), keys->title,
                 SLICE_ARG(buf_slice(&listed)));
    buf_free(&listed);
    return NULL;
}

/* Binds one member of the map. Returns the key that was meant by an unknown one, or NULL. */
static const char *bind_key(struct binder *b, const struct key_set *keys, const struct node *key, struct node *value) {
    if (keys->has_variants && slice_equal(key->text, SLICE(VARIANT_KEY))) return NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const struct schema_field *f = field_find(keys->parts[i].schema, key->text);
        if (!f) continue;
        schema_bind_field(b, f, value, keys->parts[i].target);
        return NULL;
    }
    return keys->is_open ? NULL : report_unknown_key(b, keys, key);
}

static const char *example_of(const struct schema_field *f) {
    return f->example ? f->example : "...";
}

static void report_missing_alternative(struct binder *b, const struct key_set *keys, const struct object_schema *schema,
                                       const struct node *n) {
    struct buf names = {0};
    const struct schema_field *first = NULL;
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if (!(f->flags & FIELD_ALTERNATIVE)) continue;
        buf_printf(&names, "%s\"%s\"", first ? ", " : "", f->name);
        if (!first) first = f;
    }
    problems_add(b->problems, n->at, "%s needs one of the keys " SLICE_FMT ", for example `%s: %s`", keys->title,
                 SLICE_ARG(buf_slice(&names)), first->name, example_of(first));
    buf_free(&names);
}

static bool is_misspelt(const struct schema_field *f, const char *misspelt) {
    return misspelt && strcmp(misspelt, f->name) == 0;
}

static bool has_alternatives(const struct object_schema *schema, const char *misspelt) {
    bool any = false;
    for (size_t i = 0; i < schema->count; i++) {
        if (!(schema->fields[i].flags & FIELD_ALTERNATIVE)) continue;
        if (is_misspelt(&schema->fields[i], misspelt)) return false;
        any = true;
    }
    return any;
}

/* One of the alternatives, no more. A misspelt one counts as given. */
static void check_alternatives(struct binder *b, const struct key_set *keys, const struct object_schema *schema,
                               const struct node *n, const char *misspelt) {
    const struct schema_field *given = NULL;
    for (size_t i = 0; i < n->count; i++) {
        const struct schema_field *f = field_find(schema, n->keys[i]->text);
        if (!f || !(f->flags & FIELD_ALTERNATIVE)) continue;
        if (given)
            problems_add(b->problems, n->keys[i]->at, "%s: %s has \"%s\" already, and takes one of the two; remove one",
                         f->name, keys->title, given->name);
        given = f;
    }
    if (!given && has_alternatives(schema, misspelt)) report_missing_alternative(b, keys, schema, n);
}

/* `misspelt` was already reported under the name it was given. */
static void report_missing(struct binder *b, const struct key_set *keys, const struct object_schema *schema,
                           const struct node *n, const char *misspelt) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_field *f = &schema->fields[i];
        if (!(f->flags & FIELD_REQUIRED) || node_get(n, f->name) || is_misspelt(f, misspelt)) continue;
        if (f->unless && node_get(n, f->unless)) continue;
        problems_add(b->problems, n->at, "%s needs the key \"%s\", for example `%s: %s`", keys->title, f->name, f->name,
                     example_of(f));
    }
    check_alternatives(b, keys, schema, n, misspelt);
}

static void report_bad_variant(struct binder *b, const struct object_schema *schema, const struct node *type) {
    const char *names[SCHEMA_MAX_FIELDS];
    char shown[NODE_SHOWN_SIZE];
    struct buf words = {0};
    assert(schema->variant_count <= SCHEMA_MAX_FIELDS);
    for (size_t i = 0; i < schema->variant_count; i++) {
        names[i] = schema->variants[i].name;
        buf_printf(&words, "%s%s", i ? ", " : "", names[i]);
    }
    bool is_open = type->kind == NODE_SCALAR && !type->secret;
    const char *nearest = is_open ? text_nearest(type->text, names, schema->variant_count) : NULL;
    problems_add(b->problems, type->at, VARIANT_KEY ": expected one of " SLICE_FMT ", found %s%s%s%s",
                 SLICE_ARG(buf_slice(&words)), node_show(type, shown), nearest ? "; did you mean \"" : "",
                 nearest ? nearest : "", nearest ? "\"?" : "");
    buf_free(&words);
}

/* VALUE_UNSET when there is none; that was reported then, unless the key itself may be misspelt. */
static uint64_t variant_choose(struct binder *b, const struct object_schema *schema, const struct node *n) {
    struct node *type = node_get(n, VARIANT_KEY);
    if (!type) {
        problems_add(b->problems, n->at, "%s needs the key \"" VARIANT_KEY "\", for example `" VARIANT_KEY ": %s`",
                     schema->title, schema->variants[0].name);
        return VALUE_UNSET;
    }
    if (!substitute_node(b->substitution, type)) return VALUE_UNSET;
    for (uint64_t i = 0; type->kind == NODE_SCALAR && i < schema->variant_count; i++) {
        if (slice_equal(type->text, slice_of(schema->variants[i].name))) return i;
    }
    report_bad_variant(b, schema, type);
    return VALUE_UNSET;
}

static void add_variant(struct binder *b, const struct object_schema *schema, const struct node *n,
                        struct key_set *keys) {
    void *target = keys->parts[0].target;
    uint64_t chosen = variant_choose(b, schema, n);
    keys->has_variants = true;
    keys->is_open = chosen == VALUE_UNSET;
    *schema_variant(schema, target) = chosen;
    if (keys->is_open) return;
    const struct variant *variant = &schema->variants[chosen];
    void *part = (char *)target + variant->offset;
    schema_clear(variant->object, part);
    *schema_origin(variant->object, part) = keys->origin;
    keys->title = variant->object->title;
    keys->parts[keys->count++] = (struct key_part){variant->object, part};
}

/* `acknowledge: true` wants all that the map has by default. */
static bool wants_presets(const struct node *n) {
    static const char *const words[] = {"true", "on", "yes"};
    if (node_is_null(n)) return true;
    for (size_t i = 0; n->kind == NODE_SCALAR && i < ARRAY_LEN(words); i++)
        if (slice_equal(n->text, slice_of(words[i]))) return true;
    return false;
}

static bool map_is_fit(struct binder *b, const struct object_schema *schema, struct node *n) {
    char shown[NODE_SHOWN_SIZE];
    if (n->kind == NODE_MAP) return true;
    bool is_broken = n->kind == NODE_SCALAR && !substitute_node(b->substitution, n);
    if (!is_broken)
        problems_add(b->problems, n->at, "expected %s as a map of keys, found %s%s", schema->title, node_show(n, shown),
                     wants_presets(n) ? "; {} is an empty one" : "");
    return false;
}

void schema_bind(struct binder *b, const struct object_schema *schema, struct node *n, void *target) {
    if (!map_is_fit(b, schema, n)) return;
    struct key_set keys = {.title = schema->title, .origin = n, .parts = {{schema, target}}, .count = 1};
    const char *misspelt = NULL;
    *schema_origin(schema, target) = n;
    if (schema->variants) add_variant(b, schema, n, &keys);
    for (size_t i = 0; i < n->count && !problems_full(b->problems); i++) {
        const char *meant = bind_key(b, &keys, n->keys[i], n->items[i]);
        if (meant) misspelt = meant;
    }
    for (size_t i = 0; i < keys.count; i++) report_missing(b, &keys, keys.parts[i].schema, n, misspelt);
}
