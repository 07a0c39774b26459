#include "gateway/command/options.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include <stdio.h>
#include <stdlib.h>

static const struct option_row help_row = {"help", 'h', NULL, "Show this help"};

static const struct option_row *row_by_name(const struct command *c, struct slice name) {
    for (size_t i = 0; i < c->option_count; i++)
        if (slice_equal(slice_of(c->options[i].name), name)) return &c->options[i];
    return slice_equal(name, SLICE("help")) ? &help_row : NULL;
}

static const struct option_row *row_by_letter(const struct command *c, char letter) {
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].letter == letter) return &c->options[i];
    return letter == 'h' ? &help_row : NULL;
}

static int unknown_option(const struct command *c, struct slice name, struct error *e) {
    const char *names[32];
    size_t n = 0;
    for (; n < c->option_count && n < ARRAY_LEN(names); n++) names[n] = c->options[n].name;
    const char *near = text_nearest(name, names, n);
    if (near)
        return error_set(e, ERROR_USAGE, "unknown option --" SLICE_FMT "; did you mean --%s?", SLICE_ARG(name), near);
    return error_set(e, ERROR_USAGE, "unknown option --" SLICE_FMT "; see `execgate %s --help`", SLICE_ARG(name),
                     c->name);
}

static void add_value(struct arguments *a, const struct option_row *row, const char *value) {
    a->values = xrealloc(a->values, (a->value_count + 1) * sizeof *a->values);
    a->values[a->value_count++] = (struct argument_value){row, value};
}

static int add_positional(struct arguments *a, const char *word, struct error *e) {
    if (a->positional_count >= a->command->max_positional)
        return error_set(e, ERROR_USAGE, "unexpected argument \"%s\"; usage: execgate %s %s", word, a->command->name,
                         a->command->synopsis);
    a->positional = xrealloc(a->positional, (a->positional_count + 1) * sizeof *a->positional);
    a->positional[a->positional_count++] = word;
    return 0;
}

/* One option word; *next is advanced when its value is a word of its own. */
static int add_option(struct arguments *a, char **words, int count, int *next, struct error *e) {
    const char *word = words[*next];
    const struct option_row *row;
    const char *value = NULL;
    if (word[1] == '-') {
        struct slice rest = slice_of(word + 2), name;
        slice_next(&rest, '=', &name);
        row = row_by_name(a->command, name);
        if (!row) return unknown_option(a->command, name, e);
        value = rest.p;
    } else {
        row = row_by_letter(a->command, word[1]);
        if (!row || (word[2] && !row->argument))
            return error_set(e, ERROR_USAGE, "unknown option %s; see `execgate %s --help`", word, a->command->name);
        value = word[2] ? word + 2 : NULL;
    }
    if (!row->argument && value) return error_set(e, ERROR_USAGE, "--%s takes no value", row->name);
    if (row->argument && !value) {
        if (*next + 1 >= count)
            return error_set(e, ERROR_USAGE, "--%s needs a value: --%s %s", row->name, row->name, row->argument);
        value = words[++*next];
    }
    add_value(a, row, value);
    return 0;
}

int arguments_parse(struct arguments *a, const struct command *c, int count, char **words, struct error *e) {
    *a = (struct arguments){.command = c};
    bool options_over = false;
    for (int i = 0; i < count; i++) {
        int status = 0;
        if (!options_over && strcmp(words[i], "--") == 0)
            options_over = true;
        else if (!options_over && words[i][0] == '-' && words[i][1] != 0)
            status = add_option(a, words, count, &i, e);
        else
            status = add_positional(a, words[i], e);
        if (status < 0) return status;
    }
    return 0;
}

void arguments_free(struct arguments *a) {
    free(a->values);
    free(a->positional);
    *a = (struct arguments){0};
}

const char *arguments_get(const struct arguments *a, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i].row->name, name) == 0) value = a->values[i].value;
    return value;
}

const char *arguments_next(const struct arguments *a, const char *name, size_t *at) {
    while (*at < a->value_count) {
        const struct argument_value *v = &a->values[(*at)++];
        if (strcmp(v->row->name, name) == 0) return v->value;
    }
    return NULL;
}

bool arguments_has(const struct arguments *a, const char *name) {
    for (size_t i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i].row->name, name) == 0) return true;
    return false;
}

const char *arguments_file(const struct arguments *a) {
    const char *named = arguments_get(a, "blueprint");
    if (a->positional_count > a->command->file_position) return a->positional[a->command->file_position];
    return named ? named : "blueprint.yaml";
}

static void print_option(struct buf *out, const struct option_row *row) {
    char left[64];
    snprintf(left, sizeof left, "%c%c%c --%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
             row->letter ? ',' : ' ', row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    buf_printf(out, "  %-28s %s\n", left, row->help);
}

void command_print_help(const struct command *c, struct buf *out) {
    buf_printf(out, "%s\n\nUsage: execgate %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", c->summary, c->name,
               c->synopsis[0] ? " " : "", c->synopsis, c->details);
    for (size_t i = 0; i < c->option_count; i++) print_option(out, &c->options[i]);
    print_option(out, &help_row);
}
