/* websocket_private.h - what the files of the websocket source share; nobody else includes it.
 *
 * websocket_source.c     the source, and its sessions' lives
 * websocket_site.c       a path of a generation: its routes, its origins, its handshakes
 * websocket_handshake.c  one handshake, from the request to the session
 * websocket_proof.c      a client that proves who it is with its first message
 * websocket_event.c      what happened, as an invocation
 * websocket_message.c    messages, their order and their answers
 * websocket_acknowledge.c  messages that are handled once, and acknowledged
 * websocket_seen.c       which those were (websocket_seen.h)
 * websocket_delivery.c   messages that clients acknowledge (websocket_delivery.h)
 * websocket_cluster.c    what the cluster is told of sessions, and what it asks for
 * websocket_record.c     a session as it is written down for others
 */
#pragma once
#include "gateway/base/map.h"
#include "gateway/cluster/cluster.h"
#include "gateway/invocation/collector.h"
#include "gateway/invocation/event.h"
#include "gateway/source/websocket/websocket_seen.h"
#include "gateway/source/websocket/websocket_source.h"

#define WEBSOCKET_TAKEN_FOR_DEAD SLICE("the gateway was cut off and taken for dead; connect again")
#define WEBSOCKET_NOT_SERVED SLICE("this path is not served any more")
#define WAITING_MOST 8 /* messages that wait for their handler before no more are read */

/* How many connections somebody has. */
struct websocket_client {
    size_t key_size;
    uint64_t sessions;
    char key[];
};

struct websocket_source {
    struct loop *loop;
    struct log *log;
    struct websocket_source_host host;
    struct websockets *connections;
    struct cluster *cluster; /* NULL = none */
    struct list sessions;
    struct list leaving; /* sessions that count for nobody any more: the cluster is asked whose $disconnect is */
    struct map *clients; /* struct websocket_client */
    struct list held;    /* sessions whose handler has no room just now */
    struct deadline again;
    uint64_t max_connections;
    struct seen *seen;
    struct websocket_acknowledgements counters;
};

struct proof;
struct site_route {
    const struct websocket_trigger_config *trigger;
    struct slice name;
    struct route route;
};
struct websocket_site {
    struct executor executor;
    struct websocket_source *source;
    struct pipeline *pipeline;
    const struct websocket_config *config;
    struct cors_origins *origins; /* NULL = no list: only pages of its own address */
    struct list pending;          /* handshakes' invocations */
    struct executor prover;       /* of those who have passed the guards late */
    struct route proof_route;     /* the handshakes' own, but that */
    struct site_route *routes;
    size_t route_count, named; /* named: those that a message can ask for */
    const struct site_route *connect, *disconnect, *preset;
    uint64_t busy; /* handshakes and events of it that are not over */
};

struct session {
    struct list_node node;      /* in the source */
    struct list_node held_node; /* in its `held` */
    struct websocket_source *source;
    struct websocket *ws; /* NULL while it is not open */
    char id[WEBSOCKET_ID_SIZE];
    struct arena memory;
    struct slice path;     /* the pattern: what sites are found by */
    struct slice raw_path; /* as the client asked */
    struct slice host, scheme, client_address, user_agent, protocol;
    uint16_t client_port;
    struct slice *parameters;
    size_t parameter_count;
    struct identity *identity; /* NULL = nobody asked */
    struct websocket_client *client;
    struct seen_sender *sender;    /* NULL = none of its messages had an id */
    struct deliveries *deliveries; /* NULL = it was sent nothing to acknowledge */
    struct proof *proof;           /* while it is not known who the client is */
    uint64_t connected_ms;
    struct list waiting; /* struct message */
    size_t running;
    struct turn_task pump;
    struct websocket_site *site; /* that runs its $disconnect */
    bool opened, ended, told;    /* told: $disconnect has been run, or needs not be */
    bool recorded;               /* the cluster knows of it */
    bool orphan;                 /* its node died; this one sees to its end */
    bool confirmed;              /* its $disconnect is ours to run */
    bool stale;                  /* its id names a node that is no more */
    struct cluster_confirm confirm;
    int close_code;
    struct slice close_reason;
    struct slice groups; /* that it was in at the end */
};

struct message {
    struct list_node node;
    struct session *session;
    struct websocket_site *site; /* while it runs */
    const struct site_route *route;
    enum websocket_kind kind, reply_kind;
    struct chunk *bytes;
    char id[UUID_TEXT_SIZE];
    struct chunk *given_id;    /* by its client; empty = not a good one; NULL = none */
    struct seen_message *seen; /* while it is handled */
    bool well;
    struct collector collector;
};

