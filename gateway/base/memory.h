/* memory.h - allocation of sizes that we choose ourselves.
 *
 * These abort with a message when memory is out: a size chosen by us is a bug or a dead machine.
 * Sizes chosen by a client pass a limit first (413, 503) and only then come here.
 */
#pragma once
#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed */
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
