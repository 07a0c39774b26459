/* What a plugin adds to the language: a section of every shape, from text to settings, JSON Schema and reference. */
#include "gateway/base/memory.h"
#include "gateway/blueprint/report.h"
#include "gateway/blueprint/section.h"
#include "tests/support/blueprint_text.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A guard is a lock or a bell; both may be quiet. */
struct lock {
    struct node *origin;
    struct node *key;
    uint64_t turns;
};
struct bell {
    struct node *origin;
    struct node *tone, *tune;
};
struct guard {
    struct node *origin;
    uint64_t type;
    uint64_t quiet;
    union {
        struct lock lock;
        struct bell bell;
    };
};
struct paint {
    struct node *origin;
    struct node *colour;
    uint64_t coats;
    struct bound_items words;
};
struct house {
    struct node *origin;
    struct bound_items guards;
    struct bound_items names;
    struct node *claims;
    struct paint paint;
};
struct door {
    struct node *origin;
    struct paint paint;
    uint64_t paint_word;
    struct bound_items guard;
    uint64_t width;
};

static const char *const paint_words[] = {"off", "plain", NULL};
static const struct schema_field lock_fields[] = {
    {.name = "key", .kind = FIELD_TEXT, .flags = FIELD_REQUIRED, .offset = offsetof(struct lock, key), .about = "K."},
    {.name = "turns",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct lock, turns),
     .most = 9,
     .preset = "2",
     .about = "T."},
};
static const struct object_schema lock_schema = {.name = "lockGuard",
                                                 .title = "a lock guard",
                                                 .about = "Locks.",
                                                 .fields = lock_fields,
                                                 .count = ARRAY_LEN(lock_fields),
                                                 .size = sizeof(struct lock),
                                                 .origin_offset = offsetof(struct lock, origin)};
static const struct schema_field bell_fields[] = {
    {.name = "tone",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE,
     .offset = offsetof(struct bell, tone),
     .about = "T.",
     .example = "c"},
    {.name = "tune",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE,
     .offset = offsetof(struct bell, tune),
     .about = "T."},
};
static const struct object_schema bell_schema = {.name = "bellGuard",
                                                 .title = "a bell guard",
                                                 .about = "Rings.",
                                                 .fields = bell_fields,
                                                 .count = ARRAY_LEN(bell_fields),
                                                 .size = sizeof(struct bell),
                                                 .origin_offset = offsetof(struct bell, origin)};
static const struct variant guard_variants[] = {
    {"lock", &lock_schema, offsetof(struct guard, lock)},
    {"bell", &bell_schema, offsetof(struct guard, bell)},
};
static const struct schema_field guard_fields[] = {
    {.name = "quiet", .kind = FIELD_BOOLEAN, .offset = offsetof(struct guard, quiet), .preset = "false", .about = "Q."},
};
static const struct object_schema guard_schema = {.name = "guard",
                                                  .title = "a guard",
                                                  .about = "Guards.",
                                                  .fields = guard_fields,
                                                  .count = ARRAY_LEN(guard_fields),
                                                  .size = sizeof(struct guard),
                                                  .origin_offset = offsetof(struct guard, origin),
                                                  .variants = guard_variants,
                                                  .variant_count = ARRAY_LEN(guard_variants),
                                                  .variant_offset = offsetof(struct guard, type)};
static const struct schema_field paint_fields[] = {
    {.name = "colour", .kind = FIELD_TEXT, .offset = offsetof(struct paint, colour), .about = "C."},
    {.name = "coats",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct paint, coats),
     .most = 9,
     .preset = "3",
     .about = "C."},
    {.name = "words",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE,
     .offset = offsetof(struct paint, words),
     .about = "W."},
};
static const struct object_schema paint_schema = {.name = "paint",
                                                  .title = "`paint`",
                                                  .about = "Paints.",
                                                  .fields = paint_fields,
                                                  .count = ARRAY_LEN(paint_fields),
                                                  .size = sizeof(struct paint),
                                                  .origin_offset = offsetof(struct paint, origin)};
static const struct schema_field house_fields[] = {
    {.name = "guards",
     .kind = FIELD_MAP,
     .offset = offsetof(struct house, guards),
     .object = &guard_schema,
     .about = "G."},
    {.name = "names",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE,
     .offset = offsetof(struct house, names),
     .least = 1,
     .most = 2,
     .about = "N."},
    {.name = "claims", .kind = FIELD_ANY, .offset = offsetof(struct house, claims), .about = "C."},
    {.name = "paint",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct house, paint),
     .object = &paint_schema,
     .about = "P."},
};
static const struct object_schema house_schema = {.name = "house",
                                                  .title = "`house`",
                                                  .about = "A house.",
                                                  .fields = house_fields,
                                                  .count = ARRAY_LEN(house_fields),
                                                  .size = sizeof(struct house),
                                                  .origin_offset = offsetof(struct house, origin)};
