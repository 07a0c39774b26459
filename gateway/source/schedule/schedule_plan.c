#include "gateway/source/schedule/schedule_plan.h"

static int64_t latest_of(const struct schedule_watch *w, int64_t after_s, int64_t until_s) {
    int64_t at_s = until_s;
    return schedule_latest(&w->config->when, after_s, until_s, &at_s, 1) ? at_s : SCHEDULE_NEVER;
}

/* After a break. */
static void wake(struct schedule_watch *w, int64_t now_s) {
    int64_t patience_s = SCHEDULE_BREAK_S + (int64_t)(w->config->jitter_ms / 1000);
    int64_t latest_s = latest_of(w, now_s - patience_s, now_s);
    w->awake_s = latest_s == SCHEDULE_NEVER ? now_s : latest_s;
}

void schedule_watch_begin(struct schedule_watch *w, const struct schedule_config *config, int64_t handled_s,
                          int64_t now_s) {
    *w = (struct schedule_watch){.config = config, .handled_s = handled_s, .looked_s = now_s};
    wake(w, now_s);
}

enum schedule_clock schedule_watch_look(struct schedule_watch *w, int64_t now_s) {
    int64_t since_s = now_s - w->looked_s;
    bool was_ahead = w->handled_s > now_s + SCHEDULE_AHEAD_S;
    bool broke = since_s >= SCHEDULE_BREAK_S || since_s <= -SCHEDULE_BREAK_S;
    w->looked_s = now_s;
    if (was_ahead) w->handled_s = now_s;
    if (broke || was_ahead) wake(w, now_s);
    if (w->awake_s > now_s) w->awake_s = now_s; /* put back, but by less than a break */
    if (was_ahead) return SCHEDULE_CLOCK_WAS_AHEAD;
    return broke ? SCHEDULE_CLOCK_BROKE : SCHEDULE_CLOCK_STEADY;
}

/* The first of the latest `max` in (after_s, until_s]; SCHEDULE_NEVER. */
static int64_t first_of_latest(const struct schedule_watch *w, int64_t after_s, int64_t until_s, size_t max) {
    int64_t moments[SCHEDULE_MISSED_MAX];
    return schedule_latest(&w->config->when, after_s, until_s, moments, max) ? moments[0] : SCHEDULE_NEVER;
}

static struct schedule_plan decide_missed(const struct schedule_watch *w, int64_t latest_s, int64_t prompt_s) {
    const struct schedule_config *c = w->config;
    struct schedule_plan p = {.move = SCHEDULE_PASS_OVER, .at_s = latest_s, .missed = true};
    bool stands_for_them = prompt_s != SCHEDULE_NEVER && c->missed == SCHEDULE_MISSED_ONCE;
    if (c->missed == SCHEDULE_MISSED_SKIP || stands_for_them) return p;
    p.move = SCHEDULE_RUN;
    p.alone = true;
    if (c->missed == SCHEDULE_MISSED_ALL) p.at_s = first_of_latest(w, w->handled_s, latest_s, (size_t)c->max_missed);
    return p;
}

struct schedule_plan schedule_decide(const struct schedule_watch *w) {
    enum schedule_overlap overlap = w->config->overlap;
    int64_t now_s = w->looked_s, before_s = w->awake_s - 1;
    if (schedule_next(&w->config->when, w->handled_s) > now_s) return (struct schedule_plan){.move = SCHEDULE_REST};
    int64_t prompt_from_s = w->handled_s > before_s ? w->handled_s : before_s;
    int64_t prompt_s = first_of_latest(w, prompt_from_s, now_s,
                                       overlap == SCHEDULE_OVERLAP_SKIP ? 1 : SCHEDULE_WAITING_MAX);
    int64_t missed_s = latest_of(w, w->handled_s, before_s);
    if (missed_s != SCHEDULE_NEVER) return decide_missed(w, missed_s, prompt_s);
    return (struct schedule_plan){.move = SCHEDULE_RUN, .at_s = prompt_s, .alone = overlap != SCHEDULE_OVERLAP_ALLOW};
}

struct schedule_plan schedule_decide_busy(const struct schedule_watch *w, const struct schedule_plan *plan) {
    bool passes = !plan->missed && w->config->overlap == SCHEDULE_OVERLAP_SKIP;
    return (struct schedule_plan){.move = passes ? SCHEDULE_PASS_OVER : SCHEDULE_REST, .at_s = plan->at_s};
}
