#include "plugins/auth/jwk.h"
#include "plugins/auth/jwk_import.h"
#include "tests/unit/jose_helper.h"
#include "tests/unit/jose_vectors.h"
#include <openssl/pem.h>
#include <openssl/x509.h>

static struct arena arena;
static EVP_PKEY *rsa;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 64 * 1024);
    rsa = make_rsa(2048);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    EVP_PKEY_free(rsa);
    arena_free(&arena);
    return 0;
}

static void the_table_of_algorithms(void **state) {
    (void)state;
    enum jose_algorithm algorithm;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        assert_true(jose_algorithm_parse(jose_rule_of((enum jose_algorithm)i)->name, &algorithm));
        assert_int_equal(algorithm, i);
    }
    static const char *const unknown[] = {"none", "None", "NONE",   "nOnE",   "",    "rs256", "RS256 ", "RS25",
                                          "HS1",  "RS1",  "ES256K", "A128KW", "dir", "eddsa", "RS256\n"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_false(jose_algorithm_parse(slice_of(unknown[i]), &algorithm));
    assert_int_equal(jose_algorithms_for(JOSE_KIND_SECRET), JOSE_HMAC);
    assert_int_equal(jose_algorithms_for(JOSE_KIND_P256), JOSE_BIT(JOSE_ES256));
    assert_int_equal(jose_algorithms_for(JOSE_KIND_ED448), JOSE_BIT(JOSE_EDDSA) | JOSE_BIT(JOSE_ED448));
    assert_int_equal(JOSE_HMAC & JOSE_ASYMMETRIC, 0);
}

