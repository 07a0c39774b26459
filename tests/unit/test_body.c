/* A body from both of its ends. */
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/invocation/body.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct calls {
    int count;
};

static void count_call(void *context) {
    ((struct calls *)context)->count++;
}

static char *pattern_bytes(size_t n) {
    char *p = xmalloc(n);
    for (size_t i = 0; i < n; i++) p[i] = (char)(i * 31 + i / 251);
    return p;
}

static void append_all(struct body *b, const char *p, size_t n, size_t piece) {
    for (size_t at = 0; at < n; at += piece)
        assert_true(body_append_copy(b, slice_make(p + at, n - at < piece ? n - at : piece)));
}

static void release_both(struct body *b) {
    body_release_producer(b);
    body_release_consumer(b);
}

static void nothing_is_wanted_until_somebody_wants(void **state) {
    (void)state;
    struct calls wanted = {0};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_on_wanted(b, count_call, &wanted);
    assert_false(body_wants(b));
    body_want(b);
    assert_true(body_wants(b));
    body_want(b);
    assert_int_equal(wanted.count, 1);
    release_both(b);
}

static void bytes_arrive_in_order(void **state) {
    (void)state;
    struct calls readable = {0};
    char out[16] = {0};
    struct body *b = body_new(6, 6);
    body_on_readable(b, count_call, &readable);
    body_want(b);
    assert_true(slice_is_none(body_peek(b)));
    assert_true(body_append_copy(b, SLICE("abc")));
    assert_true(body_append(b, chunk_copy(SLICE("de"))));
    assert_true(body_append_copy(b, SLICE("f")));
    assert_int_equal(readable.count, 3);
    assert_int_equal(body_received(b), 6);
    assert_int_equal(body_read(b, out, 2), 2);
    assert_int_equal(body_read(b, out + 2, sizeof out), 4);
    assert_string_equal(out, "abcdef");
    assert_false(body_at_end(b));
    body_finish(b);
    assert_int_equal(readable.count, 4);
    assert_true(body_at_end(b));
    assert_int_equal(body_failure(b) == NULL, 1);
    release_both(b);
}

/* A copy must never write behind the bytes of a chunk that came from elsewhere. */
static void copies_fill_only_their_own_chunk(void **state) {
    (void)state;
    struct chunk *big = chunk_new(64);
    memcpy(big->memory, "hello", 5);
    big->bytes.n = 5;
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    assert_true(body_append_copy(b, SLICE("1")));
    assert_true(body_append(b, chunk_share(big, slice_make(big->bytes.p, 2))));
    assert_true(body_append_copy(b, SLICE("2")));
    body_finish(b);
    struct slice whole = body_whole(b);
    assert_int_equal(whole.n, 4);
    assert_memory_equal(whole.p, "1he2", 4);
    assert_memory_equal(big->memory, "hello", 5);
    chunk_release(big);
    release_both(b);
}

static void small_appends_share_a_chunk(void **state) {
    (void)state;
    struct body *b = body_new(100, 100);
    for (int i = 0; i < 100; i++) assert_true(body_append_copy(b, SLICE("x")));
    body_finish(b);
    assert_int_equal(body_peek(b).n, 100);
    struct chunk *c = body_take_chunk(b);
    assert_non_null(c);
    assert_int_equal(c->size, 100);
    assert_true(body_at_end(b));
    release_both(b);
    assert_int_equal(c->bytes.n, 100);
    chunk_release(c);
}

static void back_pressure_has_two_marks(void **state) {
    (void)state;
    struct calls wanted = {0};
    char *bytes = pattern_bytes(BODY_HIGH_WATER);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_on_wanted(b, count_call, &wanted);
    body_want(b);
    append_all(b, bytes, BODY_HIGH_WATER - 1, 10000);
    assert_true(body_wants(b));
    assert_true(body_append_copy(b, SLICE("x")));
    assert_false(body_wants(b));
    char *out = xmalloc(BODY_HIGH_WATER);
    assert_int_equal(body_read(b, out, BODY_HIGH_WATER - BODY_LOW_WATER), BODY_HIGH_WATER - BODY_LOW_WATER);
    assert_false(body_wants(b));
    assert_int_equal(wanted.count, 1);
    assert_int_equal(body_read(b, out, 1), 1);
    assert_true(body_wants(b));
    assert_int_equal(wanted.count, 2);
    free(out);
    free(bytes);
    release_both(b);
}

