#include "gateway/blueprint/tree.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <stdio.h>
#include <yaml.h>

struct tree_reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct problems *problems;
    struct slice text;
    int depth;
};

static struct position position_of(yaml_mark_t mark) {
    return (struct position){(int)mark.line + 1, (int)mark.column + 1};
}

static struct position position_of_offset(struct slice text, size_t offset) {
    struct position at = {1, 1};
    for (size_t i = 0; i < offset && i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\n')
            at = (struct position){at.line + 1, 1};
        else if ((c & 0xc0) != 0x80)
            at.column++;
    }
    return at;
}

/* Byte offset of a position; the text's length when it is past the end. */
static size_t offset_of(struct slice text, struct position at) {
    size_t i = 0;
    for (int line = 1; line < at.line && i < text.n; i++) line += text.p[i] == '\n';
    for (int column = 1; column < at.column && i < text.n; column++) {
        i++;
        while (i < text.n && ((unsigned char)text.p[i] & 0xc0) == 0x80) i++;
    }
    return i;
}

/* What to do about libyaml's complaint, by a part of its words and by the byte it stands at (0 = any). */
static const struct syntax_hint {
    const char *words;
    char byte;
    const char *hint;
} syntax_hints[] = {
    {"cannot start any token", '\t', "indent with spaces, never with tabs"},
    {"cannot start any token", '@', "put a value that begins with '@' in quotes"},
    {"cannot start any token", '`', "put a value that begins with '`' in quotes"},
    {"cannot start any token", '%', "put a value that begins with '%' in quotes"},
    {"did not find expected alphabetic or numeric", 0, "put a value that begins with '*' or '&' in quotes"},
    {"mapping values are not allowed", 0, "put a value that holds ': ' in quotes, or check the indentation"},
    {"could not find expected ':'", 0, "a key is followed by a colon and a space: `key: value`"},
    {"did not find expected key", 0, "check the indentation and the quotes of this line and the one before it"},
    {"did not find expected '-' indicator", 0, "check the indentation: list items begin in the same column"},
    {"block sequence entries are not allowed", 0, "a list begins on the line after its key"},
    {"unexpected end of stream", 0, "a quote is never closed"},
    {"did not find expected ',' or", 0, "separate items with ', ' and close the bracket"},
    {"did not find expected node content", 0, "a value is missing here"},
    {"document start", 0, "everything belongs to one map of keys at the left margin"},
};

static const char *hint_for(const struct tree_reader *r, struct position at) {
    size_t offset = offset_of(r->text, at);
    char byte = offset < r->text.n ? r->text.p[offset] : '\0';
    char before = offset > 0 && offset < r->text.n ? r->text.p[offset - 1] : '\0';
    if (byte == '{' && before == '$') return "inside [ ] and { } a value with ${...} must be in quotes: \"${...}\"";
    if (byte == '{' && before == '/')
        return "inside [ ] and { } a path with {...} must be in quotes: \"GET /items/{id}\"";
    for (size_t i = 0; i < ARRAY_LEN(syntax_hints); i++) {
        const struct syntax_hint *h = &syntax_hints[i];
        if (strstr(r->parser.problem, h->words) && (h->byte == 0 || h->byte == byte)) return h->hint;
    }
    return NULL;
}

static void report_syntax(struct tree_reader *r) {
    const yaml_parser_t *parser = &r->parser;
    if (parser->error == YAML_READER_ERROR) {
        problems_add(r->problems, position_of_offset(r->text, parser->problem_offset), "not YAML: %s", parser->problem);
        return;
    }
    if (!parser->problem) {
        problems_add(r->problems, (struct position){0, 0}, "not YAML: the parser gave up");
        return;
    }
    struct position at = position_of(parser->problem_mark);
    const char *hint = hint_for(r, at);
    char context[128] = "";
    if (parser->context && (int)parser->context_mark.line + 1 != at.line) {
        snprintf(context, sizeof context, " (%s that began on line %d)", parser->context,
                 (int)parser->context_mark.line + 1);
    } else if (parser->context) {
        snprintf(context, sizeof context, " (%s)", parser->context);
    }
    problems_add(r->problems, at, "not YAML: %s%s%s%s", parser->problem, context, hint ? "; " : "", hint ? hint : "");
}

static bool reader_next(struct tree_reader *r, yaml_event_t *event) {
    if (yaml_parser_parse(&r->parser, event)) return true;
    report_syntax(r);
    return false;
}

static struct node *node_new(struct tree_reader *r, enum node_kind kind, const yaml_event_t *event) {
    struct node *n = arena_zalloc(r->arena, sizeof *n);
    n->kind = kind;
    n->at = position_of(event->start_mark);
    n->end_line = (int)event->end_mark.line + 1;
    return n;
}

