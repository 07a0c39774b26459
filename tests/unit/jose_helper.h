/* jose_helper.h - the other side: keys of all kinds, published as JWKs and used to sign tokens for the tests. */
#pragma once
#include "gateway/base/base64.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "plugins/auth/jws.h"
#include "tests/unit/unit.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

static inline struct slice encode_bytes(struct arena *a, const void *p, size_t n) {
    char *text = arena_alloc(a, base64_encoded_size(n));
    base64_encode(p, n, text);
    size_t size = base64_encoded_size(n);
    while (size && text[size - 1] == '=') size--;
    for (size_t i = 0; i < size; i++) text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    return slice_make(text, size);
}

static inline struct slice encode_text(struct arena *a, const char *text) {
    return encode_bytes(a, text, strlen(text));
}

static inline struct slice decode_text(struct arena *a, const char *text) {
    struct slice bytes;
    assert_true(base64url_decode(a, slice_of(text), &bytes));
    return bytes;
}

static inline EVP_PKEY *make_rsa(size_t bits) {
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
    assert_non_null(pkey);
    return pkey;
}

static inline EVP_PKEY *make_ec(const char *curve) {
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    assert_non_null(pkey);
    return pkey;
}

static inline EVP_PKEY *make_okp(const char *type) {
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, type);
    assert_non_null(pkey);
    return pkey;
}

/* A number parameter, base64url, in `size` bytes (0: as few as it takes). */
static inline struct slice number_of(struct arena *a, const EVP_PKEY *pkey, const char *name, int size) {
    unsigned char bytes[1024];
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &n), 1);
    if (!size) size = BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, bytes, size), size);
    BN_free(n);
    return encode_bytes(a, bytes, (size_t)size);
}

/* A JWK of the public half; `more` is further members with a comma in front, or "". */
static inline const char *jwk_of(struct arena *a, const EVP_PKEY *pkey, const char *more) {
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return arena_printf(a, "{\"kty\":\"RSA\",\"n\":\"" SLICE_FMT "\",\"e\":\"" SLICE_FMT "\"%s}",
                            SLICE_ARG(number_of(a, pkey, "n", 0)), SLICE_ARG(number_of(a, pkey, "e", 0)), more)
            .p;
    int bits = EVP_PKEY_get_bits(pkey);
    if (EVP_PKEY_is_a(pkey, "EC"))
        return arena_printf(a, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"" SLICE_FMT "\",\"y\":\"" SLICE_FMT "\"%s}",
                            bits, SLICE_ARG(number_of(a, pkey, OSSL_PKEY_PARAM_EC_PUB_X, (bits + 7) / 8)),
                            SLICE_ARG(number_of(a, pkey, OSSL_PKEY_PARAM_EC_PUB_Y, (bits + 7) / 8)), more)
            .p;
    unsigned char raw[64];
    size_t n = sizeof raw;
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
    return arena_printf(a, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"" SLICE_FMT "\"%s}", n == 32 ? "Ed25519" : "Ed448",
                        SLICE_ARG(encode_bytes(a, raw, n)), more)
        .p;
}

static inline struct jwk_set *set_of(struct arena *a, const char *keys) {
    struct error e;
    struct jwk_set *s = jwk_set_from_json(arena_printf(a, "{\"keys\":[%s]}", keys), &e);
    if (!s) print_error("%s\n", e.message);
    assert_non_null(s);
    return s;
}

/* DER as OpenSSL signs, as r || s. */
static inline struct slice raw_ecdsa(struct arena *a, const unsigned char *der, size_t n, size_t coordinate) {
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)n);
    assert_non_null(signature);
    unsigned char *raw = arena_alloc(a, coordinate * 2);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, (int)coordinate);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + coordinate, (int)coordinate);
    ECDSA_SIG_free(signature);
    return slice_make((char *)raw, coordinate * 2);
}

/* Signs with what the row for `algorithm` says, whatever the key: the tests also want what should not be. */
static inline struct slice sign_bytes(struct arena *a, EVP_PKEY *pkey, enum jose_algorithm algorithm,
                                      struct slice input) {
    const struct jose_rule *rule = jose_rule_of(algorithm);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context;
    size_t n = 1024;
    unsigned char *out = arena_alloc(a, n);
    assert_int_equal(EVP_DigestSignInit_ex(digest, &context, rule->digest, NULL, NULL, pkey, NULL), 1);
    if (rule->padding == JOSE_PADDING_PSS) {
        assert_true(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0);
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0);
    }
    assert_int_equal(EVP_DigestSign(digest, out, &n, (const unsigned char *)input.p, input.n), 1);
    EVP_MD_CTX_free(digest);
    if (EVP_PKEY_is_a(pkey, "EC")) return raw_ecdsa(a, out, n, (size_t)(EVP_PKEY_get_bits(pkey) + 7) / 8);
    return slice_make((char *)out, n);
}

static inline struct slice mac_bytes(struct arena *a, struct slice secret, enum jose_algorithm algorithm,
                                     struct slice input) {
    unsigned char *out = arena_alloc(a, EVP_MAX_MD_SIZE);
    size_t n = 0;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, jose_rule_of(algorithm)->digest, NULL, secret.p, secret.n,
                              (const unsigned char *)input.p, input.n, out, EVP_MAX_MD_SIZE, &n));
    return slice_make((char *)out, n);
}

static inline struct slice input_of(struct arena *a, const char *header, const char *payload) {
    return arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(encode_text(a, header)),
                        SLICE_ARG(encode_text(a, payload)));
}

static inline struct slice token_with(struct arena *a, struct slice input, struct slice signature) {
    return arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(input),
                        SLICE_ARG(encode_bytes(a, signature.p, signature.n)));
}

static inline struct slice sign_token(struct arena *a, EVP_PKEY *pkey, enum jose_algorithm algorithm,
                                      const char *header, const char *payload) {
    struct slice input = input_of(a, header, payload);
    return token_with(a, input, sign_bytes(a, pkey, algorithm, input));
}

static inline struct slice mac_token(struct arena *a, struct slice secret, enum jose_algorithm algorithm,
                                     const char *header, const char *payload) {
    struct slice input = input_of(a, header, payload);
    return token_with(a, input, mac_bytes(a, secret, algorithm, input));
}

/* A refusal of that kind, with a reason, and nothing left in OpenSSL's error queue. */
#define assert_refused(verdict, expected) assert_verdict((verdict), (expected), __FILE__, __LINE__)
#define assert_accepted(verdict) assert_verdict((verdict), JOSE_OK, __FILE__, __LINE__)
static inline void assert_verdict(struct jose_verdict verdict, enum jose_result expected, const char *file, int line) {
    bool as_expected = verdict.result == expected && (verdict.result == JOSE_OK) == !verdict.reason;
    if (as_expected && ERR_peek_error() == 0) return;
    print_error("result %d instead of %d: %s; error queue %lx\n", (int)verdict.result, (int)expected,
                verdict.reason ? verdict.reason : "(no reason)", ERR_peek_error());
    _fail(file, line);
}
