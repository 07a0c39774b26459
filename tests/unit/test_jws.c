#include "plugins/auth/jws.h"
#include "tests/unit/jose_helper.h"
#include "tests/unit/jose_vectors.h"

#define ALL (JOSE_ASYMMETRIC | JOSE_HMAC)
#define CLAIMS "{\"sub\":\"alice\"}"

static struct arena arena;
static struct jws_verifier *verifier;
/* By jose_kind; no object for the secret. */
static EVP_PKEY *keys[JOSE_KIND_SECRET];
static struct jwk_set *sets[JOSE_KIND_SECRET + 1];
static char secret_bytes[64];
static struct slice secret;

static int set_up(void **state) {
    (void)state;
    struct error e;
    arena_init(&arena, 64 * 1024);
    verifier = jws_verifier_new(ALL);
    keys[JOSE_KIND_RSA] = make_rsa(2048);
    keys[JOSE_KIND_P256] = make_ec("P-256");
    keys[JOSE_KIND_P384] = make_ec("P-384");
    keys[JOSE_KIND_P521] = make_ec("P-521");
    keys[JOSE_KIND_ED25519] = make_okp("ED25519");
    keys[JOSE_KIND_ED448] = make_okp("ED448");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) sets[i] = set_of(&arena, jwk_of(&arena, keys[i], ",\"kid\":\"k\""));
    for (size_t i = 0; i < sizeof secret_bytes; i++) secret_bytes[i] = (char)i;
    secret = slice_make(secret_bytes, sizeof secret_bytes);
    sets[JOSE_KIND_SECRET] = jwk_set_from_secret(secret, JOSE_HMAC, &e);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) EVP_PKEY_free(keys[i]);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) jwk_set_release(sets[i]);
    jws_verifier_free(verifier);
    jws_verifier_free(NULL);
    arena_free(&arena);
    return 0;
}

static struct jose_verdict check(struct slice token, const struct jwk_set *set, struct slice *payload) {
    struct jws j;
    struct jose_verdict verdict = jws_parse(&j, token, &arena);
    *payload = SLICE_NONE;
    return verdict.result == JOSE_OK ? jws_verify(verifier, &j, set, &arena, payload) : verdict;
}

#define assert_bad(token, set, result) assert_token_refused((token), (set), (result), __FILE__, __LINE__)
static void assert_token_refused(struct slice token, const struct jwk_set *set, enum jose_result result,
                                 const char *file, int line) {
    struct slice payload;
    assert_verdict(check(token, set, &payload), result, file, line);
    if (!slice_is_none(payload)) _fail(file, line);
}

#define assert_good(token, set, text) assert_token_holds((token), (set), (text), __FILE__, __LINE__)
static void assert_token_holds(struct slice token, const struct jwk_set *set, const char *text, const char *file,
                               int line) {
    struct slice payload;
    assert_verdict(check(token, set, &payload), JOSE_OK, file, line);
    assert_slice_is(payload, slice_of(text), file, line);
}

/* A copy with another digit at that place. */
static struct slice with_other_digit(struct slice token, size_t at) {
    struct slice copy = arena_copy(&arena, token);
    char *p = (char *)(uintptr_t)copy.p;
    p[at] = p[at] == 'A' ? 'B' : 'A';
    return copy;
}

