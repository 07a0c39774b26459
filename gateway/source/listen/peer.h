/* peer.h - who is at the other end of a connection.
 *
 * Filled by the listener from the accepted socket; a PROXY header replaces address and port, a TLS handshake adds what
 * only the session knows. That part is shared: the pump that carries the bytes and the exchange that serves the
 * requests may end in either order, and each holds a reference. Each also has an ear there, through which the other
 * tells it at once what it would learn from the kernel later and dearer.
 */
#pragma once
#include "gateway/base/slice.h"

#define PEER_FINGERPRINT_SIZE 64 /* SHA-256 in hex */

struct peer_ear {
    void (*on_told)(void *context); /* NULL = nobody listens (any more) */
    void *context;
};
struct peer_tls {
    unsigned references;
    int wire;      /* the client's socket; -1 once it is closed. Only to be asked how much it has to send. */
    char *subject; /* of the client's certificate, as RFC 2253 text; NULL = it showed none */
    char fingerprint[PEER_FINGERPRINT_SIZE + 1]; /* of that certificate, lower case; "" = none */
    uint64_t fed;                                /* plain bytes that the pump has put into the pair */
    struct peer_ear server;                      /* the pump has put bytes, or an end, into the pair */
    struct peer_ear pump;                        /* the server has written an answer into the pair */
};
struct peer {
    char address[48]; /* numeric; "unix:" for a local socket */
    uint16_t port;
    bool local;           /* an AF_UNIX socket */
    struct peer_tls *tls; /* NULL = the connection came in the clear */
};

/* `bytes` in network order. An IPv4 address in IPv6 form (::ffff:192.0.2.1) is told as the IPv4 address. */
void peer_set_ipv4(struct peer *p, const void *bytes, uint16_t port);
void peer_set_ipv6(struct peer *p, const void *bytes, uint16_t port);
void peer_set_local(struct peer *p);

struct peer_tls *peer_tls_new(int wire); /* one reference */
struct peer_tls *peer_tls_hold(struct peer_tls *t);
void peer_tls_release(struct peer_tls *t); /* NULL is fine */
void peer_ear_tell(const struct peer_ear *ear);
