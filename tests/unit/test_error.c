#include "gateway/base/error.h"
#include "tests/unit/unit.h"
#include <errno.h>

static void set_returns_the_negative_code(void **state) {
    (void)state;
    struct error e;
    memset(&e, 'x', sizeof e);
    assert_int_equal(error_set(&e, ERROR_LIMIT, "more than %d", 7), -ERROR_LIMIT);
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_string_equal(e.message, "more than 7");
    assert_string_equal(e.file, "");
    assert_int_equal(e.line, 0);
    assert_int_equal(e.column, 0);
    assert_int_equal(error_set(NULL, ERROR_STATE, "unseen"), -ERROR_STATE);
}

static void errno_is_spelled_out(void **state) {
    (void)state;
    struct error e;
    assert_int_equal(error_set_errno(&e, ENOENT, "cannot open %s", "a.yaml"), -ERROR_SYSTEM);
    assert_string_equal(e.message, "cannot open a.yaml: No such file or directory");
    assert_int_equal(error_set_errno(NULL, EPERM, "unseen"), -ERROR_SYSTEM);
}

static void long_messages_are_cut(void **state) {
    (void)state;
    struct error e;
    error_set(&e, ERROR_FORMAT, "%2000d", 1);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    error_set_errno(&e, EPERM, "%2000d", 1);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_negative_code),
        cmocka_unit_test(errno_is_spelled_out),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