static void published_examples(void **state) {
    (void)state;
    static const struct {
        const char *jwk;    /* or */
        const char *secret; /* base64url */
        const char *token;
        const char *payload;
    } rows[] = {
        {NULL, RFC7515_HMAC_SECRET, RFC7515_HS256, JOE_CLAIMS},
        {RFC7515_RSA_JWK, NULL, RFC7515_RS256, JOE_CLAIMS},
        {RFC7515_P256_JWK, NULL, RFC7515_ES256, JOE_CLAIMS},
        {RFC7515_P521_JWK, NULL, RFC7515_ES512, "Payload"},
        {RFC7520_RSA_JWK, NULL, RFC7520_RS256, BILBO_TEXT},
        {RFC7520_RSA_JWK, NULL, RFC7520_PS384, BILBO_TEXT},
        {RFC7520_P521_JWK, NULL, RFC7520_ES512, BILBO_TEXT},
        {NULL, RFC7520_HMAC_SECRET, RFC7520_HS256, BILBO_TEXT},
        {RFC8037_JWK, NULL, RFC8037_EDDSA, "Example of Ed25519 signing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error e;
        struct jwk_set *set = rows[i].jwk
                                  ? set_of(&arena, rows[i].jwk)
                                  : jwk_set_from_secret(decode_text(&arena, rows[i].secret), JOSE_BIT(JOSE_HS256), &e);
        assert_good(slice_of(rows[i].token), set, rows[i].payload);
        struct slice token = slice_of(rows[i].token);
        assert_bad(with_other_digit(token, token.n - 20), set, JOSE_INVALID);
        jwk_set_release(set);
    }
}

/* RFC 7520 4.5: the payload travels elsewhere. Without it the signature is one over nothing. */
static void a_detached_payload(void **state) {
    (void)state;
    struct error e;
    struct jwk_set *set = jwk_set_from_secret(decode_text(&arena, RFC7520_HMAC_SECRET), JOSE_BIT(JOSE_HS256), &e);
    assert_bad(SLICE(RFC7520_DETACHED), set, JOSE_INVALID);
    jwk_set_release(set);
}

static struct slice token_for(unsigned algorithm, enum jose_kind kind) {
    struct slice name = jose_rule_of((enum jose_algorithm)algorithm)->name;
    const char *header = arena_printf(&arena, "{\"alg\":\"" SLICE_FMT "\",\"kid\":\"k\"}", SLICE_ARG(name)).p;
    if (kind == JOSE_KIND_SECRET) return mac_token(&arena, secret, (enum jose_algorithm)algorithm, header, CLAIMS);
    return sign_token(&arena, keys[kind], (enum jose_algorithm)algorithm, header, CLAIMS);
}

static void every_algorithm_with_every_key(void **state) {
    (void)state;
    int good = 0;
    for (unsigned algorithm = 0; algorithm < JOSE_ALGORITHM_COUNT; algorithm++) {
        unsigned kinds = jose_rule_of((enum jose_algorithm)algorithm)->kinds;
        for (unsigned kind = 0; kind <= JOSE_KIND_SECRET; kind++) {
            if (!(kinds & JOSE_BIT(kind))) continue;
            struct slice token = token_for(algorithm, (enum jose_kind)kind);
            for (unsigned other = 0; other <= JOSE_KIND_SECRET; other++) {
                if (other == kind)
                    assert_good(token, sets[other], CLAIMS);
                else
                    assert_bad(token, sets[other], JOSE_INVALID);
            }
            good++;
        }
    }
    assert_int_equal(good, JOSE_ALGORITHM_COUNT + 1); /* EdDSA has two kinds */
}

static void the_list_of_the_guard(void **state) {
    (void)state;
    struct slice payload;
    struct jws j;
    for (unsigned allowed = 0; allowed < JOSE_ALGORITHM_COUNT; allowed++) {
        struct jws_verifier *v = jws_verifier_new(JOSE_BIT(allowed));
        assert_accepted(jws_parse(&j, token_for(JOSE_RS256, JOSE_KIND_RSA), &arena));
        struct jose_verdict verdict = jws_verify(v, &j, sets[JOSE_KIND_RSA], &arena, &payload);
        assert_int_equal(verdict.result, allowed == JOSE_RS256 ? JOSE_OK : JOSE_INVALID);
        /* What is not accepted does not cause a fetch either. */
        verdict = jws_verify(v, &j, NULL, &arena, &payload);
        assert_int_equal(verdict.result, allowed == JOSE_RS256 ? JOSE_UNKNOWN_KEY : JOSE_INVALID);
        assert_none(payload);
        jws_verifier_free(v);
    }
}

static void every_part_is_covered(void **state) {
    (void)state;
    static const struct {
        unsigned algorithm;
        enum jose_kind kind;
    } rows[] = {{JOSE_ES256, JOSE_KIND_P256},
                {JOSE_RS256, JOSE_KIND_RSA},
                {JOSE_PS256, JOSE_KIND_RSA},
                {JOSE_EDDSA, JOSE_KIND_ED25519},
                {JOSE_HS256, JOSE_KIND_SECRET}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice token = token_for(rows[i].algorithm, rows[i].kind);
        for (size_t at = 0; at < token.n; at += 3) {
            struct slice payload, bad = with_other_digit(token, at);
            struct jose_verdict verdict = check(bad, sets[rows[i].kind], &payload);
            assert_true(verdict.result != JOSE_OK && verdict.reason);
            assert_none(payload);
        }
        for (size_t n = 0; n < token.n; n += 5)
            assert_true(check(slice_make(token.p, n), sets[rows[i].kind], &(struct slice){0}).result != JOSE_OK);
        assert_good(token, sets[rows[i].kind], CLAIMS); /* the verifier is as good as new */
    }
}

static void shapes_that_are_no_token(void **state) {
    (void)state;
    const char *good = arena_text(&arena, token_for(JOSE_ES256, JOSE_KIND_P256));
    const char *formats[] = {"%s.", ".%s",  "%s.AAAA", "%s ",  " %s",  "%s\n",   "%s=", "%s==",
                             "%s,", "%s\"", "%s.a.b",  "%s%%", "\t%s", "%s\r\n", "A%s", "Bearer %s"};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct buf out = {0};
        const char *hole = strstr(formats[i], "%s");
        buf_append(&out, formats[i], (size_t)(hole - formats[i]));
        buf_append_text(&out, good);
        buf_append_text(&out, hole + 2);
        assert_bad(buf_slice(&out), sets[JOSE_KIND_P256], JOSE_MALFORMED);
        buf_free(&out);
    }
    static const char *const fixed[] = {"", ".", "..", "...", "a", "a.b", "a.b.", ".b.c", "..c", "a..", "e30.e30",
                                        "e30.e30.e30.e30.e30", "{\"alg\":\"ES256\"}.e30.AAAA",
                                        "eyJhbGciOiJFUzI1NiJ9.e30.", "\xff\xfe.e30.AAAA",
                                        /* A.5 has no signature at all */
                                        RFC7515_NONE};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) assert_bad(slice_of(fixed[i]), sets[JOSE_KIND_P256], JOSE_MALFORMED);
    assert_bad(SLICE_NONE, sets[JOSE_KIND_P256], JOSE_MALFORMED);
}