/* websocket_source.c */
struct session *session_new(struct websocket_source *s, struct websocket_site *site, struct invocation *handshake);
/* Who the client was found to be, after its handshake. False: it has as many connections as it may. */
bool session_know(struct session *session, struct invocation *proof, uint64_t max_per_client);
/* Takes the descriptor; the session ends when it cannot be used. */
void session_open(struct session *session, const struct websocket_start *start);
/* No connection (any more). */
void session_end(struct session *session, int code, struct slice reason);
void session_pump_soon(struct session *session);
/* One that comes with its record, from a node that died: all that is left of it is its end. */
void session_of_record(struct websocket_source *s, struct slice id, struct slice record);
/* It counts for nobody any more; what is left to be done for it may take its time. */
void session_retire(struct session *session);
/* True when the handler's queue is full: the session is run again in a moment. What it would be refused waits. */
bool session_must_wait(struct session *session, const struct websocket_site *site, const struct site_route *route);
void session_free(struct session *session);
struct websocket_client *client_find(const struct websocket_source *s, struct slice key);

/* websocket_site.c */
const struct site_route *site_route_for(const struct websocket_site *s, const struct message *m);
bool site_trusts_origin(const struct websocket_site *s, const struct request *r);

/* websocket_handshake.c */
void handshake_submit(struct executor *e, struct invocation *inv);
void handshake_completed(struct executor *e, struct invocation *inv);

/* websocket_event.c */
struct event_order {
    struct websocket_site *site;
    const struct site_route *route;
    const struct source_ops *ops;
    void *context;
    struct websocket_event event; /* what is special about it */
};
/* The groups that it is in now, or was in at its end, as struct websocket_event has them. */
struct slice session_groups(const struct session *session, struct arena *a);
/* An invocation that is ready to run. */
struct invocation *session_event(struct session *session, const struct event_order *order);
/* The one of $connect: it shows the handshake. */
struct invocation *session_connect_event(struct session *session, const struct event_order *order,
                                         const struct request *handshake);
bool outcome_is_good(const struct outcome *o);

/* websocket_message.c */
void session_take_message(struct session *session, enum websocket_kind kind, struct chunk *take_bytes);
/* The next one, or else $disconnect when it is due. */
void session_run(struct session *session);
void message_free(struct message *m);
void session_say(struct session *session, enum websocket_kind kind, struct slice bytes);
/* As API Gateway tells it. */
void session_say_failure(struct session *session, const char *what, struct slice request_id);

/* websocket_acknowledge.c */
/* Of the present generation; NULL when the path is gone. */
const struct websocket_config *session_config(const struct session *session);
/* Looks for what the gateway itself reads. True: it was an acknowledgement, and is done. */
bool acknowledge_take(struct message *m);
/* DROP: it is, or was, handled already, and its client was told so if it was. */
enum acknowledge_verdict { ACKNOWLEDGE_HANDLE, ACKNOWLEDGE_DROP };
enum acknowledge_verdict acknowledge_begin(struct message *m);
void acknowledge_end(struct message *m); /* it was handled, or failed */

/* websocket_delivery.c */
void deliveries_acknowledge(struct session *session, struct slice id);
void deliveries_lose(struct session *session); /* all that wait */
void deliveries_free(struct session *session);

/* websocket_proof.c */
extern const struct executor_ops proof_executor;
/* Before the handshake is answered. */
void proof_begin(struct session *session, const struct websocket_site *site, const struct request *handshake);
struct reader_limits proof_limits(const struct session *session);
void proof_opened(struct session *session);
void proof_take_message(struct session *session, enum websocket_kind kind, struct chunk *take_bytes);
/* Asks the guards, when the message has come. */
void proof_run(struct session *session, struct websocket_site *site);
void proof_end(struct session *session); /* the connection is over */
void proof_free(struct session *session);

/* websocket_cluster.c */
/* It is open, or was before and has changed: whoever survives this node has to know. */
void session_record(struct session *session);
/* False while the cluster is asked; the session is run again when it has answered. */
bool session_may_end(struct session *session);
/* Its end has been dealt with. */
void session_unrecord(struct session *session);
/* To a connection of another node; nobody waits for what comes of it. */
void cluster_send_text(struct websocket_source *s, struct slice id, struct slice text);

/* websocket_record.c */
void session_record_write(struct buf *out, const struct session *session);
/* False for what is no record; what was read until then is the session's nevertheless. */
bool session_record_read(struct slice record, struct session *session);
