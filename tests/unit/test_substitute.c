#include "gateway/blueprint/schema.h"
#include "tests/unit/problems_helper.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct arena arena;
    struct problems problems;
    struct substitution substitution;
    struct variable variables[3];
    char directory[64];
};

static void write_file(const struct fixture *f, const char *name, struct slice content) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content.p, 1, content.n, file), content.n);
    assert_int_equal(fclose(file), 0);
}

static const char *const file_names[] = {"plain", "lines", "crlf", "nul", "big", "reference"};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 1024);
    problems_begin(&f->problems, "t.yaml", SLICE(""));
    strcpy(f->directory, "/tmp/execgate-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->variables[0] = (struct variable){.name = SLICE("workers"), .value = SLICE("8")};
    f->variables[1] = (struct variable){.name = SLICE("password"), .value = SLICE("hunter2"), .secret = true};
    f->variables[2] = (struct variable){.name = SLICE("unset"), .value = SLICE_NONE};
    f->substitution = (struct substitution){&f->arena, &f->problems, f->directory, f->variables, 3};
    setenv("EXECGATE_TEST_SET", "a b", 1);
    setenv("EXECGATE_TEST_EMPTY", "", 1);
    setenv("EXECGATE_TEST_REFERENCE", "${var.workers}", 1);
    unsetenv("EXECGATE_TEST_UNSET");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    char path[128];
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++) {
        snprintf(path, sizeof path, "%s/%s", f->directory, file_names[i]);
        unlink(path);
    }
    rmdir(f->directory);
    arena_free(&f->arena);
    problems_free(&f->problems);
    free(f);
    return 0;
}

static struct node *resolve(struct fixture *f, const char *text) {
    struct node *n = arena_zalloc(&f->arena, sizeof *n);
    n->kind = NODE_SCALAR;
    n->at = (struct position){3, 7};
    n->text = slice_of(text);
    bool fit = substitute_node(&f->substitution, n);
    assert_int_equal(fit, n->state == NODE_RESOLVED);
    return n;
}

static void test_values(void **state) {
    struct fixture *f = *state;
    static const char *const table[][2] = {
        {"plain", "plain"},
        {"${env.EXECGATE_TEST_SET}", "a b"},
        {"<${env.EXECGATE_TEST_SET}>", "<a b>"},
        {"${env.EXECGATE_TEST_EMPTY}", ""},
        {"${env.EXECGATE_TEST_EMPTY:-d}", "d"},
        {"${env.EXECGATE_TEST_UNSET:-}", ""},
        {"${env.EXECGATE_TEST_UNSET:-x:-y}", "x:-y"},
        {"${env.EXECGATE_TEST_SET:-d}", "a b"},
        {"${var.workers}${var.workers}", "88"},
        {"$${var.workers}", "${var.workers}"},
        {"$$${var.workers}", "$${var.workers}"}, /* a literal $, then the escape */
        {"$x $ {x} $$", "$x $ {x} $$"},
        {"${env.EXECGATE_TEST_REFERENCE}", "${var.workers}"}, /* never looked into again */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct node *n = resolve(f, table[i][0]);
        assert_string_equal(n->text.p, table[i][1]);
        assert_false(n->secret);
    }
    assert_int_equal(f->problems.count, 0);
}

static void test_files_are_secret_and_trimmed(void **state) {
    struct fixture *f = *state;
    write_file(f, "plain", SLICE("word"));
    write_file(f, "lines", SLICE("one\ntwo\n\n"));
    write_file(f, "crlf", SLICE("word\r\n"));
    write_file(f, "reference", SLICE("${var.workers}\n"));
    struct node *n = resolve(f, "${file:plain}");
    assert_slice(n->text, "word");
    assert_true(n->secret);
    assert_slice(resolve(f, "${file:./lines}")->text, "one\ntwo\n");
    assert_slice(resolve(f, "${file:crlf}")->text, "word");
    assert_slice(resolve(f, "${file:reference}")->text, "${var.workers}");
    char absolute[96];
    snprintf(absolute, sizeof absolute, "a${file:%s/plain}b", f->directory);
    assert_slice(resolve(f, absolute)->text, "awordb");
    assert_int_equal(f->problems.count, 0);
}

static void test_bad_files(void **state) {
    struct fixture *f = *state;
    write_file(f, "nul", SLICE("a\0b"));
    char *big = calloc(1, SUBSTITUTE_MAX_FILE + 1);
    memset(big, 'x', SUBSTITUTE_MAX_FILE + 1);
    write_file(f, "big", slice_make(big, SUBSTITUTE_MAX_FILE + 1));
    resolve(f, "${file:big}");
    write_file(f, "plain", slice_make(big, SUBSTITUTE_MAX_FILE));
    assert_int_equal(resolve(f, "${file:plain}")->text.n, SUBSTITUTE_MAX_FILE);
    free(big);
    resolve(f, "${file:nul}");
    resolve(f, "${file:none}");
    resolve(f, "${file:.}");
    resolve(f, "${file:}");
    assert_problem(&f->problems, 3, 7, "big is larger than 1MiB");
    assert_problem(&f->problems, 3, 7, "nul holds a NUL byte");
    assert_problem(&f->problems, 3, 7, "none for ${file:none}: No such file");
    assert_problem(&f->problems, 3, 7, "Is a directory");
    assert_int_equal(f->problems.count, 5);
}

