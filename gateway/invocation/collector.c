#include "gateway/invocation/collector.h"

static void on_task(struct turn_task *task) {
    struct collector *c = container_of(task, struct collector, task);
    if (c->body && body_state_of(c->body) == BODY_OPEN && deadline_armed(&c->patience)) return;
    deadline_disarm(c->deadlines, &c->patience);
    c->on_ready(c);
}

/* Called by the body's producer in the midst of its work: only noted. */
static void on_body(void *context) {
    struct collector *c = context;
    turn_add(c->turn, &c->task);
}

static void on_patience(struct deadline *d) {
    on_body(container_of(d, struct collector, patience));
}

void collector_init(struct collector *c, const struct pipeline *p, void (*on_ready)(struct collector *c)) {
    *c = (struct collector){.clock = p->clock, .deadlines = p->deadlines, .turn = p->turn, .on_ready = on_ready};
    c->task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_task};
    c->patience.on_due = on_patience;
}

void collector_take(struct collector *c, struct body *take_body, uint64_t limit, uint64_t patience_ms) {
    c->body = take_body;
    if (take_body && body_state_of(take_body) == BODY_OPEN) {
        body_set_limit(take_body, limit);
        body_collect(take_body);
        body_on_readable(take_body, on_body, c);
        deadline_arm(c->deadlines, &c->patience, clock_now_ms(c->clock) + patience_ms);
    }
    turn_add(c->turn, &c->task);
}

struct slice collector_bytes(const struct collector *c) {
    if (!c->body) return SLICE("");
    if (body_state_of(c->body) != BODY_COMPLETE) return SLICE_NONE;
    struct slice bytes = body_whole(c->body);
    return bytes.n ? bytes : SLICE("");
}

void collector_release(struct collector *c) {
    turn_remove(&c->task);
    deadline_disarm(c->deadlines, &c->patience);
    if (!c->body) return;
    body_on_readable(c->body, NULL, NULL);
    body_release_consumer(c->body);
    c->body = NULL;
}
