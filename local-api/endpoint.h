/* endpoint.h - where one handler process meets the gateway.
 *
 * A TCP listener on 127.0.0.1 and a Unix socket, opened before the process is forked: whoever speaks
 * there is that process (its user is checked), and no id of another process is known there. Every
 * request is a struct call, made at its head, routed by the faces' tables, and gone with its exchange:
 *
 *   call_begin -> the face's begin -> (on_data ... on_end) -> a reply, or parked until one is due -> on_left
 *
 * A parked poll waits in `polls`, the longest waiting first; deliver gives an event to the first with
 * room, flush sends those that were given any. What polls can take, bounded by the process's free
 * places, is what the worker offers. Answers name their invocation by id and are accepted from any
 * connection of the endpoint; nothing here keeps a pointer to an invocation between two callbacks.
 *
 * A handler that is attached to (pool/attach.h) has an endpoint without a process of ours, and only connections tell
 * whether somebody is there. When the last one closes while events are held, its client may only have dropped an idle
 * connection; but when it has not come back after a moment, or somebody polls anew, it has left, and the events
 * are answered 502.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/pool.h"
#include "gateway/source/http/http_server.h"

struct runtime_api;
struct call;

/* What becomes of a call; each may be NULL. */
struct call_ops {
    bool break_off; /* of a streamed answer: its connection ends when its client has left */
    size_t (*on_data)(struct call *c, struct slice bytes); /* as http_server_ops; NULL = thrown away */
    void (*on_end)(struct call *c);
    void (*on_left)(struct call *c); /* the exchange or the endpoint is over: let go of everything */
    /* Of a poll that is parked. */
    void (*add)(struct call *c, struct invocation *inv); /* an event for it, at most `room` times */
    void (*send)(struct call *c);                        /* nothing more comes in this turn: reply */
    void (*drain)(struct call *c); /* no event will come any more: reply; NULL = held until the end */
    void (*tell)(struct call *c);  /* endpoint->cancelled has something for it: reply; NULL = not told */
};

struct call {
    struct list_node node;     /* in one of the endpoint's lists */
    struct endpoint *endpoint; /* NULL once one of the two is over */
    struct http_exchange *exchange;
    const struct call_ops *ops;
    struct slice id; /* the invocation in the path; lives as long as the exchange */
    void *context;   /* the face's */

    unsigned room, events; /* a poll's: can take, was given */
    struct buf out;        /* the reply in the making */

    struct buf in; /* of an upload: all of it, or a head that is not complete yet */
    struct chunk *body;
    uint64_t left;      /* of a message's body */
    bool skipping;      /* what is left of it is thrown away */
    const char *flaw;   /* of a pipeline; nothing after it is read */
    struct buf refused; /* "ID REASON, ID REASON" */

    struct body *sink; /* of a streamed answer: the producer's end */
    struct answer_stream stream;
};

/* How an invocation ended that its process did not end itself. */
enum end_reason { END_NONE, END_DEADLINE, END_CLIENT_GONE, END_SHUTDOWN };
struct ended {
    char id[UUID_TEXT_SIZE];
    enum end_reason reason;
};
#define ENDPOINT_ENDED_KEPT 32

struct endpoint {
    struct runtime_api *api;
    struct worker *worker;
    struct listener *tcp, *local;
    struct http_group group;
    struct list polls, waiters, calls; /* every call is in one of them */
    struct list extensions;            /* extension.h */
    struct buf cancelled;              /* "ID, ID": for the next exchange */
    size_t cancelled_count;
    bool tells_cancelled; /* somebody uses the native face's exchange */
    bool asked;           /* it has asked for work */
    bool draining;
    struct invocation *completing; /* the one that this process answers just now; compared only */
    struct ended ended[ENDPOINT_ENDED_KEPT];
    size_t ended_count;
    struct turn_task attend; /* what may not be done while the pool is on the stack */
    struct deadline linger;  /* after the exit */
    unsigned linger_left;
    struct list_node attached; /* in the API's list, when it is for attaching */
    bool attended;             /* a process that was attached has not left, as far as is known */
    struct deadline deserted;  /* armed: no connection is left of the process that was there */
};

