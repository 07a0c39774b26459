#include "gateway/invocation/pipeline.h"
#include "local-api/once_answer.h"
#include "tests/unit/unit.h"

struct shape_row {
    const char *text;
    enum once_shape while_it_comes, at_the_end;
};

static const struct shape_row shape_rows[] = {
    {"", ONCE_UNDECIDED, ONCE_PLAIN},
    {"hello", ONCE_UNDECIDED, ONCE_PLAIN},
    {"hello\n", ONCE_PLAIN, ONCE_PLAIN},
    {"hello world", ONCE_PLAIN, ONCE_PLAIN},
    {"{\"a\": 1}", ONCE_PLAIN, ONCE_PLAIN},
    {"[1]", ONCE_PLAIN, ONCE_PLAIN},
    {": x\n\n", ONCE_PLAIN, ONCE_PLAIN},
    {"\nContent-Type: text/html\n\n", ONCE_PLAIN, ONCE_PLAIN},
    {"<p>a: b</p>", ONCE_PLAIN, ONCE_PLAIN},
    {"Content-Type: text/html\n\n<p>", ONCE_DOCUMENT, ONCE_DOCUMENT},
    {"Content-Type: text/html\r\n\r\n<p>", ONCE_DOCUMENT, ONCE_DOCUMENT},
    {"X-Only: 1\n\nbody", ONCE_DOCUMENT, ONCE_DOCUMENT},
    {"Content-Type: text/html\n", ONCE_UNDECIDED, ONCE_BROKEN},
    {"Content-Type: text/html\n<p>\n", ONCE_BROKEN, ONCE_BROKEN},
    {"X-A: 1\nstatus: 404\nno header line\n", ONCE_BROKEN, ONCE_BROKEN},
    {"Status: 99\n\n", ONCE_BROKEN, ONCE_BROKEN},
    {"Status: ok\n\n", ONCE_BROKEN, ONCE_BROKEN},
    /* Text that only begins like a head. */
    {"Total: 5", ONCE_UNDECIDED, ONCE_PLAIN},
    {"Total: 5\n", ONCE_UNDECIDED, ONCE_PLAIN},
    {"Total: 5\nand some text\n", ONCE_PLAIN, ONCE_PLAIN},
    {"Total: 5\nand some text\nstatus: fine\n", ONCE_PLAIN, ONCE_PLAIN},
    {"2026-11-20T12:00:00+00:00\n", ONCE_UNDECIDED, ONCE_PLAIN},
};

static void test_shapes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shape_rows); i++) {
        const struct shape_row *row = &shape_rows[i];
        struct response_head head;
        struct error e = {0};
        struct arena a;
        arena_init(&a, 256);
        enum once_shape coming = once_shape_of(slice_of(row->text), ONCE_MORE_MAY_COME, &a, &head, &e);
        enum once_shape ended = once_shape_of(slice_of(row->text), ONCE_OUTPUT_ENDED, &a, &head, &e);
        if (coming != row->while_it_comes || ended != row->at_the_end)
            fail_msg("\"%s\": %d, then %d", row->text, coming, ended);
        if (ended == ONCE_BROKEN) assert_true(e.message[0] != '\0');
        arena_free(&a);
    }
}

/* However a document is cut, it is recognised with the byte that ends its head. */
static void test_every_prefix(void **state) {
    static const char text[] = "Content-Type: text/html\r\nStatus: 404 Not Found\r\nX-A: b\r\n\r\nbody";
    struct slice whole = slice_of(text);
    size_t head_size = whole.n - 4;
    (void)state;
    for (size_t n = 0; n <= whole.n; n++) {
        struct response_head head;
        struct error e;
        struct arena a;
        arena_init(&a, 256);
        enum once_shape shape = once_shape_of(slice_make(text, n), ONCE_MORE_MAY_COME, &a, &head, &e);
        assert_int_equal(shape, n < head_size ? ONCE_UNDECIDED : ONCE_DOCUMENT);
        if (shape == ONCE_DOCUMENT) {
            assert_int_equal(head.status, 404);
            assert_int_equal(head.size, head_size);
        }
        arena_free(&a);
    }
}

struct fixture {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline pipeline;
    struct invocation *inv;
};

static void fixture_open(struct fixture *f) {
    clock_fake_init(&f->clock);
    deadlines_init(&f->deadlines);
    turn_init(&f->turn);
    pipeline_init(&f->pipeline, &f->clock.clock, NULL, &f->deadlines, &f->turn);
    f->inv = invocation_new(&f->pipeline, NULL, NULL);
}

static void fixture_close(struct fixture *f) {
    invocation_free(f->inv);
    deadlines_free(&f->deadlines);
}

static void test_content_types(void **state) {
    static const struct {
        const char *text, *type;
    } rows[] = {
        {"hello", "text/plain; charset=utf-8"},
        {"gr\xc3\xbc\xc3\x9f", "text/plain; charset=utf-8"},
        {"\xff\xd8\xff\xe0", "application/octet-stream"},
        {"{\"a\": [1, 2]}\n", "application/json"},
        {" \n[]", "application/json"},
        {"{\"a\": 1", "text/plain; charset=utf-8"},
        {"42", "text/plain; charset=utf-8"},
        {"\"text\"", "text/plain; charset=utf-8"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct buf text = {0};
        fixture_open(&f);
        buf_append_text(&text, rows[i].text);
        struct outcome o = once_plain_outcome(f.inv, &text);
        struct slice type = fields_get(&o.headers, SLICE("Content-Type"));
        assert_int_equal(o.status, 200);
        assert_true(slice_equal(type, slice_of(rows[i].type)));
        assert_true(slice_equal(body_whole(o.body), slice_of(rows[i].text)));
        outcome_release(&o);
        fixture_close(&f);
    }
}

static void test_nothing_was_written(void **state) {
    struct fixture f;
    struct buf text = {0};
    (void)state;
    fixture_open(&f);
    struct outcome o = once_plain_outcome(f.inv, &text);
    assert_int_equal(o.status, 200);
    assert_null(o.body);
    assert_int_equal(o.headers.count, 0);
    fixture_close(&f);
}

static void test_broken_is_quoted(void **state) {
    struct fixture f;
    (void)state;
    fixture_open(&f);
    struct outcome o = once_broken_outcome(f.inv, SLICE("Content-Type: x\nTraceback \x01\n"), "no blank line");
    assert_int_equal(o.failure, FAILURE_HANDLER_ANSWER);
    assert_slice(o.detail, "no blank line");
    assert_slice(o.evidence, "Content-Type: x\\x0aTraceback \\x01\\x0a");
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),           cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_content_types),    cmocka_unit_test(test_nothing_was_written),
        cmocka_unit_test(test_broken_is_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
