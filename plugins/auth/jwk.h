/* jwk.h - the public keys (or the one secret) that tokens are verified with.
 *
 * A key set is read once from text, is immutable from then on and reference-counted: whoever verifies a
 * token holds the set it began with, however often the issuer's keys are fetched meanwhile. Each
 * key's OpenSSL object is built while reading, never per token. Counts are not atomic: one loop, one thread.
 *
 * What becomes a key (JWK Set, RFC 7517 5; parameters, RFC 7518 6 and RFC 8037 2):
 *   RSA  modulus of 2048 (RFC 7518 3.3) to 8192 bits, odd exponent of 3 or more, at most 64 bits
 *   EC   P-256, P-384, P-521; coordinates in full length (RFC 7518 6.2.1.2), the point on the curve
 *   OKP  Ed25519 and Ed448
 *   oct  never from a document, only by jwk_set_from_secret: a published secret is none, and a public key must not be
 *        able to turn into an HMAC secret (RFC 8725 2.1)
 * `use` must be "sig" (RFC 7517 4.2), `key_ops` must have "verify" (4.3) and `alg` must fit the key (4.4), each only if
 * present. A key that does not qualify is skipped and counted (5: a set is not spoilt by keys one does
 * not understand); private members, x5c, x5u and everything else is ignored. Of two keys with
 * one kid that suit a common algorithm the first counts (4.5).
 *
 * PEM: one public key (SubjectPublicKeyInfo or PKCS #1) or one certificate. Of a certificate only its key is used:
 * who puts the file there vouches for it. Such a key has no kid.
 */
#pragma once
#include "gateway/base/error.h"
#include "plugins/auth/jose.h"

struct evp_pkey_st;
struct jwk {
    struct slice kid; /* absent: the key has none */
    enum jose_kind kind;
    unsigned algorithms;      /* JOSE_BIT of each that it may verify */
    struct evp_pkey_st *pkey; /* NULL for a secret */
    struct slice secret;      /* JOSE_KIND_SECRET only */
};

#define JWK_SET_SIZE_LIMIT (256 * 1024)
#define JWK_SET_KEY_LIMIT 128
#define JWK_RSA_BITS_MIN 2048
#define JWK_RSA_BITS_MAX 8192

struct jwk_set;
/* Each returns a set with one reference and at least one key, or NULL. */
struct jwk_set *jwk_set_from_json(struct slice json, struct error *e);
struct jwk_set *jwk_set_from_pem(struct slice pem, struct error *e);
/* A file's content, of which of the two kinds ever it is. */
struct jwk_set *jwk_set_from_file_text(struct slice text, struct error *e);
/* A secret for those HMAC algorithms; one shorter than the digest is refused (RFC 7518 3.2, RFC 8725 3.5). */
struct jwk_set *jwk_set_from_secret(struct slice secret, unsigned algorithms, struct error *e);

size_t jwk_set_count(const struct jwk_set *s);
const struct jwk *jwk_set_at(const struct jwk_set *s, size_t index);
/* How many keys of the document were not taken, and why the first of them was not (static text, NULL when none). */
size_t jwk_set_skipped(const struct jwk_set *s, const char **why);
/* A number made from the document's bytes: the same document fetched again has the same one, so what was
 * verified with it stays verified (token_cache.h). */
uint64_t jwk_set_generation(const struct jwk_set *s);

/* The key for a token (RFC 7515 4.1.4, 6; OpenID Connect Core 10.1). A kid is compared byte by byte and nothing else is
 * made of it. A token without kid, or a set whose only key has none, needs no match, if the set has that one key. The
 * key is never looked for among those that are not made for the algorithm (RFC 8725 3.1). An absent `kid` slice: the
 * token has none. */
struct jose_verdict jwk_set_find(const struct jwk_set *s, struct slice kid, enum jose_algorithm algorithm,
                                 const struct jwk **key);

struct jwk_set *jwk_set_hold(struct jwk_set *s);
void jwk_set_release(struct jwk_set *s); /* NULL is fine */
