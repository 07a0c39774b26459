/* spill.h - where a body goes that is too large for memory: an unlinked temporary file.
 *
 * It has no name, so nothing is left behind whatever happens, and nobody else can truncate it
 * under the mapping. It lies in $TMPDIR, or /tmp. Written in order, mapped once when it is complete.
 */
#pragma once
#include "gateway/base/chunk.h"
#include "gateway/base/error.h"

/* A descriptor, or a negative code. */
int spill_open(struct error *e) MUST_CHECK;
/* Appends the bytes of a whole chain. */
int spill_write(int fd, const struct chunk *first, struct error *e) MUST_CHECK;
/* All `n` > 0 bytes as one private, writable chunk; NULL on failure. The descriptor may be closed afterwards. */
struct chunk *spill_map(int fd, size_t n, struct error *e) MUST_CHECK;
