#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/schema_value.h"
#include <assert.h>
#include <stdlib.h>

static struct node **field_text(const struct field *f, void *target) {
    return (struct node **)(void *)((char *)target + f->offset);
}
static struct bound_items *field_items(const struct field *f, void *target) {
    return (struct bound_items *)(void *)((char *)target + f->offset);
}
static struct bound_command *field_command(const struct field *f, void *target) {
    return (struct bound_command *)(void *)((char *)target + f->offset);
}
static void *field_object(const struct field *f, void *target) {
    return (char *)target + f->offset;
}

void schema_clear(const struct object_schema *schema, void *target) {
    memset(target, 0, schema->size);
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        if (f->kind == FIELD_OBJECT)
            schema_clear(f->object, field_object(f, target));
        else if (field_is_number(f))
            *field_number(f, target) = VALUE_UNSET;
    }
}

/* "key: expected X, found Y" and a closing hint, "" for none. */
static void report_unexpected(struct binder *b, const struct field *f, const struct node *n, const char *hint) {
    struct buf expected = {0};
    char shown[NODE_SHOWN_SIZE];
    value_write_expected(&expected, f);
    problems_add(b->problems, n->at, "%s: expected " SLICE_FMT ", found %s%s", f->name, SLICE_ARG(buf_slice(&expected)),
                 node_show(n, shown), hint);
    buf_free(&expected);
}

static void report_unexpected_with(struct binder *b, const struct field *f, const struct node *n, struct buf *hint) {
    buf_append_char(hint, '\0');
    report_unexpected(b, f, n, hint->p);
    buf_free(hint);
}

static bool is_digits(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    }
    return s.n > 0;
}

static const char *choice_nearest(const struct field *f, struct slice text) {
    size_t count = 0;
    while (f->choices[count]) count++;
    return text_nearest(text, f->choices, count);
}

static void hint_boolean(struct buf *hint, struct slice text) {
    if (slice_equal_nocase(text, SLICE("yes")) || slice_equal_nocase(text, SLICE("on")))
        buf_append_text(hint, "; write true");
    if (slice_equal_nocase(text, SLICE("no")) || slice_equal_nocase(text, SLICE("off")))
        buf_append_text(hint, "; write false");
}

/* A secret's value shows in a hint as little as anywhere else. */
static void report_bad_value(struct binder *b, const struct field *f, const struct node *n) {
    struct buf hint = {0};
    bool open = n->kind == NODE_SCALAR && !n->secret;
    const char *nearest = open && f->kind == FIELD_ENUM ? choice_nearest(f, n->text) : NULL;
    if (nearest) buf_printf(&hint, "; did you mean \"%s\"?", nearest);
    if (open && f->kind == FIELD_BOOLEAN) hint_boolean(&hint, n->text);
    if (open && is_digits(n->text) && n->text.n < 16) {
        const char *unit = f->kind == FIELD_DURATION ? "s" : f->kind == FIELD_SIZE ? "MiB" : NULL;
        if (unit) buf_printf(&hint, "; a unit is missing, such as " SLICE_FMT "%s", SLICE_ARG(n->text), unit);
    }
    report_unexpected_with(b, f, n, &hint);
}

static void report_out_of_range(struct binder *b, const struct field *f, const struct node *n, uint64_t value) {
    struct buf bound = {0};
    char shown[NODE_SHOWN_SIZE];
    bool low = value < f->least;
    value_write(&bound, f, low ? f->least : f->most);
    problems_add(b->problems, n->at, "%s: %s is too %s; the %s is " SLICE_FMT, f->name, node_show(n, shown),
                 low ? "small" : "large", low ? "least" : "most", SLICE_ARG(buf_slice(&bound)));
    buf_free(&bound);
}

/* Quoted text is no number, unless the quotes are there for a ${...}. */
static bool style_fits(const struct field *f, const struct node *n) {
    bool quotable = f->kind == FIELD_DURATION || f->kind == FIELD_SIZE || f->kind == FIELD_ENUM;
    return quotable || n->plain || n->substituted;
}

