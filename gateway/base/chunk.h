/* chunk.h - one piece of a body: bytes with a count of holders and a way to free them.
 *
 * Bodies are moved, not copied: a chunk is filled once, then handed from receiver to invocation
 * to sender. Several slices of one receive buffer (sixteen answers in one exchange) share the
 * buffer by holding it each.
 */
#pragma once
#include "gateway/base/slice.h"

struct chunk {
    unsigned holders;
    void (*release)(void *memory, size_t size); /* frees the memory when the last holder lets go */
    void *memory;
    size_t size;        /* of memory */
    struct chunk *next; /* for whoever strings chunks together */
    struct slice bytes; /* what is meant: within memory */
};

/* A chunk with `size` bytes of room (bytes empty at its start); one malloc. One holder: the caller. */
struct chunk *chunk_new(size_t size);
struct chunk *chunk_copy(struct slice s);
/* Takes over malloc'd memory. */
struct chunk *chunk_take(char *take_memory, size_t n);
/* Takes over an mmap'd region. */
struct chunk *chunk_take_mapping(void *take_memory, size_t n);
/* A new chunk for a part of another's bytes, which it holds. */
struct chunk *chunk_share(struct chunk *whole, struct slice part);
void chunk_release(struct chunk *c); /* one holder less; NULL is fine */
