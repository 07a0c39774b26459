#include "gateway/command/invoke/invoke_target.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/executable.h"
#include "gateway/blueprint/report.h"
#include "gateway/command/load.h"
#include "plugins/plugin.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define STOP_MOST_MS 2000
#define NAMES_SHOWN 300
#define UNHURRIED_MS (1000ULL * 86400 * 1000) /* 1000 days: finite, because clients are told a deadline */

/* --- a bare executable --- */

/* The file's name, as far as a handler may be called that. */
static void append_name(struct buf *out, const char *path) {
    const char *slash = strrchr(path, '/');
    size_t before = out->n;
    for (const char *at = slash ? slash + 1 : path; *at && *at != '.'; at++) {
        char c = *at >= 'A' && *at <= 'Z' ? (char)(*at | 32) : *at;
        bool letter = (c >= 'a' && c <= 'z') || (out->n > before && c >= '0' && c <= '9');
        if (letter)
            buf_append_char(out, c);
        else if (out->n > before && out->p[out->n - 1] != '-')
            buf_append_char(out, '-');
    }
    while (out->n > before && out->p[out->n - 1] == '-') out->n--;
    if (out->n == before) buf_append_text(out, "handler");
}

/* A blueprint is YAML, of which JSON is a part. */
static void write_blueprint(struct buf *out, const char *path, const char *mode) {
    struct json_write w = json_write_to(out);
    struct buf name = {0};
    append_name(&name, path);
    json_open(&w, '{');
    json_name(&w, SLICE("blueprint"));
    json_number(&w, 1);
    json_member(&w, SLICE("name"), buf_slice(&name));
    json_name(&w, SLICE("handlers"));
    json_open(&w, '{');
    json_name(&w, buf_slice(&name));
    json_open(&w, '{');
    json_name(&w, SLICE("command"));
    json_open(&w, '[');
    json_text(&w, slice_of(path));
    json_close(&w, ']');
    json_member(&w, SLICE("mode"), slice_of(mode));
    json_name(&w, SLICE("triggers"));
    json_raw(&w, SLICE("[{\"http\": \"ANY /\"}, {\"http\": \"ANY /{path+}\"}]"));
    json_close(&w, '}');
    json_close(&w, '}');
    json_close(&w, '}');
    buf_free(&name);
}

static struct blueprint *parse_for(const char *path, const char *mode) {
    const struct sections sections = plugins_sections();
    const struct blueprint_options options = {.check = BLUEPRINT_CHECK_FILES, .sections = &sections};
    struct problems problems = {0};
    struct buf text = {0}, told = {0};
    write_blueprint(&text, path, mode);
    struct blueprint *b = blueprint_parse(buf_slice(&text), "blueprint.yaml", &options, &problems);
    if (!b) problems_print(&problems, &told);
    if (!b) command_print(&told, stderr);
    problems_free(&problems);
    buf_free(&text);
    return b;
}

static struct blueprint *load_bare(const struct arguments *a, const char *word, struct error *e) {
    static const char *const modes[] = {"runtime", "once", "server"};
    const char *mode = arguments_get(a, "mode");
    bool known = !mode;
    struct error why = {0};
    char path[PATH_MAX];
    for (size_t i = 0; mode && i < ARRAY_LEN(modes); i++) known |= strcmp(mode, modes[i]) == 0;
    if (!known) {
        error_set(e, ERROR_USAGE, "--mode is runtime, once or server, not \"%s\"", mode);
    } else if (arguments_get(a, "blueprint") || a->positional_count > 1) {
        error_set(e, ERROR_USAGE, "\"%s\" is an executable: it needs no blueprint; a handler is named without a '/'",
                  word);
    } else if (executable_check(word, &why) < 0 || !realpath(word, path)) {
        error_set(e, ERROR_USAGE, "%s; a handler of a blueprint is named without a '/'",
                  why.code ? why.message : strerrordesc_np(errno));
    } else {
        return parse_for(path, mode ? mode : "runtime");
    }
    return NULL;
}

/* --- a handler of a blueprint --- */

