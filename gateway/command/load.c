#include "gateway/command/load.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/report.h"
#include "gateway/source/listen/tls_context.h"
#include "plugins/plugin.h"
#include <stdlib.h>
#include <unistd.h>

void command_print(struct buf *out, FILE *to) {
    if (out->n) fwrite(out->p, 1, out->n, to);
    buf_free(out);
}

void command_report(const struct arguments *a, const struct error *e) {
    if (!arguments_has(a, "json")) {
        fprintf(stderr, "execgate: %s\n", e->message);
        return;
    }
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, SLICE("error"), slice_of(e->message));
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

struct log *command_open_log(const struct arguments *a, enum log_level level, struct clock *clock, struct error *e) {
    const char *level_text = arguments_get(a, "log-level");
    if (level_text && !log_level_parse(slice_of(level_text), &level)) {
        error_set(e, ERROR_USAGE, "unknown log level \"%s\"; use debug, info, warn, error or off", level_text);
        return NULL;
    }
    enum log_format format = LOG_FORMAT_JSON;
    if (!arguments_has(a, "json") && isatty(STDERR_FILENO))
        format = getenv("NO_COLOR") ? LOG_FORMAT_TEXT : LOG_FORMAT_COLOUR;
    return log_new(STDERR_FILENO, format, level, clock);
}

/* Every --var NAME=VALUE; false and an error when one has no '='. */
static bool overrides_of(const struct arguments *a, struct variable_override *overrides, size_t *count,
                         struct error *e) {
    *count = 0;
    for (size_t i = 0; i < a->value_count; i++) {
        if (strcmp(a->values[i].row->name, "var") != 0) continue;
        struct slice value = slice_of(a->values[i].value), name;
        slice_next(&value, '=', &name);
        if (slice_is_none(value)) {
            error_set(e, ERROR_USAGE, "--var takes NAME=VALUE, not \"%s\"", a->values[i].value);
            return false;
        }
        overrides[(*count)++] = (struct variable_override){name, value};
    }
    return true;
}

static void print_problems(const struct arguments *a, const struct problems *p) {
    struct buf out = {0};
    if (arguments_has(a, "json")) {
        problems_print_json(p, &out);
        command_print(&out, stdout);
    } else {
        problems_print(p, &out);
        command_print(&out, stderr);
    }
}

/* What is merely unwise is said when it is served. */
static int check_tls(const struct tls_config *c, struct error *e) {
    struct tls_context *context = tls_context_load(c, NULL, e);
    tls_context_release(context);
    return context ? 0 : -1;
}

/* Who named no file may not know that one was looked for. */
static void explain_default_file(const struct arguments *a) {
    bool named = a->positional_count > a->command->file_position || arguments_get(a, "blueprint");
    if (named || arguments_has(a, "json") || access(arguments_file(a), F_OK) == 0) return;
    fprintf(
        stderr,
        "execgate: no file was named, so %s was looked for in this folder; name one with --blueprint FILE, or begin a "
        "project: execgate new\n",
        arguments_file(a));
}

/* Every --attach, into an array of a->value_count. */
static size_t attach_of(const struct arguments *a, const char **names) {
    size_t count = 0, at = 0;
    while ((names[count] = arguments_next(a, "attach", &at))) count++;
    return count;
}

static struct blueprint *read_with(const struct arguments *a, const struct blueprint_reading *how,
                                   const struct variable_override *overrides, size_t count, struct problems *problems) {
    const struct sections sections = plugins_sections();
    const char **attach = xcalloc(a->value_count + 1, sizeof *attach);
    const struct blueprint_options options = {.overrides = overrides,
                                              .override_count = count,
                                              .check = how->check,
                                              .origin = how->origin,
                                              .sections = &sections,
                                              .check_tls = check_tls,
                                              .attach = attach,
                                              .attach_count = attach_of(a, attach)};
    struct blueprint *b = blueprint_load(arguments_file(a), &options, problems);
    free(attach);
    return b;
}

struct blueprint *command_read(const struct arguments *a, const struct blueprint_reading *how,
                               struct problems *problems, struct error *e) {
    struct variable_override *overrides = xcalloc(a->value_count + 1, sizeof *overrides);
    struct blueprint *b = NULL;
    size_t count;
    *e = (struct error){0};
    if (overrides_of(a, overrides, &count, e)) b = read_with(a, how, overrides, count, problems);
    free(overrides);
    return b;
}

struct blueprint *command_load(const struct arguments *a, enum blueprint_check check, int *exit_status) {
    struct problems problems = {0};
    struct error e;
    const struct blueprint_reading how = {.check = check, .origin = BLUEPRINT_FROM_WHATEVER};
    struct blueprint *b = command_read(a, &how, &problems, &e);
    if (!b && e.code == ERROR_USAGE) {
        command_report(a, &e);
        *exit_status = EXIT_USAGE;
    } else if (!b) {
        print_problems(a, &problems);
        explain_default_file(a);
        *exit_status = EXIT_BLUEPRINT;
    }
    problems_free(&problems);
    return b;
}

size_t command_count_routes(const struct blueprint *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->handler_count; i++)
        n += b->handlers[i].http_trigger_count + b->handlers[i].websocket_trigger_count;
    for (size_t i = 0; i < b->queue_count; i++) n += b->queues[i].sender.http_trigger_count;
    return n;
}

static void append_count(struct buf *out, size_t n, const char *what) {
    buf_printf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

void command_append_size(struct buf *out, const struct blueprint *b) {
    buf_append_char(out, '(');
    append_count(out, b->handler_count, "handler");
    buf_append_text(out, ", ");
    append_count(out, command_count_routes(b), "route");
    buf_append_char(out, ')');
}