static void the_limit_is_enforced_while_bytes_arrive(void **state) {
    (void)state;
    struct calls readable = {0};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, 5);
    body_on_readable(b, count_call, &readable);
    assert_true(body_append_copy(b, SLICE("12345")));
    assert_false(body_append_copy(b, SLICE("6")));
    assert_int_equal(body_state_of(b), BODY_FAILED);
    assert_true(body_over_limit(b));
    assert_int_equal(body_fault(b), FAILURE_BODY_TOO_LARGE);
    assert_string_equal(body_failure(b), "at most 5 bytes are accepted");
    assert_int_equal(readable.count, 2);
    assert_false(body_append(b, chunk_copy(SLICE("7"))));
    assert_false(body_wants(b));
    release_both(b);
}

static void a_limit_may_come_late(void **state) {
    (void)state;
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    assert_true(body_append_copy(b, SLICE("12345")));
    body_set_limit(b, 5);
    assert_int_equal(body_state_of(b), BODY_OPEN);
    body_set_limit(b, 4);
    assert_int_equal(body_state_of(b), BODY_FAILED);
    assert_true(body_over_limit(b));
    release_both(b);
}

static void a_declared_length_binds_both_ways(void **state) {
    (void)state;
    struct body *more = body_new(3, UINT64_MAX);
    assert_false(body_append(more, chunk_copy(SLICE("1234"))));
    assert_int_equal(body_fault(more), FAILURE_BAD_REQUEST);
    assert_false(body_over_limit(more));
    release_both(more);
    struct body *less = body_new(3, UINT64_MAX);
    assert_true(body_append_copy(less, SLICE("12")));
    body_finish(less);
    assert_int_equal(body_state_of(less), BODY_FAILED);
    assert_string_equal(body_failure(less), "fewer bytes than declared");
    release_both(less);
}

static void failures_keep_their_kind_and_the_first_wins(void **state) {
    (void)state;
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_fail_as(b, FAILURE_REQUEST_TIMEOUT, "nothing came for 30s");
    body_fail(b, "again");
    body_finish(b);
    assert_int_equal(body_fault(b), FAILURE_REQUEST_TIMEOUT);
    assert_string_equal(body_failure(b), "nothing came for 30s");
    assert_int_equal(body_state_of(b), BODY_FAILED);
    release_both(b);
}

static void a_producer_that_leaves_has_failed_it(void **state) {
    (void)state;
    struct calls readable = {0};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_on_readable(b, count_call, &readable);
    assert_true(body_append_copy(b, SLICE("1")));
    body_release_producer(b);
    assert_int_equal(body_state_of(b), BODY_FAILED);
    assert_int_equal(readable.count, 2);
    body_release_consumer(b);
}

static void a_consumer_that_leaves_has_abandoned_it(void **state) {
    (void)state;
    struct calls wanted = {0};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_on_wanted(b, count_call, &wanted);
    assert_true(body_append_copy(b, SLICE("1")));
    body_release_consumer(b);
    assert_int_equal(wanted.count, 1);
    assert_true(body_abandoned(b));
    assert_false(body_wants(b));
    assert_false(body_append_copy(b, SLICE("2")));
    body_finish(b);
    body_release_producer(b);
}

