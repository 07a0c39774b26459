#include "gateway/source/queue/queue_answer.h"
#include "gateway/base/json_read.h"

#define SCRATCH_SIZE 512

static bool mark(const struct queue_event *batch, struct slice id, bool *failed) {
    for (size_t i = 0; i < batch->count; i++) {
        if (!slice_equal(batch->messages[i].id, id)) continue;
        failed[i] = true;
        return true;
    }
    return false;
}

/* {"itemIdentifier": ID} */
static bool read_item(struct slice item, const struct queue_event *batch, bool *failed, struct arena *a) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    bool known = false;
    json_read_init(&json, item);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        if (!slice_equal(name, SLICE("itemIdentifier"))) continue;
        known = value.kind == JSON_STRING && mark(batch, json_text_of(a, value), failed);
    }
    return known;
}

static bool read_list(struct json_value list, const struct queue_event *batch, bool *failed, struct arena *a) {
    struct json_read json;
    struct json_value item;
    if (list.kind == JSON_NULL) return true;
    json_read_init(&json, list.raw);
    if (!json_read_open(&json, '[')) return false;
    while (json_read_element(&json))
        if (!json_read_value(&json, &item) || !read_item(item.raw, batch, failed, a)) return false;
    return true;
}

static bool read_object(struct slice answer, const struct queue_event *batch, bool *failed, struct arena *a) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    json_read_init(&json, answer);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value))
        if (slice_equal(name, SLICE("batchItemFailures")) && !read_list(value, batch, failed, a)) return false;
    return json_read_end(&json);
}

bool queue_answer_read(struct slice answer, const struct queue_event *batch, bool *failed) {
    struct arena scratch;
    struct slice text = slice_trim(answer);
    if (text.n == 0 || slice_equal(text, SLICE("null"))) return true;
    arena_init(&scratch, SCRATCH_SIZE);
    bool understood = read_object(text, batch, failed, &scratch);
    arena_free(&scratch);
    return understood;
}
