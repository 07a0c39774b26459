/* failure.h - every way an invocation can end other than with its handler's answer.
 *
 * One table: failure -> HTTP status, public title, slug of the problem type, log level. Every error that
 * reaches a client goes through it and becomes application/problem+json (RFC 9457) with the request id.
 * The detail text is for the client too: it must never hold what only an operator may see.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/log.h"

/* X(NAME, status, slug, title, level) */
#define FAILURE_TABLE(X)                                                                                               \
    X(NONE, 200, "", "", LOG_DEBUG)                                                                                    \
    X(BAD_REQUEST, 400, "bad-request", "Bad Request", LOG_INFO)                                                        \
    X(UNAUTHORIZED, 401, "unauthorized", "Authentication is required", LOG_INFO)                                       \
    X(FORBIDDEN, 403, "forbidden", "Access is denied", LOG_INFO)                                                       \
    X(NOT_FOUND, 404, "not-found", "No such route", LOG_INFO)                                                          \
    X(METHOD, 405, "method-not-allowed", "Method not allowed", LOG_INFO)                                               \
    X(REQUEST_TIMEOUT, 408, "request-timeout", "The request took too long to arrive", LOG_INFO)                        \
    X(BODY_TOO_LARGE, 413, "body-too-large", "Request body too large", LOG_INFO)                                       \
    X(URI_TOO_LONG, 414, "uri-too-long", "Request target too long", LOG_INFO)                                          \
    X(EXPECTATION, 417, "expectation-failed", "Unknown expectation", LOG_INFO)                                         \
    X(UPGRADE_REQUIRED, 426, "upgrade-required", "A WebSocket handshake is required", LOG_INFO)                        \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests", LOG_INFO)                                                \
    X(HEADER_TOO_LARGE, 431, "header-too-large", "Request header fields too large", LOG_INFO)                          \
    X(CLIENT_GONE, 499, "client-gone", "The client left", LOG_INFO)                                                    \
    X(INTERNAL, 500, "internal", "Internal error", LOG_ERROR)                                                          \
    X(NOT_IMPLEMENTED, 501, "not-implemented", "Not implemented", LOG_INFO)                                            \
    X(HANDLER_ERROR, 502, "handler-error", "The handler reported an error", LOG_WARN)                                  \
    X(HANDLER_DIED, 502, "handler-died", "The handler process ended before it answered", LOG_WARN)                     \
    X(HANDLER_ANSWER, 502, "handler-answer-invalid", "The handler's answer is not valid", LOG_WARN)                    \
    X(HANDLER_ANSWER_TOO_LARGE, 502, "handler-answer-too-large", "The handler's answer is too large", LOG_WARN)        \
    X(OVERLOADED, 503, "overloaded", "Too many requests in flight", LOG_WARN)                                          \
    X(QUEUE_FULL, 503, "queue-full", "Too many requests wait for this handler", LOG_WARN)                              \
    X(QUEUE_TIMEOUT, 503, "queue-timeout", "No handler process became free in time", LOG_WARN)                         \
    X(UNAVAILABLE, 503, "handler-unavailable", "No handler process can be started", LOG_WARN)                          \
    X(GUARD_UNAVAILABLE, 503, "guard-unavailable", "Access cannot be checked now", LOG_WARN)                           \
    X(NOT_KEPT, 503, "not-kept", "A message could not be kept", LOG_ERROR)                                             \
    X(SHUTTING_DOWN, 503, "shutting-down", "The gateway is shutting down", LOG_INFO)                                   \
    X(HANDLER_TIMEOUT, 504, "handler-timeout", "The handler did not answer in time", LOG_WARN)                         \
    X(VERSION, 505, "version-not-supported", "HTTP version not supported", LOG_INFO)

enum failure {
#define X(name, status, slug, title, level) FAILURE_##name,
    FAILURE_TABLE(X)
#undef X
        FAILURE_COUNT
};

struct failure_row {
    int status;
    const char *slug;
    const char *title;
    enum log_level level;
};
const struct failure_row *failure_row(enum failure f);
/* Appends the RFC 9457 object and a line end: type "urn:execgate:problem:SLUG", title, status, detail and requestId
 * (absent when none). */
void failure_write_problem(struct buf *out, enum failure f, struct slice detail, struct slice request_id);