static void bind_number(struct binder *b, const struct field *f, struct node *n, void *target) {
    if (!substitute_node(b->substitution, n)) return;
    uint64_t value = 0;
    if (n->kind != NODE_SCALAR || !value_parse(f, n->text, &value)) {
        report_bad_value(b, f, n);
        return;
    }
    if (!style_fits(f, n)) {
        report_unexpected(b, f, n, " in quotes; write it without them");
        return;
    }
    bool is_bounded = f->kind == FIELD_INTEGER || f->kind == FIELD_DURATION || f->kind == FIELD_SIZE;
    if (is_bounded && (value < f->least || value > f->most)) {
        report_out_of_range(b, f, n, value);
        return;
    }
    *field_number(f, target) = value;
}

static bool text_is_fit(struct binder *b, const struct field *f, struct node *n) {
    if (!substitute_node(b->substitution, n)) return false;
    if (n->kind != NODE_SCALAR) {
        report_unexpected(b, f, n, "");
        return false;
    }
    if (node_is_null(n)) {
        report_unexpected(b, f, n, f->rule ? "" : "; write \"\" for an empty text");
        return false;
    }
    if (n->secret && (f->flags & FIELD_SHOWN)) {
        problems_add(b->problems, n->at, "%s: a secret may not be used here, because this value appears in logs",
                     f->name);
        return false;
    }
    if (f->rule && !f->rule->accepts(n->text)) {
        report_unexpected(b, f, n, "");
        return false;
    }
    return true;
}

static void bind_text(struct binder *b, const struct field *f, struct node *n, void *target) {
    if (text_is_fit(b, f, n)) *field_text(f, target) = n;
}

static bool bind_words(struct binder *b, const struct field *f, struct node *n, struct bound_command *out) {
    if (n->kind == NODE_LIST) {
        out->words = n->items;
        out->count = n->count;
        return true;
    }
    struct error e;
    if (words_split(b->arena, n, out, &e) == 0) return true;
    problems_add(b->problems, n->at, "%s: %s", f->name, e.message);
    return false;
}

static bool word_is_fit(struct binder *b, const struct field *f, struct node *word) {
    if (word->kind != NODE_SCALAR || node_is_null(word)) {
        char shown[NODE_SHOWN_SIZE];
        problems_add(b->problems, word->at, "%s: expected a word of the command, found %s", f->name,
                     node_show(word, shown));
        return false;
    }
    return substitute_node(b->substitution, word);
}

static void bind_command(struct binder *b, const struct field *f, struct node *n, void *target) {
    struct bound_command bound = {.node = n};
    if (n->state == NODE_BROKEN) return;
    if (n->kind == NODE_MAP || node_is_null(n)) {
        report_unexpected(b, f, n, "");
        return;
    }
    if (!bind_words(b, f, n, &bound)) return;
    bool fit = true;
    for (size_t i = 0; i < bound.count; i++) fit = word_is_fit(b, f, bound.words[i]) && fit;
    if (!fit) return;
    if (bound.count == 0 || bound.words[0]->text.n == 0) {
        problems_add(b->problems, n->at, "%s: expected an executable with its arguments, found an empty %s", f->name,
                     n->kind == NODE_LIST ? "list" : "text");
        return;
    }
    if (bound.words[0]->secret) {
        problems_add(b->problems, bound.words[0]->at,
                     "%s: the executable's name may not be a secret, because it appears in logs; arguments may",
                     f->name);
        return;
    }
    *field_command(f, target) = bound;
}

