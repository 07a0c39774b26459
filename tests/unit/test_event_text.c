/* Where a stream of events stands, against a reading of it byte by byte, and messages as events. */
#include "gateway/base/memory.h"
#include "gateway/event_stream/event_boundary.h"
#include "gateway/event_stream/event_text.h"
#include "tests/unit/unit.h"

static struct event_boundary fed(const char *text) {
    struct event_boundary b = {0};
    event_boundary_feed(&b, slice_of(text));
    return b;
}

static void boundaries(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool between;
        const char *ending;
    } rows[] = {
        {"", true, ""},
        {"data: x", false, "\n\n"},
        {"data: x\n", false, "\n"},
        {"data: x\n\n", true, ""},
        {"data: x\n\nd", false, "\n\n"},
        {"data: x\r", false, "\n\n"}, /* an LF would be its second half */
        {"data: x\r\n", false, "\n"},
        {"data: x\r\n\r", true, ""},
        {"data: x\r\n\r\n", true, ""},
        {"data: x\r\r", true, ""},
        {"data: x\n\r", true, ""},
        {"data: x\r\n\n", true, ""},
        {"\n", true, ""},
        {"\r\n\r\n\n\r", true, ""},
        {":\n", false, "\n"},
        {"\r\nx\n", false, "\n"},
        {"\xef\xbb\xbf", false, "\n\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_boundary b = fed(rows[i].text);
        assert_int_equal(event_boundary_is_between(&b), rows[i].between);
        assert_true(slice_equal(event_boundary_ending(&b), slice_of(rows[i].ending)));
        event_boundary_feed(&b, event_boundary_ending(&b));
        assert_true(event_boundary_is_between(&b));
    }
}

/* Wherever a text is cut, it stands where it stands. */
static void cuts_make_no_difference(void **state) {
    (void)state;
    static const char text[] = "a\r\n\r\nb\rc\n\n\r\rd\n\r\n\re\r\n";
    size_t n = sizeof text - 1;
    for (size_t size = 1; size <= n; size++) {
        struct event_boundary pieces = {0};
        for (size_t at = 0; at < n; at += size) {
            size_t left = n - at;
            event_boundary_feed(&pieces, slice_make(text + at, left < size ? left : size));
        }
        struct event_boundary whole = fed(text);
        assert_int_equal(pieces.place, whole.place);
        assert_int_equal(pieces.after_cr, whole.after_cr);
    }
    struct event_boundary none = fed("x\r");
    event_boundary_feed(&none, SLICE(""));
    assert_true(none.after_cr);
}

static void expect_text(struct event_text t, const char *expected) {
    struct buf out = {0};
    event_text_write(&out, &t);
    assert_true(slice_equal(buf_slice(&out), slice_of(expected)));
    struct event_boundary b = {0};
    event_boundary_feed(&b, buf_slice(&out));
    assert_true(event_boundary_is_between(&b));
    buf_free(&out);
}

static void messages(void **state) {
    (void)state;
    expect_text((struct event_text){.message = SLICE("")}, "data: \n\n");
    expect_text((struct event_text){.message = SLICE("hi")}, "data: hi\n\n");
    expect_text((struct event_text){.message = SLICE(" hi ")}, "data:  hi \n\n");
    expect_text((struct event_text){.message = SLICE("a\nb")}, "data: a\ndata: b\n\n");
    expect_text((struct event_text){.message = SLICE("a\r\nb\rc\n\nd\n")},
                "data: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n");
    expect_text((struct event_text){.message = SLICE("\r")}, "data: \ndata: \n\n");
    expect_text((struct event_text){.name = SLICE("n"), .id = SLICE("1"), .message = SLICE("id: 2\n\nretry: 0")},
                "event: n\nid: 1\ndata: id: 2\ndata: \ndata: retry: 0\n\n");
    expect_text((struct event_text){.id = SLICE(""), .message = SLICE("x")}, "id: \ndata: x\n\n");
    expect_text((struct event_text){.message = slice_make("\0\xff", 2), .kind = EVENT_OF_BYTES}, "data: AP8=\n\n");
    expect_text((struct event_text){.message = SLICE(""), .kind = EVENT_OF_BYTES}, "data: \n\n");
}

static void names_and_ids(void **state) {
    (void)state;
    assert_true(event_field_is_good(SLICE("news")));
    assert_true(event_field_is_good(SLICE("")));
    assert_true(event_field_is_good(SLICE("caf\xc3\xa9 : x")));
    assert_false(event_field_is_good(SLICE("a\nb")));
    assert_false(event_field_is_good(SLICE("a\r")));
    assert_false(event_field_is_good(slice_make("a\0b", 3)));
    assert_false(event_field_is_good(SLICE("\xff")));
}

static void retries(void **state) {
    (void)state;
    struct buf out = {0};
    event_text_write_retry(&out, 1234);
    assert_true(slice_equal(buf_slice(&out), SLICE("retry: 1234\n\n")));
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries), cmocka_unit_test(cuts_make_no_difference),
        cmocka_unit_test(messages),   cmocka_unit_test(names_and_ids),
        cmocka_unit_test(retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
