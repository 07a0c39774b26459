/* What RFC 6455 says about what clients send, case by case; each case is read whole, and byte by byte. */
#include "gateway/base/memory.h"
#include "gateway/websocket/close_code.h"
#include "gateway/websocket/reader.h"
#include "tests/unit/unit.h"
#include "tests/unit/websocket_client.h"
#include <stdio.h>
#include <stdlib.h>

static const struct reader_limits limits = {.max_message = 200000, .max_frame = 150000};

/* What was read, as one text: "text(3:abc) ping(0:) close(1000:bye) fail(1002)". Long payloads are told by size. */
static void tell(struct buf *out, const char *what, struct slice bytes) {
    buf_printf(out, "%s%s(%zu:", out->n ? " " : "", what, bytes.n);
    if (bytes.n <= 16) buf_append_slice(out, bytes);
    buf_append_char(out, ')');
}

static void note(struct buf *out, enum reader_result result, const struct reader_item *item) {
    switch (result) {
    case READER_TEXT: tell(out, "text", item->bytes); return;
    case READER_BINARY: tell(out, "binary", item->bytes); return;
    case READER_PING: tell(out, "ping", item->bytes); return;
    case READER_PONG: tell(out, "pong", item->bytes); return;
    case READER_CLOSE:
        buf_printf(out, "%sclose(%d:" SLICE_FMT ")", out->n ? " " : "", item->code, SLICE_ARG(item->bytes));
        return;
    case READER_FAILED: buf_printf(out, "%sfail(%d)", out->n ? " " : "", item->code); return;
    case READER_MORE: return;
    }
}

static void read_some(struct reader *r, struct slice bytes, struct buf *out) {
    struct reader_item item;
    reader_feed(r, bytes);
    for (enum reader_result result; (result = reader_next(r, &item)) != READER_MORE;) note(out, result, &item);
}

static void read_in_steps(struct slice bytes, size_t step, struct buf *out) {
    static const struct deflate_terms none;
    struct reader r;
    reader_init(&r, &limits, &none);
    for (size_t at = 0; at < bytes.n; at += step)
        read_some(&r, slice_make(bytes.p + at, bytes.n - at < step ? bytes.n - at : step), out);
    reader_free(&r);
}

static void expect(struct buf *bytes, const char *expected) {
    static const size_t steps[] = {SIZE_MAX, 1, 3, 1000};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buf said = {0};
        size_t step = steps[i] < bytes->n ? steps[i] : bytes->n;
        read_in_steps(buf_slice(bytes), step, &said);
        buf_append_char(&said, '\0');
        assert_string_equal(said.p, expected);
        buf_free(&said);
    }
    buf_free(bytes);
}

static struct slice filler(size_t n) {
    static char bytes[200001];
    memset(bytes, 'a', sizeof bytes);
    return slice_make(bytes, n);
}

static void every_length_boundary(void **state) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 4095, 4096, 65535, 65536, 65537, 150000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf bytes = {0}, expected = {0};
        client_frame(&bytes, FIN | FRAME_TEXT, filler(sizes[i]));
        client_frame(&bytes, FIN | FRAME_BINARY, filler(sizes[i]));
        tell(&expected, "text", filler(sizes[i]));
        tell(&expected, "binary", filler(sizes[i]));
        buf_append_char(&expected, '\0');
        expect(&bytes, expected.p);
        buf_free(&expected);
    }
}

static void fragments_with_control_frames_between(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame(&bytes, FRAME_TEXT, SLICE("ab"));
    client_frame(&bytes, FIN | FRAME_PING, SLICE("p"));
    client_frame(&bytes, FRAME_CONTINUATION, SLICE(""));
    client_frame(&bytes, FIN | FRAME_PONG, SLICE(""));
    client_frame(&bytes, FIN | FRAME_CONTINUATION, SLICE("c"));
    client_frame(&bytes, FIN | FRAME_CLOSE,
                 SLICE("\x03\xe8"
                       "bye"));
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE("nothing is read behind a Close"));
    expect(&bytes, "ping(1:p) pong(0:) text(3:abc) close(1000:bye)");
}

