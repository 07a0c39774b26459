/* `execgate queue send`. */
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/invoke/input.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_feed.h"
#include <stdlib.h>

static const struct option_row send_options[] = {
    {"delay", 0, "DURATION", "It is ready after so long, instead of what the blueprint says"},
    {"dedup-id", 0, "ID", "Sent once: another message with this id changes nothing for a while"},
    {"group", 'g', "ID", "Its group: messages of one come one after the other"},
    {"attribute", 'a', "NAME=VALUE", "An attribute of it; may be repeated"},
    {"content-type", 't', "TYPE", "What the body is"},
    {"batch", 0, NULL, "BODY is many messages: on each line a JSON object with body, delay, groupId, ..."},
    QUEUE_DESK_OPTIONS,
};

static void print_sent(struct queue_feed *f, const struct queue_sent *sent, size_t count) {
    struct buf out = {0};
    bool json = arguments_has(f->desk->arguments, "json");
    for (size_t i = 0; i < count; i++) {
        if (json) /* ids that the store draws need no escapes */
            buf_printf(&out, "{\"messageId\":\"%s\",\"duplicate\":%s}\n", sent[i].id,
                       sent[i].duplicate ? "true" : "false");
        else
            buf_printf(&out, "%s%s\n", sent[i].id, sent[i].duplicate ? " (sent before)" : "");
    }
    command_print(&out, stdout);
    fflush(stdout);
}

/* --- one message --- */

static int read_attributes(struct queue_send *send, struct queue_attribute *list, const struct arguments *a,
                           struct error *e) {
    size_t at = 0;
    const char *text;
    send->attributes = list;
    while ((text = arguments_next(a, "attribute", &at))) {
        struct slice value = slice_of(text), name;
        slice_next(&value, '=', &name);
        if (slice_is_none(value)) return error_set(e, ERROR_USAGE, "--attribute takes NAME=VALUE, not \"%s\"", text);
        list[send->attribute_count++] = (struct queue_attribute){.type = QUEUE_TEXT, .name = name, .value = value};
    }
    return 0;
}

static int read_options(struct queue_send *send, const struct arguments *a, struct error *e) {
    const char *delay = arguments_get(a, "delay");
    send->dedup_id = slice_of(arguments_get(a, "dedup-id"));
    send->group_id = slice_of(arguments_get(a, "group"));
    send->content_type = slice_of(arguments_get(a, "content-type"));
    if (!delay || text_to_duration_ms(slice_of(delay), &send->delay_ms)) return 0;
    return error_set(e, ERROR_USAGE, "--delay takes a duration such as 30s, not \"%s\"", delay);
}

/* `-` is stdin, `@FILE` a file, anything else the body itself. */
static int read_body(struct buf *body, const char *text, struct error *e) {
    if (strcmp(text, "-") == 0) return input_read(body, "BODY", "-", e);
    if (text[0] == '@') return input_read(body, "BODY", text + 1, e);
    buf_append_text(body, text);
    return 0;
}

static int send_one(struct queue_feed *f, const char *text, struct error *e) {
    const struct arguments *a = f->desk->arguments;
    struct queue_send send = f->initial;
    struct queue_attribute *list = xcalloc(a->value_count + 1, sizeof *list);
    struct buf body = {0};
    send.queue = f->queue;
    int status = read_options(&send, a, e);
    if (status == 0) status = read_attributes(&send, list, a, e);
    if (status == 0) status = read_body(&body, text, e);
    send.body = body.n ? buf_slice(&body) : SLICE("");
    if (status == 0) status = queue_feed_one(f, &send, e);
    buf_free(&body);
    free(list);
    return status;
}

/* --- many --- */

static int check_batch_options(const struct arguments *a, struct error *e) {
    static const char *const single[] = {"delay", "dedup-id", "group", "attribute", "content-type"};
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        if (arguments_has(a, single[i]))
            return error_set(e, ERROR_USAGE, "--%s is for one message; with --batch each line says its own", single[i]);
    return 0;
}

static int send_batch(struct queue_feed *f, const char *text, struct error *e) {
    struct queue_lines lines;
    int status = check_batch_options(f->desk->arguments, e);
    if (status < 0) return status;
    if (strcmp(text, "-") != 0 && text[0] != '@')
        return error_set(e, ERROR_USAGE, "--batch reads lines from - or @FILE, not from \"%s\"", text);
    status = queue_lines_open(&lines, f->desk, text[0] == '@' ? text + 1 : text, e);
    if (status < 0) return status;
    status = queue_desk_catch_signals(f->desk, e);
    if (status == 0) status = queue_feed_run(f, &lines, e);
    queue_lines_close(&lines);
    return status == 0 ? queue_desk_end(f->desk) : status;
}

static int send_work(struct queue_desk *d, struct error *e) {
    const struct arguments *a = d->arguments;
    struct slice queue;
    int status = queue_argument(a, &queue, e);
    if (status < 0) return status;
    if (a->positional_count < 2)
        return error_set(e, ERROR_USAGE, "what is to be sent? usage: execgate %s %s", a->command->name,
                         a->command->synopsis);
    struct queue_feed *f = xcalloc(1, sizeof *f);
    *f = (struct queue_feed){.desk = d, .queue = queue, .kind = QUEUE_JSON_SEND, .on_sent = print_sent};
    f->config = queue_desk_config(d, queue, e);
    status = f->config ? 0 : -ERROR_USAGE;
    if (f->config) f->initial.delay_ms = f->config->delay_ms;
    if (status == 0)
        status = arguments_has(a, "batch") ? send_batch(f, a->positional[1], e) : send_one(f, a->positional[1], e);
    free(f);
    return status;
}

static int send_run(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_FILLS, send_work);
}

const struct command command_queue_send = {
    .name = "queue send",
    .synopsis = "QUEUE BODY|-|@FILE [FILE]",
    .summary = "Send messages to a queue",
    .details = "BODY is the message; - reads it from stdin, @FILE from a file. Prints its id once it is on disk.\n"
               "With --batch messages are sent as their lines come, and what came before a wrong line is sent.",
    .options = send_options,
    .option_count = ARRAY_LEN(send_options),
    .max_positional = 3,
    .file_position = 2,
    .run = send_run,
};
