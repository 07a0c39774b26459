#include "gateway/blueprint/variables.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/document.h"
#include "gateway/blueprint/schema_value.h"
#include "gateway/blueprint/text_rules.h"
#include <stdlib.h>

/* Anything but these keys, or `secret: false`, makes a variable secret: a misspelt `secret` must not show its value. */
static bool key_is_harmless(const struct node *key, const struct node *value) {
    static const char *const harmless[] = {"type", "default", "allowedValues", "description"};
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
        if (slice_equal(key->text, slice_of(harmless[i]))) return true;
    }
    return slice_equal(key->text, SLICE("secret")) && value->kind == NODE_SCALAR &&
           slice_equal(value->text, SLICE("false"));
}

static bool variable_is_secret(const struct node *n) {
    for (size_t i = 0; i < n->count; i++) {
        if (n->kind == NODE_MAP && !key_is_harmless(n->keys[i], n->items[i])) return true;
    }
    return false;
}

static void node_make_secret(struct node *n) {
    n->secret = true;
    for (size_t i = 0; i < n->count; i++) node_make_secret(n->items[i]);
}

/* Before anything of the section is looked at, so that no complaint about a secret can show it. */
static void section_guard_secrets(struct binder *b, struct node *section) {
    for (size_t i = 0; section->kind == NODE_MAP && i < section->count; i++) {
        struct node *n = section->items[i];
        if (!variable_is_secret(n)) continue;
        for (size_t k = 0; k < n->count; k++) {
            bool is_flag = slice_equal(n->keys[k]->text, SLICE("secret")) ||
                           slice_equal(n->keys[k]->text, SLICE("type"));
            if (!is_flag) node_make_secret(n->items[k]);
        }
        problems_hide_lines(b->problems, section->keys[i]->at.line, node_last_line(n));
    }
}

static bool integer_fits(struct slice s) {
    uint64_t value;
    if (s.n > 1 && s.p[0] == '-') s = slice_make(s.p + 1, s.n - 1);
    return slice_to_u64(s, &value);
}

/* What strtod accepts beyond decimal numbers (hexadecimal, infinities) is left out. */
static bool number_fits(struct slice s) {
    char text[64];
    char *end = NULL;
    if (s.n == 0 || s.n >= sizeof text) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!character_is_digit(s.p[i]) && !strchr("+-.eE", s.p[i])) return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    strtod(text, &end);
    return *end == '\0' && character_is_digit(text[s.n - 1]);
}

static const struct value_type {
    const char *expected;
    enum field_kind kind; /* asked when there is no predicate */
    bool (*fits)(struct slice text);
} value_types[] = {
    [VARIABLE_STRING] = {"text", FIELD_TEXT, NULL},
    [VARIABLE_INTEGER] = {"a whole number", FIELD_INTEGER, integer_fits},
    [VARIABLE_NUMBER] = {"a number", FIELD_INTEGER, number_fits},
    [VARIABLE_BOOLEAN] = {"true or false", FIELD_BOOLEAN, NULL},
    [VARIABLE_DURATION] = {"a duration such as 250ms, 30s, 5m or 1h", FIELD_DURATION, NULL},
    [VARIABLE_SIZE] = {"a size such as 512B, 64KiB, 6MiB or 1GiB", FIELD_SIZE, NULL},
};

static bool value_fits(const struct value_type *type, struct slice text) {
    uint64_t ignored;
    const struct schema_field field = {.kind = type->kind};
    if (type->fits) return type->fits(text);
    return type->kind == FIELD_TEXT || value_parse(&field, text, &ignored);
}

static bool value_is_allowed(const struct variable_document *d, struct slice text) {
    struct node *const *allowed = d->allowed.items;
    bool found = d->allowed.count == 0;
    for (size_t i = 0; i < d->allowed.count && !found; i++) found = allowed[i] && slice_equal(allowed[i]->text, text);
    return found;
}

/* A value and where it comes from: a node of the file, or --var (then `at` is nowhere). */
struct candidate {
    const struct variable_document *variable;
    struct slice name;
    struct node value;
    const char *origin; /* "default" or "--var" */
};

static void report_not_allowed(struct binder *b, const struct candidate *c) {
    char shown[NODE_SHOWN_SIZE];
    struct buf list = {0};
    struct node *const *allowed = c->variable->allowed.items;
    for (size_t i = 0; i < c->variable->allowed.count && !c->value.secret; i++) {
        if (allowed[i] && !allowed[i]->secret) {
            buf_printf(&list, "%s" SLICE_FMT, list.n ? ", " : ": ", SLICE_ARG(allowed[i]->text));
        }
    }
    problems_add(b->problems, c->value.at,
                 "%s of the variable \"" SLICE_FMT "\": %s is not one of its allowedValues" SLICE_FMT, c->origin,
                 SLICE_ARG(c->name), node_show(&c->value, shown), SLICE_ARG(buf_slice(&list)));
    buf_free(&list);
}

