/* pipeline.h - the one way an invocation goes: ROUTE > PRE > BODY > ADMIT, then back through POST to its source.
 *
 * A step returns NEXT (go on), WAIT (parked; somebody calls pipeline_resume later) or REPLY (inv->outcome is set; go to
 * POST). Steps never call each other: a small driver does, and it alone checks invariants. Hooks
 * are the plugins: `pre` runs in order, before the body is read; `body` runs in order once it is whole, if a `pre`
 * asked for that; `post` runs in reverse order and sees every answer, 401 and 503 too.
 *
 * Pure: no libuv, no libmicrohttpd. Time comes from the clock, deadlines go on the heap.
 */
#pragma once
#include "gateway/base/turn.h"
#include "gateway/invocation/invocation.h"
#include "gateway/invocation/router.h"

enum step_result { STEP_NEXT, STEP_WAIT, STEP_REPLY };

/* Which invocations a hook sees: those of clients' requests (what plugins are for); those and what clients prove later;
 * or all but those that only find out who a client is. */
enum hook_scope { HOOK_SEES_HTTP, HOOK_SEES_CREDENTIALS, HOOK_SEES_ALL };

struct hook {
    const char *name;
    void *self;
    enum hook_scope scope;
    enum step_result (*pre)(void *self, struct invocation *inv); /* NULL = none */
    /* For an invocation whose pre has set inv->whole_body: called once its body (NULL = none) is all here and before it
     * is admitted. NEXT or REPLY. NULL = none. */
    enum step_result (*body)(void *self, struct invocation *inv);
    void (*post)(void *self, struct invocation *inv); /* NULL = none */
    /* Asked by the ROUTE step, before any pre: answers a CORS preflight for a request to `route` by setting
     * inv->outcome. False = it is an ordinary OPTIONS. NULL = none. */
    bool (*preflight)(void *self, struct invocation *inv, const struct route *route);
};

/* Where admitted invocations run; a pool is one. */
struct executor;
struct executor_ops {
    /* NONE when one more fits now; else why not (QUEUE_FULL, UNAVAILABLE, SHUTTING_DOWN) and after how many seconds to
     * retry. */
    enum failure (*room)(struct executor *e, uint32_t *retry_after_s);
    /* What a client is told when room said no; counts it. NULL = the bare failure. */
    struct outcome (*refuse)(struct executor *e, struct invocation *inv, enum failure why);
    /* Arrow 3. Takes it into QUEUED, or completes it at once when there is no room. */
    void (*submit)(struct executor *e, struct invocation *inv);
    /* The invocation is about to leave QUEUED or RUNNING because it has been completed; it is still in its place. */
    void (*completed)(struct executor *e, struct invocation *inv);
    /* How many more would run now, or as soon as processes that may be started are there. NULL = nobody may ask. */
    size_t (*places)(struct executor *e);
    /* Offers the cancellation to the worker that runs it. */
    void (*cancel)(struct executor *e, struct invocation *inv);
};
struct executor {
    const struct executor_ops *ops;
    bool streams_request; /* takes a request body that is still arriving */
};

struct pipeline_counters {
    uint64_t started, finished, late_results, cancelled;
    uint64_t failures[FAILURE_COUNT];
};

struct pipeline {
    struct clock *clock;
    struct log *log;
    struct deadlines *deadlines;
    struct turn *turn;
    const struct router *router;
    const struct hook *hooks;
    size_t hook_count;
    uint64_t in_flight_limit;
    uint64_t in_flight;                    /* NEW .. POST */
    bool draining;                         /* new invocations are refused with SHUTTING_DOWN */
    struct list places[INVOCATION_STATES]; /* all but QUEUED and RUNNING */
    struct list recycled;
    struct pipeline_counters counters;
};

void pipeline_init(struct pipeline *p, struct clock *clock, struct log *log, struct deadlines *deadlines,
                   struct turn *turn);
void pipeline_close(struct pipeline *p); /* nothing may be in flight */
/* Arrow 1. Either may finish and free the invocation before it returns. Resume goes on after the hook that parked; it
 * does nothing when the invocation has left PRE. */
void pipeline_run(struct invocation *inv);
void pipeline_resume(struct invocation *inv);
/* Arrow 5 for a step that parked: ends it with this outcome from NEW, PRE or BODY. */
void pipeline_reply(struct invocation *inv, struct outcome outcome);
/* Whether one more invocation of this route would be admitted now. */
bool pipeline_room(const struct route *route);
/* The question of a source that fetches its events: how many more invocations of this route would run now. */
size_t pipeline_places(const struct route *route);
