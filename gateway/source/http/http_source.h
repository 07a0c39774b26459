/* http_source.h - the source that turns HTTP requests into invocations and outcomes into replies.
 *
 * on_head checks the head strictly (http_check.h), builds the invocation with everything copied into its arena,
 * and runs the pipeline; the body is read only once something wants it. finish turns the outcome into the
 * reply. A client that leaves cancels its invocation. It owns the public listeners, the stages that their connections
 * pass (stage.h: PROXY header, TLS) and the public http_server.
 */
#pragma once
#include "gateway/invocation/pipeline.h"
#include "gateway/source/http/http_server.h"
#include "gateway/source/listen/tls_pump.h"

struct event_source;
struct http_source;
struct http_source *http_source_new(struct loop *l, struct pipeline *p, const struct limits_config *limits,
                                    struct error *e);
/* Whose PROXY headers are believed (count 0 = everybody's), and whose words about their clients (client_address.h;
 * count 0 = nobody's). Lent. */
void http_source_trust(struct http_source *s, const struct cidr *proxies, size_t count);
/* Requests go to this pipeline from now on; what is in flight stays in its own. maxHeader may
 * not be more than it was at first. */
void http_source_follow(struct http_source *s, struct pipeline *p, const struct limits_config *limits);
/* May be called several times. What `c` points to must outlive the source, or http_source_relisten. */
int http_source_listen(struct http_source *s, const struct listener_config *c, struct error *e) MUST_CHECK;
/* These instead of the present ones: sockets that are in both stay as they are, with all their connections; new ones
 * are opened; the connections of those that are gone end with their next reply. Changes nothing when it fails. */
int http_source_relisten(struct http_source *s, const struct listener_config *listeners, size_t count,
                         struct error *e) MUST_CHECK;
/* Connections that were upgraded are clients still: how many there are, asked whenever one more is accepted.
 * http_source_recount says that one has ended. */
void http_source_count_also(struct http_source *s, size_t (*count)(void *context), void *context);
void http_source_recount(struct http_source *s);
/* Answers that are event streams are handed to it from now on; lent. */
void http_source_stream_events(struct http_source *s, struct event_source *events);
size_t http_source_listener_count(const struct http_source *s);
const char *http_source_address(const struct http_source *s, size_t index); /* until http_source_drain */
enum listener_scheme http_source_scheme(const struct http_source *s, size_t index);
/* Stops accepting; what is in flight goes on and each connection closes after its reply. */
void http_source_drain(struct http_source *s);
/* No connection is open any more. */
bool http_source_is_idle(const struct http_source *s);
/* Breaks every connection off. */
void http_source_abort(struct http_source *s);
const struct http_server_counters *http_source_counters(const struct http_source *s);
const struct tls_pumps_counters *http_source_tls_counters(const struct http_source *s);
void http_source_free(struct http_source *s); /* after it is idle; NULL is fine */
