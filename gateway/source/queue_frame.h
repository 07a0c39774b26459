/* queue_frame.h - the messages of a batch as the body of their event: request messages back to back (application/http),
 * as every event on the native face is one (docs/runtime-api.md).
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/event.h"

void queue_frame_write(struct buf *out, const struct queue_event *event);
