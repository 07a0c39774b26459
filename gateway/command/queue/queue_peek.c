/* `execgate queue peek`. */
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_desk.h"
#include "gateway/command/queue/queue_match.h"
#include "gateway/source/queue/queue_json.h"

#define SHOWN_DEFAULT 10
#define PAGE 100
#define BODY_SHOWN 400

static const struct option_row peek_options[] = {
    {"number", 'n', "N", "So many messages (default 10)"},
    QUEUE_MATCH_OPTIONS,
    QUEUE_DESK_OPTIONS,
};

struct peek {
    struct queue_match match;
    struct queue_walk walk;
    uint64_t left;
    uint64_t shown;
    struct buf out;
    enum peek_form { PEEK_TEXT, PEEK_JSON } form;
};

/* --- text --- */

static void append_named(struct buf *out, const char *name, struct slice value) {
    if (slice_is_none(value)) return;
    buf_printf(out, "  %s=", name);
    text_append_quoted(out, value, QUEUE_KEY_SIZE_MAX);
}

static void append_place(struct buf *out, const struct queue_message *m) {
    static const char *const places[] = {[QUEUE_READY] = "ready",
                                         [QUEUE_IN_FLIGHT] = "in flight",
                                         [QUEUE_DELAYED] = "delayed",
                                         [QUEUE_BLOCKED] = "blocked"};
    buf_append_text(out, places[m->place]);
    if (m->ready_in_ms == 0) return;
    buf_append_text(out, m->place == QUEUE_IN_FLIGHT ? " for " : ", ready in ");
    char wait[QUEUE_AGE_SIZE];
    queue_age_write(wait, m->ready_in_ms);
    buf_append_text(out, wait);
}

static void append_death(struct buf *out, const struct queue_death *death) {
    char when[25];
    if (!death) return;
    clock_iso_time(death->died_ms, when);
    buf_printf(out, "  died in " SLICE_FMT " at %s after %llu attempt%s: ", SLICE_ARG(death->queue), when,
               (unsigned long long)death->attempts, death->attempts == 1 ? "" : "s");
    text_append_quoted(out, death->reason, QUEUE_KEY_SIZE_MAX);
    if (death->error.n) {
        buf_append_text(out, ": ");
        text_append_quoted(out, death->error, BODY_SHOWN);
    }
    buf_append_char(out, '\n');
}

static void append_message(struct buf *out, const struct queue_message *m) {
    char when[25];
    clock_iso_time(m->sent_ms, when);
    buf_printf(out, "%s  sent %s  ", m->id, when);
    append_place(out, m);
    if (m->receive_count) buf_printf(out, "  received %llu times", (unsigned long long)m->receive_count);
    append_named(out, "group", m->group_id);
    append_named(out, "dedup", m->dedup_id);
    append_named(out, "type", m->content_type);
    buf_append_char(out, '\n');
    append_death(out, m->death);
    for (size_t i = 0; i < m->attribute_count; i++) {
        buf_append_text(out, "  ");
        text_append_quoted(out, m->attributes[i].name, QUEUE_KEY_SIZE_MAX);
        buf_append_text(out, ": ");
        text_append_quoted(out, m->attributes[i].value, BODY_SHOWN);
        buf_append_char(out, '\n');
    }
    buf_append_text(out, "  ");
    text_append_quoted(out, m->body, BODY_SHOWN);
    buf_append_char(out, '\n');
}

/* --- the action --- */

static void peek_show(struct peek *p, const struct queue_message *m) {
    struct json_write w = json_write_to(&p->out);
    if (!queue_match_fits(&p->match, m) || p->left == 0) return;
    p->left--;
    p->shown++;
    if (p->form == PEEK_TEXT) {
        append_message(&p->out, m);
        return;
    }
    queue_json_write(&w, m);
    buf_append_char(&p->out, '\n');
}

static int peek_pages(struct peek *p, struct error *e) {
    const struct queue_reply *reply;
    do {
        unsigned max = p->match.any && p->left < PAGE ? (unsigned)p->left : PAGE;
        reply = queue_walk_next(&p->walk, max, e);
        if (!reply) return -ERROR_SYSTEM;
        for (size_t i = 0; i < reply->count; i++) peek_show(p, &reply->messages[i]);
        command_print(&p->out, stdout);
    } while (p->left && reply->count && !p->walk.desk->stopped);
    return 0;
}

static int peek_work(struct queue_desk *d, struct error *e) {
    struct peek p = {.walk = {.desk = d}, .form = arguments_has(d->arguments, "json") ? PEEK_JSON : PEEK_TEXT};
    int status = queue_argument(d->arguments, &p.walk.queue, e);
    if (status == 0) status = queue_option_count(d->arguments, "number", SHOWN_DEFAULT, &p.left, e);
    if (status == 0) status = queue_match_read(&p.match, d->arguments, e);
    if (status == 0) status = queue_desk_check(d, p.walk.queue, e);
    if (status == 0) status = queue_desk_catch_signals(d, e);
    if (status == 0) status = peek_pages(&p, e);
    if (status == 0 && p.shown == 0 && p.form == PEEK_TEXT)
        fprintf(stderr, "execgate: " SLICE_FMT " has no such message\n", SLICE_ARG(p.walk.queue));
    queue_match_free(&p.match);
    queue_walk_free(&p.walk);
    buf_free(&p.out);
    return status == 0 ? queue_desk_end(d) : status;
}

static int peek(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, peek_work);
}

const struct command command_queue_peek = {
    .name = "queue peek",
    .synopsis = "QUEUE [FILE]",
    .summary = "Show messages of a queue without touching them",
    .details =
        "The next messages, whole with --json (one object per line, as export writes them). Nothing is received:\n"
        "their handlers get them all the same.",
    .options = peek_options,
    .option_count = ARRAY_LEN(peek_options),
    .max_positional = 2,
    .file_position = 1,
    .run = peek,
};
