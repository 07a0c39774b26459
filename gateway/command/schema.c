#include "gateway/base/memory.h"
#include "gateway/blueprint/report.h"
#include "gateway/command/load.h"
#include "plugins/plugin.h"

static const struct option_row schema_options[] = {
    {"markdown", 0, NULL, "Print the reference of docs/blueprint.md instead of JSON Schema"},
};

static int schema(const struct arguments *a) {
    const struct sections sections = plugins_sections();
    struct buf out = {0};
    if (arguments_has(a, "markdown"))
        blueprint_print_reference(&out, &sections);
    else
        blueprint_print_schema(&out, &sections);
    command_print(&out, stdout);
    return EXIT_OK;
}

const struct command command_schema = {
    .name = "schema",
    .synopsis = "",
    .summary = "Print the JSON Schema of blueprints, for editors",
    .details = "The schema comes from the same tables that the loader validates with. Save it and name it in your\n"
               "editor, or at the top of a blueprint: # yaml-language-server: $schema=execgate.schema.json",
    .options = schema_options,
    .option_count = ARRAY_LEN(schema_options),
    .max_positional = 0,
    .run = schema,
};
