/* jwks_source.h - the keys that an issuer publishes, kept fresh.
 *
 * A key source (key_source.h) that fetches a JWK Set over HTTP, from a URL or from where the issuer's metadata says
 * (jwks_discovery.h). What happens when:
 *
 *   at start       the first fetch begins; nobody waits for it but requests that need a key
 *   success        the set replaces the old one. It is fresh for the answer's Cache-Control max-age less its Age
 *                  (RFC 9111 5.2.2.1, 5.1), kept between least_age and most_age; usual_age where nothing is said. After
 *                  80 to 90 % of that it is fetched again, so that no request ever waits for a renewal
 *   failure        the old set stays. The next attempt comes after a back-off that doubles from backoff to
 *                  backoff_most, less up to half of it by chance. A set that was not renewed is believed for
 *                  stale more than it was fresh, then dropped
 *   unknown key    one attempt at once, unless the last one began less than unknown_key ago; all who ask meanwhile wait
 *                  for the same one
 *   no keys        who asks waits for the fetch under way; between attempts there is nothing to wait for
 *
 * At most `waiters` wait, each at most `wait`. An answer is used if it has status 200 (a redirect is a failure), at
 * most 256 KiB, and a set that jwk_set_from_json takes. A metadata document that is missing or of no use is looked for
 * in the next place; a server that does not answer, or says 5xx or 429, ends the attempt.
 *
 *   RESTING --due, unknown key--> METADATA --found--> KEYS --200--> RESTING (success)
 *                                     |                 |
 *                                     +-- no use -------+---------> RESTING (failure)
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/deadline.h"
#include "gateway/base/log.h"
#include "gateway/base/turn.h"
#include "gateway/client/http_client.h"
#include "plugins/auth/key_source.h"

struct jwks_times {        /* milliseconds; 0 = as in jwks_source.c: */
    uint64_t timeout;      /* of one request: 5 s */
    uint64_t least_age;    /* 1 min */
    uint64_t usual_age;    /* 10 min */
    uint64_t most_age;     /* 24 h */
    uint64_t unknown_key;  /* 30 s */
    uint64_t stale;        /* 24 h */
    uint64_t backoff;      /* 1 s */
    uint64_t backoff_most; /* 30 s */
    uint64_t wait;         /* 5 s */
};
#define JWKS_WAITERS_MAX 1024

struct jwks_config {
    struct slice name;   /* the guard's, for the log */
    struct slice issuer; /* whose metadata names the keys' URL */
    struct slice url;    /* the keys' URL itself; absent: discover */
    struct jwks_times times;
};
struct jwks_host {
    struct clock *clock;
    struct deadlines *deadlines;
    struct turn *turn;
    struct log *log; /* may be NULL */
    struct http_client *client;
};

/* Copies the configuration, whose URLs are without objection (jwks_url_objection), and begins the first fetch. */
struct key_source *jwks_source_new(const struct jwks_host *host, const struct jwks_config *config);

/* How long an answer with these fields is fresh. */
uint64_t jwks_lifetime_ms(const struct fields *headers, const struct jwks_times *times);

struct jwks_counts {
    uint64_t attempts; /* fetches of the whole, each of one request or more */
    uint64_t failures;
    uint64_t replacements; /* by a set that differs */
    size_t waiting;
    uint64_t next_ms; /* of the next attempt, monotonic; DEADLINE_NEVER while one is under way */
};
struct jwks_counts jwks_source_count(const struct key_source *s);
