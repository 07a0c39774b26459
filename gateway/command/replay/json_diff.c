#include "gateway/command/replay/json_diff.h"
#include "gateway/base/json_read.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include <math.h>
#include <stdlib.h>

/* --- a tree --- */

struct node {
    struct slice name; /* of an object's member */
    struct json_value value;
    struct node *items; /* of a container; an object's by name */
    size_t count, capacity;
};

struct building {
    struct json_read json;
    struct arena *arena;
};

static bool build(struct building *b, struct node *n);

static struct node *node_add(struct building *b, struct node *parent) {
    if (parent->count == parent->capacity) {
        size_t capacity = parent->capacity ? 2 * parent->capacity : 8;
        struct node *items = arena_alloc(b->arena, capacity * sizeof *items);
        if (parent->count) memcpy(items, parent->items, parent->count * sizeof *items);
        parent->items = items;
        parent->capacity = capacity;
    }
    struct node *n = &parent->items[parent->count++];
    *n = (struct node){.name = SLICE_NONE};
    return n;
}

static int slice_order(struct slice a, struct slice b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* Of two members of one name the first comes first. */
static int node_order(const void *left, const void *right) {
    const struct node *a = left, *b = right;
    int order = slice_order(a->name, b->name);
    return order ? order : (a->value.raw.p > b->value.raw.p) - (a->value.raw.p < b->value.raw.p);
}

static bool build_object(struct building *b, struct node *n) {
    struct slice name;
    json_read_open(&b->json, '{');
    while (json_read_name(&b->json, b->arena, &name)) {
        struct node *member = node_add(b, n);
        member->name = name;
        if (!build(b, member)) return false;
    }
    if (n->count) qsort(n->items, n->count, sizeof *n->items, node_order);
    return !b->json.error;
}

static bool build_array(struct building *b, struct node *n) {
    json_read_open(&b->json, '[');
    while (json_read_element(&b->json))
        if (!build(b, node_add(b, n))) return false;
    return !b->json.error;
}

static struct slice without_blanks(const char *start, const char *end) {
    while (start < end && memchr(" \t\r\n", *start, 4)) start++;
    return slice_make(start, (size_t)(end - start));
}

/* No deeper than the reader goes. */
static bool build(struct building *b, struct node *n) {
    enum json_kind kind = json_read_peek(&b->json);
    const char *start = b->json.p;
    bool well;
    if (kind == JSON_OBJECT)
        well = build_object(b, n);
    else if (kind == JSON_ARRAY)
        well = build_array(b, n);
    else
        return json_read_value(&b->json, &n->value);
    n->value = (struct json_value){kind, without_blanks(start, b->json.p)};
    return well;
}

static bool tree_of(struct slice text, struct arena *a, struct node *root) {
    struct building b = {.arena = a};
    *root = (struct node){.name = SLICE_NONE};
    json_read_init(&b.json, text);
    return build(&b, root) && json_read_end(&b.json);
}

/* --- paths --- */

static bool is_word(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '$';
        if (!letter && !(c >= '0' && c <= '9')) return false;
    }
    return s.n > 0;
}

static void path_append_name(struct buf *path, struct slice name) {
    if (is_word(name)) {
        buf_append_char(path, '.');
        buf_append_slice(path, name);
        return;
    }
    buf_append_text(path, "[\"");
    json_escape(path, name);
    buf_append_text(path, "\"]");
}

bool json_path_matches(struct slice pattern, struct slice path) {
    size_t at = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        if (at == path.n || pattern.p[i] != path.p[at]) return false;
        at++;
        bool any_index = pattern.p[i] == '[' && i + 1 < pattern.n && pattern.p[i + 1] == ']';
        while (any_index && at < path.n && path.p[at] >= '0' && path.p[at] <= '9') at++;
    }
    return at == path.n || path.p[at] == '.' || path.p[at] == '[';
}

/* --- comparing --- */

struct comparing {
    const struct json_diff *diff;
    struct buf path;
    struct arena arena;
};

static bool is_ignored(const struct comparing *c) {
    for (size_t i = 0; i < c->diff->ignored_count; i++)
        if (json_path_matches(c->diff->ignored[i], buf_slice(&c->path))) return true;
    return false;
}

static void tell(struct comparing *c, const struct node *was, const struct node *now) {
    if (is_ignored(c)) return;
    c->diff->on_difference(c->diff->context, buf_slice(&c->path), was ? was->value.raw : SLICE_NONE,
                           now ? now->value.raw : SLICE_NONE);
}

static void compare(struct comparing *c, const struct node *was, const struct node *now);

static void compare_at(struct comparing *c, const struct node *was, const struct node *now) {
    if (was && now)
        compare(c, was, now);
    else
        tell(c, was, now);
}

static void compare_objects(struct comparing *c, const struct node *was, const struct node *now) {
    size_t left = 0, right = 0, stem = c->path.n;
    while (left < was->count || right < now->count) {
        int order = left == was->count    ? 1
                    : right == now->count ? -1
                                          : slice_order(was->items[left].name, now->items[right].name);
        const struct node *a = order <= 0 ? &was->items[left++] : NULL;
        const struct node *b = order >= 0 ? &now->items[right++] : NULL;
        path_append_name(&c->path, a ? a->name : b->name);
        compare_at(c, a, b);
        c->path.n = stem;
    }
}

static void compare_arrays(struct comparing *c, const struct node *was, const struct node *now) {
    size_t most = was->count > now->count ? was->count : now->count, stem = c->path.n;
    for (size_t i = 0; i < most; i++) {
        buf_printf(&c->path, "[%zu]", i);
        compare_at(c, i < was->count ? &was->items[i] : NULL, i < now->count ? &now->items[i] : NULL);
        c->path.n = stem;
    }
}

static bool is_integer(struct slice raw) {
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] != '-' && (raw.p[i] < '0' || raw.p[i] > '9')) return false;
    return true;
}

/* Integers of any size are compared digit by digit; others as far as a double tells them apart. */
static bool numbers_equal(struct slice was, struct slice now, struct arena *a) {
    if (slice_equal(was, now)) return true;
    if (is_integer(was) && is_integer(now)) return false;
    double left = strtod(arena_text(a, was), NULL), right = strtod(arena_text(a, now), NULL);
    return isfinite(left) && left >= right && left <= right;
}

static bool scalars_equal(struct comparing *c, struct json_value was, struct json_value now) {
    if (was.kind == JSON_NUMBER) return numbers_equal(was.raw, now.raw, &c->arena);
    if (was.kind != JSON_STRING) return true;
    return slice_equal(json_text_of(&c->arena, was), json_text_of(&c->arena, now));
}

static void compare(struct comparing *c, const struct node *was, const struct node *now) {
    if (was->value.kind != now->value.kind)
        tell(c, was, now);
    else if (was->value.kind == JSON_OBJECT)
        compare_objects(c, was, now);
    else if (was->value.kind == JSON_ARRAY)
        compare_arrays(c, was, now);
    else if (!scalars_equal(c, was->value, now->value))
        tell(c, was, now);
}

bool json_diff(const struct json_diff *d, struct slice root, struct slice was, struct slice now) {
    struct comparing c = {.diff = d};
    struct node left, right;
    arena_init(&c.arena, 4096);
    bool both = tree_of(was, &c.arena, &left) && tree_of(now, &c.arena, &right);
    buf_append_slice(&c.path, root);
    if (both) compare(&c, &left, &right);
    buf_free(&c.path);
    arena_free(&c.arena);
    return both;
}
