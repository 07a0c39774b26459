/* schedule_notes.h - what a blueprint's schedules remember, read from outside of the gateway that serves it. */
#pragma once
#include "gateway/command/serve/queue_stores.h"
#include "gateway/schedule/note.h"

struct schedule_notes {
    const struct blueprint *blueprint;
    struct clock *clock;
    struct arena *arena; /* for what the notes say */
    struct loop *loop;
    struct queue_stores *stores;
    struct queue_store *store; /* NULL = nothing was ever remembered */
};

/* The first three are set. */
int schedule_notes_open(struct schedule_notes *n, struct error *e) MUST_CHECK;
/* Leaves the note as it is when there is none. */
int schedule_notes_read(struct schedule_notes *n, const char *name, struct schedule_note *note,
                        struct error *e) MUST_CHECK;
void schedule_notes_close(struct schedule_notes *n);