static void collecting_calls_once_at_the_end(void **state) {
    (void)state;
    struct calls readable = {0};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_on_readable(b, count_call, &readable);
    assert_true(body_append_copy(b, SLICE("early,")));
    assert_int_equal(readable.count, 1);
    body_collect(b);
    assert_true(body_append_copy(b, SLICE("late")));
    assert_int_equal(readable.count, 1);
    assert_true(slice_is_none(body_peek(b)));
    body_finish(b);
    assert_int_equal(readable.count, 2);
    assert_int_equal(body_length(b), 10);
    assert_memory_equal(body_whole(b).p, "early,late", 10);
    release_both(b);
}

static void collecting_knows_no_back_pressure(void **state) {
    (void)state;
    struct calls wanted = {0};
    char *bytes = pattern_bytes(BODY_SPILL);
    struct body *b = body_new(BODY_SPILL, BODY_SPILL);
    body_on_wanted(b, count_call, &wanted);
    body_collect(b);
    append_all(b, bytes, BODY_SPILL, 60000);
    assert_true(body_wants(b));
    assert_int_equal(wanted.count, 1);
    body_finish(b);
    assert_int_equal(body_whole(b).n, BODY_SPILL);
    assert_memory_equal(body_whole(b).p, bytes, BODY_SPILL);
    free(bytes);
    release_both(b);
}

static void collect_large(size_t n, size_t piece) {
    char *bytes = pattern_bytes(n);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_collect(b);
    append_all(b, bytes, n, piece);
    body_finish(b);
    assert_int_equal(body_state_of(b), BODY_COMPLETE);
    assert_int_equal(body_length(b), n);
    struct chunk *c = body_take_chunk(b);
    assert_non_null(c);
    release_both(b);
    assert_int_equal(c->bytes.n, n);
    assert_memory_equal(c->bytes.p, bytes, n);
    chunk_release(c);
    free(bytes);
}

static void a_large_collected_body_goes_through_a_file(void **state) {
    (void)state;
    collect_large(BODY_SPILL + 1, BODY_SPILL + 1);
    collect_large(BODY_SPILL + 1, 4096);
    collect_large(3 * BODY_SPILL + 777, 70000);
}

static void a_spilled_body_may_be_abandoned(void **state) {
    (void)state;
    char *bytes = pattern_bytes(2 * BODY_SPILL);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_collect(b);
    append_all(b, bytes, 2 * BODY_SPILL, 65536);
    body_release_consumer(b);
    body_release_producer(b);
    free(bytes);
}

static void a_body_that_cannot_be_stored_fails_as_internal(void **state) {
    (void)state;
    char *before = getenv("TMPDIR") ? xstrdup(getenv("TMPDIR")) : NULL;
    char *bytes = pattern_bytes(BODY_SPILL + 1);
    setenv("TMPDIR", "/nonexistent/place", 1);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_collect(b);
    assert_false(body_append_copy(b, slice_make(bytes, BODY_SPILL + 1)));
    assert_int_equal(body_state_of(b), BODY_FAILED);
    assert_int_equal(body_fault(b), FAILURE_INTERNAL);
    assert_non_null(strstr(body_failure(b), "/nonexistent/place"));
    release_both(b);
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    free(before);
    free(bytes);
}

static void complete_bodies_need_no_producer(void **state) {
    (void)state;
    struct body *b = body_of_chunk(chunk_copy(SLICE("answer")));
    assert_int_equal(body_state_of(b), BODY_COMPLETE);
    assert_int_equal(body_length(b), 6);
    assert_int_equal(body_received(b), 6);
    body_consume(b, 2);
    assert_null(body_take_chunk(b));
    assert_memory_equal(body_peek(b).p, "swer", 4);
    body_consume(b, 4);
    assert_true(body_at_end(b));
    body_release_consumer(b);
    struct body *empty = body_of_chunk(NULL);
    assert_true(body_at_end(empty));
    assert_int_equal(body_length(empty), 0);
    assert_int_equal(body_whole(empty).n, 0);
    assert_null(body_take_chunk(empty));
    body_release_consumer(empty);
    struct body *hollow = body_of_chunk(chunk_new(10));
    assert_true(body_at_end(hollow));
    body_release_consumer(hollow);
}

