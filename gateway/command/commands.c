#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/load.h"
#include <errno.h>

const struct command *const command_table[] = {&command_new,      &command_run,    &command_build, &command_invoke,
                                               &command_event,    &command_replay, &command_check, &command_routes,
                                               &command_schedule, &command_queue,  &command_token, &command_connections,
                                               &command_schema};
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

/* What it is called on the command line: the last word of its name. */
static const char *word_of(const struct command *c) {
    const char *blank = strrchr(c->name, ' ');
    return blank ? blank + 1 : c->name;
}

static const struct command *command_find(const struct command *const *table, size_t count, const char *word) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(word_of(table[i]), word) == 0) return table[i];
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

static int unknown_action(const struct command *c, const char *word) {
    const char *words[16];
    size_t n = 0;
    for (; n < c->action_count && n < ARRAY_LEN(words); n++) words[n] = word_of(c->actions[n]);
    const char *near = text_nearest(slice_of(word), words, n);
    if (near)
        fprintf(stderr, "execgate: unknown action \"%s %s\"; did you mean \"%s %s\"?\n", c->name, word, c->name, near);
    else
        fprintf(stderr, "execgate: unknown action \"%s %s\"; see `execgate %s --help`\n", c->name, word, c->name);
    return EXIT_USAGE;
}

static void print_actions(const struct command *c, FILE *out) {
    fprintf(out, "%s\n\nUsage: execgate %s ACTION [OPTIONS] ...\n\n%s\n\nActions:\n", c->summary, c->name, c->details);
    for (size_t i = 0; i < c->action_count; i++)
        fprintf(out, "  %-10s %s\n", word_of(c->actions[i]), c->actions[i]->summary);
    fprintf(out, "\n\"execgate %s ACTION --help\" explains an action.\n", c->name);
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

static bool asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The action that the words begin with, of a command that has some. */
static int command_run_words(const struct command *c, int count, char **words) {
    if (c->action_count == 0) return command_run_row(c, count, words);
    if (count == 0 || asks_for_help(words[0])) {
        print_actions(c, count ? stdout : stderr);
        return count ? EXIT_OK : EXIT_USAGE;
    }
    const struct command *action = command_find(c->actions, c->action_count, words[0]);
    return action ? command_run_row(action, count - 1, words + 1) : unknown_action(c, words[0]);
}

/* `help COMMAND [ACTION]`. */
static int command_explain(int count, char **words) {
    char help[] = "--help";
    char *only_help[] = {help};
    const struct command *c = command_find(command_table, command_count, words[0]);
    if (!c) return unknown_command(words[0]);
    if (c->action_count == 0 || count == 1) return command_run_words(c, 1, only_help);
    const struct command *action = command_find(c->actions, c->action_count, words[1]);
    return action ? command_run_row(action, 1, only_help) : unknown_action(c, words[1]);
}

static int command_pick(int count, char **words) {
    const char *name = count > 0 ? words[0] : NULL;
    if (!name) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (asks_for_help(name) || (strcmp(name, "help") == 0 && count == 1)) {
        print_overview(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "version") == 0) {
        puts("execgate " EXECGATE_VERSION);
        return EXIT_OK;
    }
    if (strcmp(name, "help") == 0) return command_explain(count - 1, words + 1);
    const struct command *c = command_find(command_table, command_count, name);
    return c ? command_run_words(c, count - 1, words + 1) : unknown_command(name);
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
