#include "gateway/cluster/cluster_message.h"
#include "tests/unit/unit.h"

static const struct cluster_message request = {
    .kind = CLUSTER_REQUEST, .sender = "0123abcd", .number = 258, .floor = 3, .payload = {"body", 4}};

static void what_is_written_is_read(void **state) {
    struct buf out = {0};
    struct cluster_message m;
    (void)state;
    cluster_message_write(&out, &request);
    assert_true(cluster_message_read(buf_slice(&out), &m));
    assert_int_equal(m.kind, CLUSTER_REQUEST);
    assert_memory_equal(m.sender, "0123abcd", CLUSTER_TAG_SIZE);
    assert_int_equal(m.number, 258);
    assert_int_equal(m.floor, 3);
    assert_slice(m.payload, "body");
    buf_free(&out);
}

static void the_format_stays_as_it_is(void **state) {
    static const char bytes[] = "\x01Q0123abcd\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03"
                                "body";
    struct buf out = {0};
    (void)state;
    cluster_message_write(&out, &request);
    assert_slice(buf_slice(&out), "\x01Q0123abcd\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03"
                                  "body");
    assert_int_equal(out.n, sizeof bytes - 1);
    buf_free(&out);
}

static bool reads_with(size_t at, char c) {
    struct buf out = {0};
    struct cluster_message m;
    cluster_message_write(&out, &request);
    out.p[at] = c;
    bool good = cluster_message_read(buf_slice(&out), &m);
    buf_free(&out);
    return good;
}

static void what_is_no_message_is_refused(void **state) {
    (void)state;
    assert_true(reads_with(0, 1));
    assert_false(reads_with(0, 2));    /* another version */
    assert_false(reads_with(1, 'X'));  /* another kind */
    assert_false(reads_with(2, 'G'));  /* no tag */
    assert_false(reads_with(2, 'A'));  /* tags are lower-case */
    assert_false(reads_with(18, 'x')); /* a floor above the number */
}

static void every_cut_is_refused(void **state) {
    struct buf out = {0};
    struct cluster_message m;
    (void)state;
    cluster_message_write(&out, &request);
    for (size_t n = 0; n < out.n - request.payload.n; n++) assert_false(cluster_message_read(slice_make(out.p, n), &m));
    assert_true(cluster_message_read(slice_make(out.p, out.n - request.payload.n), &m));
    assert_int_equal(m.payload.n, 0);
    buf_free(&out);
}

static void numbers_begin_at_one(void **state) {
    struct cluster_message none = request, m;
    struct buf out = {0};
    (void)state;
    none.number = none.floor = 0;
    cluster_message_write(&out, &none);
    assert_false(cluster_message_read(buf_slice(&out), &m));
    buf_free(&out);
}

static void fields_follow_each_other(void **state) {
    struct buf out = {0};
    struct slice rest, field;
    uint64_t number;
    (void)state;
    cluster_field_write(&out, SLICE("one"));
    cluster_field_write(&out, SLICE_NONE);
    cluster_field_write_number(&out, UINT64_MAX);
    rest = buf_slice(&out);
    assert_true(cluster_field_read(&rest, &field));
    assert_slice(field, "one");
    assert_true(cluster_field_read(&rest, &field));
    assert_int_equal(field.n, 0);
    assert_true(cluster_field_read_number(&rest, &number));
    assert_true(number == UINT64_MAX);
    assert_int_equal(rest.n, 0);
    assert_false(cluster_field_read(&rest, &field));
    buf_free(&out);
}

static void a_field_that_is_longer_than_what_there_is(void **state) {
    struct slice rest = SLICE("\0\0\0\x05"
                              "four"),
                 field;
    uint64_t number;
    (void)state;
    assert_false(cluster_field_read(&rest, &field));
    rest = SLICE("\xff\xff\xff\xff");
    assert_false(cluster_field_read(&rest, &field));
    rest = SLICE("\0\0\0\x01"
                 "1");
    assert_false(cluster_field_read_number(&rest, &number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_format_stays_as_it_is),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(numbers_begin_at_one),
        cmocka_unit_test(fields_follow_each_other),
        cmocka_unit_test(a_field_that_is_longer_than_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
