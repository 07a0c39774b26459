/* What counts as a handler's sources, and what counts as a change. */
#include "gateway/base/memory.h"
#include "gateway/command/build/source_tree.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *folder;
    struct handler_config handler;
    char *command[3], *build[2];
    const char *sources[4];
    struct source_tree *tree;
};

static char *at(const struct place *p, const char *name) {
    return xasprintf("%s/%s", p->folder, name);
}

static void put(const struct place *p, const char *name, const char *text) {
    char *path = at(p, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static void make_folder(const struct place *p, const char *name) {
    char *path = at(p, name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static int setup(void **state) {
    struct place *p = xcalloc(1, sizeof *p);
    p->folder = xstrdup("/tmp/execgate-sources-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    p->handler = (struct handler_config){.name = "h", .working_directory = p->folder, .command = p->command};
    p->handler.sources = p->sources;
    p->command[0] = at(p, "app.c"); /* looks like a source, but is the executable */
    p->build[0] = xstrdup("make");
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    char *remove = xasprintf("rm -rf '%s'", p->folder);
    assert_int_equal(system(remove), 0);
    free(remove);
    source_tree_free(p->tree);
    for (size_t i = 0; i < ARRAY_LEN(p->sources); i++) free((char *)p->sources[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->command); i++) free(p->command[i]);
    free(p->build[0]);
    free(p->folder);
    free(p);
    return 0;
}

static void expect(struct place *p, const char *name, bool counts) {
    put(p, name, "something new");
    if (source_tree_look(p->tree) != counts) fail_msg("%s %s", name, counts ? "should count" : "should not count");
    assert_false(source_tree_look(p->tree));
}

static void with_a_build_all_that_looks_like_a_source_counts(void **state) {
    struct place *p = *state;
    static const char *const folders[] = {"src", "src/deep", "target", "node_modules", ".git"};
    p->handler.build = p->build;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) make_folder(p, folders[i]);
    p->tree = source_tree_new(&p->handler);
    static const struct {
        const char *name;
        bool counts;
    } rows[] = {
        {"main.go", true},
        {"Makefile", true},
        {"src/deep/a.rs", true},
        {"src/notes.txt", false},
        {"app.c", false},
        {"target/a.rs", false},
        {"node_modules/a.js", false},
        {".git/a.c", false},
        {".hidden.c", false},
        {"main.go~", false},
        {"main.o", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) expect(p, rows[i].name, rows[i].counts);
    assert_int_equal(source_tree_folder_count(p->tree), 3);
    make_folder(p, "src/new");
    put(p, "src/new/b.c", "");
    assert_true(source_tree_look(p->tree));
    assert_int_equal(source_tree_folder_count(p->tree), 4);
}

static void what_is_in_a_file_counts_and_not_when_it_was_written(void **state) {
    struct place *p = *state;
    p->handler.build = p->build;
    put(p, "a.c", "one");
    p->tree = source_tree_new(&p->handler);
    put(p, "b.c", "one");
    assert_true(source_tree_look(p->tree));
    char *path = at(p, "a.c");
    const struct timespec times[] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_false(source_tree_look(p->tree));
    put(p, "a.c", "two");
    assert_true(source_tree_look(p->tree));
    assert_int_equal(unlink(path), 0);
    assert_true(source_tree_look(p->tree));
    free(path);
}

static void sources_may_be_files_folders_and_patterns(void **state) {
    struct place *p = *state;
    p->handler.build = p->build;
    make_folder(p, "include");
    make_folder(p, "src");
    make_folder(p, "src/deep");
    p->sources[0] = at(p, "include");
    p->sources[1] = at(p, "src/**/*.c");
    p->sources[2] = at(p, "VERSION");
    p->handler.source_count = 3;
    p->tree = source_tree_new(&p->handler);
    expect(p, "include/anything", true);
    expect(p, "src/a.c", true);
    expect(p, "src/deep/b.c", true);
    expect(p, "src/deep/b.h", false);
    expect(p, "VERSION", true);
    expect(p, "main.c", false);
}

static void without_a_build_the_command_counts(void **state) {
    struct place *p = *state;
    put(p, "script.py", "1");
    p->command[1] = xstrdup("script.py");
    p->tree = source_tree_new(&p->handler);
    expect(p, "app.c", true);
    expect(p, "script.py", true);
    expect(p, "other.py", false);
    assert_false(source_tree_is_cut(p->tree));
}

static void what_never_ends_is_not_read(void **state) {
    struct place *p = *state;
    char *link = at(p, "zero.c");
    assert_int_equal(symlink("/dev/zero", link), 0);
    free(link);
    p->handler.build = p->build;
    alarm(60); /* instead of a test that never ends, too */
    p->tree = source_tree_new(&p->handler);
    assert_false(source_tree_look(p->tree));
    alarm(0);
}

static void a_folder_that_has_gone_is_waited_for(void **state) {
    struct place *p = *state;
    char *project = at(p, "project");
    make_folder(p, "project");
    p->handler.working_directory = project;
    p->handler.build = p->build;
    p->tree = source_tree_new(&p->handler);
    assert_int_equal(source_tree_folder_count(p->tree), 1);
    assert_int_equal(rmdir(project), 0);
    source_tree_look(p->tree);
    assert_int_equal(source_tree_folder_count(p->tree), 1);
    assert_string_equal(source_tree_folder(p->tree, 0), project);
    free(project);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_a_build_all_that_looks_like_a_source_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_in_a_file_counts_and_not_when_it_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(sources_may_be_files_folders_and_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_build_the_command_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_never_ends_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_has_gone_is_waited_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
