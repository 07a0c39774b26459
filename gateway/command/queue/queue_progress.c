#include "gateway/command/queue/queue_progress.h"
#include <unistd.h>

#define STEP_MS 200
#define LINE_CLEAR "\r\033[K"

struct queue_progress queue_progress_begin(const struct queue_desk *d, const char *what, uint64_t total) {
    return (struct queue_progress){.clock = d->clock,
                                   .what = what,
                                   .total = total,
                                   .shows = isatty(STDERR_FILENO) && !arguments_has(d->arguments, "json")};
}

void queue_progress_at(struct queue_progress *p, uint64_t count) {
    if (!p->shows || clock_now_ms(p->clock) < p->next_ms) return;
    p->next_ms = clock_now_ms(p->clock) + STEP_MS;
    fprintf(stderr, LINE_CLEAR "%llu", (unsigned long long)count);
    if (p->total) fprintf(stderr, " of %llu", (unsigned long long)p->total);
    fprintf(stderr, " messages %s", p->what);
    fflush(stderr);
}

void queue_progress_end(struct queue_progress *p) {
    if (p->next_ms) fputs(LINE_CLEAR, stderr);
    p->next_ms = 0;
}
