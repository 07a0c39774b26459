#include "gateway/base/memory.h"
#include "gateway/observe/function_name.h"
#include "tests/unit/unit.h"

static void forms(void **state) {
    (void)state;
    static const struct {
        const char *text, *name, *qualifier;
    } rows[] = {
        {"orders", "orders", NULL},
        {"orders:$LATEST", "orders", "$LATEST"},
        {"orders:7", "orders", "7"},
        {"123456789012:function:orders", "orders", NULL},
        {"123456789012:function:orders:prod", "orders", "prod"},
        {"arn:aws:lambda:eu-west-1:123456789012:function:orders", "orders", NULL},
        {"arn:aws-cn:lambda:cn-north-1:123456789012:function:orders:7", "orders", "7"},
        /* Two parts that look like the beginning of a longer form. */
        {"arn:aws", "arn", "aws"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct function_name f;
        assert_true(function_name_parse(slice_of(rows[i].text), &f));
        assert_true(slice_equal(f.name, slice_of(rows[i].name)));
        if (rows[i].qualifier)
            assert_true(slice_equal(f.qualifier, slice_of(rows[i].qualifier)));
        else
            assert_none(f.qualifier);
    }
}

static void no_names(void **state) {
    (void)state;
    static const char *const rows[] = {"",
                                       ":",
                                       "orders:",
                                       ":7",
                                       "a:b:c",
                                       "1:function:",
                                       "1:function:orders:7:8",
                                       "1:layer:orders",
                                       "arn:aws:lambda:eu-west-1:1:function:",
                                       "arn:aws:lambda:eu-west-1:1:layer:orders",
                                       "arn:aws:s3:eu-west-1:1:function:orders",
                                       "arn:aws:lambda:eu-west-1:1:function:orders:7:8",
                                       "a:b:c:d:e:f:g:h:i:j:k"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct function_name f;
        if (function_name_parse(slice_of(rows[i]), &f)) fail_msg("\"%s\" was taken for a name", rows[i]);
    }
}

static void one_version(void **state) {
    (void)state;
    assert_true(function_qualifier_is_known(SLICE_NONE));
    assert_true(function_qualifier_is_known(SLICE("$LATEST")));
    assert_false(function_qualifier_is_known(SLICE("")));
    assert_false(function_qualifier_is_known(SLICE("7")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(no_names),
        cmocka_unit_test(one_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
