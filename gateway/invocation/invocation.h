/* invocation.h - one event on its way through the house, and what came of it.
 *
 * A source makes an invocation, the pipeline takes it through the plugins into its handler's
 * executor (a pool), a process answers, the pipeline takes the answer back, the source
 * delivers it and the invocation is freed. All that belongs to it lives in its arena.
 *
 * State is a place: an invocation is in the state whose list holds it.
 *
 *   NEW -> PRE -> BODY -> QUEUED -> RUNNING -> POST -> DONE
 *    |      |       |        |          ^
 *    +------+-------+--------+----------|--> POST   (a refusal or a cancellation skips ahead)
 *                            +--RUNNING-+           (back to QUEUED only if provably never taken)
 *
 * invocation_move takes it out of the old place and puts it into the new; it alone writes the
 * state, counts, and arms the deadline. QUEUED is the pool's list, RUNNING a worker's list, the rest are the
 * pipeline's.
 */
#pragma once
#include "gateway/base/clock.h"
#include "gateway/base/deadline.h"
#include "gateway/base/fields.h"
#include "gateway/base/list.h"
#include "gateway/base/turn.h"
#include "gateway/base/url.h"
#include "gateway/invocation/body.h"
#include "gateway/invocation/failure.h"

enum invocation_state {
    INVOCATION_NEW,
    INVOCATION_PRE,
    INVOCATION_BODY,
    INVOCATION_QUEUED,
    INVOCATION_RUNNING,
    INVOCATION_POST,
    INVOCATION_DONE,
    INVOCATION_STATES
};

/* Where an event comes from, and with that who looks at it (struct hook) and in which shape a process gets it
 * (local-api/event.h). Only http events are matched by the router; the others come with their route. */
enum trigger_kind {
    TRIGGER_HTTP,       /* a client's request */
    TRIGGER_AUTHORIZER, /* the gateway itself asks a handler whether another invocation may pass: no hook sees it */
    TRIGGER_CREDENTIAL, /* a client proves later who it is, and only its route's guards look at that: `credential` */
    TRIGGER_INVOKE,     /* bytes for a handler by its name: POST /invoke */
    TRIGGER_QUEUE,      /* messages of a queue: POST /queue/NAME */
    TRIGGER_SCHEDULE,   /* an hour has come: POST /schedule/NAME */
    TRIGGER_WEBSOCKET,  /* something happened on a WebSocket connection: POST /websocket/PATH/ROUTE */
    TRIGGER_KINDS
};
const char *trigger_kind_name(enum trigger_kind t);

enum cancel_reason { CANCEL_NONE, CANCEL_CLIENT_GONE, CANCEL_SHUTDOWN };

struct event_rules;
struct identity;
struct schedule_event;
struct queue_event;
struct held_sends;
struct http_upgrade;
struct invocation;
struct pipeline;
struct route;
struct websocket_event;
struct worker;

/* What makes invocations and delivers their outcomes. */
struct source_ops {
    const char *name;
    /* Exactly once, always. The source takes from inv->outcome what it keeps (outcome_take_body); the invocation is
     * freed when this returns. */
    void (*finish)(struct invocation *inv);
    /* A line that the process which holds it has printed. NULL = nobody wants to know. */
    void (*output)(struct invocation *inv, struct slice line);
};

/* The event as a request message: the http event as the client sent it, any other as its source made it
 * (invocation_request_post). Slices live in the invocation's arena. */
struct request {
    struct slice method;
    struct slice target;  /* raw */
    struct slice version; /* "HTTP/1.1" */
    struct url url;
    struct fields headers;
    size_t head_size;                /* bytes of request line and fields as received */
    struct slice host;               /* the Host field, or the target's authority, or what a trusted proxy says */
    struct slice client_address;     /* numeric; "unix:" for a local socket */
    bool asks_websocket;             /* its Connection and Upgrade fields, which end here, ask for one */
    uint16_t client_port;            /* 0 = unknown */
    struct slice scheme;             /* "http" or "https", as the client spoke to us or to a trusted proxy */
    struct slice client_certificate; /* its subject as RFC 2253 text; absent when the client showed none */
    struct slice client_fingerprint; /* of that certificate: SHA-256, lower-case hex; absent likewise */
};

