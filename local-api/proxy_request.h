/* proxy_request.h - one request on its way through libcurl to a handler that is an HTTP server, and its answer back.
 *
 *   start -> the head goes out, the body follows as the client sends it
 *         -> the answer's head is here: the invocation is completed, with the whole body if that has come too,
 *            otherwise with one that is still arriving (a stream)
 *         -> the transfer is done, the client has left, or a deadline has passed: freed
 *
 * libcurl's callbacks move bytes and leave marks; proxy_requests_settle draws the conclusions, once per turn and
 * outside of libcurl. A request rests in one list of its upstream and is in the other from its first mark until then.
 *
 * A request is sent twice only if it may be: libcurl repeats one whose kept-alive connection turned out to be closed,
 * and that is allowed for idempotent methods without a body alone (RFC 9110 9.2.2). A kept connection that is found
 * unfit before anything was sent on it is another matter: the request goes out on a new one.
 */
#pragma once
#include "gateway/client/transfers.h"
#include "gateway/pool/transport.h"

struct proxy_request;
/* What the requests to one process share. */
struct proxy_upstream {
    struct worker *worker;
    struct loop *loop;
    struct log *log;
    struct transfers *transfers;
    uint16_t port;
    bool refused;    /* a connection was: nobody listens there any more */
    bool suspicious; /* a connection broke before its answer: perhaps nobody does */
    bool unsound;    /* it has sent bytes that belong to no answer: each of its connections is used once */
    struct list resting;
    struct list marked;
};

/* The on_done of its transfers. */
void proxy_request_done(void *transfer, int curl_code);
static inline size_t proxy_requests(const struct proxy_upstream *u) {
    return u->resting.length + u->marked.length;
}
/* Takes the body out of the invocation; until that is completed, its `delivery` is the request. */
void proxy_request_start(struct proxy_upstream *u, struct invocation *inv);
void proxy_requests_settle(struct proxy_upstream *u);
void proxy_request_cancel(struct invocation *inv);
void proxy_request_forget(struct invocation *inv);
void proxy_request_abort_stream(struct answer_stream *s);
/* Frees them all; none holds an invocation. */
void proxy_requests_drop(struct proxy_upstream *u);