static void a_token_that_is_too_long(void **state) {
    (void)state;
    struct buf text = {0};
    buf_append_text(&text, "{\"a\":\"");
    while (text.n < JWS_TOKEN_LIMIT * 3 / 4 - 400) buf_append_char(&text, 'x');
    buf_append_text(&text, "\"}");
    const char *payload = arena_text(&arena, buf_slice(&text));
    struct slice token = mac_token(&arena, secret, JOSE_HS256, "{\"alg\":\"HS256\"}", payload);
    assert_true(token.n <= JWS_TOKEN_LIMIT);
    assert_good(token, sets[JOSE_KIND_SECRET], payload);
    while (text.n < JWS_TOKEN_LIMIT * 3 / 4) buf_append_char(&text, ' ');
    payload = arena_text(&arena, buf_slice(&text));
    token = mac_token(&arena, secret, JOSE_HS256, "{\"alg\":\"HS256\"}", payload);
    assert_true(token.n > JWS_TOKEN_LIMIT);
    assert_bad(token, sets[JOSE_KIND_SECRET], JOSE_MALFORMED);
    buf_free(&text);
}

/* Each with a signature that holds: it is the header alone for which the token is refused. */
static void headers_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        enum jose_result result;
    } rows[] = {
        {"{}", JOSE_INVALID},
        {"{\"alg\":\"none\"}", JOSE_INVALID},
        {"{\"alg\":\"None\"}", JOSE_INVALID},
        {"{\"alg\":\"NONE\"}", JOSE_INVALID},
        {"{\"alg\":\"nOnE\"}", JOSE_INVALID},
        {"{\"alg\":\"no\\u006ee\"}", JOSE_INVALID},
        {"{\"alg\":\" none\"}", JOSE_INVALID},
        {"{\"alg\":\"\"}", JOSE_INVALID},
        {"{\"alg\":null}", JOSE_INVALID},
        {"{\"alg\":false}", JOSE_INVALID},
        {"{\"alg\":[\"HS256\"]}", JOSE_INVALID},
        {"{\"alg\":\"hs256\"}", JOSE_INVALID},
        {"{\"alg\":\"HS256 \"}", JOSE_INVALID},
        {"{\"alg\":\"HS256\\u0000\"}", JOSE_INVALID},
        {"{\"ALG\":\"HS256\"}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"kid\":1}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"kid\":null}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"kid\":[\"k\"]}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"typ\":1}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"cty\":1}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"cty\":\"application/jwt\"}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"crit\":[]}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"crit\":null}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"b64\":true,\"crit\":[\"b64\"]}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"b64\":false}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"b64\":\"true\"}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"b64\":0}", JOSE_INVALID},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", JOSE_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"x\":1,\"x\":2}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"}}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\"} {}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",}", JOSE_MALFORMED},
        {"{'alg':'HS256'}", JOSE_MALFORMED},
        {"[\"HS256\"]", JOSE_MALFORMED},
        {"\"HS256\"", JOSE_MALFORMED},
        {"null", JOSE_MALFORMED},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", JOSE_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"\\ud800\"}", JOSE_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice token = mac_token(&arena, secret, JOSE_HS256, rows[i].header, CLAIMS);
        struct slice payload;
        struct jose_verdict verdict = check(token, sets[JOSE_KIND_SECRET], &payload);
        if (verdict.result != rows[i].result) fail_msg("%s: %d", rows[i].header, (int)verdict.result);
        assert_none(payload);
    }
}

