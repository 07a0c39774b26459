/* `execgate queue list`. */
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/queue/queue_command.h"
#include "gateway/command/queue/queue_desk.h"
#include "gateway/source/queue/queue_source.h"
#include <stdlib.h>

#define INTERVAL_DEFAULT_MS 1000
#define INTERVAL_MAX_MS 3600000

static const struct option_row list_options[] = {
    {"interval", 'i', "DURATION", "How long rates are measured (default 1s; 0s: no rates)"},
    {"all", 'a', NULL, "Queues of invocations that nobody waits for too, though they were never used"},
    QUEUE_DESK_OPTIONS,
};

struct line {
    struct queue_stats now;
    struct queue_stats before;
    const struct queue_config *config; /* NULL = the blueprint does not name it */
    bool paused;
};
struct listing {
    struct line *lines;
    size_t count;
    struct arena texts;
    uint64_t interval_ms; /* 0 = no rates */
};

/* --- gathering --- */

static struct line *line_of(struct listing *l, struct slice queue) {
    for (size_t i = 0; i < l->count; i++)
        if (slice_equal(l->lines[i].now.queue, queue)) return &l->lines[i];
    l->lines = xrealloc(l->lines, (l->count + 1) * sizeof *l->lines);
    struct line *line = &l->lines[l->count++];
    *line = (struct line){.now = {.queue = arena_copy(&l->texts, queue)}};
    line->before.queue = line->now.queue;
    return line;
}

