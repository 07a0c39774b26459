/* record.h - one invocation as it was: what came, what was answered, how long it took. One line of JSON in a file.
 *
 * `run --record` writes records (recorder.h), `replay` reads them, sends them again and compares. Both directions come
 * from one table of members (record.c). A record holds no secrets: what was taken out of the request is named in
 * `redacted`, as header, cookie or query and its name. Bytes that are not all there say why in `cut`.
 *
 * The slices belong to whoever filled them, or to the arena that a record was read with; an absent slice and a zero are
 * not written.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"
#include "gateway/base/fields.h"

#define RECORD_VERSION 1

struct record_bytes {
    struct slice bytes; /* what is here of them; absent = there were none */
    uint64_t size;      /* of all of them */
    struct slice cut;   /* why `bytes` is not all */
};
struct record_request {
    struct slice method;
    struct slice target;
    struct fields headers;
    struct record_bytes body;
    struct slice client_address;
};
struct record_failure {
    struct slice slug; /* failure.h; absent = the handler has answered */
    struct slice detail;
    struct slice type, message; /* what the handler said of it */
};
struct record_answer {
    uint64_t status;
    struct fields headers;
    struct record_bytes body;
    struct slice encoded; /* how the gateway compressed it on its way out; `body` is what it was before */
    uint64_t streamed;    /* 1: it came bit by bit */
    struct record_failure failure;
};
struct record_timing {
    uint64_t total_us;  /* from its arrival to its end */
    uint64_t waited_us; /* of that, for a process */
};
struct record {
    uint64_t version;
    struct slice id;      /* of the invocation */
    struct slice time;    /* when it came; RFC 3339 */
    struct slice trigger; /* trigger_kind_name */
    struct slice handler; /* absent = no route led to one */
    struct slice route;
    struct record_request request;
    struct fields parameters;
    uint64_t guarded;            /* 1: a guard stood before it */
    struct slice claims;         /* JSON: who the client was found to be */
    struct slice client_context; /* JSON */
    struct record_answer answer;
    struct record_timing timing;
    struct fields redacted; /* {"header", "Authorization"} */
};

/* Appends one line, with its end. */
void record_write(const struct record *r, struct buf *out);
/* 0, or -ERROR_FORMAT with what is wrong. The line is without its end; members that it does not know are passed over.
 */
int record_read(struct record *r, struct slice line, struct arena *a, struct error *e) MUST_CHECK;

/* The value that stands for one that was taken out. */
#define RECORD_REDACTED "[redacted]"
/* True when the record says that this was taken out. Names of headers are compared without case. */
bool record_redacts(const struct record *r, struct slice kind, struct slice name);
