#include "gateway/base/file.h"
#include "gateway/base/memory.h"
#include "gateway/source/listen/tls_private.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define ENDS_SOON_DAYS 7
#define PEM_FILE_MAX (4 << 20)

/* OpenSSL's words for what people do to PEM files are for those who know its insides. */
static const struct {
    int library;
    int reason;
    const char *words;
} plain_words[] = {
    {ERR_LIB_PEM, PEM_R_NO_START_LINE, "no such PEM block (-----BEGIN ...) was found in it"},
    {ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED, "no such PEM block (-----BEGIN ...) was found in it"},
    {ERR_LIB_PEM, PEM_R_BAD_END_LINE, "its PEM block is cut short"},
    {ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ, "it needs a pass phrase, and nobody is there to type it"},
};

const char *tls_error_reason(void) {
    unsigned long code = ERR_peek_last_error();
    for (size_t i = 0; i < ARRAY_LEN(plain_words); i++)
        if (ERR_GET_LIB(code) == plain_words[i].library && ERR_GET_REASON(code) == plain_words[i].reason)
            return plain_words[i].words;
    /* OpenSSL 3 has no words for a system call's error. */
    if (ERR_SYSTEM_ERROR(code)) return strerror(ERR_GET_REASON(code));
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unknown";
}

int tls_error_set(struct error *e, const char *format, ...) {
    va_list arguments;
    char about[600];
    va_start(arguments, format);
    vsnprintf(about, sizeof about, format, arguments);
    va_end(arguments);
    int status = error_set(e, ERROR_SYSTEM, "%s: %s", about, tls_error_reason());
    ERR_clear_error();
    return status;
}

/* A key that needs a pass phrase cannot be used: nobody is there to type it. */
static int on_passphrase(char *room, int size, int writing, void *context) {
    (void)room;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static BIO *memory_of(const struct buf *text) {
    return BIO_new_mem_buf(text->p, (int)text->n);
}

/* PEM files end with "no start line"; that is no error once something has been found. */
static X509 *next_certificate(BIO *bio) {
    return PEM_read_bio_X509(bio, NULL, on_passphrase, NULL);
}

static int use_chain(SSL_CTX *c, const struct buf *pem, const char *path, struct error *e) {
    BIO *bio = memory_of(pem);
    X509 *own = next_certificate(bio);
    bool good = own && SSL_CTX_use_certificate(c, own) == 1;
    X509_free(own);
    if (good) SSL_CTX_clear_chain_certs(c);
    for (X509 *next = NULL; good && (next = next_certificate(bio));)
        if (SSL_CTX_add0_chain_cert(c, next) != 1) {
            X509_free(next);
            good = false;
        }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (!good || !at_end) return tls_error_set(e, "cannot use the certificate %s", path);
    ERR_clear_error();
    return 0;
}

static int use_key(SSL_CTX *c, const struct buf *pem, const struct certificate_config *config, struct error *e) {
    BIO *bio = memory_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, NULL);
    BIO_free(bio);
    bool fits = key && X509_check_private_key(SSL_CTX_get0_certificate(c), key) == 1;
    bool used = fits && SSL_CTX_use_PrivateKey(c, key) == 1;
    EVP_PKEY_free(key);
    if (used) return 0;
    if (!key || fits) return tls_error_set(e, "cannot use the private key %s", config->key);
    return tls_error_set(e, "the private key %s is not that of the certificate %s", config->key, config->certificate);
}

static int load_key(SSL_CTX *c, const struct certificate_config *config, struct error *e) {
    struct buf pem = {0};
    int status = file_read(config->key, "the private key", PEM_FILE_MAX, &pem, e);
    if (status == 0) status = use_key(c, &pem, config, e);
    OPENSSL_cleanse(pem.p, pem.n);
    buf_free(&pem);
    return status;
}

static void warn_about_key(const char *path, struct log *log) {
    mode_t mode = file_stamp_of(path).mode;
    if (mode & (S_IROTH | S_IWOTH | S_IWGRP))
        log_event(log, LOG_WARN, "others have access to the private key: chmod 600", LOG_TEXT("file", path));
}

/* A certificate that has ended is served all the same: the clients decide, and the old one would be no better. */
static void warn_about_time(const SSL_CTX *c, const char *path, struct log *log) {
    X509 *own = SSL_CTX_get0_certificate(c);
    time_t soon = time(NULL) + ENDS_SOON_DAYS * 24 * 3600;
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
        log_event(log, LOG_WARN, "the certificate is not valid yet", LOG_TEXT("file", path));
    if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0)
        log_event(log, LOG_WARN, "the certificate has expired", LOG_TEXT("file", path));
    else if (X509_cmp_time(X509_get0_notAfter(own), &soon) < 0)
        log_event(log, LOG_WARN, "the certificate expires within a week", LOG_TEXT("file", path));
}

int tls_load_certificate(SSL_CTX *c, const struct certificate_config *config, struct log *log, struct error *e) {
    struct buf pem = {0};
    int status = file_read(config->certificate, "the certificate", PEM_FILE_MAX, &pem, e);
    if (status == 0) status = use_chain(c, &pem, config->certificate, e);
    /* The key may be in the same file. */
    OPENSSL_cleanse(pem.p, pem.n);
    buf_free(&pem);
    if (status == 0) status = load_key(c, config, e);
    if (status < 0) return status;
    warn_about_key(config->key, log);
    warn_about_time(c, config->certificate, log);
    return 0;
}

static bool add_authority(SSL_CTX *c, X509 *authority) {
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(c), authority) == 1 && SSL_CTX_add_client_CA(c, authority) == 1;
}

int tls_load_authority(SSL_CTX *c, const char *path, struct error *e) {
    struct buf pem = {0};
    int status = file_read(path, "the client certificates' authority", PEM_FILE_MAX, &pem, e);
    BIO *bio = status == 0 ? memory_of(&pem) : NULL;
    bool good = bio != NULL;
    size_t count = 0;
    for (X509 *next = NULL; good && (next = next_certificate(bio)); count++) {
        good = add_authority(c, next);
        X509_free(next);
    }
    good = good && count > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    buf_free(&pem);
    if (status == 0 && !good) status = tls_error_set(e, "cannot use the client certificates' authority %s", path);
    ERR_clear_error();
    return status;
}
