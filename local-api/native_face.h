/* native_face.h - /v1: events and answers as HTTP messages, several at a time (docs/runtime-api.md).
 *
 * An exchange is an upload of answers followed by a poll: each answer is taken as soon as it is complete
 * (native_answer.h), then the call is parked, gathers the events of one turn in one buffer, and that
 * buffer becomes the reply. The rest is for clients that want it simple.
 */
#pragma once
#include "local-api/endpoint.h"

extern const struct api_route native_routes[];
extern const size_t native_route_count;
