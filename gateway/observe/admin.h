/* admin.h - the listener for those who run the gateway: state, and invocations by name.
 *
 * Off unless the blueprint (`admin:`) or the command line (`--admin`) asks for it, and only on a loopback address or a
 * Unix socket: whoever reaches it may call every handler past its guards. A connection to the loopback address is
 * accepted from processes of the gateway's own user and of root alone. A request whose Host is no loopback name,
 * or that carries an Origin, comes from a web page and is refused, so no page can reach it by a name that it makes
 * resolve to this machine.
 *
 * An endpoint is a row in admin.c: method, path, and what answers. What a request's body may be is in the row, too;
 * the endpoint sees it once it is whole. The answers are JSON.
 *
 * The host lends what a reload changes: the pipeline of the present generation, the routes by handler, the store and
 * the pools.
 */
#pragma once
#include "gateway/pool/pool.h"
#include "gateway/source/http/http_server.h"
#include "gateway/source/invoke/invoke_host.h"
#include "gateway/source/schedule/schedule_source.h"

struct admin_schedule {
    const char *name;
    struct schedule_counts counts;
};
struct admin_host {
    struct loop *loop;
    struct log *log;
    struct invoke_host calls;
    /* The pools in order; NULL after the last. */
    const struct pool *(*pool)(void *context, size_t index); /* the context is that of the calls */
    /* The schedules likewise; false after the last. */
    bool (*schedule)(void *context, size_t index, struct admin_schedule *out);
};

struct admin;
/* The limits bound header, body and time of a request. */
struct admin *admin_new(const struct admin_host *host, const struct limits_config *limits, struct error *e);
int admin_listen(struct admin *a, const struct listener_config *c, struct error *e) MUST_CHECK; /* once */
const char *admin_address(const struct admin *a); /* from admin_listen until admin_drain */
void admin_drain(struct admin *a);                /* stops accepting; what runs is answered */
void admin_abort(struct admin *a);                /* breaks every connection off */
bool admin_is_idle(const struct admin *a);
void admin_free(struct admin *a); /* after it is idle; NULL is fine */
