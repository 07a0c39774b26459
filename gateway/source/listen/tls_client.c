#include "gateway/source/listen/tls_client.h"
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define SUBJECT_MAX 4096

static char *subject_text(const X509 *certificate) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *copy = NULL;
    if (!bio) return NULL;
    /* Escapes control characters and all but ASCII: the text is fit for a header field. */
    bool printed = X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0;
    long n = BIO_get_mem_data(bio, &text);
    if (printed && n >= 0 && n <= SUBJECT_MAX) copy = slice_dup(slice_make(n ? text : "", (size_t)n));
    BIO_free(bio);
    return copy;
}

static bool fingerprint_text(const X509 *certificate, char out[PEER_FINGERPRINT_SIZE + 1]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(certificate, EVP_sha256(), hash, &n) != 1 || n * 2 != PEER_FINGERPRINT_SIZE) return false;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[PEER_FINGERPRINT_SIZE] = '\0';
    return true;
}

bool tls_client_describe(const SSL *ssl, struct peer_tls *out) {
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate) return true;
    out->subject = subject_text(certificate);
    return out->subject && fingerprint_text(certificate, out->fingerprint);
}
