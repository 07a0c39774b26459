#include "gateway/command/queue/queue_desk.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <signal.h>
#include <stdlib.h>

#define ANSWER_LIMIT_MS 60000
#define CLOSE_LIMIT_MS 10000

/* --- asking --- */

static void on_answer(void *context, struct queue_reply *reply) {
    struct queue_desk *d = context;
    arena_free(&d->memory);
    d->memory = queue_reply_take(reply);
    d->reply = *reply;
    d->answered = true;
}

static bool is_answered(void *context) {
    return ((const struct queue_desk *)context)->answered;
}

struct queue_done queue_desk_ask(struct queue_desk *d) {
    d->answered = false;
    return (struct queue_done){on_answer, d};
}

const struct queue_reply *queue_desk_wait(struct queue_desk *d, struct error *e) {
    if (!loop_run_until(d->loop, is_answered, d, ANSWER_LIMIT_MS)) {
        error_set(e, ERROR_SYSTEM, "the store has not answered within %d s", ANSWER_LIMIT_MS / 1000);
        return NULL;
    }
    if (d->reply.result == QUEUE_OK) return &d->reply;
    *e = d->reply.error;
    return NULL;
}

/* --- queues by name --- */

struct names {
    const char **items;
    size_t count;
};

static void add_name(struct names *names, const char *name) {
    names->items = xrealloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = name;
}

static int no_such_queue(const struct queue_desk *d, struct slice queue, const struct names *names, struct error *e) {
    const char *file = arguments_file(d->arguments);
    const char *near = text_nearest(queue, names->items, names->count);
    if (near)
        return error_set(e, ERROR_USAGE, "%s: no queue \"" SLICE_FMT "\"; did you mean \"%s\"?", file, SLICE_ARG(queue),
                         near);
    return error_set(e, ERROR_USAGE, "%s: no queue \"" SLICE_FMT "\"; `execgate queue list` shows those there are",
                     file, SLICE_ARG(queue));
}

static struct names declared_names(const struct queue_desk *d) {
    struct names names = {NULL, 0};
    for (size_t i = 0; i < d->blueprint->queue_count; i++) add_name(&names, d->blueprint->queues[i].name);
    return names;
}

