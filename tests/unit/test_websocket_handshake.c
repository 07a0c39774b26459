/* RFC 6455 4.2 from the server's side, and the UTF-8 check against the one that sees whole texts. */
#include "gateway/base/arena.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/websocket/handshake.h"
#include "gateway/websocket/utf8.h"
#include "tests/unit/unit.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

struct made {
    struct arena arena;
    struct fields fields;
};

static void make(struct made *m, const char *const *pairs) {
    arena_init(&m->arena, 512);
    m->fields = (struct fields){0};
    for (; pairs[0]; pairs += 2) fields_add(&m->fields, &m->arena, slice_of(pairs[0]), slice_of(pairs[1]));
}

static void requests(void **state) {
    static const struct {
        const char *method, *version;
        bool asked;
        const char *fields[9];
        enum failure failure;
    } rows[] = {
        {"GET", "HTTP/1.1", true, {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13"}, FAILURE_NONE},
        {"POST", "HTTP/1.1", true, {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13"}, FAILURE_UPGRADE_REQUIRED},
        {"GET", "HTTP/1.1", false, {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13"}, FAILURE_UPGRADE_REQUIRED},
        {"GET", "HTTP/1.0", true, {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13"}, FAILURE_BAD_REQUEST},
        {"GET", "HTTP/1.1", true, {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "8"}, FAILURE_UPGRADE_REQUIRED},
        {"GET",
         "HTTP/1.1",
         true,
         {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13, 8"},
         FAILURE_UPGRADE_REQUIRED},
        {"GET", "HTTP/1.1", true, {"Sec-WebSocket-Key", KEY}, FAILURE_BAD_REQUEST},
        {"GET", "HTTP/1.1", true, {"Sec-WebSocket-Version", "13"}, FAILURE_BAD_REQUEST},
        {"GET",
         "HTTP/1.1",
         true,
         {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j", "Sec-WebSocket-Version", "13"},
         FAILURE_BAD_REQUEST},
        {"GET",
         "HTTP/1.1",
         true,
         {"Sec-WebSocket-Key", "not base64 but 24 bytes!", "Sec-WebSocket-Version", "13"},
         FAILURE_BAD_REQUEST},
        {"GET",
         "HTTP/1.1",
         true,
         {"Sec-WebSocket-Key", KEY, "Sec-WebSocket-Key", KEY, "Sec-WebSocket-Version", "13"},
         FAILURE_BAD_REQUEST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct made m;
        make(&m, rows[i].fields);
        const struct handshake_request r = {slice_of(rows[i].method), slice_of(rows[i].version), rows[i].asked,
                                            &m.fields};
        struct handshake_verdict v = handshake_check(&r);
        assert_int_equal(v.failure, rows[i].failure);
        assert_int_equal(v.detail == NULL, v.failure == FAILURE_NONE);
        arena_free(&m.arena);
    }
}

static bool asked(const char *connection, const char *upgrade) {
    const char *const pairs[] = {"connection", connection, "upgrade", upgrade, NULL};
    struct made m;
    make(&m, pairs);
    bool is = handshake_is_asked(&m.fields);
    arena_free(&m.arena);
    return is;
}

static void who_asks(void **state) {
    (void)state;
    assert_true(asked("Upgrade", "websocket"));
    assert_true(asked("keep-alive, upgrade", "WebSocket"));
    assert_true(asked("Upgrade", "h2c, websocket"));
    assert_false(asked("keep-alive", "websocket"));
    assert_false(asked("Upgrade", "h2c"));
    assert_false(asked("Upgraded", "websockets"));
}

static void the_accept_field(void **state) {
    static const char *const pairs[] = {"Sec-WebSocket-Key", KEY, NULL};
    char accept[HANDSHAKE_ACCEPT_SIZE + 1];
    struct made m;
    (void)state;
    make(&m, pairs);
    handshake_accept(&m.fields, accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455 1.3 */
    arena_free(&m.arena);
}

static void subprotocols(void **state) {
    static const char *const pairs[] = {"Sec-WebSocket-Protocol", "chat.v1 , soap", "sec-websocket-protocol", "bearer",
                                        NULL};
    static const struct slice wanted[] = {{"chat.v2", 7}, {"bearer", 6}, {"soap", 4}};
    struct made m;
    (void)state;
    make(&m, pairs);
    assert_true(handshake_offers(&m.fields, SLICE("chat.v1")));
    assert_false(handshake_offers(&m.fields, SLICE("Chat.V1")));
    assert_slice(handshake_choose(&m.fields, wanted, ARRAY_LEN(wanted)), "bearer");
    assert_none(handshake_choose(&m.fields, wanted, 1));
    arena_free(&m.arena);
}

static void origins_of_the_same_place(void **state) {
    (void)state;
    assert_true(handshake_same_origin(SLICE("http://shop.example"), SLICE("http"), SLICE("shop.example")));
    assert_true(handshake_same_origin(SLICE("https://shop.example:8443"), SLICE("https"), SLICE("Shop.Example:8443")));
    assert_false(handshake_same_origin(SLICE("https://shop.example"), SLICE("http"), SLICE("shop.example")));
    assert_false(handshake_same_origin(SLICE("http://shop.example.evil"), SLICE("http"), SLICE("shop.example")));
    assert_false(handshake_same_origin(SLICE("null"), SLICE("http"), SLICE("shop.example")));
    assert_false(handshake_same_origin(SLICE("http:/shop.example"), SLICE("http"), SLICE("shop.example")));
}

/* Every text of up to four bytes out of those at which something changes. */
static void utf8_agrees_with_the_whole_check(void **state) {
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                          0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    size_t n = ARRAY_LEN(edges);
    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        const char text[4] = {(char)edges[i % n], (char)edges[i / n % n], (char)edges[i / n / n % n],
                              (char)edges[i / n / n / n]};
        struct utf8_check whole = {0}, pieces = {0};
        bool good = utf8_check_feed(&whole, slice_make(text, 4)) && utf8_check_whole(&whole);
        bool each = true;
        for (size_t k = 0; k < 4 && each; k++) each = utf8_check_feed(&pieces, slice_make(text + k, 1));
        assert_int_equal(good, text_utf8_prefix(slice_make(text, 4)) == 4);
        assert_int_equal(good, each && utf8_check_whole(&pieces));
    }
}

static void long_ascii_is_skipped(void **state) {
    struct utf8_check c = {0};
    char text[100];
    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof text; i++) {
        c = (struct utf8_check){0};
        text[i] = (char)0xff;
        assert_false(utf8_check_feed(&c, slice_make(text, sizeof text)));
        text[i] = 'a';
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(who_asks),
        cmocka_unit_test(the_accept_field),
        cmocka_unit_test(subprotocols),
        cmocka_unit_test(origins_of_the_same_place),
        cmocka_unit_test(utf8_agrees_with_the_whole_check),
        cmocka_unit_test(long_ascii_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
