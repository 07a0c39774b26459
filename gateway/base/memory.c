#include "gateway/base/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *p, size_t size) {
    if (p) return p;
    fprintf(stderr, "execgate: out of memory (%zu bytes)\n", size);
    abort();
}

/* malloc(0) may answer NULL, which would look like a failure. */
void *xmalloc(size_t size) {
    return or_abort(malloc(size ? size : 1), size);
}

void *xcalloc(size_t count, size_t size) {
    if (count == 0 || size == 0) return or_abort(calloc(1, 1), 0);
    return or_abort(calloc(count, size), size);
}

void *xrealloc(void *p, size_t size) {
    return or_abort(realloc(p, size ? size : 1), size);
}

char *xstrdup(const char *text) {
    return or_abort(strdup(text), strlen(text));
}

char *xasprintf(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    return or_abort(n < 0 ? NULL : text, 0);
}