static bool candidate_fits(struct binder *b, const struct candidate *c) {
    if (c->variable->type == VALUE_UNSET) return false;
    const struct value_type *type = &value_types[c->variable->type];
    if (!value_fits(type, c->value.text)) {
        char shown[NODE_SHOWN_SIZE];
        problems_add(b->problems, c->value.at, "%s of the variable \"" SLICE_FMT "\": expected %s, found %s", c->origin,
                     SLICE_ARG(c->name), type->expected, node_show(&c->value, shown));
        return false;
    }
    if (value_is_allowed(c->variable, c->value.text)) return true;
    report_not_allowed(b, c);
    return false;
}

static const struct variable_override *override_find(const struct variable_override *overrides, size_t count,
                                                     struct slice name) {
    const struct variable_override *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(overrides[i].name, name)) found = &overrides[i]; /* the last one wins */
    }
    return found;
}

static bool allowed_values_are_secret(const struct variable_document *d) {
    struct node *const *allowed = d->allowed.items;
    for (size_t i = 0; i < d->allowed.count; i++) {
        if (allowed[i] && allowed[i]->secret) return true;
    }
    return false;
}

static struct variable variable_make(struct binder *b, struct slice name, const struct variable_document *d,
                                     const struct variable_override *override) {
    struct variable v = {.name = name, .value = SLICE_NONE};
    v.secret = (d->origin && variable_is_secret(d->origin)) || (d->preset && d->preset->secret) ||
               allowed_values_are_secret(d);
    /* A default is checked even when it is overridden: it may be used next time. */
    if (d->preset) {
        struct candidate c = {d, name, *d->preset, "default"};
        if (candidate_fits(b, &c))
            v.value = d->preset->text;
        else
            v.reported = true;
    } else if (d->origin && node_get(d->origin, "default")) {
        v.reported = true;
    }
    if (!override) return v;
    struct candidate c = {d, name, {.kind = NODE_SCALAR, .secret = v.secret, .text = override->value}, "--var"};
    if (candidate_fits(b, &c))
        v.value = arena_copy(b->arena, override->value);
    else
        v.reported = true;
    return v;
}

static void refuse_unknown_overrides(struct binder *b, const struct bound_items *declared,
                                     const struct variable_override *overrides, size_t count) {
    const char **names = xcalloc(declared->count + 1, sizeof *names);
    for (size_t i = 0; i < declared->count; i++) names[i] = declared->keys[i]->text.p;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < declared->count; k++)
            known = known || slice_equal(declared->keys[k]->text, overrides[i].name);
        if (known) continue;
        const char *nearest = text_nearest(overrides[i].name, names, declared->count);
        problems_add(b->problems, (struct position){0, 0},
                     "--var " SLICE_FMT ": the blueprint declares no such variable%s%s%s", SLICE_ARG(overrides[i].name),
                     nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    }
    free(names);
}

/* Binds the section alone, as the only member of a map made for it. */
static struct bound_items section_bind(struct binder *b, struct node *section) {
    struct blueprint_document document;
    struct node key = {.kind = NODE_SCALAR, .at = section->at, .text = SLICE("variables")};
    struct node *keys[] = {&key};
    struct node *items[] = {section};
    struct node root = {.kind = NODE_MAP, .at = section->at, .keys = keys, .items = items, .count = 1};
    schema_clear(&variables_section_schema, &document);
    schema_bind(b, &variables_section_schema, &root, &document);
    schema_preset(&variables_section_schema, &document);
    return document.variables;
}

void variables_load(struct binder *b, struct node *root, const struct variable_override *overrides, size_t count) {
    struct node *section = node_get(root, "variables");
    struct bound_items declared = {0};
    if (section) {
        section_guard_secrets(b, section);
        declared = section_bind(b, section);
    }
    refuse_unknown_overrides(b, &declared, overrides, count);
    struct variable *variables = arena_zalloc(b->arena, (declared.count + 1) * sizeof *variables);
    for (size_t i = 0; i < declared.count; i++) {
        const struct variable_document *documents = declared.items;
        struct slice name = declared.keys[i]->text;
        variables[i] = variable_make(b, name, &documents[i], override_find(overrides, count, name));
    }
    b->substitution->variables = variables;
    b->substitution->variable_count = declared.count;
}
