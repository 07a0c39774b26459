#include "local-api/report_retry.h"
#include "gateway/base/text.h"

static bool retry_after(struct handler_report *r, struct slice text) {
    if (!text_to_duration_ms(text, &r->retry_after_ms)) return false;
    r->retry = REPORT_RETRY_AFTER;
    return true;
}

static bool read_object(struct handler_report *r, struct arena *a, struct slice object) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    bool understood = false;
    json_read_init(&json, object);
    if (!json_read_open(&json, '{')) return false;
    while (json_read_name(&json, a, &name) && json_read_value(&json, &value)) {
        if (!slice_equal(name, SLICE("after")) || value.kind != JSON_STRING) return false;
        understood = retry_after(r, json_text_of(a, value));
    }
    return understood;
}

bool report_retry_read(struct handler_report *r, struct arena *a, struct json_value value) {
    switch (value.kind) {
    case JSON_TRUE:
    case JSON_NULL: return true;
    case JSON_FALSE: r->retry = REPORT_RETRY_NEVER; return true;
    case JSON_OBJECT: return read_object(r, a, value.raw);
    case JSON_NUMBER:
    case JSON_STRING:
    case JSON_ARRAY:
    case JSON_INVALID: break;
    }
    return false;
}

bool report_retry_read_field(struct handler_report *r, struct slice text) {
    if (!slice_equal(text, SLICE("false"))) return retry_after(r, text);
    r->retry = REPORT_RETRY_NEVER;
    return true;
}
