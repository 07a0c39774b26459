#include "gateway/base/memory.h"
#include "gateway/source/http/http_check.h"
#include "tests/unit/unit.h"

#define HOST                                                                                                           \
    { "Host", "test" }

struct row {
    const char *what;
    const char *method, *target, *version;
    struct {
        const char *name, *value;
    } fields[4];
    enum failure failure;
};

static const struct row rows[] = {
    {"plain", "GET", "/", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"query", "GET", "/a%20b?c=d&e", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"HTTP/1.0 without Host", "GET", "/", "HTTP/1.0", {{0}}, FAILURE_NONE},
    {"unknown method", "FROB", "/", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"absolute form", "GET", "http://a.example/x", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"absolute form, https", "GET", "HTTPS://a.example", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"OPTIONS *", "OPTIONS", "*", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"chunked", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding", "Chunked"}}, FAILURE_NONE},
    {"length", "POST", "/", "HTTP/1.1", {HOST, {"content-length", "0010"}}, FAILURE_NONE},
    {"expectation", "POST", "/", "HTTP/1.1", {HOST, {"Expect", "100-Continue"}}, FAILURE_NONE},
    {"underscore", "GET", "/", "HTTP/1.1", {HOST, {"X_Y", "1"}}, FAILURE_NONE},
    {"empty value", "GET", "/", "HTTP/1.1", {HOST, {"X", ""}}, FAILURE_NONE},
    {"obs-text", "GET", "/", "HTTP/1.1", {HOST, {"X", "caf\xe9"}}, FAILURE_NONE},
    {"host and port", "GET", "/", "HTTP/1.1", {{"Host", "a-b.example:8080"}}, FAILURE_NONE},
    {"IPv6 host", "GET", "/", "HTTP/1.1", {{"Host", "[::1]:80"}}, FAILURE_NONE},
    {"host, empty port", "GET", "/", "HTTP/1.1", {{"Host", "a:"}}, FAILURE_NONE},

    {"both framings",
     "POST",
     "/",
     "HTTP/1.1",
     {HOST, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}},
     FAILURE_BAD_REQUEST},
    {"two lengths",
     "POST",
     "/",
     "HTTP/1.1",
     {HOST, {"Content-Length", "5"}, {"Content-Length", "6"}},
     FAILURE_BAD_REQUEST},
    {"two equal lengths",
     "POST",
     "/",
     "HTTP/1.1",
     {HOST, {"Content-Length", "5"}, {"Content-Length", "5"}},
     FAILURE_BAD_REQUEST},
    {"length +5", "POST", "/", "HTTP/1.1", {HOST, {"Content-Length", "+5"}}, FAILURE_BAD_REQUEST},
    {"length -1", "POST", "/", "HTTP/1.1", {HOST, {"Content-Length", "-1"}}, FAILURE_BAD_REQUEST},
    {"length list", "POST", "/", "HTTP/1.1", {HOST, {"Content-Length", "5, 5"}}, FAILURE_BAD_REQUEST},
    {"length hex", "POST", "/", "HTTP/1.1", {HOST, {"Content-Length", "0x5"}}, FAILURE_BAD_REQUEST},
    {"length empty", "POST", "/", "HTTP/1.1", {HOST, {"Content-Length", ""}}, FAILURE_BAD_REQUEST},
    {"gzip, chunked", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding", "gzip, chunked"}}, FAILURE_NOT_IMPLEMENTED},
    {"identity", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding", "identity"}}, FAILURE_NOT_IMPLEMENTED},
    {"xchunked", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding", "xchunked"}}, FAILURE_NOT_IMPLEMENTED},
    {"coding empty", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding", ""}}, FAILURE_NOT_IMPLEMENTED},
    {"chunked twice",
     "POST",
     "/",
     "HTTP/1.1",
     {HOST, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
     FAILURE_NOT_IMPLEMENTED},
    {"coding in 1.0", "POST", "/", "HTTP/1.0", {HOST, {"Transfer-Encoding", "chunked"}}, FAILURE_BAD_REQUEST},
    {"space before colon", "POST", "/", "HTTP/1.1", {HOST, {"Transfer-Encoding ", "chunked"}}, FAILURE_BAD_REQUEST},
    {"name empty", "GET", "/", "HTTP/1.1", {HOST, {"", "x"}}, FAILURE_BAD_REQUEST},
    {"name with slash", "GET", "/", "HTTP/1.1", {HOST, {"a/b", "x"}}, FAILURE_BAD_REQUEST},
    {"CR in value", "GET", "/", "HTTP/1.1", {HOST, {"X", "a\rb"}}, FAILURE_BAD_REQUEST},
    {"LF in value", "GET", "/", "HTTP/1.1", {HOST, {"X", "a\nb"}}, FAILURE_BAD_REQUEST},
    {"DEL in value", "GET", "/", "HTTP/1.1", {HOST, {"X", "a\x7f"}}, FAILURE_BAD_REQUEST},
    {"no Host", "GET", "/", "HTTP/1.1", {{0}}, FAILURE_BAD_REQUEST},
    {"absolute, IPv6 and port", "GET", "HTTPS://[::1]:8443?x", "HTTP/1.1", {HOST}, FAILURE_NONE},
    {"absolute, no host", "GET", "http:///x", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"absolute, port alone", "GET", "http://:80/x", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"absolute, two ports", "GET", "http://a:b:80/x", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"absolute, user", "GET", "http://u@a/x", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"absolute, after the bracket", "GET", "http://[::1]x/", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"two Hosts", "GET", "/", "HTTP/1.1", {HOST, HOST}, FAILURE_BAD_REQUEST},
    {"two Hosts in 1.0", "GET", "/", "HTTP/1.0", {HOST, HOST}, FAILURE_BAD_REQUEST},
    {"Host empty", "GET", "/", "HTTP/1.1", {{"Host", ""}}, FAILURE_BAD_REQUEST},
    {"Host with path", "GET", "/", "HTTP/1.1", {{"Host", "a/b"}}, FAILURE_BAD_REQUEST},
    {"Host with user", "GET", "/", "HTTP/1.1", {{"Host", "u@a"}}, FAILURE_BAD_REQUEST},
    {"Host with blank", "GET", "/", "HTTP/1.1", {{"Host", "a b"}}, FAILURE_BAD_REQUEST},
    {"Host list", "GET", "/", "HTTP/1.1", {{"Host", "a, b"}}, FAILURE_BAD_REQUEST},
    {"Host, bad port", "GET", "/", "HTTP/1.1", {{"Host", "a:8o"}}, FAILURE_BAD_REQUEST},
    {"Host, long port", "GET", "/", "HTTP/1.1", {{"Host", "a:123456"}}, FAILURE_BAD_REQUEST},
    {"Host, only port", "GET", "/", "HTTP/1.1", {{"Host", ":80"}}, FAILURE_BAD_REQUEST},
    {"Host, open bracket", "GET", "/", "HTTP/1.1", {{"Host", "[::1"}}, FAILURE_BAD_REQUEST},
    {"Host, empty bracket", "GET", "/", "HTTP/1.1", {{"Host", "[]"}}, FAILURE_BAD_REQUEST},
    {"HTTP/1.9", "GET", "/", "HTTP/1.9", {HOST}, FAILURE_VERSION},
    {"HTTP/2.0", "GET", "/", "HTTP/2.0", {HOST}, FAILURE_VERSION},
    {"no version", "GET", "/", "", {HOST}, FAILURE_VERSION},
    {"CONNECT", "CONNECT", "a:80", "HTTP/1.1", {HOST}, FAILURE_NOT_IMPLEMENTED},
    {"TRACE", "TRACE", "/", "HTTP/1.1", {HOST}, FAILURE_NOT_IMPLEMENTED},
    {"method with colon", "GE:T", "/", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"method empty", "", "/", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"expectation unknown", "POST", "/", "HTTP/1.1", {HOST, {"Expect", "200-ok"}}, FAILURE_EXPECTATION},
    {"target empty", "GET", "", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"target *", "GET", "*", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"target without slash", "GET", "a", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"target ftp", "GET", "ftp://a/", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"fragment", "GET", "/a#b", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"blank in target", "GET", "/a b", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"control in target", "GET", "/a\tb", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
    {"byte above ASCII in target", "GET", "/caf\xe9", "HTTP/1.1", {HOST}, FAILURE_BAD_REQUEST},
};

static void test_table(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct fields fields = {0};
        for (size_t k = 0; k < ARRAY_LEN(r->fields) && r->fields[k].name; k++)
            fields_add(&fields, &a, slice_of(r->fields[k].name), slice_of(r->fields[k].value));
        struct http_head head = {slice_of(r->method), slice_of(r->target), slice_of(r->version), &fields};
        struct http_verdict v = http_check(&head);
        if (v.failure != r->failure) fail_msg("%s: %d, expected %d", r->what, (int)v.failure, (int)r->failure);
        assert_int_equal(v.failure != FAILURE_NONE, v.detail != NULL);
    }
    arena_free(&a);
}

static void test_number_of_fields(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    struct fields fields = {0};
    struct http_head head = {SLICE("GET"), SLICE("/"), SLICE("HTTP/1.1"), &fields};
    fields_add(&fields, &a, SLICE("Host"), SLICE("a"));
    while (fields.count < HTTP_MAX_FIELDS) fields_add(&fields, &a, SLICE("X"), SLICE("y"));
    assert_int_equal(http_check(&head).failure, FAILURE_NONE);
    fields_add(&fields, &a, SLICE("X"), SLICE("y"));
    assert_int_equal(http_check(&head).failure, FAILURE_HEADER_TOO_LARGE);
    arena_free(&a);
}

static void test_nul_in_value(void **state) {
    (void)state;
    struct field items[] = {{SLICE("Host"), SLICE("a")}, {SLICE("X"), SLICE("a\0b")}};
    struct fields fields = {items, 2, 2};
    struct http_head head = {SLICE("GET"), SLICE("/"), SLICE("HTTP/1.1"), &fields};
    assert_int_equal(http_check(&head).failure, FAILURE_BAD_REQUEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_number_of_fields),
        cmocka_unit_test(test_nul_in_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
