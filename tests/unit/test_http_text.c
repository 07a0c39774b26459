#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"

/* Every byte against the grammar as RFC 9110 5.6.2 spells it. */
static void tokens(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool tchar = alphanumeric || (c && strchr("!#$%&'*+-.^_`|~", c));
        assert_int_equal(http_is_token(slice_make(text, 3)), tchar);
        assert_int_equal(http_is_token(slice_make(text + 1, 1)), tchar);
    }
    assert_false(http_is_token(SLICE("")));
    assert_false(http_is_token(SLICE_NONE));
}

static void field_values(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        assert_int_equal(http_is_field_value(slice_make(text, 3)), c == '\t' || (c >= ' ' && c != 0x7f));
    }
    for (int c = 0; c < 256; c++)
        for (size_t at = 1; at < 20; at++) {
            char text[21];
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            assert_int_equal(http_is_field_value(slice_make(text, sizeof text)), c == '\t' || (c >= ' ' && c != 0x7f));
        }
    assert_true(http_is_field_value(SLICE("")));
    assert_true(http_is_field_value(SLICE("a \t b")));
    assert_false(http_is_field_value(SLICE(" a")));
    assert_false(http_is_field_value(SLICE("a\t")));
    assert_false(http_is_field_value(SLICE(" ")));
    assert_false(http_is_field_value(SLICE("a\r\nSet-Cookie: b")));
}

static void hop_by_hop(void **state) {
    (void)state;
    const char *yes[] = {"connection", "Keep-Alive", "PROXY-Authenticate", "Proxy-Connection",
                         "te",         "Trailer",    "Transfer-Encoding",  "upgrade"};
    const char *no[] = {"", "t", "tee", "Content-Length", "Proxy", "Connections", "Host", "Trailers"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) assert_true(http_is_hop_by_hop(slice_of(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) assert_false(http_is_hop_by_hop(slice_of(no[i])));
    assert_false(http_is_hop_by_hop(SLICE_NONE));
}

static void lists(void **state) {
    (void)state;
    assert_true(http_list_has(SLICE("close"), SLICE("Close")));
    assert_true(http_list_has(SLICE(" , a ,\tCLOSE\t,b"), SLICE("close")));
    assert_false(http_list_has(SLICE("closed, clos, cl ose"), SLICE("close")));
    assert_false(http_list_has(SLICE(""), SLICE("")));
    assert_false(http_list_has(SLICE(",,"), SLICE("")));
    assert_false(http_list_has(SLICE_NONE, SLICE("a")));
    assert_false(http_list_has(SLICE("private=\"x, close, y\""), SLICE("close")));
    assert_true(http_list_has(SLICE("private=\"x\\\", y\", close"), SLICE("close")));
    assert_false(http_list_has(SLICE("a=\"unclosed, close"), SLICE("close")));
    assert_false(http_list_has(SLICE("a=\"\\"), SLICE("close")));
}

static void names_that_read_alike(void **state) {
    (void)state;
    assert_true(http_name_reads_as(SLICE("x_Real.ip"), SLICE("X-Real-IP")));
    assert_true(http_name_reads_as(SLICE("X-Real-IP"), SLICE("X-Real-IP")));
    assert_false(http_name_reads_as(SLICE("X-Real-IPs"), SLICE("X-Real-IP")));
    assert_false(http_name_reads_as(SLICE("XReal-IP"), SLICE("X-Real-IP")));
    assert_true(http_name_reads_from(SLICE("execgate_claims"), SLICE("Execgate-")));
    assert_true(http_name_reads_from(SLICE("Execgate~"), SLICE("Execgate-")));
    assert_false(http_name_reads_from(SLICE("Execgate"), SLICE("Execgate-")));
    assert_false(http_name_reads_from(SLICE_NONE, SLICE("Execgate-")));
}

static void named_by_connection(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 256);
    fields_add(&f, &a, SLICE("Connection"), SLICE("keep-alive"));
    fields_add(&f, &a, SLICE("Other"), SLICE("x-c"));
    fields_add(&f, &a, SLICE("connection"), SLICE("X-A, x-b"));
    assert_true(http_is_named_by_connection(&f, SLICE("x-a")));
    assert_true(http_is_named_by_connection(&f, SLICE("X-B")));
    assert_true(http_is_named_by_connection(&f, SLICE("Keep-Alive")));
    assert_false(http_is_named_by_connection(&f, SLICE("x-c")));
    arena_free(&a);
}

static void reasons(void **state) {
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(413), "Content Too Large");
    assert_string_equal(http_reason(511), "Network Authentication Required");
    const int unknown[] = {-1, 0, 99, 299, 306, 418, 512, 599, 600, 1 << 30, -(1 << 30)};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) assert_string_equal(http_reason(unknown[i]), "");
}

static void dates(void **state) {
    (void)state;
    char date[30], log_time[27];
    http_date(784111777000, date); /* the example of RFC 9110 5.6.7 */
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(0, date);
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date(1709251199999, date);
    assert_string_equal(date, "Thu, 29 Feb 2024 23:59:59 GMT");
    http_common_log_time(1584039838000, log_time);
    assert_string_equal(log_time, "12/Mar/2020:19:03:58 +0000");
    http_date(UINT64_MAX, date);
    assert_int_equal(strlen(date), 29);
}

static void vary_takes_a_name_once(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 256);
    http_vary_add(&f, &a, SLICE("Origin"));
    http_vary_add(&f, &a, SLICE("Accept-Encoding"));
    http_vary_add(&f, &a, SLICE("origin"));
    assert_int_equal(f.count, 1);
    assert_true(slice_equal(f.items[0].value, SLICE("Origin, Accept-Encoding")));
    f.items[0].value = SLICE("*");
    http_vary_add(&f, &a, SLICE("Cookie"));
    assert_true(slice_equal(f.items[0].value, SLICE("*")));
    arena_free(&a);
}

static void fields_go_by_prefix(void **state) {
    (void)state;
    struct arena a;
    struct fields f = {0};
    arena_init(&a, 256);
    static const char *const names[] = {"X-One", "y", "x-two", "X", "x-"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) fields_add(&f, &a, slice_of(names[i]), SLICE(""));
    assert_int_equal(http_fields_remove_prefixed(&f, SLICE("x-")), 3);
    assert_int_equal(f.count, 2);
    assert_true(slice_equal(f.items[0].name, SLICE("y")) && slice_equal(f.items[1].name, SLICE("X")));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vary_takes_a_name_once),
        cmocka_unit_test(fields_go_by_prefix),
        cmocka_unit_test(tokens),
        cmocka_unit_test(field_values),
        cmocka_unit_test(hop_by_hop),
        cmocka_unit_test(lists),
        cmocka_unit_test(names_that_read_alike),
        cmocka_unit_test(named_by_connection),
        cmocka_unit_test(reasons),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
