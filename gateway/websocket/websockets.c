#include "gateway/websocket/websockets.h"
#include "gateway/base/memory.h"
#include "gateway/websocket/websocket_private.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Closing thousands at once would bring them all back at once. */
#define DRAIN_AT_ONCE 500
#define DRAIN_EVERY_MS 10
#define RECONNECT_MS 5000

static void bury(struct turn_task *task) {
    struct websockets *all = container_of(task, struct websockets, bury);
    list_each (&all->states[WEBSOCKET_GONE], node) websocket_free(list_entry(node, struct websocket, node));
}

static void drain_some(struct websockets *all) {
    struct clock *clock = loop_clock(all->loop);
    for (int i = 0; i < DRAIN_AT_ONCE && !list_empty(&all->states[WEBSOCKET_OPEN]); i++) {
        struct list_node *node = list_first(&all->states[WEBSOCKET_OPEN]);
        char text[64];
        snprintf(text, sizeof text, "reconnect in %u ms", (unsigned)clock_random_below(clock, RECONNECT_MS));
        websocket_close(list_entry(node, struct websocket, node), CLOSE_GOING_AWAY, slice_of(text));
    }
}

void websockets_drain(struct websockets *all) {
    all->draining = true;
    drain_some(all);
    if (list_empty(&all->states[WEBSOCKET_OPEN])) return;
    deadline_arm(loop_deadlines(all->loop), &all->drain, websockets_now_ms(all) + DRAIN_EVERY_MS);
}

static void on_drain(struct deadline *d) {
    websockets_drain(container_of(d, struct websockets, drain));
}

struct websockets *websockets_new(struct loop *l, struct members *members, const struct websocket_ops *ops) {
    struct websockets *all = xcalloc(1, sizeof *all);
    all->loop = l;
    all->ops = *ops;
    for (int i = 0; i < WEBSOCKET_STATES; i++) list_init(&all->states[i]);
    all->members = members;
    all->bury = (struct turn_task){.phase = TURN_LAST, .run = bury};
    all->drain.on_due = on_drain;
    all->room = xmalloc(READ_SIZE);
    return all;
}

void websockets_free(struct websockets *all) {
    if (!all) return;
    assert(websockets_count(all) == 0);
    deadline_disarm(loop_deadlines(all->loop), &all->drain);
    turn_remove(&all->bury);
    bury(&all->bury);
    free(all->room);
    free(all);
}

size_t websockets_open(const struct websockets *all) {
    return all->states[WEBSOCKET_OPEN].length;
}

size_t websockets_count(const struct websockets *all) {
    size_t count = 0;
    for (int state = 0; state < WEBSOCKET_GONE; state++) count += all->states[state].length;
    return count;
}

void websockets_abort(struct websockets *all) {
    for (int state = 0; state < WEBSOCKET_GONE; state++)
        for (struct list_node *node; (node = list_first(&all->states[state]));)
            websocket_drop(list_entry(node, struct websocket, node));
}

const struct websockets_counters *websockets_counters(const struct websockets *all) {
    return &all->counters;
}

struct member *websocket_member(struct websocket *ws) {
    return &ws->member;
}

struct websocket *websocket_of_member(struct member *m) {
    return m->ops == &websocket_member_ops ? container_of(m, struct websocket, member) : NULL;
}

void *websocket_owner(const struct websocket *ws) {
    return ws->owner;
}

uint64_t websocket_heard_ms(const struct websocket *ws) {
    return ws->heard_ms;
}
