/* blueprint_text.h - a blueprint for tests of plugins: one handler, the triggers that the test writes. */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/blueprint/section.h"
#include "tests/unit/problems_helper.h"

/* The blueprint must be without problems. The caller releases it. */
static inline struct blueprint *blueprint_of_text(const char *text, const struct sections *sections) {
    const struct blueprint_options options = {.sections = sections};
    struct problems problems = {0};
    struct blueprint *b = blueprint_parse(slice_of(text), "/srv/test/test.yaml", &options, &problems);
    problems_dump(&problems);
    assert_non_null(b);
    problems_free(&problems);
    return b;
}
/* Read with one section only: b->settings[0] is what it made. */
static inline struct blueprint *blueprint_of_section(const char *text, const struct section *section) {
    const struct sections sections = {{section}, 1};
    return blueprint_of_text(text, &sections);
}