static void base64url_is_strict(void **state) {
    (void)state;
    struct slice bytes;
    assert_true(base64url_decode(&arena, SLICE(""), &bytes));
    assert_slice(bytes, "");
    assert_true(base64url_decode(&arena, SLICE("AA"), &bytes));
    assert_int_equal(bytes.n, 1);
    assert_true(base64url_decode(&arena, SLICE("-_-_"), &bytes));
    assert_true(slice_equal(bytes, slice_make("\xfb\xff\xbf", 3)));
    assert_slice(decode_text(&arena, "Zm9vYmE"), "fooba");
    static const char *const bad[] = {"A",    "AAAAA", "AA==", "AAA=",    "AA=",  "=",     "AB",       "AAB",  "+_-_",
                                      "/_-_", "AA A",  "AA\n", "AAA\xc3", "A.AA", "AAAA=", "AAAA====", "AAA,", "-_-/"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(base64url_decode(&arena, slice_of(bad[i]), &bytes));
    assert_false(base64url_decode(&arena, slice_make("A\0AA", 4), &bytes));
}

static void members_are_unique(void **state) {
    (void)state;
    struct jose_object o;
    struct slice text;
    assert_null(jose_object_read(&o, SLICE("{\"a\":1,\"b\":\"x\\u0079\",\"c\":{\"a\":2,\"a\":3}}"), &arena));
    assert_int_equal(o.count, 3);
    assert_slice(jose_object_get(&o, SLICE("a"))->raw, "1");
    assert_null(jose_object_get(&o, SLICE("A")));
    assert_int_equal(jose_object_text(&o, SLICE("b"), &arena, &text), JOSE_TEXT_FOUND);
    assert_slice(text, "xy");
    assert_int_equal(jose_object_text(&o, SLICE("a"), &arena, &text), JOSE_TEXT_NOT_TEXT);
    assert_int_equal(jose_object_text(&o, SLICE("z"), &arena, &text), JOSE_TEXT_ABSENT);
    static const char *const bad[] = {
        "",
        "[]",
        "\"a\"",
        "null",
        "{",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":1}x",
        "{\"a\":1}{}",
        "{\"a\":1,\"a\":1}",
        "{a:1}",
        "{\"a\":'b'}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"\":1,\"\":2}",
        "{\"a\":\"\xff\"}",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_non_null(jose_object_read(&o, slice_of(bad[i]), &arena));
}

static struct slice object_of_many(int count) {
    struct buf out = {0};
    for (int i = 0; i < count; i++) buf_printf(&out, "%c\"m%d\":%d", i ? ',' : '{', i, i);
    buf_append_char(&out, '}');
    struct slice text = arena_copy(&arena, buf_slice(&out));
    buf_free(&out);
    return text;
}

static void members_are_bounded(void **state) {
    (void)state;
    struct jose_object o;
    assert_null(jose_object_read(&o, object_of_many(JOSE_MEMBER_LIMIT), &arena));
    assert_int_equal(o.count, JOSE_MEMBER_LIMIT);
    assert_slice(jose_object_get(&o, SLICE("m0"))->raw, "0");
    assert_slice(jose_object_get(&o, SLICE("m127"))->raw, "127");
    assert_non_null(jose_object_read(&o, object_of_many(JOSE_MEMBER_LIMIT + 1), &arena));
}

static void the_set_of_rfc_7517(void **state) {
    (void)state;
    const char *why;
    struct error e;
    struct jwk_set *s = jwk_set_from_json(SLICE(RFC7517_SET), &e);
    assert_non_null(s);
    assert_int_equal(jwk_set_count(s), 1);
    assert_int_equal(jwk_set_skipped(s, &why), 1);
    assert_string_equal(why, "use is not sig");
    assert_slice(jwk_set_at(s, 0)->kid, "2011-04-29");
    assert_int_equal(jwk_set_at(s, 0)->algorithms, JOSE_BIT(JOSE_RS256));
    jwk_set_release(s);
}

static void all_kinds_of_keys(void **state) {
    (void)state;
    EVP_PKEY *keys[] = {EVP_PKEY_dup(rsa), make_ec("P-256"),    make_ec("P-384"),
                        make_ec("P-521"),  make_okp("ED25519"), make_okp("ED448")};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        struct jwk_set *s = set_of(&arena, jwk_of(&arena, keys[i], ",\"kid\":\"k\",\"key_ops\":[\"verify\"]"));
        const struct jwk *k = jwk_set_at(s, 0);
        assert_int_equal(k->kind, i);
        assert_int_equal(k->algorithms, jose_algorithms_for((enum jose_kind)i));
        assert_int_equal(EVP_PKEY_eq(k->pkey, keys[i]), 1);
        jwk_set_release(s);
        EVP_PKEY_free(keys[i]);
    }
}

static void private_members_are_ignored(void **state) {
    (void)state;
    BIGNUM *d = NULL;
    struct jwk_set *s = set_of(&arena, RFC7515_P256_JWK);
    assert_int_equal(EVP_PKEY_get_bn_param(jwk_set_at(s, 0)->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d), 0);
    ERR_clear_error();
    assert_null(d);
    jwk_set_release(s);
}

#define P256_XY "\"x\":\"" RFC7515_P256_X "\",\"y\":\"" RFC7515_P256_Y "\""
#define P256(more) "{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_XY "," more "}"
#define RSA_JWK(more) "{\"kty\":\"RSA\",\"n\":\"" RFC7515_RSA_N "\"," more "}"
/* 32 zero bytes */
#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void keys_that_do_not_qualify(void **state) {
    (void)state;
    static const struct {
        const char *jwk;
        const char *why;
    } rows[] = {
        {"1", "not a JSON object"},
        {"{}", "kty is missing or not known"},
        {"{\"kty\":1}", "kty is missing or not known"},
        {"{\"kty\":\"rsa\"}", "kty is missing or not known"},
        {"{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"}", "kty is missing or not known"},
        {"{\"kty\":\"oct\",\"k\":\"" RFC7515_HMAC_SECRET "\"}", "a secret in a key document"},
        {"{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AA\"}", "a secret in a key document"},
        {P256("\"kty\":\"EC\""), "a member occurs twice"},
        {P256("\"x\":\"" ZEROS "\""), "a member occurs twice"},
        {P256("\"use\":\"enc\""), "use is not sig"},
        {P256("\"use\":\"SIG\""), "use is not sig"},
        {P256("\"use\":null"), "use is not a string"},
        {P256("\"key_ops\":[\"sign\"]"), "key_ops does not have verify"},
        {P256("\"key_ops\":[]"), "key_ops does not have verify"},
        {P256("\"key_ops\":\"verify\""), "key_ops does not have verify"},
        {P256("\"use\":\"sig\",\"key_ops\":[\"encrypt\"]"), "key_ops does not have verify"},
        {P256("\"alg\":\"ES384\""), "alg does not fit the key"},
        {P256("\"alg\":\"HS256\""), "alg does not fit the key"},
        {P256("\"alg\":\"RS256\""), "alg does not fit the key"},
        {P256("\"alg\":\"none\""), "alg is not known"},
        {P256("\"alg\":\"ECDH-ES\""), "alg is not known"},
        {P256("\"alg\":7"), "alg is not a string"},
        {P256("\"kid\":7"), "kid is not a string"},
        {"{\"kty\":\"EC\"," P256_XY "}", "the curve is not known"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\"," P256_XY "}", "the curve is not known"},
        {"{\"kty\":\"EC\",\"crv\":\"p-256\"," P256_XY "}", "the curve is not known"},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\"," P256_XY "}",
         "x or y is missing, not base64url or not of the curve's length"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC7515_P256_X "\"}",
         "x or y is missing, not base64url or not of the curve's length"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC7515_P256_X "\",\"y\":\"AA\"}",
         "x or y is missing, not base64url or not of the curve's length"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC7515_P256_X "=\",\"y\":\"" RFC7515_P256_Y "\"}",
         "x or y is missing, not base64url or not of the curve's length"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC7515_P256_X "\",\"y\":\"" RFC7515_P256_X "\"}",
         "the point is not on the curve"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" ZEROS "\",\"y\":\"" ZEROS "\"}", "the point is not on the curve"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ZEROS "\"}", "the curve is not known"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ZEROS "\"}",
         "x is missing, not base64url or not of the curve's length"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "x is missing, not base64url or not of the curve's length"},
        {RSA_JWK("\"a\":1"), "n or e is missing or not base64url"},
        {RSA_JWK("\"e\":\"\""), "n or e is missing or not base64url"},
        {RSA_JWK("\"e\":65537"), "n or e is missing or not base64url"},
        {RSA_JWK("\"e\":\"AQAB=\""), "n or e is missing or not base64url"},
        {RSA_JWK("\"e\":\"AQ\""), "the RSA modulus or exponent is not sound"},
        {RSA_JWK("\"e\":\"AA\""), "the RSA modulus or exponent is not sound"},
        {RSA_JWK("\"e\":\"Ag\""), "the RSA modulus or exponent is not sound"},
        {RSA_JWK("\"e\":\"AQAAAAAAAAAB\""), "the RSA modulus or exponent is not sound"},
        {RSA_JWK("\"e\":\"AQAAAAAAAAAAAQ\""), "the RSA key is too large"},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "the RSA key is too short: 2048 bits at least"},
        {"{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\"}", "the RSA key is too short: 2048 bits at least"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error e;
        const char *why = NULL;
        struct slice alone = arena_printf(&arena, "{\"keys\":[%s]}", rows[i].jwk);
        assert_null(jwk_set_from_json(alone, &e));
        if (!strstr(e.message, rows[i].why)) fail_msg("%s: %s", rows[i].jwk, e.message);
        struct jwk_set *s = set_of(&arena, arena_printf(&arena, "%s," RFC8037_JWK, rows[i].jwk).p);
        assert_int_equal(jwk_set_count(s), 1);
        assert_int_equal(jwk_set_skipped(s, &why), 1);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(ERR_peek_error(), 0);
        jwk_set_release(s);
    }
}

