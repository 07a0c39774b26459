#include "gateway/base/memory.h"
#include "gateway/invocation/collector.h"
#include "gateway/queue/retry.h"
#include "gateway/source/schedule/schedule_event.h"
#include "gateway/source/schedule/schedule_private.h"
#include <stdlib.h>

#define ANSWER_LIMIT (1024 * 1024) /* an answer is read to its end, and means nothing */
#define RETRY_FOR_S 3600

static const struct retry_policy policy = {1000, 2, 30000, RETRY_JITTER_FULL, 0};

struct schedule_run {
    struct list_node node; /* of source.runs */
    struct schedule_source *source;
    int64_t at_s;
    int64_t retry_until_s;
    unsigned attempts;
    enum failure failure;
    char id[UUID_TEXT_SIZE]; /* the same for all attempts */
    struct collector collector;
    struct deadline retry;
};

static void run_free(struct schedule_run *r) {
    list_remove(&r->node);
    collector_release(&r->collector);
    deadline_disarm(r->source->pipeline->deadlines, &r->retry);
    free(r);
}

static void run_end(struct schedule_run *r) {
    struct schedule_source *s = r->source;
    bool failed = r->failure != FAILURE_NONE;
    if (failed)
        s->counts.failed++;
    else
        s->counts.succeeded++;
    if (r->at_s >= s->note.ran_s) {
        s->note.outcome = failed ? SCHEDULE_FAILED : SCHEDULE_SUCCEEDED;
        s->note_is_behind = true;
    }
    run_free(r);
    source_run_ended(s);
}

static void on_collected(struct collector *collector) {
    struct schedule_run *r = container_of(collector, struct schedule_run, collector);
    if (r->failure == FAILURE_NONE && slice_is_none(collector_bytes(collector)) && !body_over_limit(collector->body))
        r->failure = FAILURE_HANDLER_DIED;
    run_end(r);
}

/* No process has taken it, and that may change. */
static bool run_may_try_again(const struct schedule_run *r, const struct invocation *inv) {
    struct clock *clock = r->source->pipeline->clock;
    if (r->failure == FAILURE_NONE || inv->started_us || r->failure == FAILURE_SHUTTING_DOWN) return false;
    return !r->source->stopped && (int64_t)(clock_wall_ms(clock) / 1000) < r->retry_until_s;
}

static void run_finish(struct invocation *inv) {
    struct schedule_run *r = inv->source_context;
    struct pipeline *p = r->source->pipeline;
    r->failure = inv->outcome.failure;
    if (run_may_try_again(r, inv)) {
        struct retry_decision again = retry_decide(&policy, r->attempts, RETRY_AS_POLICY, 0, p->clock);
        deadline_arm(p->deadlines, &r->retry, clock_now_ms(p->clock) + again.delay_ms);
        return;
    }
    struct body *body = r->failure == FAILURE_NONE ? outcome_take_body(&inv->outcome) : NULL;
    collector_take(&r->collector, body, ANSWER_LIMIT, invocation_timeout_ms(inv));
}

static const struct source_ops schedule_ops = {.name = "schedule", .finish = run_finish};

static void run_try(struct schedule_run *r) {
    struct schedule_source *s = r->source;
    const struct schedule_event event = {.schedule = slice_of(s->config->name),
                                         .id = slice_make(r->id, UUID_TEXT_SIZE),
                                         .due_ms = (uint64_t)r->at_s * 1000,
                                         .input = s->config->input};
    struct invocation *inv = invocation_new(s->pipeline, &schedule_ops, r);
    r->attempts++;
    inv->route = &s->route;
    invocation_trace_from(inv, SLICE_NONE);
    schedule_event_fill(inv, &event);
    pipeline_run(inv); /* may end it; the run lives until the turn */
}

static void on_retry(struct deadline *d) {
    run_try(container_of(d, struct schedule_run, retry));
}

void run_begin(struct schedule_source *s, const struct schedule_plan *plan) {
    struct schedule_run *r = xcalloc(1, sizeof *r);
    int64_t now_s = s->watch.looked_s, next_s = schedule_next(&s->config->when, now_s);
    *r = (struct schedule_run){.source = s,
                               .at_s = plan->at_s,
                               .retry_until_s = next_s < now_s + RETRY_FOR_S ? next_s : now_s + RETRY_FOR_S,
                               .retry = {.on_due = on_retry}};
    clock_uuid(s->pipeline->clock, r->id);
    collector_init(&r->collector, s->pipeline, on_collected);
    list_push(&s->runs, &r->node);
    s->counts.begun++;
    run_try(r);
}

void runs_stop(struct schedule_source *s) {
    list_each (&s->runs, node) {
        struct schedule_run *r = list_entry(node, struct schedule_run, node);
        if (!deadline_armed(&r->retry)) continue;
        deadline_disarm(s->pipeline->deadlines, &r->retry);
        collector_take(&r->collector, NULL, 0, 0);
    }
}
