/* Key documents of both kinds: a set holds only keys that qualify, and the same text makes the same set. */
#include "plugins/auth/jwk.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static void check_key(const struct jwk_set *s, const struct jwk *k) {
    const struct jwk *found;
    must(k->kind != JOSE_KIND_SECRET && k->pkey && slice_is_none(k->secret));
    must(k->algorithms && !(k->algorithms & ~jose_algorithms_for(k->kind)) && !(k->algorithms & JOSE_HMAC));
    if (k->kind == JOSE_KIND_RSA) must(EVP_PKEY_get_bits(k->pkey) >= JWK_RSA_BITS_MIN);
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        if (slice_is_none(k->kid)) continue;
        struct jose_verdict verdict = jwk_set_find(s, k->kid, (enum jose_algorithm)i, &found);
        must((verdict.result == JOSE_OK) == (found != NULL));
        if (k->algorithms & JOSE_BIT(i)) must(found == k);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct error e = {0};
    const char *why;
    struct jwk_set *s = jwk_set_from_file_text(text, &e);
    must(!s == (e.code != ERROR_NONE) && ERR_peek_error() == 0);
    if (!s) return 0;
    struct jwk_set *again = jwk_set_from_file_text(text, &e);
    must(jwk_set_count(s) > 0 && jwk_set_count(s) <= JWK_SET_KEY_LIMIT);
    must(jwk_set_count(s) == jwk_set_count(again) && jwk_set_generation(s) == jwk_set_generation(again));
    must((jwk_set_skipped(s, &why) > 0) == (why != NULL));
    for (size_t i = 0; i < jwk_set_count(s); i++) check_key(s, jwk_set_at(s, i));
    jwk_set_release(again);
    jwk_set_release(s);
    return 0;
}
