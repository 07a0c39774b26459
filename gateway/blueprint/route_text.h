/* route_text.h - `GET /items/{id}` as a person writes it.
 *
 * A pattern is compared with the decoded segments of a request's path, so it is written decoded
 * too. Two triggers stand in each other's way when their shapes are equal: the same method and,
 * segment by segment, the same text, or a parameter in both, whatever its name.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/blueprint/model.h"

#define ROUTE_MAX_SEGMENTS 32

/* Fills method, pattern and text. */
int route_parse(struct slice text, struct arena *a, struct http_trigger_config *out, struct error *e) MUST_CHECK;
/* "GET /items/{}" for "GET /items/{id}", "ANY /files/{+}" for "ANY /files/{path+}". */
void route_write_shape(struct buf *out, const struct http_trigger_config *route);
