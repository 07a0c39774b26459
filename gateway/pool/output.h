/* output.h - what a process prints, on its way into the log.
 *
 * Bytes go through a line cutter, lines through a budget. A line longer than 8 KiB is cut and its rest skipped.
 * The budget is a number of lines and bytes per second and process; above it lines are counted and
 * dropped. The tail keeps the last lines of stderr, dropped ones too, for the obituary. Pure: time comes in.
 */
#pragma once
#include "gateway/base/buf.h"

#define OUTPUT_LINE_SIZE 8192
#define OUTPUT_TAIL_SIZE 4096 /* a power of two */
#define OUTPUT_TAIL_LINES 20
#define OUTPUT_WINDOW_MS 1000
#define OUTPUT_WINDOW_LINES 2000
#define OUTPUT_WINDOW_BYTES (256 * 1024)

struct output_cutter {
    char partial[OUTPUT_LINE_SIZE]; /* the start of a line whose end has not come */
    size_t n;
    bool skipping; /* the rest of a line that was cut */
};
/* Calls on_line for every complete line, without its end (LF or CRLF); empty ones too. */
void output_cut(struct output_cutter *c, struct slice bytes, void (*on_line)(void *context, struct slice line),
                void *context);
/* The last line may lack its end. */
void output_cut_end(struct output_cutter *c, void (*on_line)(void *context, struct slice line), void *context);

struct output_budget {
    uint64_t window_ms; /* its start */
    uint64_t lines, bytes;
    uint64_t dropped_lines, dropped_bytes;
};
/* True when a line of n bytes may be logged; counts it either way. */
bool output_afford(struct output_budget *b, uint64_t now_ms, size_t n);
/* What was dropped since the last call; false when nothing was. */
bool output_take_dropped(struct output_budget *b, uint64_t *lines, uint64_t *bytes);

struct output_tail {
    char ring[OUTPUT_TAIL_SIZE]; /* lines, each with a '\n' behind it */
    size_t start, n, lines;
};
void output_tail_add(struct output_tail *t, struct slice line);
/* The lines joined by '\n'. */
void output_tail_write(const struct output_tail *t, struct buf *out);
