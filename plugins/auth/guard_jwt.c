/* A signed token. Most are found in the cache; the others are verified with the keys that there are, and, when a
 * token names a key that is not among them, once more with newer ones. Keys of a file follow the file. */
#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "plugins/auth/guard.h"
#include "plugins/auth/jwks_source.h"
#include "plugins/auth/token_cache.h"
#include <stdlib.h>

#define CACHE_TOKENS 8192
#define CACHE_BYTES (16 * 1024 * 1024)

struct jwt_guard {
    struct guard guard;
    const struct jwt_policy *policy;
    struct clock *clock;
    struct log *log;
    struct key_source *source;
    struct file_poll *poll; /* of JWT_KEYS_FILE */
    struct jws_verifier *verifier;
    struct token_cache *cache;
};

/* v->pending while keys are fetched. */
struct jwt_wait {
    struct key_waiter waiter;
    struct guard_visit *visit;
    struct slice token;
};

static struct jwt_guard *jwt_guard_of(struct guard *g) {
    return container_of(g, struct jwt_guard, guard);
}

/* RFC 6750 3.1: who sent no token is told nothing about tokens. */
static void refuse_without_token(struct guard_visit *v) {
    v->absent = true;
    guard_refuse(v, GUARD_UNAUTHORIZED, "a token is needed");
    guard_challenge(v, "Bearer", "");
}

static void refuse_token(struct guard_visit *v, const char *why) {
    guard_refuse(v, GUARD_UNAUTHORIZED, why);
    guard_challenge(v, "Bearer",
                    arena_printf(&v->inv->arena, ", error=\"invalid_token\", error_description=\"%s\"", why).p);
}

static void pass_with(struct guard_visit *v, struct slice json_line) {
    guard_pass(v, guard_identity_of_claims(v, "Bearer", IDENTITY_JWT, json_line));
}

static void remember(struct jwt_guard *g, const struct token_key *key, const struct jwt *t,
                     const struct jwk_set *keys) {
    bool ends = t->expires_ms != UINT64_MAX;
    token_cache_put(g->cache, key,
                    &(struct token_entry){.claims = t->claims,
                                          .until_ms = ends ? t->expires_ms + g->policy->rules.leeway_ms : UINT64_MAX,
                                          .generation = jwk_set_generation(keys)});
}

static struct jose_verdict verify(struct jwt_guard *g, struct guard_visit *v, struct slice token,
                                  const struct jwk_set *keys) {
    const struct jwt_trust trust = {g->verifier, keys, &g->policy->rules, g->clock};
    struct arena *a = &v->inv->arena;
    struct jwt t;
    struct token_key key = token_cache_key(g->cache, token);
    struct slice claims = keys ? token_cache_find(g->cache, &key, jwk_set_generation(keys), a) : SLICE_NONE;
    if (!slice_is_none(claims)) {
        pass_with(v, claims);
        return JOSE_VERDICT_OK;
    }
    struct jose_verdict verdict = jwt_accept(&t, token, &trust, a);
    if (verdict.result != JOSE_OK) return verdict;
    t.claims = identity_json_line(t.claims, a);
    remember(g, &key, &t, keys);
    pass_with(v, t.claims);
    return verdict;
}

static void conclude_unknown_key(struct guard_visit *v, const struct jwk_set *keys, const char *why) {
    if (keys)
        refuse_token(v, why);
    else
        guard_refuse(v, GUARD_UNAVAILABLE, "the issuer's keys are not known");
}

static void take_verdict(struct jwt_guard *g, struct guard_visit *v, const struct jose_verdict *verdict) {
    switch (verdict->result) {
    case JOSE_OK: break;
    case JOSE_MALFORMED:
    case JOSE_INVALID: refuse_token(v, verdict->reason); break;
    case JOSE_INSUFFICIENT: guard_refuse(v, GUARD_FORBIDDEN, verdict->reason); break;
    case JOSE_INSUFFICIENT_SCOPE: guard_refuse_scope(v, &g->policy->rules, verdict->reason); break;
    case JOSE_UNKNOWN_KEY: conclude_unknown_key(v, key_source_current(g->source), verdict->reason); break;
    }
}

static void on_keys(struct key_waiter *w) {
    struct jwt_wait *wait = container_of(w, struct jwt_wait, waiter);
    struct guard_visit *v = wait->visit;
    struct jwt_guard *g = jwt_guard_of(v->guard);
    struct jose_verdict verdict = verify(g, v, wait->token, key_source_current(g->source));
    take_verdict(g, v, &verdict);
    guard_conclude(v);
}

/* True when newer keys are on their way. */
static bool wait_for_keys(struct jwt_guard *g, struct guard_visit *v, struct slice token) {
    struct jwt_wait *wait = arena_zalloc(&v->inv->arena, sizeof *wait);
    *wait = (struct jwt_wait){.waiter.on_keys = on_keys, .visit = v, .token = token};
    if (key_source_fetch(g->source, &wait->waiter) != KEY_FETCH_WAIT) return false;
    v->pending = wait;
    v->verdict = GUARD_WAIT;
    return true;
}

