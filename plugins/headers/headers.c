#include "plugins/headers/headers.h"
#include "gateway/base/http_text.h"
#include "gateway/blueprint/model.h"
#include "plugins/headers/headers_policy.h"
#include <assert.h>

static const struct headers_policy *policy_of(const struct headers_settings *s, const struct route *route) {
    if (!route || !route->trigger) return s->application;
    assert(route->trigger->number < s->trigger_count);
    return s->triggers[route->trigger->number];
}

static void fields_remove_all(struct fields *f, const struct header_names *names) {
    for (size_t i = 0; i < names->count; i++) fields_remove(f, names->items[i]);
}

/* Under every name that a framework would read alike. */
static void strip(struct fields *f, const struct header_names *names) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        bool named = false;
        for (size_t k = 0; k < names->count && !named; k++)
            named = http_name_reads_as(f->items[i].name, names->items[k]);
        if (!named) f->items[kept++] = f->items[i];
    }
    f->count = kept;
}

static enum step_result headers_pre_handle(void *state, struct invocation *inv) {
    const struct headers_policy *p = policy_of(state, inv->route);
    if (p) strip(&inv->request.headers, &p->strip);
    return STEP_NEXT;
}

static void answer_set(struct invocation *inv, const struct headers_policy *p, struct slice name, struct slice value) {
    struct fields *f = &inv->outcome.headers;
    if (!p->force && !slice_is_none(fields_get(f, name))) return;
    fields_remove(f, name);
    fields_add(f, &inv->arena, name, value);
}

static void headers_post_handle(void *state, struct invocation *inv) {
    const struct headers_policy *p = policy_of(state, inv->route);
    if (!p) return;
    fields_remove_all(&inv->outcome.headers, &p->remove);
    for (size_t i = 0; i < p->set.count; i++) answer_set(inv, p, p->set.items[i].name, p->set.items[i].value);
    if (!slice_is_none(p->hsts) && slice_equal(inv->request.scheme, SLICE("https")))
        answer_set(inv, p, SLICE("Strict-Transport-Security"), p->hsts);
}

const struct plugin headers_plugin = {
    .name = "headers",
    .section = &headers_section,
    .pre_handle = headers_pre_handle,
    .post_handle = headers_post_handle,
};
