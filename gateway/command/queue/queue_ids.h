/* queue_ids.h - the ids of the messages that lie in a queue, each as a hash of 128 bits: 16 to 43 bytes of memory for
 * each, however large the messages. */
#pragma once
#include "gateway/base/siphash.h"
#include "gateway/command/queue/queue_desk.h"

struct queue_ids {
    struct siphash_key key;
    struct siphash_128 *slots; /* zero = free */
    size_t capacity;           /* a power of two, or 0 */
    size_t count;
};
/* Reads them all, unless the desk is stopped. */
int queue_ids_read(struct queue_ids *ids, struct queue_desk *d, struct slice queue, struct error *e) MUST_CHECK;
bool queue_ids_has(const struct queue_ids *ids, struct slice id);
void queue_ids_free(struct queue_ids *ids);
