/* invoke_source.h - invocations made by hand: bytes for a handler by its name, or a request that no client sent.
 *
 * Whoever wants a handler called and is no HTTP client does it here: `execgate invoke`, an admin listener, a queue,
 * another handler. Each call is one invocation through the real pipeline:
 *
 *   invoke_bytes    TRIGGER_INVOKE on the handler's own route (invoke_route): no plugins, the bytes untouched
 *                   (of a schedule: TRIGGER_SCHEDULE, as if its hour had come)
 *   invoke_request  TRIGGER_HTTP: routed and treated by every plugin, as if a client had sent it. With claims, its
 * guards take them as verified and only the route's `require` is still asked for.
 *
 * on_end is called exactly once, and never before the function that made the call has returned; after invoke_cancel it
 * is not called any more. A call keeps what the process prints meanwhile, so far as that is told apart: with a
 * concurrency above 1, the lines of its neighbours too.
 */
#pragma once
#include "gateway/base/json_read.h"
#include "gateway/invocation/event.h"
#include "gateway/invocation/pipeline.h"

/* How on_end is given the body. */
enum invoke_reading {
    INVOKE_WHOLE,    /* in `bytes`, once it is all here */
    INVOKE_STREAMED, /* as `body`, which is taken over and may still be arriving */
};

struct invoke_answer {
    struct slice id;      /* of the invocation */
    enum failure failure; /* NONE: the handler has answered */
    int status;           /* of an answer to a request; 200 for bytes */
    const struct fields *headers;
    struct slice bytes;
    struct body *body;                   /* the consumer's end, taken over by on_end; NULL = empty */
    struct slice detail;                 /* of a failure; for everybody */
    struct slice evidence;               /* of a bad answer: its first bytes; for the operator */
    const struct handler_report *report; /* what the handler said of its failure; NULL = nothing */
    struct slice output;                 /* the last lines that its process has printed, joined by '\n' */
    uint64_t duration_us;                /* of all of it */
    uint64_t waited_us;                  /* of that, for a process */
};

struct invoke_call;
struct invoke_ops {
    enum invoke_reading reading;
    /* Everything in the answer but its `body` lives until it returns; the call is gone then. */
    void (*on_end)(void *context, const struct invoke_answer *answer);
};

/* What both kinds of calls may have. Slices are copied; absent and zero = none. */
struct invoke_order {
    const struct invoke_ops *ops;
    void *context;
    uint64_t timeout_ms;   /* instead of the route's or the handler's */
    struct slice claims;   /* a JSON object (invoke_claims_check) */
    struct slice trace;    /* a W3C traceparent */
    uint64_t answer_limit; /* of INVOKE_WHOLE, bytes */
};

/* The route of invocations by name; one for each handler, which lives as long as they do. */
struct route invoke_route(const struct handler_config *handler, struct executor *executor);

struct invoke_payload {
    struct slice bytes;
    struct slice content_type;
    struct slice client_context;             /* a JSON object on one line (identity_json_line) */
    const struct schedule_event *schedule;   /* a schedule's run instead of bytes; NULL = none */
    const struct websocket_trial *websocket; /* or an event of a WebSocket connection */
};
struct invoke_call *invoke_bytes(struct pipeline *p, const struct route *route, const struct invoke_payload *payload,
                                 const struct invoke_order *order);

struct invoke_http {
    struct slice method;
    struct slice target;
    const struct fields *headers; /* as sent; NULL = none */
    struct slice body;            /* absent = none */
    struct slice client_address;  /* absent = 127.0.0.1 */
};
/* Gives an invocation that is not run the request, the ids and the identity that such a call would have. The body is
 * whole. 0, or -ERROR_FORMAT when a listener would refuse the request. */
int invoke_request_fill(struct invocation *inv, const struct invoke_http *request, struct slice claims,
                        struct error *e) MUST_CHECK;
/* What a listener would refuse is refused here, with the same answer. */
struct invoke_call *invoke_request(struct pipeline *p, const struct invoke_http *request,
                                   const struct invoke_order *order);

/* Nobody waits for it any more; the call is gone. */
void invoke_cancel(struct invoke_call *call);
/* False, with the reason, unless it is an object that can be somebody's claims. */
bool invoke_claims_check(struct slice json, struct error *e);
