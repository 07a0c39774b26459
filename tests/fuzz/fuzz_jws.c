/* Tokens: nothing is believed that was not signed, whatever is read stays in its memory, and what is found twice is
 * the same. The input is a token; then it is taken for a header and for a payload that somebody did sign. */
#include "gateway/base/base64.h"
#include "plugins/auth/jwt.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "0123456789abcdef0123456789abcdef"
/* Of RFC 7515 A.3 and RFC 8037 A.2. */
#define KEYS                                                                                                           \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":"                                                \
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                                                 \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"                                                          \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define NOW_MS 1700000000000ull

static void must(bool holds) {
    if (!holds) abort();
}

static struct slice encode(struct arena *a, struct slice bytes) {
    char *text = arena_alloc(a, base64_encoded_size(bytes.n));
    size_t n = base64_encoded_size(bytes.n);
    base64_encode(bytes.p, bytes.n, text);
    while (n && text[n - 1] == '=') n--;
    for (size_t i = 0; i < n; i++) text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    return slice_make(text, n);
}

/* header and payload as HS256 with the secret, whatever the header says. */
static struct slice sign(struct arena *a, struct slice header, struct slice payload) {
    unsigned char tag[32];
    size_t n;
    struct slice h = encode(a, header), p = encode(a, payload);
    struct slice input = arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(h), SLICE_ARG(p));
    must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, SECRET, sizeof SECRET - 1, (const unsigned char *)input.p,
                   input.n, tag, sizeof tag, &n) != NULL);
    return arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(input),
                        SLICE_ARG(encode(a, slice_make((const char *)tag, n))));
}

static void check_claims(const struct jwt *t, struct arena *a) {
    must(json_is_valid(t->claims));
    must(t->expires_ms > NOW_MS && t->expires_ms <= 253402300799999u);
    for (size_t i = 0; i < t->members.count; i++) {
        must(jose_object_get(&t->members, t->members.members[i].name) == &t->members.members[i].value);
        must(!slice_is_none(jwt_claim_text(t, i, a)));
    }
    for (size_t i = 0; i < t->scope_count; i++) must(!slice_is_none(t->scopes[i]));
}

static struct jose_verdict check(struct slice token, const struct jwt_trust *trust, struct arena *a) {
    struct jwt t;
    struct jose_verdict verdict = jwt_accept(&t, token, trust, a);
    must((verdict.result == JOSE_OK) == !verdict.reason);
    must(ERR_peek_error() == 0);
    if (verdict.result == JOSE_OK)
        check_claims(&t, a);
    else if (verdict.result < JOSE_INSUFFICIENT)
        must(slice_is_none(t.claims) && t.members.count == 0);
    return verdict;
}

static void with_public_keys(struct slice token, struct arena *a) {
    const struct jwt_rules rules = {.issuer = SLICE("joe")};
    struct clock_fake fake;
    clock_fake_init(&fake);
    fake.wall_now_ms = NOW_MS;
    struct jwk_set *keys = jwk_set_from_json(SLICE(KEYS), NULL);
    struct jws_verifier *v = jws_verifier_new(JOSE_ASYMMETRIC);
    const struct jwt_trust trust = {v, keys, &rules, &fake.clock};
    must(check(token, &trust, a).result != JOSE_OK); /* the example has expired, and nobody has the private keys */
    jws_verifier_free(v);
    jwk_set_release(keys);
}

static void with_secret(struct slice text, struct arena *a) {
    const struct slice names[] = {SLICE("shop")};
    const struct jwt_claim_rule claims[] = {{SLICE("tenant"), SLICE("acme")}};
    const struct jwt_rules rules = {.audiences = names,
                                    .audience_count = 1,
                                    .scopes = names,
                                    .scope_count = 1,
                                    .claims = claims,
                                    .claim_count = 1,
                                    .leeway_ms = 0};
    const struct jwt_rules none = {0};
    struct clock_fake fake;
    clock_fake_init(&fake);
    fake.wall_now_ms = NOW_MS;
    struct jwk_set *keys = jwk_set_from_secret(SLICE(SECRET), JOSE_BIT(JOSE_HS256), NULL);
    struct jws_verifier *v = jws_verifier_new(JOSE_BIT(JOSE_HS256));
    const struct jwt_trust trust = {v, keys, &rules, &fake.clock};
    const struct jwt_trust lenient = {v, keys, &none, &fake.clock};
    struct slice token = sign(a, SLICE("{\"alg\":\"HS256\"}"), text);
    struct jose_verdict strict = check(token, &trust, a);
    struct jose_verdict relaxed = check(token, &lenient, a);
    must(strict.result == relaxed.result || (relaxed.result == JOSE_OK && strict.result >= JOSE_INSUFFICIENT));
    token = sign(a, text, SLICE("{\"exp\":1700000001}"));
    check(token, &lenient, a);
    jws_verifier_free(v);
    jwk_set_release(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct arena a;
    arena_init(&a, 4096);
    with_public_keys(text, &a);
    with_secret(text, &a);
    arena_free(&a);
    return 0;
}