/* The queues that the store knows beside those of the blueprint. */
static int list_name(struct listing *l, struct queue_desk *d, struct error *e) {
    for (size_t i = 0; i < d->blueprint->queue_count; i++)
        line_of(l, slice_of(d->blueprint->queues[i].name))->config = &d->blueprint->queues[i];
    d->store->ops->stats(d->store, SLICE_NONE, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    for (size_t i = 0; reply && i < reply->count; i++) line_of(l, reply->stats[i].queue);
    return reply ? 0 : -ERROR_SYSTEM;
}

/* Its numbers of now; those of the last time become the ones before. */
static int line_read(struct line *line, struct queue_desk *d, struct error *e) {
    struct slice name = line->now.queue;
    d->store->ops->stats(d->store, name, queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    if (!reply) return -ERROR_SYSTEM;
    line->before = line->now;
    line->now = reply->stats[0];
    line->now.queue = name;
    return 0;
}

static int list_read(struct listing *l, struct queue_desk *d, struct error *e) {
    int status = 0;
    for (size_t i = 0; status == 0 && i < l->count; i++) status = line_read(&l->lines[i], d, e);
    return status;
}

static bool never(void *context) {
    (void)context;
    return false;
}

static int list_measure(struct listing *l, struct queue_desk *d, struct error *e) {
    int status = list_name(l, d, e);
    if (status == 0) status = list_read(l, d, e);
    if (status < 0 || l->interval_ms == 0) return status;
    uint64_t begin_ms = clock_now_ms(d->clock);
    loop_run_until(d->loop, never, NULL, l->interval_ms);
    status = list_read(l, d, e);
    l->interval_ms = clock_now_ms(d->clock) - begin_ms;
    return status;
}

static int line_look(struct line *line, struct queue_desk *d, struct error *e) {
    struct buf key = {0};
    queue_pause_key(&key, line->now.queue);
    d->store->ops->recall(d->store, buf_slice(&key), queue_desk_ask(d));
    const struct queue_reply *reply = queue_desk_wait(d, e);
    buf_free(&key);
    if (!reply) return -ERROR_SYSTEM;
    line->paused = !slice_is_none(reply->value);
    return 0;
}

static uint64_t messages_of(const struct queue_stats *s) {
    return s->ready + s->in_flight + s->delayed + s->blocked;
}

/* A handler has such queues whether anybody uses them or not. */
static bool is_idle_async(const struct line *line) {
    return slice_starts_with(line->now.queue, SLICE("async/")) && line->now.sent == 0 && messages_of(&line->now) == 0;
}

static void list_thin(struct listing *l) {
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!is_idle_async(&l->lines[i])) l->lines[kept++] = l->lines[i];
    l->count = kept;
}

static uint64_t dead_of(const struct listing *l, const struct line *line) {
    for (size_t i = 0; i < l->count; i++)
        if (slice_equal(l->lines[i].now.queue, slice_of(line->config->dead_letter)))
            return messages_of(&l->lines[i].now);
    return 0;
}

/* --- showing --- */

static uint64_t failed_of(const struct queue_stats *s) {
    return s->retried + s->buried + s->expired;
}

/* A store that was emptied meanwhile has counted nothing. */
static double rate(const struct listing *l, uint64_t now, uint64_t before) {
    return now > before ? (double)(now - before) * 1000.0 / (double)l->interval_ms : 0;
}

struct rates {
    double sent, received, failed;
};
static struct rates rates_of(const struct listing *l, const struct line *line) {
    const struct queue_stats *now = &line->now, *before = &line->before;
    return (struct rates){rate(l, now->sent, before->sent), rate(l, now->received, before->received),
                          rate(l, failed_of(now), failed_of(before))};
}

static const char *state_of(const struct line *line) {
    if (line->paused) return "paused";
    return line->config || slice_starts_with(line->now.queue, SLICE("async/")) ? "" : "not in the blueprint";
}

static void print_line(struct buf *out, const struct listing *l, const struct line *line, int width) {
    const struct queue_stats *s = &line->now;
    const unsigned long long places[] = {s->ready, s->in_flight, s->delayed, s->blocked};
    char age[QUEUE_AGE_SIZE] = "-", dead[24] = "-";
    if (s->ready) queue_age_write(age, s->oldest_age_ms);
    if (line->config && line->config->dead_letter)
        snprintf(dead, sizeof dead, "%llu", (unsigned long long)dead_of(l, line));
    buf_printf(out, "%-*.*s  %8llu  %9llu  %8llu  %8llu  %8s  %9s", width, SLICE_ARG(s->queue), places[0], places[1],
               places[2], places[3], dead, age);
    if (l->interval_ms) {
        struct rates r = rates_of(l, line);
        buf_printf(out, "  %9.1f  %10.1f  %9.1f", r.sent, r.received, r.failed);
    }
    const char *state = state_of(line);
    buf_printf(out, "%s%s\n", *state ? "  " : "", state);
}

static void print_table(struct buf *out, const struct listing *l) {
    int width = 5;
    for (size_t i = 0; i < l->count; i++)
        if ((int)l->lines[i].now.queue.n > width) width = (int)l->lines[i].now.queue.n;
    buf_printf(out, "%-*s  %8s  %9s  %8s  %8s  %8s  %9s", width, "QUEUE", "READY", "IN FLIGHT", "DELAYED", "BLOCKED",
               "DEAD", "OLDEST");
    if (l->interval_ms) buf_printf(out, "  %9s  %10s  %9s", "SENT/S", "RECEIVED/S", "FAILED/S");
    buf_append_char(out, '\n');
    for (size_t i = 0; i < l->count; i++) print_line(out, l, &l->lines[i], width);
}

struct number {
    const char *name;
    uint64_t value;
};
static void json_numbers(struct json_write *w, const struct number *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        json_name(w, slice_of(numbers[i].name));
        json_number(w, (int64_t)numbers[i].value);
    }
}

static void json_rate(struct json_write *w, const char *name, double value) {
    char text[64];
    int n = snprintf(text, sizeof text, "%.2f", value);
    json_name(w, slice_of(name));
    json_raw(w, slice_make(text, (size_t)n));
}

static void json_rates(struct json_write *w, const struct listing *l, const struct line *line) {
    if (l->interval_ms == 0) return;
    struct rates r = rates_of(l, line);
    json_name(w, SLICE("rates"));
    json_open(w, '{');
    json_numbers(w, &(struct number){"intervalMs", l->interval_ms}, 1);
    json_rate(w, "sent", r.sent);
    json_rate(w, "received", r.received);
    json_rate(w, "failed", r.failed);
    json_close(w, '}');
}