static void refuse_decoration(struct tree_reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                              const yaml_char_t *tag) {
    struct position at = position_of(event->start_mark);
    if (anchor)
        problems_add(r->problems, at, "anchors (&%s) are not allowed; write the value where it is needed", anchor);
    if (tag) problems_add(r->problems, at, "tags (%s) are not allowed; remove it, each key knows its type", tag);
}

static struct node *read_scalar(struct tree_reader *r, const yaml_event_t *event) {
    struct node *n = node_new(r, NODE_SCALAR, event);
    struct slice text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    refuse_decoration(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(text.p, '\0', text.n)) {
        problems_add(r->problems, n->at, "a value may not hold a NUL character");
        text.n = strlen(text.p);
    }
    n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = slice_make(arena_text(r->arena, text), text.n);
    return n;
}

/* An alias is reported and read as an empty text, so that a bomb made of them stays small. */
static struct node *read_alias(struct tree_reader *r, const yaml_event_t *event) {
    struct node *n = node_new(r, NODE_SCALAR, event);
    problems_add(r->problems, n->at, "aliases (*%s) are not allowed; write the value where it is needed",
                 event->data.alias.anchor);
    n->text = SLICE("");
    n->state = NODE_BROKEN;
    return n;
}

static void node_push(struct arena *a, struct node *n, struct node *key, struct node *item) {
    /* Room is always a power of two, so a full array is known by its count. */
    if ((n->count & (n->count - 1)) == 0) {
        size_t room = n->count ? n->count * 2 : 1;
        struct node **items = arena_alloc(a, room * sizeof *items);
        if (n->count) memcpy(items, n->items, n->count * sizeof *items);
        n->items = items;
        if (key) {
            struct node **keys = arena_alloc(a, room * sizeof *keys);
            if (n->count) memcpy(keys, n->keys, n->count * sizeof *keys);
            n->keys = keys;
        }
    }
    if (key) n->keys[n->count] = key;
    n->items[n->count++] = item;
}

static struct node *read_node(struct tree_reader *r, const yaml_event_t *event);

/* The next node, or NULL: at the container's end (then *end is set) or after an error. */
static struct node *read_next(struct tree_reader *r, yaml_event_type_t closing, bool *end) {
    yaml_event_t event;
    if (!reader_next(r, &event)) return NULL;
    *end = event.type == closing;
    struct node *n = *end ? NULL : read_node(r, &event);
    yaml_event_delete(&event);
    return n;
}

static struct node *read_list(struct tree_reader *r, struct node *list) {
    bool end = false;
    for (;;) {
        struct node *item = read_next(r, YAML_SEQUENCE_END_EVENT, &end);
        if (end) return list;
        if (!item) return NULL;
        node_push(r->arena, list, NULL, item);
    }
}

static bool key_is_usable(struct tree_reader *r, const struct node *key) {
    if (key->kind != NODE_SCALAR) {
        problems_add(r->problems, key->at, "a key must be plain text, not %s",
                     key->kind == NODE_LIST ? "a list" : "a map; put a value with ${...} in quotes");
        return false;
    }
    if (key->plain && slice_equal(key->text, SLICE("<<"))) {
        problems_add(r->problems, key->at,
                     "merge keys (<<) are not allowed; settings shared by handlers go to `defaults:`");
        return false;
    }
    return key->state != NODE_BROKEN;
}

/* Keeps the first of keys given twice. */
static void map_drop_duplicates(struct tree_reader *r, struct node *n) {
    struct map *seen = map_new();
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++) {
        struct node *first = map_get(seen, n->keys[i]->text);
        if (first) {
            char shown[NODE_SHOWN_SIZE];
            problems_add(r->problems, n->keys[i]->at,
                         "the key %s stands twice in this map, first on line %d; remove one",
                         node_show(n->keys[i], shown), first->at.line);
            /* Nobody will look for secrets in what is dropped here. */
            problems_hide_lines(r->problems, n->keys[i]->at.line, node_last_line(n->items[i]));
            continue;
        }
        map_put(seen, n->keys[i]->text, n->keys[i]);
        n->keys[kept] = n->keys[i];
        n->items[kept++] = n->items[i];
    }
    n->count = kept;
    map_free(seen);
}

static struct node *read_map(struct tree_reader *r, struct node *map) {
    bool end = false;
    for (;;) {
        struct node *key = read_next(r, YAML_MAPPING_END_EVENT, &end);
        if (end) break;
        struct node *value = key ? read_next(r, YAML_NO_EVENT, &end) : NULL;
        if (!value) return NULL;
        if (key_is_usable(r, key)) node_push(r->arena, map, key, value);
    }
    map_drop_duplicates(r, map);
    return map;
}

