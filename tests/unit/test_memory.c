#include "gateway/base/list.h"
#include "gateway/base/memory.h"
#include "tests/unit/unit.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void zero_sizes_are_memory_too(void **state) {
    (void)state;
    void *pieces[] = {xmalloc(0), xcalloc(0, 8), xcalloc(8, 0), xrealloc(NULL, 0)};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        assert_non_null(pieces[i]);
        free(pieces[i]);
    }
}

static void calloc_zeroes(void **state) {
    (void)state;
    unsigned char *p = xcalloc(100, 3);
    for (size_t i = 0; i < 300; i++) assert_int_equal(p[i], 0);
    free(p);
}

static void formatted_text(void **state) {
    (void)state;
    char *text = xasprintf("%s-%d", "a", 7);
    assert_string_equal(text, "a-7");
    char *copy = xstrdup(text);
    assert_string_equal(copy, text);
    assert_ptr_not_equal(copy, text);
    free(copy);
    free(text);
}

/* In a child: what must end the process. (Under a sanitizer its allocator exits before ours can abort.) */
static bool is_fatal(void (*run)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(2);
        signal(SIGABRT, SIG_DFL); /* cmocka's own handler would turn it into a failed test */
        run();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status != 0;
}

static void multiply_beyond_size_max(void) {
    volatile size_t many = SIZE_MAX / 2;
    free(xcalloc(many, 4));
}

static void push_twice(void) {
    struct list l;
    struct list_node n = {0};
    list_init(&l);
    list_push(&l, &n);
    list_push(&l, &n);
}

static void impossible_sizes_abort(void **state) {
    (void)state;
    assert_true(is_fatal(multiply_beyond_size_max));
}

static void a_node_in_two_lists_aborts(void **state) {
    (void)state;
    assert_true(is_fatal(push_twice));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_sizes_are_memory_too),
        cmocka_unit_test(calloc_zeroes),
        cmocka_unit_test(formatted_text),
        cmocka_unit_test(impossible_sizes_abort),
        cmocka_unit_test(a_node_in_two_lists_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
