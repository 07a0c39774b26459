/* event_websocket.h - what happens on a WebSocket connection in the shape that Lambda handlers know: API Gateway's
 * WebSocket events.
 *
 * A connection tells of its request once, when it is opened: headers and query parameters, each in two spellings
 * (the last value, and all of them). A message is text, or base64 with isBase64Encoded.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/event.h"

/* Appends it and returns its content type. `application` is the blueprint's name. */
struct slice websocket_event_write(struct buf *out, struct arena *scratch, const struct websocket_event *event,
                                   const char *application);
