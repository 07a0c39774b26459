/* event.h - the shapes that events have on their way to a process, one row for each kind of trigger.
 *
 * Every event is a request message: its source has made inv->request (the client's own, or `POST /invoke`,
 * `POST /queue/NAME`, `POST /schedule/NAME`), and inv->body is the content. That is what the native face sends, what
 * `mode: server` proxies, and what `mode: once` is told in its variables and gets on stdin; no shape changes it. A
 * shape says the rest:
 *
 *   write    the event as a Lambda handler expects it
 *   read     what a Lambda handler's whole answer means
 *   answer   EVENT_ANSWER_HTTP: an answer is an HTTP response, with a status, fields, and a prelude when it is
 *            streamed; `mode: once` may print a CGI document.
 *            EVENT_ANSWER_BYTES: an answer is bytes, untouched. Where it comes with a status all the same (native face,
 *            `mode: server`), one that is not 2xx says that the handler has failed.
 *
 * Another shape is a file event_*.c and a row in event.c. A kind without a row must not be submitted to an executor.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/invocation/invocation.h"

/* Stand for the account and the region wherever AWS names them. */
#define EVENT_ACCOUNT "012345678912"
#define EVENT_REGION "us-east-1"

enum event_answer { EVENT_ANSWER_HTTP, EVENT_ANSWER_BYTES };

struct event_shape {
    /* Appends it (inv->body is whole) and returns its content type. `application` is the blueprint's name. */
    struct slice (*write)(struct buf *out, struct invocation *inv, const char *application);
    /* Takes over the bytes as received. */
    struct outcome (*read)(struct invocation *inv, struct chunk *take_chunk);
    enum event_answer answer;
};

const struct event_shape *event_shape_of(const struct invocation *inv);
/* The bytes become the body of a 200 as they are: the `read` of shapes whose source looks at them itself. */
struct outcome event_bytes_read(struct invocation *inv, struct chunk *take_chunk);
/* What an answer with this status and these fields, its body not yet included, comes to: itself, or HANDLER_ERROR. */
struct outcome event_outcome(struct invocation *inv, struct outcome answer);
