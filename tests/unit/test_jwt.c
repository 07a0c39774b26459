#include "plugins/auth/jwt.h"
#include "tests/unit/jose_helper.h"
#include "tests/unit/jose_vectors.h"

#define NOW_S 1700000000u
#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"JWT\"}"
/* A minute to go. */
#define EXP "\"exp\":1700000060"

static struct arena arena;
static struct clock_fake fake;
static struct jws_verifier *verifier;
static EVP_PKEY *key;
static EVP_PKEY *rsa;
static struct jwk_set *set;
static const struct jwt_rules no_rules;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 64 * 1024);
    verifier = jws_verifier_new(JOSE_ASYMMETRIC);
    key = make_ec("P-256");
    rsa = make_rsa(2048);
    struct slice keys = arena_printf(&arena, "%s,%s", jwk_of(&arena, key, ",\"kid\":\"k\""),
                                     jwk_of(&arena, rsa, ",\"kid\":\"r\""));
    set = set_of(&arena, keys.p);
    clock_fake_init(&fake);
    fake.wall_now_ms = NOW_S * 1000ull;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    EVP_PKEY_free(key);
    EVP_PKEY_free(rsa);
    jwk_set_release(set);
    jws_verifier_free(verifier);
    arena_free(&arena);
    return 0;
}

static struct jose_verdict accept_token(struct jwt *t, struct slice token, const struct jwt_rules *rules) {
    const struct jwt_trust trust = {verifier, set, rules, &fake.clock};
    return jwt_accept(t, token, &trust, &arena);
}

static struct jose_verdict accept_claims(struct jwt *t, const char *claims, const struct jwt_rules *rules) {
    return accept_token(t, sign_token(&arena, key, JOSE_ES256, HEADER, claims), rules);
}

/* One row per claims set: what becomes of it under the rules. */
struct row {
    const char *claims;
    enum jose_result result;
};

static void check_rows(const struct row *rows, size_t count, const struct jwt_rules *rules) {
    for (size_t i = 0; i < count; i++) {
        struct jwt t;
        struct jose_verdict verdict = accept_claims(&t, rows[i].claims, rules);
        if (verdict.result != rows[i].result)
            fail_msg("%s: %d, %s", rows[i].claims, (int)verdict.result, verdict.reason ? verdict.reason : "accepted");
        assert_true((verdict.result == JOSE_OK) == !verdict.reason);
    }
}

static void an_ordinary_token(void **state) {
    (void)state;
    struct jwt t;
    const char *claims = "{\"iss\":\"https://id.example\",\"sub\":\"al\\u0069ce\",\"aud\":[\"shop\",\"api\"]," EXP
                         ",\"nbf\":1699999990,\"iat\":1699999990,\"scope\":\"read write\",\"tenant\":\"acme\"}";
    const struct slice audiences[] = {SLICE("cart"), SLICE("shop")};
    const struct slice scopes[] = {SLICE("write"), SLICE("read")};
    const struct jwt_claim_rule required[] = {{SLICE("tenant"), SLICE("acme")}};
    const struct jwt_rules rules = {.issuer = SLICE("https://id.example"),
                                    .audiences = audiences,
                                    .audience_count = 2,
                                    .scopes = scopes,
                                    .scope_count = 2,
                                    .claims = required,
                                    .claim_count = 1};
    assert_accepted(accept_claims(&t, claims, &rules));
    assert_true(slice_equal(t.claims, slice_of(claims)));
    assert_slice(t.subject, "alice");
    assert_slice(t.issuer, "https://id.example");
    assert_int_equal(t.expires_ms, 1700000060000);
    assert_int_equal(t.scope_count, 2);
    assert_slice(t.scopes[0], "read");
    assert_slice(t.scopes[1], "write");
    assert_int_equal(t.members.count, 8);
}

static void types_of_tokens(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool good;
    } rows[] = {
        {"JWT", true},
        {"jwt", true},
        {"at+jwt", true},
        {"AT+JWT", true},
        {"application/at+jwt", true},
        {"application/jwt", true},
        {"Application/JWT", true},
        {"", false},
        {"application/", false},
        {"JWE", false},
        {"JOSE", false},
        {"dpop+jwt", false},
        {"logout+jwt", false},
        {"JWT ", false},
        {"text/jwt", false},
        {"application/application/jwt", false},
    };
    struct jwt t;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *header = arena_printf(&arena, "{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"%s\"}", rows[i].type).p;
        struct slice token = sign_token(&arena, key, JOSE_ES256, header, "{" EXP "}");
        assert_refused(accept_token(&t, token, &no_rules), rows[i].good ? JOSE_OK : JOSE_INVALID);
    }
    struct slice token = sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{" EXP "}");
    assert_accepted(accept_token(&t, token, &no_rules));
}

