/* Origins: a list and what a client sent. The first line is the origin, each further line a candidate for the list.
 * What is trusted must have been listed, byte by byte, or lie below a wildcard with nothing but labels in between. */
#include "gateway/base/memory.h"
#include "plugins/cors/cors_origin.h"
#include <stdlib.h>

#define LISTED_MAX 32

static void require(bool truth) {
    if (!truth) abort();
}

static bool is_label_text(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!plain) return false;
    }
    return s.n > 0 && s.p[0] != '.';
}

/* Written another way than the code that is tested: the origin with its first labels replaced by a star. */
static bool justifies(struct slice listed, struct slice origin) {
    if (slice_equal(listed, SLICE("*")) || slice_equal(listed, origin)) return true;
    ptrdiff_t star = slice_find(listed, '*');
    if (star < 0) return false;
    struct slice before = slice_make(listed.p, (size_t)star);
    struct slice after = slice_make(listed.p + star + 1, listed.n - (size_t)star - 1);
    if (origin.n <= before.n + after.n || !slice_starts_with(origin, before)) return false;
    struct slice end = slice_make(origin.p + origin.n - after.n, after.n);
    struct slice middle = slice_make(origin.p + before.n, origin.n - before.n - after.n);
    return slice_equal(end, after) && is_label_text(middle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_make((const char *)data, size), origin, line;
    struct slice listed[LISTED_MAX];
    size_t count = 0;
    if (size == 0 || !slice_next(&rest, '\n', &origin)) return 0;
    struct cors_origins *o = cors_origins_new();
    while (count < LISTED_MAX && slice_next(&rest, '\n', &line)) {
        if (memchr(line.p, '\0', line.n) || cors_origin_objection(line)) continue;
        cors_origins_add(o, line);
        require(cors_origins_match(o, line) != CORS_REFUSED || slice_find(line, '*') >= 0);
        listed[count++] = line;
    }
    enum cors_verdict verdict = cors_origins_match(o, origin);
    bool justified = false;
    for (size_t i = 0; i < count; i++) justified = justified || justifies(listed[i], origin);
    require(verdict == CORS_REFUSED || justified);
    cors_origins_free(o);
    return 0;
}