static void headers_that_make_no_difference(void **state) {
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"HS256\"}",
        " { \"alg\" : \"HS256\" } \r\n",
        "{\"alg\":\"\\u0048S256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}",
        "{\"alg\":\"HS256\",\"kid\":\"' or 1=1 --\"}",
        "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:1/jwks\",\"x5u\":\"file:///etc/passwd\"}",
        "{\"alg\":\"HS256\",\"x5c\":[\"AAAA\"],\"x5t\":\"AA\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\",\"k\":\"AA\"}}",
        "{\"alg\":\"HS256\",\"zip\":\"DEF\",\"enc\":\"A128GCM\",\"cty\":\"text/plain\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_good(mac_token(&arena, secret, JOSE_HS256, headers[i], CLAIMS), sets[JOSE_KIND_SECRET], CLAIMS);
}

static void names_in_the_header(void **state) {
    (void)state;
    static const struct {
        const char *header;
        const char *type;
    } rows[] = {
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "JWT"},
        {"{\"alg\":\"ES256\",\"typ\":\"application/at+jwt\"}", "at+jwt"},
        {"{\"alg\":\"ES256\",\"typ\":\"Application/JWT\"}", "JWT"},
        {"{\"alg\":\"ES256\",\"typ\":\"\"}", ""},
    };
    struct jws j;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_accepted(
            jws_parse(&j, sign_token(&arena, keys[JOSE_KIND_P256], JOSE_ES256, rows[i].header, CLAIMS), &arena));
        assert_true(slice_equal(j.type, slice_of(rows[i].type)) && !slice_is_none(j.type));
        assert_none(j.kid);
        assert_int_equal(j.algorithm, JOSE_ES256);
    }
    assert_accepted(jws_parse(&j, token_for(JOSE_ES256, JOSE_KIND_P256), &arena));
    assert_none(j.type);
    assert_slice(j.kid, "k");
    assert_slice(j.encoded_payload, "eyJzdWIiOiJhbGljZSJ9");
    assert_int_equal(j.signature.n, 64);
}

