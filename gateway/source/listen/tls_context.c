#include "gateway/source/listen/tls_context.h"
#include "gateway/base/map.h"
#include "gateway/base/memory.h"
#include "gateway/source/listen/tls_private.h"
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* Mozilla's intermediate configuration, version 5.7. */
#define CIPHERS                                                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                           \
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
#define CIPHERSUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define SESSION_SECONDS 7200
#define CLIENT_CHAIN_MAX (64 * 1024) /* bytes of certificates that a client may send */
#define HOST_MAX 255

static const unsigned char session_id_context[] = "execgate";

struct tls_context {
    unsigned references;
    SSL_CTX **contexts;
    size_t count;
    struct map *names; /* lower-case host or wildcard -> its place in contexts */
};

/* --- the extensions of a client's hello --- */

/* The protocol after the handshake (RFC 7301): HTTP/1.1, or nobody who understands the client. */
static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size, const unsigned char *offered,
                   unsigned offered_size, void *context) {
    static const unsigned char spoken[] = "\x08http/1.1";
    (void)ssl;
    (void)context;
    for (unsigned i = 0; i < offered_size; i += offered[i] + 1u) {
        if (offered[i] + 1u > offered_size - i) break;
        if (offered[i] != spoken[0] || memcmp(offered + i + 1, spoken + 1, spoken[0]) != 0) continue;
        *chosen = offered + i + 1;
        *chosen_size = spoken[0];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_server_name(SSL *ssl, int *alert, void *context) {
    struct tls_context *t = context;
    (void)alert;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!host) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, t->contexts[tls_context_choose(t, slice_of(host))]);
    return SSL_TLSEXT_ERR_OK;
}

/* --- host names --- */

/* A name ends without its root's dot and in lower case; false when it is too long to be one. */
static bool host_normalise(struct slice host, char room[HOST_MAX], struct slice *out) {
    if (host.n > 0 && host.p[host.n - 1] == '.') host.n--;
    if (host.n == 0 || host.n > HOST_MAX) return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        room[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    *out = slice_make(room, host.n);
    return true;
}

static SSL_CTX **find_name(const struct tls_context *t, struct slice host) {
    SSL_CTX **found = map_get(t->names, host);
    if (found) return found;
    /* "*.example.com" stands where "www.example.com" has its first label. */
    ptrdiff_t dot = slice_find(host, '.');
    if (dot < 1) return NULL;
    char wildcard[HOST_MAX + 1] = "*";
    size_t n = host.n - (size_t)dot;
    memcpy(wildcard + 1, host.p + dot, n);
    return map_get(t->names, slice_make(wildcard, n + 1));
}

size_t tls_context_choose(const struct tls_context *t, struct slice host) {
    char room[HOST_MAX];
    struct slice name;
    if (!host_normalise(host, room, &name)) return 0;
    SSL_CTX **found = find_name(t, name);
    return found ? (size_t)(found - t->contexts) : 0;
}

static void add_name(struct tls_context *t, size_t i, struct slice text) {
    char room[HOST_MAX];
    struct slice name;
    if (host_normalise(text, room, &name) && !map_get(t->names, name)) map_put(t->names, name, &t->contexts[i]);
}

/* The DNS names of the certificate; the first certificate to have one keeps it. */
static void add_names(struct tls_context *t, size_t i) {
    GENERAL_NAMES *names = X509_get_ext_d2i(SSL_CTX_get0_certificate(t->contexts[i]), NID_subject_alt_name, NULL, NULL);
    for (int k = 0; k < sk_GENERAL_NAME_num(names); k++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, k);
        if (name->type != GEN_DNS) continue;
        const ASN1_IA5STRING *text = name->d.dNSName;
        add_name(t, i, slice_make((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)));
    }
    GENERAL_NAMES_free(names);
}

/* --- building --- */

static bool context_configure(SSL_CTX *c, const struct tls_config *config) {
    int least = config->min_version == LISTENER_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(c, SESSION_SECONDS);
    SSL_CTX_set_max_cert_list(c, CLIENT_CHAIN_MAX);
    return SSL_CTX_set_min_proto_version(c, least) == 1 && SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(c, CIPHERS) == 1 && SSL_CTX_set_ciphersuites(c, CIPHERSUITES) == 1 &&
           SSL_CTX_set1_groups_list(c, GROUPS) == 1 && SSL_CTX_set_dh_auto(c, 1) == 1 &&
           SSL_CTX_set_session_id_context(c, session_id_context, sizeof session_id_context - 1) == 1;
}

static void context_demand_certificates(SSL_CTX *c, const struct tls_config *config) {
    if (config->client_certificates == CLIENT_CERTIFICATES_NONE) return;
    bool required = config->client_certificates == CLIENT_CERTIFICATES_REQUIRED;
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
}

static SSL_CTX *context_new(struct tls_context *t, const struct tls_config *config, struct error *e) {
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    if (c && context_configure(c, config)) {
        context_demand_certificates(c, config);
        SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
        SSL_CTX_set_tlsext_servername_callback(c, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(c, t);
        return c;
    }
    SSL_CTX_free(c);
    tls_error_set(e, "cannot prepare TLS");
    return NULL;
}

static int load_one(struct tls_context *t, size_t i, const struct tls_config *c, struct log *log, struct error *e) {
    SSL_CTX *context = context_new(t, c, e);
    if (!context) return -ERROR_SYSTEM;
    t->contexts[t->count++] = context;
    int status = tls_load_certificate(context, &c->certificates[i], log, e);
    if (status == 0 && c->client_authority) status = tls_load_authority(context, c->client_authority, e);
    if (status == 0) add_names(t, i);
    return status;
}

struct tls_context *tls_context_load(const struct tls_config *c, struct log *log, struct error *e) {
    struct tls_context *t = xcalloc(1, sizeof *t);
    t->references = 1;
    t->names = map_new();
    t->contexts = xcalloc(c->certificate_count, sizeof(SSL_CTX *));
    ERR_clear_error();
    for (size_t i = 0; i < c->certificate_count; i++)
        if (load_one(t, i, c, log, e) < 0) {
            tls_context_release(t);
            return NULL;
        }
    return t;
}

struct tls_context *tls_context_hold(struct tls_context *t) {
    t->references++;
    return t;
}

void tls_context_release(struct tls_context *t) {
    if (!t || --t->references > 0) return;
    for (size_t i = 0; i < t->count; i++) SSL_CTX_free(t->contexts[i]);
    free(t->contexts);
    map_free(t->names);
    free(t);
}

/* Every session begins in the first context, whose ticket key is the one that counts. */
SSL *tls_context_session(struct tls_context *t) {
    SSL *ssl = SSL_new(t->contexts[0]);
    if (ssl) SSL_set_accept_state(ssl);
    return ssl;
}

void tls_context_renew_tickets(struct tls_context *t) {
    unsigned char keys[128];
    long size = SSL_CTX_set_tlsext_ticket_keys(t->contexts[0], NULL, 0);
    if (size <= 0 || (size_t)size > sizeof keys || RAND_bytes(keys, (int)size) != 1) return;
    SSL_CTX_set_tlsext_ticket_keys(t->contexts[0], keys, size);
    OPENSSL_cleanse(keys, sizeof keys);
}
