/* problems.h - everything that is wrong with a blueprint, gathered in one run.
 *
 * Whoever finds a mistake adds it with its position and goes on, so that a person mends a file in
 * one round. The same mistake is kept once, and no more than PROBLEMS_MAX are kept at all:
 * problems_finish puts them in the order of the file and says how many were left out. Lines that
 * define secrets are remembered, so that no printer quotes them.
 */
#pragma once
#include "gateway/blueprint/model.h"

#define PROBLEMS_MAX 50

struct position {
    int line;   /* 1-based; 0 = nowhere in the file */
    int column; /* in characters */
};
struct line_range {
    int first;
    int last;
};

/* Begins a run: forgets earlier problems, keeps a copy of the name and of the text for printing. */
void problems_begin(struct problems *p, const char *file, struct slice source);
void problems_add(struct problems *p, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* True when something has been said about this place already. */
bool problems_know(const struct problems *p, struct position at);
/* True when further problems would not be shown: searching for more is a waste. */
bool problems_full(const struct problems *p);
void problems_hide_lines(struct problems *p, int first, int last);
bool problems_line_is_hidden(const struct problems *p, int line);
void problems_finish(struct problems *p);
