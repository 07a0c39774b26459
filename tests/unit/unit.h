/* unit.h - what every unit test includes: cmocka with what it needs, and slices compared with literals. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "gateway/base/slice.h"

#define assert_slice(s, literal) assert_slice_is((s), SLICE(literal), __FILE__, __LINE__)

static inline void assert_slice_is(struct slice s, struct slice expected, const char *file, int line) {
    if (!slice_is_none(s) && slice_equal(s, expected)) return;
    print_error("\"" SLICE_FMT "\"%s instead of \"" SLICE_FMT "\"\n", SLICE_ARG(s), s.p ? "" : " (absent)",
                SLICE_ARG(expected));
    _fail(file, line);
}
#define assert_none(s) assert_true(slice_is_none(s))
