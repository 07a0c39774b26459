#include "plugins/auth/key_source.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

struct static_source {
    struct key_source source;
    struct jwk_set *set;
};

static const struct jwk_set *static_current(struct key_source *s) {
    return container_of(s, struct static_source, source)->set;
}

static enum key_fetch static_fetch(struct key_source *s, struct key_waiter *w) {
    (void)s;
    (void)w;
    return KEY_FETCH_NO_NEWER;
}

static void static_forget(struct key_source *s, struct key_waiter *w) {
    (void)s;
    (void)w;
}

static void static_free(struct key_source *s) {
    struct static_source *own = container_of(s, struct static_source, source);
    jwk_set_release(own->set);
    free(own);
}

static const struct key_source_ops static_ops = {
    .current = static_current, .fetch = static_fetch, .forget = static_forget, .free = static_free};

struct key_source *key_source_static(struct jwk_set *take_set) {
    struct static_source *own = xcalloc(1, sizeof *own);
    own->source.ops = &static_ops;
    own->set = take_set;
    return &own->source;
}

void key_source_static_replace(struct key_source *s, struct jwk_set *take_set) {
    struct static_source *own = container_of(s, struct static_source, source);
    jwk_set_release(own->set);
    own->set = take_set;
}
