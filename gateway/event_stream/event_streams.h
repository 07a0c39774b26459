/* event_streams.h - server-sent events on their way to clients (WHATWG HTML 9.2): those that a handler writes, and
 * those that the gateway holds open without one.
 *
 * A *relay* stands between a handler's answer and the client's connection. It hands on every piece when it comes, says
 * something when the handler does not (a comment, between two events), and ends the stream when the gateway stops.
 *
 * A *held* stream is what is left of an exchange whose handler has named groups with its answer: a socket that was
 * taken out of the HTTP server. Its answer is sent first; what is sent to its groups meanwhile follows behind it.
 *
 *   OPEN    it is a member (websocket/members.h): found by its id, in groups, kept alive by comments
 *   ENDING  nothing more is said: what is left is sent, then our half is shut and the client's end of file awaited
 *   GONE    out of every list; freed at the end of the turn
 *
 * The owner's on_closed is called when it leaves OPEN, once. Nothing that a client sends is read but its end. One that
 * does not take what it is sent is dropped once it holds up max_outbound bytes; nobody else waits for it.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/body.h"
#include "gateway/invocation/event_rules.h"
#include "gateway/loop/loop.h"
#include "gateway/websocket/members.h"

struct event_streams;
struct event_stream;

struct event_stream_ops {
    void (*on_closed)(void *owner, const char *why); /* the owner is not called again */
    struct member_facts (*facts)(void *owner);       /* what it knows; the rest is filled in */
};

struct event_streams *event_streams_new(struct loop *l, struct members *members, const struct event_stream_ops *ops);
void event_streams_free(struct event_streams *all);          /* none may be left; NULL is fine */
size_t event_streams_count(const struct event_streams *all); /* held ones that still have a socket */
/* Every stream ends between two events, some hundreds at a time, with a `retry` that spreads the clients' coming back.
 */
void event_streams_drain(struct event_streams *all);
void event_streams_abort(struct event_streams *all);          /* breaks the held ones off */
bool event_streams_are_idle(const struct event_streams *all); /* neither held streams nor relays are left */

struct event_streams_counters {
    uint64_t held, slow, beats;
};
const struct event_streams_counters *event_streams_counters(const struct event_streams *all);

/* --- relays --- */
/* The body that clients get, consumer's end; takes the handler's. */
struct body *event_relay_new(struct event_streams *all, struct body *take_answer, const struct event_rules *rules);

/* --- held streams --- */
struct event_stream_start {
    int take_fd;
    struct buf *take_head;     /* to be sent first; emptied */
    struct body *take_opening; /* then this, perhaps still arriving; NULL = nothing */
    const char *id;            /* WEBSOCKET_ID_SIZE */
    const struct event_rules *rules;
    struct slice route, client; /* what event_streams_count_of counts; live as long as the owner */
    void *owner;
};
/* NULL when the descriptor cannot be polled (everything is let go of then). Nothing is sent before the next turn. */
struct event_stream *event_stream_open(struct event_streams *all, const struct event_stream_start *start);
struct member *event_stream_member(struct event_stream *s);
/* Open ones of a route; of one client on it, unless `client` is absent. */
size_t event_streams_count_of(const struct event_streams *all, struct slice route, struct slice client);
