/* queue_answer.h - which messages of a batch failed, as its handler says: {"batchItemFailures": [{"itemIdentifier":
 * ID}]}. */
#pragma once
#include "gateway/invocation/event.h"

/* Sets failed[i] for the messages that the answer names. An empty answer, null, and an absent or empty list name none.
 * False, with nothing to be relied on, when it is none of these or names a message that is not in the batch. */
bool queue_answer_read(struct slice answer, const struct queue_event *batch, bool *failed);
