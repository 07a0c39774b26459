/* http_call.h - one request after the other to a URL that a person named, waiting for each answer: for commands.
 *
 * A running gateway never uses it, because it waits. The request goes as it is given: nothing is added but what the
 * connection needs, redirects are answers, nothing is decompressed. https is verified. The connection is kept from call
 * to call.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"
#include "gateway/base/fields.h"

struct http_caller;
/* `ca_file` (PEM) is believed besides the system's store; NULL = none. */
struct http_caller *http_caller_new(const char *ca_file, struct error *e);
void http_caller_free(struct http_caller *c); /* NULL is fine */

struct http_call {
    const char *url;
    const char *unix_socket; /* NULL = over TCP */
    const char *method;
    const struct fields *headers;
    struct slice body; /* absent = none */
    uint64_t timeout_ms;
    size_t max_size; /* of the answer's body */
};
struct http_reply {
    int status;
    struct fields headers;
    struct slice body;
    bool whole; /* false: `max_size` cut it */
    uint64_t duration_us;
};
/* The reply lives until the next call. */
int http_caller_call(struct http_caller *c, const struct http_call *call, struct http_reply *reply,
                     struct error *e) MUST_CHECK;
/* True for "http://host" or "https://host", with a port and a path if need be. */
bool http_call_base_is_good(struct slice url);
