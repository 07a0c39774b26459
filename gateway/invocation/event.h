/* event.h - what events are made of that are no HTTP requests: plain structs.
 *
 * A source fills one for its trigger; local-api's writers (event_queue.h, event_schedule.h, event_websocket.h) show it
 * to Lambda handlers in the shape that they know. Slices belong to whoever filled it. An absent slice, or a zero where
 * so noted, is left out of the event.
 */
#pragma once
#include "gateway/base/fields.h"
#include "gateway/invocation/identity.h"

/* A body that is not UTF-8 is shown as base64, and an attribute `contentTransferEncoding` says so. */
/* Of a dead letter. */
struct queue_obituary {
    struct slice queue; /* which it died in */
    struct slice reason, error;
    uint64_t attempts;
};
struct queue_record {
    struct slice id; /* what batchItemFailures names */
    struct slice receipt;
    struct slice body;
    struct slice content_type;
    struct slice group_id, deduplication_id;
    uint64_t sequence; /* within its group; 0 = left out */
    unsigned receive_count;
    uint64_t sent_ms, first_received_ms; /* Unix time */
    struct fields attributes;            /* the sender's, as text */
    struct queue_obituary died;          /* its queue is absent when it did not */
};
struct queue_event {
    struct slice queue; /* its name */
    const struct queue_record *messages;
    size_t count;
};

struct schedule_event {
    struct slice schedule; /* its name */
    struct slice id;       /* of this firing */
    uint64_t due_ms;       /* Unix time, whole seconds */
    struct slice input;    /* JSON; absent = {} */
};

enum websocket_event_type { WEBSOCKET_CONNECT, WEBSOCKET_MESSAGE, WEBSOCKET_DISCONNECT };
struct websocket_event {
    enum websocket_event_type type;
    struct slice route_key; /* "$connect", "$default", "$disconnect", or a name */
    struct slice connection_id;
    struct slice request_id;
    struct slice message_id;         /* of a MESSAGE */
    uint64_t connected_ms, event_ms; /* Unix time */
    struct slice host;               /* as the client asked for it */
    struct slice client_address, user_agent;
    const struct fields *headers; /* of a CONNECT; else NULL */
    struct slice query;           /* of a CONNECT: as it came */
    struct identity *identity;    /* NULL = nobody asked */
    struct slice body;            /* of a MESSAGE */
    bool binary;                  /* ... which is bytes, though they may look like text: base64 */
    struct slice groups; /* those it is in, of a DISCONNECT: was in; "a,b%20c", percent-encoded each; may be empty */
    int close_code;      /* of a DISCONNECT */
    struct slice close_reason;
};
