/* stage.h - what an accepted socket passes before it speaks HTTP.
 *
 *   accepted -> [PROXY header] -> [TLS handshake] -> on_ready, with a socket of plain HTTP and a peer that is complete
 *
 * Each listener has a plan that says which of the two stages there are. Both together have one deadline. A connection
 * that fails is closed here; HTTP never hears of it. Of a PROXY header exactly its own bytes are taken from
 * the socket, so that what follows is found where it is expected.
 */
#pragma once
#include "gateway/blueprint/cidr.h"
#include "gateway/source/listen/tls_pump.h"

struct stages;
struct stages_config {
    struct loop *loop;
    struct log *log;
    uint64_t timeout_ms; /* for all stages of a connection; 0 = 10 s */
    /* The socket and the reference peer->tls pass over. */
    void (*on_ready)(void *context, void *listener, int take_fd, const struct peer *peer);
    void (*on_closed)(void *context); /* one that stages_count_outside counted has ended */
    void *context;
};
struct stage_plan {
    bool proxy_protocol;
    const struct cidr *trusted; /* peers that may send a PROXY header; all others are closed */
    size_t trusted_count;
    struct tls *tls; /* NULL = in the clear */
    void *listener;  /* handed back to on_ready */
};

struct stages *stages_new(const struct stages_config *c, struct error *e);
/* Every connection must be over. NULL is fine. */
void stages_free(struct stages *s);
/* For connections from now on. */
void stages_limit(struct stages *s, uint64_t timeout_ms);
/* The plan must outlive the connection's stages. */
void stages_add(struct stages *s, const struct stage_plan *plan, int take_fd, const struct peer *peer);
/* No connection with this plan is left here that has not become HTTP: they are closed. */
void stages_abandon(struct stages *s, const struct stage_plan *plan);
/* Connections that have not become HTTP are closed. */
void stages_drain(struct stages *s);
/* All are closed. */
void stages_abort(struct stages *s);
/* No connection passes through here any more. */
bool stages_are_idle(const struct stages *s);
/* Clients that hold a connection which the HTTP server does not count: on the way there, or on their way out. */
size_t stages_count_outside(const struct stages *s);
const struct tls_pumps_counters *stages_tls_counters(const struct stages *s);
