#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/schema_value.h"
#include <assert.h>
#include <stdlib.h>

/* What is made of parts is best shown by an example. */
static bool helps_by_example(const struct schema_field *f) {
    return f->example && (f->kind == FIELD_OBJECT || f->kind == FIELD_LIST || f->kind == FIELD_MAP);
}

/* "key: expected X, found Y" and a closing hint; "" for none but the example, if that helps. */
static void report_unexpected(struct binder *b, const struct schema_field *f, const struct node *n, const char *hint) {
    struct buf expected = {0}, example = {0};
    char shown[NODE_SHOWN_SIZE];
    value_write_expected(&expected, f);
    if (!*hint && helps_by_example(f)) buf_printf(&example, "; for example `%s: %s`", f->name, f->example);
    problems_add(b->problems, n->at, "%s: expected " SLICE_FMT ", found %s%s" SLICE_FMT, f->name,
                 SLICE_ARG(buf_slice(&expected)), node_show(n, shown), hint, SLICE_ARG(buf_slice(&example)));
    buf_free(&expected);
    buf_free(&example);
}

static void report_unexpected_with(struct binder *b, const struct schema_field *f, const struct node *n,
                                   struct buf *hint) {
    buf_append_char(hint, '\0');
    report_unexpected(b, f, n, hint->p);
    buf_free(hint);
}

