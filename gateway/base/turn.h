/* turn.h - what is left to do before the loop may sleep.
 *
 * No API calls its caller back before it returns. Instead it puts a task on the turn, which is
 * drained once per loop iteration, phase by phase: first the public connections are read, then
 * the handlers' connections (their answers), then events are matched with waiting handlers, then
 * log lines are written. A task that wakes an earlier phase makes the turn start over; a
 * bound on the rounds keeps the loop fair, and what is left runs in the next iteration.
 * Pure: the libuv side (source/loop.h) calls turn_run.
 */
#pragma once
#include "gateway/base/list.h"

enum turn_phase {
    TURN_WIRE,     /* TLS: what clients sent becomes plain, what is for them becomes records */
    TURN_PUBLIC,   /* lanes of the public listeners */
    TURN_LOCAL,    /* lanes of the handlers' endpoints */
    TURN_DISPATCH, /* pools: events meet waiting workers */
    TURN_LAST,     /* frees and log flushes */
    TURN_PHASES
};

struct turn_task {
    struct list_node node;
    enum turn_phase phase;
    void (*run)(struct turn_task *task);
};
struct turn {
    struct list phases[TURN_PHASES];
};

void turn_init(struct turn *t);
/* Nothing happens when the task is already on it. The task leaves the list before run is called. */
void turn_add(struct turn *t, struct turn_task *task);
void turn_remove(struct turn_task *task);
/* Runs tasks in phase order, returning to the earliest phase with work after each phase, at most `rounds` phases.
 * True when tasks are left. */
int turn_run(struct turn *t, int rounds);
