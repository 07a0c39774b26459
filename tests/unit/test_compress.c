/* Compression: what a client prefers, what may be encoded, and bodies whole and streamed, read back by the libraries.
 */
#include "plugins/compress/compress.h"
#include "plugins/compress/encoder.h"
#include "tests/support/plugged.h"
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

/* --- the choice --- */

static void the_client_chooses_and_we_break_ties(void **state) {
    (void)state;
    static const struct {
        const char *accept; /* NULL = no such field */
        enum coding coding;
        bool identity_refused;
    } rows[] = {
        {NULL, CODING_IDENTITY, false},
        {"", CODING_IDENTITY, false},
        {"gzip", CODING_GZIP, false},
        {"x-gzip", CODING_GZIP, false},
        {"GZIP", CODING_GZIP, false},
        {"zstd", CODING_ZSTD, false},
        {"gzip, deflate, br", CODING_BROTLI, false},
        {"gzip, deflate, br, zstd", CODING_BROTLI, false},
        {"gzip, zstd", CODING_ZSTD, false},
        {"gzip;q=1.0, br;q=0.8", CODING_GZIP, false},
        {"gzip;q=0.5, zstd;q=0.501", CODING_ZSTD, false},
        {"gzip ; q=0.2 ,br;Q=0.9", CODING_BROTLI, false},
        {"*", CODING_BROTLI, false},
        {"*;q=0.1", CODING_BROTLI, false},
        {"br;q=0, *", CODING_ZSTD, false},
        {"gzip, *;q=0", CODING_GZIP, true},
        {"*;q=0", CODING_IDENTITY, true},
        {"identity;q=0", CODING_IDENTITY, true},
        {"gzip;q=0.1, identity;q=0", CODING_GZIP, true},
        {"gzip;q=0.5, identity", CODING_IDENTITY, false},
        {"gzip;q=0.5, identity;q=0.5", CODING_GZIP, false},
        {"gzip, identity;q=0.5, *;q=0", CODING_GZIP, false},
        {"gzip;q=0", CODING_IDENTITY, false},
        {"gzip;q=0, identity", CODING_IDENTITY, false},
        {"gzip;q=0.000", CODING_IDENTITY, false},
        {"gzip;q=1.000", CODING_GZIP, false},
        {"gzip;q=1.", CODING_GZIP, false},
        {"gzip;q=1.001", CODING_IDENTITY, false},
        {"gzip;q=2", CODING_IDENTITY, false},
        {"gzip;q=-1", CODING_IDENTITY, false},
        {"gzip;q=0.0001", CODING_IDENTITY, false},
        {"gzip;q=", CODING_IDENTITY, false},
        {"gzip;q=x, zstd", CODING_ZSTD, false},
        {"gzip;level=9", CODING_IDENTITY, false},
        {"deflate, compress", CODING_IDENTITY, false},
        {",,gzip,,", CODING_GZIP, false},
        {"gzip;q=0, gzip", CODING_IDENTITY, false},
        {"gzipx", CODING_IDENTITY, false},
    };
    static const struct coding_offer offer = {{CODING_BROTLI, CODING_ZSTD, CODING_GZIP}, 3};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct field field = {SLICE("accept-encoding"), slice_of(rows[i].accept ? rows[i].accept : "")};
        struct fields request = {&field, rows[i].accept ? 1 : 0, 1};
        struct coding_choice choice = encoding_choose(&request, &offer);
        if (choice.coding != rows[i].coding || choice.identity_refused != rows[i].identity_refused)
            fail_msg("%s: %d %d", rows[i].accept, choice.coding, choice.identity_refused);
    }
}

static void fields_are_read_together_and_our_order_counts(void **state) {
    (void)state;
    static const struct coding_offer gzip_only = {{CODING_GZIP}, 1};
    static const struct coding_offer gzip_first = {{CODING_GZIP, CODING_BROTLI}, 2};
    struct field items[] = {{SLICE("Accept-Encoding"), SLICE("br")}, {SLICE("Accept-Encoding"), SLICE("gzip")}};
    struct fields request = {items, 2, 2};
    assert_int_equal(encoding_choose(&request, &gzip_only).coding, CODING_GZIP);
    assert_int_equal(encoding_choose(&request, &gzip_first).coding, CODING_GZIP);
    request.count = 1;
    assert_int_equal(encoding_choose(&request, &gzip_only).coding, CODING_IDENTITY);
}