static const struct schema_field door_fields[] = {
    {.name = "paint",
     .kind = FIELD_OBJECT,
     .flags = FIELD_OR_WORD,
     .offset = offsetof(struct door, paint),
     .choices = paint_words,
     .word_offset = offsetof(struct door, paint_word),
     .object = &paint_schema,
     .about = "P."},
    {.name = "guard",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE,
     .offset = offsetof(struct door, guard),
     .about = "G."},
    {.name = "width",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct door, width),
     .most = 9,
     .preset = "4",
     .about = "W."},
};
static const struct object_schema door_schema = {.name = "door",
                                                 .title = "a door",
                                                 .about = "A door.",
                                                 .fields = door_fields,
                                                 .count = ARRAY_LEN(door_fields),
                                                 .size = sizeof(struct door),
                                                 .origin_offset = offsetof(struct door, origin)};

/* Settings that show all that a check is given. */
struct seen {
    struct house house;
    struct door doors[4];
    size_t door_count;
    bool present;
    int line;
    size_t handlers;
};

static void house_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                        void **settings) {
    struct seen *s = arena_zalloc(a, sizeof *s);
    s->house = *(const struct house *)v->application;
    s->present = v->present;
    s->line = v->node ? v->node->at.line : 0;
    s->handlers = b->handler_count;
    s->door_count = v->trigger_count;
    for (size_t i = 0; i < v->trigger_count && i < ARRAY_LEN(s->doors); i++) {
        s->doors[i] = *(const struct door *)v->triggers[i];
        const struct door *d = v->triggers[i];
        if (d->width == 9) problems_add(p, node_get(d->origin, "width")->at, "width: too wide");
    }
    *settings = s;
}
static const struct section house_section = {
    .key = "house", .schema = &house_schema, .trigger = &door_schema, .example = "{}", .check = house_check};

/* More keys for an object that the blueprint has. */
struct more_limits {
    struct node *origin;
    uint64_t beds;
};
static const struct schema_field more_fields[] = {
    {.name = "beds",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct more_limits, beds),
     .most = 9,
     .preset = "5",
     .about = "B."},
};
static const struct object_schema more_schema = {.name = "limits",
                                                 .title = "`limits`",
                                                 .about = "More.",
                                                 .fields = more_fields,
                                                 .count = ARRAY_LEN(more_fields),
                                                 .size = sizeof(struct more_limits),
                                                 .origin_offset = offsetof(struct more_limits, origin)};
static void more_check(const struct blueprint *b, const struct section_values *v, struct problems *p, struct arena *a,
                       void **settings) {
    (void)b;
    (void)p;
    assert_null(v->trigger_count ? v->triggers[0] : NULL); /* it has none of its own */
    *settings = arena_zalloc(a, sizeof(struct more_limits));
    memcpy(*settings, v->application, sizeof(struct more_limits));
}
static const struct section more_section = {.key = "limits", .schema = &more_schema, .check = more_check};

static const struct sections all = {{NULL, &house_section, &more_section}, 3};

#define HEAD "blueprint: 1\nname: a\n"
#define HANDLERS "handlers: {a: {command: /a}}\n"

static const struct guard *guard_at(const struct seen *s, size_t i) {
    return &((const struct guard *)s->house.guards.items)[i];
}

static void test_values_arrive(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_text(HEAD "limits: {maxBody: 1MiB, beds: 7}\n"
                                                 "house:\n"
                                                 "  names: one\n"
                                                 "  claims: {roles: [a, \"${env.EXECGATE_TEST_NONE:-b}\"], n: 1}\n"
                                                 "  paint: {colour: red}\n"
                                                 "  guards:\n"
                                                 "    front: {type: lock, key: k}\n"
                                                 "    back: {tone: c, type: bell, quiet: true}\n" HANDLERS,
                                            &all);
    assert_int_equal(b->settings_count, 3);
    assert_null(b->settings[0]);
    const struct seen *s = b->settings[1];
    assert_true(s->present);
    assert_int_equal(s->line, 5);
    assert_int_equal(s->handlers, 1);
    assert_non_null(node_get(s->house.origin, "claims"));
    assert_int_equal(s->house.names.count, 1);
    assert_slice(((struct node **)s->house.names.items)[0]->text, "one");
    assert_slice(node_get(s->house.claims, "roles")->items[1]->text, "b");
    assert_slice(s->house.paint.colour->text, "red");
    assert_int_equal(s->house.paint.coats, 3); /* the default */
    assert_int_equal(guard_at(s, 0)->type, 0);
    assert_slice(guard_at(s, 0)->lock.key->text, "k");
    assert_int_equal(guard_at(s, 0)->lock.turns, 2); /* the variant's default */
    assert_int_equal(guard_at(s, 0)->quiet, 0);
    assert_ptr_equal(guard_at(s, 0)->lock.origin, guard_at(s, 0)->origin);
    assert_int_equal(guard_at(s, 1)->type, 1);
    assert_slice(guard_at(s, 1)->bell.tone->text, "c");
    assert_null(guard_at(s, 1)->bell.tune);
    assert_int_equal(guard_at(s, 1)->quiet, 1);
    const struct more_limits *more = b->settings[2];
    assert_int_equal(more->beds, 7);
    assert_non_null(node_get(more->origin, "maxBody"));
    assert_int_equal(b->limits.max_body, 1 << 20);
    blueprint_release(b);
}

