/* lambda_face.h - the AWS Lambda Runtime API, as the official runtime clients speak it.
 *
 * What they force: `next` blocks without limit and is only ever answered with 200, answers are
 * accepted with exactly 202 and at once, every reply has a Content-Type. The state machine of one process:
 *
 *   Started -- next --> Ready -- event --> Running -- response, error --> ResponseSent -- next --> Ready
 *   Started -- init/error --> InitError
 *
 * With concurrency 1 a second next while Running is given the same event again; with more, each next is
 * given another event and answers come in any order.
 */
#pragma once
#include "local-api/endpoint.h"

extern const struct api_route lambda_routes[];
extern const size_t lambda_route_count;

/* "arn:aws:lambda:us-east-1:012345678912:function:NAME": the shape that clients take apart. */
struct slice lambda_arn(const struct endpoint *ep, char *room, size_t size);
/* "Root=1-...;Parent=...;Sampled=0": the trace as X-Ray spells it. */
#define LAMBDA_TRACE_SIZE 80
struct slice lambda_trace(const struct invocation *inv, char room[LAMBDA_TRACE_SIZE]);
/* An error type as a header may carry it, or `otherwise`. */
struct slice lambda_error_type(struct slice given, struct slice otherwise);
