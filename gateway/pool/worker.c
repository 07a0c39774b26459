#include "gateway/pool/worker.h"
#include <assert.h>

/* Short names keep the table readable beside the one in worker.h. */
enum {
    d = WORKER_ACT_DISPATCH,
    t = WORKER_ACT_TERMINATE,
    k = WORKER_ACT_KILL,
    c = WORKER_ACT_COUNT_FAILURE,
    h = WORKER_ACT_COUNT_HEALTHY,
    f = WORKER_ACT_FAIL_RUNNING,
    o = WORKER_ACT_OBITUARY,
    F = WORKER_ACT_FREE,
};

struct worker_row {
    bool known; /* the zero row means: nothing happens */
    struct worker_transition transition;
};
#define GO(state, actions)                                                                                             \
    {                                                                                                                  \
        true, {                                                                                                        \
            WORKER_##state, (actions)                                                                                  \
        }                                                                                                              \
    }

static const struct worker_row table[WORKER_STATES][WORKER_EVENTS] =
    {
        [WORKER_STARTING] =
            {
                [WORKER_SPAWN_FAILED] = GO(STOPPING, c),
                [WORKER_READY] = GO(IDLE, d | h),
                [WORKER_FAULT] = GO(STOPPING, c | f | t | d),
                [WORKER_TIMEOUT] = GO(STOPPING, c | t | d),
                [WORKER_EXIT] = GO(STOPPING, c | f),
                [WORKER_STOP] = GO(STOPPING, t | d),
            },
        [WORKER_IDLE] =
            {
                [WORKER_SPAWN_FAILED] = GO(STOPPING, c),
                [WORKER_READY] = GO(IDLE, d),
                [WORKER_TAKES] = GO(BUSY, 0),
                [WORKER_FAULT] = GO(STOPPING, c | f | t | d),
                [WORKER_TIMEOUT] = GO(STOPPING, t | d),
                [WORKER_EXIT] = GO(STOPPING, c | f),
                [WORKER_STOP] = GO(STOPPING, t | d),
            },
        [WORKER_BUSY] =
            {
                [WORKER_SPAWN_FAILED] = GO(STOPPING, c | f),
                [WORKER_READY] = GO(IDLE, d),
                [WORKER_FAULT] = GO(STOPPING, c | f | t | d),
                [WORKER_TIMEOUT] = GO(STOPPING, t | d),
                [WORKER_EXIT] = GO(STOPPING, c | f),
                [WORKER_STOP] = GO(STOPPING, t | d),
            },
        [WORKER_STOPPING] =
            {
                [WORKER_SPAWN_FAILED] = GO(STOPPING, f),
                [WORKER_FAULT] = GO(STOPPING, f | t),
                [WORKER_TIMEOUT] = GO(STOPPING, t),
                [WORKER_EXIT] = GO(STOPPING, f),
                [WORKER_ENDED] = GO(GONE, o | F | d),
                [WORKER_ENDED_BADLY] = GO(BACKOFF, o | d),
                [WORKER_STOP] = GO(STOPPING, t),
                [WORKER_TICK] = GO(STOPPING, k),
            },
        [WORKER_BACKOFF] =
            {
                [WORKER_STOP] = GO(GONE, F),
                [WORKER_TICK] = GO(GONE, F | d),
            },
};

struct worker_transition worker_step(enum worker_state state, enum worker_event event) {
    assert(state < WORKER_STATES && event < WORKER_EVENTS);
    const struct worker_row *row = &table[state][event];
    return row->known ? row->transition : (struct worker_transition){state, WORKER_ACT_NONE};
}

static const char *const state_names[WORKER_STATES] = {
    [WORKER_STARTING] = "starting", [WORKER_IDLE] = "idle",       [WORKER_BUSY] = "busy",
    [WORKER_STOPPING] = "stopping", [WORKER_BACKOFF] = "backoff", [WORKER_GONE] = "gone",
};

static const char *const event_names[WORKER_EVENTS] = {
    [WORKER_SPAWN_FAILED] = "spawn failed",
    [WORKER_READY] = "ready",
    [WORKER_TAKES] = "takes",
    [WORKER_FAULT] = "fault",
    [WORKER_TIMEOUT] = "timeout",
    [WORKER_EXIT] = "exit",
    [WORKER_ENDED] = "ended",
    [WORKER_ENDED_BADLY] = "ended badly",
    [WORKER_STOP] = "stop",
    [WORKER_TICK] = "tick",
};

const char *worker_state_name(enum worker_state s) {
    assert(s < WORKER_STATES);
    return state_names[s];
}

const char *worker_event_name(enum worker_event e) {
    assert(e < WORKER_EVENTS);
    return event_names[e];
}
