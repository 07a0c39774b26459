#include "gateway/base/memory.h"
#include "gateway/blueprint/document.h"
#include "gateway/blueprint/report.h"
#include "gateway/blueprint/schema.h"
#include "gateway/blueprint/text_rules.h"
#include "plugins/plugin.h"
#include "tests/unit/problems_helper.h"
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
    struct node *origin;
    uint64_t count;
};
struct sample {
    struct node *origin;
    struct node *text;
    uint64_t number, duration, size, flag, choice;
    struct bound_command command;
    struct part part;
    struct bound_items parts;
    struct bound_items words;
};

static bool accepts_x(struct slice s) {
    return s.n > 0 && s.p[0] == 'x';
}
static const struct text_rule rule_x = {"something that begins with x", "^x", accepts_x};
static const char *const choices[] = {"red", "green", NULL};

#define AT(member) offsetof(struct sample, member)
static const struct schema_field part_fields[] = {
    {.name = "count",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct part, count),
     .least = 1,
     .most = 9,
     .preset = "5",
     .about = ""},
};
static const struct object_schema part_schema = {.name = "part",
                                                 .title = "a part",
                                                 .about = "",
                                                 .fields = part_fields,
                                                 .count = 1,
                                                 .size = sizeof(struct part),
                                                 .origin_offset = offsetof(struct part, origin)};
static const struct schema_field sample_fields[] = {
    {.name = "text", .kind = FIELD_TEXT, .flags = FIELD_SHOWN, .offset = AT(text), .rule = &rule_x, .about = ""},
    {.name = "number",
     .kind = FIELD_INTEGER,
     .flags = FIELD_REQUIRED,
     .offset = AT(number),
     .least = 2,
     .most = 10,
     .about = "",
     .example = "3"},
    {.name = "duration",
     .kind = FIELD_DURATION,
     .offset = AT(duration),
     .least = 1,
     .most = 60000,
     .preset = "2s",
     .about = ""},
    {.name = "size", .kind = FIELD_SIZE, .offset = AT(size), .most = 1024, .preset = "0", .about = ""},
    {.name = "flag", .kind = FIELD_BOOLEAN, .offset = AT(flag), .preset = "false", .about = ""},
    {.name = "choice", .kind = FIELD_ENUM, .offset = AT(choice), .choices = choices, .preset = "green", .about = ""},
    {.name = "command", .kind = FIELD_COMMAND, .offset = AT(command), .about = ""},
    {.name = "part", .kind = FIELD_OBJECT, .offset = AT(part), .object = &part_schema, .about = ""},
    {.name = "parts",
     .kind = FIELD_LIST,
     .offset = AT(parts),
     .least = 1,
     .most = 2,
     .object = &part_schema,
     .about = ""},
    {.name = "words", .kind = FIELD_MAP, .offset = AT(words), .key_rule = &rule_x, .about = ""},
};
static const struct object_schema sample_schema = {.name = "sample",
                                                   .title = "a sample",
                                                   .about = "",
                                                   .fields = sample_fields,
                                                   .count = ARRAY_LEN(sample_fields),
                                                   .size = sizeof(struct sample),
                                                   .origin_offset = AT(origin)};

struct fixture {
    struct arena arena;
    struct problems problems;
    struct variable variables[2];
    struct substitution substitution;
    struct binder binder;
    struct sample sample;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 1024);
    f->variables[0] = (struct variable){.name = SLICE("n"), .value = SLICE("7")};
    f->variables[1] = (struct variable){.name = SLICE("password"), .value = SLICE("xhunter2"), .secret = true};
    f->substitution = (struct substitution){&f->arena, &f->problems, "/", f->variables, 2};
    f->binder = (struct binder){&f->arena, &f->problems, &f->substitution};
    *state = f;
    return 0;
}
static int teardown(void **state) {
    struct fixture *f = *state;
    arena_free(&f->arena);
    problems_free(&f->problems);
    free(f);
    return 0;
}

static void bind(struct fixture *f, const char *text) {
    problems_begin(&f->problems, "t.yaml", slice_of(text));
    struct node *root = tree_parse(slice_of(text), &f->arena, &f->problems);
    assert_non_null(root);
    schema_clear(&sample_schema, &f->sample);
    schema_bind(&f->binder, &sample_schema, root, &f->sample);
}

