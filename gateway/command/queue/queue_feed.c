#include "gateway/command/queue/queue_feed.h"
#include "gateway/base/json_read.h"
#include "gateway/queue/message.h"
#include "gateway/source/queue/queue_posting.h"

#define BATCH_SIZE_BYTES (4u << 20)

static int send_all(struct queue_feed *f, const struct queue_send *sends, size_t count, struct error *e) {
    struct queue_desk *d = f->desk;
    d->store->ops->send(d->store, sends, count, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    if (!reply) return -ERROR_SYSTEM;
    f->sent += count;
    f->on_sent(f, reply->sent, count);
    return 0;
}

static int flush(struct queue_feed *f, struct error *e) {
    int status = f->count ? send_all(f, f->sends, f->count, e) : 0;
    f->count = 0;
    f->size_bytes = 0;
    arena_reset(&f->arena);
    queue_progress_at(&f->progress, f->sent);
    return status;
}

/* What the store would refuse is told of the one line that it is about. */
static int check(const struct queue_feed *f, const struct queue_send *send, struct error *e) {
    int status = f->config ? queue_posting_check(send, f->config, e) : 0;
    return status < 0 ? status : queue_send_check(send, f->config ? (uint32_t)f->config->max_message : 0, e);
}

static int add_line(struct queue_feed *f, struct slice line, struct error *e) {
    struct queue_send *send = &f->sends[f->count];
    struct slice text = arena_copy(&f->arena, line);
    *send = f->initial;
    send->queue = f->queue;
    if (!json_is_valid(text)) return error_set(e, ERROR_FORMAT, "is no JSON");
    int status = queue_json_read(send, text, f->kind, &f->arena, e);
    if (status == 0) status = check(f, send, e);
    if (status < 0) return status;
    f->size_bytes += text.n; /* the memory of those that are not sent counts too */
    if (!f->wants || f->wants(f, send)) f->count++;
    return 0;
}

static int complain(struct queue_feed *f, const struct queue_lines *lines, struct error *e) {
    const struct error wrong = *e;
    int status = flush(f, e);
    if (status < 0) return status;
    return error_set(e, ERROR_USAGE, "%s, line %llu: %s; what stands before it is in the queue", lines->name,
                     (unsigned long long)lines->number, wrong.message);
}

static bool is_blank(struct slice line) {
    return slice_trim(line).n == 0 || slice_equal(slice_trim(line), SLICE("\r"));
}

static int feed_lines(struct queue_feed *f, struct queue_lines *lines, struct error *e) {
    struct slice line;
    int more;
    while ((more = queue_lines_next(lines, &line, e)) > 0) {
        if (!is_blank(line) && add_line(f, line, e) < 0) return complain(f, lines, e);
        bool full = f->count == QUEUE_FEED_MESSAGES || f->size_bytes >= BATCH_SIZE_BYTES;
        int status = full || !queue_lines_at_hand(lines) ? flush(f, e) : 0;
        if (status < 0) return status;
        if (f->desk->stopped) break;
    }
    return more < 0 ? more : flush(f, e);
}

int queue_feed_run(struct queue_feed *f, struct queue_lines *lines, struct error *e) {
    arena_init(&f->arena, 65536);
    int status = feed_lines(f, lines, e);
    queue_progress_end(&f->progress);
    arena_free(&f->arena);
    return status;
}

int queue_feed_one(struct queue_feed *f, const struct queue_send *send, struct error *e) {
    int status = check(f, send, e);
    if (status == 0) return send_all(f, send, 1, e);
    e->code = ERROR_USAGE;
    return status;
}
