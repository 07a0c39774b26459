#include "gateway/base/url.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct url url;
static struct error error;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1024);
    memset(&url, 0xee, sizeof url);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static int parse(const char *target) {
    return url_parse(&url, &arena, slice_of(target), &error);
}

static void check_segments(size_t count, const char *const *expected) {
    assert_int_equal(url.segment_count, count);
    for (size_t i = 0; i < count; i++) assert_slice_is(url.segments[i], slice_of(expected[i]), __FILE__, __LINE__);
}
#define assert_segments(...)                                                                                           \
    check_segments(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void segments_of_plain_paths(void **state) {
    (void)state;
    assert_int_equal(parse("/"), 0);
    assert_segments("");
    assert_int_equal(parse("/a"), 0);
    assert_segments("a");
    assert_int_equal(parse("/a/"), 0);
    assert_segments("a", "");
    assert_int_equal(parse("//a//b"), 0);
    assert_segments("", "a", "", "b");
    assert_int_equal(parse("/a:b@c;d=e,f!$&'()*+~_-."), 0);
    assert_segments("a:b@c;d=e,f!$&'()*+~_-.");
    assert_none(url.query);
    assert_none(url.authority);
}

static void path_and_query_stay_raw(void **state) {
    (void)state;
    assert_int_equal(parse("/a%20b?x=%2F&y=a?b/c"), 0);
    assert_slice(url.path, "/a%20b");
    assert_slice(url.query, "x=%2F&y=a?b/c");
    assert_segments("a b");
    assert_int_equal(parse("/a?"), 0);
    assert_slice(url.query, "");
    assert_int_equal(parse("/?filter[name]=100%"), 0);
    assert_slice(url.query, "filter[name]=100%");
}

static void an_escaped_slash_does_not_split(void **state) {
    (void)state;
    assert_int_equal(parse("/a%2Fb/c%2f/d"), 0);
    assert_segments("a/b", "c/", "d");
    assert_int_equal(parse("/a%3Fb%23c%25d%5c"), 0);
    assert_segments("a?b#c%d\\");
    assert_int_equal(parse("/%E3%81%82%ff%0a"), 0);
    assert_segments("\xe3\x81\x82\xff\n");
}

static void decoded_once(void **state) {
    (void)state;
    assert_int_equal(parse("/%252e%252e/%252F"), 0);
    assert_segments("%2e%2e", "%2F");
}

static void dot_segments_are_refused(void **state) {
    (void)state;
    const char *bad[] = {"/.",         "/..",           "/a/../b", "/a/./b",  "/a/..",           "/../",
                         "/%2e",       "/%2E%2e",       "/a/.%2e", "/%2e./b", "/a/..?x",         "http://h/..",
                         "/%2E/x",     "/x/%2e%2e",     "/..%2Fa", "/a%2f..", "/a%2F%2e%2E%2Fb", "/%2F.",
                         "/a%2f.%2fb", "/x/..%2f..%2fy"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(parse(bad[i]), -ERROR_FORMAT);
    assert_int_equal(parse("/.../.a/a./..a/a.."), 0);
    assert_segments("...", ".a", "a.", "..a", "a..");
    assert_int_equal(parse("/..%2e/a%2F...%2fb/..a%2Fa../%2F"), 0);
    assert_segments("...", "a/.../b", "..a/a..", "/");
    assert_int_equal(parse("/a?../.."), 0);
}

static void nul_and_bad_escapes_are_refused(void **state) {
    (void)state;
    const char *bad[] = {"/%00", "/a%00b", "/%", "/%2", "/%zz", "/%2g", "/a%", "/%%20", "/%2/a", "/% 2", "/%+1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (struct error){0};
        assert_int_equal(parse(bad[i]), -ERROR_FORMAT);
        assert_int_equal(error.code, ERROR_FORMAT);
        assert_true(error.message[0] != '\0');
    }
    assert_int_equal(url_parse(&url, &arena, SLICE("/a\0b"), &error), -ERROR_FORMAT);
    assert_int_equal(url_parse(&url, &arena, SLICE("/a?\0"), NULL), -ERROR_FORMAT);
}

/* Every byte, raw, in a path and in a query, against RFC 3986's sets. */
static void raw_bytes(void **state) {
    (void)state;
    for (int c = 1; c < 256; c++) {
        char in_path[] = "/aXb", in_query[] = "/?aXb";
        in_path[2] = in_query[3] = (char)c;
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool pchar = alphanumeric || strchr("-._~!$&'()*+,;=:@", c) != NULL;
        assert_int_equal(parse(in_path) == 0, pchar || c == '/' || c == '?');
        assert_int_equal(parse(in_query) == 0, pchar || strchr("/?%[]", c) != NULL);
    }
}

static void absolute_form(void **state) {
    (void)state;
    assert_int_equal(parse("http://example.com:8080/a/b?c"), 0);
    assert_slice(url.authority, "example.com:8080");
    assert_slice(url.path, "/a/b");
    assert_slice(url.query, "c");
    assert_segments("a", "b");
    assert_int_equal(parse("HTTPS://[::1]:80"), 0);
    assert_slice(url.authority, "[::1]:80");
    assert_slice(url.path, "/");
    assert_segments("");
    assert_int_equal(parse("http://h?q"), 0);
    assert_slice(url.path, "/");
    assert_slice(url.query, "q");
    const char *bad[] = {"",
                         "*",
                         "a/b",
                         "http://",
                         "http:///a",
                         "http://?q",
                         "http:/a",
                         "ftp://h/",
                         "http:h/a",
                         "example.com:80",
                         "http://u@h/",
                         "http://u:p@h/",
                         "http://h h/",
                         "http://h#f",
                         " /a",
                         "?a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(parse(bad[i]), -ERROR_FORMAT);
}

static void at_most_64_segments(void **state) {
    (void)state;
    char target[2 * (URL_MAX_SEGMENTS + 1) + 1] = "";
    for (size_t i = 0; i < URL_MAX_SEGMENTS; i++) memcpy(target + 2 * i, "/a", 3);
    assert_int_equal(parse(target), 0);
    assert_int_equal(url.segment_count, URL_MAX_SEGMENTS);
    strcat(target, "/");
    assert_int_equal(parse(target), -ERROR_FORMAT);
}

static void decoding_is_lenient(void **state) {
    (void)state;
    assert_slice(url_decode(&arena, SLICE("a+b%20c"), URL_PLUS_IS_BLANK), "a b c");
    assert_slice(url_decode(&arena, SLICE("a+b%20c"), URL_PLUS_LITERAL), "a+b c");
    assert_slice(url_decode(&arena, SLICE("%2B+%2b"), URL_PLUS_IS_BLANK), "+ +");
    assert_slice(url_decode(&arena, SLICE("100%"), URL_PLUS_LITERAL), "100%");
    assert_slice(url_decode(&arena, SLICE("%4"), URL_PLUS_LITERAL), "%4");
    assert_slice(url_decode(&arena, SLICE("%%41%g1"), URL_PLUS_LITERAL), "%A%g1");
    assert_slice(url_decode(&arena, SLICE("%00"), URL_PLUS_LITERAL), "\0");
    struct slice plain = SLICE("plain");
    assert_ptr_equal(url_decode(&arena, plain, URL_PLUS_IS_BLANK).p, plain.p);
    assert_none(url_decode(&arena, SLICE_NONE, URL_PLUS_IS_BLANK));
}

static void query_members(void **state) {
    (void)state;
    struct slice rest = SLICE("a=1&&b&=c&d=e=f&g=&");
    struct slice name, value;
    const char *expected[][2] = {{"a", "1"}, {"b", ""}, {"", "c"}, {"d", "e=f"}, {"g", ""}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(url_query_next(&rest, &name, &value));
        assert_slice_is(name, slice_of(expected[i][0]), __FILE__, __LINE__);
        assert_slice_is(value, slice_of(expected[i][1]), __FILE__, __LINE__);
    }
    assert_false(url_query_next(&rest, &name, &value));
    assert_false(url_query_next(&rest, &name, &value));
    rest = SLICE_NONE;
    assert_false(url_query_next(&rest, &name, &value));
    rest = SLICE("&&&");
    assert_false(url_query_next(&rest, &name, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_of_plain_paths),
        cmocka_unit_test(path_and_query_stay_raw),
        cmocka_unit_test(an_escaped_slash_does_not_split),
        cmocka_unit_test(decoded_once),
        cmocka_unit_test(dot_segments_are_refused),
        cmocka_unit_test(nul_and_bad_escapes_are_refused),
        cmocka_unit_test(raw_bytes),
        cmocka_unit_test(absolute_form),
        cmocka_unit_test(at_most_64_segments),
        cmocka_unit_test(decoding_is_lenient),
        cmocka_unit_test(query_members),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
