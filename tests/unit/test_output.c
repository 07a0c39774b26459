/* Cutting bytes into lines, the budget, the tail. */
#include "gateway/pool/output.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>

static void note_line(void *context, struct slice line) {
    buf_printf(context, "[" SLICE_FMT "]", SLICE_ARG(line));
}

static void lines_come_whole_wherever_the_bytes_are_cut(void **state) {
    (void)state;
    static const char text[] = "one\n\ntwo\r\nthree\r\r\nfour";
    for (size_t step = 1; step <= sizeof text; step++) {
        struct output_cutter c = {0};
        struct buf lines = {0};
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t n = sizeof text - 1 - at;
            output_cut(&c, slice_make(text + at, n < step ? n : step), note_line, &lines);
        }
        assert_slice(buf_slice(&lines), "[one][][two][three\r]");
        output_cut_end(&c, note_line, &lines);
        output_cut_end(&c, note_line, &lines);
        assert_slice(buf_slice(&lines), "[one][][two][three\r][four]");
        buf_free(&lines);
    }
}

static void count_bytes(void *context, struct slice line) {
    size_t *sizes = context;
    sizes[++sizes[0]] = line.n;
}

static void a_long_line_is_cut(void **state) {
    (void)state;
    for (size_t step = 1000; step <= 30000; step += 4833) {
        struct output_cutter c = {0};
        struct buf text = {0};
        size_t sizes[8] = {0};
        for (int i = 0; i < OUTPUT_LINE_SIZE; i++) buf_append_char(&text, 'x');
        buf_append_text(&text, "\nshort\n");
        for (int i = 0; i < 20000; i++) buf_append_char(&text, 'y');
        buf_append_text(&text, "\nend");
        for (size_t at = 0; at < text.n; at += step)
            output_cut(&c, slice_make(text.p + at, text.n - at < step ? text.n - at : step), count_bytes, sizes);
        output_cut_end(&c, count_bytes, sizes);
        assert_int_equal(sizes[0], 4);
        assert_int_equal(sizes[1], OUTPUT_LINE_SIZE);
        assert_int_equal(sizes[2], 5);
        assert_int_equal(sizes[3], OUTPUT_LINE_SIZE);
        assert_int_equal(sizes[4], 3);
        buf_free(&text);
    }
}

static void the_budget_is_per_second(void **state) {
    (void)state;
    struct output_budget b = {0};
    uint64_t lines, bytes;
    for (int i = 0; i < OUTPUT_WINDOW_LINES; i++) assert_true(output_afford(&b, 5000, 10));
    assert_false(output_take_dropped(&b, &lines, &bytes));
    for (int i = 0; i < 3; i++) assert_false(output_afford(&b, 5999, 10));
    assert_true(output_take_dropped(&b, &lines, &bytes));
    assert_int_equal(lines, 3);
    assert_int_equal(bytes, 30);
    assert_false(output_take_dropped(&b, &lines, &bytes));
    for (int i = 0; i < OUTPUT_WINDOW_BYTES / 8192; i++) assert_true(output_afford(&b, 6000, 8192));
    assert_false(output_afford(&b, 6500, 1));
    assert_true(output_afford(&b, 7000, 1));
}

static void the_tail_keeps_the_last_lines(void **state) {
    (void)state;
    struct output_tail t = {0};
    struct buf out = {0};
    output_tail_write(&t, &out);
    assert_int_equal(out.n, 0);
    for (int i = 0; i < 30; i++) {
        char line[16];
        output_tail_add(&t, slice_make(line, (size_t)snprintf(line, sizeof line, "line %d", i)));
    }
    output_tail_write(&t, &out);
    assert_int_equal(strncmp(out.p, "line 10\nline 11\n", 16), 0);
    assert_int_equal(memcmp(out.p + out.n - 7, "line 29", 7), 0);
    buf_free(&out);
}

/* Against a plain list of all lines that were ever added. */
static void the_tail_agrees_with_a_simple_one(void **state) {
    (void)state;
    struct output_tail t = {0};
    static char all[3000][600];
    size_t sizes[3000];
    srand(7);
    for (size_t i = 0; i < 3000; i++) {
        sizes[i] = (size_t)(rand() % 600);
        memset(all[i], 'a' + (int)(i % 26), sizes[i]);
        output_tail_add(&t, slice_make(all[i], sizes[i]));
        struct buf out = {0}, expected = {0};
        size_t first = i + 1, total = 0;
        while (first > 0 && i + 1 - first < OUTPUT_TAIL_LINES && total + sizes[first - 1] + 1 <= OUTPUT_TAIL_SIZE)
            total += sizes[--first] + 1;
        for (size_t n = first; n <= i; n++) {
            if (n > first) buf_append_char(&expected, '\n');
            buf_append(&expected, all[n], sizes[n]);
        }
        output_tail_write(&t, &out);
        assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
        buf_free(&out);
        buf_free(&expected);
    }
    static char huge[9000];
    memset(huge, 'h', sizeof huge);
    output_tail_add(&t, slice_make(huge, sizeof huge));
    struct buf out = {0};
    output_tail_write(&t, &out);
    assert_int_equal(out.n, OUTPUT_TAIL_SIZE - 1);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_wherever_the_bytes_are_cut),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(the_budget_is_per_second),
        cmocka_unit_test(the_tail_keeps_the_last_lines),
        cmocka_unit_test(the_tail_agrees_with_a_simple_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