/* --- encoders --- */

/* As far as it can be read: a stream need not have ended. Returns the size. */
static size_t decode(enum coding c, struct slice in, char *out, size_t room) {
    if (c == CODING_GZIP) {
        z_stream z = {.next_in = (Bytef *)(void *)in.p, .avail_in = (uInt)in.n};
        assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
        z.next_out = (Bytef *)out;
        z.avail_out = (uInt)room;
        int result = inflate(&z, Z_SYNC_FLUSH);
        assert_true(result == Z_OK || result == Z_STREAM_END);
        inflateEnd(&z);
        return z.total_out;
    }
    if (c == CODING_BROTLI) {
        BrotliDecoderState *s = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        size_t left = in.n, free_room = room;
        const uint8_t *next = (const void *)in.p;
        uint8_t *to = (void *)out;
        assert_int_not_equal(BrotliDecoderDecompressStream(s, &left, &next, &free_room, &to, NULL),
                             BROTLI_DECODER_RESULT_ERROR);
        BrotliDecoderDestroyInstance(s);
        return room - free_room;
    }
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer input = {in.p, in.n, 0};
    ZSTD_outBuffer output = {out, room, 0};
    while (input.pos < input.size) assert_false(ZSTD_isError(ZSTD_decompressStream(context, &output, &input)));
    ZSTD_freeDCtx(context);
    return output.pos;
}

static const enum coding codings[] = {CODING_GZIP, CODING_BROTLI, CODING_ZSTD};

static void push(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out) {
    assert_int_equal(encoder_push(e, in, step, out), 0);
}

static void what_is_flushed_can_be_read_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codings); i++)
        for (int level = ENCODER_FAST; level <= ENCODER_SMALL; level++) {
            struct encoder *e = encoder_new(codings[i], (enum encoder_level)level, 0);
            struct buf out = {0};
            char plain[64];
            assert_non_null(e);
            push(e, SLICE("one "), ENCODER_MORE, &out);
            push(e, SLICE("two "), ENCODER_FLUSH, &out);
            assert_int_equal(decode(codings[i], buf_slice(&out), plain, sizeof plain), 8);
            push(e, SLICE(""), ENCODER_FLUSH, &out);
            push(e, SLICE("three"), ENCODER_FINISH, &out);
            assert_int_equal(decode(codings[i], buf_slice(&out), plain, sizeof plain), 13);
            assert_memory_equal(plain, "one two three", 13);
            encoder_free(e);
            buf_free(&out);
        }
    encoder_free(NULL);
}

/* Text that repeats itself now and then. */
static char *prose(size_t n) {
    char *text = xmalloc(n + 1);
    uint32_t seed = 7;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = "etaoin shrdlu"[(seed >> 24) % 13];
    }
    text[n] = '\0';
    return text;
}

static void large_bodies_come_back_whole(void **state) {
    (void)state;
    const size_t n = 700 * 1000;
    char *text = prose(n), *plain = xmalloc(n + 1);
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct encoder *e = encoder_new(codings[i], ENCODER_BALANCED, 0);
        struct buf out = {0};
        for (size_t at = 0; at < n; at += 70000) push(e, slice_make(text + at, 70000), ENCODER_MORE, &out);
        push(e, SLICE(""), ENCODER_FINISH, &out);
        assert_true(out.n < n * 2 / 3);
        assert_int_equal(decode(codings[i], buf_slice(&out), plain, n + 1), n);
        assert_memory_equal(plain, text, n);
        encoder_free(e);
        buf_free(&out);
    }
    free(text);
    free(plain);
}

/* --- the plugin --- */

static const char on[] = "blueprint: 1\n"
                         "name: t\n"
                         "compress: {minSize: 100B}\n"
                         "handlers:\n"
                         "  h:\n"
                         "    command: /bin/true\n"
                         "    triggers:\n"
                         "      - http: GET /\n"
                         "      - http: GET /off\n"
                         "        compress: off\n"
                         "      - http: GET /own\n"
                         "        compress: {encodings: gzip, types: [image/png], minSize: 1B, level: fast}\n";

static char page[401];

