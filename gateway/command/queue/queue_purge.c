/* `execgate queue purge`. */
#include "gateway/base/memory.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_progress.h"
#include <unistd.h>

static const struct option_row purge_options[] = {
    {"yes", 'y', NULL, "Do not ask"},
    QUEUE_DESK_OPTIONS,
};

/* The rest of the line is read too, so that it is nobody else's input. */
static bool answered_yes(void) {
    char line[64] = "";
    bool whole = fgets(line, sizeof line, stdin) && strchr(line, '\n');
    for (int c = 0; !whole && c != EOF && c != '\n';) c = fgetc(stdin);
    line[strcspn(line, "\r\n")] = 0;
    return strcmp(line, "y") == 0 || strcmp(line, "yes") == 0;
}

/* Whether a person wants it: 1, 0, or an error when none can be asked. */
static int confirm(const struct queue_desk *d, struct slice queue, uint64_t count, struct error *e) {
    if (arguments_has(d->arguments, "yes")) return 1;
    if (!isatty(STDIN_FILENO))
        return error_set(e, ERROR_USAGE,
                         "purge would remove %llu messages from \"" SLICE_FMT "\" for good; say --yes if that is meant",
                         (unsigned long long)count, SLICE_ARG(queue));
    fprintf(stderr, "Remove %llu message%s from \"" SLICE_FMT "\" for good, with handlers or not? [y/N] ",
            (unsigned long long)count, count == 1 ? "" : "s", SLICE_ARG(queue));
    fflush(stderr);
    return answered_yes();
}

/* No more than there were: what is sent meanwhile stays, and the end comes. */
static int purge_pages(struct queue_desk *d, struct slice queue, uint64_t count, uint64_t *purged, struct error *e) {
    struct queue_progress progress = queue_progress_begin(d, "purged", count);
    int status = 0;
    while (*purged < count && !d->stopped) {
        unsigned max = count - *purged < QUEUE_PAGE_MAX ? (unsigned)(count - *purged) : QUEUE_PAGE_MAX;
        d->store->ops->purge(d->store, queue, max, queue_desk_ask(d));
        const struct queue_reply *reply = queue_desk_wait(d, e);
        status = reply ? 0 : -ERROR_SYSTEM;
        if (!reply || reply->count == 0) break;
        *purged += reply->count;
        queue_progress_at(&progress, *purged);
    }
    queue_progress_end(&progress);
    return status;
}

static int purge_confirmed(struct queue_desk *d, struct slice queue, uint64_t count, struct error *e) {
    uint64_t purged = 0;
    int status = queue_desk_catch_signals(d, e);
    if (status == 0) status = purge_pages(d, queue, count, &purged, e);
    if (status == 0 || purged) queue_desk_tell(d, queue, "purged", purged);
    return status == 0 ? queue_desk_end(d) : status;
}

static int purge_work(struct queue_desk *d, struct error *e) {
    struct slice queue;
    uint64_t count = 0;
    int status = queue_argument(d->arguments, &queue, e);
    if (status == 0) status = queue_desk_check(d, queue, e);
    if (status == 0) status = queue_desk_count(d, queue, &count, e);
    if (status < 0) return status;
    int wanted = confirm(d, queue, count, e);
    if (wanted < 0) return wanted;
    if (wanted) return purge_confirmed(d, queue, count, e);
    queue_desk_tell(d, queue, "purged", 0);
    return EXIT_OK;
}

static int purge(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, purge_work);
}

const struct command command_queue_purge = {
    .name = "queue purge",
    .synopsis = "QUEUE [FILE]",
    .summary = "Remove all messages of a queue",
    .details =
        "For good, those with handlers too: these run to their end, and their answers change nothing. Asks first,\n"
        "so without a terminal it needs --yes. What is sent meanwhile may stay.",
    .options = purge_options,
    .option_count = ARRAY_LEN(purge_options),
    .max_positional = 2,
    .file_position = 1,
    .run = purge,
};
