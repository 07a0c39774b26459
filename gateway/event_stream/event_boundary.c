#include "gateway/event_stream/event_boundary.h"

static bool ends_line(char c) {
    return c == '\n' || c == '\r';
}

static void line_end(struct event_boundary *b, char c) {
    bool second_half = c == '\n' && b->after_cr;
    b->after_cr = c == '\r';
    if (!second_half) b->place = b->place == EVENT_IN_LINE ? EVENT_LINE_BEGINS : EVENT_BETWEEN;
}

/* Whatever came before the last byte of a line's text does not matter any more. */
void event_boundary_feed(struct event_boundary *b, struct slice bytes) {
    size_t tail = bytes.n;
    while (tail && ends_line(bytes.p[tail - 1])) tail--;
    if (tail) *b = (struct event_boundary){.place = EVENT_IN_LINE};
    for (size_t i = tail; i < bytes.n; i++) line_end(b, bytes.p[i]);
}

struct slice event_boundary_ending(const struct event_boundary *b) {
    if (b->place == EVENT_BETWEEN) return SLICE("");
    /* An LF behind a CR would only complete that. */
    bool one_is_enough = b->place == EVENT_LINE_BEGINS && !b->after_cr;
    return one_is_enough ? SLICE("\n") : SLICE("\n\n");
}
