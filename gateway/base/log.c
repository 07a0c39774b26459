#include "gateway/base/log.h"
#include "gateway/base/clock.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A batch this large is written without waiting for the end of the turn. */
#define LOG_BATCH_SIZE (64 * 1024)
/* What is kept for a reader that does not read; further lines are dropped. */
#define LOG_KEEP_SIZE (4 * 1024 * 1024)
#define LOG_MESSAGE_WIDTH 18
#define LOG_FREE_WAIT_MS 50
#define LOG_FREE_WAITS 4

/* How to write without being held: the descriptor is shared with others, so it is not ours to make non-blocking. */
enum log_sink {
    SINK_FILE,   /* never holds */
    SINK_SOCKET, /* journald: asked not to wait */
    SINK_STREAM, /* pipe or terminal: a writable one takes PIPE_BUF bytes (pipe(7)) */
};

struct log {
    int fd;
    enum log_sink sink;
    enum log_format format;
    enum log_level level;
    struct clock *clock;
    struct buf batch;
    uint64_t dropped; /* lines, until a line has said so */
    bool scheduled;   /* the owner was told and has not flushed yet */
    bool blocked;     /* the reader was slow when last asked */
    void (*on_pending)(void *context);
    void *context;
    uint64_t second; /* the one that `time` was made for */
    char time[25];
};

struct level_text {
    struct slice name;
    const char *padded;
    const char *coloured;
};
static const struct level_text levels[] = {
    [LOG_DEBUG] = {{"debug", 5}, "DEBUG", "\x1b[2mDEBUG\x1b[0m"},
    [LOG_INFO] = {{"info", 4}, "INFO ", "\x1b[32mINFO \x1b[0m"},
    [LOG_WARN] = {{"warn", 4}, "WARN ", "\x1b[33mWARN \x1b[0m"},
    [LOG_ERROR] = {{"error", 5}, "ERROR", "\x1b[31mERROR\x1b[0m"},
    [LOG_OFF] = {{"off", 3}, "OFF  ", "OFF  "},
};

static enum log_sink sink_of(int fd) {
    struct stat s;
    if (fstat(fd, &s) != 0) return SINK_STREAM;
    if (S_ISSOCK(s.st_mode)) return SINK_SOCKET;
    return S_ISREG(s.st_mode) ? SINK_FILE : SINK_STREAM;
}

struct log *log_new(int fd, enum log_format format, enum log_level level, struct clock *clock) {
    struct log *l = xcalloc(1, sizeof *l);
    *l = (struct log){.fd = fd, .sink = sink_of(fd), .format = format, .level = level, .clock = clock};
    l->second = UINT64_MAX;
    return l;
}

enum log_format log_format_of(const struct log *l) {
    return l->format;
}

void log_on_pending(struct log *l, void (*on_pending)(void *context), void *context) {
    l->on_pending = on_pending;
    l->context = context;
}

bool log_wants(const struct log *l, enum log_level level) {
    return l && level >= l->level && level < LOG_OFF;
}

/* Splitting the date is done once a second. */
static struct slice log_time(struct log *l) {
    uint64_t wall_ms = clock_wall_ms(l->clock);
    int ms = (int)(wall_ms % 1000);
    if (wall_ms / 1000 != l->second) clock_iso_time(wall_ms, l->time);
    l->second = wall_ms / 1000;
    l->time[20] = (char)('0' + ms / 100);
    text_put_2(l->time + 21, ms % 100);
    return slice_make(l->time, 24);
}

static void append_number(struct buf *out, const struct log_field *field) {
    uint64_t magnitude = field->number < 0 ? -(uint64_t)field->number : (uint64_t)field->number;
    if (field->number < 0) buf_append_char(out, '-');
    if (field->kind == LOG_FIELD_INT) {
        buf_append_u64(out, magnitude);
        return;
    }
    int thousandths = (int)(magnitude % 1000);
    char fraction[4] = {'.', (char)('0' + thousandths / 100)};
    text_put_2(fraction + 2, thousandths % 100);
    buf_append_u64(out, magnitude / 1000);
    buf_append(out, fraction, sizeof fraction);
}

static bool field_is_absent(const struct log_field *field) {
    return field->kind == LOG_FIELD_SLICE && slice_is_none(field->text);
}

/* Needs no quotes in a text line: not empty, visible ASCII, nothing that quoting itself uses. */
static bool is_bare(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '=') return false;
    return s.n != 0;
}

static void append_text_value(struct buf *out, struct slice s) {
    if (is_bare(s)) {
        buf_append_slice(out, s);
        return;
    }
    buf_append_char(out, '"');
    while (s.n) {
        size_t run = 0;
        while (run < s.n && s.p[run] != '"' && s.p[run] != '\\') run++;
        text_append_quoted(out, slice_make(s.p, run), SIZE_MAX);
        if (run == s.n) break;
        buf_append_char(out, '\\');
        buf_append_char(out, s.p[run]);
        s = slice_make(s.p + run + 1, s.n - run - 1);
    }
    buf_append_char(out, '"');
}

