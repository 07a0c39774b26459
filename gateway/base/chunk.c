#include "gateway/base/chunk.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

static void release_malloc(void *memory, size_t size) {
    (void)size;
    free(memory);
}

static void release_mapping(void *memory, size_t size) {
    if (size) munmap(memory, size);
}

static void release_whole(void *memory, size_t size) {
    (void)size;
    chunk_release(memory);
}

struct chunk *chunk_new(size_t size) {
    assert(size <= PTRDIFF_MAX - sizeof(struct chunk));
    struct chunk *c = xmalloc(sizeof *c + size);
    char *memory = (char *)(c + 1);
    /* No release: the memory goes with the struct. */
    *c = (struct chunk){.holders = 1, .memory = memory, .size = size, .bytes = {memory, 0}};
    return c;
}

struct chunk *chunk_copy(struct slice s) {
    struct chunk *c = chunk_new(s.n);
    if (s.n) memcpy(c->memory, s.p, s.n);
    c->bytes.n = s.n;
    return c;
}

static struct chunk *chunk_around(void *memory, size_t size, void (*release)(void *, size_t)) {
    struct chunk *c = xmalloc(sizeof *c);
    *c = (struct chunk){.holders = 1, .release = release, .memory = memory, .size = size, .bytes = {memory, size}};
    return c;
}

struct chunk *chunk_take(char *take_memory, size_t n) {
    return chunk_around(take_memory, n, release_malloc);
}

struct chunk *chunk_take_mapping(void *take_memory, size_t n) {
    return chunk_around(take_memory, n, release_mapping);
}

struct chunk *chunk_share(struct chunk *whole, struct slice part) {
    assert(part.p >= whole->bytes.p && part.n <= whole->bytes.n &&
           (size_t)(part.p - whole->bytes.p) <= whole->bytes.n - part.n);
    /* A part of a part holds the owner of the memory, so chains of parts do not build up. */
    struct chunk *owner = whole->release == release_whole ? whole->memory : whole;
    owner->holders++;
    struct chunk *c = chunk_around(owner, 0, release_whole);
    c->bytes = part;
    return c;
}

void chunk_release(struct chunk *c) {
    if (!c) return;
    assert(c->holders > 0);
    if (--c->holders) return;
    if (c->release) c->release(c->memory, c->size);
    free(c);
}