static struct node *read_container(struct tree_reader *r, const yaml_event_t *event) {
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    struct node *n = node_new(r, is_map ? NODE_MAP : NODE_LIST, event);
    if (r->depth == TREE_MAX_DEPTH) {
        problems_add(r->problems, n->at, "nested more than %d levels deep", TREE_MAX_DEPTH);
        return NULL;
    }
    const yaml_char_t *anchor = is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    refuse_decoration(r, event, anchor, tag);
    r->depth++;
    n = is_map ? read_map(r, n) : read_list(r, n);
    r->depth--;
    return n;
}

static struct node *read_node(struct tree_reader *r, const yaml_event_t *event) {
    if (event->type == YAML_SCALAR_EVENT) return read_scalar(r, event);
    if (event->type == YAML_ALIAS_EVENT) return read_alias(r, event);
    return read_container(r, event);
}

/* Takes the event that must come next; on any other type, *event is that one and must still be deleted. */
static bool reader_expect(struct tree_reader *r, yaml_event_type_t type, yaml_event_t *event) {
    return reader_next(r, event) && event->type == type;
}

static void reader_expect_end(struct tree_reader *r) {
    yaml_event_t event = {0};
    if (reader_expect(r, YAML_DOCUMENT_END_EVENT, &event)) {
        yaml_event_delete(&event);
        if (!reader_expect(r, YAML_STREAM_END_EVENT, &event) && event.type == YAML_DOCUMENT_START_EVENT) {
            problems_add(r->problems, position_of(event.start_mark), "a second document; a blueprint is one document");
        }
    }
    yaml_event_delete(&event);
}

static struct node *read_document(struct tree_reader *r) {
    yaml_event_t event = {0};
    struct node *root = NULL;
    if (reader_expect(r, YAML_STREAM_START_EVENT, &event) && reader_expect(r, YAML_DOCUMENT_START_EVENT, &event)) {
        yaml_event_delete(&event);
        if (reader_next(r, &event)) root = read_node(r, &event);
    } else if (event.type == YAML_STREAM_END_EVENT) {
        problems_add(r->problems, (struct position){1, 1},
                     "the file holds nothing; a blueprint begins with `blueprint: 1`");
    }
    yaml_event_delete(&event);
    if (root) reader_expect_end(r);
    return root;
}

static bool text_is_readable(struct slice text, struct problems *p) {
    if (text.n > TREE_MAX_SIZE) {
        problems_add(p, (struct position){0, 0}, "the file is larger than 1MiB; a blueprint holds no data");
        return false;
    }
    size_t valid = text_utf8_prefix(text);
    if (valid == text.n) return true;
    problems_add(p, position_of_offset(text, valid), "not UTF-8 text: found the byte 0x%02x; save the file as UTF-8",
                 (unsigned)(unsigned char)text.p[valid]);
    return false;
}

struct node *tree_parse(struct slice text, struct arena *a, struct problems *p) {
    if (!text_is_readable(text, p)) return NULL;
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf"))) text = slice_make(text.p + 3, text.n - 3);
    struct tree_reader r = {.arena = a, .problems = p, .text = text};
    if (!yaml_parser_initialize(&r.parser)) {
        problems_add(p, (struct position){0, 0}, "not enough memory for the YAML parser");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    struct node *root = read_document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}

struct node *node_get(const struct node *n, const char *key) {
    if (!n || n->kind != NODE_MAP) return NULL;
    for (size_t i = 0; i < n->count; i++) {
        if (slice_equal(n->keys[i]->text, slice_of(key))) return n->items[i];
    }
    return NULL;
}

int node_last_line(const struct node *n) {
    int last = n->kind == NODE_SCALAR && n->end_line > n->at.line ? n->end_line : n->at.line;
    for (size_t i = 0; i < n->count; i++) {
        int line = node_last_line(n->items[i]);
        if (line > last) last = line;
    }
    return last;
}

bool node_is_null(const struct node *n) {
    if (n->kind != NODE_SCALAR || !n->plain || n->substituted) return false;
    return n->text.n == 0 || slice_equal(n->text, SLICE("~")) || slice_equal(n->text, SLICE("null"));
}

const char *node_show(const struct node *n, char out[NODE_SHOWN_SIZE]) {
    if (n->kind != NODE_SCALAR) return n->kind == NODE_LIST ? "a list" : "a map";
    if (n->secret) return "(secret)";
    if (node_is_null(n)) return "nothing";
    struct buf quoted = {0};
    text_append_quoted(&quoted, n->text, 60);
    snprintf(out, NODE_SHOWN_SIZE, "\"%.*s\"", (int)quoted.n, quoted.n ? quoted.p : "");
    buf_free(&quoted);
    return out;
}
