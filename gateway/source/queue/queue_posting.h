/* queue_posting.h - what somebody hands in for a queue, read into messages: by clients through `send` triggers, by
 * handlers through the native API.
 *
 * One message is the body as it is, with its Content-Type, and in fields:
 *
 *   Queue-Delay: 30s            Queue-Group-Id: TEXT      (both ids form-encoded)
 *   Queue-Dedup-Id: TEXT        Queue-Attributes: name=value&name=value
 *
 * Several are JSON of the type application/vnd.execgate.messages+json, all sent or none:
 *
 *   {"messages": [...]}, each as queue_json.h says.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/fields.h"
#include "gateway/blueprint/model.h"
#include "gateway/queue/store.h"

#define QUEUE_POSTING_TYPE "application/vnd.execgate.messages+json"

struct queue_posting {
    struct queue_send *sends;
    size_t count;
    bool is_list;
};

/* Everything in the arena or in what is given. The store checks sizes; the rest is checked here. */
int queue_posting_read(struct queue_posting *p, const struct queue_config *queue, const struct fields *headers,
                       struct slice body, struct arena *a, struct error *e) MUST_CHECK;
/* What the blueprint asks of a message to this queue. */
int queue_posting_check(const struct queue_send *send, const struct queue_config *queue, struct error *e) MUST_CHECK;
/* {"messageId": ID, "duplicate": true}, or {"messages": [...]} of such for a list. */
void queue_posting_answer(struct buf *out, const struct queue_posting *p, const struct queue_sent *sent);
