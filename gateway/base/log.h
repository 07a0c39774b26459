/* log.h - one line per event, on stderr or any descriptor.
 *
 * Text with aligned fields on a terminal (colour only there), JSON objects otherwise or when
 * asked. Fields are key-value pairs; values are escaped, so a handler's output or a client's
 * path cannot forge a line. Lines are gathered and written once per loop turn (log_flush), at
 * once for errors. Never log a body, a token or a secret.
 *
 * Writing never holds the loop: what a slow reader does not take is kept up to a bound, further
 * lines are dropped, and a later line says how many. The owner of the process ignores SIGPIPE.
 *
 *   log_event(log, LOG_WARN, "handler exited", LOG_TEXT("handler", name), LOG_INT("pid", pid));
 */
#pragma once
#include "gateway/base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_COLOUR, LOG_FORMAT_JSON };

enum log_field_kind { LOG_FIELD_SLICE, LOG_FIELD_INT, LOG_FIELD_MS };
struct log_field {
    const char *key;
    enum log_field_kind kind;
    struct slice text; /* an absent slice leaves the field out */
    int64_t number;    /* LOG_FIELD_MS: microseconds, shown as milliseconds with three decimals */
};
#define LOG_SLICE(key, value) ((struct log_field){(key), LOG_FIELD_SLICE, (value), 0})
#define LOG_TEXT(key, value) ((struct log_field){(key), LOG_FIELD_SLICE, slice_of(value), 0})
#define LOG_INT(key, value) ((struct log_field){(key), LOG_FIELD_INT, SLICE_NONE, (int64_t)(value)})
#define LOG_US(key, value) ((struct log_field){(key), LOG_FIELD_MS, SLICE_NONE, (int64_t)(value)})

struct clock;
struct log;
/* Writes to `fd`, which stays the caller's. */
struct log *log_new(int fd, enum log_format format, enum log_level level, struct clock *clock);
enum log_format log_format_of(const struct log *l);
void log_free(struct log *l); /* flushes, waiting a moment for a slow reader; NULL is fine */
/* Called when the first line of a batch is gathered, so that the owner schedules a log_flush. */
void log_on_pending(struct log *l, void (*on_pending)(void *context), void *context);
/* False for a NULL log too: logging into nothing is fine. */
bool log_wants(const struct log *l, enum log_level level);
void log_fields(struct log *l, enum log_level level, const char *message, const struct log_field *fields, size_t count);
/* False when the reader is slow and lines are left: call again in a moment. */
bool log_flush(struct log *l);
/* "debug" "info" "warn" "error" "off"; false when unknown. */
bool log_level_parse(struct slice text, enum log_level *level);

#define log_event(l, level, message, ...)                                                                              \
    do {                                                                                                               \
        if (log_wants((l), (level))) {                                                                                 \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                                      \
            log_fields((l), (level), (message), log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);              \
        }                                                                                                              \
    } while (0)
