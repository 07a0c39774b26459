/* note.h - what a schedule remembers: one small text, kept in the store of the queues (gateway/queue/store.h).
 *
 * `handled` is the moment up to which every run has been dealt with, by whichever gateway; what came later while none
 * was there has been missed. Whoever wants to run something first moves it on, by an atomic swap of the note, and
 * runs only if the swap was granted: so one of several gateways does. It counts for the schedule and the zone that
 * it was written for; another schedule of the same name has missed nothing yet.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/buf.h"

enum schedule_outcome { SCHEDULE_NOT_RUN, SCHEDULE_BEGUN, SCHEDULE_SUCCEEDED, SCHEDULE_FAILED, SCHEDULE_OUTCOMES };
struct schedule_note {
    struct slice schedule, time_zone; /* as the blueprint writes them */
    int64_t handled_s;
    int64_t ran_s; /* the moment of the last run; unless SCHEDULE_NOT_RUN */
    enum schedule_outcome outcome;
};

/* The key of the note, and of the lease that is held while a run goes on. */
void schedule_note_key(struct buf *out, struct slice name);
void schedule_note_write(struct buf *out, const struct schedule_note *note);
/* False when it is not one of ours. Its slices are in the arena, or in the text. */
bool schedule_note_read(struct schedule_note *note, struct slice text, struct arena *a);
const char *schedule_outcome_name(enum schedule_outcome outcome);
