/* Whatever a handler answers, whole or as a prelude: never a crash, and what comes out is fit for a client. */
#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/invocation/pipeline.h"
#include "local-api/answer_http.h"
#include <assert.h>
#include <stdlib.h>

struct fuzz {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline pipeline;
};

static void on_finish(struct invocation *inv) {
    const struct outcome *o = &inv->outcome;
    assert(o->status >= 200 && o->status <= 599);
    for (size_t i = 0; i < o->headers.count; i++) {
        assert(http_is_token(o->headers.items[i].name));
        assert(http_is_field_value(o->headers.items[i].value));
        assert(!http_is_hop_by_hop(o->headers.items[i].name));
    }
}

static const struct source_ops fuzz_source = {.name = "fuzz", .finish = on_finish};

/* A prelude's way: found, then read. */
static struct outcome read_streamed(struct invocation *inv, struct slice bytes) {
    struct slice json;
    size_t size;
    switch (prelude_find(bytes, &json, &size)) {
    case PRELUDE_COMPLETE: assert(size == json.n + 8 && size <= bytes.n); return prelude_read(inv, json);
    case PRELUDE_INCOMPLETE:
    case PRELUDE_INVALID: break;
    }
    return answer_invalid(inv, "no prelude", bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz f;
    clock_fake_init(&f.clock);
    deadlines_init(&f.deadlines);
    turn_init(&f.turn);
    pipeline_init(&f.pipeline, &f.clock.clock, NULL, &f.deadlines, &f.turn);
    for (int streamed = 0; streamed < 2; streamed++) {
        struct invocation *inv = invocation_new(&f.pipeline, &fuzz_source, NULL);
        struct slice bytes = slice_make((const char *)data, size);
        struct outcome o = streamed ? read_streamed(inv, bytes)
                                    : http_answer_read(inv, chunk_take(slice_dup(bytes), size));
        pipeline_reply(inv, o);
    }
    pipeline_close(&f.pipeline);
    deadlines_free(&f.deadlines);
    return 0;
}
