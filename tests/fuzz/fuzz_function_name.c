/* Names of functions: what is accepted lies within the text, and is what the text says. */
#include "gateway/observe/function_name.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static bool is_within(struct slice part, struct slice whole) {
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct function_name f;
    if (!function_name_parse(text, &f)) return 0;
    must(f.name.n > 0 && is_within(f.name, text) && slice_find(f.name, ':') < 0);
    if (slice_is_none(f.qualifier)) {
        must(f.name.p + f.name.n == text.p + text.n);
        return 0;
    }
    must(f.qualifier.n > 0 && slice_find(f.qualifier, ':') < 0);
    must(f.name.p + f.name.n + 1 == f.qualifier.p && f.qualifier.p + f.qualifier.n == text.p + text.n);
    return 0;
}
