/* tls_client.h - a client that speaks TLS and shares the thread with the loop of the server under test.
 *
 * It never blocks: each step goes as far as the socket allows, and the loop runs in between.
 */
#pragma once
#include "tests/support/client.h"
#include "tests/support/pki.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

struct tls_client {
    struct client *wire; /* its socket and the ticker */
    SSL_CTX *context;
    SSL *ssl;
    struct buf in;
    struct buf out;
    size_t sent; /* of out */
    bool shaken;
    bool closed; /* close_notify, orderly */
    bool failed;
    bool deaf; /* does not read */
    unsigned long reason;
    const char *until;
    size_t until_size;
};

struct tls_wish {
    int version; /* the only one; 0 = any */
    const char *host;
    const char *protocols; /* ALPN, "\x02h2\x08http/1.1" */
    const struct identity *identity;
    SSL_SESSION *session;
};

static inline int tls_client_on_verify(int good, X509_STORE_CTX *context) {
    (void)good;
    (void)context;
    return 1;
}

static inline void tls_client_configure(struct tls_client *c, const struct tls_wish *w) {
    SSL_CTX_set_verify(c->context, SSL_VERIFY_PEER, tls_client_on_verify);
    SSL_CTX_set_security_level(c->context, 0); /* so that it would speak even the oldest */
    SSL_CTX_set_cipher_list(c->context, "ALL:@SECLEVEL=0");
    if (w->version) SSL_CTX_set_min_proto_version(c->context, w->version);
    if (w->version) SSL_CTX_set_max_proto_version(c->context, w->version);
    if (!w->identity) return;
    assert_int_equal(SSL_CTX_use_certificate(c->context, w->identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c->context, w->identity->key), 1);
}

/* Over a connection that is open already; its client is taken over. */
static inline struct tls_client *tls_client_over(struct client *take_wire, const struct tls_wish *w) {
    static const struct tls_wish none;
    if (!w) w = &none;
    struct tls_client *c = xcalloc(1, sizeof *c);
    c->wire = take_wire;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's own sockets write without MSG_NOSIGNAL */
    c->context = SSL_CTX_new(TLS_client_method());
    tls_client_configure(c, w);
    c->ssl = SSL_new(c->context);
    fcntl(c->wire->fd, F_SETFL, O_NONBLOCK);
    SSL_set_fd(c->ssl, c->wire->fd);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (w->host) SSL_set_tlsext_host_name(c->ssl, w->host);
    if (w->protocols) SSL_set_alpn_protos(c->ssl, (const unsigned char *)w->protocols, (unsigned)strlen(w->protocols));
    if (w->session) SSL_set_session(c->ssl, w->session);
    SSL_set_connect_state(c->ssl);
    return c;
}

static inline struct tls_client *tls_client_new(struct loop *l, uint16_t port, const struct tls_wish *w) {
    return tls_client_over(client_new(l, port), w);
}

static inline void tls_client_free(struct tls_client *c) {
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    client_free(c->wire);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

static inline bool tls_client_goes_on(struct tls_client *c, int result) {
    int why = SSL_get_error(c->ssl, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return false;
    if (why == SSL_ERROR_ZERO_RETURN)
        c->closed = true;
    else
        c->failed = true;
    c->reason = ERR_peek_last_error();
    ERR_clear_error();
    return false;
}

static inline void tls_client_write(struct tls_client *c) {
    while (c->sent < c->out.n) {
        size_t left = c->out.n - c->sent;
        int n = SSL_write(c->ssl, c->out.p + c->sent, (int)(left < 16384 ? left : 16384));
        if (n <= 0) {
            tls_client_goes_on(c, n);
            return;
        }
        c->sent += (size_t)n;
    }
}

static inline void tls_client_read(struct tls_client *c) {
    for (int i = 0; i < 64 && !c->deaf; i++) {
        int n = SSL_read(c->ssl, buf_reserve(&c->in, 16384), 16384);
        if (n <= 0) {
            tls_client_goes_on(c, n);
            return;
        }
        c->in.n += (size_t)n;
    }
}

static inline void tls_client_step(struct tls_client *c) {
    if (c->failed || c->closed) return;
    ERR_clear_error();
    if (!c->shaken) {
        int result = SSL_do_handshake(c->ssl);
        c->shaken = result == 1;
        if (!c->shaken) tls_client_goes_on(c, result);
    }
    if (!c->shaken) return;
    tls_client_write(c);
    if (!c->failed) tls_client_read(c);
}

static inline bool tls_client_is_shaken(void *context) {
    struct tls_client *c = context;
    tls_client_step(c);
    return c->shaken || c->failed;
}

/* True when the handshake succeeded, as far as the client can know. */
static inline bool tls_client_shake(struct tls_client *c) {
    assert_true(loop_run_until(c->wire->loop, tls_client_is_shaken, c, WAIT_MS));
    return c->shaken;
}

static inline bool tls_client_is_over(void *context) {
    struct tls_client *c = context;
    tls_client_step(c);
    return c->failed || c->closed;
}

static inline void tls_client_expect_end(struct tls_client *c) {
    assert_true(loop_run_until(c->wire->loop, tls_client_is_over, c, WAIT_MS));
}

static inline void tls_client_send(struct tls_client *c, const char *text) {
    buf_append_text(&c->out, text);
    tls_client_step(c);
}

static inline bool tls_client_has_awaited(void *context) {
    struct tls_client *c = context;
    tls_client_step(c);
    if (!c->until) return c->in.n >= c->until_size;
    return memmem(c->in.p ? c->in.p : "", c->in.n, c->until, strlen(c->until)) != NULL;
}

/* Waits for the text and drops everything up to its end. */
static inline void tls_client_expect(struct tls_client *c, const char *text) {
    c->until = text;
    if (!loop_run_until(c->wire->loop, tls_client_has_awaited, c, WAIT_MS))
        fail_msg("no \"%s\" in \"%.*s\" (%s)", text, (int)(c->in.n < 2000 ? c->in.n : 2000), c->in.p ? c->in.p : "",
                 c->failed ? ERR_reason_error_string(c->reason) : "no failure");
    char *at = memmem(c->in.p, c->in.n, text, strlen(text));
    buf_consume(&c->in, (size_t)(at - c->in.p) + strlen(text));
}

static inline void tls_client_expect_size(struct tls_client *c, size_t n) {
    c->until = NULL;
    c->until_size = n;
    assert_true(loop_run_until(c->wire->loop, tls_client_has_awaited, c, 4 * WAIT_MS));
}

/* Whether the server's certificate has this common name. */
static inline bool tls_client_met(const struct tls_client *c, const char *name) {
    char text[128] = "";
    X509 *certificate = SSL_get0_peer_certificate(c->ssl);
    if (!certificate) return false;
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text);
    return strcmp(text, name) == 0;
}
