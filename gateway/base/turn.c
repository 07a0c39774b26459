#include "gateway/base/turn.h"

void turn_init(struct turn *t) {
    for (int phase = 0; phase < TURN_PHASES; phase++) list_init(&t->phases[phase]);
}

void turn_add(struct turn *t, struct turn_task *task) {
    if (!task->node.list) list_push(&t->phases[task->phase], &task->node);
}

void turn_remove(struct turn_task *task) {
    list_remove(&task->node);
}

static struct list *turn_earliest(struct turn *t) {
    for (int phase = 0; phase < TURN_PHASES; phase++)
        if (!list_empty(&t->phases[phase])) return &t->phases[phase];
    return NULL;
}

/* As many tasks as there are now: what they add to their own phase counts as the next one. */
static void turn_run_phase(struct list *phase) {
    for (size_t left = phase->length; left && !list_empty(phase); left--) {
        struct turn_task *task = list_entry(list_first(phase), struct turn_task, node);
        list_remove(&task->node);
        task->run(task);
    }
}

int turn_run(struct turn *t, int rounds) {
    struct list *phase = turn_earliest(t);
    for (; phase && rounds > 0; rounds--) {
        turn_run_phase(phase);
        phase = turn_earliest(t);
    }
    return phase != NULL;
}
