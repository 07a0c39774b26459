/* event_source.h - answers that are streams of server-sent events, on their way from invocations to connections.
 *
 * What a handler answers with `Content-Type: text/event-stream` is relayed as it comes. When it names groups, too
 * (`Execgate-Groups: room-1, room-2`), the connection is held open behind the answer, without the handler; then its
 * connection id is the invocation's id without its dashes, so that the handler knows it before. Held streams are the
 * gateway's and outlive reloads.
 */
#pragma once
#include "gateway/event_stream/event_streams.h"
#include "gateway/invocation/invocation.h"

struct event_source;
struct event_source_config {
    struct loop *loop;
    struct log *log;
    struct members *members;         /* where held streams are entered; lent */
    void (*on_ended)(void *context); /* a held stream is over */
    void *context;
};
struct event_source *event_source_new(const struct event_source_config *c);
void event_source_free(struct event_source *s); /* NULL is fine */
struct event_streams *event_source_streams(struct event_source *s);
/* Of a request that may become a held stream: its id is the stream's, and tells the nodes of a cluster where that is.
 */
void event_source_mark(const struct event_source *s, struct invocation *inv);
/* Of an answer that a client's connection waits for: makes it a relayed one, or sets inv->upgrade to whoever will hold
 * the connection. What is no event stream stays as it is. */
void event_source_take(struct event_source *s, struct invocation *inv);