static void append_text_field(struct log *l, const struct log_field *field) {
    bool coloured = l->format == LOG_FORMAT_COLOUR;
    buf_append_text(&l->batch, coloured ? " \x1b[2m" : " ");
    buf_append_text(&l->batch, field->key);
    buf_append_text(&l->batch, coloured ? "=\x1b[0m" : "=");
    if (field->kind == LOG_FIELD_SLICE)
        append_text_value(&l->batch, field->text);
    else
        append_number(&l->batch, field);
}

static void append_text_line(struct log *l, enum log_level level, const char *message, const struct log_field *fields,
                             size_t count) {
    struct buf *out = &l->batch;
    buf_append_slice(out, log_time(l));
    buf_append_char(out, ' ');
    buf_append_text(out, l->format == LOG_FORMAT_COLOUR ? levels[level].coloured : levels[level].padded);
    buf_append_char(out, ' ');
    text_append_quoted(out, slice_of(message), SIZE_MAX);
    size_t width = strlen(message);
    for (; count && width < LOG_MESSAGE_WIDTH; width++) buf_append_char(out, ' ');
    for (size_t i = 0; i < count; i++)
        if (!field_is_absent(&fields[i])) append_text_field(l, &fields[i]);
    buf_append_char(out, '\n');
}

static void append_json_field(struct json_write *w, const struct log_field *field) {
    json_name(w, slice_of(field->key));
    if (field->kind == LOG_FIELD_SLICE)
        json_text(w, field->text);
    else {
        append_number(w->out, field);
        w->comma = true;
    }
}

static void append_json_line(struct log *l, enum log_level level, const char *message, const struct log_field *fields,
                             size_t count) {
    struct json_write w = json_write_to(&l->batch);
    json_open(&w, '{');
    json_member(&w, SLICE("time"), log_time(l));
    json_member(&w, SLICE("level"), levels[level].name);
    json_member(&w, SLICE("message"), slice_of(message));
    for (size_t i = 0; i < count; i++)
        if (!field_is_absent(&fields[i])) append_json_field(&w, &fields[i]);
    json_close(&w, '}');
    buf_append_char(&l->batch, '\n');
}

static void append_line(struct log *l, enum log_level level, const char *message, const struct log_field *fields,
                        size_t count) {
    if (l->format == LOG_FORMAT_JSON)
        append_json_line(l, level, message, fields, count);
    else
        append_text_line(l, level, message, fields, count);
}

static void report_dropped(struct log *l) {
    if (!l->dropped) return;
    const struct log_field count = LOG_INT("count", l->dropped);
    append_line(l, LOG_WARN, "log lines dropped", &count, 1);
    l->dropped = 0;
}

void log_fields(struct log *l, enum log_level level, const char *message, const struct log_field *fields,
                size_t count) {
    if (!log_wants(l, level)) return;
    if (l->batch.n > LOG_KEEP_SIZE && !l->blocked) log_flush(l);
    if (l->batch.n > LOG_KEEP_SIZE) {
        l->dropped++;
        return;
    }
    report_dropped(l);
    append_line(l, level, message, fields, count);
    if (level == LOG_ERROR || (l->batch.n > LOG_BATCH_SIZE && !l->blocked)) log_flush(l);
    if (l->batch.n == 0 || l->scheduled || !l->on_pending) return;
    l->scheduled = true;
    l->on_pending(l->context);
}

/* As many whole lines as go through a pipe in one piece, so that they do not mix with another writer's. */
static struct slice pipe_piece(struct slice s) {
    if (s.n <= PIPE_BUF) return s;
    const char *last = memrchr(s.p, '\n', PIPE_BUF);
    return slice_make(s.p, last ? (size_t)(last - s.p) + 1 : PIPE_BUF);
}

static ssize_t sink_write(const struct log *l, struct slice s) {
    if (l->sink == SINK_SOCKET) return send(l->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (l->sink == SINK_FILE) return write(l->fd, s.p, s.n);
    struct pollfd writable = {.fd = l->fd, .events = POLLOUT};
    if (poll(&writable, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    s = pipe_piece(s);
    return write(l->fd, s.p, s.n);
}

static uint64_t count_lines(struct slice s) {
    uint64_t lines = 0;
    for (size_t i = 0; i < s.n; i++) lines += s.p[i] == '\n';
    return lines;
}

bool log_flush(struct log *l) {
    if (!l) return true;
    size_t written = 0;
    l->scheduled = l->blocked = false;
    while (written < l->batch.n) {
        struct slice rest = {l->batch.p + written, l->batch.n - written};
        ssize_t n = sink_write(l, rest);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) { /* kept for the next flush, which the owner makes in a moment */
            l->blocked = true;
            break;
        }
        if (n <= 0) {
            l->dropped += count_lines(rest);
            written = l->batch.n;
            break;
        }
        written += (size_t)n;
    }
    buf_consume(&l->batch, written);
    return l->batch.n == 0;
}

void log_free(struct log *l) {
    if (!l) return;
    report_dropped(l);
    log_flush(l);
    for (int i = 0; l->batch.n && i < LOG_FREE_WAITS; i++) {
        struct pollfd writable = {.fd = l->fd, .events = POLLOUT};
        poll(&writable, 1, LOG_FREE_WAIT_MS);
        log_flush(l);
    }
    buf_free(&l->batch);
    free(l);
}

bool log_level_parse(struct slice text, enum log_level *level) {
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (!slice_equal(text, levels[i].name)) continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}
