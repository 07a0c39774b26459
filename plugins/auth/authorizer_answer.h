/* authorizer_answer.h - what a handler said when it was asked whether a request may pass; pure.
 *
 *   204                                               may pass
 *   2xx {"isAuthorized": true, "context": {...}}      may pass, and this is who it is; context may be absent or null
 *   2xx {"isAuthorized": false, "statusCode": 401}    may not: 401, or 403 (also without statusCode)
 *   401, 403                                          may not
 *
 * A context is a claims set (jwt.h): names once, and those that RFC 7519 knows of the kind it says.
 * Everything else is no answer: a handler that fails, or whose answer misspells a name, opens nothing. An empty 200 is
 * none either, for it is what comes of a program that ends without a word. A name that stands twice makes the whole
 * invalid.
 */
#pragma once
#include "gateway/base/arena.h"

#define AUTHORIZER_ANSWER_LIMIT (64 * 1024)

enum authorizer_verdict { AUTHORIZER_UNCLEAR, AUTHORIZER_ALLOWS, AUTHORIZER_REFUSES, AUTHORIZER_KNOWS_NOBODY };
struct authorizer_answer {
    enum authorizer_verdict verdict; /* REFUSES: 403; KNOWS_NOBODY: 401 */
    struct slice context;            /* of ALLOWS: one JSON object, "{}" when it said nothing */
    const char *why;                 /* of UNCLEAR, for the log */
};
struct authorizer_answer authorizer_answer_read(int status, struct slice body, struct arena *a);
