#include "plugins/auth/guard_places.h"
#include "plugins/auth/auth_policy.h"
#include "plugins/plugin.h"

const struct auth_settings *auth_settings_of(const struct blueprint *b) {
    const struct sections all = plugins_sections();
    for (size_t i = 0; i < all.count && i < b->settings_count; i++)
        if (all.items[i] == &auth_section) return b->settings[i];
    return NULL;
}

/* `own` has room for the guard types that have one place without a list of them. */
static struct credential_places places_of(const struct guard_policy *p, struct credential_place *own) {
    switch (p->type) {
    case GUARD_JWT: return p->jwt.places;
    case GUARD_API_KEY: return p->api_key.places;
    case GUARD_HANDLER: return p->authorizer.places;
    case GUARD_BASIC: *own = (struct credential_place){CREDENTIAL_HEADER, SLICE("Authorization")}; break;
    case GUARD_HMAC: *own = (struct credential_place){CREDENTIAL_HEADER, p->hmac.header}; break;
    case GUARD_ANY: return (struct credential_places){NULL, 0};
    }
    return (struct credential_places){own, 1};
}

struct credential_places auth_places(const struct auth_settings *s, struct arena *a) {
    struct credential_place own;
    size_t count = 0, filled = 0;
    for (size_t i = 0; s && i < s->guard_count; i++) count += places_of(&s->guards[i], &own).count;
    struct credential_place *items = arena_alloc(a, (count + 1) * sizeof *items);
    for (size_t i = 0; s && i < s->guard_count; i++) {
        const struct credential_places places = places_of(&s->guards[i], &own);
        for (size_t k = 0; k < places.count; k++) items[filled++] = places.items[k];
    }
    return (struct credential_places){items, filled};
}

bool auth_guards_trigger(const struct auth_settings *s, const struct http_trigger_config *trigger) {
    return s && trigger && trigger->number < s->route_count && s->routes[trigger->number].guard_count > 0;
}
