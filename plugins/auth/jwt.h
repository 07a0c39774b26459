/* jwt.h - what a verified token claims, and whether that is enough.
 *
 *   jws_parse, jws_verify (jws.h)   who signed it
 *   jwt_read                        the payload is a claims set of the right shape
 *   jwt_check                       it is for us, now, and says what the guard requires
 *
 * jwt_accept does all of it for one guard. JOSE_OK holds for these rules and keys until the token expires
 * (token_cache.h). First come the checks that make a token worthless (401), then those that make it
 * insufficient (403).
 *
 * Rules:
 *   RFC 8725 3.11, RFC 9068 2.1  `typ` is absent, JWT or at+jwt; application/ before it and case do not matter
 *   RFC 7519 4, 7.2     the payload is one JSON object in UTF-8, no name twice; a token within a token is refused
 *   RFC 7519 4.1.1      `iss` is the guard's issuer, byte by byte (RFC 8725 3.8)
 *   RFC 7519 4.1.2, .7  `sub` and `jti` are strings
 *   RFC 7519 4.1.3      `aud` is a string or an array of strings, of which one is among the guard's (RFC 8725 3.9)
 *   RFC 7519 4.1.4      `exp` is required and later than now, less the leeway
 *   RFC 7519 4.1.5      `nbf` is not later than now, plus the leeway
 *   RFC 7519 4.1.6      `iat` likewise: a token from the future comes from a broken clock or a forger
 *   RFC 7519 2          dates are plain numbers of seconds, whole or with a fraction, up to the year 9999;
 *                       strings, exponents, negative and larger ones are refused
 *   RFC 8693 4.2        `scope` is a string, split at spaces (RFC 9068 2.2.3); where it is not there `scp` is taken;
 *                       either may be an array of strings, as some issuers have it
 *
 * Texts of claims may hold any character, NUL, CR and LF too: whoever puts one into a header or a variable checks it.
 */
#pragma once
#include "gateway/base/clock.h"
#include "plugins/auth/jws.h"

struct jwt {
    struct slice claims;        /* the payload: one JSON object, as the issuer wrote it */
    struct jose_object members; /* its members */
    struct slice issuer;        /* absent: none; so for the next one */
    struct slice subject;
    const struct slice *scopes;
    size_t scope_count;
    uint64_t expires_ms; /* Unix time; UINT64_MAX: never (JWT_EXPIRY_OPTIONAL) */
};

enum jwt_expiry { JWT_EXPIRY_REQUIRED, JWT_EXPIRY_OPTIONAL };
/* `name` has to be `value`: a string's text, the digits of a number as they stand, true or false; an array has to hold
 * it. Null and objects never match. */
struct jwt_claim_rule {
    struct slice name;
    struct slice value;
};
/* What a guard asks for; the slices are the guard's. A count of 0 asks for nothing. */
struct jwt_rules {
    struct slice issuer;           /* absent: any */
    const struct slice *audiences; /* any of them */
    size_t audience_count;
    const struct slice *scopes; /* all of them */
    size_t scope_count;
    const struct jwt_claim_rule *claims; /* all of them */
    size_t claim_count;
    uint64_t leeway_ms; /* for clocks that differ */
    enum jwt_expiry expiry;
};

/* A payload that was verified. Everything in *t is in `payload` or in the arena. */
struct jose_verdict jwt_read(struct jwt *t, struct slice payload, struct arena *a);
/* Only the scopes and claims of the rules: what a trigger asks for beyond its guard. JOSE_OK or one of the two
 * JOSE_INSUFFICIENT. */
struct jose_verdict jwt_meets(const struct jwt *t, const struct jwt_rules *rules, struct arena *a);
struct jose_verdict jwt_check(const struct jwt *t, const struct jwt_rules *rules, struct clock *clock, struct arena *a);

/* What one guard believes in. */
struct jwt_trust {
    struct jws_verifier *verifier;
    const struct jwk_set *keys; /* NULL: none yet */
    const struct jwt_rules *rules;
    struct clock *clock;
};
/* From the token as it came to the verdict; *t is filled for JOSE_OK and the two JOSE_INSUFFICIENT, else empty. */
struct jose_verdict jwt_accept(struct jwt *t, struct slice token, const struct jwt_trust *trust, struct arena *a);

/* A claim for people who want text (API Gateway's authorizer.jwt.claims): a string's text, an array as "[a b]",
 * anything else as its JSON. `index` < members.count; the name is members.members[index].name. */
struct slice jwt_claim_text(const struct jwt *t, size_t index, struct arena *a);