static void payloads_that_are_no_claims(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{" EXP "}", JOSE_OK},
        {" {\r\n\t" EXP " } ", JOSE_OK},
        {"", JOSE_MALFORMED},
        {"[]", JOSE_MALFORMED},
        {"[{" EXP "}]", JOSE_MALFORMED},
        {"null", JOSE_MALFORMED},
        {"Payload", JOSE_MALFORMED},
        {"{" EXP, JOSE_MALFORMED},
        {"{" EXP "}x", JOSE_MALFORMED},
        {"{" EXP "}{" EXP "}", JOSE_MALFORMED},
        {"{" EXP ",}", JOSE_MALFORMED},
        {"{" EXP ",\"a\":\"\xff\"}", JOSE_MALFORMED},
        {"{" EXP "," EXP "}", JOSE_MALFORMED},
        {"{\"exp\":1," EXP "}", JOSE_MALFORMED},
        {"{" EXP ",\"sub\":\"a\",\"sub\":\"b\"}", JOSE_MALFORMED},
        {"{" EXP ",\"sub\":\"a\",\"s\\u0075b\":\"b\"}", JOSE_MALFORMED},
        {"{" EXP ",\"x\":{\"a\":1,\"a\":2}}", JOSE_OK},
        {RFC7515_ES256, JOSE_MALFORMED}, /* a token in a token, without cty */
        {"\"" RFC7515_ES256 "\"", JOSE_MALFORMED},
        {"{" EXP ",\"iss\":1}", JOSE_INVALID},
        {"{" EXP ",\"iss\":null}", JOSE_INVALID},
        {"{" EXP ",\"sub\":1}", JOSE_INVALID},
        {"{" EXP ",\"sub\":[\"a\"]}", JOSE_INVALID},
        {"{" EXP ",\"jti\":1}", JOSE_INVALID},
        {"{" EXP ",\"aud\":1}", JOSE_INVALID},
        {"{" EXP ",\"aud\":null}", JOSE_INVALID},
        {"{" EXP ",\"aud\":{\"a\":\"shop\"}}", JOSE_INVALID},
        {"{" EXP ",\"aud\":[\"shop\",1]}", JOSE_INVALID},
        {"{" EXP ",\"aud\":[[\"shop\"]]}", JOSE_INVALID},
        {"{" EXP ",\"aud\":[]}", JOSE_OK},
    };
    check_rows(rows, ARRAY_LEN(rows), &no_rules);
}

static void expiry(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"exp\":1700000001}", JOSE_OK},
        {"{\"exp\":1700000000}", JOSE_INVALID}, /* "on or after which" */
        {"{\"exp\":1700000000.001}", JOSE_OK},
        {"{\"exp\":1700000000.0009}", JOSE_INVALID},
        {"{\"exp\":1699999999.999}", JOSE_INVALID},
        {"{\"exp\":1699999999}", JOSE_INVALID},
        {"{\"exp\":253402300799}", JOSE_OK},
        {"{\"exp\":253402300800}", JOSE_INVALID},
        {"{\"exp\":9223372036854775807}", JOSE_INVALID},
        {"{\"exp\":18446744073709551615}", JOSE_INVALID},
        {"{\"exp\":18446744073709551616}", JOSE_INVALID},
        {"{\"exp\":99999999999999999999999999999999}", JOSE_INVALID},
        {"{\"exp\":1e10}", JOSE_INVALID},
        {"{\"exp\":1E400}", JOSE_INVALID},
        {"{\"exp\":2.5e9}", JOSE_INVALID},
        {"{\"exp\":1.5}", JOSE_INVALID},
        {"{\"exp\":0}", JOSE_INVALID},
        {"{\"exp\":-1}", JOSE_INVALID},
        {"{\"exp\":-0}", JOSE_INVALID},
        {"{\"exp\":-1700000060}", JOSE_INVALID},
        {"{\"exp\":\"1700000060\"}", JOSE_INVALID},
        {"{\"exp\":\"\"}", JOSE_INVALID},
        {"{\"exp\":null}", JOSE_INVALID},
        {"{\"exp\":true}", JOSE_INVALID},
        {"{\"exp\":[1700000060]}", JOSE_INVALID},
        {"{\"exp\":{\"v\":1700000060}}", JOSE_INVALID},
        {"{\"exp\":NaN}", JOSE_MALFORMED},
        {"{\"exp\":Infinity}", JOSE_MALFORMED},
        {"{\"exp\":01700000060}", JOSE_MALFORMED},
        {"{\"exp\":0x7fffffff}", JOSE_MALFORMED},
        {"{\"EXP\":1700000060}", JOSE_INVALID},
        {"{}", JOSE_INVALID},
    };
    check_rows(rows, ARRAY_LEN(rows), &no_rules);
}

