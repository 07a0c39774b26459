/* What the admin listener is lent: always of the present generation. */
#include "gateway/base/memory.h"
#include "gateway/command/serve/gateway_private.h"
#include <stdlib.h>

static const struct pool *present_pool(void *context, size_t index) {
    const struct gateway *g = context;
    const struct blueprint *b = generation_blueprint(g->current);
    return index < b->handler_count ? generation_pool(g->current, b->handlers[index].name) : NULL;
}

static bool present_schedule(void *context, size_t index, struct admin_schedule *out) {
    const struct gateway *g = context;
    return schedules_show(generation_schedules(g->current), index, out);
}

int gateway_listen_admin(struct gateway *g, const struct listener_config *listener, struct error *e) {
    const struct blueprint *b = generation_blueprint(g->current);
    const struct admin_host host = {
        .loop = g->loop, .log = g->log, .calls = gateway_calls(g), .pool = present_pool, .schedule = present_schedule};
    g->admin = admin_new(&host, &b->limits, e);
    if (!g->admin) return -ERROR_SYSTEM;
    return admin_listen(g->admin, listener, e);
}

const char *gateway_admin_address(const struct gateway *g) {
    return g->admin ? admin_address(g->admin) : NULL;
}
