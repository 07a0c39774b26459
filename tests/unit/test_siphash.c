#include "gateway/base/siphash.h"
#include "tests/unit/unit.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>

#define TEXT_MAX 70

static const struct siphash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};

/* The first row of the table that the authors publish with their reference implementation. */
static void published_vector(void **state) {
    (void)state;
    struct siphash_128 h = siphash_long(&key, SLICE(""));
    static const unsigned char expected[] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                             0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    assert_memory_equal(&h, expected, sizeof expected);
}

static void openssl_siphash(const char *text, size_t n, size_t size, unsigned char *out) {
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);
    unsigned int rounds[] = {size == 16 ? 2 : 1, size == 16 ? 4 : 3};
    size_t written = 0;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                               OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &rounds[0]),
                               OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &rounds[1]),
                               OSSL_PARAM_construct_end()};
    assert_int_equal(EVP_MAC_init(c, (const unsigned char *)&key, sizeof key, parameters), 1);
    assert_int_equal(EVP_MAC_update(c, (const unsigned char *)text, n), 1);
    assert_int_equal(EVP_MAC_final(c, out, &written, size), 1);
    assert_int_equal(written, size);
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
}

static void agrees_with_openssl(void **state) {
    (void)state;
    char text[TEXT_MAX];
    unsigned char expected[16];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 37 + 200);
    for (size_t n = 0; n <= sizeof text; n++) {
        struct siphash_128 wide = siphash_long(&key, slice_make(text, n));
        uint64_t narrow = siphash_short(&key, slice_make(text, n));
        openssl_siphash(text, n, 16, expected);
        assert_memory_equal(&wide, expected, 16);
        openssl_siphash(text, n, 8, expected);
        assert_memory_equal(&narrow, expected, 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vector),
        cmocka_unit_test(agrees_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
