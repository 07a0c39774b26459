/* arena.h - memory that lives and dies together.
 *
 * All that belongs to one invocation is allocated from its arena and freed in one call; there is
 * no way to free a single piece. The first block is kept by arena_reset, so a recycled arena
 * costs no malloc for ordinary requests. Not for megabytes: bodies have chunks (chunk.h).
 */
#pragma once
#include "gateway/base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    char *at;
    char *end;
};

void arena_init(struct arena *a, size_t first_block_size);
/* Aligned to 16 bytes; aborts when memory is out. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* Byte-aligned copy; an absent slice stays absent. */
struct slice arena_copy(struct arena *a, struct slice s);
/* NUL-terminated copy. */
char *arena_text(struct arena *a, struct slice s);
/* NUL-terminated, too; the slice ends before. */
struct slice arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a); /* keeps the first block */
void arena_free(struct arena *a);  /* idempotent */
