/* answer_http.h - what a Lambda handler answers to an http event.
 *
 * A whole answer is payload 2.0: {statusCode, headers, multiValueHeaders, cookies, body, isBase64Encoded}, any member
 * of which may be null; JSON without a statusCode is itself the body of a 200. The body is unescaped or decoded where
 * it was received, and that memory becomes the client's answer.
 *
 * A streamed answer begins with a prelude, a JSON object {statusCode, headers, cookies} and eight NUL bytes; raw
 * bytes follow.
 */
#pragma once
#include "gateway/invocation/invocation.h"

#define PRELUDE_MAX (64 * 1024)

/* Takes over the bytes as received. An answer that is not valid becomes the failure HANDLER_ANSWER with the reason. */
struct outcome http_answer_read(struct invocation *inv, struct chunk *take_chunk);

enum prelude_result { PRELUDE_COMPLETE, PRELUDE_INCOMPLETE, PRELUDE_INVALID };
/* Looks for the prelude at the start of what has arrived. `*json` is it without the NUL bytes, `*size` its length with
 * them. */
enum prelude_result prelude_find(struct slice text, struct slice *json, size_t *size);
/* Its status and headers, without a body; or the failure HANDLER_ANSWER. */
struct outcome prelude_read(struct invocation *inv, struct slice json);
/* The failure for bytes that are no answer, the first of them quoted. */
struct outcome answer_invalid(struct invocation *inv, const char *why, struct slice bytes);