/* Whether the same event is to come again; for those of queues. */
enum report_retry { REPORT_RETRY_UNSAID, REPORT_RETRY_NEVER, REPORT_RETRY_AFTER };

/* What a handler, or its runtime, says about its own failure. Slices live in the invocation's arena. */
struct handler_report {
    struct slice type;
    struct slice message;
    struct slice stack;  /* absent when there is none */
    struct slice posted; /* the bytes as they came; absent when it said no more than the type */
    enum report_retry retry;
    uint64_t retry_after_ms; /* REPORT_RETRY_AFTER */
};

/* How it ended: the handler's answer (failure NONE) or a failure. */
struct outcome {
    enum failure failure;
    int status;
    struct fields headers;               /* already filtered: no hop-by-hop, no Content-Length */
    struct body *body;                   /* consumer's end; NULL = empty. May still be arriving. */
    struct slice detail;                 /* of a failure; in the arena */
    struct slice evidence;               /* for the log only: what a bad answer looked like; in the arena */
    uint32_t retry_after_s;              /* 0 = no Retry-After */
    struct slice allow;                  /* of a 405; in the arena or longer-lived */
    const struct handler_report *report; /* of a HANDLER_ERROR; NULL = it said nothing */
};

#define INVOCATION_MAX_PARAMETERS 32

struct invocation {
    struct list_node node; /* its place */
    enum invocation_state state;
    struct pipeline *pipeline;
    const struct source_ops *source;
    void *source_context;
    struct arena arena;

    enum trigger_kind trigger;
    char id[UUID_TEXT_SIZE];         /* ours, unguessable, the same for every attempt */
    char attempt_id[UUID_TEXT_SIZE]; /* of this delivery to a worker */
    unsigned attempts;
    struct slice request_id;                 /* the client's X-Request-Id if sane, else id */
    struct slice client_context;             /* of an invoke event: a JSON object fit for a header field, or absent */
    const struct schedule_event *schedule;   /* of a schedule's event (event.h); in the arena */
    const struct websocket_event *websocket; /* of a websocket event (event.h) */
    struct http_upgrade *upgrade;            /* who takes the connection over (source/http/http_server.h) */
    const struct event_rules *event_rules;   /* for answers that are event streams; NULL = they are like others */
    struct slice answer_groups;              /* what its answer's client is to join (event_groups.h); absent = none */
    bool answers_events;                     /* its answer is text/event-stream */
    const struct queue_event *messages;      /* of a queue event (event.h) */
    struct held_sends *held_sends;           /* what its answer lets go (local-api/held_sends.h) */
    char trace_id[32];                       /* W3C trace context, hex */
    char parent_id[16];                      /* the span the handler should take as its parent */
    bool trace_sampled;

    struct request request;
    struct body *body;                                  /* request body, consumer's end; NULL = none */
    const struct route *route;                          /* set by the ROUTE step */
    struct slice parameters[INVOCATION_MAX_PARAMETERS]; /* values, in the order of route->parameter_names */

    struct identity *identity; /* who the client was found to be; NULL = nobody asked (identity.h). A source that
                                * vouches for somebody sets it: no guard is asked then. */
    struct slice credential;   /* of a CREDENTIAL: it stands in none of the request's places */
    void *guarding;            /* of plugins/auth, while it looks at this invocation */
    void *limiting;            /* of plugins/limits; NULL = nothing to count */
    void *recording;           /* of observe/recorder.h; NULL = it is not kept */
    uint64_t timeout_ms;       /* the source's, or else the route's own; 0 = the handler's (invocation_timeout_ms) */

