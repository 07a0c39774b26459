#include "plugins/limits/limits.h"
#include <inttypes.h>

static enum step_result limits_pre_handle(void *state, struct invocation *inv) {
    (void)state;
    if (!inv->body || !inv->route->trigger) return STEP_NEXT;
    uint64_t limit = inv->route->trigger->max_body;
    int64_t length = body_length(inv->body);
    if (length >= 0 && (uint64_t)length > limit) {
        inv->outcome = outcome_failure(inv, FAILURE_BODY_TOO_LARGE,
                                       "%" PRId64 " bytes; at most %" PRIu64 " are accepted", length, limit);
        return STEP_REPLY;
    }
    body_set_limit(inv->body, limit);
    return STEP_NEXT;
}

const struct plugin limits_plugin = {.name = "limits", .pre_handle = limits_pre_handle};
