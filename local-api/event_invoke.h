/* event_invoke.h - the event of an invocation by name: the caller's bytes, untouched, with the caller's content type.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/invocation.h"

/* As struct event_shape.write. The type is application/json when the caller gave none. */
struct slice invoke_event_write(struct buf *out, struct invocation *inv, const char *application);