/* Queues that the blueprint names no more, and those of invocations, are known to the store only. */
static int check_in_store(struct queue_desk *d, struct slice queue, struct error *e) {
    struct names names = declared_names(d);
    struct arena texts;
    bool found = false;
    d->store->ops->stats(d->store, SLICE_NONE, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    arena_init(&texts, 1024);
    for (size_t i = 0; reply && i < reply->count; i++) {
        add_name(&names, arena_text(&texts, reply->stats[i].queue));
        found = found || slice_equal(reply->stats[i].queue, queue);
    }
    int status = reply ? 0 : -ERROR_SYSTEM;
    if (reply && !found) status = no_such_queue(d, queue, &names, e);
    arena_free(&texts);
    free(names.items);
    return status;
}

int queue_desk_check(struct queue_desk *d, struct slice queue, struct error *e) {
    return blueprint_queue(d->blueprint, queue) ? 0 : check_in_store(d, queue, e);
}

const struct queue_config *queue_desk_config(struct queue_desk *d, struct slice queue, struct error *e) {
    const struct queue_config *config = blueprint_queue(d->blueprint, queue);
    if (config) return config;
    struct names names = declared_names(d);
    no_such_queue(d, queue, &names, e);
    free(names.items);
    return NULL;
}

int queue_desk_count(struct queue_desk *d, struct slice queue, uint64_t *count, struct error *e) {
    d->store->ops->stats(d->store, queue, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    if (!reply) return -ERROR_SYSTEM;
    const struct queue_stats *s = reply->stats;
    *count = s->ready + s->in_flight + s->delayed + s->blocked;
    return 0;
}

/* --- signals --- */

static void on_signal(void *context, int signal_number) {
    (void)signal_number;
    ((struct queue_desk *)context)->stopped = true;
}

int queue_desk_catch_signals(struct queue_desk *d, struct error *e) {
    int status = loop_on_signal(d->loop, SIGINT, on_signal, d, e);
    return status < 0 ? status : loop_on_signal(d->loop, SIGTERM, on_signal, d, e);
}

int queue_desk_end(const struct queue_desk *d) {
    return d->stopped ? EXIT_UNFINISHED : EXIT_OK;
}

/* --- walking --- */

const struct queue_reply *queue_walk_next(struct queue_walk *w, unsigned max, struct error *e) {
    struct queue_desk *d = w->desk;
    const struct queue_browse browse = {
        .queue = w->queue, .after = w->after.n ? buf_slice(&w->after) : SLICE_NONE, .max = max};
    d->store->ops->browse(d->store, &browse, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    if (!reply || reply->count == 0) return reply;
    w->after.n = 0;
    buf_append_slice(&w->after, reply->messages[reply->count - 1].position);
    return reply;
}

void queue_walk_free(struct queue_walk *w) {
    buf_free(&w->after);
}

/* --- words --- */

int queue_option_count(const struct arguments *a, const char *name, uint64_t otherwise, uint64_t *count,
                       struct error *e) {
    const char *text = arguments_get(a, name);
    *count = otherwise;
    if (!text || (slice_to_u64(slice_of(text), count) && *count > 0)) return 0;
    return error_set(e, ERROR_USAGE, "--%s takes a number from 1, not \"%s\"", name, text);
}

int queue_argument(const struct arguments *a, struct slice *queue, struct error *e) {
    if (a->positional_count == 0)
        return error_set(e, ERROR_USAGE, "which queue? usage: execgate %s %s", a->command->name, a->command->synopsis);
    *queue = slice_of(a->positional[0]);
    return 0;
}

void queue_age_write(char out[QUEUE_AGE_SIZE], uint64_t ms) {
    static const struct {
        uint64_t seconds;
        char large, small;
        uint64_t rest;
    } steps[] = {{86400, 'd', 'h', 3600}, {3600, 'h', 'm', 60}, {60, 'm', 's', 1}};
    uint64_t s = ms / 1000;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (s < steps[i].seconds) continue;
        snprintf(out, QUEUE_AGE_SIZE, "%llu%c %llu%c", (unsigned long long)(s / steps[i].seconds), steps[i].large,
                 (unsigned long long)(s % steps[i].seconds / steps[i].rest), steps[i].small);
        return;
    }
    snprintf(out, QUEUE_AGE_SIZE, "%llu.%llus", (unsigned long long)s, (unsigned long long)(ms % 1000 / 100));
}

void queue_desk_tell(const struct queue_desk *d, struct slice queue, const char *what, uint64_t count) {
    struct buf out = {0};
    if (arguments_has(d->arguments, "json")) {
        struct json_write w = json_write_to(&out);
        json_open(&w, '{');
        json_member(&w, SLICE("queue"), queue);
        json_name(&w, slice_of(what));
        json_number(&w, (int64_t)count);
        json_name(&w, SLICE("complete"));
        json_bool(&w, !d->stopped);
        json_close(&w, '}');
        buf_append_char(&out, '\n');
    } else {
        buf_printf(&out, SLICE_FMT ": %llu message%s %s%s\n", SLICE_ARG(queue), (unsigned long long)count,
                   count == 1 ? "" : "s", what, d->stopped ? ", then stopped" : "");
    }
    command_print(&out, stdout);
}

/* --- life --- */

static bool stores_are_closed(void *context) {
    return queue_stores_are_closed(context);
}

static int desk_open(struct queue_desk *d, enum queue_desk_use use, struct error *e) {
    d->log = command_open_log(d->arguments, LOG_WARN, d->clock, e);
    d->loop = d->log ? loop_new(d->clock, e) : NULL;
    if (!d->loop) return -ERROR_SYSTEM;
    d->stores = queue_stores_new(d->loop, d->log);
    d->store = queue_stores_open(d->stores, d->blueprint, e);
    if (!d->store) return -ERROR_SYSTEM;
    if (use == QUEUE_DESK_FILLS) queue_stores_declare(d->stores, d->blueprint);
    return 0;
}

/* A store that does not come to an end is left to the end of the process. */
static void desk_close(struct queue_desk *d) {
    bool closed = true;
    if (d->stores) {
        queue_stores_close(d->stores);
        closed = loop_run_until(d->loop, stores_are_closed, d->stores, CLOSE_LIMIT_MS);
    }
    if (!closed) return;
    arena_free(&d->memory);
    queue_stores_free(d->stores);
    loop_free(d->loop);
    log_free(d->log);
    clock_system_free(d->clock);
    blueprint_release(d->blueprint);
}

int queue_desk_run(const struct arguments *a, enum queue_desk_use use,
                   int (*work)(struct queue_desk *d, struct error *e)) {
    struct queue_desk d = {.arguments = a};
    struct error e = {0};
    int exit_status = EXIT_BLUEPRINT;
    d.blueprint = command_load(a, BLUEPRINT_CHECK_TEXT, &exit_status);
    if (!d.blueprint) return exit_status;
    d.clock = clock_system_new();
    int status = desk_open(&d, use, &e);
    if (status == 0) status = work(&d, &e);
    if (status < 0) command_report(a, &e);
    desk_close(&d);
    if (status >= 0) return status;
    return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
}