static void short_and_even_rsa_keys(void **state) {
    (void)state;
    struct error e;
    EVP_PKEY *small = make_rsa(1024);
    struct slice set = arena_printf(&arena, "{\"keys\":[%s]}", jwk_of(&arena, small, ""));
    assert_null(jwk_set_from_json(set, &e));
    assert_non_null(strstr(e.message, "too short"));
    EVP_PKEY_free(small);
    char *even = xstrdup(jwk_of(&arena, rsa, ""));
    char *end = strstr(even, "\",\"e\"");
    end[-1] = 'A'; /* 256 bytes: two digits for the last one, of which the last must end in 0000 */
    end[-2] = 'A';
    assert_null(jwk_set_from_json(arena_printf(&arena, "{\"keys\":[%s]}", even), &e));
    assert_non_null(strstr(e.message, "not sound"));
    free(even);
}

static void what_is_no_set(void **state) {
    (void)state;
    static const char *const documents[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":[]}",
        "{\"keys\":[1,2]}",
        "{\"keys\":[" RFC8037_JWK "],\"keys\":[]}",
        "{\"keys\":[" RFC8037_JWK "]} x",
        "{\"keys\":[" RFC8037_JWK ",]}",
        "{\"keys\":[" RFC8037_JWK "]",
        RFC8037_JWK,
        "<html></html>",
    };
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        struct error e = {0};
        assert_null(jwk_set_from_json(slice_of(documents[i]), &e));
        assert_int_equal(e.code, ERROR_FORMAT);
        assert_true(e.message[0] != '\0');
    }
}

