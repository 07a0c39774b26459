/* outqueue.h - what waits for a client: chunks in order, perhaps held by others too, sent as far as the socket takes
 * them. Zero-initialised is empty.
 */
#pragma once
#include "gateway/base/chunk.h"
#include <stdint.h>

struct outqueue {
    struct chunk *first, *last;
    uint64_t bytes;
    bool begun; /* some of the first are sent */
};

void outqueue_add(struct outqueue *q, struct chunk *take_chunk);
/* Sends what waits; false when the socket is broken. */
bool outqueue_flush(struct outqueue *q, int fd);
/* All but what has been begun. */
void outqueue_forget(struct outqueue *q);
void outqueue_free(struct outqueue *q); /* idempotent */
