/* lambda_report.h - the error that a handler or its runtime reports: {errorMessage, errorType, stackTrace}, and
 * `retry` (report_retry.h), which is ours; what cannot be understood of it is left aside. */
#pragma once
#include "local-api/endpoint.h"

/* The type is that of the header if it is of the right form, else of the body, else `unknown` (Function.Unknown or
 * Runtime.Unknown); the message is the bytes as they came when they are not such an object; the stack is JSON. Slices
 * live in `a` or in the body. */
struct handler_report lambda_report_read(struct arena *a, struct slice type_header, struct slice body,
                                         struct slice unknown);
void lambda_report_log(const struct endpoint *ep, const char *what, struct slice invocation,
                       const struct handler_report *r);
