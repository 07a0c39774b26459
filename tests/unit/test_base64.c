#include "gateway/base/base64.h"
#include "tests/unit/unit.h"

static void vectors_of_rfc_4648(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct slice plain = slice_of(pairs[i][0]), encoded = slice_of(pairs[i][1]);
        char out[16] = "";
        assert_int_equal(base64_encoded_size(plain.n), encoded.n);
        base64_encode(plain.p, plain.n, out);
        assert_memory_equal(out, encoded.p, encoded.n);
        assert_int_equal(out[encoded.n], 0);
        assert_int_equal(base64_decode(encoded, out), plain.n);
        assert_memory_equal(out, plain.p, plain.n);
    }
    base64_encode(NULL, 0, NULL);
    assert_int_equal(base64_decode(SLICE_NONE, NULL), 0);
}

static void every_byte_there_and_back(void **state) {
    (void)state;
    unsigned char bytes[1024];
    char text[(sizeof bytes + 2) / 3 * 4];
    uint32_t x = 99;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        base64_encode(bytes, n, text);
        size_t size = base64_encoded_size(n);
        assert_int_equal(base64_decode(slice_make(text, size), text), n); /* in place */
        assert_memory_equal(text, bytes, n);
    }
}

static void strictness(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg",         "Zg=",      "Zg===",        "====",      "=g==",     "Z===",
        "Zh==", "Zm9=",       "Zg==Zg==", "Zm9v\n",       "Zm9v Zg==", "Zm9-",     "Zm9_",
        "Zg=a", "\xc3\xa9==", "Zm=v",     "Zg==\n\n\n\n", " Zg=",      "Zm9vZ=9v", "Zm9v===="};
    char out[16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(base64_decode(slice_of(bad[i]), out), -1);
    for (int c = 0; c < 256; c++) {
        char text[4] = {'A', (char)c, 'A', 'A'};
        bool digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' || c == '/';
        assert_int_equal(base64_decode(slice_make(text, 4), out), digit ? 3 : -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_4648),
        cmocka_unit_test(every_byte_there_and_back),
        cmocka_unit_test(strictness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
