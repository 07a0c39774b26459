/* event_private.h - what the files about event streams share; nobody else includes it.
 *
 * event_streams.c  the table: life, draining
 * event_held.c     one held stream
 * event_relay.c    a handler's stream on its way
 */
#pragma once
#include "gateway/event_stream/event_boundary.h"
#include "gateway/event_stream/event_streams.h"
#include "gateway/event_stream/event_text.h"
#include "gateway/websocket/outqueue.h"

enum event_stream_state { EVENT_STREAM_OPEN, EVENT_STREAM_ENDING, EVENT_STREAM_GONE, EVENT_STREAM_STATES };

struct event_stream {
    struct list_node node; /* of its state */
    struct event_streams *all;
    enum event_stream_state state;
    struct member member;
    void *owner;
    struct slice route, client;
    int fd;
    struct watch *watch;
    unsigned interest;
    struct turn_task task;
    struct deadline timer;
    struct event_rules rules;
    struct body *opening; /* the handler's answer; NULL once it is over */
    struct event_boundary boundary;
    struct outqueue out, behind; /* behind: what waits for the opening's end */
    uint64_t opened_ms, said_ms, since_ms;
    bool readable, shut;
};

struct event_streams {
    struct loop *loop;
    struct members *members;
    struct event_stream_ops ops;
    struct list states[EVENT_STREAM_STATES];
    struct list relays;
    struct turn_task bury;
    struct deadline drain;
    bool draining;
    struct event_streams_counters counters;
};

static inline uint64_t event_streams_now_ms(const struct event_streams *all) {
    return clock_now_ms(loop_clock(all->loop));
}
/* Spreads the clients' coming back. */
void event_streams_write_retry(struct event_streams *all, struct buf *out);

/* event_held.c */
void event_stream_end(struct event_stream *s, const char *why);
/* The same, but the client is told when to come back. */
void event_stream_dismiss(struct event_stream *s);
void event_stream_drop(struct event_stream *s, const char *why);
void event_stream_free(struct event_stream *s);

/* event_relay.c */
void event_relays_drain(struct event_streams *all);
void event_relays_free(struct event_streams *all);
