/* watches.h - who waits for messages of a store, and when each of them is told.
 *
 * A store's own calls tell its watchers at once, or when the next message is due; what others have sent to the same
 * queues is found by looking now and then. Every store that keeps messages embeds one `struct queue_watches`, says how
 * often to look and what looking is, and calls queue_watch_ready_in for the watches that something concerns. It looks
 * only while somebody watches. A watcher is called from the turn, never from within the call that concerned it.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/loop/loop.h"
#include "gateway/queue/store.h"

struct queue_watches {
    struct loop *loop;
    struct list list; /* of struct queue_watch */
    struct deadline look;
    uint64_t look_every_ms;
    void (*on_look)(struct queue_watches *all);
};
struct queue_watch {
    struct list_node node;
    struct queue_watches *all;
    struct slice queue; /* its own copy */
    void (*on_ready)(void *context);
    void *context;
    struct deadline due;
    struct turn_task task;
};

void queue_watches_init(struct queue_watches *all, struct loop *loop, uint64_t look_every_ms,
                        void (*on_look)(struct queue_watches *all));
/* It is called once for what is there already. */
struct queue_watch *queue_watch_new(struct queue_watches *all, struct slice queue, void (*on_ready)(void *context),
                                    void *context);
void queue_watch_free(struct queue_watch *w); /* NULL is fine */
/* 0 = with this turn; an earlier moment that is set already stays. */
void queue_watch_ready_in(struct queue_watch *w, uint64_t in_ms);
