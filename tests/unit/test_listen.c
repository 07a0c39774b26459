/* `listen:` and `trustedProxies:` of a blueprint, from text to model. */
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "tests/support/blueprint_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD "blueprint: 1\nname: shop\nhandlers: {a: {command: /bin/true}}\n"

static void test_https(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_text(HEAD "listen:\n"
                                                 "  - https: :8443\n"
                                                 "    certificate: tls/shop.pem\n"
                                                 "    key: /keys/shop.key\n"
                                                 "    minVersion: 1.3\n"
                                                 "    clientCertificates: {authority: tls/ca.pem, mode: optional}\n"
                                                 "    proxyProtocol: true\n"
                                                 "  - {http: \":8080\", redirect: https}\n"
                                                 "trustedProxies: [10.0.0.0/8]\n",
                                            NULL);
    const struct listener_config *l = b->listeners;
    assert_int_equal(b->listener_count, 2);
    assert_int_equal(l[0].scheme, LISTENER_HTTPS);
    assert_int_equal(l[0].port, 8443);
    assert_true(l[0].proxy_protocol);
    assert_false(l[0].redirect);
    assert_int_equal(l[0].tls->certificate_count, 1);
    assert_string_equal(l[0].tls->certificates[0].certificate, "/srv/test/tls/shop.pem");
    assert_string_equal(l[0].tls->certificates[0].key, "/keys/shop.key");
    assert_int_equal(l[0].tls->min_version, LISTENER_TLS_1_3);
    assert_int_equal(l[0].tls->client_certificates, CLIENT_CERTIFICATES_OPTIONAL);
    assert_string_equal(l[0].tls->client_authority, "/srv/test/tls/ca.pem");
    assert_int_equal(l[1].scheme, LISTENER_HTTP);
    assert_true(l[1].redirect);
    assert_false(l[1].proxy_protocol);
    assert_null(l[1].tls);
    blueprint_release(b);
}

static void test_https_defaults_and_several_certificates(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_text(
        HEAD "listen:\n"
             "  - https: :1\n"
             "    certificates: [{certificate: a.pem}, {certificate: b.pem, key: \"b.key\"}]\n"
             "  - {https: \":2\", certificate: c.pem, clientCertificates: {authority: d.pem}}\n",
        NULL);
    const struct tls_config *first = b->listeners[0].tls, *second = b->listeners[1].tls;
    assert_int_equal(first->certificate_count, 2);
    assert_string_equal(first->certificates[0].key, "/srv/test/a.pem");
    assert_string_equal(first->certificates[1].key, "/srv/test/b.key");
    assert_int_equal(first->min_version, LISTENER_TLS_1_2);
    assert_int_equal(first->client_certificates, CLIENT_CERTIFICATES_NONE);
    assert_null(first->client_authority);
    assert_int_equal(second->client_certificates, CLIENT_CERTIFICATES_REQUIRED);
    blueprint_release(b);
}

static void test_trusted_proxies(void **state) {
    (void)state;
    struct address inside, outside;
    struct blueprint *b = blueprint_of_text(HEAD "trustedProxies: [10.0.0.0/8, \"fd00::/8\", unix]\n", NULL);
    assert_int_equal(b->trusted_proxy_count, 3);
    assert_true(address_parse(SLICE("fd00::7"), &inside) && address_parse(SLICE("192.0.2.1"), &outside));
    assert_true(cidr_list_contains(b->trusted_proxies, b->trusted_proxy_count, &inside));
    assert_false(cidr_list_contains(b->trusted_proxies, b->trusted_proxy_count, &outside));
    blueprint_release(b);
    b = blueprint_of_text(HEAD "trustedProxies: 192.0.2.1\n", NULL); /* one is a list of one */
    assert_int_equal(b->trusted_proxy_count, 1);
    assert_true(cidr_contains(b->trusted_proxies, &outside));
    blueprint_release(b);
    b = blueprint_of_text(HEAD, NULL);
    assert_int_equal(b->trusted_proxy_count, 0);
    blueprint_release(b);
}

