/* http_check.h - what libmicrohttpd 0.9.75 lets through and we refuse.
 *
 * One pure function over the parsed head of a request, before anything looks at it: message framing that two
 * parsers could read differently (request smuggling, RFC 9112 6.3 and 11.2), bad names and values, bad targets, methods
 * and versions. The answer is a failure for the client, or FAILURE_NONE.
 */
#pragma once
#include "gateway/base/fields.h"
#include "gateway/invocation/failure.h"

#define HTTP_MAX_FIELDS 128

struct http_head {
    struct slice method;
    struct slice target; /* raw */
    struct slice version;
    const struct fields *fields;
};
struct http_verdict {
    enum failure failure;
    const char *detail; /* static text */
};
struct http_verdict http_check(const struct http_head *head);
/* uri-host [":" port] (RFC 9110 7.2). */
bool http_is_host(struct slice s);