/* Whoever has the public key signs with it as if it were a secret (RFC 8725 2.1). */
static void a_public_key_as_secret(void **state) {
    (void)state;
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(keys[JOSE_KIND_RSA], &der);
    struct slice spki = slice_make((char *)der, (size_t)n);
    struct slice jwk = slice_of(jwk_of(&arena, keys[JOSE_KIND_RSA], ""));
    struct slice modulus = number_of(&arena, keys[JOSE_KIND_RSA], "n", 0);
    const struct slice secrets[] = {spki, jwk, modulus};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        assert_bad(mac_token(&arena, secrets[i], JOSE_HS256, "{\"alg\":\"HS256\",\"kid\":\"k\"}", CLAIMS),
                   sets[JOSE_KIND_RSA], JOSE_INVALID);
        assert_bad(mac_token(&arena, secrets[i], JOSE_HS256, "{\"alg\":\"RS256\",\"kid\":\"k\"}", CLAIMS),
                   sets[JOSE_KIND_RSA], JOSE_INVALID);
    }
    OPENSSL_free(der);
}

/* The token brings its own key, and is signed with it. */
static void a_key_in_the_header(void **state) {
    (void)state;
    EVP_PKEY *mine = make_ec("P-256");
    const char *jwk = jwk_of(&arena, mine, "");
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"jwk\":%s}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jwk\":%s}",
        "{\"alg\":\"ES256\",\"kid\":\"k\",\"jku\":\"http://127.0.0.1:1/\",\"x5u\":\"http://127.0.0.1:1/\",\"x\":%s}",
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct buf header = {0};
        const char *hole = strstr(headers[i], "%s");
        buf_append(&header, headers[i], (size_t)(hole - headers[i]));
        buf_append_text(&header, jwk);
        buf_append_text(&header, hole + 2);
        buf_append(&header, "", 1);
        assert_bad(sign_token(&arena, mine, JOSE_ES256, header.p, CLAIMS), sets[JOSE_KIND_P256], JOSE_INVALID);
        buf_free(&header);
    }
    EVP_PKEY_free(mine);
}

static void keys_that_are_not_there(void **state) {
    (void)state;
    static const char *const kids[] = {"", "K", "k ", "k\\u0000", "../k", "/dev/null", "k/../k", "*", "k.json"};
    for (size_t i = 0; i < ARRAY_LEN(kids); i++) {
        const char *header = arena_printf(&arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kids[i]).p;
        assert_bad(sign_token(&arena, keys[JOSE_KIND_P256], JOSE_ES256, header, CLAIMS), sets[JOSE_KIND_P256],
                   JOSE_UNKNOWN_KEY);
    }
    assert_bad(token_for(JOSE_ES256, JOSE_KIND_P256), NULL, JOSE_UNKNOWN_KEY);
}

static void ecdsa_numbers(void **state) {
    (void)state;
    struct slice input = input_of(&arena, "{\"alg\":\"ES256\",\"kid\":\"k\"}", CLAIMS);
    struct slice good = sign_bytes(&arena, keys[JOSE_KIND_P256], JOSE_ES256, input);
    /* The group's order (SEC 2 2.4.2) */
    static const unsigned char order[32] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                            0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    char zeros[64] = {0}, r_zero[64] = {0}, s_zero[64] = {0}, orders[64], ones[64], swapped[64];
    memcpy(r_zero + 32, good.p + 32, 32);
    memcpy(s_zero, good.p, 32);
    memcpy(orders, order, 32);
    memcpy(orders + 32, order, 32);
    memset(ones, 0xff, 64);
    memcpy(swapped, good.p + 32, 32);
    memcpy(swapped + 32, good.p, 32);
    const char *const bad[] = {zeros, r_zero, s_zero, orders, ones, swapped};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_bad(token_with(&arena, input, slice_make(bad[i], 64)), sets[JOSE_KIND_P256], JOSE_INVALID);
    assert_good(token_with(&arena, input, good), sets[JOSE_KIND_P256], CLAIMS);
}

