#include "gateway/base/clock.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/build/watcher.h"
#include "gateway/command/load.h"
#include <stdlib.h>

#define HANDLERS_MOST 64

static const struct option_row build_options[] = {
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"json", 0, NULL, "Write JSON lines on stderr, as always when it is no terminal"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of blueprint.yaml"},
};

static bool blueprint_builds(const struct blueprint *b, const char *name) {
    for (size_t i = 0; i < b->handler_count; i++)
        if (strcmp(b->handlers[i].name, name) == 0) return b->handlers[i].build != NULL;
    return false;
}

/* Of those that can be built. */
static const char *nearest_name(const struct blueprint *b, const char *name) {
    const char **names = xcalloc(b->handler_count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < b->handler_count; i++)
        if (b->handlers[i].build) names[count++] = b->handlers[i].name;
    const char *near = text_nearest(slice_of(name), names, count);
    free(names);
    return near;
}

static int refuse_name(const struct blueprint *b, const char *name, struct error *e) {
    const char *near = nearest_name(b, name);
    return error_set(e, ERROR_USAGE, "no handler \"%s\" with the key `build` in %s%s%s%s", name, b->file,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int check_names(const struct arguments *a, const struct blueprint *b, struct error *e) {
    for (size_t i = 0; i < a->positional_count; i++)
        if (!blueprint_builds(b, a->positional[i])) return refuse_name(b, a->positional[i], e);
    return 0;
}

static int build_chosen(const struct arguments *a, const struct blueprint *b, struct error *e) {
    struct clock *clock = clock_system_new();
    struct log *log = command_open_log(a, LOG_INFO, clock, e);
    bool good = build_all(b, a->positional_count ? a->positional : NULL, a->positional_count, clock, log);
    log_free(log);
    clock_system_free(clock);
    return good ? EXIT_OK : EXIT_SYSTEM;
}

static int build(const struct arguments *a) {
    int status = EXIT_BLUEPRINT;
    struct error e;
    struct blueprint *b = command_load(a, BLUEPRINT_CHECK_TEXT, &status);
    if (!b) return status;
    if (check_names(a, b, &e) < 0) {
        command_report(a, &e);
        status = EXIT_USAGE;
    } else {
        status = build_chosen(a, b, &e);
    }
    blueprint_release(b);
    return status;
}

const struct command command_build = {
    .name = "build",
    .synopsis = "[HANDLER...]",
    .summary = "Build handlers as their blueprint says",
    .details = "Runs the command under `build` of the handlers that have one, or only of those that are named, one\n"
               "after the other; the output of a build that fails is shown. `execgate run --watch` builds by itself.",
    .options = build_options,
    .option_count = ARRAY_LEN(build_options),
    .max_positional = HANDLERS_MOST,
    .file_position = HANDLERS_MOST, /* none is */
    .run = build,
};
