/* problems_helper.h - assertions about the problems of a blueprint. */
#pragma once
#include "gateway/blueprint/problems.h"
#include "tests/unit/unit.h"

static inline const struct error *problem_find(const struct problems *p, int line, int column, const char *words) {
    for (size_t i = 0; i < p->count; i++) {
        const struct error *e = &p->items[i];
        if (e->line == line && e->column == column && strstr(e->message, words)) return e;
    }
    return NULL;
}

static inline void problems_dump(const struct problems *p) {
    for (size_t i = 0; i < p->count; i++) {
        print_error("  %d:%d %s\n", p->items[i].line, p->items[i].column, p->items[i].message);
    }
}

#define assert_problem(p, line, column, words) assert_problem_is((p), (line), (column), (words), __FILE__, __LINE__)
static inline void assert_problem_is(const struct problems *p, int line, int column, const char *words,
                                     const char *file, int at) {
    if (problem_find(p, line, column, words)) return;
    print_error("no problem \"%s\" at %d:%d among\n", words, line, column);
    problems_dump(p);
    _fail(file, at);
}
