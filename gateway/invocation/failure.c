#include "gateway/invocation/failure.h"
#include "gateway/base/json_write.h"
#include <assert.h>

static const struct failure_row failure_rows[FAILURE_COUNT] = {
#define X(name, status, slug, title, level) [FAILURE_##name] = {status, slug, title, level},
    FAILURE_TABLE(X)
#undef X
};

const struct failure_row *failure_row(enum failure f) {
    assert(f < FAILURE_COUNT);
    return &failure_rows[f];
}

void failure_write_problem(struct buf *out, enum failure f, struct slice detail, struct slice request_id) {
    const struct failure_row *row = failure_row(f);
    struct json_write w = json_write_to(out);
    json_open(&w, '{');
    json_name(&w, SLICE("type"));
    /* Slugs are ours and need no escaping. */
    buf_append_text(out, "\"urn:execgate:problem:");
    buf_append_text(out, row->slug);
    buf_append_char(out, '"');
    w.comma = true;
    json_member(&w, SLICE("title"), slice_of(row->title));
    json_name(&w, SLICE("status"));
    json_number(&w, row->status);
    if (!slice_is_none(detail)) json_member(&w, SLICE("detail"), detail);
    if (!slice_is_none(request_id)) json_member(&w, SLICE("requestId"), request_id);
    json_close(&w, '}');
    buf_append_char(out, '\n'); /* whoever asks with curl has a prompt of their own after it */
}
