/* debugger.h - waits until a debugger is attached to a handler's process.
 *
 * Looks a few times a second: first for the process, whose number it tells together with what to type, then for its
 * tracer (proc(5), TracerPid).
 */
#pragma once
#include "gateway/command/serve/gateway.h"

struct debugger_wait {
    struct gateway *gateway; /* NULL = nothing is waited for */
    const char *handler;
    void (*on_attached)(void *context);
    void *context;
    struct deadline look;
    int told_pid; /* whose number has been told; 0 = none yet */
};

/* on_attached is called once, from the loop. */
void debugger_await(struct debugger_wait *w, struct gateway *g, const char *handler, void (*on_attached)(void *context),
                    void *context);
void debugger_forget(struct debugger_wait *w); /* idempotent */
