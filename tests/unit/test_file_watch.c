/* With the system clock: what is waited for are conditions, bounded by WAIT_MS. */
#include "gateway/base/memory.h"
#include "gateway/loop/file_watch.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 30000

struct fixture {
    struct clock *clock;
    struct loop *loop;
    char parent[64], folder[80];
    struct file_watch *watch;
    const char *expected; /* a name; NULL = any change */
    bool seen;
};

static void on_change(void *context, const char *name) {
    struct fixture *f = context;
    if (!f->expected || (name && strcmp(name, f->expected) == 0)) f->seen = true;
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error e;
    f->clock = clock_system_new();
    f->loop = loop_new(f->clock, &e);
    strcpy(f->parent, "/tmp/execgate-watch-XXXXXX");
    assert_non_null(mkdtemp(f->parent));
    snprintf(f->folder, sizeof f->folder, "%s/f", f->parent);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    char remove[128];
    file_watch_close(f->watch);
    loop_free(f->loop);
    clock_system_free(f->clock);
    snprintf(remove, sizeof remove, "rm -rf '%s'", f->parent);
    assert_int_equal(system(remove), 0);
    free(f);
    return 0;
}

static void start(struct fixture *f) {
    struct error e;
    f->watch = file_watch_open(f->loop, f->folder, on_change, f, &e);
    assert_non_null(f->watch);
}

static bool was_seen(void *context) {
    const struct fixture *f = context;
    return f->seen;
}

static void expect(struct fixture *f, const char *name) {
    f->expected = name;
    assert_true(loop_run_until(f->loop, was_seen, f, WAIT_MS));
    f->seen = false;
}

static void put(const struct fixture *f, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("text", file);
    fclose(file);
}

static void files_that_come_change_and_are_replaced_are_told(void **state) {
    struct fixture *f = *state;
    char from[128], to[128];
    assert_int_equal(mkdir(f->folder, 0700), 0);
    start(f);
    put(f, "a");
    expect(f, "a");
    put(f, "b");
    expect(f, "b");
    snprintf(from, sizeof from, "%s/b", f->folder);
    snprintf(to, sizeof to, "%s/a", f->folder);
    assert_int_equal(rename(from, to), 0);
    expect(f, "a");
    assert_int_equal(unlink(to), 0);
    expect(f, "a");
}

static void a_folder_that_is_not_there_is_waited_for(void **state) {
    struct fixture *f = *state;
    start(f);
    assert_int_equal(mkdir(f->folder, 0700), 0);
    expect(f, NULL);
    put(f, "a");
    expect(f, "a");
}

static void a_folder_that_is_made_anew_is_watched_again(void **state) {
    struct fixture *f = *state;
    char away[128];
    assert_int_equal(mkdir(f->folder, 0700), 0);
    start(f);
    snprintf(away, sizeof away, "%s/away", f->parent);
    assert_int_equal(rename(f->folder, away), 0);
    expect(f, NULL);
    assert_int_equal(mkdir(f->folder, 0700), 0);
    expect(f, NULL);
    put(f, "a");
    expect(f, "a");
}

static void one_that_was_closed_says_nothing(void **state) {
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->folder, 0700), 0);
    start(f);
    struct file_watch *closed = f->watch;
    put(f, "a");
    file_watch_close(closed);
    start(f);
    put(f, "b");
    expect(f, "b");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_that_come_change_and_are_replaced_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_made_anew_is_watched_again, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_was_closed_says_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
