/* worker.h - the life of one handler process as a pure table: state x event -> next state and actions.
 *
 *   STARTING  the process was asked for; it has not yet asked for work
 *   IDLE      ready: it holds no event and is, or was, waiting for one
 *   BUSY      holds events, streams an answer, or has answered and not yet asked again
 *   STOPPING  takes no more; drains, then SIGTERM, grace, SIGKILL; or dead, its remains being collected
 *   BACKOFF   ended badly; its place waits before it is filled again
 *   GONE      nothing is left of it but this record, which the end of the turn frees
 *
 * Ready means the first request for work. A worker ends when its exit and the end of its output were both
 * seen. What is not in the table keeps the state and does nothing:
 *
 *                 STARTING            IDLE                BUSY                STOPPING       BACKOFF
 *   SPAWN_FAILED  STOPPING c          STOPPING c          STOPPING c f        f
 *   READY         IDLE d h            d                   IDLE d
 *   TAKES                             BUSY
 *   FAULT         STOPPING c f t d    STOPPING c f t d    STOPPING c f t d    f t
 *   TIMEOUT       STOPPING c t d      STOPPING t d        STOPPING t d        t
 *   EXIT          STOPPING c f        STOPPING c f        STOPPING c f        f
 *   ENDED                                                                     GONE o F d
 *   ENDED_BADLY                                                               BACKOFF o d
 *   STOP          STOPPING t d        STOPPING t d        STOPPING t d        t              GONE F
 *   TICK                                                                      k              GONE F d
 *
 * c COUNT_FAILURE  f FAIL_RUNNING  t TERMINATE  k KILL  o OBITUARY  F FREE  d DISPATCH  h COUNT_HEALTHY
 *
 * The table decides, worker_happens (worker_life.c) carries the actions out; no other code writes the state.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"

enum worker_state {
    WORKER_STARTING,
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_STOPPING,
    WORKER_BACKOFF,
    WORKER_GONE,
    WORKER_STATES
};

enum worker_event {
    WORKER_SPAWN_FAILED, /* or the exec of a deferred launch */
    WORKER_READY,        /* asks for work and holds nothing */
    WORKER_TAKES,        /* was given an event */
    WORKER_FAULT,        /* reported that it cannot start, or broke the protocol */
    WORKER_TIMEOUT,      /* start, invocation, stream or settle deadline passed */
    WORKER_EXIT,         /* of the process; its transport has read all it said */
    WORKER_ENDED,        /* exit and end of output, and the transport has finished */
    WORKER_ENDED_BADLY,  /* the same after a counted failure */
    WORKER_STOP,         /* recycle, scale down, drain, shutdown; and: holds nothing any more while STOPPING */
    WORKER_TICK,         /* the state's own deadline: end of the grace, end of the back-off */
    WORKER_EVENTS
};

enum worker_action {
    WORKER_ACT_NONE = 0,
    WORKER_ACT_DISPATCH = 1 << 0,      /* put the pool on the turn */
    WORKER_ACT_TERMINATE = 1 << 1,     /* SIGTERM to the group (when nothing runs any more), arm the grace */
    WORKER_ACT_KILL = 1 << 2,          /* SIGKILL to the group */
    WORKER_ACT_COUNT_FAILURE = 1 << 3, /* lengthens the pool's back-off */
    WORKER_ACT_COUNT_HEALTHY = 1 << 4, /* arms the reset of the back-off */
    WORKER_ACT_FAIL_RUNNING = 1 << 5,  /* completes what it holds as died */
    WORKER_ACT_OBITUARY = 1 << 6,      /* logs how it ended, with the last lines of its stderr */
    WORKER_ACT_FREE = 1 << 7,
};

struct worker_transition {
    enum worker_state next;
    unsigned actions;
};
/* Total: an event that means nothing in a state keeps the state and does nothing. */
struct worker_transition worker_step(enum worker_state state, enum worker_event event);
const char *worker_state_name(enum worker_state s);
const char *worker_event_name(enum worker_event e);
