#include "gateway/command/token/dev_keys.h"
#include "gateway/command/token/mint.h"
#include "plugins/auth/jwt.h"
#include "tests/unit/jose_helper.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    char file[128];
    struct arena arena;
    struct clock_fake clock;
};

static int set_up(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/execgate-keys-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/state/execgate/dev-issuer.pem", f->folder);
    char *state_home = xasprintf("%s/state", f->folder);
    setenv("XDG_STATE_HOME", state_home, 1);
    free(state_home);
    arena_init(&f->arena, 4096);
    clock_fake_init(&f->clock);
    *state = f;
    return 0;
}

static void remove_at(const struct fixture *f, const char *name) {
    char *path = xasprintf("%s%s", f->folder, name);
    remove(path);
    free(path);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"/state/execgate/dev-issuer.pem", "/elsewhere.pem", "/state/execgate", "/state",
                                        ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) remove_at(f, names[i]);
    assert_int_equal(access(f->folder, F_OK), -1); /* nothing else was left behind */
    arena_free(&f->arena);
    free(f);
    return 0;
}

static void open_good(struct dev_keys *k) {
    struct error e;
    if (dev_keys_open(k, &e) == 0) return;
    print_error("%s\n", e.message);
    fail();
}

static void open_bad(const char *word) {
    struct dev_keys k;
    struct error e;
    assert_true(dev_keys_open(&k, &e) < 0);
    assert_non_null(strstr(e.message, word));
    assert_null(k.path);
    assert_int_equal(ERR_peek_error(), 0);
}

