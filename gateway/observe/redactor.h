/* redactor.h - takes secrets out of what is kept of a request and its answer.
 *
 * Secrets are the values of the usual headers (Authorization, Proxy-Authorization, Cookie, Set-Cookie, X-Api-Key,
 * signatures of webhooks) and of every header, cookie and query parameter that a guard of the blueprint reads. The name
 * stays, so that a reader sees that there was one; of a Set-Cookie so do the cookie's name and its attributes.
 */
#pragma once
#include "plugins/auth/guard_places.h"

struct redactor {
    struct credential_places places;
    struct arena arena;
};
void redactor_init(struct redactor *r, const struct auth_settings *s); /* settings may be NULL; must outlive it */
void redactor_free(struct redactor *r);

/* Copies the fields; what was taken out is added to `redacted` as {"header", name}. All of it in the arena. */
struct fields redactor_headers(const struct redactor *r, const struct fields *from, struct fields *redacted,
                               struct arena *a);
/* The same for the query of a raw target: {"query", name}. */
struct slice redactor_target(const struct redactor *r, struct slice target, struct fields *redacted, struct arena *a);
/* "sid=[redacted]; Path=/": the value of a Set-Cookie field. */
struct slice redact_set_cookie(struct slice value, struct arena *a);
