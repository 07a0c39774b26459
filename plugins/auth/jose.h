/* jose.h - what signed tokens are made of: algorithms, strict base64url, JSON objects, verdicts.
 *
 * An algorithm is a row of one table. It names its digest and the *kinds* of key it may meet; a
 * kind is a key type and its curve in one word. A key in turn carries the set of algorithms it may
 * verify. So a token's header never chooses how a key is used: the header's name has to be in the
 * guard's list and in the key's set, or the token is refused (RFC 8725 3.1, 3.2). "none" is in
 * no table, in no spelling (RFC 7518 3.6, RFC 8725 3.2).
 *
 *   RS256 RS384 RS512   RSASSA-PKCS1-v1_5         RFC 7518 3.3
 *   PS256 PS384 PS512   RSASSA-PSS                RFC 7518 3.5
 *   ES256 ES384 ES512   ECDSA, P-256 P-384 P-521  RFC 7518 3.4
 *   EdDSA               Ed25519 or Ed448          RFC 8037 3.1
 *   Ed25519 Ed448       the same, fully named     RFC 9864 2.2
 *   HS256 HS384 HS512   HMAC                      RFC 7518 3.2
 *
 * Names are compared byte by byte (RFC 7515 4.1.1). Nothing here keeps state, reads a clock or does I/O.
 */
#pragma once
#include "gateway/base/json_read.h"

enum jose_kind {
    JOSE_KIND_RSA,
    JOSE_KIND_P256,
    JOSE_KIND_P384,
    JOSE_KIND_P521,
    JOSE_KIND_ED25519,
    JOSE_KIND_ED448,
    JOSE_KIND_SECRET,
};
enum jose_algorithm {
    JOSE_RS256,
    JOSE_RS384,
    JOSE_RS512,
    JOSE_PS256,
    JOSE_PS384,
    JOSE_PS512,
    JOSE_ES256,
    JOSE_ES384,
    JOSE_ES512,
    JOSE_EDDSA,
    JOSE_ED25519,
    JOSE_ED448,
    JOSE_HS256,
    JOSE_HS384,
    JOSE_HS512,
};
#define JOSE_ALGORITHM_COUNT 15
#define JOSE_BIT(x) (1u << (x))
/* Sets of algorithms, JOSE_BIT of each. */
#define JOSE_HMAC (JOSE_BIT(JOSE_HS256) | JOSE_BIT(JOSE_HS384) | JOSE_BIT(JOSE_HS512))
#define JOSE_ASYMMETRIC ((JOSE_BIT(JOSE_ALGORITHM_COUNT) - 1) & ~JOSE_HMAC)

enum jose_padding { JOSE_PADDING_NONE, JOSE_PADDING_PSS };
struct jose_rule {
    struct slice name;
    const char *digest; /* OpenSSL's name; NULL where the scheme hashes by itself */
    unsigned kinds;     /* JOSE_BIT of each kind of key */
    enum jose_padding padding;
    size_t output_size; /* of the digest, or of one coordinate for ECDSA; 0 where only the key knows */
};
const struct jose_rule *jose_rule_of(enum jose_algorithm algorithm);
/* False for a name that is not in the table. */
bool jose_algorithm_parse(struct slice name, enum jose_algorithm *algorithm);
/* All algorithms for which a key of this kind may be used. */
unsigned jose_algorithms_for(enum jose_kind kind);

enum jose_result {
    JOSE_OK,
    JOSE_MALFORMED,          /* 401: no compact JWS or no JWT */
    JOSE_INVALID,            /* 401: well formed but not to be believed */
    JOSE_UNKNOWN_KEY,        /* 401, unless fetching the keys again brings the one that is named */
    JOSE_INSUFFICIENT,       /* 403: believed, but made for another audience or lacking a claim */
    JOSE_INSUFFICIENT_SCOPE, /* 403: believed, but lacking a scope (RFC 6750 3.1) */
};
struct jose_verdict {
    enum jose_result result;
    const char *reason; /* static text that repeats nothing of the token; NULL for JOSE_OK */
};
#define JOSE_VERDICT_OK ((struct jose_verdict){JOSE_OK, NULL})
static inline struct jose_verdict jose_refuse(enum jose_result result, const char *reason) {
    return (struct jose_verdict){result, reason};
}

/* Base64url without padding (RFC 7515 2): foreign bytes, '=', blanks and non-zero trailing bits are refused, so that
 * bytes have exactly one spelling. The result is in the arena. */
bool base64url_decode(struct arena *a, struct slice text, struct slice *bytes);

/* The members of one JSON object, in their order; names are unescaped. */
struct jose_member {
    struct slice name;
    struct json_value value;
};
struct jose_object {
    struct jose_member *members; /* in the arena */
    size_t count;
};
#define JOSE_MEMBER_LIMIT 128
/* NULL, or why the text is not an object with unique names (RFC 7515 4, RFC 7519 4, RFC 7517 4: refused, where the RFCs
 * would also allow to take the last). */
const char *jose_object_read(struct jose_object *o, struct slice json, struct arena *a);
/* NULL when absent. */
const struct json_value *jose_object_get(const struct jose_object *o, struct slice name);
enum jose_text { JOSE_TEXT_ABSENT, JOSE_TEXT_FOUND, JOSE_TEXT_NOT_TEXT };
/* A member that has to be a string if it is there; *text is absent otherwise. */
enum jose_text jose_object_text(const struct jose_object *o, struct slice name, struct arena *a, struct slice *text);
