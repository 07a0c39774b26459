#include "plugins/limits/limits.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <inttypes.h>

#define MAX_BODY_MOST (1ULL << 30)

struct limits_trigger {
    struct node *origin;
    uint64_t max_body;
};

static const struct schema_field trigger_fields[] = {
    {.name = "maxBody",
     .kind = FIELD_SIZE,
     .offset = offsetof(struct limits_trigger, max_body),
     .least = 0,
     .most = MAX_BODY_MOST,
     .preset_note = "`limits.maxBody`",
     .about = "The largest request body of this trigger.",
     .example = "1MiB"},
};
static const struct object_schema trigger_limits_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct limits_trigger),
    .origin_offset = offsetof(struct limits_trigger, origin),
};

/* By http_trigger_config.number. */
struct limits_settings {
    size_t count;
    uint64_t max_body[];
};

static void limits_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                         void **settings) {
    (void)p;
    struct limits_settings *s = arena_zalloc(a, sizeof *s + v->trigger_count * sizeof s->max_body[0]);
    s->count = v->trigger_count;
    for (size_t i = 0; i < v->trigger_count; i++) {
        const struct limits_trigger *t = v->triggers[i];
        s->max_body[i] = t->max_body == VALUE_UNSET ? b->limits.max_body : t->max_body;
    }
    *settings = s;
}

static const struct section limits_section = {.trigger = &trigger_limits_schema, .check = limits_check};

static enum step_result limits_pre_handle(void *state, struct invocation *inv) {
    const struct limits_settings *settings = state;
    if (!inv->body || !inv->route->trigger) return STEP_NEXT;
    assert(inv->route->trigger->number < settings->count);
    uint64_t limit = settings->max_body[inv->route->trigger->number];
    int64_t length = body_length(inv->body);
    if (length >= 0 && (uint64_t)length > limit) {
        inv->outcome = outcome_failure(inv, FAILURE_BODY_TOO_LARGE,
                                       "%" PRId64 " bytes; at most %" PRIu64 " are accepted", length, limit);
        return STEP_REPLY;
    }
    body_set_limit(inv->body, limit);
    return STEP_NEXT;
}

const struct plugin limits_plugin = {.name = "limits", .section = &limits_section, .pre_handle = limits_pre_handle};
