#include "gateway/base/error.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void error_fill(struct error *e, enum error_code code, const char *format,
                                                             va_list arguments) {
    e->code = code;
    e->line = e->column = 0;
    e->file[0] = '\0';
    vsnprintf(e->message, sizeof e->message, format, arguments);
}

int error_set(struct error *e, enum error_code code, const char *format, ...) {
    assert(code != ERROR_NONE);
    if (!e) return -(int)code;
    va_list arguments;
    va_start(arguments, format);
    error_fill(e, code, format, arguments);
    va_end(arguments);
    return -(int)code;
}

int error_set_errno(struct error *e, int errnum, const char *format, ...) {
    if (!e) return -ERROR_SYSTEM;
    va_list arguments;
    va_start(arguments, format);
    error_fill(e, ERROR_SYSTEM, format, arguments);
    va_end(arguments);
    char reason[128];
    size_t n = strlen(e->message);
    snprintf(e->message + n, sizeof e->message - n, ": %s", strerror_r(errnum, reason, sizeof reason));
    return -ERROR_SYSTEM;
}