static void test_all_kinds(void **state) {
    struct fixture *f = *state;
    bind(f, "text: xy\nnumber: 3\nduration: 250ms\nsize: 1KiB\nflag: true\nchoice: red\ncommand: a 'b c'\n"
            "part: {count: 2}\nparts: [{count: 3}, {}]\nwords: {x1: one, x2: 2}\n");
    schema_preset(&sample_schema, &f->sample);
    const struct sample *s = &f->sample;
    assert_int_equal(f->problems.count, 0);
    assert_slice(s->text->text, "xy");
    assert_int_equal(s->number, 3);
    assert_int_equal(s->duration, 250);
    assert_int_equal(s->size, 1024);
    assert_int_equal(s->flag, 1);
    assert_int_equal(s->choice, 0);
    assert_int_equal(s->command.count, 2);
    assert_slice(s->command.words[1]->text, "b c");
    assert_int_equal(s->part.count, 2);
    assert_int_equal(s->parts.count, 2);
    assert_int_equal(((struct part *)s->parts.items)[0].count, 3);
    assert_int_equal(((struct part *)s->parts.items)[1].count, 5); /* the default */
    assert_slice(s->words.keys[1]->text, "x2");
    assert_slice(((struct node **)s->words.items)[1]->text, "2");
}

static void test_unset_then_preset(void **state) {
    struct fixture *f = *state;
    bind(f, "number: 2\n");
    assert_int_equal(f->sample.duration, VALUE_UNSET);
    assert_int_equal(f->sample.part.count, VALUE_UNSET);
    assert_null(f->sample.text);
    schema_preset(&sample_schema, &f->sample);
    assert_int_equal(f->sample.duration, 2000);
    assert_int_equal(f->sample.size, 0);
    assert_int_equal(f->sample.choice, 1);
    assert_int_equal(f->sample.part.count, 5);
}

static const struct mistake {
    const char *text; /* appended to "number: 3\n", so its first line is 2 */
    int column;
    const char *words;
} mistakes[] = {
    {"text: y", 7, "text: expected something that begins with x, found \"y\""},
    {"text:", 6, "found nothing"},
    {"text: [x]", 7, "found a list"},
    {"text: ${var.password}", 7, "a secret may not be used here"},
    {"duration: 5", 11, "found \"5\"; a unit is missing, such as 5s"},
    {"duration: 5 s", 11, "expected a duration such as 250ms, 30s, 5m or 1h, found \"5 s\"; write 5s"},
    {"duration: 5min", 11, "; write 5m"},
    {"duration: 2m", 11, "\"2m\" is too large; the most is 1m"},
    {"duration: 0ms", 11, "\"0ms\" is too small; the least is 1ms"},
    {"duration: {}", 11, "found a map"},
    {"duration: 99999999999999999999s", 11, "expected a duration"},
    {"duration: ${var.password}", 11, "found (secret)"},
    {"size: 5", 7, "such as 5MiB"},
    {"size: 1MB", 7, "expected a size such as"},
    {"size: 1MiB", 7, "too large; the most is 1KiB"},
    {"flag: yes", 7, "expected true or false, found \"yes\"; write true"},
    {"flag: off", 7, "write false"},
    {"flag: \"true\"", 7, "in quotes; write it without them"},
    {"choice: gren", 9, "one of red, green, found \"gren\"; did you mean \"green\"?"},
    {"choice: ${var.password}", 9, "one of red, green, found (secret)"},
    {"command: \"\"", 10, "found an empty text"},
    {"command: []", 10, "found an empty list"},
    {"command: ['']", 10, "found an empty list"},
    {"command: {}", 10, "expected an executable with its arguments"},
    {"command:", 9, "found nothing"},
    {"command: [a, [b]]", 14, "expected a word of the command, found a list"},
    {"command: a 'b", 10, "never closed"},
    {"command: [\"${var.password}\"]", 11, "the executable's name may not be a secret"},
    {"part: 3", 7, "expected a part as a map of keys, found \"3\""},
    {"part: {count: 0}", 15, "too small"},
    {"part: {conut: 1}", 8, "unknown key \"conut\" in a part; did you mean \"count\"?"},
    {"parts: {count: 1}", 8, "expected a list, found a map; begin each item with \"- \""},
    {"parts: []", 8, "expected at least 1"},
    {"parts: [{}, {}, {}]", 8, "3 are too many; the most is 2"},
    {"words: {y: 1}", 9, "expected something that begins with x as a key, found \"y\""},
    {"words: [x]", 8, "expected a map, found a list"},
    {"words: {x: [1]}", 12, "words: expected text, found a list"},
    {"durration: 1s", 1, "unknown key \"durration\" in a sample; did you mean \"duration\"?"},
    {"zebra: 1", 1, "it takes: text, number, duration, size, flag, choice, command, part, parts, words"},
};

