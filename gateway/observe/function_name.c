#include "gateway/observe/function_name.h"

#define PARTS_MAX 8
#define ARN_NAME 6
#define PARTIAL_NAME 2

/* How many parts there are; PARTS_MAX + 1 when there are more. */
static size_t split(struct slice text, struct slice parts[PARTS_MAX]) {
    struct slice part;
    size_t n = 0;
    while (slice_next(&text, ':', &part)) {
        if (n == PARTS_MAX) return PARTS_MAX + 1;
        parts[n++] = part;
    }
    return n;
}

/* Where the name stands, or -1. */
static int name_at(const struct slice *parts, size_t n) {
    bool arn = n > ARN_NAME && slice_equal(parts[0], SLICE("arn")) && slice_equal(parts[2], SLICE("lambda")) &&
               slice_equal(parts[ARN_NAME - 1], SLICE("function"));
    if (arn) return ARN_NAME;
    if (n > PARTIAL_NAME && slice_equal(parts[1], SLICE("function"))) return PARTIAL_NAME;
    return n <= 2 ? 0 : -1;
}

bool function_name_parse(struct slice text, struct function_name *out) {
    struct slice parts[PARTS_MAX];
    size_t n = split(text, parts);
    int at = n <= PARTS_MAX ? name_at(parts, n) : -1;
    if (at < 0 || n > (size_t)at + 2 || parts[at].n == 0) return false;
    *out = (struct function_name){parts[at], n == (size_t)at + 2 ? parts[at + 1] : SLICE_NONE};
    return slice_is_none(out->qualifier) || out->qualifier.n > 0;
}

bool function_qualifier_is_known(struct slice qualifier) {
    return slice_is_none(qualifier) || slice_equal(qualifier, SLICE("$LATEST"));
}