static void json_counters(struct json_write *w, const struct queue_stats *s) {
    const struct number counters[] = {{"sent", s->sent},         {"duplicates", s->duplicates},
                                      {"received", s->received}, {"acknowledged", s->acknowledged},
                                      {"retried", s->retried},   {"buried", s->buried},
                                      {"expired", s->expired},   {"purged", s->purged},
                                      {"redriven", s->redriven}};
    json_name(w, SLICE("counters"));
    json_open(w, '{');
    json_numbers(w, counters, ARRAY_LEN(counters));
    json_close(w, '}');
}

static void json_line(struct json_write *w, const struct listing *l, const struct line *line) {
    const struct queue_stats *s = &line->now;
    const struct number places[] = {{"messages", messages_of(s)}, {"ready", s->ready},
                                    {"inFlight", s->in_flight},   {"delayed", s->delayed},
                                    {"blocked", s->blocked},      {"oldestAgeMs", s->oldest_age_ms}};
    json_open(w, '{');
    json_member(w, SLICE("queue"), s->queue);
    json_name(w, SLICE("inBlueprint"));
    json_bool(w, line->config != NULL);
    json_name(w, SLICE("paused"));
    json_bool(w, line->paused);
    json_numbers(w, places, ARRAY_LEN(places));
    if (line->config && line->config->dead_letter) {
        json_member(w, SLICE("deadLetter"), slice_of(line->config->dead_letter));
        json_numbers(w, &(struct number){"dead", dead_of(l, line)}, 1);
    }
    json_rates(w, l, line);
    json_counters(w, s);
    json_close(w, '}');
}

static void list_print(const struct listing *l, const struct queue_desk *d) {
    struct buf out = {0};
    if (arguments_has(d->arguments, "json")) {
        struct json_write w = json_write_to(&out);
        json_open(&w, '[');
        for (size_t i = 0; i < l->count; i++) json_line(&w, l, &l->lines[i]);
        json_close(&w, ']');
        buf_append_char(&out, '\n');
    } else {
        print_table(&out, l);
    }
    command_print(&out, stdout);
}

/* --- the action --- */

static int read_interval(struct listing *l, const struct arguments *a, struct error *e) {
    const char *text = arguments_get(a, "interval");
    l->interval_ms = INTERVAL_DEFAULT_MS;
    if (!text || (text_to_duration_ms(slice_of(text), &l->interval_ms) && l->interval_ms <= INTERVAL_MAX_MS)) return 0;
    return error_set(e, ERROR_USAGE, "--interval takes a duration of up to an hour such as 5s, not \"%s\"", text);
}

static int list_work(struct queue_desk *d, struct error *e) {
    struct listing l = {.count = 0};
    arena_init(&l.texts, 1024);
    int status = read_interval(&l, d->arguments, e);
    if (status == 0) status = list_measure(&l, d, e);
    if (!arguments_has(d->arguments, "all")) list_thin(&l);
    for (size_t i = 0; status == 0 && i < l.count; i++) status = line_look(&l.lines[i], d, e);
    if (status == 0) list_print(&l, d);
    free(l.lines);
    arena_free(&l.texts);
    return status;
}

static int list(const struct arguments *a) {
    return queue_desk_run(a, QUEUE_DESK_LOOKS, list_work);
}

const struct command command_queue_list = {
    .name = "queue list",
    .synopsis = "[FILE]",
    .summary = "List a blueprint's queues and what is in them",
    .details =
        "Messages that are ready, with a handler, delayed (a retry waits too), or blocked behind another one of their\n"
        "group; how many lie in the queue's dead letter queue; how long the one that comes next has been ready; how "
        "many\n"
        "per second were sent, received and failed while the command measured. --json has counters too, which count\n"
        "from the store's beginning.",
    .options = list_options,
    .option_count = ARRAY_LEN(list_options),
    .max_positional = 1,
    .run = list,
};
