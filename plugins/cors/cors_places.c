#include "plugins/cors/cors_places.h"
#include "gateway/blueprint/model.h"
#include "plugins/plugin.h"

static const struct cors_settings *settings_of(const struct blueprint *b) {
    const struct sections all = plugins_sections();
    for (size_t i = 0; i < all.count && i < b->settings_count; i++)
        if (all.items[i] == &cors_section) return b->settings[i];
    return NULL;
}

const struct slices *cors_origins_for(const struct blueprint *b, const struct http_trigger_config *t) {
    const struct cors_settings *s = settings_of(b);
    if (!s || t->number >= s->trigger_count || !s->triggers[t->number]) return NULL;
    return &s->triggers[t->number]->origins;
}
