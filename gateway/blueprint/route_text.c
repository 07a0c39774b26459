#include "gateway/blueprint/route_text.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/text_rules.h"

#define PARAMETER_MAX_SIZE 64

/* RFC 9110 section 9 and what else is common in the IANA registry. A different token is accepted when it resembles
 * none. */
static const char *const methods[] = {
    "GET",      "POST",      "PUT",      "PATCH",   "DELETE", "OPTIONS", "HEAD",   "ANY",        "QUERY",
    "PROPFIND", "PROPPATCH", "MKCOL",    "COPY",    "MOVE",   "LOCK",    "UNLOCK", "REPORT",     "SEARCH",
    "LINK",     "UNLINK",    "CHECKOUT", "CHECKIN", "MERGE",  "ACL",     "BIND",   "MKCALENDAR",
};

static bool method_is_known(struct slice method) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_equal(method, slice_of(methods[i]))) return true;
    }
    return false;
}

static bool method_is_upper_case(struct slice method) {
    for (size_t i = 0; i < method.n; i++) {
        bool is_letter = method.p[i] >= 'A' && method.p[i] <= 'Z';
        if (!is_letter && !(i > 0 && method.p[i] == '-')) return false;
    }
    return method.n > 0 && method.n <= 32;
}

static const char *method_nearest(struct slice method) {
    char upper[33];
    if (method.n >= sizeof upper) return NULL;
    for (size_t i = 0; i < method.n; i++) {
        char c = method.p[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return text_nearest(slice_make(upper, method.n), methods, ARRAY_LEN(methods));
}

static int method_check(struct slice method, struct error *e) {
    if (method_is_known(method)) return 0;
    if (slice_equal(method, SLICE("CONNECT")) || slice_equal(method, SLICE("TRACE"))) {
        return error_set(e, ERROR_BLUEPRINT, "requests with the method " SLICE_FMT " are never passed to a handler",
                         SLICE_ARG(method));
    }
    const char *nearest = method_nearest(method);
    if (nearest) {
        return error_set(e, ERROR_BLUEPRINT, "\"" SLICE_FMT "\" is no method; did you mean \"%s\"?", SLICE_ARG(method),
                         nearest);
    }
    if (method_is_upper_case(method)) return 0;
    return error_set(e, ERROR_BLUEPRINT,
                     "\"" SLICE_FMT "\" is no method; expected upper-case letters such as GET, POST or ANY",
                     SLICE_ARG(method));
}

struct pattern_reader {
    struct slice names[ROUTE_MAX_SEGMENTS];
    size_t name_count;
    size_t segments;
    bool is_last;
};

static bool parameter_name_is_fit(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        bool is_inner = character_is_digit(name.p[i]) || name.p[i] == '-' || name.p[i] == '.';
        if (!character_is_letter(name.p[i]) && name.p[i] != '_' && !(i > 0 && is_inner)) return false;
    }
    return name.n > 0 && name.n <= PARAMETER_MAX_SIZE;
}

static int parameter_check(struct pattern_reader *r, struct slice segment, struct error *e) {
    struct slice name = slice_make(segment.p + 1, segment.n - 2);
    bool is_rest = name.n > 0 && name.p[name.n - 1] == '+';
    if (is_rest) name.n--;
    if (!parameter_name_is_fit(name)) {
        return error_set(e, ERROR_BLUEPRINT,
                         "\"" SLICE_FMT
                         "\" is no parameter; expected {name} or {name+} of letters, digits, '_', '-' and '.'",
                         SLICE_ARG(segment));
    }
    if (is_rest && !r->is_last) {
        return error_set(e, ERROR_BLUEPRINT,
                         "{" SLICE_FMT "+} matches the rest of a path, so it must be the last segment",
                         SLICE_ARG(name));
    }
    for (size_t i = 0; i < r->name_count; i++) {
        if (!slice_equal(r->names[i], name)) continue;
        return error_set(e, ERROR_BLUEPRINT, "the parameter {" SLICE_FMT "} stands twice in the pattern",
                         SLICE_ARG(name));
    }
    r->names[r->name_count++] = name;
    return 0;
}

static int character_check(struct slice segment, struct error *e) {
    for (size_t i = 0; i < segment.n; i++) {
        char c = segment.p[i];
        if (c == '?' || c == '#')
            return error_set(e, ERROR_BLUEPRINT, "a pattern has no '%c': it is compared with the path only", c);
        if (c == '%') return error_set(e, ERROR_BLUEPRINT, "a pattern has no '%%': write the decoded character itself");
        if ((unsigned char)c <= ' ' || c == 0x7f)
            return error_set(e, ERROR_BLUEPRINT, "a pattern has no blanks or control characters");
        if (c != '{' && c != '}') continue;
        return error_set(e, ERROR_BLUEPRINT,
                         "in \"" SLICE_FMT
                         "\" a brace is out of place: a parameter is a whole segment, such as /{name}/",
                         SLICE_ARG(segment));
    }
    return 0;
}

static int segment_check(struct pattern_reader *r, struct slice segment, struct error *e) {
    if (++r->segments > ROUTE_MAX_SEGMENTS) {
        return error_set(e, ERROR_BLUEPRINT, "the pattern has more than %d segments", ROUTE_MAX_SEGMENTS);
    }
    if (segment.n == 0 && !r->is_last) return error_set(e, ERROR_BLUEPRINT, "the pattern has an empty segment (//)");
    if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE(".."))) {
        return error_set(e, ERROR_BLUEPRINT,
                         "\"" SLICE_FMT "\" can never match: requests with such segments are refused",
                         SLICE_ARG(segment));
    }
    if (segment.n >= 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}') return parameter_check(r, segment, e);
    return character_check(segment, e);
}

static int pattern_check(struct slice pattern, struct error *e) {
    struct pattern_reader r = {0};
    struct slice rest = slice_make(pattern.p + 1, pattern.n - 1);
    struct slice segment;
    while (slice_next(&rest, '/', &segment)) {
        r.is_last = slice_is_none(rest);
        int result = segment_check(&r, segment, e);
        if (result < 0) return result;
    }
    return 0;
}

int route_parse(struct slice text, struct arena *a, struct http_trigger_config *out, struct error *e) {
    char *copy = arena_text(a, slice_trim(text));
    struct slice all = slice_of(copy);
    ptrdiff_t blank = slice_find(all, ' ');
    if (blank < 0) {
        return error_set(e, ERROR_BLUEPRINT,
                         "expected a method and a pattern such as `GET /items/{id}`, found \"" SLICE_FMT "\"",
                         SLICE_ARG(all));
    }
    out->text = copy;
    out->method = slice_make(all.p, (size_t)blank);
    out->pattern = slice_trim(slice_make(all.p + blank, all.n - (size_t)blank));
    int result = method_check(out->method, e);
    if (result < 0) return result;
    if (out->pattern.p[0] != '/') {
        return error_set(e, ERROR_BLUEPRINT, "the pattern \"" SLICE_FMT "\" must begin with '/'",
                         SLICE_ARG(out->pattern));
    }
    return pattern_check(out->pattern, e);
}

void route_write_shape(struct buf *out, const struct http_trigger_config *route) {
    buf_append_slice(out, route->method);
    buf_append_char(out, ' ');
    for (size_t i = 0; i < route->pattern.n; i++) {
        if (route->pattern.p[i] != '{') {
            buf_append_char(out, route->pattern.p[i]);
            continue;
        }
        while (route->pattern.p[i] != '}') i++;
        buf_append_text(out, route->pattern.p[i - 1] == '+' ? "{+}" : "{}");
    }
}
