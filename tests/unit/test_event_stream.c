#include "gateway/observe/event_stream.h"
#include "tests/unit/unit.h"
#include <zlib.h>

static size_t number_at(struct slice s, size_t at) {
    const unsigned char *p = (const unsigned char *)s.p + at;
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static size_t crc_of(struct slice s, size_t n) {
    return crc32(0, (const unsigned char *)s.p, (unsigned)n);
}

/* The fields of the format, one by one, at the places where its description has them. */
static void one_message(void **state) {
    (void)state;
    const struct event_message m = {SLICE("PayloadChunk"), SLICE("application/octet-stream"), SLICE("\0\1hello")};
    static const char headers[] = "\015:message-type\7\0\005event"
                                  "\013:event-type\7\0\014PayloadChunk"
                                  "\015:content-type\7\0\030application/octet-stream";
    struct chunk *c = event_stream_message(&m);
    struct slice s = c->bytes;
    size_t headers_size = sizeof headers - 1;
    assert_int_equal(number_at(s, 0), s.n);
    assert_int_equal(number_at(s, 4), headers_size);
    assert_int_equal(number_at(s, 8), crc_of(s, 8));
    assert_memory_equal(s.p + 12, headers, headers_size);
    assert_memory_equal(s.p + 12 + headers_size, m.payload.p, m.payload.n);
    assert_int_equal(s.n, 12 + headers_size + m.payload.n + 4);
    assert_int_equal(number_at(s, s.n - 4), crc_of(s, s.n - 4));
    chunk_release(c);
}

static void nothing_in_it(void **state) {
    (void)state;
    const struct event_message m = {SLICE("InvokeComplete"), SLICE("application/json"), SLICE("")};
    struct chunk *c = event_stream_message(&m);
    assert_int_equal(number_at(c->bytes, 0), c->bytes.n);
    assert_int_equal(number_at(c->bytes, 4) + 16, c->bytes.n);
    chunk_release(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message),
        cmocka_unit_test(nothing_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
