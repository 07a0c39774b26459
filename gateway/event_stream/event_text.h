/* event_text.h - a message as an event of a stream (WHATWG HTML 9.2.5).
 *
 *     event: NAME
 *     id: ID
 *     data: the message's first line
 *     data: its second line
 *
 * Its lines may end with CR, LF or CRLF; the client gets LF between them. Bytes that are no text become one line of
 * base64.
 */
#pragma once
#include "gateway/base/buf.h"

#define EVENT_HEARTBEAT SLICE(":\n\n") /* a comment, which clients pass over */

struct event_text {
    struct slice name, id; /* absent = none */
    struct slice message;
    enum { EVENT_OF_TEXT, EVENT_OF_BYTES } kind;
};
/* Whether it may be a name or an id: UTF-8 of one line without NUL, which makes clients ignore an id. */
bool event_field_is_good(struct slice s);
void event_text_write(struct buf *out, const struct event_text *t);
/* When clients whose stream ends now should come back. */
void event_text_write_retry(struct buf *out, uint64_t after_ms);
