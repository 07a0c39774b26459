/* async_send.h - an invocation of a handler that nobody waits for: on disk first, run later.
 *
 * It is a message in the handler's own queue (async_config.queue), which a queue source takes like any other; only the
 * event is that of an invocation by name, and its id is the message's.
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/queue/store.h"
#include "gateway/source/invoke/invoke_source.h"

#define ASYNC_PAYLOAD_MAX (1024 * 1024)

/* The payload is copied. A trace is a W3C traceparent, or absent. QUEUE_OK: it is on disk, its id is sent->id. */
void async_send(struct queue_store *store, const struct handler_config *handler, const struct invoke_payload *payload,
                struct slice trace, struct queue_done done);
