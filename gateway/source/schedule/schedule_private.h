/* schedule_private.h - what the files of the schedule source share; nobody else includes it.
 *
 * schedule_source.c  looking, deciding, stopping
 * schedule_memory.c  the note and the lease
 * schedule_run.c     a run, from its first attempt to the end of its answer
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/schedule/note.h"
#include "gateway/source/schedule/schedule_plan.h"
#include "gateway/source/schedule/schedule_source.h"

enum schedule_stage { SCHEDULE_NEW, SCHEDULE_RECALLING, SCHEDULE_WATCHING, SCHEDULE_LEASING, SCHEDULE_CLAIMING };

/* How the store is talked to. One step at a time is waited for; others are sent and only counted. */
struct schedule_memory {
    struct queue_store *store; /* NULL = nothing is remembered */
    struct buf key;
    struct buf known; /* the note as it was seen last; p NULL = there is none */
    char owner[UUID_TEXT_SIZE];
    unsigned calls; /* not answered yet */
    bool awaited;   /* a step has not been answered; but it is not waited for while `silent` */
    bool silent;    /* it took too long */
    bool leased, complained;
    struct deadline patience; /* of the step */
    struct deadline beat;     /* renews the lease */
};

struct schedule_source {
    struct pipeline *pipeline;
    const struct schedule_config *config;
    struct route route;
    struct schedule_memory memory;
    struct schedule_watch watch;
    enum schedule_stage stage;
    struct schedule_plan plan; /* while LEASING and CLAIMING */
    struct schedule_note note; /* of the last run: `ran_s` and `outcome` */
    bool note_is_behind;       /* the store does not know yet how the last run has ended */
    int64_t drawn_for_s;       /* the moment that jitter_ms was drawn for */
    uint64_t jitter_ms;
    struct list runs; /* of struct schedule_run */
    struct deadline look;
    struct schedule_counts counts;
    bool stopped;
};

/* schedule_source.c: how a step has ended. */
void source_recalled(struct schedule_source *s, const struct schedule_note *note); /* NULL = nobody knows */
enum schedule_lease { SCHEDULE_LEASED, SCHEDULE_LEASED_ELSEWHERE };
void source_leased(struct schedule_source *s, enum schedule_lease lease);
void source_claimed(struct schedule_source *s);
/* Another gateway has dealt with everything up to this moment. */
void source_forestalled(struct schedule_source *s, int64_t handled_s);
void source_run_ended(struct schedule_source *s);

/* schedule_memory.c */
void memory_init(struct schedule_source *s, struct queue_store *store);
void memory_free(struct schedule_source *s);
void memory_recall(struct schedule_source *s);
void memory_lease(struct schedule_source *s);
void memory_release(struct schedule_source *s); /* gives the lease back, if there is one */
/* Moves the note on to the plan's moment. */
void memory_claim(struct schedule_source *s);
/* Notes how the last run has ended. */
void memory_note(struct schedule_source *s);

/* schedule_run.c */
void run_begin(struct schedule_source *s, const struct schedule_plan *plan);
/* Nothing is tried again any more. */
void runs_stop(struct schedule_source *s);
