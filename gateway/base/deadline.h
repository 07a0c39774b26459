/* deadline.h - many pending deadlines, one timer.
 *
 * A binary heap of embedded entries ordered by time. An object that can time out embeds a struct
 * deadline and arms it; whoever owns the loop asks for the earliest and runs what is due. Arming
 * an armed deadline moves it. Callbacks run from deadlines_run, where they may arm and disarm freely.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct deadline {
    uint64_t at_ms;  /* monotonic */
    size_t position; /* 1-based index in the heap; 0 = not armed */
    void (*on_due)(struct deadline *d);
};
struct deadlines {
    struct deadline **heap;
    size_t count;
    size_t capacity;
};

#define DEADLINE_NEVER UINT64_MAX

void deadlines_init(struct deadlines *ds);
void deadlines_free(struct deadlines *ds);
void deadline_arm(struct deadlines *ds, struct deadline *d, uint64_t at_ms);
void deadline_disarm(struct deadlines *ds, struct deadline *d); /* idempotent */
static inline int deadline_armed(const struct deadline *d) {
    return d->position != 0;
}
/* DEADLINE_NEVER when none is armed. */
uint64_t deadlines_next_ms(const struct deadlines *ds);
/* Disarms and calls every deadline that is due at now_ms, earliest first. Returns how many. At most as many as were
 * armed at the start: what a callback arms for the past may wait for the next run. */
size_t deadlines_run(struct deadlines *ds, uint64_t now_ms);
