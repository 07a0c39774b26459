/* identity.h - who the client is, as a guard found it out.
 *
 * plugins/auth makes one when every guard of the route has passed, in the invocation's arena. Events carry it to the
 * handler: payload 2.0 in requestContext.authorizer, the native face and server mode in Execgate-Claims, CGI in
 * REMOTE_USER, AUTH_TYPE and EXECGATE_CLAIM_*. It holds what was claimed, never the credential.
 *
 * Most events need no more than the claims as JSON, so they are taken apart only when somebody asks.
 */
#pragma once
#include "gateway/base/fields.h"

/* How API Gateway shows it: authorizer.jwt {claims, scopes}, or authorizer.lambda {...}. */
enum identity_shape { IDENTITY_JWT, IDENTITY_LAMBDA };

struct identity_details {
    struct slice subject; /* a user's or a key's name; absent = none */
    struct fields claims; /* all of them as text; names are compared byte by byte, unlike those of headers */
    struct slice scopes;  /* separated by blanks; absent = nothing is said of scopes */
};
struct identity {
    enum identity_shape shape;
    struct slice guard;                     /* the guard's name */
    struct slice scheme;                    /* of authentication: "Bearer", "Basic", ...; AUTH_TYPE */
    struct slice claims_json;               /* one object, fit for a header field (identity_json_line) */
    const struct identity_details *details; /* NULL until somebody asks */
    void (*read)(const struct identity *i, struct identity_details *d); /* makes them, in the arena */
    struct arena *arena;
};

const struct identity_details *identity_details(struct identity *i);
static inline struct slice identity_subject(struct identity *i) {
    return identity_details(i)->subject;
}
/* The text of a claim, or absent. */
struct slice identity_claim(struct identity *i, struct slice name);
/* Without what only its own invocation needs, for somebody who outlives that: the parts that a guard made of the claims
 * can be made again. NULL stays NULL. */
struct identity *identity_keep(const struct identity *i, struct arena *a);
/* The same valid JSON on one line of printable ASCII (RFC 9110 5.5): blanks between its parts go, everything else
 * becomes \u escapes. In the arena, or the text itself when nothing has to change. */
struct slice identity_json_line(struct slice json, struct arena *a);
