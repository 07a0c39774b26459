#include "gateway/source/queue/queue_filter.h"
#include "gateway/base/json_read.h"

#define SCRATCH_SIZE 512

/* The member's value; JSON_INVALID when there is none. */
static struct json_value member_of(struct slice object, struct slice member, struct arena *a) {
    struct json_read json;
    struct slice name;
    struct json_value value, found = {.kind = JSON_INVALID};
    json_read_init(&json, object);
    if (!json_read_open(&json, '{')) return found;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (slice_equal(name, member)) found = value;
    return found;
}

static bool value_equals(struct json_value value, struct slice wanted, struct arena *a) {
    switch (value.kind) {
    case JSON_STRING: return slice_equal(json_text_of(a, value), wanted);
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return slice_equal(value.raw, wanted);
    case JSON_ARRAY:
    case JSON_OBJECT:
    case JSON_INVALID: break;
    }
    return false;
}

struct json_value queue_filter_member(struct slice body, struct slice path, struct arena *a) {
    struct json_value value = {.kind = JSON_OBJECT, .raw = body};
    struct slice member;
    while (slice_next(&path, '.', &member)) {
        if (value.kind != JSON_OBJECT) return (struct json_value){.kind = JSON_INVALID};
        value = member_of(value.raw, member, a);
    }
    return value;
}

static bool filter_fits(const struct filter_config *f, struct slice body, struct arena *a) {
    return value_equals(queue_filter_member(body, f->path, a), f->value, a);
}

bool queue_filter_fits(const struct queue_trigger_config *t, struct slice body) {
    struct arena scratch;
    bool fits = true;
    if (t->filter_count == 0) return true;
    if (!json_is_valid(body)) return false;
    arena_init(&scratch, SCRATCH_SIZE);
    for (size_t i = 0; i < t->filter_count && fits; i++) fits = filter_fits(&t->filters[i], body, &scratch);
    arena_free(&scratch);
    return fits;
}
