/* schedule_source.h - one schedule of a handler: when its hour comes, an invocation is made.
 *
 * Every quarter of a minute at the latest it looks at the clock, so that a clock that was set and a machine that slept
 * are noticed; schedule_plan.h says what a look means. Before anything runs, the note in the store (note.h) is moved
 * on:
 *
 *   RECALLING -> WATCHING -> LEASING -> CLAIMING -> WATCHING ...
 *
 *   RECALLING  what has been dealt with so far is asked for
 *   WATCHING   until something is due
 *   LEASING    unless runs may overlap: a lease shows every gateway with this store that one goes on
 *   CLAIMING   the note is moved on; if another gateway was first, the run is its own
 *
 * So a run begins at most once, wherever the gateways are and whenever they start anew. A store that fails or keeps
 * silent for some seconds holds nothing up: what is due runs, and a warning says that it could not be noted.
 *
 * A handler that fails is not asked again before the next run. But a run that no process has taken, because none was
 * free or none would start, is tried again until the next one is due, for an hour at most.
 *
 *   schedule_source_new -> start -> stop (runs go on) -> is_idle -> free
 */
#pragma once
#include "gateway/invocation/pipeline.h"
#include "gateway/queue/store.h"

struct schedule_config;
struct schedule_source;
struct schedule_counts {
    uint64_t begun, succeeded, failed;
    uint64_t left_out; /* moments, or stretches of them, that were passed over */
};

/* `store` NULL = nothing is remembered. The route is copied; all else must outlive the source. */
struct schedule_source *schedule_source_new(struct pipeline *p, struct queue_store *store,
                                            const struct schedule_config *config, const struct route *route);
void schedule_source_start(struct schedule_source *s);
void schedule_source_stop(struct schedule_source *s); /* idempotent */
const char *schedule_source_name(const struct schedule_source *s);
struct schedule_counts schedule_source_counts(const struct schedule_source *s);
/* Stopped or never started, and nothing runs or is on its way to the store. */
bool schedule_source_is_idle(const struct schedule_source *s);
void schedule_source_free(struct schedule_source *s); /* must be idle; NULL is fine */
