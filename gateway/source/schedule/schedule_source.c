#include "gateway/source/schedule/schedule_source.h"
#include "gateway/base/memory.h"
#include "gateway/schedule/moment.h"
#include "gateway/source/schedule/schedule_private.h"
#include <assert.h>
#include <stdlib.h>

#define LOOK_MS 15000        /* well below SCHEDULE_BREAK_S */
#define LEASED_RETRY_MS 1000 /* how often a lease that somebody else holds is asked for */

static int64_t now_s(const struct schedule_source *s) {
    return (int64_t)(clock_wall_ms(s->pipeline->clock) / 1000);
}

static void source_wake(struct schedule_source *s, uint64_t after_ms) {
    if (s->stopped) return;
    deadline_arm(s->pipeline->deadlines, &s->look, clock_now_ms(s->pipeline->clock) + after_ms);
}

/* --- telling --- */

static void leave_out(struct schedule_source *s, int64_t first_s, int64_t last_s, const char *why) {
    char first[MOMENT_SIZE], last[MOMENT_SIZE];
    s->counts.left_out++;
    moment_text_utc(first, first_s);
    moment_text_utc(last, last_s);
    log_event(s->pipeline->log, LOG_WARN, "runs of a schedule are left out", LOG_TEXT("schedule", s->config->name),
              LOG_TEXT("from", first), LOG_TEXT("to", last), LOG_TEXT("why", why));
}

static const char why_busy[] = "the one before still goes on";
static const char *why_left_out(const struct schedule_plan *plan) {
    if (plan->missed) return "their time came while nobody looked";
    return plan->move == SCHEDULE_RUN ? "more came at once than may wait" : why_busy;
}

/* All that the plan goes past: a first note goes past nothing. */
static void tell_left_out(struct schedule_source *s, const struct schedule_plan *plan) {
    const struct schedule *when = &s->config->when;
    int64_t last_s, until_s = plan->move == SCHEDULE_RUN ? plan->at_s - 1 : plan->at_s;
    if (schedule_latest(when, s->watch.handled_s, until_s, &last_s, 1) == 0) return;
    leave_out(s, schedule_next(when, s->watch.handled_s), last_s, why_left_out(plan));
}

static void tell_clock(struct schedule_source *s, enum schedule_clock clock) {
    if (clock != SCHEDULE_CLOCK_WAS_AHEAD) return;
    log_event(s->pipeline->log, LOG_WARN, "the clock was ahead by hours, what the schedule remembers is forgotten",
              LOG_TEXT("schedule", s->config->name));
}

/* --- looking --- */

/* A run starts up to so much after its moment, but before the next one's. */
static uint64_t draw_jitter_ms(struct schedule_source *s, int64_t at_s) {
    uint64_t most_ms = s->config->jitter_ms;
    int64_t next_s = schedule_next(&s->config->when, at_s);
    if (next_s != SCHEDULE_NEVER && (uint64_t)(next_s - at_s) * 1000 <= most_ms)
        most_ms = (uint64_t)(next_s - at_s) * 1000 - 1;
    return clock_random_below(s->pipeline->clock, most_ms + 1);
}

/* When to begin with the first moment that was not dealt with, Unix time; UINT64_MAX = never. */
static uint64_t begin_ms(struct schedule_source *s) {
    int64_t at_s = schedule_next(&s->config->when, s->watch.handled_s);
    if (at_s == SCHEDULE_NEVER) return UINT64_MAX;
    if (at_s < s->watch.awake_s || s->config->jitter_ms == 0) return (uint64_t)at_s * 1000;
    if (s->drawn_for_s != at_s) s->jitter_ms = draw_jitter_ms(s, at_s);
    s->drawn_for_s = at_s;
    return (uint64_t)at_s * 1000 + s->jitter_ms;
}

static void sleep_until(struct schedule_source *s, uint64_t wall_ms) {
    uint64_t now_ms = clock_wall_ms(s->pipeline->clock);
    uint64_t left_ms = wall_ms > now_ms ? wall_ms - now_ms : LOOK_MS; /* past: it waits for something else */
    source_wake(s, left_ms < LOOK_MS ? left_ms : LOOK_MS);
}

/* A run that is left out if one goes on elsewhere is claimed first: or else two gateways that look at the same time
 * would each leave it to the other. One that waits is claimed when it begins. */
static bool lease_comes_last(const struct schedule_source *s) {
    return !s->plan.missed && s->config->overlap == SCHEDULE_OVERLAP_SKIP;
}

static void carry_out(struct schedule_source *s, const struct schedule_plan *plan) {
    s->plan = *plan;
    if (plan->move == SCHEDULE_RUN && plan->alone && !lease_comes_last(s))
        memory_lease(s);
    else
        memory_claim(s);
}

static void look(struct schedule_source *s) {
    tell_clock(s, schedule_watch_look(&s->watch, now_s(s)));
    uint64_t at_ms = begin_ms(s);
    struct schedule_plan plan = {.move = SCHEDULE_REST};
    if (at_ms <= clock_wall_ms(s->pipeline->clock)) plan = schedule_decide(&s->watch);
    if (plan.move == SCHEDULE_RUN && plan.alone && !list_empty(&s->runs)) plan = schedule_decide_busy(&s->watch, &plan);
    if (plan.move == SCHEDULE_REST)
        sleep_until(s, at_ms);
    else
        carry_out(s, &plan);
}