/* Random pieces in, random pieces out: what comes out is what went in, and buffering stays bounded. */
static void random_traffic_keeps_every_byte(void **state) {
    (void)state;
    enum { TOTAL = 3 * 1024 * 1024, PIECE = 90000 };
    char *bytes = pattern_bytes(TOTAL);
    char *out = xmalloc(TOTAL);
    unsigned seed = 7;
    size_t sent = 0, got = 0;
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_want(b);
    while (got < TOTAL) {
        size_t n = (size_t)rand_r(&seed) % PIECE;
        n = n < TOTAL - sent ? n : TOTAL - sent;
        struct slice piece = slice_make(bytes + sent, n);
        bool moved = rand_r(&seed) % 2 != 0;
        if (body_wants(b)) {
            assert_true(moved ? body_append(b, chunk_copy(piece)) : body_append_copy(b, piece));
            sent += n;
        }
        assert_true(sent - got <= BODY_HIGH_WATER + PIECE);
        got += body_read(b, out + got, (size_t)rand_r(&seed) % PIECE);
    }
    body_finish(b);
    assert_true(body_at_end(b));
    assert_memory_equal(out, bytes, TOTAL);
    free(out);
    free(bytes);
    release_both(b);
}

static void on_tapped(void *context, struct slice bytes) {
    buf_append_slice(context, bytes);
}

static void on_tapped_over(void *context, const struct body *b) {
    buf_append_text(context, body_state_of(b) == BODY_COMPLETE ? "|" : "!");
}

static void a_tap_sees_what_passes_once_and_in_order(void **state) {
    (void)state;
    struct buf seen = {0};
    const struct body_tap tap = {.on_bytes = on_tapped, .on_over = on_tapped_over, .context = &seen};
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, 10);
    body_want(b);
    body_append_copy(b, SLICE("abc"));
    body_consume(b, 1);
    body_set_tap(b, &tap);
    assert_true(slice_equal(buf_slice(&seen), SLICE("bc")));
    body_append(b, chunk_copy(SLICE("de")));
    body_append_copy(b, SLICE("f"));
    body_consume(b, 2);
    assert_true(slice_equal(buf_slice(&seen), SLICE("bcdef")));
    assert_false(body_append_copy(b, SLICE("beyond the limit")));
    release_both(b);
    assert_true(slice_equal(buf_slice(&seen), SLICE("bcdef!")));
    seen.n = 0;
    b = body_of_chunk(chunk_copy(SLICE("whole")));
    body_set_tap(b, &tap);
    body_set_tap(b, NULL);
    body_release_consumer(b);
    assert_true(slice_equal(buf_slice(&seen), SLICE("whole")));
    buf_free(&seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wanted_until_somebody_wants),
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(copies_fill_only_their_own_chunk),
        cmocka_unit_test(small_appends_share_a_chunk),
        cmocka_unit_test(back_pressure_has_two_marks),
        cmocka_unit_test(the_limit_is_enforced_while_bytes_arrive),
        cmocka_unit_test(a_limit_may_come_late),
        cmocka_unit_test(a_declared_length_binds_both_ways),
        cmocka_unit_test(failures_keep_their_kind_and_the_first_wins),
        cmocka_unit_test(a_producer_that_leaves_has_failed_it),
        cmocka_unit_test(a_consumer_that_leaves_has_abandoned_it),
        cmocka_unit_test(collecting_calls_once_at_the_end),
        cmocka_unit_test(collecting_knows_no_back_pressure),
        cmocka_unit_test(a_large_collected_body_goes_through_a_file),
        cmocka_unit_test(a_spilled_body_may_be_abandoned),
        cmocka_unit_test(a_body_that_cannot_be_stored_fails_as_internal),
        cmocka_unit_test(complete_bodies_need_no_producer),
        cmocka_unit_test(random_traffic_keeps_every_byte),
        cmocka_unit_test(a_tap_sees_what_passes_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
