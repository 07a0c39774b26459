/* section.h - what a plugin adds to the language of blueprints.
 *
 * A section is a top-level key with a schema of its own ("cors"), keys for every http trigger, or both.
 * Its tables are composed with the blueprint's own (compose.h), so a section is validated, published as JSON
 * Schema and documented like everything else. Its structs have an origin (the map they were read from) and are bound as
 * schema.h says: numbers are VALUE_UNSET, nodes and lists NULL while unset; a `struct node *` that was set knows its
 * position (node->at) for problems_add.
 *
 *     struct greeting { struct node *origin; struct node *word; uint64_t times; };
 *     static const struct schema_field fields[] = {
 *         {.name = "word", .kind = FIELD_TEXT, .offset = offsetof(struct greeting, word), .about = "What to say."},
 *         {.name = "times", .kind = FIELD_INTEGER, .offset = offsetof(struct greeting, times),
 *          .least = 1, .most = 9, .preset = "1", .about = "How often."}};
 *     static const struct object_schema schema = {.name = "greeting", .title = "`greeting`", .about = "A greeting.",
 *         .fields = fields, .count = ARRAY_LEN(fields), .size = sizeof(struct greeting),
 *         .origin_offset = offsetof(struct greeting, origin)};
 *     static const struct section section = {.key = "greeting", .schema = &schema, .check = greeting_check};
 *
 * Once the model is built, `check` reads what the file says, adds every mistake that no single key shows, and
 * builds the plugin's typed settings in the blueprint's arena. They are immutable and live as long as the
 * blueprint: blueprint->settings[i] for sections->items[i]. Files that are opened, keys that are fetched
 * and everything else that needs closing waits for plugin->open.
 *
 * `check` is called after mistakes too, so that one run tells them all: a member may then be unset although it
 * is required.
 */
#pragma once
#include "gateway/blueprint/schema.h"

#define SECTIONS_MAX 16

/* What one blueprint says to one section. */
struct section_values {
    const void *application;     /* struct of `schema`, defaults filled in; NULL when the section has none */
    const void *const *triggers; /* struct of `trigger` per http trigger, by http_trigger_config.number; as written,
                                    without defaults, so that an override can be told from silence (schema_inherit and
                                    schema_preset complete a copy); each NULL when the section has none */
    size_t trigger_count;
    struct node *node;          /* what stands under the key; NULL = the key is not there */
    bool present;               /* the key is there */
    enum blueprint_check depth; /* FILES: what it names must exist, too */
};

struct section {
    const char *key; /* NULL = none. One that the blueprint has already ("limits") gets the schema's keys added. */
    const struct object_schema *schema;  /* of the map under the key; NULL = none */
    const struct object_schema *trigger; /* keys of http triggers; its origin is the trigger's map; NULL = none */
    const char *example;                 /* of the key's value, for the reference */
    /* Allocates *settings (NULL until then) from `a`. NULL = nothing to check, no settings. */
    void (*check)(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                  void **settings);
};

/* The sections that a blueprint is read with, one per plugin; NULL entries belong to plugins without keys. */
struct sections {
    const struct section *items[SECTIONS_MAX];
    size_t count;
};
