#include "gateway/base/memory.h"
#include "gateway/blueprint/document.h"
#include "gateway/blueprint/text_rules.h"

#define SECOND_MS 1000ULL
#define DAY_MS (24 * 3600 * SECOND_MS)
#define KIB (1ULL << 10)

static const char *const jitters[] = {"full", "none", NULL};

static const struct schema_field retry_fields[] = {
    {.name = "base",
     .kind = FIELD_DURATION,
     .offset = offsetof(struct retry_document, base_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "1s",
     .about = "The longest delay after the first failure."},
    {.name = "factor",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct retry_document, factor),
     .least = 1,
     .most = 100,
     .preset = "2",
     .about = "How much longer after each further one."},
    {.name = "max",
     .kind = FIELD_DURATION,
     .offset = offsetof(struct retry_document, max_ms),
     .least = 1,
     .most = 30 * DAY_MS,
     .preset = "5m",
     .about = "The longest delay of all."},
    {.name = "jitter",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct retry_document, jitter),
     .choices = jitters,
     .preset = "full",
     .about = "`full`: the delay is drawn between nothing and the longest, so that what failed together does not come "
              "back together. `none`: always the longest."},
};
static const struct object_schema retry_schema = {
    .name = "retry",
    .title = "`retry`",
    .about = "When a message that failed is tried again.",
    .fields = retry_fields,
    .count = ARRAY_LEN(retry_fields),
    .size = sizeof(struct retry_document),
    .origin_offset = offsetof(struct retry_document, origin),
};

/* --- invocations that nobody waits for --- */

static const struct schema_field destination_fields[] = {
    {.name = "queue",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = offsetof(struct destination_document, queue),
     .rule = &rule_name,
     .about = "A queue that is sent a message.",
     .example = "failed"},
    {.name = "handler",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = offsetof(struct destination_document, handler),
     .rule = &rule_name,
     .about = "A handler that is invoked, asynchronously too.",
     .example = "alarm"},
};
static const struct object_schema destination_schema = {
    .name = "destination",
    .title = "a destination",
    .about = "Who is told how an invocation that nobody waited for has ended: a JSON object with what was asked, what "
             "came of it and after how many attempts.",
    .fields = destination_fields,
    .count = ARRAY_LEN(destination_fields),
    .size = sizeof(struct destination_document),
    .origin_offset = offsetof(struct destination_document, origin),
};

#define ASYNC(member) offsetof(struct async_document, member)
static const struct schema_field async_fields[] = {
    {.name = "maxAttempts",
     .kind = FIELD_INTEGER,
     .offset = ASYNC(max_attempts),
     .least = 1,
     .most = 1000,
     .preset = "3",
     .about = "After so many failures it is given up."},
    {.name = "retry",
     .kind = FIELD_OBJECT,
     .offset = ASYNC(retry),
     .object = &retry_schema,
     .about = "When one that failed is tried again.",
     .example = "{base: 1s, factor: 2, max: 5m, jitter: full}"},
    {.name = "maxAge",
     .kind = FIELD_DURATION,
     .offset = ASYNC(max_age_ms),
     .least = SECOND_MS,
     .most = 366 * DAY_MS,
     .preset = "6h",
     .about = "How long after it was accepted an attempt may begin; then it is given up."},
    {.name = "onSuccess",
     .kind = FIELD_OBJECT,
     .offset = ASYNC(on_success),
     .object = &destination_schema,
     .preset_note = "nobody",
     .about = "Who is told of a success.",
     .example = "{handler: bookkeeping}"},
    {.name = "onFailure",
     .kind = FIELD_OBJECT,
     .offset = ASYNC(on_failure),
     .object = &destination_schema,
     .preset_note = "nobody; it is kept in the queue `async/NAME/failed`",
     .about = "Who is told when it is given up.",
     .example = "{queue: failed}"},
};
const struct object_schema async_schema = {
    .name = "async",
    .title = "`async`",
    .about =
        "Invocations that nobody waits for (`Event` on the admin listener, `wait=false` in the native API) are kept "
        "on disk until their handler has succeeded.",
    .fields = async_fields,
    .count = ARRAY_LEN(async_fields),
    .size = sizeof(struct async_document),
    .origin_offset = ASYNC(origin),
};

