/* native_answer.h - reads a pipeline of answers out of an upload, piece by piece.
 *
 * A message that lies whole in one piece is parsed where it lies; only its body is copied, once, into the
 * memory that goes on to the client. Of one that does not, the head is kept in c->in and the body
 * gathered in c->body. An answer that is not taken is noted in c->refused. A message that does not
 * parse sets c->flaw, and nothing after it is read.
 */
#pragma once
#include "local-api/endpoint.h"
#include "local-api/http_message.h"

void answers_read(struct call *c, struct slice bytes);
/* The upload is over: a message that is not complete is a flaw. */
void answers_end(struct call *c);

/* Looks for the end of the head that c->in will hold, after `bytes` are added to it. HEAD_COMPLETE: c->in holds exactly
 * the head, and *taken says how many of the bytes belong to it. */
enum head_result answer_head_gather(struct call *c, struct slice bytes, size_t *taken, const char **flaw);
/* Completes the invocation with what the handler says; NULL, or the reason why it was not taken. The body is taken
 * over. */
const char *answer_take(struct endpoint *ep, struct slice id, const struct response_head *head,
                        struct chunk *take_body);
/* Why an answer for this id is not taken: "late" or "unknown". */
const char *answer_misses(const struct endpoint *ep, struct slice id);
/* An answer's outcome without its body. A failure when it reports one (of which `text` is logged) or is not valid. */
struct outcome answer_outcome(struct endpoint *ep, struct invocation *inv, const struct response_head *head,
                              struct slice text);
