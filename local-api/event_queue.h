/* event_queue.h - messages of a queue in the shape that Lambda handlers know: SQS `Records`.
 *
 * Each record has an md5 of its body as shown, because clients verify it. The answer is a partial batch:
 * {"batchItemFailures": [{"itemIdentifier": ID}]}; whoever submitted the event reads it.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/event.h"

/* Appends it and returns its content type. */
struct slice queue_event_write(struct buf *out, const struct queue_event *event);
