#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include "gateway/command/serve/schedule_notes.h"
#include "gateway/schedule/moment.h"
#include <stdlib.h>

#define RUNS_PRESET 5
#define RUNS_MOST 100000

#define SHARED_OPTIONS                                                                                                 \
    {"json", 0, NULL, "Print a JSON array instead of a table"},                                                        \
        {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"}, {                              \
        "blueprint", 'b', "FILE", "The blueprint, instead of the argument"                                             \
    }

static const struct option_row next_options[] = {
    {"count", 'n', "N", "So many runs of each schedule (default 5)"},
    {"from", 0, "TIME", "Those after this moment, such as 2026-03-28T12:00:00Z (default now)"},
    SHARED_OPTIONS,
};
static const struct option_row list_options[] = {SHARED_OPTIONS};

/* One schedule and what is to be shown of it. */
struct shown {
    const struct handler_config *handler;
    const struct schedule_config *config;
    struct schedule_note note; /* of list */
};
struct schedule_view {
    const struct arguments *arguments;
    struct blueprint *blueprint;
    struct clock *clock;
    struct arena arena;
    struct shown *items;
    size_t count;
    uint64_t runs;
    int64_t from_s;
};

static int64_t next_of(const struct shown *s, int64_t after_s) {
    return schedule_next(&s->config->when, after_s);
}

static void local_text(const struct shown *s, int64_t at_s, char text[MOMENT_SIZE]) {
    const struct zone *zone = s->config->when.zone;
    moment_text_local(text, at_s, zone_offset_s(zone, at_s));
}

/* --- which --- */

static int unknown_schedule(const struct blueprint *b, const char *name, struct error *e) {
    size_t count = 0, most = 1;
    for (size_t i = 0; i < b->handler_count; i++) most += b->handlers[i].schedule_count;
    const char **names = xcalloc(most, sizeof *names);
    for (size_t i = 0; i < b->handler_count; i++)
        for (size_t k = 0; k < b->handlers[i].schedule_count; k++) names[count++] = b->handlers[i].schedules[k].name;
    const char *near = text_nearest(slice_of(name), names, count);
    free(names);
    if (near) return error_set(e, ERROR_USAGE, "%s has no schedule \"%s\"; did you mean \"%s\"?", b->file, name, near);
    return error_set(e, ERROR_USAGE, "%s has no schedule \"%s\"; without a name, all are shown", b->file, name);
}

static int view_collect(struct schedule_view *v, struct error *e) {
    const struct blueprint *b = v->blueprint;
    const char *name = v->arguments->positional_count ? v->arguments->positional[0] : NULL;
    size_t most = 1;
    for (size_t i = 0; i < b->handler_count; i++) most += b->handlers[i].schedule_count;
    v->items = arena_zalloc(&v->arena, most * sizeof *v->items);
    for (size_t i = 0; i < b->handler_count; i++) {
        const struct handler_config *h = &b->handlers[i];
        for (size_t k = 0; k < h->schedule_count; k++)
            if (!name || strcmp(h->schedules[k].name, name) == 0)
                v->items[v->count++] = (struct shown){.handler = h, .config = &h->schedules[k]};
    }
    return name && v->count == 0 ? unknown_schedule(b, name, e) : 0;
}

/* --- next --- */

static void print_runs(struct buf *out, const struct schedule_view *v, const struct shown *s) {
    char local[MOMENT_SIZE], utc[MOMENT_SIZE];
    int64_t at_s = v->from_s;
    buf_printf(out, "%s: %s, %s, handler %s\n", s->config->name, s->config->text, s->config->time_zone,
               s->handler->name);
    for (uint64_t i = 0; i < v->runs && (at_s = next_of(s, at_s)) != SCHEDULE_NEVER; i++) {
        local_text(s, at_s, local);
        moment_text_utc(utc, at_s);
        buf_printf(out, "  %s  %s\n", local, utc);
    }
    if (next_of(s, v->from_s) == SCHEDULE_NEVER) buf_append_text(out, "  never again\n");
}

static void json_head(struct json_write *w, const struct shown *s) {
    json_member(w, SLICE("name"), slice_of(s->config->name));
    json_member(w, SLICE("handler"), slice_of(s->handler->name));
    json_member(w, SLICE("schedule"), slice_of(s->config->text));
    json_member(w, SLICE("timeZone"), slice_of(s->config->time_zone));
}

static void json_moment(struct json_write *w, const struct shown *s, int64_t at_s) {
    char local[MOMENT_SIZE], utc[MOMENT_SIZE];
    local_text(s, at_s, local);
    moment_text_utc(utc, at_s);
    json_open(w, '{');
    json_member(w, SLICE("utc"), slice_of(utc));
    json_member(w, SLICE("local"), slice_of(local));
    json_close(w, '}');
}

static void json_runs(struct json_write *w, const struct schedule_view *v, const struct shown *s) {
    int64_t at_s = v->from_s;
    json_open(w, '{');
    json_head(w, s);
    json_name(w, SLICE("runs"));
    json_open(w, '[');
    for (uint64_t i = 0; i < v->runs && (at_s = next_of(s, at_s)) != SCHEDULE_NEVER; i++) json_moment(w, s, at_s);
    json_close(w, ']');
    json_close(w, '}');
}

static int next_read(struct schedule_view *v, struct error *e) {
    const char *count = arguments_get(v->arguments, "count"), *from = arguments_get(v->arguments, "from");
    if (count && (!slice_to_u64(slice_of(count), &v->runs) || v->runs < 1 || v->runs > RUNS_MOST))
        return error_set(e, ERROR_USAGE, "--count takes a number from 1 to %d, not \"%s\"", RUNS_MOST, count);
    if (from && !moment_read(slice_of(from), &v->from_s))
        return error_set(e, ERROR_USAGE, "--from takes a moment such as 2026-03-28T12:00:00Z, not \"%s\"", from);
    return 0;
}

/* --- list --- */

static int list_read(struct schedule_view *v, struct error *e) {
    for (size_t i = 0; i < v->count; i++) v->items[i].note = (struct schedule_note){.outcome = SCHEDULE_NOT_RUN};
    struct schedule_notes notes = {.blueprint = v->blueprint, .clock = v->clock, .arena = &v->arena};
    int status = schedule_notes_open(&notes, e);
    for (size_t i = 0; i < v->count && status == 0; i++)
        status = schedule_notes_read(&notes, v->items[i].config->name, &v->items[i].note, e);
    schedule_notes_close(&notes);
    return status;
}

static void print_last_and_next(struct buf *out, const struct schedule_view *v, const struct shown *s) {
    char last[MOMENT_SIZE] = "never", next[MOMENT_SIZE] = "never";
    int64_t next_s = next_of(s, v->from_s);
    bool ran = s->note.outcome != SCHEDULE_NOT_RUN;
    if (ran) local_text(s, s->note.ran_s, last);
    if (next_s != SCHEDULE_NEVER) local_text(s, next_s, next);
    buf_printf(out, "%-20s %-20s %-25s  %-9s  %s\n", s->config->name, s->handler->name, last,
               ran ? schedule_outcome_name(s->note.outcome) : "-", next);
}

static void json_last_and_next(struct json_write *w, const struct schedule_view *v, const struct shown *s) {
    int64_t next_s = next_of(s, v->from_s);
    json_open(w, '{');
    json_head(w, s);
    if (s->note.outcome != SCHEDULE_NOT_RUN) {
        json_name(w, SLICE("last"));
        json_moment(w, s, s->note.ran_s);
        json_member(w, SLICE("outcome"), slice_of(schedule_outcome_name(s->note.outcome)));
    }
    if (next_s != SCHEDULE_NEVER) {
        json_name(w, SLICE("next"));
        json_moment(w, s, next_s);
    }
    json_close(w, '}');
}

/* --- the command --- */

struct verb {
    const char *heading; /* of the table; NULL = none */
    int (*read)(struct schedule_view *v, struct error *e);
    void (*print)(struct buf *out, const struct schedule_view *v, const struct shown *s);
    void (*json)(struct json_write *w, const struct schedule_view *v, const struct shown *s);
};

static void view_print(const struct schedule_view *v, const struct verb *verb) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    bool as_json = arguments_has(v->arguments, "json");
    if (as_json) json_open(&w, '[');
    if (!as_json && v->count == 0) buf_printf(&out, "%s has no schedules\n", v->blueprint->file);
    if (!as_json && v->count && verb->heading) buf_append_text(&out, verb->heading);
    for (size_t i = 0; i < v->count; i++) {
        if (as_json)
            verb->json(&w, v, &v->items[i]);
        else
            verb->print(&out, v, &v->items[i]);
    }
    if (as_json) json_close(&w, ']');
    if (as_json) buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static int show(const struct arguments *a, const struct verb *verb) {
    struct schedule_view v = {.arguments = a, .clock = clock_system_new(), .runs = RUNS_PRESET};
    struct error e = {0};
    int exit_status = EXIT_USAGE;
    arena_init(&v.arena, 4096);
    v.from_s = (int64_t)(clock_wall_ms(v.clock) / 1000);
    v.blueprint = command_load(a, BLUEPRINT_CHECK_TEXT, &exit_status);
    if (v.blueprint && view_collect(&v, &e) == 0 && verb->read(&v, &e) == 0) {
        view_print(&v, verb);
        exit_status = EXIT_OK;
    }
    if (e.code) command_report(a, &e);
    if (e.code) exit_status = e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
    blueprint_release(v.blueprint);
    arena_free(&v.arena);
    clock_system_free(v.clock);
    return exit_status;
}

static int run_next(const struct arguments *a) {
    static const struct verb next = {NULL, next_read, print_runs, json_runs};
    return show(a, &next);
}

static int run_list(const struct arguments *a) {
    static const struct verb list = {
        "NAME                 HANDLER              LAST RUN                   ENDED      NEXT RUN\n", list_read,
        print_last_and_next, json_last_and_next};
    return show(a, &list);
}

static const struct command schedule_next_command = {
    .name = "schedule next",
    .synopsis = "[NAME [FILE]]",
    .summary = "The coming runs, on the clocks of the schedule's time zone and in UTC",
    .details = "NAME is that of one schedule; without it, all are shown.\n\n"
               "  execgate schedule next nightly --from 2026-03-28 --count 3",
    .options = next_options,
    .option_count = ARRAY_LEN(next_options),
    .max_positional = 2,
    .file_position = 1,
    .run = run_next,
};

static const struct command schedule_list_command = {
    .name = "schedule list",
    .synopsis = "[NAME [FILE]]",
    .summary = "What is remembered of each one's last run (begun, succeeded or failed), and the next",
    .details = "NAME is that of one schedule; without it, all are shown.",
    .options = list_options,
    .option_count = ARRAY_LEN(list_options),
    .max_positional = 2,
    .file_position = 1,
    .run = run_list,
};

static const struct command *const actions[] = {&schedule_next_command, &schedule_list_command};

const struct command command_schedule = {
    .name = "schedule",
    .synopsis = "ACTION",
    .summary = "Tell when schedules run, and how they ended last",
    .details = "Of the schedules in a blueprint, whether its gateway runs or not.",
    .actions = actions,
    .action_count = ARRAY_LEN(actions),
};
