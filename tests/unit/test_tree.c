#include "gateway/base/buf.h"
#include "gateway/blueprint/tree.h"
#include "tests/unit/problems_helper.h"
#include <stdlib.h>
#include <time.h>

struct reading {
    struct arena arena;
    struct problems problems;
    struct node *root;
};

static struct reading read_slice(struct slice text) {
    struct reading r = {0};
    arena_init(&r.arena, 1024);
    problems_begin(&r.problems, "t.yaml", text);
    r.root = tree_parse(text, &r.arena, &r.problems);
    return r;
}
static struct reading read_text(const char *text) {
    return read_slice(slice_of(text));
}
static void reading_free(struct reading *r) {
    arena_free(&r->arena);
    problems_free(&r->problems);
}

static void test_positions_and_styles(void **state) {
    (void)state;
    struct reading r = read_text("a: yes\nb: \"yes\"\nc:\n  - x\n  - {d: 'é', e: f}\n");
    assert_int_equal(r.problems.count, 0);
    const struct node *a = node_get(r.root, "a");
    assert_slice(a->text, "yes");
    assert_true(a->plain);
    assert_int_equal(a->at.line, 1);
    assert_int_equal(a->at.column, 4);
    assert_false(node_get(r.root, "b")->plain);
    const struct node *c = node_get(r.root, "c");
    assert_int_equal(c->kind, NODE_LIST);
    assert_int_equal(c->count, 2);
    const struct node *e = node_get(c->items[1], "e");
    assert_int_equal(e->at.line, 5);
    assert_int_equal(e->at.column, 17); /* in characters, not bytes */
    assert_int_equal(node_last_line(r.root), 5);
    assert_null(node_get(r.root, "z"));
    assert_null(node_get(a, "z"));
    reading_free(&r);
}

static void test_null_is_only_plain(void **state) {
    (void)state;
    struct reading r = read_text("a:\nb: ~\nc: null\nd: \"\"\ne: 'null'\n");
    assert_true(node_is_null(node_get(r.root, "a")));
    assert_true(node_is_null(node_get(r.root, "b")));
    assert_true(node_is_null(node_get(r.root, "c")));
    assert_false(node_is_null(node_get(r.root, "d")));
    assert_false(node_is_null(node_get(r.root, "e")));
    reading_free(&r);
}

static void test_bom_and_crlf_are_fine(void **state) {
    (void)state;
    struct reading r = read_text("\xef\xbb\xbf"
                                 "a: 1\r\nb: 2\r\n");
    assert_int_equal(r.problems.count, 0);
    assert_slice(node_get(r.root, "b")->text, "2");
    assert_int_equal(node_get(r.root, "a")->at.column, 4);
    reading_free(&r);
}

static const struct refusal {
    const char *text;
    int line, column;
    const char *words;
} refusals[] = {
    {"a: 1\na: 2\n", 2, 1, "\"a\" stands twice in this map, first on line 1"},
    {"a: {b: 1, c: 2, b: 3}\n", 1, 17, "\"b\" stands twice"},
    {"a: &x 1\n", 1, 4, "anchors (&x) are not allowed"},
    {"a: &x [*x]\n", 1, 8, "aliases (*x) are not allowed"},
    {"a: &x {k: 1}\nb:\n  <<: *x\n", 3, 7, "aliases"},
    {"a:\n  <<: {k: 1}\n", 2, 3, "merge keys"},
    {"a: !!int 1\n", 1, 4, "tags (tag:yaml.org,2002:int) are not allowed"},
    {"a: !x {}\n", 1, 4, "tags"},
    {"? [a, b]\n: 1\n", 1, 3, "a key must be plain text, not a list"},
    {"", 1, 1, "the file holds nothing"},
    {"# only a comment\n", 1, 1, "the file holds nothing"},
    {"a: 1\n---\nb: 2\n", 2, 1, "a second document"},
    {"a: 1\n...\n---\nb: 2\n", 3, 1, "a second document"},
    {"a: 1\nb: \xff\n", 2, 4, "not UTF-8 text: found the byte 0xff"},
    {"\xff\xfe"
     "a\0",
     1, 1, "not UTF-8"},
    {"a: 1\nb: x\x01y\n", 2, 5, "control characters"},
    {"a: \"x\\0y\"\n", 1, 4, "NUL"},
    {"a:\n\tb: 1\n", 2, 1, "never with tabs"},
    {"a: [${x}, 1]\n", 1, 6, "must be in quotes"},
    {"a: {b: ${env.X}}\n", 1, 9, "must be in quotes"},
    {"a: [{http: GET /items/{id}}]\n", 1, 23, "a path with {...} must be in quotes"},
    {"a: [{b: 1} {c: 2}]\n", 1, 12, "separate items"},
    {"a: [1, 2\nb: 3\n", 2, 2, "began on line 1"},
    {"a: @x\n", 1, 4, "in quotes"},
    {"a: b: c\n", 1, 5, "in quotes"},
    {"a: \"never closed\n", 2, 1, "a quote is never closed"},
    {"a: 1\nb\n", 3, 1, "a key is followed by a colon"},
    {"a:\n  b: 1\n c: 2\n", 3, 2, "indentation"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct reading r = read_text(refusals[i].text);
        assert_problem(&r.problems, refusals[i].line, refusals[i].column, refusals[i].words);
        reading_free(&r);
    }
}

