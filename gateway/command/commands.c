#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include <errno.h>

const struct command *const command_table[] = {
    &command_new,   &command_run,    &command_build,    &command_invoke, &command_event,       &command_replay,
    &command_check, &command_routes, &command_schedule, &command_token,  &command_connections, &command_schema};
const size_t command_count = ARRAY_LEN(command_table);

static void print_overview(FILE *out) {
    fputs("execgate turns plain executables into services.\n\n"
          "Usage: execgate COMMAND [OPTIONS] [FILE]\n\nCommands:\n",
          out);
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-11s %s\n", command_table[i]->name, command_table[i]->summary);
    fputs(
        "\nFILE is a blueprint; without one, blueprint.yaml of the working directory is used.\n"
        "\"execgate COMMAND --help\" explains a command, \"execgate --version\" tells the version.\n\n"
        "Exit status: 0 success, 1 the blueprint has errors, 2 wrong usage, 3 the system refused\n"
        "(an address in use, a missing right, output that cannot be written), 4 stopped before everything in\n"
        "flight was done; of invoke also 5 the handler failed, 6 no answer in time; of replay 5 an answer differs.\n\n"
        "A first blueprint:\n\n"
        "  blueprint: 1\n"
        "  name: hello\n"
        "  handlers:\n"
        "    hello: {command: ./hello, triggers: [{http: GET /hello}]}\n",
        out);
}

static const struct command *command_find(const char *name) {
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(command_table[i]->name, name) == 0) return command_table[i];
    return NULL;
}

static int complain(const char *message) {
    fprintf(stderr, "execgate: %s\n", message);
    return EXIT_USAGE;
}

static int unknown_command(const char *name) {
    const char *names[16];
    size_t n = 0;
    for (; n < command_count && n < ARRAY_LEN(names); n++) names[n] = command_table[n]->name;
    const char *near = text_nearest(slice_of(name), names, n);
    if (near)
        fprintf(stderr, "execgate: unknown command \"%s\"; did you mean \"%s\"?\n", name, near);
    else
        fprintf(stderr, "execgate: unknown command \"%s\"; see `execgate --help`\n", name);
    return EXIT_USAGE;
}

static int command_run_row(const struct command *c, int count, char **words) {
    struct arguments a;
    struct error e = {0};
    int status;
    if (arguments_parse(&a, c, count, words, &e) < 0) {
        status = complain(e.message);
    } else if (arguments_has(&a, "help")) {
        struct buf out = {0};
        command_print_help(c, &out);
        command_print(&out, stdout);
        status = EXIT_OK;
    } else {
        status = c->run(&a);
    }
    arguments_free(&a);
    return status;
}

static int command_pick(int count, char **words) {
    const char *name = count > 0 ? words[0] : NULL;
    if (!name) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && count == 1)) {
        print_overview(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "version") == 0) {
        puts("execgate " EXECGATE_VERSION);
        return EXIT_OK;
    }
    bool wants_help = strcmp(name, "help") == 0;
    const struct command *c = command_find(wants_help ? words[1] : name);
    if (!c) return unknown_command(wants_help ? words[1] : name);
    char help[] = "--help";
    char *only_help[] = {help};
    return wants_help ? command_run_row(c, 1, only_help) : command_run_row(c, count - 1, words + 1);
}

/* A full disk, or a reader that has left: what came out is not the whole. */
static int check_stdout(int status) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "execgate: not everything could be written to stdout%s%s\n", errno ? ": " : "",
            errno ? strerror(errno) : "");
    return status == EXIT_OK ? EXIT_SYSTEM : status;
}

int command_main(int count, char **words) {
    return check_stdout(command_pick(count, words));
}
