/* options.h - command lines as tables.
 *
 * Each subcommand is one row with a table of its options; parsing, `--help` and the messages for
 * wrong usage come from the same rows. Accepted forms: --name value, --name=value, -x value, -xvalue, flags,
 * and `--`.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"

/* Exit statuses, the same for every command. */
enum exit_status {
    EXIT_OK = 0,
    EXIT_BLUEPRINT = 1,  /* the blueprint has errors */
    EXIT_USAGE = 2,      /* the command line is wrong */
    EXIT_SYSTEM = 3,     /* something of the machine refused: an address in use, a missing right */
    EXIT_UNFINISHED = 4, /* stopped before everything in flight was done */
    EXIT_FAILED = 5,     /* invoke: the handler failed, or the event was refused; replay: an answer differs */
    EXIT_TIMED_OUT = 6   /* invoke: no answer in time */
};

struct option_row {
    const char *name;     /* without dashes */
    char letter;          /* 0 = none */
    const char *argument; /* what the value is called; NULL = a flag */
    const char *help;
};

struct arguments;
struct command {
    const char *name;
    const char *synopsis; /* "[FILE]" */
    const char *summary;  /* one line */
    const char *details;  /* paragraphs for its own --help */
    const struct option_row *options;
    size_t option_count;
    size_t max_positional;
    size_t file_position;                  /* which of them is the blueprint, from 0 */
    int (*run)(const struct arguments *a); /* an exit_status */
    const struct command *const *actions;  /* of a command that only groups others, "NAME ACTION" each; it has no run */
    size_t action_count;
};

struct argument_value {
    const struct option_row *row;
    const char *value;
};
struct arguments {
    const struct command *command;
    struct argument_value *values;
    size_t value_count;
    const char **positional;
    size_t positional_count;
};

int arguments_parse(struct arguments *a, const struct command *c, int count, char **words, struct error *e) MUST_CHECK;
void arguments_free(struct arguments *a);
bool arguments_has(const struct arguments *a, const char *name);
/* The last value given, or NULL. */
const char *arguments_get(const struct arguments *a, const char *name);
/* Every value of an option: the next one from *at on, or NULL. */
const char *arguments_next(const struct arguments *a, const char *name, size_t *at);
/* The positional that is the blueprint, --blueprint, or blueprint.yaml of the working directory. */
const char *arguments_file(const struct arguments *a);
void command_print_help(const struct command *c, struct buf *out);

/* Every subcommand, one row each (commands.c). */
extern const struct command *const command_table[];
extern const size_t command_count;
extern const struct command command_new, command_run, command_build, command_check, command_routes, command_token,
    command_schema, command_invoke, command_event, command_replay, command_queue, command_schedule, command_connections;
/* "execgate WORDS...": picks the row and runs it. */
int command_main(int count, char **words);
