/* attach.h - the launcher that launches nothing: somebody starts the process by hand.
 *
 * For handlers with `attach: true`. A worker has its endpoint, and the environment that a process needs to find it is
 * told to whoever asked; the worker is STARTING until a process, any process of the same user, asks for an event there.
 * Since the gateway did not start that process, it neither signals it nor reads its output: a worker that is told to
 * end is gone at once, and the process sees its connection close. What becomes of an event whose process has left is
 * the endpoint's to find out (local-api/endpoint.h).
 */
#pragma once
#include "gateway/pool/pool.h"

struct attacher;
/* on_wait is called with the complete environment of each worker that begins to wait; it must not keep the launch. */
struct attacher *attacher_new(struct turn *turn,
                              void (*on_wait)(void *context, const struct worker *w, const struct launch *launch),
                              void *context);
struct launcher *attacher_launcher(struct attacher *a);
void attacher_free(struct attacher *a); /* no worker may be left; NULL is fine */
