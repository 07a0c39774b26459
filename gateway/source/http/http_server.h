/* http_server.h - an HTTP/1.1 server on many small libmicrohttpd daemons ("lanes") on one loop.
 *
 * The only room that knows libmicrohttpd. Two servers exist: the public one and the one that handler processes
 * talk to. Sockets come from listeners (http_server_add) and are spread over the lanes; many lanes keep the cost of a
 * resume flat when thousands of requests wait. Lanes are pumped as tasks on the turn, never from inside a callback.
 *
 * The life of an exchange (one request and its reply), always in this order:
 *   on_head    headers are here. The owner replies, or starts reading the body (http_exchange_read), or does
 *              neither: then the exchange is parked, no `100 Continue` is sent and no body is read, until it does.
 *   on_data    part of the body; returns how many bytes it took. Fewer than offered pauses the upload until
 * http_exchange_read. on_end     the body is complete (called also when there is none and http_exchange_read was
 * called). on_gone    the peer left while we owed it a reply: noticed within ~100 ms even when parked. on_done follows.
 *   on_done    over, exactly once per on_head: replied completely, or broken. The exchange is invalid afterwards.
 * Callbacks are called from the pump; http_exchange_* may be called from any place, in or outside them.
 *
 * Own deadlines replace libmicrohttpd's: header (from the connection's or the request's first byte), body (without
 * progress), sending (without progress) and idle; a sweep each second shuts down what is overdue.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/fields.h"
#include "gateway/base/log.h"
#include "gateway/invocation/body.h"
#include "gateway/loop/loop.h"
#include "gateway/source/listen/listener.h"

struct http_server;
struct http_exchange;

struct http_server_ops {
    void (*on_head)(struct http_exchange *x);
    size_t (*on_data)(struct http_exchange *x, struct slice bytes);
    void (*on_end)(struct http_exchange *x);
    void (*on_gone)(struct http_exchange *x); /* NULL = just on_done */
    /* The body made no progress for body_timeout_ms: two seconds to reply 408, then the connection is broken off. NULL
     * = at once. */
    void (*on_body_timeout)(struct http_exchange *x);
    void (*on_done)(struct http_exchange *x, bool replied);
    /* A message that libmicrohttpd or a deadline ended before on_head is only counted. */
    void (*on_room)(struct http_server *s); /* a connection has ended; NULL = not told */
};

struct http_server_config {
    const struct http_server_ops *ops;
    enum turn_phase phase; /* TURN_PUBLIC or TURN_LOCAL */
    unsigned lanes;
    size_t max_header; /* bytes of request line and fields; above: 431 or 414 */
    uint64_t max_connections;
    uint64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms; /* 0 = none */
    struct log *log;
    void *context; /* http_exchange_context of exchanges gives the group's; this one is the server's */
};

/* Connections that belong together: a listener's or an endpoint's. Closing a group ends them all. */
struct http_group {
    void *context;
    struct list connections;
    bool draining; /* each connection closes after its reply */
};
void http_group_init(struct http_group *g, void *context);
/* Breaks every connection of the group off; their on_done follow on the turn, with the group gone: x's group is then
 * NULL. */
void http_group_close(struct http_group *g);
/* As http_server_drain, of this group's connections. */
void http_group_drain(struct http_group *g);

struct http_server *http_server_new(struct loop *l, const struct http_server_config *c, struct error *e);
/* Every connection must be over (http_server_drain, http_group_close and a few turns). */
void http_server_free(struct http_server *s);
/* Takes the socket over, and the reference peer->tls. Over max_connections the socket is closed and false returned. */
bool http_server_add(struct http_server *s, struct http_group *g, int take_fd, const struct peer *peer);
/* For what comes from now on; max_header stays what it was, since memory was reckoned by it. */
void http_server_limit(struct http_server *s, uint64_t max_connections, const struct limits_config *limits);
/* From now on every reply carries `Connection: close`, and idle connections are closed. */
void http_server_drain(struct http_server *s);
size_t http_server_connections(const struct http_server *s);
size_t http_server_exchanges(const struct http_server *s); /* between on_head and on_done */

struct http_server_counters {
    uint64_t connections, exchanges, refused_connections, header_timeouts, body_timeouts, send_timeouts, idle_timeouts,
        gone;
};
const struct http_server_counters *http_server_counters(const struct http_server *s);

