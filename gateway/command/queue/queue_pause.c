/* `execgate queue pause` and `resume`: a note in the store that every gateway on it looks for. */
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_desk.h"
#include "gateway/source/queue/queue_source.h"

static const struct option_row pause_options[] = {QUEUE_DESK_OPTIONS};

/* Sets the note, or takes it away when `value` is absent. */
static int note_set(struct queue_desk *d, struct slice queue, struct slice value, struct error *e) {
    struct buf key = {0}, seen = {0};
    queue_pause_key(&key, queue);
    struct queue_swap swap = {.key = buf_slice(&key), .value = value};
    const struct queue_reply *reply;
    do {
        d->store->ops->swap(d->store, &swap, queue_desk_ask(d));
        reply = queue_desk_wait(d, e);
        if (!reply || reply->granted) break;
        seen.n = 0;
        buf_append_slice(&seen, reply->value);
        swap.expected = slice_is_none(reply->value) ? SLICE_NONE : buf_slice(&seen);
        if (slice_is_none(swap.expected) == slice_is_none(value)) break; /* somebody else was faster */
    } while (!d->stopped);
    buf_free(&key);
    buf_free(&seen);
    return reply ? 0 : -ERROR_SYSTEM;
}

static void tell(const struct queue_desk *d, struct slice queue, bool paused) {
    struct buf out = {0};
    if (arguments_has(d->arguments, "json")) {
        struct json_write w = json_write_to(&out);
        json_open(&w, '{');
        json_member(&w, SLICE("queue"), queue);
        json_name(&w, SLICE("paused"));
        json_bool(&w, paused);
        json_close(&w, '}');
        buf_append_char(&out, '\n');
    } else {
        buf_printf(&out, SLICE_FMT ": %s\n", SLICE_ARG(queue),
                   paused ? "paused; what handlers have is finished" : "messages are taken again");
    }
    command_print(&out, stdout);
}

static int set_work(struct queue_desk *d, struct slice value, struct error *e) {
    struct slice queue;
    int status = queue_argument(d->arguments, &queue, e);
    if (status == 0 && !queue_desk_config(d, queue, e)) status = -ERROR_USAGE;
    if (status == 0) status = note_set(d, queue, value, e);
    if (status == 0) tell(d, queue, !slice_is_none(value));
    return status;
}

static int pause_work(struct queue_desk *d, struct error *e) {
    char now[25];
    clock_iso_time(clock_wall_ms(d->clock), now);
    return set_work(d, slice_of(now), e);
}

static int resume_work(struct queue_desk *d, struct error *e) {
    return set_work(d, SLICE_NONE, e);
}

static int pause_run(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, pause_work);
}

static int resume_run(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, resume_work);
}

const struct command command_queue_pause = {
    .name = "queue pause",
    .synopsis = "QUEUE [FILE]",
    .summary = "Give no more messages of a queue to handlers",
    .details = "Every gateway on the store takes none within about a second, and none after a restart, until\n"
               "`execgate queue resume`. Messages can be sent meanwhile; those that handlers have are finished.",
    .options = pause_options,
    .option_count = ARRAY_LEN(pause_options),
    .max_positional = 2,
    .file_position = 1,
    .run = pause_run,
};

const struct command command_queue_resume = {
    .name = "queue resume",
    .synopsis = "QUEUE [FILE]",
    .summary = "Give messages of a paused queue to handlers again",
    .details = "What `execgate queue pause` stopped goes on within about a second.",
    .options = pause_options,
    .option_count = ARRAY_LEN(pause_options),
    .max_positional = 2,
    .file_position = 1,
    .run = resume_run,
};
