/* pool_set.h - every pool of a gateway, whichever generation made it.
 *
 * A shared pool is a handler's pool and what it stands on: the blueprint that its handler's settings live in. The
 * generations that send it invocations hold it; a generation whose handler says the same as its predecessor's takes the
 * pool over, processes and waiting invocations included. Released by its last generation it leaves: it drains, and
 * is freed once it has no invocation and no process left. One that no invocation ever reached, because the reload that
 * made it was given up, is forsaken: the next reload kills what its processes' grace has left of it.
 *
 *   pool_set_add -> shared_pool_hold, shared_pool_release ... -> leaving -> freed by pool_set_sweep
 */
#pragma once
#include "gateway/pool/attach.h"
#include "gateway/pool/supervisor.h"
#include "local-api/once.h"
#include "local-api/runtime_api.h"
#include "local-api/server_proxy.h"

struct pool_set_config { /* what all pools share; lent */
    struct loop *loop;
    struct log *log;
    struct supervisor *supervisor;
    struct attacher *attacher;
    struct runtime_api *runtime_api;
    struct server_proxy *server_proxy;
    struct once_context *once;
    /* As struct pool_host's. */
    void (*on_output)(void *context, const struct worker *w, enum output_stream stream, struct slice line);
    void *output_context;
};

struct pool_set;
struct shared_pool;
struct pool_set *pool_set_new(const struct pool_set_config *c);
void pool_set_free(struct pool_set *s); /* must be empty; NULL is fine */
/* A new pool for a handler of `b`, held once. */
struct shared_pool *pool_set_add(struct pool_set *s, struct blueprint *b, const struct handler_config *handler);
/* Frees those that have left. True when others are on their way. */
bool pool_set_sweep(struct pool_set *s);
/* pool_drain, pool_kill and status_log for all. */
void pool_set_drain(struct pool_set *s);
void pool_set_kill(struct pool_set *s);
void pool_set_log(const struct pool_set *s);
bool pool_set_is_empty(const struct pool_set *s); /* no invocation and no process left, whoever holds the pools */

/* Kills what is left of the forsaken pools that leave. */
void pool_set_hasten(struct pool_set *s);

struct shared_pool *shared_pool_hold(struct shared_pool *p);
void shared_pool_release(struct shared_pool *p); /* NULL is fine */
void shared_pool_forsake(struct shared_pool *p); /* it was never given anything, nor will be */
struct pool *shared_pool_pool(const struct shared_pool *p);
/* True when its processes may serve this handler of `b`: both say the same. */
bool shared_pool_suits(const struct shared_pool *p, const struct blueprint *b, const struct handler_config *handler);
/* True when the executable is still the file that it was when the pool was made. */
bool shared_pool_is_current(const struct shared_pool *p);
