/* blueprint_helper.h - blueprints from texts, as tests want them. */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/blueprint/report.h"
#include "tests/unit/problems_helper.h"

static inline struct blueprint *parse_with(const char *text, const struct variable_override *overrides, size_t count,
                                           struct problems *p) {
    const struct blueprint_options options = {.overrides = overrides, .override_count = count};
    return blueprint_parse(slice_of(text), "/srv/shop/shop.yaml", &options, p);
}
static inline struct blueprint *parse(const char *text, struct problems *p) {
    return parse_with(text, NULL, 0, p);
}

static inline struct blueprint *parse_valid(const char *text) {
    struct problems p = {0};
    struct blueprint *b = parse(text, &p);
    problems_dump(&p);
    assert_non_null(b);
    assert_int_equal(p.count, 0);
    problems_free(&p);
    return b;
}

static inline void assert_nowhere(const struct problems *p, const char *secret) {
    struct buf out = {0};
    problems_print(p, &out);
    problems_print_json(p, &out);
    buf_append_char(&out, '\0');
    if (strstr(out.p, secret)) print_error("%s\n", out.p);
    assert_null(strstr(out.p, secret));
    buf_free(&out);
}
