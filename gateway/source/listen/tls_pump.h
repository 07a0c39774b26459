/* tls_pump.h - carries bytes between clients that speak TLS and an HTTP server that does not.
 *
 *   client's socket  <- TLS ->  pump  <- plain bytes ->  a Unix socket pair, whose other end goes to the HTTP server
 *
 * So one place knows TLS, WebSockets can share it, and plain listeners pay nothing. A connection's life is its place:
 *
 *   SHAKING    the handshake; ends by itself, at its deadline, or when the client sends more than a handshake needs
 *   OPEN       both ends are carried. A full side stops the reading of the other. What one side ends is ended on the
 *              other: a client's close_notify shuts our half of the pair, which the HTTP server sees as leaving; the
 *              server's end of file becomes a close_notify and LINGERING. A client that vanishes without a
 *              close_notify may have been cut off by somebody else (RFC 8446 6.1): both ends are closed at once.
 *   LINGERING  the last bytes are on their way; what still comes is thrown away, because closing with unread bytes
 *              would make the client's system drop them
 *
 * A client that speaks plain HTTP gets a 400 that says so. A client that leaves while nothing is read from it is
 * noticed after a moment, as the HTTP server does on plain connections. Work is done on the turn, before that of the
 * public lanes. What goes into the pair is told to its other side through peer->tls, both ways.
 */
#pragma once
#include "gateway/source/listen/peer.h"
#include "gateway/source/listen/tls.h"

struct tls_pumps;
struct tls_pumps_config {
    struct loop *loop;
    struct log *log;
    /* The handshake is over; plain HTTP comes from take_fd. The reference peer->tls goes with it. */
    void (*on_open)(void *context, void *listener, int take_fd, const struct peer *peer);
    /* A connection has ended; NULL = not told. */
    void (*on_closed)(void *context);
    void *context;
};
/* All connections of a source, whatever their listener. NULL when memory is out. */
struct tls_pumps *tls_pumps_new(const struct tls_pumps_config *c, struct error *e);
/* Every connection must be over (tls_pumps_abort). NULL is fine. */
void tls_pumps_free(struct tls_pumps *ps);

struct tls_arrival {
    int take_fd;
    const struct peer *peer;
    struct tls_context *context; /* lent; the connection holds it */
    void *listener;              /* handed back to on_open */
    uint64_t deadline_ms;        /* monotonic; for the handshake */
};
void tls_pumps_add(struct tls_pumps *ps, const struct tls_arrival *a);
/* Breaks off the handshakes. */
void tls_pumps_drain(struct tls_pumps *ps);
/* Breaks off those of this listener: on_open is not called with it any more. */
void tls_pumps_abandon(struct tls_pumps *ps, const void *listener);
/* Breaks everything off. */
void tls_pumps_abort(struct tls_pumps *ps);
size_t tls_pumps_count(const struct tls_pumps *ps);
/* Those that are not OPEN: clients of ours that the HTTP server does not count. */
size_t tls_pumps_count_outside(const struct tls_pumps *ps);

struct tls_pumps_counters {
    uint64_t handshakes, resumed, failed_handshakes, truncated;
};
const struct tls_pumps_counters *tls_pumps_counters(const struct tls_pumps *ps);
