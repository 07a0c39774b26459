#include "gateway/base/http_text.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/client/http_call.h"
#include "gateway/command/invoke/invoke_target.h"
#include "gateway/command/load.h"
#include "gateway/command/replay/replay_run.h"
#include <stdlib.h>

static const struct option_row replay_options[] = {
    {"handler", 0, "NAME", "Only what went to this handler"},
    {"to", 0, "URL", "Send to a gateway that runs, instead of starting the handlers here"},
    {"header", 'H', "\"NAME: VALUE\"", "Of --to: a header instead of the recorded one; may be repeated"},
    {"ignore", 0, "PATH",
     "Pass over this difference: status, a header's name, or a path such as body.items[].id; may be repeated"},
    {"update", 0, NULL, "Accept the answers of now: write them into the files"},
    {"timeout", 't', "DURATION", "How long an answer may take, instead of what the blueprint says (--to: 60s)"},
    {"json", 0, NULL, "Print one JSON object"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"log-level", 0, "LEVEL", "What execgate itself logs: debug, info, warn, error or off (default error)"},
    {"blueprint", 'b', "FILE", "The blueprint (default blueprint.yaml)"},
};

#define NAMES_MOST 1024

/* --- the command line --- */

static int read_header(struct replay_plan *p, const char *text, struct arena *a, struct error *e) {
    struct slice value = slice_of(text), name;
    slice_next(&value, ':', &name);
    bool well = !slice_is_none(value) && http_is_token(name) && http_is_field_value(slice_trim(value));
    if (!well) return error_set(e, ERROR_USAGE, "--header takes \"Name: value\", not \"%s\"", text);
    fields_add(&p->given, a, name, slice_trim(value));
    return 0;
}

static int read_headers(struct replay_plan *p, const struct arguments *args, struct arena *a, struct error *e) {
    const char *text;
    int status = 0;
    if (arguments_has(args, "header") && !p->url)
        return error_set(e, ERROR_USAGE, "--header is for --to; here the recorded claims open the guards");
    for (size_t at = 0; status == 0 && (text = arguments_next(args, "header", &at));)
        status = read_header(p, text, a, e);
    return status;
}

static int read_ignored(struct replay_plan *p, const struct arguments *args, struct arena *a, struct error *e) {
    struct slice *ignored = arena_alloc(a, (args->value_count + 1) * sizeof *ignored);
    const char *text;
    for (size_t at = 0; (text = arguments_next(args, "ignore", &at));) {
        struct slice path = slice_of(text);
        bool of_body = slice_starts_with(path, SLICE("body")) && (path.n == 4 || path.p[4] == '.' || path.p[4] == '[');
        bool of_error = slice_equal(path, SLICE("error.type")) || slice_equal(path, SLICE("error.message"));
        if (!of_body && !of_error && !http_is_token(path))
            return error_set(e, ERROR_USAGE,
                             "--ignore takes status, a header's name or a path such as body.items[].id, not \"%s\"",
                             text);
        ignored[p->ignored_count++] = path;
    }
    p->ignored = ignored;
    return 0;
}

static int read_url(struct replay_plan *p, const struct arguments *args, struct error *e) {
    p->url = arguments_get(args, "to");
    if (!p->url || http_call_base_is_good(slice_of(p->url))) return 0;
    return error_set(e, ERROR_USAGE,
                     "--to takes where a gateway listens, such as http://127.0.0.1:8080, without query, fragment and "
                     "user, not \"%s\"",
                     p->url);
}

static int read_timeout(struct replay_plan *p, const struct arguments *args, struct error *e) {
    const char *text = arguments_get(args, "timeout");
    if (!text || (text_to_duration_ms(slice_of(text), &p->timeout_ms) && p->timeout_ms)) return 0;
    return error_set(e, ERROR_USAGE, "--timeout takes a duration such as 500ms, 30s or 5m, not \"%s\"", text);
}

static int read_plan(struct replay_plan *p, const struct arguments *args, struct arena *a, struct error *e) {
    *p = (struct replay_plan){.handler = arguments_get(args, "handler"),
                              .form = arguments_has(args, "json") ? REPLAY_AS_JSON : REPLAY_AS_TEXT,
                              .updates = arguments_has(args, "update")};
    if (args->positional_count == 0)
        return error_set(e, ERROR_USAGE, "which records? execgate replay DIR, where DIR was given to `run --record`");
    int status = read_url(p, args, e);
    if (status == 0) status = read_headers(p, args, a, e);
    if (status == 0) status = read_ignored(p, args, a, e);
    return status == 0 ? read_timeout(p, args, e) : status;
}

/* --- running --- */

static bool has_handler(const struct blueprint *b, const char *name) {
    for (size_t i = 0; i < b->handler_count; i++)
        if (strcmp(b->handlers[i].name, name) == 0) return true;
    return false;
}

static int replay_with(const struct arguments *args, const struct replay_plan *p, struct replay_files *files,
                       struct gateway *g) {
    struct error e = {0};
    int status = replay_run(p, files, g, &e);
    if (e.code) command_report(args, &e);
    return status;
}

static int replay_here(const struct arguments *args, const struct replay_plan *p, struct replay_files *files) {
    struct error e = {0};
    int status = EXIT_BLUEPRINT;
    struct blueprint *b = command_load(args, BLUEPRINT_CHECK_FILES, &status);
    if (!b) return status;
    struct clock *clock = clock_system_new();
    struct log *log = command_open_log(args, LOG_ERROR, clock, &e);
    invoke_blueprint_prepare(b);
    if (p->handler && !has_handler(b, p->handler))
        error_set(&e, ERROR_USAGE, "%s has no handler \"%s\"; `execgate routes %s` lists them", b->file, p->handler,
                  b->file);
    struct gateway *g = log && !e.code ? gateway_new(b, clock, log, GATEWAY_ISSUERS_REAL, &e) : NULL;
    if (g)
        status = replay_with(args, p, files, g);
    else
        command_report(args, &e);
    if (!g) status = e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
    gateway_free(g);
    log_free(log);
    clock_system_free(clock);
    blueprint_release(b);
    return status;
}

static int replay(const struct arguments *args) {
    struct replay_plan plan;
    struct replay_files *files = NULL;
    struct arena arena;
    struct error e = {0};
    int status = EXIT_USAGE;
    arena_init(&arena, 1024);
    if (read_plan(&plan, args, &arena, &e) == 0)
        files = replay_files_open(args->positional, args->positional_count, &e);
    if (!files)
        command_report(args, &e);
    else
        status = plan.url ? replay_with(args, &plan, files, NULL) : replay_here(args, &plan, files);
    replay_files_free(files);
    arena_free(&arena);
    return status;
}

const struct command command_replay = {
    .name = "replay",
    .synopsis = "DIR|FILE...",
    .summary = "Send recorded invocations again and compare the answers",
    .details =
        "Sends what `run --record` has kept, one record after the other, and compares status, headers and body with "
        "the\n"
        "recorded answer. Without --to the handlers are started here, without a server, and clients are who the "
        "record\n"
        "says they were. JSON is compared by value. Headers that are always another (dates, ids) are passed over.\n\n"
        "Exit status: 5 when an answer differs that was not accepted with --update, when a record is damaged, or when\n"
        "there was nothing to compare.",
    .options = replay_options,
    .option_count = ARRAY_LEN(replay_options),
    .max_positional = NAMES_MOST,
    .file_position = NAMES_MOST,
    .run = replay,
};
