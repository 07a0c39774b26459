/* stream.h - an answer whose body is still arriving from the process while the client already gets it.
 *
 * The invocation is completed with an open body as soon as status and headers are known; the call keeps the
 * producer's end and, as an answer_stream, the worker's place and deadline. What a slow client does not take
 * is not read from the process. A stream that does not reach its end breaks the client's connection.
 */
#pragma once
#include "local-api/endpoint.h"

/* Acknowledges to the process what has come, now: before the stream begins. stream_data does so by itself. */
void stream_acknowledge(const struct call *c);
/* Completes the invocation; `length` of the body, or BODY_LENGTH_UNKNOWN. The call's ops become `ops`. */
void stream_begin(struct call *c, struct invocation *inv, struct outcome o, int64_t length, const struct call_ops *ops);
/* on_data of a call whose stream has begun. */
size_t stream_data(struct call *c, struct slice bytes);
/* The process has sent everything. False when the stream had been broken off before (deadline). */
bool stream_finish(struct call *c);
/* Breaks it off; nothing happens when it is over. */
void stream_fail(struct call *c, enum failure f, const char *why);
/* on_left of a call whose stream has begun. */
void stream_left(struct call *c);
/* The worker's deadline for it has passed, or the worker is gone: the worker has let go of it already. */
void stream_abort(struct answer_stream *s);
