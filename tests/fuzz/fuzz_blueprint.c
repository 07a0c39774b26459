/* Any bytes as a blueprint: either a model that holds together, or problems that print as valid UTF-8 and JSON. */
#include "gateway/base/json_read.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/report.h"
#include "plugins/plugin.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_model(const struct blueprint *b) {
    assert(b->listener_count > 0 && b->handler_count > 0);
    for (size_t i = 0; i < b->handler_count; i++) {
        const struct handler_config *h = &b->handlers[i];
        assert(h->command[0] && h->command[0][0]);
        assert(h->processes.min <= h->processes.max && h->processes.concurrency >= 1 &&
               h->processes.concurrency <= 1024);
        assert(h->timeout_ms >= 1 && h->index == i);
        for (size_t k = 0; k < h->http_trigger_count; k++) assert(h->http_triggers[k].pattern.p[0] == '/');
    }
}

static void check_problems(const struct problems *p) {
    struct buf out = {0};
    assert(p->count > 0);
    problems_print(p, &out);
    assert(text_utf8_prefix(buf_slice(&out)) == out.n);
    out.n = 0;
    problems_print_json(p, &out);
    assert(json_is_valid(buf_slice(&out)));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct variable_override override = {SLICE("workers"), SLICE("5")};
    const struct sections sections = plugins_sections();
    const struct blueprint_options options = {.overrides = &override, .override_count = 1, .sections = &sections};
    struct problems p = {0};
    struct blueprint *b = blueprint_parse(slice_make((const char *)data, size), "/nowhere/fuzz.yaml", &options, &p);
    if (b)
        check_model(b);
    else
        check_problems(&p);
    blueprint_release(b);
    problems_free(&p);
    return 0;
}