static void made_once_for_the_owner_alone(void **state) {
    struct fixture *f = *state;
    struct dev_keys first, second;
    struct stat s;
    umask(0);
    open_good(&first);
    assert_string_equal(first.path, f->file);
    assert_int_equal(stat(f->file, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(s.st_nlink, 1);
    *strrchr(f->file, '/') = '\0';
    assert_int_equal(stat(f->file, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0700);
    open_good(&second);
    for (size_t i = 0; i < DEV_KEYS_COUNT; i++) {
        assert_int_equal(EVP_PKEY_eq(first.items[i].pkey, second.items[i].pkey), 1);
        assert_string_equal(first.items[i].kid, second.items[i].kid);
        assert_int_equal(strlen(first.items[i].kid), 43);
    }
    dev_keys_close(&first);
    dev_keys_close(&second);
    dev_keys_close(&second);
}

static void a_file_that_others_know_is_refused(void **state) {
    struct fixture *f = *state;
    static const mode_t modes[] = {0640, 0604, 0620, 0602};
    struct dev_keys k;
    open_good(&k);
    dev_keys_close(&k);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(f->file, modes[i]), 0);
        open_bad("others may read");
    }
    assert_int_equal(chmod(f->file, 0600), 0);
    open_good(&k);
    dev_keys_close(&k);
}

static void a_link_is_refused(void **state) {
    struct fixture *f = *state;
    struct dev_keys k;
    open_good(&k);
    dev_keys_close(&k);
    char *elsewhere = xasprintf("%s/elsewhere.pem", f->folder);
    assert_int_equal(rename(f->file, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, f->file), 0);
    open_bad("cannot be opened");
    free(elsewhere);
}

static void put(const struct fixture *f, const char *text) {
    int fd = open(f->file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void a_spoilt_file_is_refused(void **state) {
    struct fixture *f = *state;
    struct dev_keys k;
    struct buf once = {0}, twice = {0};
    open_good(&k);
    dev_key_write_pem(&k.items[0], &once);
    buf_append(&twice, once.p, once.n);
    dev_key_write_pem(&k.items[0], &twice);
    *buf_reserve(&once, 1) = *buf_reserve(&twice, 1) = '\0';
    dev_keys_close(&k);
    const char *const texts[] = {"", "hello", once.p, twice.p,
                                 "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        put(f, texts[i]);
        open_bad("does not hold");
    }
    buf_free(&once);
    buf_free(&twice);
}

/* RFC 7638 3.1. */
static void the_thumbprint_of_the_rfc(void **state) {
    struct fixture *f = *state;
    char kid[64];
    struct jwk_set *s = set_of(
        &f->arena,
        "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L"
        "6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRw"
        "r3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":"
        "\"2011-04-29\"}");
    dev_jwk_thumbprint(jwk_set_at(s, 0)->pkey, kid);
    assert_string_equal(kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    jwk_set_release(s);
}

static void the_set_has_public_halves_only(void **state) {
    (void)state;
    struct dev_keys k;
    struct buf text = {0};
    struct error e;
    const char *why;
    open_good(&k);
    dev_keys_write_set(&k, &text);
    struct jwk_set *s = jwk_set_from_json(buf_slice(&text), &e);
    assert_non_null(s);
    assert_int_equal(jwk_set_count(s), DEV_KEYS_COUNT);
    assert_int_equal(jwk_set_skipped(s, &why), 0);
    for (size_t i = 0; i < DEV_KEYS_COUNT; i++) {
        assert_true(slice_equal(jwk_set_at(s, i)->kid, slice_of(k.items[i].kid)));
        assert_int_equal(EVP_PKEY_eq(jwk_set_at(s, i)->pkey, k.items[i].pkey), 1);
    }
    *buf_reserve(&text, 1) = '\0';
    assert_null(strstr(text.p, "\"d\""));
    assert_null(strstr(text.p, "\"p\""));
    jwk_set_release(s);
    buf_free(&text);
    dev_keys_close(&k);
}

static void assert_believed(struct fixture *f, const struct mint_order *order, const struct jwk_set *keys,
                            unsigned algorithms) {
    struct buf token = {0};
    struct error e;
    struct jwt t;
    if (mint_token(order, &token, &e) < 0) print_error("%s\n", e.message);
    const struct slice audience = SLICE("shop");
    const struct jwt_rules rules = {.issuer = SLICE("https://id.example"), .audiences = &audience, .audience_count = 1};
    const struct jwt_trust trust = {jws_verifier_new(algorithms), keys, &rules, &f->clock.clock};
    f->clock.wall_now_ms = 1000000000000;
    assert_accepted(jwt_accept(&t, buf_slice(&token), &trust, &f->arena));
    assert_slice(t.subject, "alice \"\\u00e4\"\xc3\xa4");
    token.p[token.n - 10] ^= 1;
    assert_int_not_equal(jwt_accept(&t, buf_slice(&token), &trust, &f->arena).result, JOSE_OK);
    jws_verifier_free(trust.verifier);
    buf_free(&token);
}

static const char claims[] =
    "{\"iss\":\"https://id.example\",\"sub\":\"alice \\\"\\\\u00e4\\\"\\u00e4\",\"aud\":[\"shop\","
    "\"x\"],\"exp\":1000000060,\"roles\":[1,{\"a\":null}]}";

static void minted_tokens_are_believed(void **state) {
    struct fixture *f = *state;
    struct dev_keys k;
    struct buf text = {0};
    struct error e;
    static const enum jose_algorithm algorithms[] = {JOSE_ES256, JOSE_RS256, JOSE_RS384, JOSE_RS512};
    open_good(&k);
    dev_keys_write_set(&k, &text);
    struct jwk_set *s = jwk_set_from_json(buf_slice(&text), &e);
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        enum jose_algorithm algorithm;
        struct buf pem = {0};
        const struct dev_key *key = dev_keys_for(&k, JOSE_BIT(algorithms[i]) | JOSE_BIT(JOSE_PS256), &algorithm);
        assert_non_null(key);
        assert_int_equal(algorithm, algorithms[i]);
        dev_key_write_pem(key, &pem);
        const struct mint_order order = {jose_rule_of(algorithm)->name.p, buf_slice(&pem), key->kid, claims};
        for (int n = 0; n < 20; n++) assert_believed(f, &order, s, JOSE_BIT(algorithm));
        buf_free(&pem);
    }
    enum jose_algorithm none;
    assert_null(dev_keys_for(&k, JOSE_BIT(JOSE_PS256) | JOSE_BIT(JOSE_EDDSA) | JOSE_HMAC, &none));
    jwk_set_release(s);
    buf_free(&text);
    dev_keys_close(&k);
}

static void minted_with_a_secret(void **state) {
    struct fixture *f = *state;
    struct error e;
    const struct slice secret = SLICE("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    for (enum jose_algorithm a = JOSE_HS256; a <= JOSE_HS512; a++) {
        struct jwk_set *s = jwk_set_from_secret(secret, JOSE_BIT(a), &e);
        const struct mint_order order = {jose_rule_of(a)->name.p, secret, NULL, claims};
        assert_believed(f, &order, s, JOSE_BIT(a));
        jwk_set_release(s);
    }
}

static void nothing_is_minted_without_key_or_sense(void **state) {
    (void)state;
    struct buf out = {0};
    struct error e;
    const struct mint_order orders[] = {{"none", SLICE_NONE, NULL, "{}"},
                                        {"none", SLICE("key"), NULL, "{}"},
                                        {"ES256", SLICE("no PEM"), NULL, "{}"},
                                        {"XX256", SLICE("key"), NULL, "{}"},
                                        {"HS256", SLICE("key"), NULL, "no JSON"}};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        assert_true(mint_token(&orders[i], &out, &e) < 0);
        assert_int_equal(out.n, 0);
    }
    ERR_clear_error();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(made_once_for_the_owner_alone),
        TEST(a_file_that_others_know_is_refused),
        TEST(a_link_is_refused),
        TEST(a_spoilt_file_is_refused),
        TEST(the_thumbprint_of_the_rfc),
        TEST(the_set_has_public_halves_only),
        TEST(minted_tokens_are_believed),
        TEST(minted_with_a_secret),
        TEST(nothing_is_minted_without_key_or_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
