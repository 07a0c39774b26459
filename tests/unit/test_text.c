#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "tests/unit/unit.h"

static struct buf out;

static int tear_down(void **state) {
    (void)state;
    buf_free(&out);
    return 0;
}

static void durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"250ms", 250}, {"0s", 0}, {"30s", 30000}, {"5m", 300000}, {"1h", 3600000}, {"7d", 604800000}};
    uint64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(text_to_duration_ms(slice_of(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"",
                                      "5",
                                      "0",
                                      "s",
                                      "5 s",
                                      " 5s",
                                      "5s ",
                                      "-5s",
                                      "+5s",
                                      "1.5h",
                                      "5S",
                                      "5sec",
                                      "5min",
                                      "5w",
                                      "5m5s",
                                      "18446744073709551615s",
                                      "99999999999999999999ms",
                                      "213503982335d"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(text_to_duration_ms(slice_of(bad[i]), &ms));
    assert_false(text_to_duration_ms(SLICE_NONE, &ms));
    assert_true(text_to_duration_ms(SLICE("18446744073709551615ms"), &ms));
    assert_true(ms == UINT64_MAX);
}

static void rates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t per_day;
        const char *shortest;
    } good[] = {{"100/s", 8640000, "100/s"}, {"5/m", 7200, "5/m"},   {"10/h", 240, "10/h"},
                {"1000/d", 1000, "1000/d"},  {"60/m", 86400, "1/s"}, {"0/s", 0, "0/d"},
                {"3600/h", 86400, "1/s"},    {"7/d", 7, "7/d"},      {"48/d", 48, "2/h"},
                {"90/m", 129600, "90/m"}};
    uint64_t per_day;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(text_to_rate_per_day(slice_of(good[i].text), &per_day));
        assert_int_equal(per_day, good[i].per_day);
        out.n = 0;
        text_append_rate(&out, per_day);
        assert_true(slice_equal(buf_slice(&out), slice_of(good[i].shortest)));
    }
    static const char *const bad[] = {
        "", "5", "5/", "/s", "5 /s", "5/ s", "-5/s", "1.5/s", "5/S", "5/sec", "5/2s", "5s", "213503982334602/s"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(text_to_rate_per_day(slice_of(bad[i]), &per_day));
}