static void ecdsa_lengths(void **state) {
    (void)state;
    struct slice input = input_of(&arena, "{\"alg\":\"ES256\",\"kid\":\"k\"}", CLAIMS);
    struct slice good = sign_bytes(&arena, keys[JOSE_KIND_P256], JOSE_ES256, input);
    struct slice input512 = input_of(&arena, "{\"alg\":\"ES512\",\"kid\":\"k\"}", CLAIMS);
    char wide[132] = {0};
    memcpy(wide + 34, good.p, 32);
    memcpy(wide + 66 + 34, good.p + 32, 32);
    unsigned char der[256];
    size_t n = sizeof der;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(digest, NULL, "SHA256", NULL, NULL, keys[JOSE_KIND_P256], NULL), 1);
    assert_int_equal(EVP_DigestSign(digest, der, &n, (const unsigned char *)input.p, input.n), 1);
    EVP_MD_CTX_free(digest);
    const struct slice bad[] = {
        slice_make(good.p, 63), slice_make(good.p, 32),        slice_make(good.p, 1),
        slice_make(wide, 65),   slice_make(wide, sizeof wide), slice_make((char *)der, n),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_bad(token_with(&arena, input, bad[i]), sets[JOSE_KIND_P256], JOSE_INVALID);
        assert_bad(token_with(&arena, input512, bad[i]), sets[JOSE_KIND_P521], JOSE_INVALID);
    }
}

/* The right signature on the wrong curve, and a curve that the algorithm does not name. */
static void ecdsa_curves(void **state) {
    (void)state;
    static const char *const headers[] = {"{\"alg\":\"ES256\",\"kid\":\"k\"}", "{\"alg\":\"ES384\",\"kid\":\"k\"}",
                                          "{\"alg\":\"ES512\",\"kid\":\"k\"}"};
    for (unsigned named = 0; named < 3; named++) {
        for (unsigned used = 0; used < 3; used++) {
            enum jose_algorithm algorithm = (enum jose_algorithm)(JOSE_ES256 + named);
            EVP_PKEY *key = keys[JOSE_KIND_P256 + used];
            struct slice token = sign_token(&arena, key, algorithm, headers[named], CLAIMS);
            if (named == used)
                assert_good(token, sets[JOSE_KIND_P256 + used], CLAIMS);
            else
                assert_bad(token, sets[JOSE_KIND_P256 + used], JOSE_INVALID);
        }
    }
}

static struct slice pss_signature(struct slice input, int salt_length, const char *mgf_digest) {
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context;
    size_t n = 256;
    unsigned char *out = arena_alloc(&arena, n);
    assert_int_equal(EVP_DigestSignInit_ex(digest, &context, "SHA256", NULL, NULL, keys[JOSE_KIND_RSA], NULL), 1);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0);
    assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt_length) > 0);
    assert_true(EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, mgf_digest, NULL) > 0);
    assert_int_equal(EVP_DigestSign(digest, out, &n, (const unsigned char *)input.p, input.n), 1);
    EVP_MD_CTX_free(digest);
    return slice_make((char *)out, n);
}

static void pss_parameters(void **state) {
    (void)state;
    static const struct {
        int salt_length;
        const char *mgf_digest;
        bool good;
    } rows[] = {{32, "SHA256", true},
                {0, "SHA256", false},
                {20, "SHA256", false},
                {31, "SHA256", false},
                {RSA_PSS_SALTLEN_MAX, "SHA256", false},
                {32, "SHA1", false},
                {32, "SHA512", false}};
    struct slice input = input_of(&arena, "{\"alg\":\"PS256\",\"kid\":\"k\"}", CLAIMS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice token = token_with(&arena, input, pss_signature(input, rows[i].salt_length, rows[i].mgf_digest));
        if (rows[i].good)
            assert_good(token, sets[JOSE_KIND_RSA], CLAIMS);
        else
            assert_bad(token, sets[JOSE_KIND_RSA], JOSE_INVALID);
    }
}