static void test_several_problems_in_one_run(void **state) {
    (void)state;
    struct reading r = read_text("a: &x 1\na: !t 2\nb: *x\n");
    assert_int_equal(r.problems.count, 4);
    assert_non_null(r.root);
    assert_slice(node_get(r.root, "a")->text, "1");
    reading_free(&r);
}

/* Ten levels of nine aliases each: 3.4 thousand million nodes if it were expanded. */
static void test_alias_bomb_stays_small(void **state) {
    (void)state;
    struct buf text = {0};
    buf_append_text(&text, "a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (char c = 'b'; c <= 'k'; c++) {
        buf_printf(&text, "%c: &%c [", c, c);
        for (int i = 0; i < 9; i++) buf_printf(&text, "%s*%c", i ? ", " : "", c - 1);
        buf_append_text(&text, "]\n");
    }
    struct reading r = read_slice(buf_slice(&text));
    assert_problem(&r.problems, 2, 8, "aliases (*a)");
    assert_int_equal(r.problems.count, PROBLEMS_MAX);
    assert_true(problems_full(&r.problems));
    reading_free(&r);
    buf_free(&text);
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct reading read_repeated(const char *piece, size_t size) {
    struct buf text = {0};
    while (text.n < size) buf_append_text(&text, piece);
    struct reading r = read_slice(buf_slice(&text));
    buf_free(&text);
    return r;
}

static void test_depth_is_refused_quickly(void **state) {
    (void)state;
    static const char *const pieces[] = {"[", "{", "[{", "- ", "? ", "{a: "};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        double before = seconds_now();
        struct reading r = read_repeated(pieces[i], 1000000);
        assert_true(seconds_now() - before < 2.0);
        assert_int_equal(r.problems.count, 1);
        assert_int_equal(r.problems.items[0].line, 1);
        reading_free(&r);
    }
}

static void test_depth_limit_is_exact(void **state) {
    (void)state;
    char text[2 * (TREE_MAX_DEPTH + 1) + 1];
    for (size_t depth = TREE_MAX_DEPTH; depth <= TREE_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct reading r = read_slice(slice_make(text, 2 * depth));
        if (depth == TREE_MAX_DEPTH)
            assert_int_equal(r.problems.count, 0);
        else
            assert_problem(&r.problems, 1, TREE_MAX_DEPTH + 1, "nested more than 64 levels");
        reading_free(&r);
    }
}

static void test_size_limit(void **state) {
    (void)state;
    struct reading fits = read_repeated("# a comment...\n", TREE_MAX_SIZE - 16);
    assert_problem(&fits.problems, 1, 1, "holds nothing");
    reading_free(&fits);
    struct reading large = read_repeated("# a comment...\n", TREE_MAX_SIZE + 1);
    assert_problem(&large.problems, 0, 0, "larger than 1MiB");
    reading_free(&large);
}

static void test_many_keys_are_quick(void **state) {
    (void)state;
    struct buf text = {0};
    for (unsigned i = 0; i < 60000; i++) buf_printf(&text, "key%u: %u\n", i, i);
    double before = seconds_now();
    struct reading r = read_slice(buf_slice(&text));
    assert_true(seconds_now() - before < 5.0);
    assert_int_equal(r.root->count, 60000);
    reading_free(&r);
    buf_free(&text);
}

static void test_show(void **state) {
    (void)state;
    char shown[NODE_SHOWN_SIZE];
    struct reading r = read_text("a: x\nb: [1]\nc: {}\nd:\ne: \"\\e[2J\"\n");
    assert_string_equal(node_show(node_get(r.root, "a"), shown), "\"x\"");
    assert_string_equal(node_show(node_get(r.root, "b"), shown), "a list");
    assert_string_equal(node_show(node_get(r.root, "c"), shown), "a map");
    assert_string_equal(node_show(node_get(r.root, "d"), shown), "nothing");
    assert_string_equal(node_show(node_get(r.root, "e"), shown), "\"\\x1b[2J\"");
    node_get(r.root, "a")->secret = true;
    assert_string_equal(node_show(node_get(r.root, "a"), shown), "(secret)");
    reading_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions_and_styles),
        cmocka_unit_test(test_null_is_only_plain),
        cmocka_unit_test(test_bom_and_crlf_are_fine),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_several_problems_in_one_run),
        cmocka_unit_test(test_alias_bomb_stays_small),
        cmocka_unit_test(test_depth_is_refused_quickly),
        cmocka_unit_test(test_depth_limit_is_exact),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_many_keys_are_quick),
        cmocka_unit_test(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