static void an_optional_expiry(void **state) {
    (void)state;
    const struct jwt_rules rules = {.expiry = JWT_EXPIRY_OPTIONAL};
    static const struct row rows[] = {
        {"{}", JOSE_OK},
        {"{" EXP "}", JOSE_OK},
        {"{\"exp\":1699999999}", JOSE_INVALID},
        {"{\"exp\":\"never\"}", JOSE_INVALID},
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
    struct jwt t;
    assert_accepted(accept_claims(&t, "{}", &rules));
    assert_true(t.expires_ms == UINT64_MAX);
}

static void not_before_and_issued_at(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{" EXP ",\"nbf\":1700000000}", JOSE_OK},      {"{" EXP ",\"nbf\":1700000000.5}", JOSE_INVALID},
        {"{" EXP ",\"nbf\":1700000001}", JOSE_INVALID}, {"{" EXP ",\"nbf\":0}", JOSE_OK},
        {"{" EXP ",\"nbf\":\"0\"}", JOSE_INVALID},      {"{" EXP ",\"nbf\":-1}", JOSE_INVALID},
        {"{" EXP ",\"nbf\":1e300}", JOSE_INVALID},      {"{" EXP ",\"iat\":1700000000}", JOSE_OK},
        {"{" EXP ",\"iat\":1700000001}", JOSE_INVALID}, {"{" EXP ",\"iat\":\"1\"}", JOSE_INVALID},
        {"{" EXP ",\"iat\":null}", JOSE_INVALID},
    };
    check_rows(rows, ARRAY_LEN(rows), &no_rules);
}

