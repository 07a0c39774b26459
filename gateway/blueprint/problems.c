#include "gateway/blueprint/problems.h"
#include "gateway/base/memory.h"
#include <stdio.h>
#include <stdlib.h>

void problems_free(struct problems *p) {
    free(p->items);
    free(p->file);
    free(p->source);
    free(p->hidden);
    *p = (struct problems){0};
}

void problems_begin(struct problems *p, const char *file, struct slice source) {
    problems_free(p);
    p->file = xstrdup(file);
    p->source = slice_dup(source);
    p->source_size = source.n;
}

static bool problem_is_known(const struct problems *p, const struct error *e) {
    for (size_t i = 0; i < p->count; i++) {
        const struct error *known = &p->items[i];
        if (known->line == e->line && known->column == e->column && strcmp(known->message, e->message) == 0)
            return true;
    }
    return false;
}

static void problems_keep(struct problems *p, const struct error *e) {
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 4;
        p->items = xrealloc(p->items, p->capacity * sizeof *p->items);
    }
    p->items[p->count++] = *e;
}

static struct error problem_make(const struct problems *p, struct position at) {
    struct error e = {.code = ERROR_BLUEPRINT, .line = at.line, .column = at.column};
    snprintf(e.file, sizeof e.file, "%s", p->file ? p->file : "");
    return e;
}

void problems_add(struct problems *p, struct position at, const char *format, ...) {
    struct error e = problem_make(p, at);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e.message, sizeof e.message, format, arguments);
    va_end(arguments);
    if (problem_is_known(p, &e)) return;
    if (p->count >= PROBLEMS_MAX) {
        p->dropped++;
        return;
    }
    problems_keep(p, &e);
}

bool problems_know(const struct problems *p, struct position at) {
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].line == at.line && p->items[i].column == at.column) return true;
    return false;
}

bool problems_full(const struct problems *p) {
    return p->dropped > 0;
}

void problems_hide_lines(struct problems *p, int first, int last) {
    p->hidden = xrealloc(p->hidden, (p->hidden_count + 1) * sizeof *p->hidden);
    p->hidden[p->hidden_count++] = (struct line_range){first, last};
}

bool problems_line_is_hidden(const struct problems *p, int line) {
    for (size_t i = 0; i < p->hidden_count; i++) {
        if (line >= p->hidden[i].first && line <= p->hidden[i].last) return true;
    }
    return false;
}

static int problem_compare(const void *left, const void *right) {
    const struct error *a = left;
    const struct error *b = right;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    if (a->column != b->column) return a->column < b->column ? -1 : 1;
    return strcmp(a->message, b->message);
}

void problems_finish(struct problems *p) {
    if (p->count > 1) qsort(p->items, p->count, sizeof *p->items, problem_compare);
    if (!problems_full(p)) return;
    struct error e = problem_make(p, (struct position){0, 0});
    snprintf(e.message, sizeof e.message, "too many problems: only the first %d are shown; mend these and check again",
             PROBLEMS_MAX);
    problems_keep(p, &e);
}
