/* PROXY headers, whole, cut anywhere, and wrong. */
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/source/listen/proxy_header.h"
#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define V6                                                                                                             \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"                                 \
    "\xdc\x04\x01\xbb"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\2\xdc\x04\x01\xbb"

struct good_row {
    struct slice bytes;
    const char *address; /* NULL = names nobody */
    uint16_t port;
};

static const struct good_row good[] = {
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 45}, "192.0.2.1", 56324},
    {{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56}, "255.255.255.255", 65535},
    {{"PROXY TCP6 2001:db8::1 2001:db8::2 0 1\r\n", 40}, "2001:db8::1", 0},
    {{"PROXY TCP6 ::ffff:192.0.2.1 ::1 9 9\r\n", 37}, "192.0.2.1", 9},
    {{"PROXY UNKNOWN\r\n", 15}, NULL, 0},
    {{"PROXY UNKNOWN ffff:f...f and anything 1 2\r\n", 43}, NULL, 0},
    {{SIGNATURE "\x21\x11\x00\x0c" V4, 28}, "192.0.2.1", 56324},
    {{SIGNATURE "\x21\x11\x00\x11" V4 "\x04\x00\x02zz", 33}, "192.0.2.1", 56324},
    {{SIGNATURE "\x21\x21\x00\x24" V6, 52}, "2001:db8::1", 56324},
    {{SIGNATURE "\x21\x21\x00\x24" MAPPED, 52}, "192.0.2.1", 56324},
    {{SIGNATURE "\x20\x00\x00\x00", 16}, NULL, 0},
    {{SIGNATURE "\x20\x11\x00\x0c" V4, 28}, NULL, 0},
    {{SIGNATURE "\x21\x00\x00\x03xyz", 19}, NULL, 0},
    {{SIGNATURE "\x21\x12\x00\x0c" V4, 28}, NULL, 0}, /* datagrams */
};

static void expect_good(const struct good_row *row, struct slice bytes) {
    struct proxy_header h;
    assert_int_equal(proxy_header_parse(bytes, &h), PROXY_HEADER_DONE);
    assert_int_equal(h.size, row->bytes.n);
    assert_int_equal(h.names_client, row->address != NULL);
    if (!row->address) return;
    assert_string_equal(h.client.address, row->address);
    assert_int_equal(h.client.port, row->port);
    assert_false(h.client.local);
}

static void headers_name_the_client_and_their_size(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct proxy_header h;
        expect_good(&good[i], good[i].bytes);
        for (size_t n = 0; n < good[i].bytes.n; n++)
            assert_int_equal(proxy_header_parse(slice_make(good[i].bytes.p, n), &h), PROXY_HEADER_MORE);
        struct buf more = {0};
        buf_append_slice(&more, good[i].bytes);
        buf_append_text(&more, "GET / HTTP/1.1\r\n\r\n");
        expect_good(&good[i], buf_slice(&more));
        buf_free(&more);
    }
}

static void a_local_socket_is_told(void **state) {
    (void)state;
    char bytes[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/client.sock";
    struct proxy_header h;
    assert_int_equal(proxy_header_parse(slice_make(bytes, sizeof bytes), &h), PROXY_HEADER_DONE);
    assert_true(h.names_client && h.client.local);
    assert_string_equal(h.client.address, "unix:");
}

struct bad_row {
    struct slice bytes;
    const char *flaw;
};

static const struct bad_row bad[] = {
    {{"G", 1}, "there is none"},
    {{"GET / HTTP/1.1\r\n", 16}, "there is none"},
    {{"PROXX", 5}, "there is none"},
    {{"proxy TCP4", 10}, "there is none"},
    {{"\r\n\r\n\r", 5}, "there is none"},
    {{"\x16\x03\x01", 3}, "there is none"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n", 44}, "CRLF"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", 41}, "too early"},
    {{"PROXY TCP4\r\n", 12}, "too early"},
    {{"PROXY \r\n", 8}, "family"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n", 46}, "too long"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n", 47}, "too long"},
    {{"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", 40}, "too long"},
    {{"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", 40}, "address"},
    {{"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n", 41}, "address"},
    {{"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", 40}, "address"},
    {{"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", 39}, "address"},
    {{"PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n", 40}, "address"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", 43}, "port"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", 40}, "port"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", 40}, "port"},
    {{"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n", 39}, "family"},
    {{"PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", 39}, "family"},
    {{SIGNATURE "\x11\x11\x00\x0c", 16}, "version"},
    {{SIGNATURE "\x22\x11\x00\x0c", 16}, "command"},
    {{SIGNATURE "\x21\x41\x00\x0c", 16}, "family"},
    {{SIGNATURE "\x21\x13\x00\x0c", 16}, "protocol"},
    {{SIGNATURE "\x21\x11\x00\x0b" V4, 28}, "too short"},
    {{SIGNATURE "\x21\x21\x00\x0c" V4, 28}, "too short"},
    {{SIGNATURE "\x21\x31\x00\x0c" V4, 28}, "too short"},
    {{SIGNATURE "\x21\x11\x10\x01", 16}, "longer"},
    {{SIGNATURE "\x20\x00\xff\xff", 16}, "longer"},
};

static void what_is_no_header_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct proxy_header h;
        if (proxy_header_parse(bad[i].bytes, &h) != PROXY_HEADER_BAD) fail_msg("row %zu is taken", i);
        if (!strstr(h.flaw, bad[i].flaw)) fail_msg("row %zu: \"%s\" does not say \"%s\"", i, h.flaw, bad[i].flaw);
    }
}

static void a_line_ends_within_107_bytes(void **state) {
    (void)state;
    struct proxy_header h;
    char line[108];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(proxy_header_parse(slice_make(line, 106), &h), PROXY_HEADER_MORE);
    assert_int_equal(proxy_header_parse(slice_make(line, 107), &h), PROXY_HEADER_BAD);
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(proxy_header_parse(slice_make(line, 107), &h), PROXY_HEADER_DONE);
    memcpy(line + 105, "x\r\n", 3);
    assert_int_equal(proxy_header_parse(slice_make(line, 108), &h), PROXY_HEADER_BAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_name_the_client_and_their_size),
        cmocka_unit_test(a_local_socket_is_told),
        cmocka_unit_test(what_is_no_header_is_refused),
        cmocka_unit_test(a_line_ends_within_107_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