static void test_absent_sections(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_text(HEAD HANDLERS, &all);
    const struct seen *s = b->settings[1];
    const struct more_limits *more = b->settings[2];
    assert_false(s->present);
    assert_null(s->house.origin);
    assert_null(s->house.claims);
    assert_null(s->house.guards.node);
    assert_int_equal(s->house.paint.coats, 3);
    assert_int_equal(more->beds, 5);
    assert_null(more->origin);
    blueprint_release(b);
}

static void test_triggers_by_number(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_text(HEAD "house: {paint: {colour: blue, coats: 1}}\n"
                                                 "handlers:\n"
                                                 "  a:\n"
                                                 "    command: /a\n"
                                                 "    triggers:\n"
                                                 "      - {http: GET /a, paint: off, guard: g}\n"
                                                 "      - {http: GET /b, paint: {coats: 8}, guard: [g, h], width: 3}\n"
                                                 "  b: {command: /b, triggers: [{http: GET /c}]}\n"
                                                 "  c: {command: /c, triggers: [{http: GET /d, paint: plain}]}\n",
                                            &all);
    const struct seen *s = b->settings[1];
    const struct door *d = s->doors;
    assert_int_equal(s->door_count, 4);
    assert_int_equal(b->http_trigger_count, 4);
    assert_int_equal(b->handlers[1].http_triggers[0].number, 2);
    assert_int_equal(d[0].paint_word, 1);
    assert_int_equal(d[0].guard.count, 1);
    assert_int_equal(d[0].width, VALUE_UNSET); /* as written: no defaults */
    assert_int_equal(d[1].paint_word, 0);
    assert_int_equal(d[1].paint.coats, 8);
    assert_int_equal(d[1].guard.count, 2);
    assert_int_equal(d[1].width, 3);
    assert_int_equal(d[2].paint_word, 0);
    assert_null(d[2].paint.origin);
    assert_int_equal(d[2].paint.coats, VALUE_UNSET);
    assert_non_null(node_get(d[2].origin, "http"));
    assert_int_equal(d[3].paint_word, 2);
    blueprint_release(b);
}

/* How a plugin lets a trigger override the application. */
static void test_override(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    struct blueprint *b = blueprint_of_text(
        HEAD "house: {paint: {colour: blue, coats: 1, words: x}}\n"
             "handlers: {a: {command: /a, triggers: [{http: GET /a, paint: {coats: 8}}]}}\n",
        &all);
    const struct seen *s = b->settings[1];
    struct paint merged = s->doors[0].paint;
    schema_inherit(&a, &paint_schema, &merged, &s->house.paint);
    schema_preset(&paint_schema, &merged);
    assert_int_equal(merged.coats, 8);
    assert_slice(merged.colour->text, "blue");
    assert_int_equal(merged.words.count, 1);
    blueprint_release(b);
    arena_free(&a);
}

/* A word and an object inherit neither each other's members nor each other. */
static void test_words_are_inherited(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    struct blueprint *b = blueprint_of_text(
        HEAD "handlers: {a: {command: /a, triggers: [{http: GET /a, paint: off}, {http: GET /b, paint: {coats: 8}},"
             " {http: GET /c}]}}\n",
        &all);
    const struct seen *s = b->settings[1];
    struct door object = s->doors[1], silent = s->doors[2], word = s->doors[0];
    schema_inherit(&a, &door_schema, &object, &s->doors[0]);
    schema_inherit(&a, &door_schema, &silent, &s->doors[0]);
    schema_inherit(&a, &door_schema, &word, &s->doors[1]);
    assert_int_equal(object.paint_word, 0);
    assert_int_equal(object.paint.coats, 8);
    assert_int_equal(silent.paint_word, 1);
    assert_int_equal(word.paint_word, 1);
    assert_int_equal(word.paint.coats, VALUE_UNSET);
    blueprint_release(b);
    arena_free(&a);
}

