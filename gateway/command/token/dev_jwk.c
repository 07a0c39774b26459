#include "gateway/base/base64.h"
#include "gateway/base/memory.h"
#include "gateway/command/token/dev_keys.h"
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#define COORDINATE_SIZE 32
#define NUMBER_SIZE_MAX 1024

/* RFC 7515 2. */
static void append_base64url(struct buf *out, const unsigned char *bytes, size_t n) {
    char *text = buf_reserve(out, base64_encoded_size(n));
    size_t size = base64_encoded_size(n);
    base64_encode(bytes, n, text);
    while (size && text[size - 1] == '=') size--;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '+') text[i] = '-';
        if (text[i] == '/') text[i] = '_';
    }
    out->n += size;
}

/* A number of the key in `size` bytes, or in as many as it takes (0). */
static void append_number(struct buf *out, const EVP_PKEY *pkey, const char *name, int size) {
    unsigned char bytes[NUMBER_SIZE_MAX];
    BIGNUM *number = NULL;
    int found = EVP_PKEY_get_bn_param(pkey, name, &number);
    if (found != 1) abort();
    if (size == 0) size = BN_num_bytes(number);
    assert(size <= NUMBER_SIZE_MAX);
    size = BN_bn2binpad(number, bytes, size);
    BN_free(number);
    assert(size > 0);
    append_base64url(out, bytes, (size_t)size);
}

void dev_jwk_write(const EVP_PKEY *pkey, struct buf *out) {
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        buf_append_text(out, "{\"e\":\"");
        append_number(out, pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        buf_append_text(out, "\",\"kty\":\"RSA\",\"n\":\"");
        append_number(out, pkey, OSSL_PKEY_PARAM_RSA_N, 0);
    } else {
        buf_append_text(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
        append_number(out, pkey, OSSL_PKEY_PARAM_EC_PUB_X, COORDINATE_SIZE);
        buf_append_text(out, "\",\"y\":\"");
        append_number(out, pkey, OSSL_PKEY_PARAM_EC_PUB_Y, COORDINATE_SIZE);
    }
    buf_append_text(out, "\"}");
}

void dev_jwk_thumbprint(const EVP_PKEY *pkey, char kid[64]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buf text = {0}, id = {0};
    dev_jwk_write(pkey, &text);
    int done = EVP_Q_digest(NULL, "SHA256", NULL, text.p, text.n, digest, NULL);
    assert(done == 1);
    (void)done;
    append_base64url(&id, digest, 32);
    assert(id.n < 64);
    memcpy(kid, id.p, id.n);
    kid[id.n] = '\0';
    buf_free(&text);
    buf_free(&id);
}