static struct slice set_of_many(int count, size_t padding) {
    struct buf out = {0};
    buf_append_text(&out, "{\"keys\":[");
    for (int i = 0; i < count; i++)
        buf_printf(&out, "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ZEROS "\",\"kid\":\"%d\"}", i ? "," : "", i);
    buf_append_text(&out, "]}");
    while (padding--) buf_append_char(&out, ' ');
    struct slice text = arena_copy(&arena, buf_slice(&out));
    buf_free(&out);
    return text;
}

static void sets_are_bounded(void **state) {
    (void)state;
    struct error e = {0};
    struct jwk_set *s = jwk_set_from_json(set_of_many(JWK_SET_KEY_LIMIT, 0), &e);
    assert_non_null(s);
    assert_int_equal(jwk_set_count(s), JWK_SET_KEY_LIMIT);
    jwk_set_release(s);
    assert_null(jwk_set_from_json(set_of_many(JWK_SET_KEY_LIMIT + 1, 0), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    e = (struct error){0};
    assert_null(jwk_set_from_json(set_of_many(1, JWK_SET_SIZE_LIMIT), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    e = (struct error){0};
    assert_null(jwk_set_from_pem(set_of_many(1, JWK_SET_SIZE_LIMIT), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
}

static void finding_by_kid(void **state) {
    (void)state;
    const struct jwk *key;
    EVP_PKEY *p256 = make_ec("P-256");
    struct jwk_set *s = set_of(
        &arena, arena_printf(&arena, "%s,%s,%s,%s", jwk_of(&arena, rsa, ",\"kid\":\"a\",\"alg\":\"RS256\""),
                             jwk_of(&arena, p256, ",\"kid\":\"a\""), jwk_of(&arena, p256, ",\"kid\":\"b\""),
                             jwk_of(&arena, p256, ",\"kid\":\"\""))
                    .p);
    assert_int_equal(jwk_set_count(s), 4);
    assert_accepted(jwk_set_find(s, SLICE("a"), JOSE_RS256, &key));
    assert_ptr_equal(key, jwk_set_at(s, 0));
    assert_accepted(jwk_set_find(s, SLICE("a"), JOSE_ES256, &key));
    assert_ptr_equal(key, jwk_set_at(s, 1));
    assert_accepted(jwk_set_find(s, SLICE("b"), JOSE_ES256, &key));
    assert_ptr_equal(key, jwk_set_at(s, 2));
    assert_accepted(jwk_set_find(s, SLICE(""), JOSE_ES256, &key));
    assert_ptr_equal(key, jwk_set_at(s, 3));
    assert_refused(jwk_set_find(s, SLICE("a"), JOSE_PS256, &key), JOSE_INVALID);
    assert_null(key);
    assert_refused(jwk_set_find(s, SLICE("a"), JOSE_HS256, &key), JOSE_INVALID);
    assert_refused(jwk_set_find(s, SLICE("b"), JOSE_RS256, &key), JOSE_INVALID);
    assert_refused(jwk_set_find(s, SLICE("A"), JOSE_RS256, &key), JOSE_UNKNOWN_KEY);
    assert_refused(jwk_set_find(s, SLICE("a "), JOSE_RS256, &key), JOSE_UNKNOWN_KEY);
    assert_refused(jwk_set_find(s, slice_make("a\0", 2), JOSE_RS256, &key), JOSE_UNKNOWN_KEY);
    assert_refused(jwk_set_find(s, SLICE("../a"), JOSE_RS256, &key), JOSE_UNKNOWN_KEY);
    assert_refused(jwk_set_find(s, SLICE_NONE, JOSE_RS256, &key), JOSE_INVALID);
    jwk_set_release(s);
    EVP_PKEY_free(p256);
}

static void a_single_key(void **state) {
    (void)state;
    const struct jwk *key;
    struct jwk_set *named = set_of(&arena, jwk_of(&arena, rsa, ",\"kid\":\"a\""));
    struct jwk_set *nameless = set_of(&arena, jwk_of(&arena, rsa, ""));
    assert_accepted(jwk_set_find(named, SLICE_NONE, JOSE_RS256, &key));
    assert_refused(jwk_set_find(named, SLICE("b"), JOSE_RS256, &key), JOSE_UNKNOWN_KEY);
    assert_accepted(jwk_set_find(nameless, SLICE_NONE, JOSE_PS512, &key));
    assert_accepted(jwk_set_find(nameless, SLICE("b"), JOSE_RS256, &key));
    assert_refused(jwk_set_find(nameless, SLICE("b"), JOSE_ES256, &key), JOSE_INVALID);
    assert_refused(jwk_set_find(nameless, SLICE_NONE, JOSE_HS256, &key), JOSE_INVALID);
    jwk_set_release(named);
    jwk_set_release(nameless);
}

static void a_kid_taken_twice(void **state) {
    (void)state;
    const char *why;
    EVP_PKEY *other = make_ec("P-256");
    struct slice keys = arena_printf(&arena, "%s,%s", P256("\"kid\":\"a\""), jwk_of(&arena, other, ",\"kid\":\"a\""));
    struct jwk_set *s = set_of(&arena, keys.p);
    assert_int_equal(jwk_set_count(s), 1);
    assert_int_equal(jwk_set_skipped(s, &why), 1);
    assert_string_equal(why, "its kid is taken by an earlier key");
    assert_int_equal(EVP_PKEY_eq(jwk_set_at(s, 0)->pkey, other), 0);
    jwk_set_release(s);
    EVP_PKEY_free(other);
}

static struct slice text_of_bio(BIO *bio) {
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    struct slice text = arena_copy(&arena, slice_make(p, (size_t)n));
    BIO_free(bio);
    return text;
}

static struct slice pem_of(EVP_PKEY *pkey) {
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    return text_of_bio(bio);
}

static struct slice pkcs1_of(EVP_PKEY *pkey) {
    unsigned char *der = NULL;
    int n = i2d_PublicKey(pkey, &der);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, n) > 0);
    OPENSSL_free(der);
    return text_of_bio(bio);
}

static struct slice private_pem_of(EVP_PKEY *pkey) {
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    return text_of_bio(bio);
}

static struct slice certificate_of(EVP_PKEY *pkey) {
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, pkey);
    assert_true(X509_sign(certificate, pkey, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    X509_free(certificate);
    return text_of_bio(bio);
}

static void assert_pem_is(struct slice pem, EVP_PKEY *pkey, enum jose_kind kind) {
    struct error e;
    struct jwk_set *s = jwk_set_from_file_text(pem, &e);
    if (!s) fail_msg("%s", e.message);
    assert_int_equal(jwk_set_count(s), 1);
    assert_none(jwk_set_at(s, 0)->kid);
    assert_int_equal(jwk_set_at(s, 0)->kind, kind);
    assert_int_equal(jwk_set_at(s, 0)->algorithms, jose_algorithms_for(kind));
    assert_int_equal(EVP_PKEY_eq(jwk_set_at(s, 0)->pkey, pkey), 1);
    jwk_set_release(s);
}

static void keys_in_pem(void **state) {
    (void)state;
    EVP_PKEY *p384 = make_ec("P-384");
    EVP_PKEY *ed = make_okp("ED25519");
    assert_pem_is(pem_of(rsa), rsa, JOSE_KIND_RSA);
    assert_pem_is(pkcs1_of(rsa), rsa, JOSE_KIND_RSA);
    assert_pem_is(certificate_of(rsa), rsa, JOSE_KIND_RSA);
    assert_pem_is(pem_of(p384), p384, JOSE_KIND_P384);
    assert_pem_is(certificate_of(p384), p384, JOSE_KIND_P384);
    assert_pem_is(pem_of(ed), ed, JOSE_KIND_ED25519);
    struct slice pem = pem_of(ed);
    assert_pem_is(arena_printf(&arena, "\n  about this key\n" SLICE_FMT "\nand more\n", SLICE_ARG(pem)), ed,
                  JOSE_KIND_ED25519);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(ed);
}

static void assert_pem_refused(struct slice pem, const char *why) {
    struct error e;
    assert_null(jwk_set_from_file_text(pem, &e));
    if (!strstr(e.message, why)) fail_msg("%s instead of %s", e.message, why);
    assert_int_equal(ERR_peek_error(), 0);
}

/* A key that may sign with PSS only, and says so in its type. */
static EVP_PKEY *make_rsa_pss(void) {
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_generate(context, &pkey), 1);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

static void pem_that_does_not_qualify(void **state) {
    (void)state;
    EVP_PKEY *small = make_rsa(1024), *koblitz = make_ec("secp256k1"), *exchange = make_okp("X25519");
    EVP_PKEY *pss = make_rsa_pss();
    struct slice good = pem_of(rsa);
    assert_pem_refused(SLICE(""), "no PEM block");
    assert_pem_refused(SLICE("ssh-rsa AAAA"), "no PEM block");
    assert_pem_refused(SLICE(" \n"), "no PEM block");
    assert_pem_refused(slice_make(good.p, good.n - 40), "no PEM block");
    assert_pem_refused(SLICE("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "damaged");
    assert_pem_refused(SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "damaged");
    assert_pem_refused(SLICE("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n"), "damaged");
    assert_pem_refused(SLICE("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), "neither a public key");
    assert_pem_refused(private_pem_of(rsa), "private key");
    assert_pem_refused(arena_printf(&arena, SLICE_FMT SLICE_FMT, SLICE_ARG(good), SLICE_ARG(good)), "more than one");
    assert_pem_refused(pem_of(small), "too short");
    assert_pem_refused(pem_of(koblitz), "the curve is not known");
    assert_pem_refused(pem_of(exchange), "signs no tokens");
    assert_pem_refused(pem_of(pss), "signs no tokens");
    EVP_PKEY_free(small);
    EVP_PKEY_free(koblitz);
    EVP_PKEY_free(exchange);
    EVP_PKEY_free(pss);
}

static void files_of_either_kind(void **state) {
    (void)state;
    struct error e;
    struct jwk_set *s = jwk_set_from_file_text(SLICE(" \r\n\t" RFC7517_SET "\n"), &e);
    assert_non_null(s);
    jwk_set_release(s);
}

static void secrets(void **state) {
    (void)state;
    struct error e;
    const struct jwk *key;
    char text[64];
    memset(text, 's', sizeof text);
    assert_null(jwk_set_from_secret(slice_make(text, 31), JOSE_BIT(JOSE_HS256), &e));
    assert_non_null(strstr(e.message, "HS256 needs at least 32"));
    assert_null(jwk_set_from_secret(slice_make(text, 47), JOSE_HMAC, &e));
    assert_non_null(strstr(e.message, "HS384 needs at least 48"));
    assert_null(jwk_set_from_secret(slice_make(text, 64), JOSE_ASYMMETRIC, &e));
    assert_null(jwk_set_from_secret(SLICE_NONE, JOSE_HMAC, &e));
    struct jwk_set *s = jwk_set_from_secret(slice_make(text, 64), JOSE_HMAC | JOSE_ASYMMETRIC, &e);
    assert_non_null(s);
    assert_int_equal(jwk_set_at(s, 0)->algorithms, JOSE_HMAC);
    assert_true(slice_equal(jwk_set_at(s, 0)->secret, slice_make(text, 64)));
    assert_true(jwk_set_at(s, 0)->secret.p != text);
    assert_accepted(jwk_set_find(s, SLICE("any"), JOSE_HS512, &key));
    assert_refused(jwk_set_find(s, SLICE_NONE, JOSE_RS256, &key), JOSE_INVALID);
    jwk_set_release(s);
    s = jwk_set_from_secret(slice_make(text, 32), JOSE_BIT(JOSE_HS256), &e);
    assert_refused(jwk_set_find(s, SLICE_NONE, JOSE_HS512, &key), JOSE_INVALID);
    jwk_set_release(s);
}

static void references_and_generations(void **state) {
    (void)state;
    struct error e;
    struct jwk_set *a = jwk_set_from_json(SLICE(RFC7517_SET), &e);
    struct jwk_set *same = jwk_set_from_json(SLICE(RFC7517_SET), &e);
    struct jwk_set *other = set_of(&arena, RFC8037_JWK);
    assert_true(jwk_set_generation(a) == jwk_set_generation(same));
    assert_true(jwk_set_generation(a) != jwk_set_generation(other));
    assert_ptr_equal(jwk_set_hold(a), a);
    jwk_set_release(a);
    assert_slice(jwk_set_at(a, 0)->kid, "2011-04-29");
    jwk_set_release(a);
    jwk_set_release(same);
    jwk_set_release(other);
    jwk_set_release(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_algorithms),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(members_are_unique),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(the_set_of_rfc_7517),
        cmocka_unit_test(all_kinds_of_keys),
        cmocka_unit_test(private_members_are_ignored),
        cmocka_unit_test(keys_that_do_not_qualify),
        cmocka_unit_test(short_and_even_rsa_keys),
        cmocka_unit_test(what_is_no_set),
        cmocka_unit_test(sets_are_bounded),
        cmocka_unit_test(finding_by_kid),
        cmocka_unit_test(a_single_key),
        cmocka_unit_test(a_kid_taken_twice),
        cmocka_unit_test(keys_in_pem),
        cmocka_unit_test(pem_that_does_not_qualify),
        cmocka_unit_test(files_of_either_kind),
        cmocka_unit_test(secrets),
        cmocka_unit_test(references_and_generations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