/* `text` follows HEAD; its first line is 3. HANDLERS follow unless it has its own. */
static const struct bad {
    const char *text;
    int line, column;
    const char *words;
} bad[] = {
    {"hose: {}\n", 3, 1, "unknown key \"hose\" in a blueprint; did you mean \"house\"?"},
    {"house: x\n", 3, 8, "expected `house` as a map of keys, found \"x\""},
    {"house: {names: {a: 1}}\n", 3, 16, "names: expected text, or a list, found a map"},
    {"house: {names: }\n", 3, 16, "found nothing"},
    {"house: {names: []}\n", 3, 16, "names: expected at least 1, found none"},
    {"house: {names: [a, b, c]}\n", 3, 16, "names: 3 are too many; the most is 2"},
    {"house: {claims: {a: [\"${env.EXECGATE_TEST_NONE}\"]}}\n", 3, 22, "EXECGATE_TEST_NONE is not set"},
    {"house: {guards: {g: {}}}\n", 3, 21, "a guard needs the key \"type\", for example `type: lock`"},
    {"house: {guards: {g: {tipe: lock, key: k}}}\n", 3, 21, "a guard needs the key \"type\""},
    {"house: {guards: {g: {type: lok, key: k, x: y}}}\n", 3, 28,
     "type: expected one of lock, bell, found \"lok\"; did you mean \"lock\"?"},
    {"house: {guards: {g: {type: [a]}}}\n", 3, 28, "type: expected one of lock, bell, found a list"},
    {"house: {guards: {g: {type: lock}}}\n", 3, 21, "a lock guard needs the key \"key\""},
    {"house: {guards: {g: {type: lock, key: k, tone: c}}}\n", 3, 42,
     "unknown key \"tone\" in a lock guard; it takes: type, quiet, key, turns"},
    {"house: {guards: {g: {type: lock, key: k, turn: 3}}}\n", 3, 42,
     "unknown key \"turn\" in a lock guard; did you mean \"turns\"?"},
    {"house: {guards: {g: {type: lock, kee: k}}}\n", 3, 34, "did you mean \"key\"?"},
    {"house: {guards: {g: {type: lock, key: k, turns: 10}}}\n", 3, 49, "too large"},
    {"house: {guards: {g: {type: bell, quiet: 1, tone: c}}}\n", 3, 41, "quiet: expected true or false"},
    {"house: {guards: {g: {type: bell}}}\n", 3, 21,
     "a bell guard needs one of the keys \"tone\", \"tune\", for example `tone: c`"},
    {"house: {guards: {g: {type: bell, tone: c, tune: d}}}\n", 3, 43, "tune: a bell guard has \"tone\" already"},
    {"house: {guards: {g: {type: bell, tome: c}}}\n", 3, 34, "did you mean \"tone\"?"},
    {"limits: {beds: 10}\n", 3, 16, "beds: \"10\" is too large"},
    {"limits: {bets: 1}\n", 3, 10, "unknown key \"bets\" in `limits`; did you mean \"beds\"?"},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, paint: of}]}}\n", 3, 61,
     "paint: expected a map, or off or plain, found \"of\"; did you mean \"off\"?"},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, paint: [off]}]}}\n", 3, 61, "found a list"},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, paint: {coat: 1}}]}}\n", 3, 62,
     "unknown key \"coat\" in `paint`"},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, widht: 1}]}}\n", 3, 54,
     "unknown key \"widht\" in a trigger; did you mean \"width\"?"},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, width: 9}]}}\n", 3, 61,
     "width: too wide"}, /* by the check */
};

static void test_mistakes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct blueprint_options options = {.sections = &all};
        struct problems p = {0};
        char text[512];
        bool whole = strncmp(bad[i].text, "handlers", 8) == 0;
        snprintf(text, sizeof text, HEAD "%s%s", bad[i].text, whole ? "" : HANDLERS);
        assert_null(blueprint_parse(slice_of(text), "a.yaml", &options, &p));
        assert_problem(&p, bad[i].line, bad[i].column, bad[i].words);
        if (p.count != 1) problems_dump(&p);
        assert_int_equal(p.count, 1);
        problems_free(&p);
    }
}