static void sizes(void **state) {
    (void)state;
    uint64_t bytes;
    assert_true(text_to_size_bytes(SLICE("512B"), &bytes));
    assert_int_equal(bytes, 512);
    assert_true(text_to_size_bytes(SLICE("64KiB"), &bytes));
    assert_int_equal(bytes, 65536);
    assert_true(text_to_size_bytes(SLICE("6MiB"), &bytes));
    assert_int_equal(bytes, 6291456);
    assert_true(text_to_size_bytes(SLICE("17179869183GiB"), &bytes));
    assert_true(bytes == UINT64_C(17179869183) << 30);
    static const char *const bad[] = {"", "1", "1KB", "1kib", "1 MiB", "1M", "-1B", "17179869184GiB", "KiB"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(text_to_size_bytes(slice_of(bad[i]), &bytes));
}

static void shortest_spelling(void **state) {
    (void)state;
    static const struct {
        uint64_t value;
        const char *duration, *size;
    } cases[] = {
        {0, "0s", "0B"},
        {1, "1ms", "1B"},
        {250, "250ms", "250B"},
        {1000, "1s", "1000B"},
        {1024, "1024ms", "1KiB"},
        {1500, "1500ms", "1500B"},
        {90000, "90s", "90000B"},
        {60000, "1m", "60000B"},
        {7200000, "2h", "7200000B"},
        {604800000, "7d", "590625KiB"},
        {1048576, "1048576ms", "1MiB"},
        {3221225472, "3221225472ms", "3GiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        out.n = 0;
        text_append_duration(&out, cases[i].value);
        assert_slice_is(buf_slice(&out), slice_of(cases[i].duration), __FILE__, __LINE__);
        out.n = 0;
        text_append_size(&out, cases[i].value);
        assert_slice_is(buf_slice(&out), slice_of(cases[i].size), __FILE__, __LINE__);
    }
}

static void spellings_read_back(void **state) {
    (void)state;
    uint64_t x = 1;
    for (int i = 0; i < 10000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint64_t value = x >> (i % 60), back = 0;
        out.n = 0;
        text_append_duration(&out, value);
        assert_true(text_to_duration_ms(buf_slice(&out), &back));
        assert_true(back == value);
        out.n = 0;
        text_append_size(&out, value);
        assert_true(text_to_size_bytes(buf_slice(&out), &back));
        assert_true(back == value);
    }
}

static void the_nearest_name(void **state) {
    (void)state;
    static const char *const keys[] = {"timeout", "handlers", "routes", "memory", "id", "max_body_size"};
    assert_string_equal(text_nearest(SLICE("tiemout"), keys, ARRAY_LEN(keys)), "timeout");
    assert_string_equal(text_nearest(SLICE("handler"), keys, ARRAY_LEN(keys)), "handlers");
    assert_string_equal(text_nearest(SLICE("route"), keys, ARRAY_LEN(keys)), "routes");
    assert_string_equal(text_nearest(SLICE("max-body-size"), keys, ARRAY_LEN(keys)), "max_body_size");
    assert_string_equal(text_nearest(SLICE("di"), keys, ARRAY_LEN(keys)), "id");
    assert_string_equal(text_nearest(SLICE("memory"), keys, ARRAY_LEN(keys)), "memory");
    assert_string_equal(text_nearest(SLICE("ID"), keys, ARRAY_LEN(keys)), "id"); /* two edits are too many for it */
    assert_null(text_nearest(SLICE("colour"), keys, ARRAY_LEN(keys)));
    assert_null(text_nearest(SLICE("x"), keys, ARRAY_LEN(keys)));
    assert_null(text_nearest(SLICE(""), keys, ARRAY_LEN(keys)));
    assert_null(text_nearest(SLICE("timeout"), keys, 0));
    char huge[200];
    memset(huge, 't', sizeof huge);
    assert_null(text_nearest(slice_make(huge, sizeof huge), keys, ARRAY_LEN(keys)));
}

static void quoting(void **state) {
    (void)state;
    static const struct {
        struct slice text;
        size_t limit;
        const char *expected;
    } cases[] = {
        {{"plain \"text\" \\", 14}, 100, "plain \"text\" \\"},
        {{"a\nb\0c\x7f\x1b[2J", 10}, 100, "a\\x0ab\\x00c\\x7f\\x1b[2J"},
        {{"\xe3\x81\x82\xff\xe3\x81", 6}, 100, "\xe3\x81\x82\\xff\\xe3\\x81"},
        {{"\xc2\x9b"
          "31m\xc2\xa0",
          7},
         100,
         "\\xc2\\x9b31m\xc2\xa0"},
        {{"\xe2\x80\xa8", 3}, 100, "\\xe2\\x80\\xa8"},
        {{"abcdef", 6}, 3, "abc..."},
        {{"abcdef", 6}, 6, "abcdef"},
        {{"ab\xe3\x81\x82", 5}, 3, "ab..."},
        {{"ab\xe3\x81\x82", 5}, 5, "ab\xe3\x81\x82"},
        {{"abc", 3}, 0, "..."},
        {{"", 0}, 0, ""},
        {{NULL, 0}, 5, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        out.n = 0;
        buf_append_text(&out, "");
        text_append_quoted(&out, cases[i].text, cases[i].limit);
        assert_int_equal(out.n, strlen(cases[i].expected));
        if (out.n) assert_memory_equal(out.p, cases[i].expected, out.n);
    }
}

/* The ends of every range of RFC 3629. */
static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "\x01",         "\x7f",         "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x7f",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe1\x80",
                                      "\xe1\x80\x7f",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf1\x80\x80",
                                      "\xf1\x80\x80\xc0"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(text_utf8_length(slice_of(good[i])), strlen(good[i]));
        assert_int_equal(text_utf8_prefix(slice_of(good[i])), strlen(good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_int_equal(text_utf8_length(slice_of(bad[i])), 0);
    assert_int_equal(text_utf8_length(SLICE_NONE), 0);
    assert_int_equal(text_utf8_length(SLICE("\0")), 1);
}

/* A bad byte at every place, among words of eight. */
static void utf8_prefix_stops_at_the_bad_byte(void **state) {
    (void)state;
    char text[40];
    for (size_t bad = 0; bad < sizeof text; bad++) {
        memset(text, 'x', sizeof text);
        text[bad] = (char)0xff;
        assert_int_equal(text_utf8_prefix(slice_make(text, sizeof text)), bad);
    }
    assert_int_equal(text_utf8_prefix(SLICE("1234567\xc3\xa4"
                                            "1234567\xc3\xa4\xe3\x81")),
                     18);
    assert_int_equal(text_utf8_prefix(SLICE_NONE), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(rates),
        cmocka_unit_test(sizes),
        cmocka_unit_test(shortest_spelling),
        cmocka_unit_test(spellings_read_back),
        cmocka_unit_test(the_nearest_name),
        cmocka_unit_test(quoting),
        cmocka_unit_test(utf8),
        cmocka_unit_test(utf8_prefix_stops_at_the_bad_byte),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
