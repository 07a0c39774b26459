/* Handshakes: what is spoken, which certificate answers, whose certificates are believed, files that change. */
#include "tests/support/tls_desk.h"
#include <openssl/sslerr.h>

struct bench {
    struct desk *desk;
    struct identity shop, other, authority, alice, mallory;
};

static int setup(void **state) {
    struct bench *b = xcalloc(1, sizeof *b);
    b->desk = desk_new();
    b->shop = identity_make(&(struct identity_wish){.name = "shop", .hosts = "DNS:shop.test,DNS:*.shop.test"});
    b->other = identity_make(&(struct identity_wish){.name = "other", .hosts = "DNS:other.test,DNS:www.shop.test"});
    b->authority = identity_make(&(struct identity_wish){.name = "authority", .authority = true});
    b->alice = identity_make(&(struct identity_wish){.name = "alice", .issuer = &b->authority});
    b->mallory = identity_make(&(struct identity_wish){.name = "mallory"});
    desk_certify(b->desk, &b->shop, "shop.pem", "shop.key");
    *state = b;
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    struct identity *all[] = {&b->shop, &b->other, &b->authority, &b->alice, &b->mallory};
    desk_free(b->desk);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) identity_free(all[i]);
    free(b);
    return 0;
}

static struct tls_client *meet(struct bench *b, const struct tls_wish *w) {
    return tls_client_new(b->desk->loop, b->desk->port, w);
}

/* A full request and its answer. */
static void expect_answer(struct bench *b, const struct tls_wish *w, const char *answer) {
    struct tls_client *c = meet(b, w);
    assert_true(tls_client_shake(c));
    tls_client_send(c, GET);
    tls_client_expect(c, answer);
    tls_client_free(c);
}

/* Nothing comes of it, whether the client learns in its handshake or, with TLS 1.3, just after. */
static void expect_refusal(struct bench *b, const struct tls_wish *w, int reason) {
    size_t before = b->desk->submitted;
    struct tls_client *c = meet(b, w);
    tls_client_shake(c);
    tls_client_send(c, GET);
    tls_client_expect_end(c);
    assert_true(c->failed);
    if (reason) assert_int_equal(ERR_GET_REASON(c->reason), reason);
    assert_int_equal(b->desk->submitted, before);
    tls_client_free(c);
}

