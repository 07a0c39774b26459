#include "plugins/request_id/request_id.h"

#define REQUEST_ID_MAX 128

static bool is_request_id_character(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c != '\0' && strchr("._:+/=@-", c) != NULL;
}

bool request_id_is_sane(struct slice id) {
    if (id.n == 0 || id.n > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < id.n; i++)
        if (!is_request_id_character(id.p[i])) return false;
    return true;
}

static void request_id_post_handle(void *state, struct invocation *inv) {
    (void)state;
    fields_remove(&inv->outcome.headers, SLICE("X-Request-Id"));
    fields_add(&inv->outcome.headers, &inv->arena, SLICE("X-Request-Id"), inv->request_id);
}

const struct plugin request_id_plugin = {.name = "requestId", .post_handle = request_id_post_handle};