static void broken_sequences(void **state) {
    static const struct {
        unsigned first, second;
    } rows[] = {
        {FIN | FRAME_CONTINUATION, 0},    {FRAME_CONTINUATION, 0},    {FRAME_TEXT, FIN | FRAME_TEXT},
        {FRAME_TEXT, FIN | FRAME_BINARY}, {FRAME_BINARY, FRAME_TEXT},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf bytes = {0};
        client_frame(&bytes, rows[i].first, SLICE("a"));
        if (rows[i].second) client_frame(&bytes, rows[i].second, SLICE("b"));
        expect(&bytes, "fail(1002)");
    }
}

static void reserved_bits_and_opcodes(void **state) {
    (void)state;
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        bool known = opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
        if (known) continue;
        struct buf bytes = {0};
        client_frame(&bytes, FIN | opcode, SLICE(""));
        expect(&bytes, "fail(1002)");
    }
    for (unsigned rsv = 1; rsv < 8; rsv++)
        for (unsigned opcode = FRAME_TEXT; opcode <= FRAME_PONG; opcode += 7) {
            struct buf bytes = {0};
            client_frame(&bytes, FIN | rsv << 4 | opcode, SLICE("x"));
            expect(&bytes, "fail(1002)");
        }
}

static void clients_must_mask(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame_as(&bytes, FIN | FRAME_TEXT, SLICE("bare"), CLIENT_BARE);
    expect(&bytes, "fail(1002)");
    client_frame_as(&bytes, FIN | FRAME_CLOSE, SLICE(""), CLIENT_BARE);
    expect(&bytes, "fail(1002)");
}

static void lengths_must_be_the_shortest(void **state) {
    static const char *const heads[] = {"\x82\xfe\x00\x7d", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
                                        "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"};
    static const size_t sizes[] = {4, 10, 10};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf bytes = {0};
        buf_append(&bytes, heads[i], sizes[i]);
        buf_append_text(&bytes, "maskpayload");
        expect(&bytes, "fail(1002)");
    }
}

static void control_frames(void **state) {
    (void)state;
    struct buf bytes = {0};
    for (size_t n = 0; n <= 125; n += 25) client_frame(&bytes, FIN | FRAME_PING, filler(n));
    expect(&bytes, "ping(0:) ping(25:) ping(50:) ping(75:) ping(100:) ping(125:)");
    client_frame(&bytes, FIN | FRAME_PING, filler(126));
    expect(&bytes, "fail(1002)");
    client_frame(&bytes, FRAME_PING, SLICE("in pieces"));
    expect(&bytes, "fail(1002)");
}

static void close_with(int code, const char *expected) {
    struct buf bytes = {0};
    char payload[2] = {(char)(code >> 8), (char)code};
    client_frame(&bytes, FIN | FRAME_CLOSE, slice_make(payload, 2));
    expect(&bytes, expected);
}

static void every_close_code(void **state) {
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                               1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const int bad[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[32];
        snprintf(text, sizeof text, "close(%d:)", good[i]);
        close_with(good[i], text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) close_with(bad[i], "fail(1002)");
}

static void what_a_close_may_say(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame(&bytes, FIN | FRAME_CLOSE, SLICE(""));
    expect(&bytes, "close(1005:)");
    client_frame(&bytes, FIN | FRAME_CLOSE, SLICE("\x03"));
    expect(&bytes, "fail(1002)");
    client_frame(&bytes, FIN | FRAME_CLOSE, SLICE("\x03\xe8\xff"));
    expect(&bytes, "fail(1007)");
    client_frame(&bytes, FIN | FRAME_CLOSE, SLICE("\x03\xe8\xc3"));
    expect(&bytes, "fail(1007)");
}

static void text_is_utf8_across_fragments(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame(&bytes, FRAME_TEXT, SLICE("\xce"));
    client_frame(&bytes, FRAME_CONTINUATION, SLICE("\xba\xe1"));
    client_frame(&bytes, FIN | FRAME_CONTINUATION, SLICE("\xbd\xb9"));
    expect(&bytes, "text(5:\xce\xba\xe1\xbd\xb9)");
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE("cut \xce"));
    expect(&bytes, "fail(1007)");
    client_frame(&bytes, FIN | FRAME_BINARY, SLICE("\xff\xfe"));
    expect(&bytes, "binary(2:\xff\xfe)");
}

/* No further byte of the message is needed to know. */
static void bad_text_fails_at_once(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame(&bytes, FRAME_TEXT, SLICE("\xf4\x90"));
    expect(&bytes, "fail(1007)");
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE("ok\xff and much that is still to come"));
    bytes.n = 2 + 4 + 3;
    expect(&bytes, "fail(1007)");
}

