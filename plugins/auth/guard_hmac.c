/* A signature of the body with a shared secret, as webhooks carry it. What the header alone can tell is told before the
 * body is read.
 *
 *   github   sha256=HEX                      HMAC-SHA256 of the body
 *   stripe   t=SECONDS,v1=HEX[,v1=HEX...]    HMAC-SHA256 of "SECONDS." and the body; other members are ignored
 */
#include "gateway/base/memory.h"
#include "plugins/auth/guard.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#define TAG_SIZE 32
#define SIGNATURES_MAX 8 /* a sender whose secret is being replaced gives two */

struct hmac_guard {
    struct guard guard;
    const struct hmac_policy *policy;
    const char *parameters; /* of the challenge */
    struct clock *clock;
    EVP_MAC *hmac;
    EVP_MAC_CTX *context;
};

/* What a header says. */
struct hmac_claim {
    struct slice prefix; /* of what was signed, before the body */
    unsigned char tags[SIGNATURES_MAX][TAG_SIZE];
    size_t count;
};

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_tag(struct hmac_claim *claim, struct slice hex) {
    if (hex.n != 2 * TAG_SIZE || claim->count == SIGNATURES_MAX) return false;
    for (size_t i = 0; i < TAG_SIZE; i++) {
        int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        claim->tags[claim->count][i] = (unsigned char)(high << 4 | low);
    }
    claim->count++;
    return true;
}

/* NULL, or why the field is no signature. */
static const char *read_github(struct hmac_guard *g, struct slice text, struct hmac_claim *claim, struct arena *a) {
    (void)g;
    (void)a;
    struct slice prefix = SLICE("sha256=");
    bool good = slice_starts_with(text, prefix) && take_tag(claim, slice_make(text.p + prefix.n, text.n - prefix.n));
    return good ? NULL : "the signature is not of the form sha256=HEX";
}

static bool is_recent(struct hmac_guard *g, uint64_t seconds) {
    uint64_t now = clock_wall_ms(g->clock), then = seconds * 1000;
    return (now > then ? now - then : then - now) <= g->policy->tolerance_ms;
}

static const char *read_stripe(struct hmac_guard *g, struct slice text, struct hmac_claim *claim, struct arena *a) {
    struct slice member, name, time = SLICE_NONE;
    uint64_t seconds;
    while (slice_next(&text, ',', &member)) {
        member = slice_trim(member);
        slice_next(&member, '=', &name);
        if (slice_equal(name, SLICE("t")) && !slice_is_none(time)) return "the signature has two times";
        if (slice_equal(name, SLICE("t"))) time = member;
        if (slice_equal(name, SLICE("v1")) && (slice_is_none(member) || !take_tag(claim, member)))
            return "the signature is not of the form t=SECONDS,v1=HEX";
    }
    if (slice_is_none(time) || time.n > 12 || !slice_to_u64(time, &seconds) || claim->count == 0)
        return "the signature is not of the form t=SECONDS,v1=HEX";
    claim->prefix = arena_printf(a, SLICE_FMT ".", SLICE_ARG(time));
    return is_recent(g, seconds) ? NULL : "the time of the signature is too far from now";
}

static const char *read_claim(struct hmac_guard *g, struct slice text, struct hmac_claim *claim, struct arena *a) {
    *claim = (struct hmac_claim){.prefix = SLICE("")};
    switch (g->policy->style) {
    case HMAC_STYLE_GITHUB: return read_github(g, text, claim, a);
    case HMAC_STYLE_STRIPE: return read_stripe(g, text, claim, a);
    }
    abort();
}

static void hmac_refuse(struct hmac_guard *g, struct guard_visit *v, const char *detail) {
    guard_refuse(v, GUARD_UNAUTHORIZED, detail);
    guard_challenge(v, "HMAC", g->parameters);
}

static void hmac_check(struct guard *base, struct guard_visit *v) {
    struct hmac_guard *g = container_of(base, struct hmac_guard, guard);
    const struct fields *f = &v->inv->request.headers;
    struct hmac_claim *claim = arena_alloc(&v->inv->arena, sizeof *claim);
    struct slice text = fields_get(f, g->policy->header);
    if (slice_is_none(text)) {
        v->absent = true;
        hmac_refuse(g, v, "a signature is needed");
        return;
    }
    const char *why = fields_count(f, g->policy->header) > 1 ? "there is more than one signature"
                                                             : read_claim(g, text, claim, &v->inv->arena);
    v->verdict = GUARD_NEEDS_BODY;
    v->pending = claim;
    if (why) hmac_refuse(g, v, why);
}

static void make_tag(struct hmac_guard *g, struct slice secret, struct slice prefix, struct slice body,
                     unsigned char tag[TAG_SIZE]) {
    char digest[] = "SHA256";
    size_t n;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    bool made = EVP_MAC_init(g->context, (const unsigned char *)secret.p, secret.n, params) &&
                EVP_MAC_update(g->context, (const unsigned char *)prefix.p, prefix.n) &&
                EVP_MAC_update(g->context, (const unsigned char *)body.p, body.n) &&
                EVP_MAC_final(g->context, tag, &n, TAG_SIZE);
    if (!made) abort();
}

/* Any of the secrets with any of the signatures; all are compared. */
static bool claim_holds(struct hmac_guard *g, const struct hmac_claim *claim, struct slice body) {
    unsigned char tag[TAG_SIZE];
    bool holds = false;
    for (size_t i = 0; i < g->policy->secrets.count; i++) {
        make_tag(g, g->policy->secrets.items[i], claim->prefix, body, tag);
        for (size_t k = 0; k < claim->count; k++) holds |= CRYPTO_memcmp(tag, claim->tags[k], TAG_SIZE) == 0;
    }
    OPENSSL_cleanse(tag, sizeof tag);
    return holds;
}

static void hmac_check_body(struct guard *base, struct guard_visit *v) {
    struct hmac_guard *g = container_of(base, struct hmac_guard, guard);
    struct slice body = v->inv->body ? body_whole(v->inv->body) : SLICE("");
    if (claim_holds(g, v->pending, body))
        guard_pass(v, guard_identity_of_name(v, "HMAC", SLICE_NONE));
    else
        hmac_refuse(g, v, "the signature is not that of this body");
}

static void hmac_free(struct guard *base) {
    struct hmac_guard *g = container_of(base, struct hmac_guard, guard);
    EVP_MAC_CTX_free(g->context);
    EVP_MAC_free(g->hmac);
    free((char *)g->parameters);
    free(g);
}

static const struct guard_ops hmac_ops = {.check = hmac_check, .check_body = hmac_check_body, .free = hmac_free};

struct guard *guard_hmac_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    (void)e;
    struct hmac_guard *g = xcalloc(1, sizeof *g);
    guard_init(&g->guard, &hmac_ops, h, p);
    g->policy = &p->hmac;
    g->parameters = xasprintf(", header=\"" SLICE_FMT "\"", SLICE_ARG(p->hmac.header));
    g->clock = h->plugin->clock;
    g->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    g->context = g->hmac ? EVP_MAC_CTX_new(g->hmac) : NULL;
    if (!g->context) abort();
    return &g->guard;
}
