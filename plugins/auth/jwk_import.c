#include "plugins/auth/jwk_import.h"
#include "gateway/base/memory.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define EXPONENT_BITS_MAX 64
#define POINT_SIZE_MAX (1 + 2 * 66)

static EVP_PKEY *pkey_from_params(const char *type, OSSL_PARAM *params) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    bool made = context && EVP_PKEY_fromdata_init(context) == 1 &&
                EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(context);
    return made ? pkey : NULL;
}

static bool bytes_member(const struct jose_object *o, struct slice name, struct arena *a, struct slice *bytes) {
    struct slice text;
    return jose_object_text(o, name, a, &text) == JOSE_TEXT_FOUND && text.n && base64url_decode(a, text, bytes);
}

static EVP_PKEY *rsa_from_numbers(const BIGNUM *n, const BIGNUM *e) {
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    bool pushed = builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
                  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *params = pushed ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    if (params) pkey = pkey_from_params("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

/* RFC 7518 6.3.1. Leading zero octets of the modulus are tolerated, as its 6.3.1.1 warns that they occur. */
static EVP_PKEY *import_rsa(const struct jose_object *o, struct arena *a, const char **why) {
    struct slice n, e;
    *why = "n or e is missing or not base64url";
    if (!bytes_member(o, SLICE("n"), a, &n) || !bytes_member(o, SLICE("e"), a, &e)) return NULL;
    *why = "the RSA key is too large";
    if (n.n > JWK_RSA_BITS_MAX / 8 + 1 || e.n > EXPONENT_BITS_MAX / 8 + 1) return NULL;
    BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    EVP_PKEY *pkey = modulus && exponent ? rsa_from_numbers(modulus, exponent) : NULL;
    BN_free(modulus);
    BN_free(exponent);
    *why = "not an RSA key";
    return pkey;
}

static const struct curve {
    const char *name; /* `crv` */
    size_t size;      /* of a coordinate, or of an OKP key */
    const char *type; /* OpenSSL's key type */
} ec_curves[] = {{"P-256", 32, "EC"}, {"P-384", 48, "EC"}, {"P-521", 66, "EC"}},
  okp_curves[] = {{"Ed25519", 32, "ED25519"}, {"Ed448", 57, "ED448"}};

/* NULL with *why when `crv` names none of them. */
static const struct curve *curve_member(const struct jose_object *o, struct arena *a, const struct curve *from,
                                        size_t count) {
    struct slice name;
    if (jose_object_text(o, SLICE("crv"), a, &name) != JOSE_TEXT_FOUND) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(name, slice_of(from[i].name))) return &from[i];
    }
    return NULL;
}

/* RFC 7518 6.2.1. OpenSSL refuses a point that is not on the curve; the NIST curves have no small subgroups. */
static EVP_PKEY *import_ec(const struct jose_object *o, struct arena *a, const char **why) {
    unsigned char point[POINT_SIZE_MAX] = {4}; /* uncompressed, SEC 1 2.3.3 */
    struct slice x, y;
    const struct curve *curve = curve_member(o, a, ec_curves, ARRAY_LEN(ec_curves));
    *why = "the curve is not known";
    if (!curve) return NULL;
    *why = "x or y is missing, not base64url or not of the curve's length";
    if (!bytes_member(o, SLICE("x"), a, &x) || !bytes_member(o, SLICE("y"), a, &y)) return NULL;
    if (x.n != curve->size || y.n != curve->size) return NULL;
    memcpy(point + 1, x.p, x.n);
    memcpy(point + 1 + x.n, y.p, y.n);
    char group[8];
    memcpy(group, curve->name, strlen(curve->name) + 1);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.n + y.n),
        OSSL_PARAM_construct_end(),
    };
    *why = "the point is not on the curve";
    return pkey_from_params(curve->type, params);
}

/* RFC 8037 2. */
static EVP_PKEY *import_okp(const struct jose_object *o, struct arena *a, const char **why) {
    struct slice x;
    const struct curve *curve = curve_member(o, a, okp_curves, ARRAY_LEN(okp_curves));
    *why = "the curve is not known";
    if (!curve) return NULL;
    *why = "x is missing, not base64url or not of the curve's length";
    if (!bytes_member(o, SLICE("x"), a, &x) || x.n != curve->size) return NULL;
    unsigned char key[57];
    memcpy(key, x.p, x.n);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, key, x.n),
        OSSL_PARAM_construct_end(),
    };
    *why = "not an Edwards-curve key";
    return pkey_from_params(curve->type, params);
}

static EVP_PKEY *refuse_oct(const struct jose_object *o, struct arena *a, const char **why) {
    (void)o, (void)a;
    *why = "a secret in a key document";
    return NULL;
}

EVP_PKEY *jwk_import_members(const struct jose_object *o, struct arena *scratch, const char **why) {
    static const struct {
        const char *name;
        EVP_PKEY *(*import)(const struct jose_object *o, struct arena *a, const char **why);
    } types[] = {{"RSA", import_rsa}, {"EC", import_ec}, {"OKP", import_okp}, {"oct", refuse_oct}};
    struct slice type;
    *why = "kty is missing or not known";
    if (jose_object_text(o, SLICE("kty"), scratch, &type) != JOSE_TEXT_FOUND) return NULL;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_equal(type, slice_of(types[i].name))) return types[i].import(o, scratch, why);
    }
    return NULL;
}

static bool rsa_numbers_are_sound(const EVP_PKEY *pkey) {
    BIGNUM *n = NULL, *e = NULL;
    bool sound = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) &&
                 EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) && BN_is_odd(n) && BN_is_odd(e) &&
                 !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX;
    BN_free(n);
    BN_free(e);
    return sound;
}

static const char *classify_rsa(const EVP_PKEY *pkey) {
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < JWK_RSA_BITS_MIN) return "the RSA key is too short: 2048 bits at least";
    if (bits > JWK_RSA_BITS_MAX) return "the RSA key is too large";
    return rsa_numbers_are_sound(pkey) ? NULL : "the RSA modulus or exponent is not sound";
}

/* OpenSSL answers with its own name or with NIST's, as the key was made. */
static const char *classify_ec(const EVP_PKEY *pkey, enum jose_kind *kind) {
    static const struct {
        const char *group;
        enum jose_kind kind;
    } groups[] = {
        {"prime256v1", JOSE_KIND_P256}, {"P-256", JOSE_KIND_P256},     {"secp384r1", JOSE_KIND_P384},
        {"P-384", JOSE_KIND_P384},      {"secp521r1", JOSE_KIND_P521}, {"P-521", JOSE_KIND_P521},
    };
    char name[32];
    size_t n;
    if (EVP_PKEY_get_group_name(pkey, name, sizeof name, &n) != 1) return "the curve is not known";
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (strcmp(name, groups[i].group) != 0) continue;
        *kind = groups[i].kind;
        return NULL;
    }
    return "the curve is not known";
}

const char *jwk_classify(const EVP_PKEY *pkey, enum jose_kind *kind) {
    if (EVP_PKEY_is_a(pkey, "EC")) return classify_ec(pkey, kind);
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        *kind = JOSE_KIND_RSA;
        return classify_rsa(pkey);
    }
    *kind = EVP_PKEY_is_a(pkey, "ED25519") ? JOSE_KIND_ED25519 : JOSE_KIND_ED448;
    if (*kind == JOSE_KIND_ED25519 || EVP_PKEY_is_a(pkey, "ED448")) return NULL;
    return "a key type that signs no tokens";
}
