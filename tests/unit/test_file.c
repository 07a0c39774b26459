#include "gateway/base/file.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char folder[64], a[96], b[96];
    struct clock_fake clock;
    struct deadlines deadlines;
    struct file_poll *poll;
    int changes;
};

static void on_changed(void *context) {
    ((struct place *)context)->changes++;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/execgate-file-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->a, sizeof p->a, "%s/a", p->folder);
    snprintf(p->b, sizeof p->b, "%s/b", p->folder);
    write_file(p->a, "first");
    clock_fake_init(&p->clock);
    deadlines_init(&p->deadlines);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    file_poll_close(p->poll);
    assert_int_equal(p->deadlines.count, 0);
    deadlines_free(&p->deadlines);
    unlink(p->a);
    unlink(p->b);
    assert_int_equal(rmdir(p->folder), 0);
    free(p);
    return 0;
}

static void begin(struct place *p) {
    const char *paths[] = {p->a, p->b};
    p->poll = file_poll_open(&(struct file_poll_config){.deadlines = &p->deadlines,
                                                        .clock = &p->clock.clock,
                                                        .paths = paths,
                                                        .count = 2,
                                                        .on_changed = on_changed,
                                                        .context = p});
}

static void look(struct place *p) {
    clock_fake_advance_ms(&p->clock, 1000);
    assert_int_equal(deadlines_run(&p->deadlines, clock_now_ms(&p->clock.clock)), 1);
}

static void contents(void **state) {
    struct place *p = *state;
    struct buf out = {0};
    struct error e;
    assert_int_equal(file_read(p->a, "the keys", 5, &out, &e), 0);
    assert_true(slice_equal(buf_slice(&out), SLICE("first")));
    buf_free(&out);
    assert_true(file_read(p->a, "the keys", 4, &out, &e) < 0);
    assert_non_null(strstr(e.message, "cannot read the keys /tmp/execgate-file-"));
    assert_non_null(strstr(e.message, "large"));
    assert_true(file_read(p->b, "the keys", 4, &out, &e) < 0);
    assert_non_null(strstr(e.message, "/b: No such file"));
    assert_true(file_read(p->folder, "the keys", 4, &out, &e) < 0);
    assert_int_equal(mkfifo(p->b, 0600), 0);
    assert_true(file_read(p->b, "the keys", 4, &out, &e) < 0);
    assert_int_equal(out.n, 0);
    buf_free(&out);
}

static void nothing_changed(void **state) {
    struct place *p = *state;
    begin(p);
    for (int i = 0; i < 3; i++) look(p);
    assert_int_equal(p->changes, 0);
}

static void told_once_when_it_has_settled(void **state) {
    struct place *p = *state;
    begin(p);
    write_file(p->a, "second");
    look(p);
    write_file(p->b, "appears later");
    look(p);
    assert_int_equal(p->changes, 0);
    look(p);
    assert_int_equal(p->changes, 1);
    look(p);
    assert_int_equal(p->changes, 1);
}

static void another_file_of_the_same_size_and_its_absence(void **state) {
    struct place *p = *state;
    begin(p);
    write_file(p->b, "other");
    look(p);
    look(p);
    assert_int_equal(p->changes, 1);
    assert_int_equal(rename(p->b, p->a), 0);
    look(p);
    look(p);
    assert_int_equal(p->changes, 2);
    assert_int_equal(unlink(p->a), 0);
    look(p);
    look(p);
    assert_int_equal(p->changes, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(contents, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(told_once_when_it_has_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(another_file_of_the_same_size_and_its_absence, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