static void test_mistakes(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        char text[128];
        snprintf(text, sizeof text, "number: 3\n%s\n", mistakes[i].text);
        bind(f, text);
        assert_problem(&f->problems, 2, mistakes[i].column, mistakes[i].words);
        assert_int_equal(f->problems.count, 1);
    }
}

static void test_required_keys(void **state) {
    struct fixture *f = *state;
    bind(f, "text: x\n");
    assert_problem(&f->problems, 1, 1, "a sample needs the key \"number\", for example `number: 3`");
    bind(f, "nunber: 3\n"); /* told once, under the name it has */
    assert_int_equal(f->problems.count, 1);
    assert_problem(&f->problems, 1, 1, "did you mean \"number\"?");
    bind(f, "[1]\n");
    assert_problem(&f->problems, 1, 1, "expected a sample as a map of keys, found a list");
}

static void test_numbers_and_substitution(void **state) {
    struct fixture *f = *state;
    bind(f, "number: \"${var.n}\"\n");
    assert_int_equal(f->problems.count, 0);
    assert_int_equal(f->sample.number, 7);
    bind(f, "number: \"7\"\n");
    assert_problem(&f->problems, 1, 9, "in quotes");
    bind(f, "number: 3\npart: {count: \"${var.n}${var.n}\"}\n");
    assert_problem(&f->problems, 2, 15, "\"77\" is too large; the most is 9");
    bind(f, "number: -1\n");
    assert_problem(&f->problems, 1, 9, "expected a whole number from 2 to 10, found \"-1\"");
    bind(f, "number: 3.5\n");
    assert_int_equal(f->problems.count, 1);
    bind(f, "number: ${var.none}\n"); /* one problem, not two */
    assert_int_equal(f->problems.count, 1);
}

/* What comes in by a variable cannot become two arguments. */
static void test_command_splits_before_substitution(void **state) {
    struct fixture *f = *state;
    f->variables[0].value = SLICE("a b; 'c");
    bind(f, "number: 3\ncommand: run ${var.n} \"<${var.n}>\"\n");
    assert_int_equal(f->problems.count, 0);
    assert_int_equal(f->sample.command.count, 3);
    assert_slice(f->sample.command.words[1]->text, "a b; 'c");
    assert_slice(f->sample.command.words[2]->text, "<a b; 'c>");
}

static void test_inherit(void **state) {
    struct fixture *f = *state;
    static const struct schema_field shared_fields[] = {
        {.name = "duration", .kind = FIELD_DURATION, .offset = AT(duration), .least = 1, .most = 60000, .preset = "2s"},
        {.name = "part", .kind = FIELD_OBJECT, .offset = AT(part), .object = &part_schema},
        {.name = "words", .kind = FIELD_MAP, .offset = AT(words)},
    };
    static const struct object_schema shared_schema = {.name = "shared",
                                                       .title = "shared",
                                                       .fields = shared_fields,
                                                       .count = ARRAY_LEN(shared_fields),
                                                       .size = sizeof(struct sample),
                                                       .origin_offset = AT(origin)};
    bind(f, "number: 3\nduration: 9s\npart: {count: 4}\nwords: {xa: one, xb: two}\n");
    struct sample shared = f->sample;
    bind(f, "number: 3\nduration: 1s\nwords: {xb: mine}\n");
    schema_inherit(&f->arena, &shared_schema, &f->sample, &shared);
    struct node **words = f->sample.words.items;
    assert_int_equal(f->sample.duration, 1000);
    assert_int_equal(f->sample.part.count, 4);
    assert_int_equal(f->sample.words.count, 2);
    assert_slice(words[0]->text, "mine");
    assert_slice(f->sample.words.keys[1]->text, "xa");
    assert_slice(words[1]->text, "one");
}

static json_t *published_schema(void) {
    struct buf out = {0};
    json_error_t error;
    const struct sections sections = plugins_sections();
    blueprint_print_schema(&out, &sections);
    json_t *schema = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (!schema) print_error("%s at %d\n", error.text, error.position);
    buf_free(&out);
    assert_non_null(schema);
    return schema;
}