static void test_secret_variables_taint(void **state) {
    struct fixture *f = *state;
    char shown[NODE_SHOWN_SIZE];
    struct node *n = resolve(f, "x${var.password}");
    assert_slice(n->text, "xhunter2");
    assert_true(n->secret);
    assert_string_equal(node_show(n, shown), "(secret)");
}

static void test_mistakes(void **state) {
    struct fixture *f = *state;
    static const char *const table[][2] = {
        {"${env.EXECGATE_TEST_UNSET}", "EXECGATE_TEST_UNSET is not set; set it, or give a default"},
        {"${env.A B}", "\"A B\" is no name"},
        {"${env.}", "is no name"},
        {"${var.worker}", "no variable is named \"worker\"; did you mean \"workers\"?"},
        {"${var.zzz}", "declare it in the `variables:` section"},
        {"${var.workers:-3}", "takes no default"},
        {"${var.unset}", "\"unset\" has no value; run with --var unset=VALUE"},
        {"${HOME}", "\"${HOME}\" is unknown; expected ${env.NAME}"},
        {"${}", "\"${}\" is unknown"},
        {"a ${env.X", "never closed"},
        {"${env.X:-${var.workers}}", "inside another one"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t before = f->problems.count;
        assert_int_equal(resolve(f, table[i][0])->state, NODE_BROKEN);
        assert_int_equal(f->problems.count, before + 1);
        assert_problem(&f->problems, 3, 7, table[i][1]);
    }
}

static void test_a_missing_value_is_told_once(void **state) {
    struct fixture *f = *state;
    resolve(f, "${var.unset}");
    resolve(f, "a${var.unset}");
    assert_int_equal(f->problems.count, 1);
}

static void test_variables_cannot_refer_to_each_other(void **state) {
    struct fixture *f = *state;
    f->substitution.variables = NULL;
    resolve(f, "${var.workers}");
    assert_problem(&f->problems, 3, 7, "cannot refer to another one");
}

static void assert_words(struct fixture *f, const char *line, const char *const *expected) {
    struct node n = {.kind = NODE_SCALAR, .text = slice_of(line)};
    struct bound_command command = {0};
    struct error e;
    assert_int_equal(words_split(&f->arena, &n, &command, &e), 0);
    size_t i = 0;
    for (; expected[i]; i++) {
        assert_true(i < command.count);
        assert_string_equal(command.words[i]->text.p, expected[i]);
    }
    assert_int_equal(command.count, i);
}

static void test_words(void **state) {
    struct fixture *f = *state;
    assert_words(f, "", (const char *const[]){NULL});
    assert_words(f, "  \t\n", (const char *const[]){NULL});
    assert_words(f, "a", (const char *const[]){"a", NULL});
    assert_words(f, "  a  b\tc\n", (const char *const[]){"a", "b", "c", NULL});
    assert_words(f, "a 'b c' \"d e\"f", (const char *const[]){"a", "b c", "d ef", NULL});
    assert_words(f, "'' \"\"", (const char *const[]){"", "", NULL});
    assert_words(f, "a\\ b \\'c \"\\\"\\\\\\n\" '\\'", (const char *const[]){"a b", "'c", "\"\\\\n", "\\", NULL});
    assert_words(f, "x ${env.A:-b c} $${d e}", (const char *const[]){"x", "${env.A:-b c}", "$${d", "e}", NULL});
    assert_words(f, "a;b | c > d $(e) *", (const char *const[]){"a;b", "|", "c", ">", "d", "$(e)", "*", NULL});
    assert_words(f, "1 2 3 4 5 6 7 8 9", (const char *const[]){"1", "2", "3", "4", "5", "6", "7", "8", "9", NULL});
}

static void test_unclosed_quotes(void **state) {
    struct fixture *f = *state;
    struct node n = {.kind = NODE_SCALAR, .text = SLICE("a 'b")};
    struct bound_command command = {0};
    struct error e;
    assert_int_equal(words_split(&f->arena, &n, &command, &e), -ERROR_BLUEPRINT);
    assert_non_null(strstr(e.message, "never closed"));
}

static void test_paths(void **state) {
    struct fixture *f = *state;
    assert_string_equal(path_resolve(&f->arena, "/d", SLICE("a/b")), "/d/a/b");
    assert_string_equal(path_resolve(&f->arena, "/d", SLICE("./a")), "/d/a");
    assert_string_equal(path_resolve(&f->arena, "/d", SLICE(".")), "/d");
    assert_string_equal(path_resolve(&f->arena, "/d", SLICE("./")), "/d");
    assert_string_equal(path_resolve(&f->arena, "/", SLICE("a")), "/a");
    assert_string_equal(path_resolve(&f->arena, "/d", SLICE("/a")), "/a");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_values),
        CASE(test_files_are_secret_and_trimmed),
        CASE(test_bad_files),
        CASE(test_secret_variables_taint),
        CASE(test_mistakes),
        CASE(test_a_missing_value_is_told_once),
        CASE(test_variables_cannot_refer_to_each_other),
        CASE(test_words),
        CASE(test_unclosed_quotes),
        CASE(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