static bool items_are_fit(struct binder *b, const struct field *f, struct node *n) {
    enum node_kind wanted = f->kind == FIELD_LIST ? NODE_LIST : NODE_MAP;
    if (n->kind != wanted) {
        bool is_item = f->kind == FIELD_LIST && n->kind == NODE_MAP;
        report_unexpected(b, f, n, is_item ? "; begin each item with \"- \"" : "");
        return false;
    }
    if (n->count >= f->least && (f->most == 0 || n->count <= f->most)) return true;
    if (n->count < f->least) {
        problems_add(b->problems, n->at, "%s: expected at least %llu, found none", f->name,
                     (unsigned long long)f->least);
    } else {
        problems_add(b->problems, n->at, "%s: %zu are too many; the most is %llu", f->name, n->count,
                     (unsigned long long)f->most);
    }
    return false;
}

static bool key_is_fit(struct binder *b, const struct field *f, const struct node *key) {
    if (!f->key_rule || f->key_rule->accepts(key->text)) return true;
    char shown[NODE_SHOWN_SIZE];
    problems_add(b->problems, key->at, "%s: expected %s as a key, found %s", f->name, f->key_rule->expected,
                 node_show(key, shown));
    return false;
}

static void bind_item(struct binder *b, const struct field *f, struct node *n, void *slot) {
    if (!f->object) {
        struct field element = *f;
        element.kind = FIELD_TEXT;
        element.offset = 0;
        bind_text(b, &element, n, slot);
        return;
    }
    schema_clear(f->object, slot);
    schema_bind(b, f->object, n, slot);
}

static void bind_items(struct binder *b, const struct field *f, struct node *n, void *target) {
    if (!items_are_fit(b, f, n)) return;
    size_t size = f->object ? f->object->size : sizeof(struct node *);
    struct bound_items *bound = field_items(f, target);
    char *items = arena_zalloc(b->arena, n->count * size + 1);
    *bound = (struct bound_items){.items = items, .keys = n->keys, .nodes = n->items, .count = n->count, .node = n};
    for (size_t i = 0; i < n->count && !problems_full(b->problems); i++) {
        if (n->keys) key_is_fit(b, f, n->keys[i]);
        bind_item(b, f, n->items[i], items + i * size);
    }
}

static void bind_object(struct binder *b, const struct field *f, struct node *n, void *target) {
    schema_bind(b, f->object, n, field_object(f, target));
}

static void bind_field(struct binder *b, const struct field *f, struct node *n, void *target) {
    static void (*const binders[])(struct binder *, const struct field *, struct node *, void *) = {
        [FIELD_TEXT] = bind_text,       [FIELD_INTEGER] = bind_number, [FIELD_DURATION] = bind_number,
        [FIELD_SIZE] = bind_number,     [FIELD_BOOLEAN] = bind_number, [FIELD_ENUM] = bind_number,
        [FIELD_COMMAND] = bind_command, [FIELD_OBJECT] = bind_object,  [FIELD_LIST] = bind_items,
        [FIELD_MAP] = bind_items,
    };
    binders[f->kind](b, f, n, target);
}

static const struct field *field_find(const struct object_schema *schema, struct slice name) {
    for (size_t i = 0; i < schema->count; i++) {
        if (slice_equal(slice_of(schema->fields[i].name), name)) return &schema->fields[i];
    }
    return NULL;
}

#define SCHEMA_MAX_FIELDS 64

static const char *field_nearest(const struct object_schema *schema, struct slice name) {
    const char *names[SCHEMA_MAX_FIELDS];
    assert(schema->count <= SCHEMA_MAX_FIELDS);
    for (size_t i = 0; i < schema->count; i++) names[i] = schema->fields[i].name;
    return text_nearest(name, names, schema->count);
}

