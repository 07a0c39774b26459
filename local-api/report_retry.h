/* report_retry.h - what a handler that failed says of the next attempt: `false`, or {"after": "30s"}. Only queues ask.
 */
#pragma once
#include "gateway/base/json_read.h"
#include "gateway/invocation/invocation.h"

/* true and null say nothing. False when it is none of these. */
bool report_retry_read(struct handler_report *r, struct arena *a, struct json_value value) MUST_CHECK;
/* The same as a field: "false" or a duration. */
bool report_retry_read_field(struct handler_report *r, struct slice text) MUST_CHECK;
