#include "gateway/base/deadline.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <stdlib.h>

#define DEADLINES_FIRST_CAPACITY 64

void deadlines_init(struct deadlines *ds) {
    *ds = (struct deadlines){0};
}

void deadlines_free(struct deadlines *ds) {
    for (size_t i = 0; i < ds->count; i++) ds->heap[i]->position = 0;
    free(ds->heap);
    *ds = (struct deadlines){0};
}

static void heap_place(struct deadlines *ds, struct deadline *d, size_t position) {
    ds->heap[position - 1] = d;
    d->position = position;
}

static void heap_sift_up(struct deadlines *ds, struct deadline *d, size_t position) {
    while (position > 1 && ds->heap[position / 2 - 1]->at_ms > d->at_ms) {
        heap_place(ds, ds->heap[position / 2 - 1], position);
        position /= 2;
    }
    heap_place(ds, d, position);
}

static void heap_sift_down(struct deadlines *ds, struct deadline *d, size_t position) {
    for (size_t child = position * 2; child <= ds->count; child = position * 2) {
        if (child < ds->count && ds->heap[child]->at_ms < ds->heap[child - 1]->at_ms) child++;
        if (ds->heap[child - 1]->at_ms >= d->at_ms) break;
        heap_place(ds, ds->heap[child - 1], position);
        position = child;
    }
    heap_place(ds, d, position);
}

/* Puts `d` at a position whose neighbours may be on either side of it. */
static void heap_settle(struct deadlines *ds, struct deadline *d, size_t position) {
    if (position > 1 && ds->heap[position / 2 - 1]->at_ms > d->at_ms)
        heap_sift_up(ds, d, position);
    else
        heap_sift_down(ds, d, position);
}

void deadline_arm(struct deadlines *ds, struct deadline *d, uint64_t at_ms) {
    size_t position = d->position;
    d->at_ms = at_ms;
    if (position == 0) {
        if (ds->count == ds->capacity) {
            ds->capacity = ds->capacity ? ds->capacity * 2 : DEADLINES_FIRST_CAPACITY;
            ds->heap = xrealloc(ds->heap, ds->capacity * sizeof(struct deadline *));
        }
        position = ++ds->count;
    }
    heap_settle(ds, d, position);
}

void deadline_disarm(struct deadlines *ds, struct deadline *d) {
    size_t position = d->position;
    if (position == 0) return;
    assert(position <= ds->count && ds->heap[position - 1] == d);
    d->position = 0;
    struct deadline *last = ds->heap[--ds->count];
    if (last != d) heap_settle(ds, last, position);
}

uint64_t deadlines_next_ms(const struct deadlines *ds) {
    return ds->count ? ds->heap[0]->at_ms : DEADLINE_NEVER;
}

size_t deadlines_run(struct deadlines *ds, uint64_t now_ms) {
    size_t ran = 0;
    /* Bounded by what was armed at the start: a callback that arms itself for the past must not hold the loop. */
    for (size_t bound = ds->count; ran < bound && ds->count && ds->heap[0]->at_ms <= now_ms; ran++) {
        struct deadline *d = ds->heap[0];
        deadline_disarm(ds, d);
        d->on_due(d);
    }
    return ran;
}
