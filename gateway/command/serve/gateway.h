/* gateway.h - a running gateway: every room built and wired together.
 *
 * gateway_new builds what lasts (loop, log, the runtime API, the HTTP source) and the first generation (generation.h)
 * for its blueprint, gateway_listen opens the listeners, gateway_serve runs until it is told to stop. gateway_reload
 * goes over to another generation meanwhile. Stopping is graceful, in stages:
 *
 *   SERVING -> DRAINING  no new requests; what is in flight goes on
 *           -> STOPPING  nothing in flight: processes are stopped, connections closed
 *           -> STOPPED   no process and no connection is left
 *
 * A second signal, or the shutdown timeout, cuts the first two short: everything still in flight is answered
 * 503, every process is killed.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"
#include "gateway/pool/pool.h"

struct gateway;
struct loop;
struct recorder_config;
/* Whose tokens jwt guards believe: those of the issuers that the blueprint names, or those that `execgate token` makes
 * on this machine (dev_issuer.h). */
enum gateway_issuers { GATEWAY_ISSUERS_REAL, GATEWAY_ISSUERS_DEVELOPMENT };
/* Holds the blueprint for as long as it serves it. `log` stays the caller's. */
struct gateway *gateway_new(struct blueprint *b, struct clock *clock, struct log *log, enum gateway_issuers issuers,
                            struct error *e);
/* The development issuer's URL; NULL when there is none. */
const char *gateway_dev_issuer(const struct gateway *g);
/* Opens every listener; those of `listeners` instead of the blueprint's, and of any later one's, when count > 0; what
 * they point to must outlive the gateway. */
int gateway_listen(struct gateway *g, const struct listener_config *listeners, size_t count,
                   struct error *e) MUST_CHECK;
/* Opens the admin listener (admin.h); once. It stays where it is over reloads. */
int gateway_listen_admin(struct gateway *g, const struct listener_config *listener, struct error *e) MUST_CHECK;
const char *gateway_admin_address(const struct gateway *g); /* NULL = there is none */
/* Keeps what clients ask and are answered (observe/recorder.h); once, before it serves. */
int gateway_record(struct gateway *g, const struct recorder_config *c, struct error *e) MUST_CHECK;
size_t gateway_address_count(const struct gateway *g);
const char *gateway_address(const struct gateway *g, size_t index);
enum listener_scheme gateway_scheme(const struct gateway *g, size_t index);
/* Messages of its queues are taken, by this generation and later ones, once it serves; otherwise none are. */
void gateway_take_messages(struct gateway *g);
/* Starts the handlers' processes and serves until stopped by SIGTERM or SIGINT. True when everything in flight was
 * finished. */
bool gateway_serve(struct gateway *g);
/* Stops as the first signal does. */
void gateway_stop(struct gateway *g);
/* Stops as the second signal does; `why` is for the log. */
void gateway_stop_at_once(struct gateway *g, const char *why);
/* From now on the first signal stops at once. */
void gateway_hurry(struct gateway *g);

/* Where a reload finds the blueprint. */
struct blueprint_source {
    /* One reference; NULL when it has problems, which have been told. */
    struct blueprint *(*load)(void *context);
    void *context;
};
void gateway_reload_from(struct gateway *g, const struct blueprint_source *source);
/* SIGHUP does the same, unless it tells that the terminal has gone: that stops. Loads the blueprint and goes over to it
 * once its new processes are ready; a blueprint with problems, a plugin that cannot open, an address that is taken or a
 * process that does not start leave everything as it is, and the log says why. Processes of handlers that say the same,
 * with the same executable, go on. */
void gateway_reload(struct gateway *g);
/* The next reload replaces the processes of this handler in any case. */
void gateway_renew(struct gateway *g, const char *handler);

/* --- for invocations by hand (gateway/source/invoke/invoke_source.h), with or without listeners --- */
/* The present generation's; a reload exchanges both, so ask for each call. */
struct pipeline *gateway_pipeline(struct gateway *g);
struct loop *gateway_loop(struct gateway *g);
/* A handler's; NULL for an unknown name. */
const struct route *gateway_invoke_route(const struct gateway *g, const char *handler_name);
struct pool *gateway_pool(const struct gateway *g, const char *handler_name);
/* Whoever wants every line that a process prints, besides the log; one at most. */
void gateway_on_output(struct gateway *g,
                       void (*on_output)(void *context, const struct worker *w, enum output_stream stream,
                                         struct slice line),
                       void *context);
void gateway_free(struct gateway *g); /* NULL is fine */
