#include "plugins/auth/jws.h"
#include "gateway/base/memory.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

/* A DER SEQUENCE of two INTEGERs of 66 bytes at most, with headers and sign bytes. */
#define ECDSA_DER_MAX 144

struct jws_verifier {
    unsigned algorithms;
    EVP_MD_CTX *digest;
    EVP_MAC *hmac;
    EVP_MAC_CTX *hmac_context;
};

/* --- Parsing. Every check is NULL or the reason for which the token is refused. --- */

static const char *check_algorithm(struct jws *j, const struct jose_object *header, struct arena *a) {
    struct slice name;
    if (jose_object_text(header, SLICE("alg"), a, &name) != JOSE_TEXT_FOUND) return "the token names no algorithm";
    return jose_algorithm_parse(name, &j->algorithm) ? NULL : "the token's algorithm is not supported";
}

/* `crit` and `b64`: a recipient that does not act on them would read another payload than the signer meant. */
static const char *check_extensions(const struct jose_object *header) {
    const struct json_value *encoded = jose_object_get(header, SLICE("b64"));
    if (jose_object_get(header, SLICE("crit"))) return "the token has critical extensions";
    return encoded && encoded->kind != JSON_TRUE ? "the token's payload is unencoded" : NULL;
}

/* A media type without its optional prefix (RFC 7515 4.1.9). */
static struct slice short_type(struct slice type) {
    struct slice prefix = SLICE("application/");
    if (!slice_starts_with_nocase(type, prefix)) return type;
    return slice_make(type.p + prefix.n, type.n - prefix.n);
}

static const char *check_content_type(const struct jose_object *header, struct arena *a) {
    struct slice type;
    if (jose_object_text(header, SLICE("cty"), a, &type) == JOSE_TEXT_NOT_TEXT) return "cty is not a string";
    return slice_equal_nocase(short_type(type), SLICE("JWT")) ? "the token is nested" : NULL;
}

static const char *take_names(struct jws *j, const struct jose_object *header, struct arena *a) {
    if (jose_object_text(header, SLICE("kid"), a, &j->kid) == JOSE_TEXT_NOT_TEXT) return "kid is not a string";
    if (jose_object_text(header, SLICE("typ"), a, &j->type) == JOSE_TEXT_NOT_TEXT) return "typ is not a string";
    j->type = short_type(j->type);
    return NULL;
}

static struct jose_verdict read_header(struct jws *j, struct slice encoded, struct arena *a) {
    struct jose_object header;
    struct slice text;
    if (!base64url_decode(a, encoded, &text)) return jose_refuse(JOSE_MALFORMED, "the header is not base64url");
    if (jose_object_read(&header, text, a))
        return jose_refuse(JOSE_MALFORMED, "the header is not a JSON object with unique members");
    const char *why = check_algorithm(j, &header, a);
    if (!why) why = check_extensions(&header);
    if (!why) why = check_content_type(&header, a);
    if (!why) why = take_names(j, &header, a);
    return why ? jose_refuse(JOSE_INVALID, why) : JOSE_VERDICT_OK;
}

struct jose_verdict jws_parse(struct jws *j, struct slice token, struct arena *a) {
    struct slice rest = token, header, signature;
    *j = (struct jws){0};
    if (token.n > JWS_TOKEN_LIMIT) return jose_refuse(JOSE_MALFORMED, "the token is too long");
    bool three = slice_next(&rest, '.', &header) && slice_next(&rest, '.', &j->encoded_payload) &&
                 slice_next(&rest, '.', &signature) && slice_is_none(rest);
    if (!three || header.n == 0 || signature.n == 0)
        return jose_refuse(JOSE_MALFORMED, "the token is not a compact JWS");
    j->input = slice_make(token.p, header.n + 1 + j->encoded_payload.n);
    if (!base64url_decode(a, signature, &j->signature))
        return jose_refuse(JOSE_MALFORMED, "the signature is not base64url");
    return read_header(j, header, a);
}

/* --- Verifying. --- */

struct jws_verifier *jws_verifier_new(unsigned algorithms) {
    struct jws_verifier *v = xcalloc(1, sizeof *v);
    v->algorithms = algorithms;
    v->digest = EVP_MD_CTX_new();
    v->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    v->hmac_context = v->hmac ? EVP_MAC_CTX_new(v->hmac) : NULL;
    if (!v->digest || !v->hmac_context) abort();
    return v;
}

void jws_verifier_free(struct jws_verifier *v) {
    if (!v) return;
    EVP_MAC_CTX_free(v->hmac_context);
    EVP_MAC_free(v->hmac);
    EVP_MD_CTX_free(v->digest);
    free(v);
}

