/* queue_frame.h - the messages of a batch as the body of their event: request messages back to back (application/http),
 * as every event on the native face is one (docs/runtime-api.md). A batch that can only be of one message has no frame:
 * the event is the message.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/event.h"

/* What is told of a message beside its body; in the arena. */
void queue_frame_fields(struct fields *out, const struct queue_record *m, struct arena *a);
void queue_frame_write(struct buf *out, const struct queue_event *event, struct arena *a);