static void jwt_guard_check(struct guard *base, struct guard_visit *v) {
    struct jwt_guard *g = jwt_guard_of(base);
    struct slice token;
    switch (credential_find(&g->policy->places, v->inv, SLICE("Bearer"), &token)) {
    case CREDENTIAL_ABSENT: refuse_without_token(v); return;
    case CREDENTIAL_REPEATED: refuse_token(v, "there is more than one token"); return;
    case CREDENTIAL_FOUND: break;
    }
    struct jose_verdict verdict = verify(g, v, token, key_source_current(g->source));
    if (verdict.result == JOSE_UNKNOWN_KEY && wait_for_keys(g, v, token)) return;
    take_verdict(g, v, &verdict);
}

static void jwt_guard_cancel(struct guard *base, struct guard_visit *v) {
    struct jwt_wait *wait = v->pending;
    key_source_forget(jwt_guard_of(base)->source, &wait->waiter);
}

static void jwt_guard_free(struct guard *base) {
    struct jwt_guard *g = jwt_guard_of(base);
    file_poll_close(g->poll);
    key_source_free(g->source);
    jws_verifier_free(g->verifier);
    token_cache_free(g->cache);
    free(g);
}

static const struct guard_ops jwt_guard_ops = {
    .check = jwt_guard_check, .cancel = jwt_guard_cancel, .free = jwt_guard_free};

/* --- keys --- */

static struct key_source *open_file(const struct jwt_policy *p, struct error *e) {
    struct jwk_set *set = jwt_policy_read_keys(p, e);
    return set ? key_source_static(set) : NULL;
}

static struct key_source *open_secret(const struct jwt_policy *p, struct error *e) {
    struct jwk_set *set = jwk_set_from_secret(p->key_text, p->algorithms, e);
    return set ? key_source_static(set) : NULL;
}

static struct key_source *open_remote(const struct plugin_host *host, const struct guard_policy *p, struct error *e) {
    const struct jwks_host jwks = {host->clock, host->deadlines, host->turn, host->log, host->client};
    bool discover = p->jwt.keys == JWT_KEYS_DISCOVER && !host->development_keys_url;
    struct slice url = host->development_keys_url ? slice_of(host->development_keys_url) : p->jwt.key_text;
    const struct jwks_config config = {
        .name = p->name,
        .issuer = discover ? p->jwt.key_text : SLICE_NONE,
        .url = discover ? SLICE_NONE : url,
        .times = {.timeout = p->jwt.fetch_timeout_ms,
                  .wait = p->jwt.fetch_timeout_ms,
                  .unknown_key = p->jwt.refetch_ms,
                  .stale = p->jwt.stale_ms},
    };
    if (host->client) return jwks_source_new(&jwks, &config);
    error_set(e, ERROR_STATE, "the keys of guard " SLICE_FMT " cannot be fetched here", SLICE_ARG(p->name));
    return NULL;
}

static struct key_source *open_keys(const struct plugin_host *host, const struct guard_policy *p, struct error *e) {
    switch (p->jwt.keys) {
    case JWT_KEYS_FILE: return open_file(&p->jwt, e);
    case JWT_KEYS_SECRET: return open_secret(&p->jwt, e);
    case JWT_KEYS_URL:
    case JWT_KEYS_DISCOVER: break;
    }
    return open_remote(host, p, e);
}

static void on_key_file_changed(void *context) {
    struct jwt_guard *g = context;
    struct error e;
    struct jwk_set *set = jwt_policy_read_keys(g->policy, &e);
    if (set) key_source_static_replace(g->source, set);
    guard_log_file(&g->guard, g->log, g->policy->key_text.p, set ? NULL : &e);
}

static const struct key_source *jwt_predecessor_source(const struct guard *old) {
    return container_of(old, const struct jwt_guard, guard)->source;
}

struct guard *guard_jwt_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    struct jwt_guard *g = xcalloc(1, sizeof *g);
    guard_init(&g->guard, &jwt_guard_ops, h, p);
    g->policy = &p->jwt;
    g->clock = h->plugin->clock;
    g->log = h->plugin->log;
    if (p->jwt.keys == JWT_KEYS_FILE) g->poll = guard_follow_file(&g->guard, h, p->jwt.key_text.p, on_key_file_changed);
    g->source = open_keys(h->plugin, p, e);
    if (!g->source) {
        jwt_guard_free(&g->guard);
        return NULL;
    }
    if (h->predecessor) key_source_inherit(g->source, jwt_predecessor_source(h->predecessor));
    g->verifier = jws_verifier_new(p->jwt.algorithms);
    g->cache = token_cache_new(CACHE_TOKENS, CACHE_BYTES, g->clock);
    return &g->guard;
}
