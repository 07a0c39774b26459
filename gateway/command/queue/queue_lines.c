#include "gateway/command/queue/queue_lines.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define READ_BYTES 65536
#define LOOK_MS 100 /* for signals */

int queue_lines_open(struct queue_lines *l, struct queue_desk *d, const char *name, struct error *e) {
    *l = (struct queue_lines){.desk = d, .name = name, .fd = STDIN_FILENO};
    if (strcmp(name, "-") == 0) {
        l->name = "stdin";
        return 0;
    }
    l->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (l->fd >= 0) return 0;
    error_set_errno(e, errno, "cannot open \"%s\"", name);
    e->code = ERROR_USAGE;
    return -ERROR_USAGE;
}

static bool is_stopped(void *context) {
    return ((const struct queue_desk *)context)->stopped;
}

static bool is_readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

/* False when the desk was stopped. The loop's own watches would leave a terminal non-blocking behind. */
static bool wait_readable(struct queue_lines *l) {
    while (!is_readable(l->fd, LOOK_MS))
        if (loop_run_until(l->desk->loop, is_stopped, l->desk, 1)) return false;
    return true;
}

static int fill(struct queue_lines *l, struct error *e) {
    ssize_t n;
    buf_consume(&l->text, l->at);
    l->at = 0;
    if (l->text.n > QUEUE_LINE_SIZE_MAX)
        return error_set(e, ERROR_USAGE, "%s, line %llu: is longer than %u MiB", l->name,
                         (unsigned long long)l->number + 1, QUEUE_LINE_SIZE_MAX >> 20);
    if (!wait_readable(l)) {
        l->over = true;
        l->text.n = 0;
        return 0;
    }
    do {
        n = read(l->fd, buf_reserve(&l->text, READ_BYTES), READ_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return error_set_errno(e, errno, "cannot read %s", l->name);
    l->text.n += (size_t)n;
    l->over = n == 0;
    return 0;
}

/* The end of the line that begins at l->at, or -1. */
static ptrdiff_t line_end(struct queue_lines *l) {
    size_t from = l->at + l->searched;
    ptrdiff_t end = slice_find(slice_make(l->text.p + from, l->text.n - from), '\n');
    if (end < 0) l->searched = l->text.n - l->at;
    return end < 0 ? -1 : (ptrdiff_t)from + end;
}

int queue_lines_next(struct queue_lines *l, struct slice *line, struct error *e) {
    ptrdiff_t end = -1;
    while ((l->text.n == l->at || (end = line_end(l)) < 0) && !l->over) {
        int status = fill(l, e);
        if (status < 0) return status;
    }
    if (l->at == l->text.n) return 0;
    size_t stop = end < 0 ? l->text.n : (size_t)end;
    *line = slice_make(l->text.p + l->at, stop - l->at);
    l->at = end < 0 ? stop : stop + 1;
    l->searched = 0;
    l->number++;
    return 1;
}

bool queue_lines_at_hand(const struct queue_lines *l) {
    size_t left = l->text.n - l->at;
    return l->over || (left && slice_find(slice_make(l->text.p + l->at, left), '\n') >= 0) || is_readable(l->fd, 0);
}

void queue_lines_close(struct queue_lines *l) {
    if (l->fd > STDIN_FILENO) close(l->fd);
    buf_free(&l->text);
}
