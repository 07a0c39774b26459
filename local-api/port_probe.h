/* port_probe.h - waits until somebody accepts connections on a port of 127.0.0.1.
 *
 * Tries to connect every 10 ms, after a while every 100 ms, for as long as it is not stopped: how long a start may take
 * is the worker's affair. A connection that was accepted is closed again without a byte.
 */
#pragma once
#include "gateway/loop/loop.h"

struct port_probe {
    struct loop *loop;
    uint16_t port;
    void (*on_open)(void *context); /* once, from the turn; the probe has stopped then */
    void *context;
    struct turn_task task;
    struct deadline retry;
    uint64_t delay_ms;
    int fd; /* of the attempt that is under way; -1 = none */
    struct watch *watch;
};
void port_probe_init(struct port_probe *p, struct loop *l, uint16_t port, void (*on_open)(void *context),
                     void *context);
/* The first attempt after so long; again, too, once it has stopped. */
void port_probe_start(struct port_probe *p, uint64_t after_ms);
void port_probe_stop(struct port_probe *p); /* idempotent */
