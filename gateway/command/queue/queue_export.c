/* `execgate queue export`. */
#include "gateway/base/memory.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_match.h"
#include "gateway/command/queue/queue_progress.h"
#include "gateway/source/queue/queue_json.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE 500

static const struct option_row export_options[] = {
    {"output", 'o', "FILE", "Write there instead of to stdout"},
    {"after", 0, "POSITION", "Go on where an export ended that was stopped; --output is appended to"},
    QUEUE_MATCH_OPTIONS,
    QUEUE_DESK_OPTIONS,
};

struct export {
    struct queue_match match;
    struct queue_walk walk;
    struct queue_progress progress;
    struct buf out;
    const char *name; /* of the output, for messages */
    int fd;
    uint64_t looked_at;
    uint64_t written;
};

static int export_open(struct export *x, const struct arguments *a, struct error *e) {
    const char *output = arguments_get(a, "output");
    x->name = "stdout";
    x->fd = STDOUT_FILENO;
    if (!output) return 0;
    x->name = output;
    /* Whoever may not read the queue may not read what comes from it. */
    x->fd = open(output, O_WRONLY | O_CREAT | O_CLOEXEC | (x->walk.after.n ? O_APPEND : O_TRUNC), 0600);
    return x->fd >= 0 ? 0 : error_set_errno(e, errno, "cannot write \"%s\"", output);
}

static int export_flush(struct export *x, struct error *e) {
    size_t at = 0;
    while (at < x->out.n) {
        ssize_t n = write(x->fd, x->out.p + at, x->out.n - at);
        if (n < 0 && errno != EINTR) return error_set_errno(e, errno, "cannot write %s", x->name);
        if (n > 0) at += (size_t)n;
    }
    x->out.n = 0;
    return 0;
}

static int export_page(struct export *x, const struct queue_reply *page, struct error *e) {
    struct json_write w = json_write_to(&x->out);
    for (size_t i = 0; i < page->count; i++) {
        if (!queue_match_fits(&x->match, &page->messages[i])) continue;
        w.comma = false;
        queue_json_write(&w, &page->messages[i]);
        buf_append_char(&x->out, '\n');
        x->written++;
    }
    x->looked_at += page->count;
    queue_progress_at(&x->progress, x->looked_at);
    return export_flush(x, e);
}

static int export_pages(struct export *x, struct error *e) {
    const struct queue_reply *page;
    int status = 0;
    do {
        page = queue_walk_next(&x->walk, PAGE, e);
        size_t count = page ? page->count : 0;
        if (!page) status = -ERROR_SYSTEM;
        if (count == 0) break;
        status = export_page(x, page, e);
    } while (status == 0 && !x->walk.desk->stopped);
    queue_progress_end(&x->progress);
    if (status == 0 && x->fd != STDOUT_FILENO && fsync(x->fd) < 0)
        status = error_set_errno(e, errno, "cannot write %s", x->name);
    return status;
}

static void export_tell(struct export *x) {
    if (x->fd != STDOUT_FILENO) queue_desk_tell(x->walk.desk, x->walk.queue, "exported", x->written);
    if (x->walk.desk->stopped)
        fprintf(stderr, "execgate: stopped; `--after " SLICE_FMT "` goes on\n", SLICE_ARG(buf_slice(&x->walk.after)));
}

static int export_to(struct export *x, uint64_t total, struct error *e) {
    struct queue_desk *d = x->walk.desk;
    int status = export_open(x, d->arguments, e);
    if (status < 0) return status;
    x->progress = queue_progress_begin(d, "read", total);
    status = export_pages(x, e);
    if (status == 0) export_tell(x);
    if (x->fd != STDOUT_FILENO) close(x->fd);
    return status;
}

static int export_work(struct queue_desk *d, struct error *e) {
    struct export x = {.walk = {.desk = d}, .fd = -1};
    const char *after = arguments_get(d->arguments, "after");
    uint64_t total = 0;
    if (after) buf_append_text(&x.walk.after, after);
    int status = queue_argument(d->arguments, &x.walk.queue, e);
    if (status == 0) status = queue_match_read(&x.match, d->arguments, e);
    if (status == 0) status = queue_desk_check(d, x.walk.queue, e);
    if (status == 0) status = queue_desk_count(d, x.walk.queue, &total, e);
    if (status == 0) status = queue_desk_catch_signals(d, e);
    if (status == 0) status = export_to(&x, total, e);
    queue_match_free(&x.match);
    queue_walk_free(&x.walk);
    buf_free(&x.out);
    return status == 0 ? queue_desk_end(d) : status;
}

static int export_run(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, export_work);
}

const struct command command_queue_export = {
    .name = "queue export",
    .synopsis = "QUEUE [FILE]",
    .summary = "Write the messages of a queue as lines of JSON",
    .details =
        "Each with its id, times, attributes and, in a dead letter queue, why it died; bodies that are no text in\n"
        "base64. The messages stay where they are. One that moves meanwhile may be missing or there twice, which\n"
        "import does not mind; `execgate queue pause` first keeps a queue still.",
    .options = export_options,
    .option_count = ARRAY_LEN(export_options),
    .max_positional = 2,
    .file_position = 1,
    .run = export_run,
};
