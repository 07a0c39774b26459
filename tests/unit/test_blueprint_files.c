#include "tests/unit/blueprint_helper.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct folder {
    char path[64];
};

static int folder_setup(void **state) {
    struct folder *f = calloc(1, sizeof *f);
    strcpy(f->path, "/tmp/execgate-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    *state = f;
    return 0;
}

static const char *const folder_files[] = {"good", "plain", "bare",           "empty",
                                           "lost", "crlf",  "blueprint.yaml", "secret"};

static int folder_teardown(void **state) {
    struct folder *f = *state;
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(folder_files); i++) {
        snprintf(path, sizeof path, "%s/%s", f->path, folder_files[i]);
        unlink(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void folder_write(const struct folder *f, const char *name, const char *content, mode_t mode) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct blueprint *folder_load(const struct folder *f, const char *content, struct problems *p) {
    char path[128];
    folder_write(f, "blueprint.yaml", content, 0600);
    snprintf(path, sizeof path, "%s/blueprint.yaml", f->path);
    return blueprint_load(path, &(struct blueprint_options){.check = BLUEPRINT_CHECK_FILES}, p);
}

static void test_executables_are_checked(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    folder_write(f, "good", "#!/bin/sh\necho hello\n", 0755);
    folder_write(f, "plain", "#!/bin/sh\n", 0644);
    folder_write(f, "bare", "echo hello\n", 0755);
    folder_write(f, "empty", "", 0755);
    folder_write(f, "lost", "#!/no/such/interpreter -x\n", 0755);
    folder_write(f, "crlf", "#!/bin/sh\r\n", 0755);
    assert_null(folder_load(f,
                            "blueprint: 1\nname: a\nhandlers:\n"
                            "  fine: {command: ./good}\n"
                            "  also: {command: sh -c true}\n"
                            "  h1: {command: bin/none}\n"
                            "  h2: {command: /tmp}\n"
                            "  h3: {command: ./plain}\n"
                            "  h4: {command: ./bare}\n"
                            "  h5: {command: ./empty}\n"
                            "  h6: {command: ./lost}\n"
                            "  h7: {command: [./crlf]}\n"
                            "  h8: {command: good}\n"
                            "  h9: {command: execgate-no-such-program}\n"
                            "  h10: {command: ./good, workingDirectory: none}\n"
                            "  h11: {command: ./good, workingDirectory: good}\n",
                            &p));
    assert_problem(&p, 6, 17, "bin/none does not exist");
    assert_problem(&p, 7, 17, "/tmp is a directory");
    assert_problem(&p, 8, 17, "is not executable; run: chmod +x");
    assert_problem(&p, 9, 17, "without a first line such as #!/bin/sh");
    assert_problem(&p, 10, 17, "is empty");
    assert_problem(&p, 11, 17, "names the interpreter \"/no/such/interpreter\"");
    assert_problem(&p, 12, 18, "carriage return");
    assert_problem(&p, 13, 17, "\"good\" is not in PATH; to run the file beside the blueprint, write ./good");
    assert_problem(&p, 14, 17, "is not in PATH");
    assert_problem(&p, 15, 44, "none does not exist");
    assert_problem(&p, 16, 44, "good is not a directory");
    assert_int_equal(p.count, 11);
    problems_free(&p);
}

static void test_loading_a_good_file(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    folder_write(f, "good", "#!/bin/sh\n", 0755);
    folder_write(f, "secret", "hunter2\n", 0600);
    struct blueprint *b = folder_load(f,
                                      "blueprint: 1\nname: a\nhandlers: {a: {command: ./good, environment: {S: "
                                      "\"${file:secret}\"}}, b: {command: sh}}\n",
                                      &p);
    problems_dump(&p);
    assert_non_null(b);
    assert_string_equal(b->directory, f->path);
    assert_string_equal(b->handlers[0].environment[0].value, "hunter2");
    assert_true(b->handlers[0].environment[0].secret);
    assert_int_equal(b->handlers[1].command[0][0], '/');
    blueprint_release(b);
    assert_null(
        folder_load(f, "blueprint: 1\nname: a\nhandlers: {a: {command: ./good, timeout: \"${file:secret}\"}}\n", &p));
    assert_problem(&p, 3, 42, "found (secret)");
    assert_nowhere(&p, "hunter2");
    problems_free(&p);
}

static void test_unreadable_files(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    assert_null(blueprint_load("/no/such/blueprint.yaml", NULL, &p));
    assert_problem(&p, 0, 0, "cannot read the blueprint: No such file or directory");
    assert_null(blueprint_load(f->path, NULL, &p));
    assert_int_equal(p.count, 1);
    assert_problem(&p, 0, 0, "Is a directory; name the file in it");
    problems_free(&p);
}

static void test_hostile_texts_finish_quickly(void **state) {
    (void)state;
    struct problems p = {0};
    struct buf text = {0};
    for (size_t i = 0; i < 1000000; i++) buf_append_char(&text, '[');
    clock_t before = clock();
    assert_null(blueprint_parse(buf_slice(&text), "deep.yaml", NULL, &p));
    assert_true((double)(clock() - before) / CLOCKS_PER_SEC < 2.0);
    assert_int_equal(p.count, 1);
    assert_problem(&p, 1, 65, "nested more than 64 levels deep");
    buf_free(&text);
    buf_append_text(&text, "blueprint: 1\nname: a\nhandlers:\n  a: &a {command: [x, *a]}\n  b: *a\n");
    assert_null(blueprint_parse(buf_slice(&text), "cycle.yaml", NULL, &p));
    assert_problem(&p, 4, 23, "aliases (*a) are not allowed");
    assert_problem(&p, 5, 6, "aliases");
    buf_free(&text);
    problems_free(&p);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_executables_are_checked),
        IN_FOLDER(test_loading_a_good_file),
        IN_FOLDER(test_unreadable_files),
        cmocka_unit_test(test_hostile_texts_finish_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
