#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/executable.h"
#include "gateway/command/build/project.h"
#include "gateway/command/load.h"
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option_row new_options[] = {
    {"lang", 'l', "LANGUAGE", "c, cpp, go, rust, shell, python or node"},
    {"directory", 'd', "FOLDER", "Where to, instead of a folder of that name; it must be empty or not there"},
    {"json", 0, NULL, "Print one JSON object: the files written, what is missing"},
};

/* --- how the project calls execgate --- */

static char *own_path(void) {
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return xstrdup("execgate");
    path[n] = '\0';
    return xstrdup(path);
}

/* For a variable of a Makefile. */
static char *quoted_for_make(const char *path) {
    struct buf out = {0};
    for (; *path; path++) {
        if (*path == '$') buf_append_char(&out, '$');
        if (*path == '#') buf_append_char(&out, '\\');
        buf_append_char(&out, *path);
    }
    buf_append_char(&out, '\0');
    return out.p;
}

/* Just the name when it is found by that, else the path of this very binary. Malloc'd. */
static char *execgate_word(void) {
    struct arena a;
    arena_init(&a, 512);
    const char *found = executable_find(&a, SLICE("execgate"));
    char *real = found ? realpath(found, NULL) : NULL, *own = own_path();
    char *word = real && strcmp(real, own) == 0 ? xstrdup("execgate") : quoted_for_make(own);
    arena_free(&a);
    free(real);
    free(own);
    return word;
}

/* --- telling --- */

static bool tool_is_missing(const struct language *l) {
    struct arena a;
    arena_init(&a, 512);
    bool missing = !executable_find(&a, slice_of(l->tool));
    arena_free(&a);
    return missing;
}

static void print_json(const struct project *p) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, SLICE("name"), slice_of(p->name));
    json_member(&w, SLICE("language"), slice_of(p->language->name));
    json_member(&w, SLICE("directory"), slice_of(p->directory));
    json_name(&w, SLICE("files"));
    json_open(&w, '[');
    for (size_t i = 0; i < p->file_count; i++) json_text(&w, slice_of(p->files[i]));
    json_close(&w, ']');
    if (tool_is_missing(p->language)) json_member(&w, SLICE("missing"), slice_of(p->language->package));
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static void print_text(const struct project *p) {
    const struct language *l = p->language;
    printf("%s: a handler in %s, %zu files; edit %s\n\n", p->directory, l->title, p->file_count, l->source);
    printf("  cd %s\n"
           "  make run     # serve it on http://127.0.0.1:8080/; what you edit is built and served anew\n"
           "  make test    # send it requests without a server\n\n"
           "  curl http://127.0.0.1:8080/hello/you\n",
           p->directory);
    if (!tool_is_missing(l)) return;
    fflush(stdout);
    fprintf(stderr, "\nexecgate: warning: there is no %s here, which this needs; on Debian: apt-get install %s\n",
            l->tool, l->package);
}

/* --- the command --- */

static int plan(const struct arguments *a, struct project *p, struct error *e) {
    if (a->positional_count == 0) return error_set(e, ERROR_USAGE, "usage: execgate new NAME --lang LANGUAGE");
    p->name = a->positional[0];
    p->language = language_find(arguments_get(a, "lang"), e);
    if (!p->language) return -ERROR_USAGE;
    const char *directory = arguments_get(a, "directory");
    p->directory = directory ? directory : p->name;
    int status = language_check_name(p->language, p->name, e);
    if (status == 0 && !*p->directory) status = error_set(e, ERROR_USAGE, "--directory needs the name of a folder");
    return status;
}

static int new_project(const struct arguments *a) {
    struct project p = {0};
    struct error e = {0};
    char *word = execgate_word();
    p.execgate = word;
    int status = plan(a, &p, &e);
    if (status == 0) status = project_write(&p, &e);
    if (status < 0)
        command_report(a, &e);
    else if (arguments_has(a, "json"))
        print_json(&p);
    else
        print_text(&p);
    project_free(&p);
    free(word);
    if (status == 0) return EXIT_OK;
    return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
}

const struct command command_new = {
    .name = "new",
    .synopsis = "NAME",
    .summary = "Begin a handler: a folder to build, run and test at once",
    .details =
        "Writes a folder with a handler, its blueprint, a Makefile, a test and the SDK of the language, which comes\n"
        "out of this binary: nothing is fetched. NAME becomes the name of the handler and of the program. In\n"
        "shell, Python and JavaScript there is nothing to build. Nothing is ever overwritten.",
    .options = new_options,
    .option_count = ARRAY_LEN(new_options),
    .max_positional = 1,
    .file_position = 1, /* there is none */
    .run = new_project,
};
