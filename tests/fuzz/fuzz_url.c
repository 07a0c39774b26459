/* Request targets: whatever url_parse accepts must keep the promises of url.h. */
#include "gateway/base/url.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

/* Also between decoded slashes. */
static bool has_dots(struct slice s) {
    struct slice part;
    while (slice_next(&s, '/', &part))
        if (slice_equal(part, SLICE(".")) || slice_equal(part, SLICE(".."))) return true;
    return false;
}

static void check_accepted(const struct url *u) {
    size_t separators = 0;
    must(u->path.n && u->path.p[0] == '/');
    for (size_t i = 0; i < u->path.n; i++) {
        unsigned char c = (unsigned char)u->path.p[i];
        must(c > ' ' && c < 0x7f && c != '#' && c != '?');
        separators += c == '/';
    }
    must(u->segment_count == separators && u->segment_count <= URL_MAX_SEGMENTS);
    for (size_t i = 0; i < u->segment_count; i++) {
        must(slice_find(u->segments[i], '\0') < 0);
        must(!has_dots(u->segments[i]));
    }
}

/* The segments are what the raw path's parts decode to. */
static void check_decoding(const struct url *u, struct arena *a) {
    struct slice rest = {u->path.p + 1, u->path.n - 1};
    struct slice part;
    for (size_t i = 0; slice_next(&rest, '/', &part); i++)
        must(slice_equal(url_decode(a, part, URL_PLUS_LITERAL), u->segments[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice target = {(const char *)data, size};
    struct arena a;
    struct url u;
    struct error e = {0};
    arena_init(&a, 256);
    int result = url_parse(&u, &a, target, &e);
    must(result == 0 || (result == -ERROR_FORMAT && e.message[0]));
    if (result == 0) {
        check_accepted(&u);
        check_decoding(&u, &a);
    }
    struct slice rest = result == 0 ? u.query : target;
    struct slice name, value;
    while (url_query_next(&rest, &name, &value)) {
        must(url_decode(&a, name, URL_PLUS_IS_BLANK).n <= name.n);
        must(url_decode(&a, value, URL_PLUS_IS_BLANK).n <= value.n);
    }
    arena_free(&a);
    return 0;
}
