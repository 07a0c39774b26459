/* pki.h - certificates made on the spot, on P-256 because those are quick to make. */
#pragma once
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct identity_wish {
    const char *name;              /* common name */
    const char *hosts;             /* "DNS:a.test,DNS:*.b.test"; NULL = none */
    const struct identity *issuer; /* NULL = itself */
    bool authority;
    long ends_in_s; /* 0 = in a day */
};

static inline void identity_extend(X509 *c, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, c, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(c, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline struct identity identity_make(const struct identity_wish *w) {
    static long serial = 0;
    struct identity i = {X509_new(), EVP_EC_gen("P-256")};
    const struct identity *issuer = w->issuer ? w->issuer : &i;
    X509_set_version(i.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(i.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(i.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(i.certificate), w->ends_in_s ? w->ends_in_s : 30 * 24 * 3600);
    X509_NAME *name = X509_get_subject_name(i.certificate);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Shop, Ltd.", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->name, -1, -1, 0);
    X509_set_issuer_name(i.certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(i.certificate, i.key);
    if (w->hosts) identity_extend(i.certificate, issuer->certificate, NID_subject_alt_name, w->hosts);
    if (w->authority) identity_extend(i.certificate, issuer->certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(i.certificate, issuer->key, EVP_sha256()) > 0);
    return i;
}

static inline void identity_free(struct identity *i) {
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
}

/* Replaces both files as careful people do: written aside, then renamed. */
static inline void pem_replace(const char *path, const struct identity *i, bool key, bool certificate) {
    char aside[512];
    snprintf(aside, sizeof aside, "%s.new", path);
    FILE *f = fopen(aside, "w");
    assert_non_null(f);
    if (certificate) assert_int_equal(PEM_write_X509(f, i->certificate), 1);
    if (key) assert_int_equal(PEM_write_PrivateKey(f, i->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    chmod(aside, 0600);
    assert_int_equal(rename(aside, path), 0);
}

static inline void identity_write(const struct identity *i, const char *certificate_path, const char *key_path) {
    pem_replace(certificate_path, i, false, true);
    pem_replace(key_path, i, true, false);
}
