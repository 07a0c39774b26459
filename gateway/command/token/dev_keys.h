/* dev_keys.h - the local development keys, for tokens that only this machine's own gateways believe.
 *
 * `execgate token` signs with them, `execgate run --dev-issuer` publishes their public halves. One key on P-256 and one
 * RSA key of 2048 bits stand in one PEM file outside every repository:
 *
 *     $XDG_STATE_HOME/execgate/dev-issuer.pem, or ~/.local/state/execgate/dev-issuer.pem
 *
 * The file is made on first use, readable by its owner alone (0600), whole or not at all. One that others may read, or
 * that belongs to somebody else, is refused. A key's id is its thumbprint (RFC 7638).
 */
#pragma once
#include "gateway/base/buf.h"
#include "plugins/auth/jwk.h"

#define DEV_KEYS_COUNT 2
struct dev_key {
    struct evp_pkey_st *pkey; /* with its private half */
    enum jose_kind kind;
    char kid[64];
};
struct dev_keys {
    char *path;
    struct dev_key items[DEV_KEYS_COUNT];
};

/* Reads the file, making it first when there is none. */
int dev_keys_open(struct dev_keys *k, struct error *e) MUST_CHECK;
void dev_keys_close(struct dev_keys *k); /* idempotent; zero-initialised is closed */
/* The key and the algorithm for tokens, of a set of algorithms; NULL when neither key suits. */
const struct dev_key *dev_keys_for(const struct dev_keys *k, unsigned algorithms, enum jose_algorithm *algorithm);
/* The private key as PEM (PKCS #8), with a NUL behind it. */
void dev_key_write_pem(const struct dev_key *key, struct buf *out);
/* The public halves as a JWK Set (RFC 7517 5). */
void dev_keys_write_set(const struct dev_keys *k, struct buf *out);

/* --- dev_jwk.c --- */
/* The members that RFC 7638 3.2 names, in its order, as one object: the public key as a JWK and the thumbprint's input.
 * P-256 and RSA. */
void dev_jwk_write(const struct evp_pkey_st *pkey, struct buf *out);
/* The SHA-256 thumbprint of that, base64url, with a NUL behind it. */
void dev_jwk_thumbprint(const struct evp_pkey_st *pkey, char kid[64]);
