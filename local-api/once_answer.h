/* once_answer.h - what a one-shot process has written on stdout, read as an answer.
 *
 * Pure. The output is a CGI document (RFC 3875 section 6) when it begins with a head: header lines and a blank line.
 * It is plain when its first line is no header line. Text such as "Total: 5" looks like the beginning of a head and
 * never comes to a blank line; it is plain too, unless it names Content-Type, Status or Location: then a head was
 * meant, and it is broken.
 */
#pragma once
#include "local-api/http_message.h"

enum once_shape { ONCE_UNDECIDED, ONCE_PLAIN, ONCE_DOCUMENT, ONCE_BROKEN };
enum once_output { ONCE_MORE_MAY_COME, ONCE_OUTPUT_ENDED };

/* Never undecided once the output has ended. ONCE_DOCUMENT fills *head (slices of the text, the array in `a`),
 * ONCE_BROKEN fills *e. */
enum once_shape once_shape_of(struct slice text, enum once_output output, struct arena *a, struct response_head *head,
                              struct error *e);
/* 200 with all of the text as its body (the buffer is emptied), and what it seems to be as the content type. */
struct outcome once_plain_outcome(struct invocation *inv, struct buf *take_text);
/* The document's head; its body is the caller's to add. */
struct outcome once_document_outcome(struct invocation *inv, const struct response_head *head);
/* 502 with the first bytes of the text quoted. */
struct outcome once_broken_outcome(struct invocation *inv, struct slice text, const char *why);