static const char *choice_nearest(const struct schema_field *f, struct slice text) {
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

static const char *unit_example(const struct schema_field *f) {
    if (f->kind == FIELD_DURATION) return "s";
    if (f->kind == FIELD_SIZE) return "MiB";
    return f->kind == FIELD_RATE ? "/s" : NULL;
}

/* What people write elsewhere, and the unit it is here. */
static const struct {
    enum field_kind kind;
    const char *written;
    const char *unit;
} spellings[] = {
    {FIELD_SIZE, "B", "B"},           {FIELD_SIZE, "K", "KiB"},      {FIELD_SIZE, "KB", "KiB"},
    {FIELD_SIZE, "KiB", "KiB"},       {FIELD_SIZE, "M", "MiB"},      {FIELD_SIZE, "MB", "MiB"},
    {FIELD_SIZE, "MiB", "MiB"},       {FIELD_SIZE, "G", "GiB"},      {FIELD_SIZE, "GB", "GiB"},
    {FIELD_SIZE, "GiB", "GiB"},       {FIELD_DURATION, "S", "s"},    {FIELD_DURATION, "sec", "s"},
    {FIELD_DURATION, "min", "m"},     {FIELD_DURATION, "hour", "h"}, {FIELD_DURATION, "hours", "h"},
    {FIELD_DURATION, "day", "d"},     {FIELD_DURATION, "days", "d"}, {FIELD_DURATION, "seconds", "s"},
    {FIELD_DURATION, "minutes", "m"}, {FIELD_RATE, "/sec", "/s"},    {FIELD_RATE, "/second", "/s"},
    {FIELD_RATE, "/min", "/m"},       {FIELD_RATE, "/minute", "/m"}, {FIELD_RATE, "/hour", "/h"},
    {FIELD_RATE, "/day", "/d"},
};

static void hint_unit(struct buf *hint, const struct schema_field *f, struct slice text) {
    size_t digits = 0;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') digits++;
    struct slice written = slice_trim(slice_make(text.p + digits, text.n - digits));
    const char *unit = digits == text.n ? unit_example(f) : NULL;
    if (digits == 0 || digits > 15) return;
    if (unit) buf_printf(hint, "; a unit is missing, such as " SLICE_FMT "%s", SLICE_ARG(text), unit);
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
        if (spellings[i].kind == f->kind && slice_equal_nocase(written, slice_of(spellings[i].written))) {
            buf_printf(hint, "; write %.*s%s", (int)digits, text.p, spellings[i].unit);
            return;
        }
}

/* A secret's value shows in a hint as little as anywhere else. */
static void report_bad_value(struct binder *b, const struct schema_field *f, const struct node *n) {
    struct buf hint = {0};
    bool open = n->kind == NODE_SCALAR && !n->secret;
    const char *nearest = open && f->choices ? choice_nearest(f, n->text) : NULL;
    if (nearest) buf_printf(&hint, "; did you mean \"%s\"?", nearest);
    if (open && f->kind == FIELD_BOOLEAN) hint_boolean(&hint, n->text);
    if (open) hint_unit(&hint, f, n->text);
    report_unexpected_with(b, f, n, &hint);
}

static void report_out_of_range(struct binder *b, const struct schema_field *f, const struct node *n, uint64_t value) {
    struct buf bound = {0};
    char shown[NODE_SHOWN_SIZE];
    bool low = value < f->least;
    value_write(&bound, f, low ? f->least : f->most);
    problems_add(b->problems, n->at, "%s: %s is too %s; the %s is " SLICE_FMT, f->name, node_show(n, shown),
                 low ? "small" : "large", low ? "least" : "most", SLICE_ARG(buf_slice(&bound)));
    buf_free(&bound);
}

/* Quoted text is no number, unless the quotes are there for a ${...}. */
static bool style_fits(const struct schema_field *f, const struct node *n) {
    bool quotable = f->kind == FIELD_DURATION || f->kind == FIELD_SIZE || f->kind == FIELD_RATE ||
                    f->kind == FIELD_ENUM;
    return quotable || n->plain || n->substituted;
}

static void bind_number(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
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
    if (field_is_bounded(f) && (value < f->least || value > f->most)) {
        report_out_of_range(b, f, n, value);
        return;
    }
    *field_number(f, target) = value;
}

static bool secret_is_fit(struct binder *b, const struct schema_field *f, const struct node *n) {
    if (!n->secret || !(f->flags & FIELD_SHOWN)) return true;
    problems_add(b->problems, n->at, "%s: a secret may not be used here, because this value appears in logs", f->name);
    return false;
}

/* Marked before it is resolved, so that no message ever quotes it. What stands in the file as it is, literally or as a
 * default, is not quoted either. */
static void conceal(struct binder *b, struct node *n) {
    if (n->kind != NODE_SCALAR || n->state != NODE_WRITTEN || node_is_null(n)) return;
    bool is_written_out = !substitute_is_needed(n->text) || memmem(n->text.p, n->text.n, ":-", 2);
    if (is_written_out) problems_hide_lines(b->problems, n->at.line, n->end_line);
    n->secret = n->confidential = true;
}

static bool text_is_fit(struct binder *b, const struct schema_field *f, struct node *n) {
    if (f->flags & FIELD_SECRET) conceal(b, n);
    if (!substitute_node(b->substitution, n)) return false;
    if (n->kind != NODE_SCALAR) {
        report_unexpected(b, f, n, "");
        return false;
    }
    if (node_is_null(n)) {
        report_unexpected(b, f, n, f->rule ? "" : "; write \"\" for an empty text");
        return false;
    }
    if (!secret_is_fit(b, f, n)) return false;
    if (f->rule && !f->rule->accepts(n->text)) {
        report_unexpected(b, f, n, "");
        return false;
    }
    return true;
}

static void bind_text(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    if (text_is_fit(b, f, n)) *field_node(f, target) = n;
}

static bool bind_words(struct binder *b, const struct schema_field *f, struct node *n, struct bound_command *out) {
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

static bool word_is_fit(struct binder *b, const struct schema_field *f, struct node *word) {
    if (word->kind != NODE_SCALAR || node_is_null(word)) {
        char shown[NODE_SHOWN_SIZE];
        problems_add(b->problems, word->at, "%s: expected a word of the command, found %s", f->name,
                     node_show(word, shown));
        return false;
    }
    return substitute_node(b->substitution, word);
}

static void bind_command(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
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

/* Whether what was found may stand for a list of itself. */
static bool is_single_item(const struct schema_field *f, const struct node *n) {
    if (!(f->flags & FIELD_ONE_OR_MORE) || n->kind == NODE_LIST) return false;
    return f->object ? n->kind == NODE_MAP : n->kind == NODE_SCALAR && !node_is_null(n);
}

static bool items_are_fit(struct binder *b, const struct schema_field *f, struct node *n) {
    enum node_kind wanted = f->kind == FIELD_LIST ? NODE_LIST : NODE_MAP;
    if (is_single_item(f, n)) return true;
    if (n->kind != wanted) {
        bool is_item = f->kind == FIELD_LIST && n->kind == NODE_MAP && f->object;
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

static bool key_is_fit(struct binder *b, const struct schema_field *f, const struct node *key) {
    if (!f->key_rule || f->key_rule->accepts(key->text)) return true;
    char shown[NODE_SHOWN_SIZE];
    problems_add(b->problems, key->at, "%s: expected %s as a key, found %s", f->name, f->key_rule->expected,
                 node_show(key, shown));
    return false;
}

static void bind_item(struct binder *b, const struct schema_field *f, struct node *n, void *slot) {
    if (!f->object) {
        struct schema_field element = *f;
        element.kind = FIELD_TEXT;
        element.offset = 0;
        bind_text(b, &element, n, slot);
        return;
    }
    schema_clear(f->object, slot);
    schema_bind(b, f->object, n, slot);
}

static struct bound_items single_item(struct arena *a, struct node *n) {
    struct node **nodes = arena_alloc(a, sizeof(struct node *));
    nodes[0] = n;
    return (struct bound_items){.nodes = nodes, .count = 1, .node = n};
}

static void bind_word(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    if (!substitute_node(b->substitution, n)) return;
    for (uint64_t i = 0; f->choices[i]; i++) {
        if (!slice_equal(n->text, slice_of(f->choices[i]))) continue;
        *field_word(f, target) = i + 1;
        return;
    }
    report_bad_value(b, f, n);
}

static void bind_items(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    if ((f->flags & FIELD_OR_WORD) && n->kind == NODE_SCALAR) {
        bind_word(b, f, n, target);
        return;
    }
    if (!items_are_fit(b, f, n)) return;
    size_t size = f->object ? f->object->size : sizeof(struct node *);
    struct bound_items *bound = field_items(f, target);
    *bound = (struct bound_items){.keys = n->keys, .nodes = n->items, .count = n->count, .node = n};
    if (is_single_item(f, n)) *bound = single_item(b->arena, n);
    char *items = arena_zalloc(b->arena, bound->count * size + 1);
    bound->items = items;
    for (size_t i = 0; i < bound->count && !problems_full(b->problems); i++) {
        if (bound->keys) key_is_fit(b, f, bound->keys[i]);
        bind_item(b, f, bound->nodes[i], items + i * size);
    }
}

static void bind_object(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    if (!(f->flags & FIELD_OR_WORD) || n->kind == NODE_MAP)
        schema_bind(b, f->object, n, field_object(f, target));
    else if (n->kind == NODE_SCALAR)
        bind_word(b, f, n, target);
    else
        report_unexpected(b, f, n, "");
}

static bool any_is_fit(struct binder *b, const struct schema_field *f, struct node *n) {
    bool fit = true;
    if (n->kind == NODE_SCALAR) {
        if (!substitute_node(b->substitution, n)) return false;
        return secret_is_fit(b, f, n);
    }
    for (size_t i = 0; i < n->count; i++) fit = any_is_fit(b, f, n->items[i]) && fit;
    return fit;
}

static void bind_any(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    if (any_is_fit(b, f, n)) *field_node(f, target) = n;
}

void schema_bind_field(struct binder *b, const struct schema_field *f, struct node *n, void *target) {
    static void (*const binders[])(struct binder *, const struct schema_field *, struct node *, void *) = {
        [FIELD_TEXT] = bind_text,       [FIELD_INTEGER] = bind_number, [FIELD_DURATION] = bind_number,
        [FIELD_SIZE] = bind_number,     [FIELD_BOOLEAN] = bind_number, [FIELD_ENUM] = bind_number,
        [FIELD_COMMAND] = bind_command, [FIELD_OBJECT] = bind_object,  [FIELD_LIST] = bind_items,
        [FIELD_MAP] = bind_items,       [FIELD_ANY] = bind_any,        [FIELD_RATE] = bind_number,
    };
    binders[f->kind](b, f, n, target);
}
