#include "local-api/event_invoke.h"

struct slice invoke_event_write(struct buf *out, struct invocation *inv, const char *application) {
    struct slice type = fields_get(&inv->request.headers, SLICE("content-type"));
    (void)application;
    if (inv->body) buf_append_slice(out, body_whole(inv->body));
    return type.n ? type : SLICE("application/json");
}
