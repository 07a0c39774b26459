/* websocket_private.h - what the files about open connections share; nobody else includes it.
 *
 * websockets.c        the table: ids, life, draining
 * websocket.c         one connection: reading, states, time
 * websocket_send.c    what goes to clients
 */
#pragma once
#include "gateway/websocket/outqueue.h"
#include "gateway/websocket/websockets.h"

#define READ_SIZE (64 * 1024)
#define CLOSE_WAIT_MS 5000
#define LINGER_WAIT_MS 2000

enum websocket_state { WEBSOCKET_OPEN, WEBSOCKET_CLOSING, WEBSOCKET_LINGERING, WEBSOCKET_GONE, WEBSOCKET_STATES };

struct websocket {
    struct list_node node; /* of its state */
    struct websockets *all;
    enum websocket_state state;
    struct member member;
    int fd;
    struct watch *watch;
    unsigned interest;
    struct turn_task task;
    struct deadline timer;
    void *owner;
    struct websocket_rules rules;
    struct reader reader;
    struct deflater *deflater;
    struct buf unread; /* what came while it was paused */
    struct outqueue out;
    uint64_t heard_ms, active_ms;
    uint64_t since_ms;  /* of a state that ends by itself */
    uint64_t pinged_ms; /* 0 = no ping is out */
    uint64_t due_us;    /* of the rate: when the next message would have come at its pace */
    uint64_t held_ms;   /* nothing is read before; 0 = no matter */
    bool paused, readable, shut;
    bool stopped; /* reading ended before all that was fed was taken */
    bool left;    /* its client has hung up while nothing was read from it */
};

struct websockets {
    struct loop *loop;
    struct websocket_ops ops;
    struct list states[WEBSOCKET_STATES];
    struct members *members;
    struct turn_task bury;
    struct deadline drain;
    bool draining;
    char *room; /* READ_SIZE, for whoever reads just now */
    struct websockets_counters counters;
};

static inline uint64_t websockets_now_ms(const struct websockets *all) {
    return clock_now_ms(loop_clock(all->loop));
}

/* websocket.c */
void websocket_wake(struct websocket *ws);
/* Leaves OPEN: the owner and the groups are told, nobody finds it any more. */
void websocket_part(struct websocket *ws, int code, struct slice reason);
void websocket_move(struct websocket *ws, enum websocket_state state);
/* At once, without another word. */
void websocket_drop(struct websocket *ws);
/* What the watch is to look for now. */
void websocket_settle(struct websocket *ws);
void websocket_free(struct websocket *ws);

/* websocket_send.c */
extern const struct member_ops websocket_member_ops;
