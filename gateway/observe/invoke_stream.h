/* invoke_stream.h - a handler's streamed answer as the event stream that AWS clients read.
 *
 * Bytes become PayloadChunk messages as they arrive, held back when the client is slow; the end, good or bad, becomes
 * one InvokeComplete {ErrorCode, ErrorDetails, LogResult}, whose error members are there only after a failure.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/observe/event_stream.h"
#include "gateway/source/invoke/invoke_source.h"

/* Takes over the answer's body and returns the consumer's end of another. `log` is copied; absent = no LogResult. */
struct body *invoke_stream_new(struct loop *l, const struct invoke_answer *answer, struct slice log);
