/* lambda_report.h - the error that a handler or its runtime reports: {errorMessage, errorType, stackTrace}, and
 * `retry` (report_retry.h), which is ours; what cannot be understood of it is left aside. */
#pragma once
#include "local-api/endpoint.h"

#define LAMBDA_ERROR_TYPE_FIELD "Lambda-Runtime-Function-Error-Type"
#define LAMBDA_ERROR_BODY_FIELD "Lambda-Runtime-Function-Error-Body"

/* The type is that of the body, which names the language's own (java.lang.IllegalStateException), else that of the
 * header if it is of the right form (Runtime.UserException), else `unknown` (Function.Unknown or Runtime.Unknown); the
 * message is the bytes as they came when they are not such an object; the stack is JSON. Slices live in `a` or in the
 * body. */
struct handler_report lambda_report_read(struct arena *a, struct slice type_header, struct slice body,
                                         struct slice unknown);
void lambda_report_log(const struct endpoint *ep, const char *what, struct slice invocation,
                       const struct handler_report *r);

/* Reads the two trailers from text that has nothing else: "TYPE-FIELD: type CRLF BODY-FIELD: base64 CRLF". The slices
 * lie in the text; false leaves them alone. */
bool lambda_trailers_read(struct slice text, struct slice *type, struct slice *body);
