/* websockets.h - the open WebSocket connections of a gateway: their sockets, their ids, their groups.
 *
 * A connection is made when its handshake has been answered, and its owner is told of whole messages and of its end:
 *
 *   OPEN      messages are read and sent
 *   CLOSING   our Close is on its way; the client's is awaited for a few seconds and whatever else comes is thrown away
 *   LINGERING both have said Close, or there is nothing more to say: what is left is sent, then our half is shut and
 * the client's end of file awaited, because closing with unread bytes would make its system drop our Close GONE out of
 * every list; freed at the end of the turn
 *
 * The owner's on_closed is called when it leaves OPEN, once; from then on nobody finds the connection by its id.
 *
 * Ids are 128 random bits, or 96 behind a node's tag. Groups are rooms: they exist while somebody is in them. What is
 * sent to many is made once and held by all (struct parcel). A connection that does not take what it is sent is closed
 * with 1013 once it holds up `max_outbound` bytes; nobody else waits for it. An idle connection has no buffers: one for
 * reading serves all.
 *
 * Pings find out whether a silent client is still there. A client that sends faster than `rate` is read later, not
 * refused. While its owner says so (websocket_pause), nothing is read from it.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/websocket/close_code.h"
#include "gateway/websocket/members.h"
#include "gateway/websocket/reader.h"

struct websockets;
struct websocket;
enum websocket_kind { WEBSOCKET_TEXT, WEBSOCKET_BINARY };

struct websocket_rules {
    struct reader_limits limits;
    uint64_t max_outbound; /* bytes that wait for a client */
    uint64_t ping_ms;      /* of silence before it is pinged; 0 = never */
    uint64_t pong_ms;      /* how long it may take to stir then */
    uint64_t idle_ms;      /* without a message in either direction; 0 = for ever */
    uint64_t rate_per_day; /* messages that are read; 0 = no bound */
    uint64_t burst;
    uint64_t max_groups;
};

struct websocket_ops {
    void (*on_message)(void *owner, enum websocket_kind kind, struct chunk *take_message);
    /* The owner is not called again. The reason lives as long as the call. */
    void (*on_closed)(void *owner, int code, struct slice reason);
    /* What the owner knows of it; the rest is filled in. */
    struct member_facts (*facts)(void *owner);
};

/* `members`: where open ones are entered, perhaps beside other kinds; lent. */
struct websockets *websockets_new(struct loop *l, struct members *members, const struct websocket_ops *ops);
void websockets_free(struct websockets *all);          /* none may be left; NULL is fine */
size_t websockets_count(const struct websockets *all); /* those that still have a socket */
size_t websockets_open(const struct websockets *all);
/* All of them are closed with 1001, some hundreds at a time, with a reason that spreads their coming back:
 * "reconnect in N ms". */
void websockets_drain(struct websockets *all);
void websockets_abort(struct websockets *all); /* breaks them off */

/* How many connections, and messages either way, there have been; how many were too slow, or had gone silent. */
struct websockets_counters {
    uint64_t opened, received, sent, slow, silent;
};
const struct websockets_counters *websockets_counters(const struct websockets *all);

/* HIDDEN: it is no member, so its id finds nothing, until websocket_reveal. */
enum websocket_presence { WEBSOCKET_KNOWN, WEBSOCKET_HIDDEN };
struct websocket_start {
    int take_fd;
    struct slice early; /* bytes that came right behind the handshake */
    const char *id;     /* WEBSOCKET_ID_SIZE, from members_make_id */
    const struct websocket_rules *rules;
    const struct deflate_terms *terms;
    enum websocket_presence presence;
    void *owner;
};
/* NULL when the descriptor cannot be polled (it is closed then). Nothing is read before the next turn. */
struct websocket *websocket_open(struct websockets *all, const struct websocket_start *start);
/* From now on it is known, and its messages have these bounds. */
void websocket_reveal(struct websocket *ws, const struct reader_limits *limits);
struct member *websocket_member(struct websocket *ws);
struct websocket *websocket_of_member(struct member *m); /* NULL: of another kind */
void *websocket_owner(const struct websocket *ws);
uint64_t websocket_heard_ms(const struct websocket *ws); /* monotonic: when its client last sent anything */

/* Bytes that are to go to one connection or many. */
struct parcel {
    enum websocket_kind kind;
    struct slice payload;                      /* lent until parcel_free */
    struct slice event, event_id;              /* for event streams: a line each; absent = none */
    struct chunk *plain, *packed, *event_text; /* made when the first needs them */
};
struct parcel parcel_make(enum websocket_kind kind, struct slice payload);
void parcel_free(struct parcel *p);
/* False when the connection is not open any more, or was closed because it is too slow. */
bool websocket_send(struct websocket *ws, struct parcel *p);
/* Says Close with a code that may be sent. Idempotent: the first one counts. */
void websocket_close(struct websocket *ws, int code, struct slice reason);
void websocket_pause(struct websocket *ws);
void websocket_resume(struct websocket *ws);
bool websocket_is_paused(const struct websocket *ws);
