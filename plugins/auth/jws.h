/* jws.h - compact JSON Web Signatures: taking them apart, and believing them or not.
 *
 *   parse:  token -> struct jws (header read, nothing believed, no key touched)
 *   verify: algorithm in the guard's list? -> key of the set? -> signature? -> payload handed out
 *
 * The payload is decoded only by a verification that succeeded, so no caller can read claims that
 * nobody signed. A verifier belongs to one guard: it holds the guard's list of algorithms and the
 * OpenSSL contexts that are used over and over. It knows no key set; that is lent per call and may be a newer one each
 * time.
 *
 * Rules of parsing, then of verifying, in the order in which they are applied:
 *   RFC 7515 3.1        three parts, two dots; five (JWE) or any other number are refused
 *   RFC 7515 2, 5.2     base64url strict in every part, one spelling per byte string
 *   RFC 7515 4, 5.2     the header is one JSON object in UTF-8, no name twice
 *   RFC 7515 4.1.1      `alg` is there and known byte by byte; "none", "None", "nOnE" are not (RFC 8725 3.2)
 *   RFC 7515 4.1.11     `crit` of any content is refused, as no extension is supported
 *   RFC 7797 3, 7       `b64` other than true is refused, with `crit` or without
 *   RFC 7519 5.2        `cty` JWT, a nested token, is refused
 *   RFC 7515 4.1.4      `kid` is a string that is only ever compared (RFC 8725 3.10)
 *   RFC 7515 4.1.2-8    jku, jwk, x5u, x5c, x5t are never looked at: no token brings its own key (RFC 8725 3.10)
 *   RFC 8725 3.1        the algorithm is in the guard's list and among those of the key
 *   RFC 7518 3.4        ECDSA: r and s in full length, neither zero; made DER for OpenSSL
 *   RFC 7518 3.5        PSS: MGF1 with the same digest, salt as long as the digest
 *   RFC 7518 3.2        HMAC: compared in constant time
 *   RFC 8037 3.1        EdDSA: pure, over the whole input
 */
#pragma once
#include "plugins/auth/jwk.h"

#define JWS_TOKEN_LIMIT (16 * 1024)

struct jws {
    enum jose_algorithm algorithm;
    struct slice kid;  /* absent: none */
    struct slice type; /* `typ`; absent: none */
    struct slice input;
    struct slice signature;
    struct slice encoded_payload;
};

/* Everything it points to is in the token or in the arena. JOSE_OK, JOSE_MALFORMED or JOSE_INVALID. */
struct jose_verdict jws_parse(struct jws *j, struct slice token, struct arena *a);

struct jws_verifier;
/* `algorithms`: JOSE_BIT of each that the guard accepts. */
struct jws_verifier *jws_verifier_new(unsigned algorithms);
/* *payload is set on JOSE_OK only. JOSE_UNKNOWN_KEY: the set (may be NULL: none yet) lacks a key that a newer one may
 * have; an algorithm that the guard does not accept never gets there. OpenSSL's error queue is left as it was. */
struct jose_verdict jws_verify(struct jws_verifier *v, const struct jws *j, const struct jwk_set *keys, struct arena *a,
                               struct slice *payload);
void jws_verifier_free(struct jws_verifier *v); /* NULL is fine */
