#include "plugins/auth/auth.h"
#include "plugins/compress/compress.h"
#include "plugins/cors/cors.h"
#include "plugins/event_stream/event_stream.h"
#include "plugins/headers/headers.h"
#include "plugins/hygiene/hygiene.h"
#include "plugins/limits/limits.h"
#include "plugins/plugin.h"
#include "plugins/request_id/request_id.h"
#include <assert.h>

/* The first is the first to see a request and the last to see its outcome. */
const struct plugin *const plugin_table[] = {
    &request_id_plugin,      &hygiene_plugin, &cors_plugin,     &limits_plugin,       &auth_plugin,
    &limits_verified_plugin, &headers_plugin, &compress_plugin, &event_stream_plugin,
};
const size_t plugin_count = ARRAY_LEN(plugin_table);

static void plugins_close_first(struct hook *hooks, size_t count) {
    while (count-- > 0) {
        const struct plugin *plugin = plugin_table[count];
        if (plugin->close) plugin->close(hooks[count].self);
        hooks[count] = (struct hook){0};
    }
}

struct sections plugins_sections(void) {
    struct sections all = {.count = plugin_count};
    assert(plugin_count <= SECTIONS_MAX);
    for (size_t i = 0; i < plugin_count; i++) all.items[i] = plugin_table[i]->section;
    return all;
}

static int plugin_open(size_t index, const struct plugin_host *host, struct hook *hook, struct error *e) {
    const struct plugin *plugin = plugin_table[index];
    const struct blueprint *b = host->blueprint;
    void *settings = index < b->settings_count ? b->settings[index] : NULL;
    *hook = (struct hook){.name = plugin->name,
                          .scope = plugin->sees,
                          .pre = plugin->pre_handle,
                          .body = plugin->body_handle,
                          .post = plugin->post_handle,
                          .preflight = plugin->preflight};
    if (plugin->open) return plugin->open(host, settings, &hook->self, e);
    hook->self = settings;
    return 0;
}

int plugins_open(const struct plugin_host *host, const struct hook *predecessors, struct hook *hooks, struct error *e) {
    for (size_t i = 0; i < plugin_count; i++) {
        struct plugin_host own = *host;
        own.predecessor = predecessors ? predecessors[i].self : NULL;
        int result = plugin_open(i, &own, &hooks[i], e);
        if (result == 0) continue;
        plugins_close_first(hooks, i);
        return result;
    }
    return 0;
}

void plugins_close(struct hook *hooks) {
    plugins_close_first(hooks, plugin_count);
}

bool plugins_are_idle(const struct hook *hooks) {
    for (size_t i = 0; i < plugin_count; i++)
        if (plugin_table[i]->is_idle && !plugin_table[i]->is_idle(hooks[i].self)) return false;
    return true;
}
