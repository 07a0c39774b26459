#include "gateway/base/memory.h"
#include "gateway/event_stream/event_private.h"
#include <stdlib.h>

struct event_relay {
    struct list_node node;
    struct event_streams *all;
    struct turn_task task;
    struct deadline timer;
    struct body *answer; /* the handler's, consumer's end */
    struct body *events; /* the client's, producer's end */
    struct event_boundary boundary;
    uint64_t heartbeat_ms, ends_ms; /* 0 = never */
    uint64_t said_ms;
};

static void relay_free(struct event_relay *r) {
    turn_remove(&r->task);
    deadline_disarm(loop_deadlines(r->all->loop), &r->timer);
    list_remove(&r->node);
    body_on_readable(r->answer, NULL, NULL);
    body_on_wanted(r->events, NULL, NULL);
    body_release_consumer(r->answer);
    body_release_producer(r->events);
    free(r);
}

static void relay_say(struct event_relay *r, struct slice bytes) {
    r->said_ms = event_streams_now_ms(r->all);
    body_append_copy(r->events, bytes);
}

/* --- time --- */

static uint64_t relay_due_ms(const struct event_relay *r) {
    uint64_t due = r->heartbeat_ms ? r->said_ms + r->heartbeat_ms : DEADLINE_NEVER;
    return r->ends_ms && r->ends_ms < due ? r->ends_ms : due;
}

static void relay_arm(struct event_relay *r) {
    uint64_t due = relay_due_ms(r);
    if (due != DEADLINE_NEVER) deadline_arm(loop_deadlines(r->all->loop), &r->timer, due);
}

/* A client that has yet to read what was said need not be told that we are there. */
static bool relay_may_beat(const struct event_relay *r) {
    bool all_taken = body_received(r->events) == body_taken(r->events);
    return event_boundary_is_between(&r->boundary) && all_taken && body_peek(r->answer).n == 0;
}

static void on_due(struct deadline *d) {
    struct event_relay *r = container_of(d, struct event_relay, timer);
    uint64_t now_ms = event_streams_now_ms(r->all);
    if (r->ends_ms && r->ends_ms <= now_ms) {
        body_finish(r->events);
        relay_free(r);
        return;
    }
    if (r->said_ms + r->heartbeat_ms <= now_ms) {
        if (relay_may_beat(r)) {
            r->all->counters.beats++;
            body_append_copy(r->events, EVENT_HEARTBEAT);
        }
        r->said_ms = now_ms;
    }
    relay_arm(r);
}

/* --- the way of the bytes --- */

static void relay_pass(struct event_relay *r) {
    for (struct slice piece; body_wants(r->events) && (piece = body_peek(r->answer)).n > 0;) {
        event_boundary_feed(&r->boundary, piece);
        relay_say(r, piece);
        body_consume(r->answer, piece.n);
    }
}

/* The handler is told as if the client had left. */
static void relay_dismiss(struct event_relay *r) {
    struct buf text = {0};
    event_streams_write_retry(r->all, &text);
    relay_say(r, buf_slice(&text));
    buf_free(&text);
    body_finish(r->events);
}

static bool relay_end(struct event_relay *r) {
    if (body_state_of(r->answer) == BODY_FAILED)
        body_fail_as(r->events, body_fault(r->answer), body_failure(r->answer));
    else
        body_finish(r->events);
    return false;
}

/* True while there is something left to do. */
static bool relay_step(struct event_relay *r) {
    if (body_abandoned(r->events)) return false;
    body_want(r->answer);
    relay_pass(r);
    if (body_peek(r->answer).n > 0) return true;
    if (body_state_of(r->answer) != BODY_OPEN) return relay_end(r);
    if (!r->all->draining || !event_boundary_is_between(&r->boundary)) return true;
    relay_dismiss(r);
    return false;
}

static void relay_run(struct turn_task *task) {
    struct event_relay *r = container_of(task, struct event_relay, task);
    if (!relay_step(r)) relay_free(r);
}

/* Of either body; called in the midst of other work. */
static void on_event(void *context) {
    struct event_relay *r = context;
    turn_add(loop_turn(r->all->loop), &r->task);
}

struct body *event_relay_new(struct event_streams *all, struct body *take_answer, const struct event_rules *rules) {
    struct event_relay *r = xcalloc(1, sizeof *r);
    r->all = all;
    r->task = (struct turn_task){.phase = TURN_LOCAL, .run = relay_run};
    r->timer.on_due = on_due;
    r->answer = take_answer;
    r->events = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    r->heartbeat_ms = rules->heartbeat_ms;
    r->said_ms = event_streams_now_ms(all);
    if (rules->max_duration_ms) r->ends_ms = r->said_ms + rules->max_duration_ms;
    list_push(&all->relays, &r->node);
    body_on_readable(r->answer, on_event, r);
    body_on_wanted(r->events, on_event, r);
    relay_arm(r);
    on_event(r);
    return r->events;
}

void event_relays_drain(struct event_streams *all) {
    list_each (&all->relays, node) on_event(list_entry(node, struct event_relay, node));
}

void event_relays_free(struct event_streams *all) {
    list_each (&all->relays, node) relay_free(list_entry(node, struct event_relay, node));
}
