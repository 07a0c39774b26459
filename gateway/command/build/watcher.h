/* watcher.h - `run --watch`: what a person edits is built and served, without losing a request.
 *
 * It follows what the blueprint's file says now, not what is served: a handler that is new there is built before
 * anybody tries to serve it. Each handler with something to look at is a target:
 *
 *   QUIET -> something changed in its folders -> RESTLESS -> nothing changed for a moment, and its files are not what
 * they were -> WAITING (with `build`) -> BUILDING -> QUIET
 *
 * One build runs at a time; handlers with the same command in the same folder share it. When nothing is left to be
 * built, the gateway reloads: it renews the handlers whose builds succeeded, or whose files changed, and takes
 * whatever is new in the blueprint. A build that fails is shown, and its handler's processes go on as they are.
 */
#pragma once
#include "gateway/base/log.h"
#include "gateway/command/serve/gateway.h"

struct watcher;
struct watcher_config {
    struct gateway *gateway;
    struct log *log;
    const char *file; /* the blueprint's */
    /* What the file says, executables or not; NULL with problems, which have been told. */
    struct blueprint *(*load)(void *context);
    void *context;
};
/* What `b` names to be built has just been built. NULL with the reason when folders cannot be watched. */
struct watcher *watcher_new(const struct watcher_config *c, struct blueprint *b, struct error *e);
void watcher_free(struct watcher *w); /* cancels a build; NULL is fine */

/* Builds everything that has a `build`, one after the other (`handlers`: only these; NULL = all). True when all went
 * well. */
bool build_all(const struct blueprint *b, const char *const *handlers, size_t count, struct clock *clock,
               struct log *log);