static void both_versions_are_spoken_and_none_before(void **state) {
    struct bench *b = *state;
    desk_open(b->desk);
    expect_answer(b, &(struct tls_wish){.version = TLS1_3_VERSION}, "https 127.0.0.1 \n");
    expect_answer(b, &(struct tls_wish){.version = TLS1_2_VERSION}, "https 127.0.0.1 \n");
    expect_refusal(b, &(struct tls_wish){.version = TLS1_1_VERSION}, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    assert_int_equal(http_source_tls_counters(b->desk->source)->handshakes, 2);
    assert_int_equal(http_source_tls_counters(b->desk->source)->failed_handshakes, 1);
    assert_true(desk_logged(b->desk, "\"reason\":\"unsupported protocol\""));
}

static void the_oldest_version_can_be_1_3(void **state) {
    struct bench *b = *state;
    b->desk->tls.min_version = LISTENER_TLS_1_3;
    desk_open(b->desk);
    expect_answer(b, &(struct tls_wish){.version = TLS1_3_VERSION}, "https ");
    expect_refusal(b, &(struct tls_wish){.version = TLS1_2_VERSION}, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
}

static void only_forward_secret_authenticated_ciphers(void **state) {
    struct bench *b = *state;
    desk_open(b->desk);
    struct tls_client *c = meet(b, &(struct tls_wish){.version = TLS1_2_VERSION});
    SSL_set_cipher_list(c->ssl, "AES128-SHA:AES256-SHA:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256:@SECLEVEL=0");
    assert_false(tls_client_shake(c));
    tls_client_free(c);
    c = meet(b, &(struct tls_wish){.version = TLS1_2_VERSION});
    assert_true(tls_client_shake(c));
    assert_non_null(strstr(SSL_get_cipher_name(c->ssl), "ECDHE-ECDSA-"));
    assert_null(SSL_get_current_compression(c->ssl));
    tls_client_free(c);
}

static void a_client_cannot_renegotiate(void **state) {
    struct bench *b = *state;
    desk_open(b->desk);
    struct tls_client *c = meet(b, &(struct tls_wish){.version = TLS1_2_VERSION});
    assert_true(tls_client_shake(c));
    tls_client_send(c, GET);
    tls_client_expect(c, "https ");
    assert_int_equal(SSL_renegotiate(c->ssl), 1);
    c->shaken = false;
    tls_client_expect_end(c);
    assert_int_equal(ERR_GET_REASON(c->reason), SSL_R_NO_RENEGOTIATION);
    tls_client_free(c);
}

struct host_row {
    const char *host;
    const char *name;
};

static const struct host_row hosts[] = {
    {"shop.test", "shop"},       {"SHOP.Test", "shop"},   {"api.shop.test", "shop"}, {"www.shop.test", "other"},
    {"a.api.shop.test", "shop"}, {"other.test", "other"}, {"unknown.test", "shop"},  {NULL, "shop"},
};

static void the_host_name_chooses_the_certificate(void **state) {
    struct bench *b = *state;
    desk_certify(b->desk, &b->other, "other.pem", "other.key");
    desk_open(b->desk);
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
            struct tls_wish w = {.version = v ? TLS1_3_VERSION : TLS1_2_VERSION, .host = hosts[i].host};
            struct tls_client *c = meet(b, &w);
            assert_true(tls_client_shake(c));
            if (!tls_client_met(c, hosts[i].name)) fail_msg("%s met another than %s", w.host, hosts[i].name);
            tls_client_free(c);
        }
}

struct choice_row {
    const char *host;
    size_t certificate;
};

static void exact_names_come_before_wildcards_of_one_label(void **state) {
    struct bench *b = *state;
    static const struct choice_row rows[] = {{"wild.test", 0},
                                             {"a.wild.test", 1},
                                             {"A.WILD.TEST", 1},
                                             {"a.wild.test.", 1},
                                             {"exact.wild.test", 2},
                                             {"a.b.wild.test", 0},
                                             {".wild.test", 0},
                                             {"", 0},
                                             {".", 0},
                                             {"*.wild.test", 1},
                                             {"test", 0},
                                             {"exact.wild.test.", 2}};
    struct identity wild = identity_make(&(struct identity_wish){.name = "wild", .hosts = "DNS:*.Wild.test"});
    struct identity exact = identity_make(&(struct identity_wish){.name = "exact", .hosts = "DNS:exact.wild.test"});
    struct error e;
    desk_certify(b->desk, &wild, "wild.pem", "wild.key");
    desk_certify(b->desk, &exact, "exact.pem", "exact.key");
    struct tls_context *t = tls_context_load(&b->desk->tls, b->desk->log, &e);
    assert_non_null(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (tls_context_choose(t, slice_of(rows[i].host)) != rows[i].certificate) fail_msg("\"%s\"", rows[i].host);
    char label[300];
    memset(label, 'a', sizeof label);
    assert_int_equal(tls_context_choose(t, slice_make(label, sizeof label)), 0);
    tls_context_release(t);
    identity_free(&wild);
    identity_free(&exact);
}

static void the_protocol_is_http_1_1_or_none(void **state) {
    struct bench *b = *state;
    desk_open(b->desk);
    struct tls_client *c = meet(b, &(struct tls_wish){.protocols = "\x02h2\x08http/1.1"});
    assert_true(tls_client_shake(c));
    const unsigned char *chosen;
    unsigned n = 0;
    SSL_get0_alpn_selected(c->ssl, &chosen, &n);
    assert_slice(slice_make((const char *)chosen, n), "http/1.1");
    tls_client_free(c);
    expect_refusal(b, &(struct tls_wish){.protocols = "\x02h2\x08http/1.0"}, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
}

static void demand(struct bench *b, enum client_certificates mode) {
    b->desk->tls.client_certificates = mode;
    b->desk->tls.client_authority = desk_path(b->desk, "authority.pem");
    pem_replace(b->desk->tls.client_authority, &b->authority, false, true);
    desk_open(b->desk);
}

static void a_client_certificate_may_be_shown(void **state) {
    struct bench *b = *state;
    demand(b, CLIENT_CERTIFICATES_OPTIONAL);
    expect_answer(b, NULL, "https 127.0.0.1 \n");
    assert_string_equal(b->desk->fingerprint, "");
    expect_answer(b, &(struct tls_wish){.identity = &b->alice}, "https 127.0.0.1 CN=alice,O=Shop\\, Ltd.\n");
    assert_int_equal(strlen(b->desk->fingerprint), PEER_FINGERPRINT_SIZE);
    expect_refusal(b, &(struct tls_wish){.identity = &b->mallory}, 0);
    expect_refusal(b, &(struct tls_wish){.identity = &b->mallory, .version = TLS1_2_VERSION}, 0);
}

static void a_client_certificate_may_be_required(void **state) {
    struct bench *b = *state;
    demand(b, CLIENT_CERTIFICATES_REQUIRED);
    expect_refusal(b, NULL, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    expect_refusal(b, &(struct tls_wish){.version = TLS1_2_VERSION}, 0);
    expect_refusal(b, &(struct tls_wish){.identity = &b->mallory}, 0);
    expect_answer(b, &(struct tls_wish){.identity = &b->alice}, "CN=alice,O=Shop\\, Ltd.\n");
    assert_true(desk_logged(b->desk, "peer did not return a certificate"));
}

static void an_expired_client_certificate_is_refused(void **state) {
    struct bench *b = *state;
    struct identity late = identity_make(
        &(struct identity_wish){.name = "late", .issuer = &b->authority, .ends_in_s = -60});
    demand(b, CLIENT_CERTIFICATES_OPTIONAL);
    expect_refusal(b, &(struct tls_wish){.identity = &late}, 0);
    identity_free(&late);
}

/* A ticket tells who the client is; with another set of files it is worth nothing. */
static void a_resumed_session_keeps_the_subject(void **state) {
    struct bench *b = *state;
    demand(b, CLIENT_CERTIFICATES_REQUIRED);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct tls_wish w = {.version = versions[i], .identity = &b->alice};
        struct tls_client *first = meet(b, &w);
        assert_true(tls_client_shake(first));
        tls_client_send(first, GET);
        tls_client_expect(first, "CN=alice");
        SSL_SESSION *session = SSL_get1_session(first->ssl);
        struct tls_client *second = meet(b, &(struct tls_wish){.version = versions[i], .session = session});
        assert_true(tls_client_shake(second));
        assert_true(SSL_session_reused(second->ssl));
        tls_client_send(second, GET);
        tls_client_expect(second, "CN=alice");
        SSL_SESSION_free(session);
        tls_client_free(first);
        tls_client_free(second);
    }
    assert_int_equal(http_source_tls_counters(b->desk->source)->resumed, 2);
}

/* --- files --- */

static void expect_load_error(struct bench *b, const char *text) {
    struct error e = {0};
    assert_null(tls_context_load(&b->desk->tls, b->desk->log, &e));
    if (!strstr(e.message, text)) fail_msg("\"%s\" does not say \"%s\"", e.message, text);
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_wrong_file_is_named(void **state) {
    struct bench *b = *state;
    struct certificate_config *c = &b->desk->certificates[0];
    const char *certificate = c->certificate, *key = c->key;
    pem_replace(key, &b->other, true, false);
    expect_load_error(b, "shop.key is not that of the certificate");
    pem_replace(key, &b->other, false, true);
    expect_load_error(b, "cannot use the private key");
    c->key = "/nowhere/at.all";
    expect_load_error(b, "cannot read the private key /nowhere/at.all: No such file");
    c->key = key;
    identity_write(&b->shop, certificate, key);
    pem_replace(certificate, &b->shop, true, false);
    expect_load_error(b, "shop.pem: no such PEM block");
    c->certificate = b->desk->folder;
    expect_load_error(b, "Is a directory");
    c->certificate = certificate;
    identity_write(&b->shop, certificate, key);
    b->desk->tls.client_authority = key;
    expect_load_error(b, "cannot use the client certificates' authority");
}

static void an_encrypted_key_is_refused_without_asking(void **state) {
    struct bench *b = *state;
    FILE *f = fopen(b->desk->certificates[0].key, "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, b->shop.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    fclose(f);
    expect_load_error(b, "cannot use the private key");
}

static void unwise_files_are_told(void **state) {
    struct bench *b = *state;
    struct error e;
    struct identity late = identity_make(&(struct identity_wish){.name = "late", .ends_in_s = -60});
    struct identity soon = identity_make(&(struct identity_wish){.name = "soon", .ends_in_s = 3600});
    desk_certify(b->desk, &late, "late.pem", "late.key");
    desk_certify(b->desk, &soon, "soon.pem", "soon.key");
    chmod(b->desk->certificates[0].key, 0644);
    struct tls_context *t = tls_context_load(&b->desk->tls, b->desk->log, &e);
    assert_non_null(t);
    assert_true(desk_logged(b->desk, "others have access to the private key"));
    assert_true(desk_logged(b->desk, "the certificate has expired"));
    assert_true(desk_logged(b->desk, "expires within a week"));
    tls_context_release(t);
    identity_free(&late);
    identity_free(&soon);
}

static void certificate_and_key_may_share_a_file(void **state) {
    struct bench *b = *state;
    struct error e;
    struct certificate_config *c = &b->desk->certificates[0];
    pem_replace(c->certificate, &b->shop, true, true);
    c->key = c->certificate;
    struct tls_context *t = tls_context_load(&b->desk->tls, b->desk->log, &e);
    assert_non_null(t);
    tls_context_release(t);
}

struct wanted {
    struct bench *bench;
    const char *text;
};

static bool is_logged(void *context) {
    const struct wanted *w = context;
    return desk_logged(w->bench->desk, w->text);
}

static void wait_log(struct bench *b, const char *text) {
    struct wanted w = {b, text};
    if (!loop_run_until(b->desk->loop, is_logged, &w, WAIT_MS)) fail_msg("\"%s\" is not logged", text);
}

static void expect_met(struct bench *b, const char *name) {
    struct tls_client *c = meet(b, NULL);
    assert_true(tls_client_shake(c));
    assert_true(tls_client_met(c, name));
    tls_client_free(c);
}

static void files_that_change_serve_new_handshakes(void **state) {
    struct bench *b = *state;
    const struct certificate_config *c = &b->desk->certificates[0];
    desk_open(b->desk);
    struct tls_client *open = meet(b, NULL);
    struct tls_client *half = meet(b, NULL);
    assert_true(tls_client_shake(open));
    SSL_do_handshake(half->ssl);
    SSL_SESSION *ticket = SSL_get1_session(open->ssl);
    pem_replace(c->certificate, &b->other, false, true);
    wait_log(b, "the old ones go on");
    assert_true(desk_logged(b->desk, "is not that of the certificate"));
    expect_met(b, "shop");
    pem_replace(c->key, &b->other, true, false);
    wait_log(b, "TLS files loaded anew");
    expect_met(b, "other");
    assert_true(tls_client_shake(half));
    assert_true(tls_client_met(half, "shop"));
    tls_client_send(open, GET);
    tls_client_expect(open, "https ");
    struct tls_client *again = meet(b, &(struct tls_wish){.session = ticket});
    assert_true(tls_client_shake(again));
    assert_false(SSL_session_reused(again->ssl));
    SSL_SESSION_free(ticket);
    tls_client_free(open);
    tls_client_free(half);
    tls_client_free(again);
}

#define tls_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        tls_test(both_versions_are_spoken_and_none_before),   tls_test(the_oldest_version_can_be_1_3),
        tls_test(only_forward_secret_authenticated_ciphers),  tls_test(a_client_cannot_renegotiate),
        tls_test(the_host_name_chooses_the_certificate),      tls_test(exact_names_come_before_wildcards_of_one_label),
        tls_test(the_protocol_is_http_1_1_or_none),           tls_test(a_client_certificate_may_be_shown),
        tls_test(a_client_certificate_may_be_required),       tls_test(an_expired_client_certificate_is_refused),
        tls_test(a_resumed_session_keeps_the_subject),        tls_test(a_wrong_file_is_named),
        tls_test(an_encrypted_key_is_refused_without_asking), tls_test(unwise_files_are_told),
        tls_test(certificate_and_key_may_share_a_file),       tls_test(files_that_change_serve_new_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
