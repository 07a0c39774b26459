#include "gateway/base/memory.h"
#include "plugins/auth/jwk_import.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* One block: OpenSSL's own allocations. */
struct pem_block {
    char *label;
    char *header;
    unsigned char *data;
    long size;
};

static void block_free(struct pem_block *b) {
    OPENSSL_free(b->label);
    OPENSSL_free(b->header);
    OPENSSL_free(b->data);
    *b = (struct pem_block){0};
}

static EVP_PKEY *key_of_spki(const struct pem_block *b) {
    const unsigned char *p = b->data;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, b->size);
    if (p == b->data + b->size) return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

static EVP_PKEY *key_of_pkcs1(const struct pem_block *b) {
    const unsigned char *p = b->data;
    return d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, b->size);
}

static EVP_PKEY *key_of_certificate(const struct pem_block *b) {
    const unsigned char *p = b->data;
    X509 *certificate = d2i_X509(NULL, &p, b->size);
    EVP_PKEY *pkey = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return pkey;
}

static EVP_PKEY *key_of_block(const struct pem_block *b, const char **why) {
    static const struct {
        const char *label;
        EVP_PKEY *(*key)(const struct pem_block *b);
    } readers[] = {
        {PEM_STRING_PUBLIC, key_of_spki},
        {PEM_STRING_RSA_PUBLIC, key_of_pkcs1},
        {PEM_STRING_X509, key_of_certificate},
        {PEM_STRING_X509_OLD, key_of_certificate},
    };
    *why = "the PEM block is damaged";
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        if (strcmp(b->label, readers[i].label) == 0) return readers[i].key(b);
    }
    *why = strstr(b->label, "PRIVATE KEY") ? "this is a private key: give the gateway only the public one"
                                           : "the PEM block is neither a public key nor a certificate";
    return NULL;
}

static bool read_block(BIO *bio, struct pem_block *b) {
    *b = (struct pem_block){0};
    return PEM_read_bio(bio, &b->label, &b->header, &b->data, &b->size) == 1;
}

static EVP_PKEY *key_of_bio(BIO *bio, const char **why) {
    struct pem_block block;
    *why = "no PEM block (-----BEGIN PUBLIC KEY-----) was found";
    if (!read_block(bio, &block)) return NULL;
    EVP_PKEY *pkey = key_of_block(&block, why);
    block_free(&block);
    if (!pkey || !read_block(bio, &block)) return pkey;
    block_free(&block);
    EVP_PKEY_free(pkey);
    *why = "more than one PEM block: several keys belong in a JWK set, where each has a kid";
    return NULL;
}

EVP_PKEY *jwk_import_pem(struct slice pem, const char **why) {
    BIO *bio = BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n);
    *why = "out of memory";
    if (!bio) return NULL;
    EVP_PKEY *pkey = key_of_bio(bio, why);
    BIO_free(bio);
    return pkey;
}