    struct worker *worker; /* while RUNNING */
    void *delivery;        /* the transport's own record while RUNNING */
    struct outcome outcome;
    enum cancel_reason cancelled;
    bool whole_body;            /* a pre hook wants the hooks' `body` to be called; read with its body collected */
    bool preflight;             /* answered as a CORS preflight for `route`; nothing ran */
    size_t step;                /* the pipeline's position */
    struct turn_task body_task; /* the pipeline's: its body has ended, go on */

    struct deadline deadline;
    uint64_t received_us, queued_us, started_us, completed_us; /* monotonic; 0 = not reached */
    uint64_t received_wall_ms;
};

/* A new one, in state NEW with its id made (which is its request_id too); the source fills request, body, request_id
 * and trace, then calls pipeline_run. Parameters, attempt_id and the url's segments hold whatever they held before. */
struct invocation *invocation_new(struct pipeline *p, const struct source_ops *source, void *source_context);
/* The trace context from a W3C traceparent (version 00, strictly), or a new one, not sampled, when it is absent or not
 * valid. */
void invocation_trace_from(struct invocation *inv, struct slice traceparent);
/* For a source whose events are no HTTP requests: makes its request `POST path`, without fields. The path is encoded
 * already. */
void invocation_request_post(struct invocation *inv, const char *path);
/* Into `place` (the list of the new state). Notes the time of the state's first entry. The deadline belongs to the
 * state that armed it: a move disarms it. */
void invocation_move(struct invocation *inv, enum invocation_state state, struct list *place);
/* on_due is called once this state has lasted after_ms more (0 = disarm). */
void invocation_arm(struct invocation *inv, uint64_t after_ms, void (*on_due)(struct deadline *d));
/* Whom it counts for: the identity, for as many addresses as that has, or else the address, for all who are nobody. In
 * its arena. */
struct slice invocation_client_key(struct invocation *inv);
/* Its answer is a stream of events that is looked after as one (event_rules.h). */
static inline bool invocation_answers_events(const struct invocation *inv) {
    return inv->answers_events && inv->event_rules;
}
/* How long it may wait, and run, on its route. */
uint64_t invocation_timeout_ms(const struct invocation *inv);
const char *invocation_state_name(enum invocation_state s);
static inline struct slice invocation_id(const struct invocation *inv) {
    return slice_make(inv->id, UUID_TEXT_SIZE);
}

/* Builds an outcome in inv's arena. The detail may be NULL. */
struct outcome outcome_failure(struct invocation *inv, enum failure f, const char *detail_format, ...)
    __attribute__((format(printf, 3, 4)));
/* HANDLER_ERROR with a copy of what was reported. A type becomes part of the public detail, the rest does not. */
struct outcome outcome_reported(struct invocation *inv, const struct handler_report *report);
/* Moves the body out (the caller holds the consumer's end); NULL when there is none. */
struct body *outcome_take_body(struct outcome *o);
/* Lets go of the body, if there is one. */
void outcome_release(struct outcome *o);
/* Turns a failure into what a client sees: problem+json (RFC 9457), Retry-After, Allow. The pipeline calls it once,
 * before the post hooks. */
void outcome_explain(struct invocation *inv);

/* Arrow 5: from local-api, supervisor or a deadline, for a QUEUED or RUNNING invocation. The first wins: false means it
 * was late, was counted, and the outcome's body has been let go. Goes through POST and finish before it returns; inv is
 * freed then. */
bool invocation_complete(struct invocation *inv, struct outcome outcome);
/* Arrow 2. Before RUNNING: it is finished (inv is freed). RUNNING: the source is detached at once and never called
 * again; the worker is offered the cancellation, and the invocation ends when the handler answers or its deadline
 * passes. */
void invocation_cancel(struct invocation *inv, enum cancel_reason why);

/* The pipeline's own: ends its life once the source has finished it. The memory is kept for the next one. */
void invocation_recycle(struct invocation *inv);
void invocation_free(struct invocation *inv); /* of a recycled one */
