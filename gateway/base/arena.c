#include "gateway/base/arena.h"
#include "gateway/base/memory.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_ALIGNMENT 16
/* Blocks double up to this size; a larger piece gets a block of its own size. */
#define ARENA_DOUBLING_LIMIT (256 * 1024)
#define ARENA_DEFAULT_SIZE 1024

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(ARENA_ALIGNMENT) char bytes[];
};

static void arena_use_block(struct arena *a, struct arena_block *block) {
    a->blocks = block;
    a->at = block->bytes;
    a->end = block->bytes + block->size;
}

static void arena_add_block(struct arena *a, size_t size) {
    assert(size <= PTRDIFF_MAX - sizeof(struct arena_block));
    struct arena_block *block = xmalloc(sizeof *block + size);
    block->older = a->blocks;
    block->size = size;
    arena_use_block(a, block);
}

static void arena_grow(struct arena *a, size_t needed) {
    size_t size = a->blocks ? a->blocks->size * 2 : ARENA_DEFAULT_SIZE;
    if (size > ARENA_DOUBLING_LIMIT) size = ARENA_DOUBLING_LIMIT;
    arena_add_block(a, size < needed ? needed : size);
}

static char *arena_take_bytes(struct arena *a, size_t size) {
    if (!a->at || (size_t)(a->end - a->at) < size) arena_grow(a, size);
    char *p = a->at;
    a->at += size;
    return p;
}

void arena_init(struct arena *a, size_t first_block_size) {
    *a = (struct arena){0};
    arena_add_block(a, first_block_size);
}

void *arena_alloc(struct arena *a, size_t size) {
    size_t padding = (size_t)(-(uintptr_t)a->at) % ARENA_ALIGNMENT;
    size_t left = (size_t)(a->end - a->at);
    if (!a->at || left < padding || left - padding < size) {
        arena_grow(a, size); /* a block's bytes are aligned */
        padding = 0;
    }
    char *p = a->at + padding;
    a->at = p + size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size) {
    return memset(arena_alloc(a, size), 0, size);
}

struct slice arena_copy(struct arena *a, struct slice s) {
    if (slice_is_none(s)) return s;
    char *p = arena_take_bytes(a, s.n);
    memcpy(p, s.p, s.n);
    return slice_make(p, s.n);
}

char *arena_text(struct arena *a, struct slice s) {
    char *p = arena_take_bytes(a, s.n + 1);
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct slice arena_printf(struct arena *a, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(a->at, (size_t)(a->end - a->at), format, arguments);
    va_end(arguments);
    assert(n >= 0);
    if ((size_t)n < (size_t)(a->end - a->at)) return slice_make(arena_take_bytes(a, (size_t)n + 1), (size_t)n);
    char *p = arena_take_bytes(a, (size_t)n + 1);
    va_start(arguments, format);
    vsnprintf(p, (size_t)n + 1, format, arguments);
    va_end(arguments);
    return slice_make(p, (size_t)n);
}

void arena_reset(struct arena *a) {
    struct arena_block *block = a->blocks;
    if (!block) return;
    while (block->older) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    arena_use_block(a, block);
}

void arena_free(struct arena *a) {
    arena_reset(a);
    free(a->blocks);
    *a = (struct arena){0};
}