static inline const unsigned char *octets(struct slice s) {
    return (const unsigned char *)s.p;
}

static bool verify_hmac(struct jws_verifier *v, const struct jose_rule *rule, const struct jwk *key,
                        const struct jws *j) {
    unsigned char tag[EVP_MAX_MD_SIZE];
    size_t n = 0;
    char name[16];
    memcpy(name, rule->digest, strlen(rule->digest) + 1);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    bool made = EVP_MAC_init(v->hmac_context, octets(key->secret), key->secret.n, params) &&
                EVP_MAC_update(v->hmac_context, octets(j->input), j->input.n) &&
                EVP_MAC_final(v->hmac_context, tag, &n, sizeof tag);
    bool same = made && n == rule->output_size && j->signature.n == n && CRYPTO_memcmp(tag, j->signature.p, n) == 0;
    OPENSSL_cleanse(tag, sizeof tag);
    return same;
}

/* Both numbers into one signature, which owns them afterwards. */
static ECDSA_SIG *signature_of(struct slice raw) {
    int half = (int)(raw.n / 2);
    BIGNUM *r = BN_bin2bn(octets(raw), half, NULL);
    BIGNUM *s = BN_bin2bn(octets(raw) + half, half, NULL);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    bool sound = r && s && !BN_is_zero(r) && !BN_is_zero(s);
    if (signature && sound && ECDSA_SIG_set0(signature, r, s)) return signature;
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return NULL;
}

/* r || s as DER (RFC 3279 2.2.3), or absent when they cannot be a signature. */
static struct slice ecdsa_to_der(struct slice raw, unsigned char *out) {
    ECDSA_SIG *signature = signature_of(raw);
    if (!signature) return SLICE_NONE;
    unsigned char *end = out;
    int n = i2d_ECDSA_SIG(signature, &end);
    ECDSA_SIG_free(signature);
    return n > 0 ? slice_make((const char *)out, (size_t)n) : SLICE_NONE;
}

static bool set_pss(EVP_PKEY_CTX *context) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
}

/* MGF1 takes the signature's digest unless told otherwise. */
static bool verify_public(struct jws_verifier *v, const struct jose_rule *rule, const struct jwk *key,
                          const struct jws *j) {
    struct slice signature = j->signature;
    unsigned char der[ECDSA_DER_MAX];
    EVP_PKEY_CTX *context = NULL;
    bool is_ecdsa = rule->kinds & (JOSE_BIT(JOSE_KIND_P256) | JOSE_BIT(JOSE_KIND_P384) | JOSE_BIT(JOSE_KIND_P521));
    size_t expected = is_ecdsa ? rule->output_size * 2 : (size_t)EVP_PKEY_get_size(key->pkey);
    if (signature.n != expected) return false;
    if (is_ecdsa) signature = ecdsa_to_der(signature, der);
    if (slice_is_none(signature)) return false;
    EVP_MD_CTX_reset(v->digest);
    if (EVP_DigestVerifyInit_ex(v->digest, &context, rule->digest, NULL, NULL, key->pkey, NULL) != 1) return false;
    if (rule->padding == JOSE_PADDING_PSS && !set_pss(context)) return false;
    return EVP_DigestVerify(v->digest, octets(signature), signature.n, octets(j->input), j->input.n) == 1;
}

static bool signature_holds(struct jws_verifier *v, const struct jwk *key, const struct jws *j) {
    const struct jose_rule *rule = jose_rule_of(j->algorithm);
    ERR_set_mark();
    bool holds = key->kind == JOSE_KIND_SECRET ? verify_hmac(v, rule, key, j) : verify_public(v, rule, key, j);
    ERR_pop_to_mark();
    return holds;
}

struct jose_verdict jws_verify(struct jws_verifier *v, const struct jws *j, const struct jwk_set *keys, struct arena *a,
                               struct slice *payload) {
    const struct jwk *key;
    *payload = SLICE_NONE;
    if (!(v->algorithms & JOSE_BIT(j->algorithm)))
        return jose_refuse(JOSE_INVALID, "the token's algorithm is not accepted here");
    if (!keys) return jose_refuse(JOSE_UNKNOWN_KEY, "no keys are known yet");
    struct jose_verdict found = jwk_set_find(keys, j->kid, j->algorithm, &key);
    if (found.result != JOSE_OK) return found;
    if (!signature_holds(v, key, j)) return jose_refuse(JOSE_INVALID, "the signature does not hold");
    if (base64url_decode(a, j->encoded_payload, payload)) return JOSE_VERDICT_OK;
    return jose_refuse(JOSE_MALFORMED, "the payload is not base64url");
}
