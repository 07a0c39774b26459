#include "gateway/event_stream/event_streams.h"
#include "gateway/base/memory.h"
#include "gateway/event_stream/event_private.h"
#include <assert.h>
#include <stdlib.h>

/* Ending thousands at once would bring them all back at once. */
#define DRAIN_AT_ONCE 500
#define DRAIN_EVERY_MS 10
#define RETRY_LEAST_MS 100
#define RETRY_SPREAD_MS 5000

void event_streams_write_retry(struct event_streams *all, struct buf *out) {
    event_text_write_retry(out, RETRY_LEAST_MS + clock_random_below(loop_clock(all->loop), RETRY_SPREAD_MS));
}

static void bury(struct turn_task *task) {
    struct event_streams *all = container_of(task, struct event_streams, bury);
    list_each (&all->states[EVENT_STREAM_GONE], node) event_stream_free(list_entry(node, struct event_stream, node));
}

static void drain_some(struct event_streams *all) {
    struct list *open = &all->states[EVENT_STREAM_OPEN];
    for (int i = 0; i < DRAIN_AT_ONCE && !list_empty(open); i++)
        event_stream_dismiss(list_entry(list_first(open), struct event_stream, node));
    if (list_empty(open)) return;
    deadline_arm(loop_deadlines(all->loop), &all->drain, event_streams_now_ms(all) + DRAIN_EVERY_MS);
}

static void on_drain(struct deadline *d) {
    drain_some(container_of(d, struct event_streams, drain));
}

void event_streams_drain(struct event_streams *all) {
    all->draining = true;
    event_relays_drain(all);
    drain_some(all);
}

struct event_streams *event_streams_new(struct loop *l, struct members *members, const struct event_stream_ops *ops) {
    struct event_streams *all = xcalloc(1, sizeof *all);
    all->loop = l;
    all->members = members;
    all->ops = *ops;
    for (int i = 0; i < EVENT_STREAM_STATES; i++) list_init(&all->states[i]);
    list_init(&all->relays);
    all->bury = (struct turn_task){.phase = TURN_LAST, .run = bury};
    all->drain.on_due = on_drain;
    return all;
}

void event_streams_free(struct event_streams *all) {
    if (!all) return;
    assert(event_streams_count(all) == 0);
    event_relays_free(all);
    deadline_disarm(loop_deadlines(all->loop), &all->drain);
    turn_remove(&all->bury);
    bury(&all->bury);
    free(all);
}

size_t event_streams_count(const struct event_streams *all) {
    return all->states[EVENT_STREAM_OPEN].length + all->states[EVENT_STREAM_ENDING].length;
}

bool event_streams_are_idle(const struct event_streams *all) {
    return event_streams_count(all) == 0 && list_empty(&all->relays);
}

void event_streams_abort(struct event_streams *all) {
    for (int state = 0; state < EVENT_STREAM_GONE; state++)
        for (struct list_node *node; (node = list_first(&all->states[state]));)
            event_stream_drop(list_entry(node, struct event_stream, node), "the gateway stops");
}

const struct event_streams_counters *event_streams_counters(const struct event_streams *all) {
    return &all->counters;
}

size_t event_streams_count_of(const struct event_streams *all, struct slice route, struct slice client) {
    size_t count = 0;
    list_each (&all->states[EVENT_STREAM_OPEN], node) {
        const struct event_stream *s = list_entry(node, struct event_stream, node);
        count += slice_equal(s->route, route) && (slice_is_none(client) || slice_equal(s->client, client));
    }
    return count;
}
