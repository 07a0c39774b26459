/* naive_router.h - the routing rules told once more, as plainly and slowly as possible.
 *
 * Compares the request with every route, segment by segment, and keeps the best. The unit test
 * and the fuzz target hold the real router against it. Patterns must be valid.
 */
#pragma once
#include "gateway/base/url.h"

enum { NAIVE_REST, NAIVE_PARAMETER, NAIVE_STATIC };

struct naive_route {
    struct slice method;
    struct slice pattern;
};
struct naive_match {
    const struct naive_route *route; /* NULL = none */
    bool path_known;                 /* some route matches the path with another method */
    int ranks[URL_MAX_SEGMENTS + 1];
};

static inline int naive_kind(struct slice segment) {
    bool braces = segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
    if (!braces) return NAIVE_STATIC;
    return segment.p[segment.n - 2] == '+' ? NAIVE_REST : NAIVE_PARAMETER;
}

/* Fills ranks with a kind per segment; false when the path does not match. */
static inline bool naive_path_matches(struct slice pattern, const struct url *url, int *ranks) {
    struct slice rest = slice_make(pattern.p + 1, pattern.n - 1), segment;
    size_t i = 0;
    for (; slice_next(&rest, '/', &segment); i++) {
        if (i == url->segment_count) return false;
        ranks[i] = naive_kind(segment);
        if (ranks[i] == NAIVE_STATIC && !slice_equal(segment, url->segments[i])) return false;
        if (ranks[i] == NAIVE_PARAMETER && url->segments[i].n == 0) return false;
        if (ranks[i] == NAIVE_REST) return i + 1 < url->segment_count || url->segments[i].n > 0;
    }
    return i == url->segment_count;
}

static inline int naive_method_rank(struct slice offered, struct slice asked) {
    if (slice_equal(offered, asked)) return 3;
    if (slice_equal(offered, SLICE("GET")) && slice_equal(asked, SLICE("HEAD"))) return 2;
    return slice_equal(offered, SLICE("ANY")) ? 1 : 0;
}

static inline bool naive_better(const int *ranks, const int *than, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (ranks[i] != than[i]) return ranks[i] > than[i];
    return false;
}

/* The last rank is the method's; unset ones stay at -1. */
static inline void naive_consider(const struct naive_route *route, struct slice method, const struct url *url,
                                  struct naive_match *m) {
    int ranks[URL_MAX_SEGMENTS + 1];
    for (size_t i = 0; i <= URL_MAX_SEGMENTS; i++) ranks[i] = -1;
    if (!naive_path_matches(route->pattern, url, ranks)) return;
    m->path_known = true;
    ranks[URL_MAX_SEGMENTS] = naive_method_rank(route->method, method);
    if (ranks[URL_MAX_SEGMENTS] == 0) return;
    if (m->route && !naive_better(ranks, m->ranks, URL_MAX_SEGMENTS + 1)) return;
    m->route = route;
    memcpy(m->ranks, ranks, sizeof ranks);
}

static inline struct naive_match naive_match_routes(const struct naive_route *routes, size_t count, struct slice method,
                                                    const struct url *url) {
    struct naive_match m = {.route = NULL};
    for (size_t i = 0; i < count; i++) naive_consider(&routes[i], method, url, &m);
    return m;
}