static void what_is_too_large(void **state) {
    (void)state;
    struct buf bytes = {0};
    client_frame(&bytes, FIN | FRAME_BINARY, filler(150001));
    expect(&bytes, "fail(1009)");
    client_frame(&bytes, FRAME_BINARY, filler(150000));
    client_frame(&bytes, FIN | FRAME_CONTINUATION, filler(50000));
    expect(&bytes, "binary(200000:)");
    client_frame(&bytes, FRAME_BINARY, filler(150000));
    client_frame(&bytes, FIN | FRAME_CONTINUATION, filler(50001));
    expect(&bytes, "fail(1009)");
}

static void an_idle_reader_holds_nothing(void **state) {
    static const struct deflate_terms none;
    (void)state;
    struct reader r;
    struct buf bytes = {0}, said = {0};
    reader_init(&r, &limits, &none);
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE("abc"));
    client_frame(&bytes, FIN | FRAME_PING, SLICE("abc"));
    read_some(&r, buf_slice(&bytes), &said);
    assert_null(r.frames.context);
    assert_int_equal(r.message.capacity, 0);
    assert_int_equal(r.control.capacity, 0);
    read_some(&r, slice_make(bytes.p, 1), &said);
    assert_non_null(r.frames.context);
    assert_false(reader_is_amid_message(&r));
    reader_free(&r);
    buf_free(&bytes);
    buf_free(&said);
}

static void a_message_can_be_taken(void **state) {
    static const struct deflate_terms none;
    (void)state;
    struct reader r;
    struct reader_item item;
    struct buf bytes = {0};
    reader_init(&r, &limits, &none);
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE("first"));
    client_frame(&bytes, FIN | FRAME_TEXT, SLICE(""));
    reader_feed(&r, buf_slice(&bytes));
    assert_int_equal(reader_next(&r, &item), READER_TEXT);
    struct chunk *first = reader_take_message(&r);
    assert_int_equal(reader_next(&r, &item), READER_TEXT);
    struct chunk *second = reader_take_message(&r);
    assert_int_equal(reader_next(&r, &item), READER_MORE);
    assert_slice(first->bytes, "first");
    assert_int_equal(second->bytes.n, 0);
    chunk_release(first);
    chunk_release(second);
    reader_free(&r);
    buf_free(&bytes);
}

static void frames_from_the_server(void **state) {
    (void)state;
    struct chunk *c = frame_make(FRAME_TEXT, 0, SLICE("Hello"));
    assert_slice(c->bytes, "\x81\x05Hello"); /* RFC 6455 5.7 */
    chunk_release(c);
    c = frame_make(FRAME_BINARY, FRAME_RSV1, filler(256));
    assert_slice(slice_make(c->bytes.p, 4), "\xc2\x7e\x01\x00");
    assert_int_equal(c->bytes.n, 260);
    chunk_release(c);
    c = frame_make(FRAME_BINARY, 0, filler(65536));
    assert_slice(slice_make(c->bytes.p, 10), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
    chunk_release(c);
    c = frame_make_close(CLOSE_GOING_AWAY, SLICE("bye"));
    assert_slice(c->bytes, "\x88\x05\x03\xe9"
                           "bye");
    chunk_release(c);
    c = frame_make_close(CLOSE_NO_STATUS, SLICE("not said"));
    assert_slice(c->bytes, "\x88\x00");
    chunk_release(c);
    c = frame_make_close(CLOSE_NORMAL, filler(500));
    assert_int_equal(c->bytes.n, 127);
    chunk_release(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_boundary),
        cmocka_unit_test(fragments_with_control_frames_between),
        cmocka_unit_test(broken_sequences),
        cmocka_unit_test(reserved_bits_and_opcodes),
        cmocka_unit_test(clients_must_mask),
        cmocka_unit_test(lengths_must_be_the_shortest),
        cmocka_unit_test(control_frames),
        cmocka_unit_test(every_close_code),
        cmocka_unit_test(what_a_close_may_say),
        cmocka_unit_test(text_is_utf8_across_fragments),
        cmocka_unit_test(bad_text_fails_at_once),
        cmocka_unit_test(what_is_too_large),
        cmocka_unit_test(an_idle_reader_holds_nothing),
        cmocka_unit_test(a_message_can_be_taken),
        cmocka_unit_test(frames_from_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