/* --- one exchange; slices live until on_done --- */
struct slice http_exchange_method(const struct http_exchange *x);
struct slice http_exchange_target(const struct http_exchange *x);  /* raw, as on the request line */
struct slice http_exchange_version(const struct http_exchange *x); /* "HTTP/1.1" */
size_t http_exchange_head_size(const struct http_exchange *x);     /* bytes of request line and fields as received */
struct slice http_exchange_header(const struct http_exchange *x, struct slice name); /* the first */
/* All fields in order, into an array in `a`; names and values are copied into `a` when `copy` says so. */
enum http_copy { HTTP_BORROW, HTTP_COPY };
void http_exchange_fields(const struct http_exchange *x, struct arena *a, enum http_copy copy, struct fields *out);
struct slice http_exchange_trailer(const struct http_exchange *x, struct slice name); /* from on_end on */
const struct peer *http_exchange_peer(const struct http_exchange *x);
int http_exchange_fd(const struct http_exchange *x); /* for SO_PEERCRED; never read or write it */
struct http_group *http_exchange_group(const struct http_exchange *x);
struct http_server *http_exchange_server(const struct http_exchange *x);
void *http_server_context(const struct http_server *s);
void http_exchange_set_user(struct http_exchange *x, void *user);
void *http_exchange_user(const struct http_exchange *x);
/* BODY_LENGTH_UNKNOWN for chunked, 0 for none. */
int64_t http_exchange_content_length(const struct http_exchange *x);
bool http_exchange_replied(const struct http_exchange *x);
/* Every line of the head ended with CRLF, nothing was folded, no NUL cut anything short: what libmicrohttpd
 * forgives without a word. A head that is not exact may be read differently by another parser (RFC 9112 11.2). */
bool http_exchange_head_is_exact(const struct http_exchange *x);

/* Start (or go on) reading the body; sends `100 Continue` if it was asked for. */
void http_exchange_read(struct http_exchange *x);

struct http_reply {
    int status;
    const struct fields
        *headers; /* copied; NULL = none. Content-Length, Connection, Date, Transfer-Encoding are the server's. */
    struct body
        *take_body; /* consumer's end; NULL = empty. One still arriving is streamed, chunked or close-delimited. */
    enum { HTTP_KEEP, HTTP_CLOSE } connection;
};
/* Once per exchange. For HEAD the body's length is told, its bytes are not sent. Without effect when the peer has gone.
 */
void http_exchange_reply(struct http_exchange *x, const struct http_reply *reply);
/* The same without a body chain: bytes whose memory the reply takes over (malloc'd). */
void http_exchange_reply_bytes(struct http_exchange *x, int status, const struct fields *headers, char *take_bytes,
                               size_t n);

/* Whoever takes a connection over: once 101 has been sent, or to send an answer by itself. One of the two is called,
 * once. */
struct http_upgrade {
    int fd;          /* the server's own: the copy that will be handed over */
    struct buf head; /* of an answer that the taker sends: it takes that too. Empty after a 101. */
    /* `early`: bytes that came behind the request; lent. Reads and writes are the taker's from now on. */
    void (*taken)(struct http_upgrade *u, int take_fd, struct slice early);
    void (*lost)(struct http_upgrade *u); /* the client left before */
};
/* Replies 101. Connection is the server's; Upgrade and the rest are in `headers`. The exchange ends as any other. False
 * when there is no descriptor for the connection that is to leave: nothing was replied, nobody was called. */
bool http_exchange_upgrade(struct http_exchange *x, const struct fields *headers, struct http_upgrade *u);
/* The connection leaves as it is, with the answer's head for the taker to send, and a body behind it, which lasts until
 * the connection ends. False as above. */
bool http_exchange_hand_over(struct http_exchange *x, int status, const struct fields *headers, struct http_upgrade *u);

/* A reply made once and sent many times (202 with a tiny body). */
struct http_canned;
struct http_canned *http_canned_new(int status, const char *content_type, struct slice body);
void http_canned_free(struct http_canned *c);
void http_exchange_reply_canned(struct http_exchange *x, struct http_canned *c);
/* Breaks the connection off without a reply. */
void http_exchange_abort(struct http_exchange *x);
