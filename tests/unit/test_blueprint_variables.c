#include "tests/unit/blueprint_helper.h"
#include <stdio.h>
#include <stdlib.h>

static const char *variables_blueprint =
    "blueprint: 1\nname: a\n"
    "variables:\n"
    "  workers: {type: integer, default: 3}\n"
    "  stage: {allowedValues: [staging, production]}\n"
    "handlers: {a: {command: [/a, \"${var.stage}\"], processes: {max: \"${var.workers}\"}}}\n";

static void test_overrides(void **state) {
    (void)state;
    struct problems p = {0};
    const struct variable_override good[] = {
        {SLICE("stage"), SLICE("staging")}, {SLICE("workers"), SLICE("5")}, {SLICE("stage"), SLICE("production")}};
    struct blueprint *b = parse_with(variables_blueprint, good, 3, &p);
    assert_non_null(b);
    assert_string_equal(b->handlers[0].command[1], "production"); /* the last one */
    assert_int_equal(b->handlers[0].processes.max, 5);
    blueprint_release(b);
    const struct variable_override wrong[] = {{SLICE("stage"), SLICE("test")},
                                              {SLICE("worker"), SLICE("5")},
                                              {SLICE("workers"), SLICE("many")},
                                              {SLICE("zzz"), SLICE("1")}};
    assert_null(parse_with(variables_blueprint, wrong, 4, &p));
    assert_int_equal(p.count, 4);
    assert_problem(&p, 0, 0,
                   "--var of the variable \"stage\": \"test\" is not one of its allowedValues: staging, production");
    assert_problem(&p, 0, 0, "--var worker: the blueprint declares no such variable; did you mean \"workers\"?");
    assert_problem(&p, 0, 0, "--var of the variable \"workers\": expected a whole number, found \"many\"");
    assert_problem(&p, 0, 0, "--var zzz: the blueprint declares no such variable");
    problems_free(&p);
}

static void test_typed_variables(void **state) {
    (void)state;
    struct blueprint *b = parse_valid(
        "blueprint: 1\nname: a\nvariables:\n"
        "  a: {type: integer, default: -5}\n  b: {type: number, default: -1.5e3}\n"
        "  c: {type: boolean, default: true}\n  d: {type: duration, default: 5m}\n"
        "  e: {type: size, default: 64KiB}\n  f: {default: \"${env.EXECGATE_TEST_NONE:-x}\"}\n"
        "handlers: {h: {command: [/a, \"${var.a}${var.b}${var.c}\", \"${var.f}\"], timeout: \"${var.d}\",\n"
        "  processes: {maxMemory: \"${var.e}\"}}}\n");
    assert_string_equal(b->handlers[0].command[1], "-5-1.5e3true");
    assert_string_equal(b->handlers[0].command[2], "x");
    assert_int_equal(b->handlers[0].timeout_ms, 300000);
    assert_int_equal(b->handlers[0].processes.max_memory, 65536);
    blueprint_release(b);
}

/* Each of these is wrong in a way that would show the value, were it not secret. */
static const char *const leaky[] = {
    "variables: {k: {secret: true, type: integer, default: hunter2}}\n",
    "variables: {k: {secret: true, default: hunter2, allowedValues: [a]}}\n",
    "variables: {k: {secret: true, default: a, allowedValues: [hunter2]}}\n",
    "variables: {k: {secret: true, default: [hunter2]}}\n",
    "variables: {k: {secret: true, allowedValues: hunter2}}\n",
    "variables: {k: {secret: yes, type: integer, default: hunter2}}\n",
    "variables: {k: {secert: true, type: integer, default: hunter2}}\n",
    "variables: {k: {secret: true, default: \"${hunter2}\"}}\n",
    "variables: {k: {secret: true, default: \"${env.hunter2!}\"}}\n",
    "variables: {k: {secret: true, default: !x hunter2}}\n",
    "variables: {k: {secret: true, default: &x hunter2}}\n",
    "variables:\n  k:\n    secret: true\n    type: integer\n    default: hunter2\n",
    "variables: {}\nvariables: {k: {secret: true, default: hunter2}}\n",
    "variables: {k: {secret: true, default: hunter2\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: /a, timeout: \"${var.k}\"}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: \"/a/${var.k}\"}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: /a, workingDirectory: \"${var.k}\"}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: /a, mode: \"${var.k}\"}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: /a, processes: {max: \"${var.k}\"}}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {command: /a, processes: \"${var.k}\"}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nhandlers: {a: {triggers: [{http: \"${var.k}\"}]}}\n",
    "variables: {k: {secret: true, default: hunter2}}\nlisten: [{http: \"${var.k}:80\"}]\n",
};

static void test_secrets_do_not_leak(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(leaky); i++) {
        char text[512];
        struct problems p = {0};
        snprintf(text, sizeof text, "blueprint: 1\nname: a\n%s", leaky[i]);
        assert_null(parse(text, &p));
        assert_true(p.count > 0);
        assert_nowhere(&p, "hunter2");
        problems_free(&p);
    }
}

static void test_secret_overrides_do_not_leak(void **state) {
    (void)state;
    struct problems p = {0};
    const struct variable_override overrides[] = {{SLICE("k"), SLICE("hunter2")}, {SLICE("unknown"), SLICE("hunter3")}};
    assert_null(parse_with("blueprint: 1\nname: a\nvariables: {k: {secret: true, type: integer}}\n"
                           "handlers: {a: {command: /a, timeout: \"${var.k}\"}}\n",
                           overrides, 2, &p));
    assert_problem(&p, 0, 0, "--var of the variable \"k\": expected a whole number, found (secret)");
    assert_nowhere(&p, "hunter");
    problems_free(&p);
}

static void test_secrets_arrive(void **state) {
    (void)state;
    struct blueprint *b = parse_valid(
        "blueprint: 1\nname: a\nvariables: {k: {secret: true, default: hunter2}}\n"
        "handlers: {a: {command: [/a, \"${var.k}\"], environment: {A: \"<${var.k}>\", B: b}}}\n");
    assert_string_equal(b->handlers[0].command[1], "hunter2");
    assert_string_equal(b->handlers[0].environment[0].value, "<hunter2>");
    assert_true(b->handlers[0].environment[0].secret);
    assert_false(b->handlers[0].environment[1].secret);
    blueprint_release(b);
}

int main(void) {
    unsetenv("EXECGATE_TEST_NONE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overrides),           cmocka_unit_test(test_typed_variables),
        cmocka_unit_test(test_secrets_do_not_leak), cmocka_unit_test(test_secret_overrides_do_not_leak),
        cmocka_unit_test(test_secrets_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