static int fill_page(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof page - 1; i++) page[i] = "hello "[i % 6];
    return 0;
}

static void get(struct plugged *w, const char *target, const char *accept, struct outcome answer,
                const char *const *headers) {
    plugged_send(w, plugged_request(w, "GET", target, HEADERS("Accept-Encoding", accept)), answer, headers);
}

/* A source that keeps the body, as a connection would. */
static struct body *kept;

static void keep_body(struct invocation *inv) {
    kept = outcome_take_body(&inv->outcome);
}
static const struct source_ops keeper = {.name = "keeper", .finish = keep_body};

#define TEXT HEADERS("Content-Type", "text/plain; charset=utf-8")

static void whole_answers_are_encoded(void **state) {
    (void)state;
    static const char *const names[] = {"gzip", "br", "zstd"};
    const char *const *headers = HEADERS("Content-Type", "text/plain", "ETag", "\"1\"", "Content-Length", "400",
                                         "Accept-Ranges", "bytes", "Vary", "Origin");
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char wanted[256], plain[512];
        get(&w, "/", names[i], house_answer(page), headers);
        snprintf(wanted, sizeof wanted,
                 "Content-Type: text/plain; ETag: W/\"1\"; Vary: Origin, Accept-Encoding; Content-Encoding: %s",
                 names[i]);
        assert_string_equal(w.house.headers, wanted);
        struct invocation *inv = plugged_request(&w, "GET", "/", HEADERS("Accept-Encoding", names[i]));
        inv->source = &keeper;
        plugged_send(&w, inv, house_answer(page), headers);
        assert_int_equal(body_state_of(kept), BODY_COMPLETE);
        struct slice bytes = body_whole(kept);
        assert_in_range(bytes.n, 4, 100);
        assert_int_equal(decode(codings[i], bytes, plain, sizeof plain), 400);
        assert_memory_equal(plain, page, 400);
        body_release_consumer(kept);
    }
    plugged_close(&w);
}

static void only_what_may_be_encoded_is(void **state) {
    (void)state;
    const struct {
        int status;
        const char *const *headers;
        const char *left; /* the headers that come out */
    } rows[] = {
        {200, HEADERS("Content-Type", "TEXT/html ;charset=x"),
         "Content-Type: TEXT/html ;charset=x; Vary: Accept-Encoding; Content-Encoding: gzip"},
        {200, HEADERS("Content-Type", "application/problem+json"),
         "Content-Type: application/problem+json; Vary: Accept-Encoding; Content-Encoding: gzip"},
        {500, HEADERS("Content-Type", "application/json"),
         "Content-Type: application/json; Vary: Accept-Encoding; Content-Encoding: gzip"},
        {200, HEADERS("Content-Type", "image/png"), "Content-Type: image/png"},
        {200, HEADERS("Content-Type", "application/jsonp"), "Content-Type: application/jsonp"},
        {200, HEADERS("Content-Type", "application/+json"), "Content-Type: application/+json"},
        {200, HEADERS("Content-Type", "text/"), "Content-Type: text/"},
        {200, HEADERS("Content-Type", ""), "Content-Type: "},
        {200, HEADERS("X", "y"), "X: y"},
        {200, HEADERS("Content-Type", "text/html", "Content-Encoding", "br"),
         "Content-Type: text/html; Content-Encoding: br"},
        {200, HEADERS("Content-Type", "text/html", "cache-control", "public, No-Transform"),
         "Content-Type: text/html; cache-control: public, No-Transform"},
        {200, HEADERS("Content-Type", "text/html", "Repr-Digest", "x"), "Content-Type: text/html; Repr-Digest: x"},
        {206, HEADERS("Content-Type", "text/html"), "Content-Type: text/html"},
        {204, HEADERS("Content-Type", "text/html"), "Content-Type: text/html"},
        {304, HEADERS("ETag", "\"1\""), "ETag: W/\"1\"; Vary: Accept-Encoding"},
        {304, HEADERS("ETag", "W/\"1\""), "ETag: W/\"1\"; Vary: Accept-Encoding"},
        {304, HEADERS("X", "y"), "X: y"},
    };
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o = house_answer(page);
        o.status = rows[i].status;
        get(&w, "/", "gzip", o, rows[i].headers);
        assert_string_equal(w.house.headers, rows[i].left);
        if (!strstr(rows[i].left, "gzip")) assert_string_equal(w.house.body, page);
    }
    plugged_close(&w);
}