/* --- queues --- */

#define QUEUE(member) offsetof(struct queue_document, member)
static const struct schema_field queue_fields[] = {
    {.name = "visibilityTimeout",
     .kind = FIELD_DURATION,
     .offset = QUEUE(visibility_ms),
     .least = SECOND_MS,
     .most = DAY_MS,
     .preset = "30s",
     .about = "How soon a message is ready again when the gateway dies with it. While a handler holds it, it is "
              "extended, however long that takes."},
    {.name = "maxAttempts",
     .kind = FIELD_INTEGER,
     .offset = QUEUE(max_attempts),
     .least = 1,
     .most = 1000,
     .preset = "5",
     .about = "After so many failures a message goes to the `deadLetter` queue. Without one it stays and is tried "
              "again after the longest delay."},
    {.name = "retry",
     .kind = FIELD_OBJECT,
     .offset = QUEUE(retry),
     .object = &retry_schema,
     .about = "When a message that failed is tried again.",
     .example = "{base: 1s, factor: 2, max: 5m, jitter: full}"},
    {.name = "deadLetter",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = QUEUE(dead_letter),
     .rule = &rule_name,
     .preset_note = "none",
     .about = "The queue that messages go to, with the reason, when they have used their attempts up.",
     .example = "orders-dead"},
    {.name = "retention",
     .kind = FIELD_DURATION,
     .offset = QUEUE(retention_ms),
     .least = SECOND_MS,
     .most = 366 * DAY_MS,
     .preset_note = "for ever",
     .about = "A message that nobody finished in this time goes to the `deadLetter` queue; without one it is dropped.",
     .example = "14d"},
    {.name = "maxMessage",
     .kind = FIELD_SIZE,
     .offset = QUEUE(max_message),
     .least = KIB,
     .most = 16 * KIB * KIB,
     .preset = "256KiB",
     .about = "The largest message, its attributes included."},
    {.name = "fifo",
     .kind = FIELD_BOOLEAN,
     .offset = QUEUE(fifo),
     .preset = "false",
     .about = "Every message must name its group. Those of a group are handled one after the other in the order in "
              "which they were sent, also when one fails; without `fifo` a group is optional.",
     .example = "true"},
    {.name = "delay",
     .kind = FIELD_DURATION,
     .offset = QUEUE(delay_ms),
     .least = 0,
     .most = 366 * DAY_MS,
     .preset = "0s",
     .about = "How long a message waits before it is ready, unless its sender says another time."},
    {.name = "dedupWindow",
     .kind = FIELD_DURATION,
     .offset = QUEUE(dedup_window_ms),
     .least = SECOND_MS,
     .most = 30 * DAY_MS,
     .preset = "5m",
     .about = "A message with a deduplication id that was sent before in this time is not kept a second time."},
    {.name = "send",
     .kind = FIELD_LIST,
     .offset = QUEUE(send),
     .most = 100,
     .object = &trigger_schema,
     .preset_note = "none: clients cannot send to it",
     .about = "http triggers, with guards and limits as everywhere, whose requests become messages. They are answered "
              "202 with the message's id once it is on disk.",
     .example = "[{http: POST /queues/orders/messages, guard: partner}]"},
};
const struct object_schema queue_schema = {
    .name = "queue",
    .title = "a queue",
    .about = "A durable queue: a message is gone only after its handler has succeeded.",
    .fields = queue_fields,
    .count = ARRAY_LEN(queue_fields),
    .size = sizeof(struct queue_document),
    .origin_offset = QUEUE(origin),
};
