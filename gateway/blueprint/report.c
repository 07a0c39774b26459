#include "gateway/blueprint/report.h"
#include "gateway/base/json_write.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/compose.h"
#include <stdio.h>

/* Longer lines are data, and quoting them helps nobody. */
#define QUOTED_LINE_MAX 240

static struct slice source_line(const struct problems *p, int line) {
    struct slice rest = slice_make(p->source, p->source_size);
    struct slice found = SLICE_NONE;
    if (slice_starts_with(rest, SLICE("\xef\xbb\xbf"))) rest = slice_make(rest.p + 3, rest.n - 3);
    for (int i = 0; i < line; i++) {
        if (!slice_next(&rest, '\n', &found)) return SLICE_NONE;
    }
    if (found.n > 0 && found.p[found.n - 1] == '\r') found.n--;
    return found;
}

/* One column per character of the line, whatever it is, so that the caret stands right. */
static void append_line(struct buf *out, struct slice line) {
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        buf_append_char(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    buf_append_char(out, '\n');
}

static void append_excerpt(const struct problems *p, const struct error *e, struct buf *out) {
    if (e->line <= 0 || problems_line_is_hidden(p, e->line)) return;
    struct slice line = source_line(p, e->line);
    if (line.n == 0 || line.n > QUOTED_LINE_MAX || text_utf8_prefix(line) != line.n) return;
    buf_printf(out, "%5d | ", e->line);
    append_line(out, line);
    buf_printf(out, "      | %*s\n", e->column > 0 ? e->column : 1, "^");
}

static void append_problem(const struct problems *p, const struct error *e, struct buf *out) {
    text_append_quoted(out, slice_of(e->file), sizeof e->file);
    if (e->line > 0) buf_printf(out, ":%d:%d", e->line, e->column);
    buf_append_text(out, ": error: ");
    text_append_quoted(out, slice_of(e->message), sizeof e->message);
    buf_append_char(out, '\n');
    append_excerpt(p, e, out);
}

void problems_print(const struct problems *p, struct buf *out) {
    for (size_t i = 0; i < p->count; i++) append_problem(p, &p->items[i], out);
}

void problems_print_json(const struct problems *p, struct buf *out) {
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_name(&w, SLICE("problems"));
    json_open(&w, '[');
    for (size_t i = 0; i < p->count; i++) {
        const struct error *e = &p->items[i];
        json_open(&w, '{');
        json_member(&w, SLICE("file"), slice_of(e->file));
        if (e->line > 0) {
            json_name(&w, SLICE("line"));
            json_number(&w, e->line);
            json_name(&w, SLICE("column"));
            json_number(&w, e->column);
        }
        json_member(&w, SLICE("message"), slice_of(e->message));
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_append_char(out, '\n');
}

static void print_composed(struct buf *out, const struct sections *sections,
                           void (*write)(struct buf *, const struct object_schema *)) {
    const struct blueprint_options options = {.sections = sections};
    struct composition composed;
    struct arena arena;
    arena_init(&arena, 16384);
    composition_init(&composed, &options, &arena);
    write(out, &composed.blueprint);
    arena_free(&arena);
}

void blueprint_print_schema(struct buf *out, const struct sections *sections) {
    print_composed(out, sections, schema_write_json);
}
void blueprint_print_reference(struct buf *out, const struct sections *sections) {
    print_composed(out, sections, schema_write_reference);
}
