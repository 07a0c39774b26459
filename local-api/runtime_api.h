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

struct blueprint;
struct queue_store;
struct runtime_api;
/* Makes the private folder (0700) for the Unix sockets. `max_answer`: bytes of a whole answer. */
struct runtime_api *runtime_api_new(struct loop *l, struct log *log, const struct limits_config *limits,
                                    struct error *e);
void runtime_api_free(struct runtime_api *r); /* removes the folder; all workers must have been closed; NULL is fine */
/* For answers and connections from now on. */
void runtime_api_limit(struct runtime_api *r, const struct limits_config *limits);
/* Where the messages go that handlers send, and which queues there are, from now on; a NULL store = none. */
void runtime_api_queues(struct runtime_api *r, struct queue_store *store, const struct blueprint *b);
/* True when no connection of a handler is open any more. */
bool runtime_api_is_idle(const struct runtime_api *r);
/* The transport of handlers with `mode: runtime`; its pool's transport context is the struct runtime_api. */
extern const struct transport_ops runtime_transport;