static void assert_pattern_compiles(const char *pattern) {
    regex_t compiled;
    int result = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (result != 0) print_error("pattern %s\n", pattern);
    assert_int_equal(result, 0);
    regfree(&compiled);
}

/* Walks the published schema: references lead somewhere, patterns compile. */
static void check_schema_value(json_t *root, json_t *value) {
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value)) json_array_foreach(value, i, member) check_schema_value(root, member);
    if (!json_is_object(value)) return;
    const char *reference = json_string_value(json_object_get(value, "$ref"));
    if (reference) {
        assert_int_equal(strncmp(reference, "#/$defs/", 8), 0);
        assert_non_null(json_object_get(json_object_get(root, "$defs"), reference + 8));
    }
    const char *pattern = json_string_value(json_object_get(value, "pattern"));
    if (pattern) assert_pattern_compiles(pattern);
    json_object_foreach(value, key, member) check_schema_value(root, member);
}

static void test_published_schema(void **state) {
    (void)state;
    json_t *schema = published_schema();
    check_schema_value(schema, schema);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    json_t *handler = json_object_get(json_object_get(schema, "$defs"), "handler");
    json_t *properties = json_object_get(handler, "properties");
    json_t *either = json_object_get(handler, "anyOf");
    assert_int_equal(json_array_size(either), 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(
            json_string_value(json_array_get(json_object_get(json_array_get(either, i), "required"), 0)),
            i ? "attach" : "command");
    assert_string_equal(json_string_value(json_object_get(json_object_get(properties, "timeout"), "default")), "30s");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(properties, "queueLimit"), "default")), 1000);
    json_decref(schema);
}

/* A rule and the pattern that is published for it must agree. */
static void test_rules_agree_with_their_patterns(void **state) {
    (void)state;
    static const char *const samples[] = {"a",
                                          "A",
                                          "a-b",
                                          "-a",
                                          "9a",
                                          "a_b",
                                          "_a",
                                          "a.b",
                                          "",
                                          "a b",
                                          "\xc3\xa9",
                                          "a123456789012345678901234567890123456789012345678901234567890123",
                                          "a1234567890123456789012345678901234567890123456789012345678901234"};
    const struct object_schema *root = &blueprint_schema;
    size_t checked = 0;
    for (size_t i = 0; i < root->count; i++) {
        const struct text_rule *rule = root->fields[i].key_rule ? root->fields[i].key_rule : root->fields[i].rule;
        if (!rule || rule == &rule_listener) continue; /* what listener_parse accepts is no pattern */
        regex_t compiled;
        assert_int_equal(regcomp(&compiled, rule->pattern, REG_EXTENDED | REG_NOSUB), 0);
        for (size_t k = 0; k < ARRAY_LEN(samples); k++) {
            assert_int_equal(rule->accepts(slice_of(samples[k])), regexec(&compiled, samples[k], 0, NULL, 0) == 0);
        }
        regfree(&compiled);
        checked++;
    }
    assert_int_equal(checked, 6);
}

static char *read_document(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 18);
    size_t n = fread(text, 1, (1 << 18) - 1, file);
    fclose(file);
    assert_in_range(n, 1000, (1 << 18) - 2);
    return text;
}

/* `make docs` mends it. */
static void test_reference_in_the_documentation_is_current(void **state) {
    (void)state;
    char *document = read_document("docs/blueprint.md");
    struct buf reference = {0};
    buf_append_text(&reference, "<!-- reference: begin -->\n");
    const struct sections sections = plugins_sections();
    blueprint_print_reference(&reference, &sections);
    buf_append(&reference, "<!-- reference: end -->\n", sizeof "<!-- reference: end -->\n");
    assert_non_null(strstr(document, reference.p));
    buf_free(&reference);
    free(document);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_all_kinds),
        CASE(test_unset_then_preset),
        CASE(test_mistakes),
        CASE(test_required_keys),
        CASE(test_numbers_and_substitution),
        CASE(test_command_splits_before_substitution),
        CASE(test_inherit),
        cmocka_unit_test(test_published_schema),
        cmocka_unit_test(test_rules_agree_with_their_patterns),
        cmocka_unit_test(test_reference_in_the_documentation_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