/* The signature of one scheme under the name of another, with the same key. */
static void rsa_schemes_do_not_mix(void **state) {
    (void)state;
    for (unsigned named = JOSE_RS256; named <= JOSE_PS512; named++) {
        for (unsigned used = JOSE_RS256; used <= JOSE_PS512; used++) {
            struct slice name = jose_rule_of((enum jose_algorithm)named)->name;
            const char *header = arena_printf(&arena, "{\"alg\":\"" SLICE_FMT "\"}", SLICE_ARG(name)).p;
            struct slice token = sign_token(&arena, keys[JOSE_KIND_RSA], (enum jose_algorithm)used, header, CLAIMS);
            if (named == used)
                assert_good(token, sets[JOSE_KIND_RSA], CLAIMS);
            else
                assert_bad(token, sets[JOSE_KIND_RSA], JOSE_INVALID);
        }
    }
}

static void lengths_and_last_bytes(void **state) {
    (void)state;
    static const struct {
        unsigned algorithm;
        enum jose_kind kind;
    } rows[] = {{JOSE_RS256, JOSE_KIND_RSA},
                {JOSE_PS256, JOSE_KIND_RSA},
                {JOSE_EDDSA, JOSE_KIND_ED25519},
                {JOSE_EDDSA, JOSE_KIND_ED448},
                {JOSE_HS256, JOSE_KIND_SECRET}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jws j;
        assert_accepted(jws_parse(&j, token_for(rows[i].algorithm, rows[i].kind), &arena));
        char *longer = arena_zalloc(&arena, j.signature.n + 1);
        memcpy(longer, j.signature.p, j.signature.n);
        assert_bad(token_with(&arena, j.input, slice_make(longer, j.signature.n - 1)), sets[rows[i].kind],
                   JOSE_INVALID);
        assert_bad(token_with(&arena, j.input, slice_make(longer, j.signature.n + 1)), sets[rows[i].kind],
                   JOSE_INVALID);
        assert_bad(token_with(&arena, j.input, slice_make(longer, 1)), sets[rows[i].kind], JOSE_INVALID);
        assert_good(token_with(&arena, j.input, slice_make(longer, j.signature.n)), sets[rows[i].kind], CLAIMS);
        longer[j.signature.n - 1] ^= 1;
        assert_bad(token_with(&arena, j.input, slice_make(longer, j.signature.n)), sets[rows[i].kind], JOSE_INVALID);
    }
}

/* A signature over a payload that is not base64url is still no token. */
static void a_payload_that_is_not_base64url(void **state) {
    (void)state;
    static const char *const payloads[] = {"$.02", "e30=", "e31", "e30 ", "A"};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct slice input = arena_printf(&arena, "eyJhbGciOiJIUzI1NiJ9.%s", payloads[i]);
        struct slice token = token_with(&arena, input, mac_bytes(&arena, secret, JOSE_HS256, input));
        assert_bad(token, sets[JOSE_KIND_SECRET], JOSE_MALFORMED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(a_detached_payload),
        cmocka_unit_test(every_algorithm_with_every_key),
        cmocka_unit_test(the_list_of_the_guard),
        cmocka_unit_test(every_part_is_covered),
        cmocka_unit_test(shapes_that_are_no_token),
        cmocka_unit_test(a_token_that_is_too_long),
        cmocka_unit_test(headers_that_are_refused),
        cmocka_unit_test(headers_that_make_no_difference),
        cmocka_unit_test(names_in_the_header),
        cmocka_unit_test(a_public_key_as_secret),
        cmocka_unit_test(a_key_in_the_header),
        cmocka_unit_test(keys_that_are_not_there),
        cmocka_unit_test(ecdsa_numbers),
        cmocka_unit_test(ecdsa_lengths),
        cmocka_unit_test(ecdsa_curves),
        cmocka_unit_test(pss_parameters),
        cmocka_unit_test(rsa_schemes_do_not_mix),
        cmocka_unit_test(lengths_and_last_bytes),
        cmocka_unit_test(a_payload_that_is_not_base64url),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
