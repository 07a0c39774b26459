/* `execgate queue import`. */
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_feed.h"
#include "gateway/command/queue/queue_ids.h"
#include <stdlib.h>

#define ONCE_MS (24ULL * 3600 * 1000)

static const struct option_row import_options[] = {
    {"input", 'i', "FILE", "Read there instead of stdin"},
    {"again", 0, NULL, "Messages too that were imported within the last day and are gone from the queue"},
    QUEUE_DESK_OPTIONS,
};

struct import {
    struct queue_feed feed;
    struct queue_ids there;
    uint64_t imported;
    uint64_t skipped;
};

static bool is_new(struct queue_feed *f, const struct queue_send *send) {
    struct import *m = container_of(f, struct import, feed);
    bool new = slice_is_none(send->id) || !queue_ids_has(&m->there, send->id);
    if (!new) m->skipped++;
    return new;
}

static void count_sent(struct queue_feed *f, const struct queue_sent *sent, size_t count) {
    struct import *m = container_of(f, struct import, feed);
    for (size_t i = 0; i < count; i++) ++*(sent[i].duplicate ? &m->skipped : &m->imported);
}

static void import_tell(const struct import *m) {
    const struct queue_desk *d = m->feed.desk;
    struct buf out = {0};
    if (arguments_has(d->arguments, "json")) {
        struct json_write w = json_write_to(&out);
        json_open(&w, '{');
        json_member(&w, SLICE("queue"), m->feed.queue);
        json_name(&w, SLICE("imported"));
        json_number(&w, (int64_t)m->imported);
        json_name(&w, SLICE("skipped"));
        json_number(&w, (int64_t)m->skipped);
        json_name(&w, SLICE("complete"));
        json_bool(&w, !d->stopped);
        json_close(&w, '}');
        buf_append_char(&out, '\n');
    } else {
        buf_printf(&out, SLICE_FMT ": %llu messages imported, %llu were imported before or are there%s\n",
                   SLICE_ARG(m->feed.queue), (unsigned long long)m->imported, (unsigned long long)m->skipped,
                   d->stopped ? "; stopped: the same command goes on" : "");
    }
    command_print(&out, stdout);
}

static int import_lines(struct import *m, struct queue_lines *lines, struct error *e) {
    struct queue_desk *d = m->feed.desk;
    int status = queue_desk_catch_signals(d, e);
    if (status == 0) status = queue_ids_read(&m->there, d, m->feed.queue, e);
    m->feed.progress = queue_progress_begin(d, "imported", 0);
    if (status == 0 && !d->stopped) status = queue_feed_run(&m->feed, lines, e);
    if (status == 0) import_tell(m);
    return status == 0 ? queue_desk_end(d) : status;
}

static int import_into(struct import *m, struct error *e) {
    struct queue_desk *d = m->feed.desk;
    const char *input = arguments_get(d->arguments, "input");
    struct queue_lines lines;
    int status = queue_desk_check(d, m->feed.queue, e);
    if (status == 0) status = queue_lines_open(&lines, d, input ? input : "-", e);
    if (status < 0) return status;
    status = import_lines(m, &lines, e);
    queue_lines_close(&lines);
    return status;
}

static int import_work(struct queue_desk *d, struct error *e) {
    struct slice queue;
    int status = queue_argument(d->arguments, &queue, e);
    if (status < 0) return status;
    struct import *m = xcalloc(1, sizeof *m);
    m->feed = (struct queue_feed){.desk = d,
                                  .queue = queue,
                                  .config = blueprint_queue(d->blueprint, queue),
                                  .kind = QUEUE_JSON_RECORD,
                                  .initial = {.once_ms = arguments_has(d->arguments, "again") ? 0 : ONCE_MS},
                                  .wants = is_new,
                                  .on_sent = count_sent};
    status = import_into(m, e);
    queue_ids_free(&m->there);
    free(m);
    return status;
}

static int import_run(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_FILLS, import_work);
}

const struct command command_queue_import = {
    .name = "queue import",
    .synopsis = "QUEUE [FILE]",
    .summary = "Send the messages that an export has written",
    .details =
        "With their ids, times and attributes, and why they died; those that were with a handler are ready. A message\n"
        "that is in the queue, or was imported within the last day, is passed over: the same import again adds\n"
        "nothing, and one that was stopped goes on. Lines without an id are new messages each time.",
    .options = import_options,
    .option_count = ARRAY_LEN(import_options),
    .max_positional = 2,
    .file_position = 1,
    .run = import_run,
};
