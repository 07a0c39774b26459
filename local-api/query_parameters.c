#include "local-api/query_parameters.h"
#include "gateway/base/map.h"
#include "gateway/base/url.h"

#define FEW_PARAMETERS 16

static struct query_parameter *parameters_find(const struct query_parameters *ps, struct slice name) {
    if (ps->index) return map_get(ps->index, name);
    for (struct query_parameter *p = ps->first; p; p = p->next)
        if (slice_equal(p->name, name)) return p;
    return NULL;
}

static void parameters_add_name(struct query_parameters *ps, struct query_parameter *p) {
    if (ps->last)
        ps->last->next = p;
    else
        ps->first = p;
    ps->last = p;
    ps->names++;
    if (ps->names == FEW_PARAMETERS) {
        ps->index = map_new();
        for (struct query_parameter *each = ps->first; each; each = each->next) map_put(ps->index, each->name, each);
    } else if (ps->index) {
        map_put(ps->index, p->name, p);
    }
}

struct query_parameters query_parameters_read(struct arena *a, struct slice query) {
    struct query_parameters ps = {0};
    struct slice name, value;
    while (url_query_next(&query, &name, &value)) {
        if (name.n == 0 && value.n == 0) continue;
        struct query_parameter *p = arena_zalloc(a, sizeof *p);
        p->name = url_decode(a, name, URL_PLUS_IS_BLANK);
        p->value = url_decode(a, value, URL_PLUS_IS_BLANK);
        p->last = p;
        struct query_parameter *first = parameters_find(&ps, p->name);
        if (!first) {
            parameters_add_name(&ps, p);
            continue;
        }
        first->last->same = p;
        first->last = p;
    }
    return ps;
}

void query_parameters_end(struct query_parameters *ps) {
    map_free(ps->index);
    ps->index = NULL;
}
