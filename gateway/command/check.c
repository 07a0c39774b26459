#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/command/load.h"

static const struct option_row check_options[] = {
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"no-files", 0, NULL, "Do not look at files: executables, folders, certificates, keys, users"},
    {"json", 0, NULL, "Print one JSON object instead of text"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

static void print_json(const struct blueprint *b) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_name(&w, SLICE("valid"));
    json_bool(&w, true);
    json_member(&w, SLICE("name"), slice_of(b->name));
    json_name(&w, SLICE("handlers"));
    json_number(&w, (int64_t)b->handler_count);
    json_name(&w, SLICE("routes"));
    json_number(&w, (int64_t)command_count_routes(b));
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static void print_text(const struct blueprint *b) {
    struct buf out = {0};
    buf_printf(&out, "%s: \"%s\" is a valid blueprint ", b->file, b->name);
    command_append_size(&out, b);
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static int check(const struct arguments *a) {
    int status = EXIT_BLUEPRINT;
    enum blueprint_check depth = arguments_has(a, "no-files") ? BLUEPRINT_CHECK_TEXT : BLUEPRINT_CHECK_FILES;
    struct blueprint *b = command_load(a, depth, &status);
    if (!b) return status;
    if (arguments_has(a, "json"))
        print_json(b);
    else
        print_text(b);
    blueprint_release(b);
    return EXIT_OK;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "[FILE]",
    .summary = "Check a blueprint without serving it",
    .details = "Reads the blueprint and reports every mistake in one run, each with file, line, column, what was\n"
               "found, what was expected and the nearest valid name.",
    .options = check_options,
    .option_count = ARRAY_LEN(check_options),
    .max_positional = 1,
    .run = check,
};