/* The check of a section runs after other mistakes too, and a trigger that is none does not shift the others. */
static void test_one_run_tells_all(void **state) {
    (void)state;
    const struct blueprint_options options = {.sections = &all};
    struct problems p = {0};
    assert_null(blueprint_parse(SLICE(HEAD "handlers:\n"
                                           "  a:\n"
                                           "    command: /a\n"
                                           "    triggers:\n"
                                           "      - {http: nothing, width: 9}\n"
                                           "      - {width: 1}\n"
                                           "      - {http: GET /, width: 9}\n"),
                                "a.yaml", &options, &p));
    assert_problem(&p, 7, 16, "http: ");
    assert_problem(&p, 8, 9, "a trigger needs one of the keys \"http\", \"schedule\", \"queue\"");
    assert_problem(&p, 9, 30, "width: too wide");
    assert_int_equal(p.count, 3);
    problems_free(&p);
}

static json_t *member(json_t *value, const char *const *path) {
    for (; *path; path++) {
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(*path)) : json_object_get(value, *path);
        if (!value) fail_msg("no %s", *path);
    }
    return value;
}
#define MEMBER(value, ...) member((value), (const char *const[]){__VA_ARGS__, NULL})

static void test_published_schema(void **state) {
    (void)state;
    struct buf out = {0};
    json_error_t error;
    blueprint_print_schema(&out, &all);
    json_t *schema = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(schema);
    assert_string_equal(json_string_value(MEMBER(schema, "properties", "house", "$ref")), "#/$defs/house");
    json_t *guard = MEMBER(schema, "$defs", "guard", "oneOf");
    assert_int_equal(json_array_size(guard), 2);
    assert_string_equal(json_string_value(MEMBER(guard, "0", "properties", "type", "const")), "lock");
    assert_string_equal(json_string_value(MEMBER(guard, "0", "required", "1")), "key");
    assert_true(json_is_false(MEMBER(guard, "0", "additionalProperties")));
    assert_non_null(MEMBER(guard, "0", "properties", "quiet"));
    assert_non_null(MEMBER(guard, "0", "properties", "turns"));
    assert_null(json_object_get(MEMBER(guard, "0", "properties"), "tone"));
    assert_string_equal(json_string_value(MEMBER(guard, "1", "oneOf", "1", "required", "0")), "tune");
    json_t *trigger = MEMBER(schema, "$defs", "trigger", "properties");
    assert_string_equal(json_string_value(MEMBER(trigger, "paint", "anyOf", "0", "$ref")), "#/$defs/paint");
    assert_string_equal(json_string_value(MEMBER(trigger, "paint", "anyOf", "1", "enum", "0")), "off");
    assert_string_equal(json_string_value(MEMBER(trigger, "guard", "anyOf", "1", "type")), "array");
    json_t *claims = MEMBER(schema, "$defs", "house", "properties", "claims");
    assert_int_equal(json_object_size(claims), 1); /* only what it means */
    assert_non_null(MEMBER(schema, "$defs", "limits", "properties", "beds"));
    assert_non_null(MEMBER(schema, "$defs", "limits", "properties", "maxBody"));
    json_t *versions = MEMBER(schema, "$defs", "listener", "properties", "minVersion", "anyOf", "0", "enum");
    assert_int_equal(json_array_size(versions), 4); /* 1.2 is a number to an editor */
    json_decref(schema);
    buf_free(&out);
}

static void test_reference(void **state) {
    (void)state;
    static const char *const lines[] = {
        "| `house` | [house](#house) | none | A house. Example: `house: {}` |\n",
        "### guard\n\nGuards.\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        "| `type` | [`lock`](#lockGuard), [`bell`](#bellGuard) | **required** | Which further keys there are. |\n"
        "| `quiet` | `true`, `false` | `false` | Q. |\n",
        "#### lockGuard\n\n`type: lock`. Locks.\n",
        "| `tone` | text | **one of these is required** | T. Example: `tone: c` |\n",
        "| `paint` | [paint](#paint), or `off`, `plain` | those below | P. |\n",
        "| `guard` | text, or list of text | none | G. |\n",
        "| `width` | integer, 0 to 9 | `4` | W. |\n",
        "| `claims` | any value | none | C. |\n",
        "| `beds` | integer, 0 to 9 | `5` | B. |\n",
    };
    struct buf out = {0};
    blueprint_print_reference(&out, &all);
    buf_append_char(&out, '\0');
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(out.p, lines[i])) fail_msg("no %s in %s", lines[i], out.p);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_arrive),       cmocka_unit_test(test_absent_sections),
        cmocka_unit_test(test_triggers_by_number),  cmocka_unit_test(test_override),
        cmocka_unit_test(test_words_are_inherited), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_one_run_tells_all),   cmocka_unit_test(test_published_schema),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
