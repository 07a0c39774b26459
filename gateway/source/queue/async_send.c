#include "gateway/source/queue/async_send.h"
#include "gateway/base/memory.h"
#include "gateway/source/queue/queue_private.h"

void async_send(struct queue_store *store, const struct handler_config *handler, const struct invoke_payload *payload,
                struct slice trace, struct queue_done done) {
    struct queue_attribute attributes[2];
    size_t count = 0;
    if (!slice_is_none(payload->client_context))
        attributes[count++] = (struct queue_attribute){QUEUE_TEXT, SLICE(ASYNC_CONTEXT), payload->client_context};
    if (!slice_is_none(trace)) attributes[count++] = (struct queue_attribute){QUEUE_TEXT, SLICE(ASYNC_TRACE), trace};
    const struct queue_send send = {.queue = slice_of(handler->async.queue->name),
                                    .body = payload->bytes.n ? payload->bytes : SLICE(""),
                                    .content_type = payload->content_type,
                                    .attributes = attributes,
                                    .attribute_count = count};
    store->ops->send(store, &send, 1, done);
}