/* Between two steps. */
static void settle(struct schedule_source *s) {
    s->stage = SCHEDULE_WATCHING;
    if (list_empty(&s->runs)) memory_release(s);
    if (s->note_is_behind) memory_note(s);
    source_wake(s, 0);
}

static void on_look(struct deadline *d) {
    struct schedule_source *s = container_of(d, struct schedule_source, look);
    if (s->stage == SCHEDULE_WATCHING && !s->stopped) look(s);
}

/* --- steps --- */

/* What another schedule of this name has done says nothing of this one. */
static bool note_is_ours(const struct schedule_source *s, const struct schedule_note *note) {
    return note->handled_s != INT64_MIN && slice_equal(note->schedule, slice_of(s->config->text)) &&
           slice_equal(note->time_zone, slice_of(s->config->time_zone));
}

void source_recalled(struct schedule_source *s, const struct schedule_note *note) {
    int64_t at_s = now_s(s);
    bool ours = note && note_is_ours(s, note);
    schedule_watch_begin(&s->watch, s->config, ours ? note->handled_s : at_s, at_s);
    if (note) s->note = (struct schedule_note){.ran_s = note->ran_s, .outcome = note->outcome};
    s->plan = (struct schedule_plan){.move = SCHEDULE_PASS_OVER, .at_s = at_s};
    if (note && !ours && !s->stopped)
        memory_claim(s); /* from now on, runs can be missed */
    else
        settle(s);
}

static void begin(struct schedule_source *s) {
    s->note.ran_s = s->plan.at_s;
    s->note.outcome = SCHEDULE_BEGUN;
    run_begin(s, &s->plan);
    settle(s);
}

/* The gateway has begun to stop meanwhile, and would refuse the run: it is left to whoever comes next. */
static void give_back(struct schedule_source *s) {
    s->note_is_behind = true;
    settle(s);
}

void source_claimed(struct schedule_source *s) {
    if (s->plan.move == SCHEDULE_RUN && s->pipeline->draining) {
        give_back(s);
        return;
    }
    tell_left_out(s, &s->plan);
    if (s->plan.at_s > s->watch.handled_s) s->watch.handled_s = s->plan.at_s;
    if (s->plan.move != SCHEDULE_RUN)
        settle(s);
    else if (s->plan.alone && lease_comes_last(s))
        memory_lease(s);
    else
        begin(s);
}

void source_leased(struct schedule_source *s, enum schedule_lease lease) {
    bool claimed = lease_comes_last(s), elsewhere = lease == SCHEDULE_LEASED_ELSEWHERE;
    if (claimed && !elsewhere) {
        begin(s);
    } else if (claimed) {
        leave_out(s, s->plan.at_s, s->plan.at_s, why_busy);
        s->note_is_behind = true;
        settle(s);
    } else if (!elsewhere && !s->stopped) {
        memory_claim(s);
    } else {
        settle(s);
        if (elsewhere) source_wake(s, LEASED_RETRY_MS);
    }
}

void source_forestalled(struct schedule_source *s, int64_t handled_s) {
    log_event(s->pipeline->log, LOG_DEBUG, "another gateway was first", LOG_TEXT("schedule", s->config->name));
    s->watch.handled_s = handled_s;
    settle(s);
}

void source_run_ended(struct schedule_source *s) {
    if (s->stage == SCHEDULE_WATCHING) settle(s);
}

/* --- life --- */

struct schedule_source *schedule_source_new(struct pipeline *p, struct queue_store *store,
                                            const struct schedule_config *config, const struct route *route) {
    struct schedule_source *s = xcalloc(1, sizeof *s);
    *s = (struct schedule_source){.pipeline = p,
                                  .config = config,
                                  .route = *route,
                                  .stage = SCHEDULE_NEW,
                                  .drawn_for_s = INT64_MIN,
                                  .look = {.on_due = on_look}};
    list_init(&s->runs);
    memory_init(s, store);
    return s;
}

void schedule_source_start(struct schedule_source *s) {
    assert(s->stage == SCHEDULE_NEW);
    memory_recall(s);
}

void schedule_source_stop(struct schedule_source *s) {
    if (s->stopped) return;
    s->stopped = true;
    deadline_disarm(s->pipeline->deadlines, &s->look);
    runs_stop(s);
}

const char *schedule_source_name(const struct schedule_source *s) {
    return s->config->name;
}

struct schedule_counts schedule_source_counts(const struct schedule_source *s) {
    return s->counts;
}

bool schedule_source_is_idle(const struct schedule_source *s) {
    if (s->stage == SCHEDULE_NEW) return true;
    return s->stopped && s->stage == SCHEDULE_WATCHING && s->memory.calls == 0 && list_empty(&s->runs);
}

void schedule_source_free(struct schedule_source *s) {
    if (!s) return;
    assert(schedule_source_is_idle(s));
    deadline_disarm(s->pipeline->deadlines, &s->look);
    memory_free(s);
    free(s);
}
