/* An API key in a place of its own. It is compared as a digest, with all keys, in time that tells nothing. */
#include "gateway/base/memory.h"
#include "plugins/auth/guard.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct api_key_guard {
    struct guard guard;
    const struct api_key_policy *policy;
    const char *parameters; /* of the challenge */
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
};

/* NULL when nobody has it. All keys are looked at whichever it is. */
static const struct api_key *find_key(struct api_key_guard *g, struct slice text) {
    unsigned char digest[API_KEY_DIGEST];
    const struct api_key *found = NULL;
    bool made = EVP_DigestInit_ex2(g->digest, g->sha256, NULL) && EVP_DigestUpdate(g->digest, text.p, text.n) &&
                EVP_DigestFinal_ex(g->digest, digest, NULL);
    if (!made) abort();
    for (size_t i = 0; i < g->policy->key_count; i++) {
        const struct api_key *key = &g->policy->keys[i];
        if (CRYPTO_memcmp(key->digest, digest, sizeof digest) == 0) found = key;
    }
    return found;
}

static void api_key_check(struct guard *base, struct guard_visit *v) {
    struct api_key_guard *g = container_of(base, struct api_key_guard, guard);
    struct slice text;
    enum credential_found found = credential_find(&g->policy->places, v->inv, SLICE("ApiKey"), &text);
    const struct api_key *key = found == CREDENTIAL_FOUND ? find_key(g, text) : NULL;
    if (key) {
        guard_pass(v, guard_identity_of_name(v, "ApiKey", key->name));
        return;
    }
    v->absent = found == CREDENTIAL_ABSENT;
    guard_refuse(v, GUARD_UNAUTHORIZED,
                 found == CREDENTIAL_ABSENT     ? "an API key is needed"
                 : found == CREDENTIAL_REPEATED ? "there is more than one API key"
                                                : "the API key is not known");
    guard_challenge(v, "ApiKey", g->parameters);
}

static void api_key_strip(struct guard *base, struct invocation *inv) {
    credential_strip(container_of(base, struct api_key_guard, guard)->policy->places.items, inv);
}

static void api_key_free(struct guard *base) {
    struct api_key_guard *g = container_of(base, struct api_key_guard, guard);
    EVP_MD_CTX_free(g->digest);
    EVP_MD_free(g->sha256);
    free((char *)g->parameters);
    free(g);
}

static const struct guard_ops api_key_ops = {.check = api_key_check, .strip = api_key_strip, .free = api_key_free};

struct guard *guard_api_key_open(const struct guard_host *h, const struct guard_policy *p, struct error *e) {
    (void)e;
    struct api_key_guard *g = xcalloc(1, sizeof *g);
    const struct credential_place *place = p->api_key.places.items;
    guard_init(&g->guard, &api_key_ops, h, p);
    g->policy = &p->api_key;
    g->parameters = xasprintf(", in=\"%s\", name=\"" SLICE_FMT "\"", credential_kind_name(place->kind),
                              SLICE_ARG(place->name));
    g->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    g->digest = EVP_MD_CTX_new();
    if (!g->sha256 || !g->digest) abort();
    return &g->guard;
}
