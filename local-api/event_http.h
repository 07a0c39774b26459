/* event_http.h - an http event in the shape that Lambda handlers know: API Gateway's payload 2.0.
 *
 * Written in one go, straight from the invocation's slices into a buffer that becomes the reply. Members without a
 * value are absent, never null. Names of header fields are lower-case, repeated fields and query parameters
 * are joined with commas, cookies stand apart. A body travels as text when its content type says text and
 * its bytes are UTF-8, else as base64.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/invocation.h"
#include "gateway/invocation/router.h"

/* Appends the event; the body must be whole. `application` is the blueprint's name. Returns its content type. */
struct slice http_event_write(struct buf *out, struct invocation *inv, const char *application);
/* True for media types whose bytes are text: text/..., JSON, XML, JavaScript, forms. */
bool media_type_is_text(struct slice content_type);
