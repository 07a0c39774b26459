/* schema.h - what a blueprint may say, as tables.
 *
 * One row per key: its type, whether it must be given, its default, bounds and words for people.
 * The same rows validate and bind a tree into structs (schema_bind), publish a JSON Schema
 * (schema_json.c) and write the reference (reference.c), so the three cannot drift apart.
 *
 * A member of a struct is unset (VALUE_UNSET, NULL, no items) until the file sets it. Settings
 * shared by several places are inherited next, defaults are filled in last:
 *
 *   schema_clear -> schema_bind -> schema_inherit (perhaps) -> schema_preset
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/blueprint/substitute.h"

#define VALUE_UNSET UINT64_MAX

enum field_kind {                 /* member type at `offset` */
                  FIELD_TEXT,     /* struct node * (resolved; its text is the value) */
                  FIELD_INTEGER,  /* uint64_t */
                  FIELD_DURATION, /* uint64_t, milliseconds */
                  FIELD_SIZE,     /* uint64_t, bytes */
                  FIELD_RATE,     /* uint64_t, events per day */
                  FIELD_BOOLEAN,  /* uint64_t, 0 or 1 */
                  FIELD_ENUM,     /* uint64_t, index of the choice */
                  FIELD_COMMAND,  /* struct bound_command */
                  FIELD_OBJECT,   /* the struct itself, as `object` describes it */
                  FIELD_LIST,     /* struct bound_items of `object`, or of text when there is none */
                  FIELD_MAP,      /* the same, with keys */
                  FIELD_ANY,      /* struct node *: any value, every scalar in it resolved */
};
enum field_flags {
    FIELD_REQUIRED = 1,
    FIELD_SHOWN = 2,       /* appears in logs and answers: a secret may not be used */
    FIELD_ALTERNATIVE = 4, /* exactly one of the keys of the object that carry this flag must be given */
    FIELD_ONE_OR_MORE = 8, /* FIELD_LIST: one item may stand for a list of one */
    FIELD_OR_WORD = 16,    /* FIELD_OBJECT, FIELD_LIST of objects: one of `choices` may stand for it (`cors: off`) */
    FIELD_AS_WRITTEN = 32, /* schema_preset leaves it alone */
    FIELD_SECRET = 64,     /* FIELD_TEXT and lists and maps of it: never shown, in whatever way it came */
};

/* What a text must look like. `pattern` says the same to a JSON Schema as `accepts` does here. */
struct text_rule {
    const char *expected; /* for people: "a name: lower-case letters, ..." */
    const char *pattern;
    bool (*accepts)(struct slice text);
};

struct object_schema;
struct schema_field {
    const char *name;
    enum field_kind kind;
    unsigned flags;
    size_t offset;
    uint64_t least, most;             /* numbers, durations, sizes; items of lists and maps (most 0 = any) */
    const char *preset;               /* the default as one would write it; NULL = none */
    const char *preset_note;          /* a default that depends on something else, in words */
    const char *unless;               /* FIELD_REQUIRED: but not beside this key; NULL = always */
    const char *const *choices;       /* FIELD_ENUM, FIELD_OR_WORD; NULL-terminated */
    size_t word_offset;               /* FIELD_OR_WORD: uint64_t, index of the choice plus 1; 0 = no word */
    const struct text_rule *rule;     /* FIELD_TEXT; of the items of a list or map of text */
    const struct text_rule *key_rule; /* FIELD_MAP */
    const struct object_schema *object;
    const char *about; /* Markdown; one or two sentences */
    const char *example;
};
struct object_schema {
    const char *name;  /* "handler": definition in the JSON Schema, heading in the reference */
    const char *title; /* "a handler" */
    const char *about;
    const struct schema_field *fields;
    size_t count;
    size_t size;          /* of the struct */
    size_t origin_offset; /* of a `struct node *` that is set to the map it was bound from */
    /* An object with variants has the key `type`, which names one; `fields` are those that all variants share. */
    const struct variant *variants; /* NULL = none */
    size_t variant_count;
    size_t variant_offset; /* uint64_t, index of the variant */
};
struct variant {
    const char *name;                   /* the value of `type` */
    const struct object_schema *object; /* the keys it adds; its title names the whole: "a jwt guard" */
    size_t offset;                      /* of the variant's struct in the object's; variants may share a union */
};
#define VARIANT_KEY "type"

struct bound_items {
    void *items;         /* array of structs, or of struct node * */
    struct node **keys;  /* FIELD_MAP */
    struct node **nodes; /* what each item was bound from */
    size_t count;
    struct node *node; /* NULL = unset */
};
struct bound_command {
    struct node **words; /* resolved; never empty once bound without problems */
    size_t count;
    struct node *node; /* NULL = unset */
};

struct binder {
    struct arena *arena;
    struct problems *problems;
    struct substitution *substitution;
};

void schema_clear(const struct object_schema *schema, void *target);
/* Sets what the tree sets; every mistake is added to the problems. `label` is the key the map stands under. */
void schema_bind(struct binder *b, const struct object_schema *schema, struct node *n, void *target);
/* Sets in `target` what is unset there and set in `from`; maps of text are merged. `schema` lists the shared members,
 * and has no variants. */
void schema_inherit(struct arena *a, const struct object_schema *schema, void *target, const void *from);
/* Fills in the defaults, in nested structs, lists and maps too. */
void schema_preset(const struct object_schema *schema, void *target);

/* Splits a command line into words: blanks separate, '...' and "..." and \ quote, ${...} stays whole; no shell.
 * The words are new unresolved nodes at the position of `n`. */
int words_split(struct arena *a, const struct node *n, struct bound_command *out, struct error *e) MUST_CHECK;

/* The published forms (draft 2020-12; Markdown). */
void schema_write_json(struct buf *out, const struct object_schema *root);
void schema_write_reference(struct buf *out, const struct object_schema *root);