static void leeway(void **state) {
    (void)state;
    const struct jwt_rules rules = {.leeway_ms = 60000};
    static const struct row rows[] = {
        {"{\"exp\":1699999941}", JOSE_OK},         {"{\"exp\":1699999940}", JOSE_INVALID},
        {"{" EXP ",\"nbf\":1700000060}", JOSE_OK}, {"{" EXP ",\"nbf\":1700000061}", JOSE_INVALID},
        {"{" EXP ",\"iat\":1700000060}", JOSE_OK}, {"{" EXP ",\"iat\":1700000061}", JOSE_INVALID},
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
}

static void time_goes_on(void **state) {
    (void)state;
    struct jwt t;
    struct slice token = sign_token(&arena, key, JOSE_ES256, HEADER, "{" EXP "}");
    uint64_t then_ms = fake.wall_now_ms;
    fake.wall_now_ms = then_ms + 59999;
    assert_accepted(accept_token(&t, token, &no_rules));
    fake.wall_now_ms = then_ms + 60000;
    assert_refused(accept_token(&t, token, &no_rules), JOSE_INVALID);
    fake.wall_now_ms = then_ms;
}

static void issuers(void **state) {
    (void)state;
    const struct jwt_rules rules = {.issuer = SLICE("https://id.example")};
    static const struct row rows[] = {
        {"{" EXP ",\"iss\":\"https://id.example\"}", JOSE_OK},
        {"{" EXP ",\"iss\":\"https:\\/\\/id.example\"}", JOSE_OK},
        {"{" EXP ",\"iss\":\"https://id.example/\"}", JOSE_INVALID},
        {"{" EXP ",\"iss\":\"https://ID.example\"}", JOSE_INVALID},
        {"{" EXP ",\"iss\":\"https://id.example\\u0000\"}", JOSE_INVALID},
        {"{" EXP ",\"iss\":\"\"}", JOSE_INVALID},
        {"{" EXP ",\"iss\":[\"https://id.example\"]}", JOSE_INVALID},
        {"{" EXP ",\"Iss\":\"https://id.example\"}", JOSE_INVALID},
        {"{" EXP "}", JOSE_INVALID},
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
}

static void audiences(void **state) {
    (void)state;
    const struct slice list[] = {SLICE("shop"), SLICE("https://shop.example/")};
    const struct jwt_rules rules = {.audiences = list, .audience_count = 2};
    static const struct row rows[] = {
        {"{" EXP ",\"aud\":\"shop\"}", JOSE_OK},
        {"{" EXP ",\"aud\":[\"x\",\"shop\"]}", JOSE_OK},
        {"{" EXP ",\"aud\":[\"https://shop.example/\"]}", JOSE_OK},
        {"{" EXP ",\"aud\":\"Shop\"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":\"shop \"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":\"shop api\"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":\"sho\"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":\"\"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":[]}", JOSE_INSUFFICIENT},
        {"{" EXP "}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"aud\":7}", JOSE_INVALID},
        {"{\"exp\":1,\"aud\":\"other\"}", JOSE_INVALID}, /* worthless before insufficient */
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
}

static void scopes(void **state) {
    (void)state;
    const struct slice list[] = {SLICE("read"), SLICE("write")};
    const struct jwt_rules rules = {.scopes = list, .scope_count = 2};
    static const struct row rows[] = {
        {"{" EXP ",\"scope\":\"read write\"}", JOSE_OK},
        {"{" EXP ",\"scope\":\" write  x read \"}", JOSE_OK},
        {"{" EXP ",\"scope\":[\"write\",\"read\"]}", JOSE_OK},
        {"{" EXP ",\"scp\":[\"write\",\"read\"]}", JOSE_OK},
        {"{" EXP ",\"scp\":\"write read\"}", JOSE_OK},
        {"{" EXP ",\"scope\":\"read\",\"scp\":\"write read\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"read\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"read Write\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"read,write\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"readwrite\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"read\\twrite\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":[\"read write\"]}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":[\"read\",1,\"write\"]}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":{\"read\":1,\"write\":1}}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":\"\"}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP ",\"scope\":null}", JOSE_INSUFFICIENT_SCOPE},
        {"{" EXP "}", JOSE_INSUFFICIENT_SCOPE},
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
    struct jwt t;
    assert_refused(accept_claims(&t, "{" EXP ",\"sub\":\"alice\"}", &rules), JOSE_INSUFFICIENT_SCOPE);
    assert_slice(t.subject, "alice"); /* believed, so it may be named in the log */
}

static void required_claims(void **state) {
    (void)state;
    const struct jwt_claim_rule list[] = {{SLICE("tenant"), SLICE("acme")}, {SLICE("level"), SLICE("3")}};
    const struct jwt_rules rules = {.claims = list, .claim_count = 2};
    static const struct row rows[] = {
        {"{" EXP ",\"tenant\":\"acme\",\"level\":3}", JOSE_OK},
        {"{" EXP ",\"tenant\":\"acme\",\"level\":\"3\"}", JOSE_OK},
        {"{" EXP ",\"tenant\":\"\\u0061cme\",\"level\":3}", JOSE_OK},
        {"{" EXP ",\"tenant\":[\"x\",\"acme\"],\"level\":[1,3]}", JOSE_OK},
        {"{" EXP ",\"tenant\":\"acme\",\"level\":3.0}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":\"acme\",\"level\":33}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":\"acme\"}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"level\":3}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":\"Acme\",\"level\":3}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":\"acme \",\"level\":3}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":[[\"acme\"]],\"level\":3}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":{\"acme\":\"acme\"},\"level\":3}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"tenant\":[],\"level\":3}", JOSE_INSUFFICIENT},
    };
    check_rows(rows, ARRAY_LEN(rows), &rules);
    const struct jwt_claim_rule odd[] = {{SLICE("a"), SLICE("true")}, {SLICE("b"), SLICE("")}};
    const struct jwt_rules odd_rules = {.claims = odd, .claim_count = 2};
    static const struct row odd_rows[] = {
        {"{" EXP ",\"a\":true,\"b\":\"\"}", JOSE_OK},
        {"{" EXP ",\"a\":\"true\",\"b\":\"\"}", JOSE_OK},
        {"{" EXP ",\"a\":true,\"b\":null}", JOSE_INSUFFICIENT},
        {"{" EXP ",\"a\":1,\"b\":\"\"}", JOSE_INSUFFICIENT},
    };
    check_rows(odd_rows, ARRAY_LEN(odd_rows), &odd_rules);
}

static void claims_as_text(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *text;
    } rows[] = {
        {"exp", "1700000060"},
        {"s", "a\"b"},
        {"e", ""},
        {"n", "-1.50"},
        {"t", "true"},
        {"z", "null"},
        {"l", "[a b c]"},
        {"m", "[1 true {\"k\": 1} [2,3]]"},
        {"x", "[]"},
        {"o", "{\"k\":\"v\"}"},
        {"\xc3\xa9", "\xe2\x82\xac"},
    };
    struct jwt t;
    assert_accepted(accept_claims(&t,
                                  "{" EXP ",\"s\":\"a\\\"b\",\"e\":\"\",\"n\":-1.50,\"t\":true,\"z\":null,"
                                  "\"l\":[\"a\",\"b\", \"c\"],\"m\":[1,true,{\"k\": 1},[2,3]],\"x\":[],"
                                  "\"o\":{\"k\":\"v\"},\"\\u00e9\":\"\\u20ac\"}",
                                  &no_rules));
    assert_int_equal(t.members.count, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(slice_equal(t.members.members[i].name, slice_of(rows[i].name)));
        assert_true(slice_equal(jwt_claim_text(&t, i, &arena), slice_of(rows[i].text)));
    }
}

/* What an attacker tries with the token of JWT libraries' advisories: never more than a 401. */
static void tampered_tokens(void **state) {
    (void)state;
    struct slice good = sign_token(&arena, rsa, JOSE_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" EXP "}");
    struct slice signature = slice_make(memrchr(good.p, '.', good.n), 0);
    struct slice input = slice_make(good.p, (size_t)(signature.p - good.p));
    EVP_PKEY *p384 = make_ec("P-384");
    char zeros[64] = {0};
    struct slice public_key = slice_of(jwk_of(&arena, rsa, ""));
    struct slice es_input = input_of(&arena, "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{" EXP "}");
    struct slice nested = arena_printf(&arena, "\"" SLICE_FMT "\"", SLICE_ARG(good));
    const struct {
        const char *what;
        struct slice token;
    } rows[] = {
        {"alg none, no signature",
         arena_printf(&arena, SLICE_FMT ".", SLICE_ARG(input_of(&arena, "{\"alg\":\"none\"}", "{" EXP "}")))},
        {"alg none, old signature",
         arena_printf(&arena, SLICE_FMT SLICE_FMT, SLICE_ARG(input_of(&arena, "{\"alg\":\"none\"}", "{" EXP "}")),
                      (int)(good.n - input.n), signature.p)},
        {"alg nOnE",
         arena_printf(&arena, SLICE_FMT ".AAAA", SLICE_ARG(input_of(&arena, "{\"alg\":\"nOnE\"}", "{" EXP "}")))},
        {"HS256 with the RSA public key",
         mac_token(&arena, public_key, JOSE_HS256, "{\"alg\":\"HS256\",\"kid\":\"r\"}", "{" EXP "}")},
        {"HS256 under the name RS256",
         mac_token(&arena, public_key, JOSE_HS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" EXP "}")},
        {"kid of another type of key",
         sign_token(&arena, rsa, JOSE_RS256, "{\"alg\":\"RS256\",\"kid\":\"k\"}", "{" EXP "}")},
        {"kid with traversal",
         sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"../../k\"}", "{" EXP "}")},
        {"no kid, several keys", sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\"}", "{" EXP "}")},
        {"own key as jwk",
         sign_token(&arena, p384, JOSE_ES384,
                    arena_printf(&arena, "{\"alg\":\"ES384\",\"kid\":\"k\",\"jwk\":%s}", jwk_of(&arena, p384, "")).p,
                    "{" EXP "}")},
        {"own key by jku",
         sign_token(&arena, p384, JOSE_ES384,
                    "{\"alg\":\"ES384\",\"jku\":\"http://127.0.0.1:1/\",\"x5u\":\"http://127.0.0.1:1/\"}",
                    "{" EXP "}")},
        {"ES256 with r = s = 0", token_with(&arena, es_input, slice_make(zeros, 64))},
        {"wrong curve", sign_token(&arena, p384, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"k\"}", "{" EXP "}")},
        {"truncated signature", slice_make(good.p, good.n - 1)},
        {"truncated to the payload", input},
        {"padded", arena_printf(&arena, SLICE_FMT "==", SLICE_ARG(good))},
        {"trailing garbage", arena_printf(&arena, SLICE_FMT ".e30", SLICE_ARG(good))},
        {"trailing blank", arena_printf(&arena, SLICE_FMT " ", SLICE_ARG(good))},
        {"crit",
         sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"exp\"]}", "{" EXP "}")},
        {"nested", sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"k\",\"cty\":\"JWT\"}",
                              arena_text(&arena, good))},
        {"nested, not said so",
         sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"kid\":\"k\"}", arena_text(&arena, nested))},
    };
    struct jwt t;
    assert_accepted(accept_token(&t, good, &no_rules));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jose_verdict verdict = accept_token(&t, rows[i].token, &no_rules);
        bool refused = verdict.result == JOSE_MALFORMED || verdict.result == JOSE_INVALID ||
                       verdict.result == JOSE_UNKNOWN_KEY;
        if (!refused) fail_msg("%s: %d", rows[i].what, (int)verdict.result);
        assert_none(t.claims);
    }
    EVP_PKEY_free(p384);
}

/* The last digit of 256 bytes carries four bits that must be zero: with any of them set the bytes are the same. */
static void another_spelling_of_the_signature(void **state) {
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct jwt t;
    struct slice good = sign_token(&arena, rsa, JOSE_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}", "{" EXP "}");
    struct slice other = arena_copy(&arena, good);
    size_t value = (size_t)(strchr(digits, good.p[good.n - 1]) - digits);
    assert_int_equal(value % 16, 0);
    for (size_t bits = 1; bits < 16; bits++) {
        ((char *)(uintptr_t)other.p)[other.n - 1] = digits[value + bits];
        assert_refused(accept_token(&t, other, &no_rules), JOSE_MALFORMED);
    }
    assert_accepted(accept_token(&t, good, &no_rules));
}

/* A token that is refused for itself never asks for keys. */
static void without_keys(void **state) {
    (void)state;
    struct jwt t;
    const struct jwt_trust trust = {verifier, NULL, &no_rules, &fake.clock};
    struct slice good = sign_token(&arena, key, JOSE_ES256, HEADER, "{" EXP "}");
    assert_refused(jwt_accept(&t, good, &trust, &arena), JOSE_UNKNOWN_KEY);
    struct slice other = sign_token(&arena, key, JOSE_ES256, "{\"alg\":\"ES256\",\"typ\":\"x\"}", "{" EXP "}");
    assert_refused(jwt_accept(&t, other, &trust, &arena), JOSE_INVALID);
    assert_refused(jwt_accept(&t, SLICE(RFC7515_HS256), &trust, &arena), JOSE_INVALID);
    assert_refused(jwt_accept(&t, SLICE("x"), &trust, &arena), JOSE_MALFORMED);
}

static void examples_of_the_rfcs_have_expired(void **state) {
    (void)state;
    struct jwt t;
    struct jwk_set *joe = set_of(&arena, RFC7515_P256_JWK);
    const struct jwt_claim_rule root[] = {{SLICE("http://example.com/is_root"), SLICE("true")}};
    const struct jwt_rules rules = {.issuer = SLICE("joe"), .claims = root, .claim_count = 1};
    struct clock_fake then = fake;
    const struct jwt_trust trust = {verifier, joe, &rules, &then.clock};
    assert_refused(jwt_accept(&t, SLICE(RFC7515_ES256), &trust, &arena), JOSE_INVALID);
    then.wall_now_ms = 1300819379000;
    assert_accepted(jwt_accept(&t, SLICE(RFC7515_ES256), &trust, &arena));
    jwk_set_release(joe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_token),
        cmocka_unit_test(types_of_tokens),
        cmocka_unit_test(payloads_that_are_no_claims),
        cmocka_unit_test(expiry),
        cmocka_unit_test(an_optional_expiry),
        cmocka_unit_test(not_before_and_issued_at),
        cmocka_unit_test(leeway),
        cmocka_unit_test(time_goes_on),
        cmocka_unit_test(issuers),
        cmocka_unit_test(audiences),
        cmocka_unit_test(scopes),
        cmocka_unit_test(required_claims),
        cmocka_unit_test(claims_as_text),
        cmocka_unit_test(tampered_tokens),
        cmocka_unit_test(another_spelling_of_the_signature),
        cmocka_unit_test(without_keys),
        cmocka_unit_test(examples_of_the_rfcs_have_expired),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
