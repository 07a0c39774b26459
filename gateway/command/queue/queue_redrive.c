/* `execgate queue redrive`. */
#include "gateway/base/memory.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_match.h"
#include "gateway/command/queue/queue_progress.h"

static const struct option_row redrive_options[] = {
    {"to", 0, "QUEUE", "Another queue than the one each died in"},
    {"limit", 'n', "N", "At most so many"},
    QUEUE_MATCH_OPTIONS,
    QUEUE_DESK_OPTIONS,
};

struct redrive {
    struct queue_desk *desk;
    struct queue_match match;
    struct slice from;
    struct slice to; /* absent = each one's own */
    uint64_t limit;
    uint64_t begun_ms; /* wall: what dies later has been redriven already, perhaps */
    uint64_t moved;
    struct queue_progress progress;
};

static int redrive_send(struct redrive *r, const struct queue_redrive *order, size_t *count, struct error *e) {
    struct queue_desk *d = r->desk;
    d->store->ops->redrive(d->store, order, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    if (!reply) return -ERROR_SYSTEM;
    *count = reply->count;
    r->moved += reply->count;
    queue_progress_at(&r->progress, r->moved);
    return 0;
}

/* All that may be moved. */
static int redrive_all(struct redrive *r, struct error *e) {
    size_t count = 1;
    int status = 0;
    while (status == 0 && count && r->moved < r->limit && !r->desk->stopped) {
        uint64_t left = r->limit - r->moved;
        const struct queue_redrive order = {
            .from = r->from, .to = r->to, .max = left < QUEUE_PAGE_MAX ? (unsigned)left : QUEUE_PAGE_MAX};
        status = redrive_send(r, &order, &count, e);
    }
    return status;
}

static bool is_wanted(const struct redrive *r, const struct queue_message *m) {
    if (m->place == QUEUE_IN_FLIGHT || !queue_match_fits(&r->match, m)) return false;
    return m->death ? m->death->died_ms <= r->begun_ms : !slice_is_none(r->to);
}

/* Those of a page that fit. When a group's messages go, the next one moves up, to a place that the walk has passed: it
 * begins again, so that it is neither missed nor overtaken. */
static int redrive_page(struct redrive *r, struct queue_walk *walk, const struct queue_reply *page, struct error *e) {
    struct slice positions[QUEUE_PAGE_MAX];
    size_t count = 0;
    bool grouped = false;
    for (size_t i = 0; i < page->count && count < r->limit - r->moved; i++) {
        if (!is_wanted(r, &page->messages[i])) continue;
        positions[count++] = page->messages[i].position;
        grouped = grouped || !slice_is_none(page->messages[i].group_id);
    }
    const struct queue_redrive order = {.from = r->from, .to = r->to, .positions = positions, .position_count = count};
    int status = count ? redrive_send(r, &order, &count, e) : 0;
    if (grouped && count) walk->after.n = 0;
    return status;
}

static int redrive_matching(struct redrive *r, struct error *e) {
    struct queue_walk walk = {.desk = r->desk, .queue = r->from};
    const struct queue_reply *page;
    int status = 0;
    do {
        page = queue_walk_next(&walk, QUEUE_PAGE_MAX, e);
        size_t count = page ? page->count : 0;
        if (!page) status = -ERROR_SYSTEM;
        if (count == 0) break;
        status = redrive_page(r, &walk, page, e);
    } while (status == 0 && r->moved < r->limit && !r->desk->stopped);
    queue_walk_free(&walk);
    return status;
}

static int redrive_read(struct redrive *r, struct error *e) {
    struct queue_desk *d = r->desk;
    const char *to = arguments_get(d->arguments, "to");
    int status = queue_argument(d->arguments, &r->from, e);
    if (status == 0) status = queue_option_count(d->arguments, "limit", UINT64_MAX, &r->limit, e);
    if (status == 0) status = queue_match_read(&r->match, d->arguments, e);
    if (status == 0) status = queue_desk_check(d, r->from, e);
    if (status < 0 || !to) return status;
    r->to = slice_of(to);
    if (slice_equal(r->from, r->to)) return error_set(e, ERROR_USAGE, "--to names the queue that they are in, %s", to);
    return queue_desk_config(d, r->to, e) ? 0 : -ERROR_USAGE;
}

/* A queue whose messages die again at once would never come to an end. */
static int redrive_bound(struct redrive *r, struct error *e) {
    uint64_t there = 0;
    int status = queue_desk_count(r->desk, r->from, &there, e);
    if (there < r->limit) r->limit = there;
    r->progress = queue_progress_begin(r->desk, "redriven", r->match.any ? r->limit : 0);
    return status;
}

static int redrive_work(struct queue_desk *d, struct error *e) {
    struct redrive r = {.desk = d, .begun_ms = clock_wall_ms(d->clock)};
    int status = redrive_read(&r, e);
    if (status == 0) status = redrive_bound(&r, e);
    if (status == 0) status = queue_desk_catch_signals(d, e);
    if (status == 0) status = r.match.any ? redrive_all(&r, e) : redrive_matching(&r, e);
    queue_progress_end(&r.progress);
    if (status == 0 || r.moved) queue_desk_tell(d, r.from, "redriven", r.moved);
    queue_match_free(&r.match);
    return status == 0 ? queue_desk_end(d) : status;
}

static int redrive(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_FILLS, redrive_work);
}

const struct command command_queue_redrive = {
    .name = "queue redrive",
    .synopsis = "QUEUE [FILE]",
    .summary = "Send messages of a dead letter queue back to where they died",
    .details =
        "All of them, or those that fit, as messages that were never received, with their ids. Those that a handler\n"
        "has, and without --to those that did not die, stay.",
    .options = redrive_options,
    .option_count = ARRAY_LEN(redrive_options),
    .max_positional = 2,
    .file_position = 1,
    .run = redrive,
};
