/* runtime_api.h - the localhost HTTP API that handler processes poll (docs/runtime-api.md).
 *
 * One http_server with lanes of its own serves the endpoints of all processes; an endpoint (endpoint.h) is opened
 * before its process is forked and is its identity. What arrives there goes to one of two faces (lambda_face.h,
 * native_face.h), both of which only translate between HTTP and the worker: park a poll, write an event, read an
 * answer.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/transport.h"

struct invoke_host;
struct runtime_api;
/* Makes the private folder (0700) for the Unix sockets. `max_answer`: bytes of a whole answer. */
struct runtime_api *runtime_api_new(struct loop *l, struct log *log, const struct limits_config *limits,
                                    struct error *e);
void runtime_api_free(struct runtime_api *r); /* removes the folder; all workers must have been closed; NULL is fine */
/* For answers and connections from now on. */
void runtime_api_limit(struct runtime_api *r, const struct limits_config *limits);
/* For handlers that send to queues or call others; without it they cannot. What it points to outlives the API. */
void runtime_api_calls(struct runtime_api *r, const struct invoke_host *host);
/* True when no connection of a handler is open any more. */
bool runtime_api_is_idle(const struct runtime_api *r);
/* The transport of handlers with `mode: runtime`; its pool's transport context is the struct runtime_api. */
extern const struct transport_ops runtime_transport;
