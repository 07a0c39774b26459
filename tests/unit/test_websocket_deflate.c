/* RFC 7692: which offers can be met, what is said in answer, and messages that are compressed, also by a hostile hand.
 */
#include "gateway/base/memory.h"
#include "gateway/websocket/close_code.h"
#include "gateway/websocket/reader.h"
#include "tests/unit/unit.h"
#include "tests/unit/websocket_client.h"
#include <stdlib.h>

static struct deflate_terms negotiate(const char *offer, enum deflate_mode mode) {
    struct field field = {SLICE("sec-websocket-extensions"), slice_of(offer)};
    const struct fields headers = {&field, 1, 1};
    return deflate_negotiate(&headers, mode);
}

static void offers(void **state) {
    static const struct {
        const char *offer;
        enum deflate_mode mode;
        const char *answer; /* NULL = not agreed */
    } rows[] = {
        {"permessage-deflate", DEFLATE_OFF, NULL},
        {"permessage-deflate", DEFLATE_MESSAGE,
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
        {"permessage-deflate", DEFLATE_CONNECTION, "permessage-deflate"},
        {"PerMessage-Deflate ; client_max_window_bits", DEFLATE_CONNECTION, "permessage-deflate"},
        {"permessage-deflate; client_max_window_bits=10", DEFLATE_CONNECTION, "permessage-deflate"},
        {"permessage-deflate; server_no_context_takeover", DEFLATE_CONNECTION,
         "permessage-deflate; server_no_context_takeover"},
        {"permessage-deflate; client_no_context_takeover", DEFLATE_CONNECTION,
         "permessage-deflate; client_no_context_takeover"},
        {"permessage-deflate; server_max_window_bits=\"11\"", DEFLATE_CONNECTION,
         "permessage-deflate; server_max_window_bits=11"},
        {"foo, permessage-deflate", DEFLATE_CONNECTION, "permessage-deflate"},
        {"permessage-deflate; foo, permessage-deflate", DEFLATE_CONNECTION, "permessage-deflate"},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", DEFLATE_CONNECTION, "permessage-deflate"},
        {"permessage-deflate; server_max_window_bits", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_max_window_bits=16", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_max_window_bits=7", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_max_window_bits=010", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_max_window_bits=", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; client_max_window_bits=20", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_no_context_takeover=1", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", DEFLATE_CONNECTION, NULL},
        {"permessage-deflate; unknown=1", DEFLATE_CONNECTION, NULL},
        {"x-webkit-deflate-frame", DEFLATE_CONNECTION, NULL},
        {"", DEFLATE_CONNECTION, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct deflate_terms t = negotiate(rows[i].offer, rows[i].mode);
        struct buf said = {0};
        assert_int_equal(t.agreed, rows[i].answer != NULL);
        if (!t.agreed) continue;
        deflate_write_terms(&said, &t);
        buf_append_char(&said, '\0');
        assert_string_equal(said.p, rows[i].answer);
        buf_free(&said);
    }
}

static struct slice wordy(size_t n) {
    static char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = "the same words again "[i % 21];
    return slice_make(bytes, n);
}

/* Compressed by our own hand and sent back as a client would. */
static void round_trip(struct reader *r, struct deflater **d, const struct deflate_terms *t, size_t size) {
    struct buf packed = {0}, bytes = {0};
    struct reader_item item;
    assert_true(deflater_write(d, t, wordy(size), &packed));
    assert_true(packed.n < size);
    size_t half = packed.n / 2;
    client_frame(&bytes, RSV1 | FRAME_TEXT, slice_make(packed.p, half));
    client_frame(&bytes, FIN | FRAME_PING, SLICE(""));
    client_frame(&bytes, FIN | FRAME_CONTINUATION, slice_make(packed.p + half, packed.n - half));
    reader_feed(r, buf_slice(&bytes));
    assert_int_equal(reader_next(r, &item), READER_PING);
    assert_int_equal(reader_next(r, &item), READER_TEXT);
    assert_true(slice_equal(item.bytes, wordy(size)));
    assert_int_equal(reader_next(r, &item), READER_MORE);
    buf_free(&packed);
    buf_free(&bytes);
}

static void messages_of_every_size(void **state) {
    static const size_t sizes[] = {128, 200, 511, 512, 513, 4096, 5000, 40000, 100000};
    static const char *const offers_made[] = {"permessage-deflate", "permessage-deflate; server_max_window_bits=9"};
    static const struct reader_limits limits = {.max_message = 100000, .max_frame = 100000};
    (void)state;
    for (size_t mode = DEFLATE_MESSAGE; mode <= DEFLATE_CONNECTION; mode++)
        for (size_t o = 0; o < ARRAY_LEN(offers_made); o++) {
            struct deflate_terms t = negotiate(offers_made[o], (enum deflate_mode)mode);
            struct deflater *d = NULL;
            struct reader r;
            reader_init(&r, &limits, &t);
            for (size_t i = 0; i < ARRAY_LEN(sizes); i++) round_trip(&r, &d, &t, sizes[i]);
            assert_true((d != NULL) == (mode == DEFLATE_CONNECTION));
            assert_true((r.inflater != NULL) == (mode == DEFLATE_CONNECTION));
            deflater_free(d);
            reader_free(&r);
        }
}

static void what_does_not_shrink_is_sent_as_it_is(void **state) {
    (void)state;
    struct deflate_terms t = negotiate("permessage-deflate", DEFLATE_MESSAGE);
    struct deflater *d = NULL;
    struct buf out = {0};
    char noise[1000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)((x = x * 1664525u + 1013904223u) >> 24);
    assert_false(deflater_write(&d, &t, slice_make(noise, sizeof noise), &out));
    assert_false(deflater_write(&d, &t, SLICE("short"), &out));
    assert_int_equal(out.n, 0);
    assert_null(d);
    buf_free(&out);
}

static int code_of(struct slice payload, unsigned first, uint64_t max_message) {
    const struct reader_limits limits = {.max_message = max_message, .max_frame = 1000000};
    struct deflate_terms t = negotiate("permessage-deflate", DEFLATE_MESSAGE);
    struct reader r;
    struct reader_item item = {.code = 0};
    struct buf bytes = {0};
    reader_init(&r, &limits, &t);
    client_frame(&bytes, first, payload);
    reader_feed(&r, buf_slice(&bytes));
    enum reader_result result = reader_next(&r, &item);
    reader_free(&r);
    buf_free(&bytes);
    return result == READER_FAILED ? item.code : 0;
}

static void a_bomb_is_stopped(void **state) {
    (void)state;
    struct deflate_terms t = negotiate("permessage-deflate", DEFLATE_MESSAGE);
    struct deflater *d = NULL;
    struct buf packed = {0};
    size_t size = 50u << 20;
    char *zeros = calloc(1, size);
    assert_true(deflater_write(&d, &t, slice_make(zeros, size), &packed));
    assert_true(packed.n < 100000);
    assert_int_equal(code_of(buf_slice(&packed), RSV1 | FIN | FRAME_BINARY, 100000), CLOSE_TOO_BIG);
    free(zeros);
    buf_free(&packed);
}

static void bad_streams(void **state) {
    (void)state;
    assert_int_equal(code_of(SLICE("\xff\xff\xff\xff"), RSV1 | FIN | FRAME_BINARY, 1000), CLOSE_BAD_DATA);
    /* RFC 7692 7.2.3.4: a block that says it is the last one */
    assert_int_equal(code_of(SLICE("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), RSV1 | FIN | FRAME_TEXT, 1000), 0);
    /* RFC 7692 7.2.3.1: "Hello" */
    assert_int_equal(code_of(SLICE("\xf2\x48\xcd\xc9\xc9\x07\x00"), RSV1 | FIN | FRAME_TEXT, 1000), 0);
    /* A control frame and a continuation are never compressed. */
    assert_int_equal(code_of(SLICE("x"), RSV1 | FIN | FRAME_PING, 1000), CLOSE_PROTOCOL);
    assert_int_equal(code_of(SLICE("x"), RSV1 | FIN | FRAME_CONTINUATION, 1000), CLOSE_PROTOCOL);
    assert_int_equal(code_of(SLICE(""), RSV1 | FIN | FRAME_TEXT, 1000), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(messages_of_every_size),
        cmocka_unit_test(what_does_not_shrink_is_sent_as_it_is),
        cmocka_unit_test(a_bomb_is_stopped),
        cmocka_unit_test(bad_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
