/* guard.h - one way to find out whether an invocation may pass.
 *
 * The auth plugin takes an invocation from guard to guard of its route; each visit ends in a verdict:
 *
 *   check -> PASS          go on; visit->identity says who it is, if the guard knows
 *         -> UNAUTHORIZED  401 with the visit's challenges: no credential, or none to be believed
 *         -> FORBIDDEN     403: a good credential that does not suffice
 *         -> UNAVAILABLE   503: nobody can tell at the moment. Never a door left open.
 *         -> NEEDS_BODY    nothing speaks against it so far; check_body, once the body is here, has the last word
 *         -> WAIT          later, from the turn: the guard sets the verdict and calls guard_conclude. Or the client
 *                          leaves before that: cancel
 *
 * A visit lives in the arena of its invocation. What a guard learns from credentials it keeps only as digests, and
 * `strip` takes out of the request what no handler may see.
 */
#pragma once
#include "gateway/invocation/identity.h"
#include "plugins/auth/auth_policy.h"
#include "plugins/plugin.h"

enum guard_verdict {
    GUARD_UNAVAILABLE, /* the first: a verdict that nobody set opens nothing */
    GUARD_UNAUTHORIZED,
    GUARD_FORBIDDEN,
    GUARD_NEEDS_BODY,
    GUARD_WAIT,
    GUARD_PASS,
};

struct file_poll;
struct guard;
struct guard_visit {
    struct guard *guard;
    struct invocation *inv;
    enum guard_verdict verdict;
    const char *detail;        /* for the client; NULL = nothing more to say */
    bool absent;               /* UNAUTHORIZED because there is no credential to judge */
    struct fields challenges;  /* WWW-Authenticate */
    struct identity *identity; /* of PASS; NULL = the guard knows nobody */
    void *pending;             /* the guard's own, between its calls */
    void (*on_verdict)(struct guard_visit *v);
    void *asker; /* of whoever set on_verdict */
};

struct guard_ops {
    void (*check)(struct guard *g, struct guard_visit *v);      /* sets the verdict */
    void (*check_body)(struct guard *g, struct guard_visit *v); /* after NEEDS_BODY; neither that nor WAIT again */
    void (*cancel)(struct guard *g, struct guard_visit *v);     /* after WAIT; NULL = it never waits */
    void (*strip)(struct guard *g, struct invocation *inv);     /* NULL = nothing to hide */
    void (*free)(struct guard *g);
};

/* What all guards share; embedded at the start of each. */
struct guard {
    const struct guard_ops *ops;
    const struct guard_policy *policy; /* the blueprint's */
    struct slice realm;
};

/* What a guard is opened with. */
struct guard_host {
    const struct plugin_host *plugin;
    struct slice realm;
    struct guard *const *guards;     /* those opened so far, by number */
    const struct guard *predecessor; /* of the same name and type, in the generation before; NULL = none */
};

/* One per type. NULL with the error set on failure. */
struct guard *guard_jwt_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);
struct guard *guard_api_key_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);
struct guard *guard_basic_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);
struct guard *guard_hmac_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);
struct guard *guard_handler_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);
struct guard *guard_any_open(const struct guard_host *h, const struct guard_policy *p, struct error *e);

/* Calls on_changed with the guard when the file that it was opened with is another one (base/file.h). */
struct file_poll *guard_follow_file(struct guard *g, const struct guard_host *h, const char *path,
                                    void (*on_changed)(void *guard));
/* What came of it: `problem` says why the guard goes on with what it had; NULL = it did not have to. */
void guard_log_file(const struct guard *g, struct log *log, const char *path, const struct error *problem);

void guard_init(struct guard *g, const struct guard_ops *ops, const struct guard_host *h, const struct guard_policy *p);
static inline void guard_free(struct guard *g) { /* NULL is fine */
    if (g) g->ops->free(g);
}

/* Ends a check in one line. The detail is static text. */
void guard_pass(struct guard_visit *v, struct identity *identity);
void guard_refuse(struct guard_visit *v, enum guard_verdict verdict, const char *detail);
/* 403 with the scopes that are needed (RFC 6750 3.1; for claims that are missing there is no such word). */
void guard_refuse_scope(struct guard_visit *v, const struct jwt_rules *rules, const char *detail);
/* SCHEME realm="..." and further parameters, ", name=value" each, or "". */
void guard_challenge(struct guard_visit *v, const char *scheme, const char *parameters);
/* After WAIT, with the verdict set. From the turn. */
static inline void guard_conclude(struct guard_visit *v) {
    v->on_verdict(v);
}

/* Who somebody with a name is: {"sub": name}; {} for an absent one. */
struct identity *guard_identity_of_name(struct guard_visit *v, const char *scheme, struct slice name);
/* Who a claims set is about, which jwt_read has accepted before, on one line (identity_json_line). */
struct identity *guard_identity_of_claims(struct guard_visit *v, const char *scheme, enum identity_shape shape,
                                          struct slice json_line);
/* The same for whoever vouches for the claims without a guard; the guard's name is left out. */
struct identity *identity_of_claims(struct arena *a, enum identity_shape shape, const char *scheme,
                                    struct slice json_line);