static void size_route_and_client_decide(void **state) {
    (void)state;
    static const char *const png[] = {"Content-Type", "image/png", NULL};
    static const char left[] = "Content-Type: text/plain; charset=utf-8; Vary: Accept-Encoding";
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    get(&w, "/", "gzip", house_answer("short"), TEXT);
    assert_string_equal(w.house.headers, left);
    assert_string_equal(w.house.body, "short");
    get(&w, "/", "gzip, identity;q=0", house_answer("short"), TEXT);
    assert_header(&w, "Content-Encoding: gzip");
    get(&w, "/", "identity", house_answer(page), TEXT);
    assert_string_equal(w.house.headers, left);
    get(&w, "/off", "gzip", house_answer(page), TEXT);
    assert_string_equal(w.house.headers, "Content-Type: text/plain; charset=utf-8");
    get(&w, "/own", "gzip, br", house_answer(page), png);
    assert_string_equal(w.house.headers, "Content-Type: image/png; Vary: Accept-Encoding; Content-Encoding: gzip");
    get(&w, "/own", "gzip", house_answer("tiny"), png); /* would grow */
    assert_string_equal(w.house.headers, "Content-Type: image/png; Vary: Accept-Encoding");
    assert_string_equal(w.house.body, "tiny");
    get(&w, "/", "gzip", (struct outcome){.status = 200}, TEXT);
    assert_string_equal(w.house.headers, "Content-Type: text/plain; charset=utf-8");
    plugged_close(&w);
}

/* --- streams --- */

/* The encoded body of a streamed answer. */
static struct body *stream(struct plugged *w, const char *accept, struct body *plain) {
    struct invocation *inv = plugged_request(w, "GET", "/", HEADERS("Accept-Encoding", accept));
    inv->source = &keeper;
    kept = NULL;
    plugged_send(w, inv, (struct outcome){.status = 200, .body = plain}, TEXT);
    assert_non_null(kept);
    assert_ptr_not_equal(kept, plain);
    return kept;
}

static void run(struct plugged *w) {
    for (int i = 0; i < 1000 && turn_run(&w->house.turn, 10); i++) {
    }
}

static void read_into(struct body *b, struct buf *out) {
    char room[4096];
    for (size_t n; (n = body_read(b, room, sizeof room));) buf_append(out, room, n);
}

static void a_stream_is_readable_as_it_comes(void **state) {
    (void)state;
    static const char *const accepts[] = {"gzip", "br", "zstd"};
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct buf out = {0};
        char text[64];
        struct body *plain = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
        struct body *encoded = stream(&w, accepts[i], plain);
        run(&w);
        assert_false(body_wants(plain)); /* nobody has asked yet */
        body_want(encoded);
        run(&w);
        assert_true(body_wants(plain));
        assert_true(body_append_copy(plain, SLICE("tick one\n")));
        run(&w);
        read_into(encoded, &out);
        assert_int_equal(decode(codings[i], buf_slice(&out), text, sizeof text), 9);
        assert_true(body_append_copy(plain, SLICE("tick two\n")));
        run(&w);
        read_into(encoded, &out);
        assert_int_equal(decode(codings[i], buf_slice(&out), text, sizeof text), 18);
        body_finish(plain);
        run(&w);
        read_into(encoded, &out);
        assert_true(body_at_end(encoded));
        assert_int_equal(decode(codings[i], buf_slice(&out), text, sizeof text), 18);
        assert_memory_equal(text, "tick one\ntick two\n", 18);
        body_release_producer(plain);
        body_release_consumer(encoded);
        buf_free(&out);
    }
    plugged_close(&w);
}

