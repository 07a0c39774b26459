#include "gateway/command/token/claims.h"
#include "gateway/base/json_read.h"

struct slice claim_name(const char *text) {
    struct slice rest = slice_of(text), name;
    slice_next(&rest, '=', &name);
    return slice_is_none(rest) || name.n == 0 ? SLICE_NONE : name;
}

static bool is_repeated(const struct arguments *a, const char *option, const char *text) {
    const char *earlier;
    for (size_t at = 0; (earlier = arguments_next(a, option, &at)) && earlier != text;)
        if (slice_equal(claim_name(earlier), claim_name(text))) return true;
    return false;
}

static int write_value(struct json_write *w, const char *option, struct slice name, struct slice value,
                       struct error *e) {
    const struct slice prefix = SLICE("json:");
    if (!slice_starts_with(value, prefix)) {
        json_member(w, name, value);
        return 0;
    }
    value = slice_make(value.p + prefix.n, value.n - prefix.n);
    if (!json_is_valid(value))
        return error_set(e, ERROR_USAGE,
                         "--%s " SLICE_FMT ": \"" SLICE_FMT "\" is no JSON; a text needs no json:", option,
                         SLICE_ARG(name), SLICE_ARG(value));
    json_name(w, name);
    json_raw(w, value);
    return 0;
}

int claims_write(struct json_write *w, const struct arguments *a, const char *option, struct error *e) {
    const char *text;
    int status = 0;
    for (size_t at = 0; status == 0 && (text = arguments_next(a, option, &at));) {
        struct slice name = claim_name(text);
        if (slice_is_none(name)) return error_set(e, ERROR_USAGE, "--%s takes NAME=VALUE, not \"%s\"", option, text);
        if (is_repeated(a, option, text))
            return error_set(e, ERROR_USAGE, "the claim \"" SLICE_FMT "\" is given twice", SLICE_ARG(name));
        status = write_value(w, option, name, slice_of(name.p + name.n + 1), e);
    }
    return status;
}
