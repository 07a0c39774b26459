/* http_message.h - HTTP messages as bytes: the pipelines of the native face, and the heads of CGI documents.
 *
 * Reading is strict and works on what has arrived so far. Writing is from parsed parts with an exact Content-Length, so
 * neither a client nor a handler can smuggle a second message into a pipeline (RFC 9112 section 11.2).
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"
#include "gateway/base/fields.h"
#include "gateway/invocation/invocation.h"
#include "gateway/invocation/router.h"

#define HTTP_MESSAGE_MAX_HEAD (64 * 1024)
#define HTTP_MESSAGE_MAX_FIELDS 256

enum head_result { HEAD_COMPLETE, HEAD_INCOMPLETE, HEAD_INVALID };
struct response_head {
    int status;
    struct fields fields;   /* slices of the text; the array in the arena */
    size_t size;            /* bytes of the head, blank line included */
    int64_t content_length; /* -1 when absent */
};
/* A response message's head (status line first, CRLF only; the status is any three digits). On HEAD_INVALID the error
 * says what is wrong. */
enum head_result response_head_parse(struct response_head *h, struct arena *a, struct slice text, struct error *e);
/* A CGI document's head (RFC 3875 section 6): fields, at least one, then a blank line; LF or CRLF. Status is
 * interpreted and removed; it defaults to 200, beside a Location to 302. */
enum head_result cgi_head_parse(struct response_head *h, struct arena *a, struct slice text, struct error *e);
/* Copies what a client may see into inv's outcome fields: no hop-by-hop, no Content-Length, no Execgate-*, names and
 * values valid. */
void answer_fields_copy(struct invocation *inv, const struct fields *from, struct fields *to);
/* False for fields of a request that end at the gateway: hop-by-hop ones, what Connection names, Expect, Execgate-*. */
bool request_field_passes(const struct fields *all, struct slice name);
/* The event's own fields, a line each: Execgate-*, traceparent, Host. Execgate-Claims is there when a guard passed. */
void event_fields_write(struct buf *out, const struct invocation *inv, uint64_t deadline_ms);
/* Appends the event as a request message (docs/runtime-api.md); the body must be whole. deadline_ms: Unix time. */
void event_message_write(struct buf *out, struct invocation *inv, uint64_t deadline_ms);
