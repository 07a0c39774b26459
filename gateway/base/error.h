/* error.h - why something failed, in words a user can act on.
 *
 * A fallible function returns 0 or a negative code and fills the caller's struct error once, at
 * the lowest level that knows. The message says what happened, where, and what to do about it.
 * Positions (file, line, column; 1-based, 0 = unknown) belong to blueprint errors.
 */
#pragma once
#include <stdarg.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_USAGE,     /* the command line is wrong */
    ERROR_BLUEPRINT, /* the blueprint is wrong */
    ERROR_SYSTEM,    /* a system call failed */
    ERROR_LIMIT,     /* more than a configured or fixed bound */
    ERROR_FORMAT,    /* bytes from outside that do not parse */
    ERROR_STATE,     /* not allowed now */
};

struct error {
    enum error_code code;
    int line;
    int column;
    char file[256];
    char message[768];
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills *e (may be NULL) and returns -code, so that `return error_set(...)` reads well. The position is reset: set it
 * afterwards. */
int error_set(struct error *e, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, with ": strerror(errnum)" at the end and code ERROR_SYSTEM. */
int error_set_errno(struct error *e, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));
