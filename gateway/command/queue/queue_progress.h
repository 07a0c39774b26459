/* queue_progress.h - how far long work on a queue is: one line on stderr, where that is a terminal, that is written
 * over a few times a second and is gone in the end. */
#pragma once
#include "gateway/command/queue/queue_desk.h"

struct queue_progress {
    struct clock *clock;
    const char *what; /* "purged" */
    uint64_t total;   /* 0 = unknown */
    uint64_t next_ms;
    bool shows;
};
struct queue_progress queue_progress_begin(const struct queue_desk *d, const char *what, uint64_t total);
void queue_progress_at(struct queue_progress *p, uint64_t count);
void queue_progress_end(struct queue_progress *p);