static void refuse_name(const struct blueprint *b, const char **names, const char *name, struct error *e) {
    struct buf all = {0};
    const char *near = text_nearest(slice_of(name), names, b->handler_count);
    for (size_t i = 0; i < b->handler_count; i++) buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    if (near)
        error_set(e, ERROR_USAGE, "%s has no handler \"%s\"; did you mean \"%s\"?", b->file, name, near);
    else
        error_set(e, ERROR_USAGE, "%s has no handler \"%s\"; there are: " SLICE_FMT "; an executable is ./%s", b->file,
                  name, SLICE_ARG(slice_make(all.p, all.n > NAMES_SHOWN ? NAMES_SHOWN : all.n)), name);
    buf_free(&all);
}

static struct handler_config *find_handler(const struct blueprint *b, const char *name, struct error *e) {
    const char **names = xcalloc(b->handler_count + 1, sizeof *names);
    struct handler_config *found = NULL;
    for (size_t i = 0; i < b->handler_count; i++) {
        names[i] = b->handlers[i].name;
        if (strcmp(names[i], name) == 0) found = &b->handlers[i];
    }
    if (!found) refuse_name(b, names, name, e);
    free(names);
    return found;
}

static bool load_named(struct invoke_target *t, const struct arguments *a, const char *name, struct error *e,
                       int *exit_status) {
    if (arguments_has(a, "mode")) {
        error_set(e, ERROR_USAGE, "--mode is for bare executables; the blueprint says how \"%s\" works", name);
        return false;
    }
    if (strchr(name, '.')) {
        error_set(e, ERROR_USAGE,
                  "\"%s\" is no handler's name, which comes before the file: execgate invoke HANDLER [FILE]; an "
                  "executable is ./%s",
                  name, name);
        return false;
    }
    t->blueprint = command_load(a, BLUEPRINT_CHECK_FILES, exit_status);
    if (!t->blueprint && executable_check(name, NULL) == 0)
        fprintf(stderr, "execgate: the executable of this folder is invoked as ./%s\n", name);
    if (!t->blueprint) return false;
    t->handler = find_handler(t->blueprint, name, e);
    if (!t->handler) return false;
    if (t->handler->attach && !t->handler->command[0]) {
        error_set(e, ERROR_USAGE,
                  "\"%s\" waits for a process that you start (attach: true) and has no command to start", name);
        t->handler = NULL;
        return false;
    }
    t->handler->attach = false; /* here it is started; --debug waits for a debugger */
    return true;
}

/* --- both --- */

bool invoke_target_load(struct invoke_target *t, const struct arguments *a, int *exit_status) {
    const char *word = a->positional_count ? a->positional[0] : NULL;
    struct error e = {0};
    *t = (struct invoke_target){0};
    *exit_status = EXIT_USAGE;
    if (!word) {
        error_set(&e, ERROR_USAGE, "which handler? execgate invoke HANDLER, or execgate invoke ./EXECUTABLE");
    } else if (strchr(word, '/')) {
        t->blueprint = load_bare(a, word, &e);
        if (t->blueprint) t->handler = &t->blueprint->handlers[0];
    } else if (!load_named(t, a, word, &e, exit_status) && !e.code) {
        return false; /* told already */
    }
    if (t->handler) return true;
    if (e.code) command_report(a, &e);
    if (e.code) *exit_status = EXIT_USAGE;
    invoke_target_free(t);
    return false;
}

void invoke_target_free(struct invoke_target *t) {
    blueprint_release(t->blueprint);
    *t = (struct invoke_target){0};
}

void invoke_blueprint_prepare(struct blueprint *b) {
    for (size_t i = 0; i < b->handler_count; i++) {
        struct processes_config *p = &b->handlers[i].processes;
        p->min = 0;
        if (p->stop_timeout_ms > STOP_MOST_MS) p->stop_timeout_ms = STOP_MOST_MS;
    }
}

void invoke_target_prepare(struct invoke_target *t, uint64_t parallel) {
    struct blueprint *b = t->blueprint;
    invoke_blueprint_prepare(b);
    if (t->handler->queue_limit < parallel) t->handler->queue_limit = parallel;
    if (b->limits.in_flight < 2 * parallel) b->limits.in_flight = 2 * parallel; /* an authorizer's as well */
}

void invoke_target_unhurry(struct invoke_target *t) {
    struct processes_config *p = &t->handler->processes;
    p->min = p->max = 1;
    p->start_timeout_ms = UNHURRIED_MS;
    t->handler->timeout_ms = UNHURRIED_MS;
}
