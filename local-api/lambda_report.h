/* lambda_report.h - the error that a handler or its runtime reports: {errorMessage, errorType, stackTrace}. */
#pragma once
#include "local-api/endpoint.h"

struct lambda_report {
    struct slice
        type; /* of the header if it is of the right form, else of the body, else Function.Unknown or Runtime.Unknown */
    struct slice message; /* the bytes as they came, when they are not such an object */
    struct slice stack;   /* JSON; absent when there is none */
};
/* Slices live in `a` or in the body. */
struct lambda_report lambda_report_read(struct arena *a, struct slice type_header, struct slice body,
                                        struct slice unknown);
void lambda_report_log(const struct endpoint *ep, const char *what, struct slice invocation,
                       const struct lambda_report *r);
