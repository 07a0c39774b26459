/* tls_socket.h - a client's socket as OpenSSL sees it.
 *
 * Writing never blocks and never fails half-way: what the kernel does not take is kept in `out`, and whoever owns the
 * socket stops producing until tls_socket_flush has emptied it. Reading asks the kernel only while `readable` says that
 * there may be something: a short read clears it, the owner's watch sets it again. So a request costs one receive, not
 * a second one that finds nothing.
 */
#pragma once
#include "gateway/base/buf.h"

struct ssl_st;
struct bio_method_st;

struct tls_socket {
    int fd;
    bool readable;
    bool ended;       /* the client sent its FIN */
    bool failed;      /* reset, or a write failed */
    bool too_much;    /* `allowance` is used up */
    char first;       /* the first byte that came */
    size_t received;  /* bytes, in all */
    size_t allowance; /* bytes that may be received in all; 0 = without bound */
    struct buf out;   /* what the kernel did not take */
};

/* One for any number of sockets; must outlive their sessions. NULL when memory is out. */
struct bio_method_st *tls_socket_method_new(void);
void tls_socket_method_free(struct bio_method_st *method); /* NULL is fine */
/* Makes the session read from and write to the socket, which must outlive it. */
bool tls_socket_attach(struct tls_socket *s, struct ssl_st *ssl, struct bio_method_st *method);
/* Bytes from the socket, past OpenSSL: 0 at its end or when there is nothing now. */
size_t tls_socket_receive(struct tls_socket *s, char *room, size_t size);
/* Bytes to the socket, past OpenSSL. */
void tls_socket_send(struct tls_socket *s, struct slice bytes);
/* Sends what was kept. */
void tls_socket_flush(struct tls_socket *s);
