/* invoke_report.h - how an invocation by name has ended, in the words of the AWS Lambda API.
 *
 * Two kinds of bad endings are told apart. When the function failed (it reported an error, died, took too long), the
 * call itself went well: 200, X-Amz-Function-Error, and a report {errorType, errorMessage, stackTrace} for a body. When
 * nothing could be run (no process, too much waits, shutting down) the call failed: an error of the service, which
 * clients try again.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/source/invoke/invoke_source.h"

struct api_error {
    int status;
    const char *type; /* x-amzn-ErrorType */
    enum { API_RETRY_NEVER, API_RETRY_SOON } retry;
};
extern const struct api_error api_not_found, api_invalid, api_bad_content, api_too_large, api_busy, api_unavailable;

/* NULL when the failure is the function's own, or NONE. */
const struct api_error *invoke_service_error(enum failure f);
/* The function's own report if it posted one, else one that says what was seen. */
void invoke_report_write(struct buf *out, const struct invoke_answer *answer);
/* Type and message of the same. In the arena, or static. */
struct invoke_report {
    struct slice type;
    struct slice message;
};
struct invoke_report invoke_report_of(struct arena *a, const struct invoke_answer *answer);
/* What the function printed, between lines that say when it began and ended: the last 4 KiB as base64. */
struct slice invoke_log_tail(struct arena *a, const struct invoke_answer *answer);