/* A row of a face's table; {id} in the path stands for one segment. */
struct api_route {
    const char *method; /* NULL = begin says which */
    const char *path;
    void (*begin)(struct call *c);
};

/* --- life --- */
struct endpoint *endpoint_open(struct runtime_api *api, struct worker *w, struct error *e);
const char *endpoint_socket_path(const struct endpoint *ep); /* of the Unix socket */
void endpoint_stopping(struct endpoint *ep, enum stop_reason why);
/* False when what the process sent before its end has yet to be read; worker_finished follows within milliseconds. */
bool endpoint_exited(struct endpoint *ep);
void endpoint_close(struct endpoint *ep);
/* A connection, of whatever endpoint, has ended. */
void endpoint_look_for_client(struct endpoint *ep);

/* --- events --- */
/* Parks a call until deliver gives it up to `room` events. */
void endpoint_park(struct call *c, unsigned room, const struct call_ops *ops);
void endpoint_deliver(struct endpoint *ep, struct invocation *inv);
void endpoint_flush(struct endpoint *ep);
/* Somebody asks for events. What a client that has left still held is answered. */
void endpoint_greet(struct endpoint *ep);
/* Tells the pool what can be taken now. Not while the pool is on the stack. */
void endpoint_offer(struct endpoint *ep);
/* The same, and telling cancellations, from anywhere: later in this turn. */
void endpoint_attend_soon(struct endpoint *ep);
/* When an invocation must have been answered, in Unix ms. */
uint64_t endpoint_deadline_ms(const struct endpoint *ep, const struct invocation *inv);

/* --- answers --- */
/* An invocation that the process holds; NULL when it holds none of that id. */
struct invocation *endpoint_find(struct endpoint *ep, struct slice id);
/* The same, but only while somebody waits for its answer. One that is answered although its client has left ends here.
 */
struct invocation *endpoint_find_wanted(struct endpoint *ep, struct slice id);
/* Arrow 5. Logs an answer that is none. */
void endpoint_complete(struct endpoint *ep, struct invocation *inv, struct outcome o);
/* Why it is no longer waited for; END_NONE when that is not known. */
enum end_reason endpoint_end_of(const struct endpoint *ep, struct slice id);
void endpoint_cancel(struct endpoint *ep, struct invocation *inv);
/* The client of an answer that is still arriving has left: the process is told as of a cancelled invocation. */
void endpoint_note_left(struct endpoint *ep, struct answer_stream *s);
bool endpoint_is_streaming(const struct endpoint *ep, struct slice id);
/* Wakes those that asked to be told about this one. */
void endpoint_wake_waiters(struct endpoint *ep, struct slice id);
void endpoint_forget(struct endpoint *ep, struct invocation *inv);
const char *end_reason_text(enum end_reason r);

/* --- calls --- */
void call_begin(struct http_exchange *x);
size_t call_data(struct http_exchange *x, struct slice bytes);
void call_end(struct http_exchange *x);
void call_gone(struct http_exchange *x);
void call_done(struct http_exchange *x, bool replied);
struct slice call_header(const struct call *c, struct slice name);
/* Replies. The buffer is used up. */
void call_reply(struct call *c, int status, const char *content_type, struct buf *take_body);
void call_accept(struct call *c); /* 202 */
/* An error in Lambda's shape: {errorMessage, errorType}. */
void call_refuse(struct call *c, int status, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* An error of the native face: a problem document. */
void call_problem(struct call *c, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Collects the body in c->in, at most `limit` bytes. False (and nothing is kept) above. */
bool call_collect(struct call *c, struct slice bytes, uint64_t limit);
