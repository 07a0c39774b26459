/* queue_desk.h - what the actions of `execgate queue` share: the blueprint, its store, and waiting for it.
 *
 * A desk opens the store that the gateway uses, beside the gateway if one runs, and asks it one thing at a time:
 *
 *   d->store->ops->stats(d->store, SLICE_NONE, queue_desk_ask(d));
 *   reply = queue_desk_wait(d, &e);      // NULL: e says why
 *
 * A reply lives until the next one has come. Work of many messages goes page by page, so its memory is bounded, and
 * ends after a page once SIGINT or SIGTERM came.
 */
#pragma once
#include "gateway/command/load.h"
#include "gateway/command/serve/queue_stores.h"

struct queue_desk {
    const struct arguments *arguments;
    struct blueprint *blueprint;
    struct clock *clock;
    struct log *log;
    struct loop *loop;
    struct queue_stores *stores;
    struct queue_store *store;
    struct queue_reply reply;
    struct arena memory; /* of the reply */
    bool answered;
    bool stopped; /* a signal asked for it; noticed while waiting */
};

/* Actions that put messages into queues tell the store first what the blueprint says of these. */
enum queue_desk_use { QUEUE_DESK_LOOKS, QUEUE_DESK_FILLS };
/* Opens a desk, works at it, and closes it. `work` gives an exit_status, or a negative code and why. */
int queue_desk_run(const struct arguments *a, enum queue_desk_use use,
                   int (*work)(struct queue_desk *d, struct error *e));

struct queue_done queue_desk_ask(struct queue_desk *d);
const struct queue_reply *queue_desk_wait(struct queue_desk *d, struct error *e);
/* 0 when the blueprint or the store knows the queue. */
int queue_desk_check(struct queue_desk *d, struct slice queue, struct error *e) MUST_CHECK;
/* The same for a queue that must be in the blueprint; NULL when it is not. */
const struct queue_config *queue_desk_config(struct queue_desk *d, struct slice queue, struct error *e);
/* Messages in the queue, in any place. */
int queue_desk_count(struct queue_desk *d, struct slice queue, uint64_t *count, struct error *e) MUST_CHECK;

/* From now on SIGINT and SIGTERM only ask for an end. */
int queue_desk_catch_signals(struct queue_desk *d, struct error *e) MUST_CHECK;
/* The exit status of work that may have been stopped. */
int queue_desk_end(const struct queue_desk *d);

/* A walk over all messages of a queue: zero-initialised but for desk and queue; `after` may be set. */
struct queue_walk {
    struct queue_desk *desk;
    struct slice queue;
    struct buf after; /* the position of the last message that was seen */
};
/* The next page, at most `max` messages; none at the end. NULL and why on an error. */
const struct queue_reply *queue_walk_next(struct queue_walk *w, unsigned max, struct error *e);
void queue_walk_free(struct queue_walk *w);

/* Options that every action has. */
#define QUEUE_DESK_OPTIONS                                                                                             \
    {"json", 0, NULL, "Print JSON instead of text, errors too"},                                                       \
        {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"}, {                              \
        "blueprint", 'b', "FILE", "The blueprint, instead of the argument"                                             \
    }
/* --NAME as a count from 1; `otherwise` when it was not given. */
int queue_option_count(const struct arguments *a, const char *name, uint64_t otherwise, uint64_t *count,
                       struct error *e) MUST_CHECK;
/* The queue that an action is for: its first argument. */
int queue_argument(const struct arguments *a, struct slice *queue, struct error *e) MUST_CHECK;
/* How long, for people: "3h 12m", "4.2s". */
#define QUEUE_AGE_SIZE 32
void queue_age_write(char out[QUEUE_AGE_SIZE], uint64_t ms);
/* What was done, as "QUEUE: COUNT WHAT" or {"queue": QUEUE, WHAT: COUNT}; `what` is one word. */
void queue_desk_tell(const struct queue_desk *d, struct slice queue, const char *what, uint64_t count);