/* Returns the key that was probably meant, or NULL. */
static const char *report_unknown_key(struct binder *b, const struct object_schema *schema, const struct node *key) {
    char shown[NODE_SHOWN_SIZE];
    const char *nearest = field_nearest(schema, key->text);
    if (nearest) {
        problems_add(b->problems, key->at, "unknown key %s in %s; did you mean \"%s\"?", node_show(key, shown),
                     schema->title, nearest);
        return nearest;
    }
    struct buf names = {0};
    for (size_t i = 0; i < schema->count; i++) buf_printf(&names, "%s%s", i ? ", " : "", schema->fields[i].name);
    problems_add(b->problems, key->at, "unknown key %s in %s; it takes: " SLICE_FMT, node_show(key, shown),
                 schema->title, SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
    return NULL;
}

/* `misspelt` was already reported under the name it was given. */
static void report_missing(struct binder *b, const struct object_schema *schema, const struct node *n,
                           const char *misspelt) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        if (!(f->flags & FIELD_REQUIRED) || node_get(n, f->name)) continue;
        if (misspelt && strcmp(misspelt, f->name) == 0) continue;
        problems_add(b->problems, n->at, "%s needs the key \"%s\", for example `%s: %s`", schema->title, f->name,
                     f->name, f->example ? f->example : "...");
    }
}

void schema_bind(struct binder *b, const struct object_schema *schema, struct node *n, void *target) {
    if (n->kind != NODE_MAP) {
        char shown[NODE_SHOWN_SIZE];
        bool broken = n->kind == NODE_SCALAR && !substitute_node(b->substitution, n);
        if (!broken)
            problems_add(b->problems, n->at, "expected %s as a map of keys, found %s", schema->title,
                         node_show(n, shown));
        return;
    }
    const char *misspelt = NULL;
    memcpy((char *)target + schema->origin_offset, &n, sizeof n);
    for (size_t i = 0; i < n->count && !problems_full(b->problems); i++) {
        const struct field *f = field_find(schema, n->keys[i]->text);
        if (f) {
            bind_field(b, f, n->items[i], target);
            continue;
        }
        const char *meant = report_unknown_key(b, schema, n->keys[i]);
        if (meant) misspelt = meant;
    }
    report_missing(b, schema, n, misspelt);
}

static size_t items_find(const struct bound_items *items, struct slice key) {
    for (size_t i = 0; i < items->count; i++) {
        if (slice_equal(items->keys[i]->text, key)) return i;
    }
    return items->count;
}

/* Maps of text only; own entries win. */
static void inherit_items(struct binder *b, struct bound_items *to, const struct bound_items *from) {
    if (!from->node) return;
    struct bound_items merged = {.node = to->node ? to->node : from->node};
    size_t room = to->count + from->count + 1;
    struct node **items = arena_alloc(b->arena, room * sizeof *items);
    merged.items = items;
    merged.keys = arena_alloc(b->arena, room * sizeof *merged.keys);
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

void schema_inherit(struct binder *b, const struct object_schema *schema, void *target, const void *from) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        const char *source = (const char *)from + f->offset;
        if (f->kind == FIELD_OBJECT) {
            schema_inherit(b, f->object, field_object(f, target), source);
        } else if (f->kind == FIELD_MAP && !f->object) {
            inherit_items(b, field_items(f, target), (const struct bound_items *)(const void *)source);
        } else {
            assert(field_is_number(f));
            uint64_t *number = field_number(f, target);
            if (*number == VALUE_UNSET) memcpy(number, source, sizeof *number);
        }
    }
}

static void preset_items(const struct field *f, struct bound_items *items) {
    if (!f->object) return;
    for (size_t i = 0; i < items->count; i++) schema_preset(f->object, (char *)items->items + i * f->object->size);
}

void schema_preset(const struct object_schema *schema, void *target) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        if (f->kind == FIELD_OBJECT) {
            schema_preset(f->object, field_object(f, target));
        } else if (f->kind == FIELD_LIST || f->kind == FIELD_MAP) {
            preset_items(f, field_items(f, target));
        } else if (field_is_number(f) && f->preset && *field_number(f, target) == VALUE_UNSET) {
            bool parsed = value_parse(f, slice_of(f->preset), field_number(f, target));
            assert(parsed);
            (void)parsed;
        }
    }
}
