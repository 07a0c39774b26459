#include "plugins/limits/limits.h"
#include "plugins/plugin.h"
#include "plugins/request_id/request_id.h"

/* The first is the first to see a request and the last to see its outcome. */
const struct plugin *const plugin_table[] = {
    &request_id_plugin,
    &limits_plugin,
};
const size_t plugin_count = ARRAY_LEN(plugin_table);

static void plugins_close_first(struct hook *hooks, size_t count) {
    while (count-- > 0) {
        const struct plugin *plugin = plugin_table[count];
        if (plugin->close) plugin->close(hooks[count].self);
        hooks[count] = (struct hook){0};
    }
}

int plugins_configure(const struct blueprint *b, struct hook *hooks, struct error *e) {
    for (size_t i = 0; i < plugin_count; i++) {
        const struct plugin *plugin = plugin_table[i];
        hooks[i] = (struct hook){.name = plugin->name, .pre = plugin->pre_handle, .post = plugin->post_handle};
        int result = plugin->configure ? plugin->configure(b, &hooks[i].self, e) : 0;
        if (result == 0) continue;
        plugins_close_first(hooks, i);
        return result;
    }
    return 0;
}

void plugins_close(struct hook *hooks) {
    plugins_close_first(hooks, plugin_count);
}
