/* schedule_plan.h - what is to become of a schedule's runs.
 *
 * Pure: moments in, a decision out. A watch knows up to when all runs were dealt with, and since when somebody has been
 * looking at the clock without a break. A break is a start, a machine that slept, a clock that was set: whatever makes
 * it a minute or more since the last look, either way. A moment that comes while somebody looks is prompt,
 * even if it then has to wait; so is the latest one when it came within the last minute (and the jitter) of a
 * break. Every other moment has been missed.
 *
 * A clock that was put back makes no run happen twice: what was dealt with stays dealt with. But when it turns out to
 * have been ahead by more than three hours, it was wrong, and what was remembered of it is forgotten.
 *
 *   schedule_watch_begin -> schedule_watch_look -> schedule_decide -> handled_s is moved on to the plan's moment -> ...
 */
#pragma once
#include "gateway/blueprint/model.h"

#define SCHEDULE_BREAK_S 60
#define SCHEDULE_AHEAD_S (3 * 3600)
#define SCHEDULE_WAITING_MAX 100 /* runs that wait for the one before; of more, the latest */

struct schedule_watch {
    const struct schedule_config *config;
    int64_t handled_s;
    int64_t awake_s; /* moments from here on are prompt */
    int64_t looked_s;
};

/* What a look has found out about the clock. */
enum schedule_clock { SCHEDULE_CLOCK_STEADY, SCHEDULE_CLOCK_BROKE, SCHEDULE_CLOCK_WAS_AHEAD };

enum schedule_move {
    SCHEDULE_REST,      /* nothing is due */
    SCHEDULE_RUN,       /* the one of at_s */
    SCHEDULE_PASS_OVER, /* all up to at_s, without a run */
};
struct schedule_plan {
    enum schedule_move move;
    int64_t at_s;
    bool missed; /* it is, or they are */
    bool alone;  /* not while another run goes on */
};

void schedule_watch_begin(struct schedule_watch *w, const struct schedule_config *config, int64_t handled_s,
                          int64_t now_s);
enum schedule_clock schedule_watch_look(struct schedule_watch *w, int64_t now_s);
struct schedule_plan schedule_decide(const struct schedule_watch *w);
/* When the run before still goes on: pass over it (`overlap: skip`) or wait, which is SCHEDULE_REST. */
struct schedule_plan schedule_decide_busy(const struct schedule_watch *w, const struct schedule_plan *plan);