static void a_large_whole_body_is_encoded_in_pieces(void **state) {
    (void)state;
    const size_t n = 3000 * 1000;
    char *text = prose(n), *plain = xmalloc(n + 1);
    struct plugged w;
    struct buf out = {0};
    plugged_open(&w, &compress_plugin, on);
    struct body *encoded = stream(&w, "gzip", body_of_chunk(chunk_copy(slice_make(text, n))));
    assert_int_equal(body_length(encoded), BODY_LENGTH_UNKNOWN);
    body_want(encoded);
    run(&w);
    uint64_t held = body_received(encoded);
    assert_in_range(held, BODY_HIGH_WATER, BODY_HIGH_WATER + 64 * 1024); /* nobody reads: it waits */
    for (int i = 0; i < 1000 && !body_at_end(encoded); i++) {
        read_into(encoded, &out);
        run(&w);
    }
    assert_true(body_at_end(encoded));
    assert_int_equal(decode(CODING_GZIP, buf_slice(&out), plain, n + 1), n);
    assert_memory_equal(plain, text, n);
    body_release_consumer(encoded);
    plugged_close(&w);
    buf_free(&out);
    free(text);
    free(plain);
}

static void a_failure_passes_through(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    struct body *plain = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *encoded = stream(&w, "br", plain);
    body_want(encoded);
    run(&w);
    body_append_copy(plain, SLICE("half"));
    body_fail_as(plain, FAILURE_HANDLER_DIED, "it died");
    body_release_producer(plain);
    run(&w);
    assert_int_equal(body_state_of(encoded), BODY_FAILED);
    assert_int_equal(body_fault(encoded), FAILURE_HANDLER_DIED);
    body_release_consumer(encoded);
    plugged_close(&w);
}

static void a_client_that_leaves_abandons_the_handlers_body(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    struct body *plain = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *encoded = stream(&w, "gzip", plain);
    body_want(encoded);
    run(&w);
    body_append_copy(plain, SLICE("something"));
    body_release_consumer(encoded);
    run(&w);
    assert_true(body_abandoned(plain));
    body_release_producer(plain);
    plugged_close(&w);
}

static void a_closing_gateway_lets_go_of_streams(void **state) {
    (void)state;
    struct plugged w;
    plugged_open(&w, &compress_plugin, on);
    struct body *plain = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *encoded = stream(&w, "gzip", plain);
    body_want(encoded); /* its task waits on the turn */
    plugged_close(&w);
    assert_int_equal(body_state_of(encoded), BODY_FAILED);
    assert_true(body_abandoned(plain));
    body_release_producer(plain);
    body_release_consumer(encoded);
}

static void mistakes_are_told_where_they_stand(void **state) {
    (void)state;
    static const char wrong[] =
        "blueprint: 1\n"
        "name: t\n"
        "compress:\n"
        "  encodings: [gzip, lz4, identity]\n"
        "  types: [text, \"*/*\", text/html, \"text/*\", \"application/*+json\", \"a/b*\", \"a/\"]\n"
        "  minSize: 2MiB\n"
        "  level: 9\n"
        "handlers: {h: {command: /bin/true, triggers: [{http: GET /, compress: on}]}}\n";
    struct problems p = {0};
    assert_null(plugged_parse(&compress_plugin, wrong, &p));
    assert_problem(&p, 4, 21, "one of br, zstd, gzip");
    assert_problem(&p, 4, 26, "one of br, zstd, gzip");
    assert_problem(&p, 5, 11, "a content type");
    assert_problem(&p, 5, 17, "a content type");
    assert_problem(&p, 5, 67, "a content type");
    assert_problem(&p, 5, 75, "a content type");
    assert_problem(&p, 6, 12, "too large");
    assert_problem(&p, 7, 10, "balanced");
    assert_problem(&p, 8, 71, "off");
    assert_int_equal(p.count, 9);
    problems_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_chooses_and_we_break_ties),
        cmocka_unit_test(fields_are_read_together_and_our_order_counts),
        cmocka_unit_test(what_is_flushed_can_be_read_at_once),
        cmocka_unit_test(large_bodies_come_back_whole),
        cmocka_unit_test(whole_answers_are_encoded),
        cmocka_unit_test(only_what_may_be_encoded_is),
        cmocka_unit_test(size_route_and_client_decide),
        cmocka_unit_test(a_stream_is_readable_as_it_comes),
        cmocka_unit_test(a_large_whole_body_is_encoded_in_pieces),
        cmocka_unit_test(a_failure_passes_through),
        cmocka_unit_test(a_client_that_leaves_abandons_the_handlers_body),
        cmocka_unit_test(a_closing_gateway_lets_go_of_streams),
        cmocka_unit_test(mistakes_are_told_where_they_stand),
    };
    return cmocka_run_group_tests(tests, fill_page, NULL);
}