/* `text` follows HEAD; its first line is 4. */
static const struct bad {
    const char *text;
    int line, column;
    const char *words;
} bad[] = {
    {"listen: [{https: \":1\"}]\n", 4, 18, "https: a certificate is missing, for example `certificate: tls/shop.pem`"},
    {"listen: [{https: \":1\", key: a}]\n", 4, 18, "a certificate is missing"},
    {"listen: [{https: \":1\", http: \":2\", certificate: a}]\n", 4, 24,
     "http: a listener has \"https\" already, and takes one of the two; remove one"},
    {"listen: [{https: \"x:1\", certificate: a}]\n", 4, 18, "https: \"x\" is no numeric address"},
    {"listen: [{https: \":1\", certificate: a}, {http: \":1\"}]\n", 4, 48, "http: :1 is listened on twice"},
    {"listen: [{http: \":1\", certificate: a}]\n", 4, 36,
     "certificate: only a listener with `https` takes it; remove it"},
    {"listen: [{http: \":1\", minVersion: 1.2}]\n", 4, 35, "minVersion: only a listener with `https` takes it"},
    {"listen: [{http: \":1\", clientCertificates: {authority: a}}]\n", 4, 43, "only a listener with `https`"},
    {"listen: [{https: \":1\", certificate: a, redirect: https}]\n", 4, 50, "only a listener with `http` takes it"},
    {"listen: [{http: \":1\", redirect: https}]\n", 4, 33, "no listener with `https` and a port to redirect to"},
    {"listen: [{http: \":1\", redirect: https}, {https: \"unix:s\", certificate: a}]\n", 4, 33,
     "no listener with `https`"},
    {"listen: [{http: \":1\", redirect: http}]\n", 4, 33, "redirect: expected one of https, found \"http\""},
    {"listen: [{https: \":1\", certificate: a, certificates: [{certificate: b}]}]\n", 4, 37,
     "there are `certificates` too"},
    {"listen: [{https: \":1\", certificates: [{certificate: b}], key: c}]\n", 4, 63,
     "each of the `certificates` has its own"},
    {"listen: [{https: \":1\", certificates: []}]\n", 4, 38, "expected at least 1"},
    {"listen: [{https: \":1\", certificates: [{key: b}]}]\n", 4, 39, "a certificate needs the key \"certificate\""},
    {"listen: [{https: \":1\", certificate: a, minVersion: 1.1}]\n", 4, 52, "expected one of 1.2, 1.3, found \"1.1\""},
    {"listen: [{https: \":1\", certificate: a, clientCertificates: {mode: optional}}]\n", 4, 60,
     "`clientCertificates` needs the key \"authority\""},
    {"listen: [{https: \":1\", certificate: a, clientCertificates: {authority: b, mode: always}}]\n", 4, 81,
     "expected one of optional, required"},
    {"listen: [{http: \":1\", proxyProtocol: yes}]\n", 4, 38, "write true"},
    {"listen: [{http: \":1\", proxyProtocol: true}]\n", 4, 38, "name the proxies in `trustedProxies:`"},
    {"listen: [{https: \":1\", certificate: \"${file:/etc/hostname}\"}]\n", 4, 37, "a secret may not be used here"},
    {"trustedProxies: [10.0.0.0/8, proxy.example]\n", 4, 30, "expected a network such as 10.0.0.0/8"},
    {"trustedProxies: [10.0.0.1/8]\n", 4, 18,
     "trustedProxies: \"10.0.0.1/8\" names one address of a network; write 10.0.0.0/8"},
    {"trustedProxies: [10.0.0.0/40]\n", 4, 18, "the prefix length is a number from 0 to 32"},
    {"trustedProxies: {}\n", 4, 17,
     "trustedProxies: expected a network such as 10.0.0.0/8, 2001:db8::/32 or unix, or a list, found a map"},
    {"trustedProxies:\n", 4, 16, "found nothing; for example `trustedProxies: [10.0.0.0/8"},
};

static void test_mistakes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct problems p = {0};
        char text[512];
        snprintf(text, sizeof text, HEAD "%s", bad[i].text);
        assert_null(blueprint_parse(slice_of(text), "/srv/test/test.yaml", NULL, &p));
        assert_problem(&p, bad[i].line, bad[i].column, bad[i].words);
        if (p.count != 1) fail_msg("%zu problems in: %s", p.count, text);
        problems_free(&p);
    }
}

static void test_certificate_files_are_checked(void **state) {
    (void)state;
    char folder[] = "/tmp/execgate-listen-XXXXXX", path[64];
    struct problems p = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(HEAD "listen:\n"
               "  - https: :1\n"
               "    certificate: a.yaml\n"
               "    key: none.key\n"
               "    clientCertificates: {authority: .}\n"
               "  - https: :2\n"
               "    certificates: [{certificate: none.pem}]\n",
          file);
    fclose(file);
    assert_null(blueprint_load(path, &(struct blueprint_options){.check = BLUEPRINT_CHECK_FILES}, &p));
    assert_problem(&p, 7, 10, "key: ");
    assert_problem(&p, 7, 10, "none.key does not exist");
    assert_problem(&p, 8, 37, "is not a regular file");
    assert_problem(&p, 10, 34, "none.pem does not exist");
    assert_int_equal(p.count, 3);
    struct blueprint *b = blueprint_load(path, NULL, &p);
    assert_non_null(b);
    blueprint_release(b);
    problems_free(&p);
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_https),
        cmocka_unit_test(test_https_defaults_and_several_certificates),
        cmocka_unit_test(test_trusted_proxies),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_certificate_files_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
