#include "tests/unit/blueprint_helper.h"
#include <stdio.h>
#include <stdlib.h>

/* `text` follows "blueprint: 1\nname: shop\n"; its first line is 3. */
static const struct bad {
    const char *text;
    int line, column;
    const char *words;
} bad[] = {
    {"", 1, 1, "a blueprint needs the key \"handlers\""},
    {"handlers: {}\n", 3, 11, "handlers: expected at least 1"},
    {"handlers:\n", 3, 10, "handlers: expected a map, found nothing"},
    {"handlers: [a]\n", 3, 11, "handlers: expected a map, found a list"},
    {"handlers: {Bad_Name: {command: /a}}\n", 3, 12, "as a key, found \"Bad_Name\""},
    {"handlers: {a: {}}\n", 3, 15, "a handler needs the key \"command\", for example"},
    {"handlers: {a: }\n", 3, 15, "expected a handler as a map of keys, found nothing"},
    {"handlers: {a: {comand: /a}}\n", 3, 16, "unknown key \"comand\" in a handler; did you mean \"command\"?"},
    {"handlers: {a: {command: /a, colour: x}}\n", 3, 29,
     "unknown key \"colour\" in a handler; it takes: command, mode, socket, build, sources, attach"},
    {"handlers: {a: {attach: false}}\n", 3, 24, "attach: false leaves a without a process"},
    {"handlers: {a: {attach: true, mode: once}}\n", 3, 24, "only `mode: runtime` can be attached"},
    {"handlers: {a: {command: /a, sources: []}}\n", 3, 38, "sources"},
    {"cors: {}\n", 3, 1,
     "unknown key \"cors\" in a blueprint; it takes: blueprint, name, listen, admin, trustedProxies"},
    {"auth: {}\n", 3, 1, "unknown key \"auth\""},
    {"queues: {A: {}}\n", 3, 10, "a name"},
    {"queues: {a: {visibilityTimeout: 10ms}}\n", 3, 33, "visibilityTimeout"},
    {"queues: {a: {retry: {factor: 0}}}\n", 3, 30, "factor"},
    {"queues: {a: {send: [{batch: 1}]}}\n", 3, 21, "needs one of the keys"},
    {"queues: {a: {send: [{queue: a}]}}\n", 3, 29, "only http triggers can send to a queue"},
    {"queues: {a: {send: [{schedule: rate(1 day)}]}}\n", 3, 32, "only http triggers can send to a queue"},
    {"queues: {a: {send: [{websocket: /a}]}}\n", 3, 33, "only http triggers can send to a queue"},
    {"queues: {a: {send: [{http: GET /a}]}}\n", 3, 28, "GET has none; write POST"},
    {"queues: {a: {send: [{http: HEAD /a}]}}\n", 3, 28, "HEAD has none; write POST"},
    {"queues: {a: }\n", 3, 13, "expected a queue as a map of keys, found nothing; {} is an empty one"},
    {"queues: {a: {retry: {base: 10m}}}\n", 3, 10, "`base` (600000 ms) is longer than `max` (300000 ms)"},
    {"queues: {a: {store: redis, url: \"rediss://h\"}}\n", 3, 33, "TLS"},
    {"queues: {a: {store: redis, url: \"http://h\"}}\n", 3, 33, "does not begin with redis://"},
    {"queues: {a: {store: redis, url: \"redis://h:99999\"}}\n", 3, 33, "has no valid port"},
    {"queues: {orders: {deadLetter: order-dead}, orders-dead: {}}\n", 3, 10, "did you mean \"orders-dead\"?"},
    {"handlers: {a: {command: /a, triggers: [{schedule: \"@daily\"}]}}\n", 3, 51, "or cron(...), or rate(5 minutes)"},
    {"plugins: {}\n", 3, 1, "unknown key \"plugins\""},
    {"websockets: {paths: {/a: {}}}\n", 3, 22, "no trigger has this path"},
    {"handlers: {a: {command: /a, triggers: [{websocket: a}]}}\n", 3, 52, "a path such as"},
    {"handlers: {a: {command: /a, triggers: [{websocket: \"/a/{b\"}]}}\n", 3, 52, "websocket: "},
    {"handlers: {a: {command: /a, triggers: [{websocket: \"/a/{b\"}]}}\nwebsockets: {paths: {\"/a/{b\": {}}}\n", 4, 22,
     "websocket: "},
    {"handlers: {a: {command: /a, triggers: [{websocket: /chat}]}}\nwebsockets: {paths: {chat: {}}}\n", 4, 22,
     "chat: a path begins with /; write /chat"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a}]}}\nwebsockets: {paths: {/a: {acknowledge: true}}}\n", 4,
     40, "found \"true\"; {} is an empty one"},
    {"websockets: {lease: 5s}\n", 3, 21, "lease: says nothing without `cluster`"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a, route: $conect}]}}\n", 3, 63,
     "there is no event $conect; did you mean \"$connect\"?"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a, route: $x}]}}\n", 3, 63,
     "expected $connect, $disconnect, $default or a name without $"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a, route: \"\"}]}}\n", 3, 63, "route: a name is missing"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /chat}]}}\nwebsockets: {paths: {/chta: {}}}\n", 4, 22,
     "no trigger has this path; did you mean \"/chat\"?"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a}]}}\nwebsockets: {paths: {/a: {authTimeout: 5s}}}\n", 4, 40,
     "authTimeout: says nothing without `auth: message`"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a}]}}\nwebsockets: {paths: {/a: {messageBurst: 5}}}\n", 4, 41,
     "messageBurst: says nothing without `messageRate`"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a}]}}\n"
     "websockets: {paths: {/a: {routeKey: $request.body.type}}}\n",
     4, 37, "routeKey: the name of a member, found \"$request.body.type\"; write type"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a}]}}\nwebsockets: {paths: {/a: {routeKey: \"\"}}}\n", 4, 37,
     "routeKey: a name is missing"},
    {"handlers: {a: {command: /a, triggers: [{websocket: /a, batch: 1}]}}\n", 3, 56, "only a queue trigger"},
    {"defaults: {mode: once}\n", 3, 12, "unknown key \"mode\" in `defaults`"},
    {"defaults: {timeout: 2d}\n", 3, 21, "the most is 1d"},
    {"handlers: {a: {command: /a, triggers: [{queue: x}]}}\n", 3, 48, "there is no queue \"x\""},
    {"handlers: {a: {command: /a, triggers: [{topic: x}]}}\n", 3, 41,
     "unknown key \"topic\" in a trigger; it takes: http, schedule"},
    {"handlers: {a: {command: /a, triggers: {http: GET /}}}\n", 3, 39, "begin each item with \"- \""},
    {"handlers: {a: {command: /a, triggers: [{http: GET /, guard: none}]}}\n", 3, 54, "unknown key \"guard\""},
    {"listen: []\n", 3, 9, "listen: expected at least 1"},
    {"listen: [{}]\n", 3, 10,
     "a listener needs one of the keys \"http\", \"https\", for example `http: 127.0.0.1:8080`"},
    {"listen: [{htps: \"0.0.0.0:1\"}]\n", 3, 11, "unknown key \"htps\" in a listener; did you mean \"https\"?"},
    {"listen: [{http: 8080}]\n", 3, 17, "expected host:port, :port, [v6]:port or unix:path, found \"8080\""},
    {"listen: [{http: \"example.com:80\"}]\n", 3, 17, "\"example.com\" is no numeric address"},
    {"listen: [{http: \"::1:80\"}]\n", 3, 17, "put an IPv6 address in brackets"},
    {"listen: [{http: \"127.0.0.1:99999\"}]\n", 3, 17, "\"99999\" is no port"},
    {"listen: [{http: \"127.0.0.1:\"}]\n", 3, 17, "\"\" is no port"},
    {"listen: [{http: \"unix:\"}]\n", 3, 17, "a path is missing after unix:"},
    {"listen: [{http: \":80\"}, {http: \"0.0.0.0:80\"}]\n", 3, 32, "is listened on twice"},
    {"limits: {maxHeader: 2MiB}\n", 3, 21, "\"2MiB\" is too large; the most is 1MiB"},
    {"limits: {maxBody: 2GiB}\n", 3, 19, "the most is 1GiB"},
    {"limits: {connections: 0}\n", 3, 23, "\"0\" is too small; the least is 1"},
    {"limits: {bodyTimeout: 30}\n", 3, 23, "such as 30s"},
    {"handlers: {a: {command: /a, timeout: 0ms}}\n", 3, 38, "the least is 1ms"},
    {"handlers: {a: {command: /a, timeout: 25h}}\n", 3, 38, "the most is 1d"},
    {"handlers: {a: {command: /a, mode: cgi}}\n", 3, 35, "expected one of runtime, once, server, found \"cgi\""},
    {"handlers: {a: {command: /a, socket: port}}\n", 3, 37, "only a handler with `mode: server` has one"},
    {"handlers: {a: {command: /a, mode: once, processes: {concurrency: 2}}}\n", 3, 66,
     "a process with `mode: once` holds one event"},
    {"handlers: {a: {command: /a, processes: {min: 5}}}\n", 3, 46, "min (5) is more than max (4) for the handler a"},
    {"defaults: {processes: {min: 3}}\nhandlers: {a: {command: /a, processes: {max: 2}}}\n", 4, 46,
     "min (3) is more than max (2)"},
    {"handlers: {a: {command: /a, processes: {max: 1025}}}\n", 3, 46, "\"1025\" is too large; the most is 1024"},
    {"handlers: {a: {command: /a, processes: {max: 0}}}\n", 3, 46, "too small"},
    {"handlers: {a: {command: /a, processes: {concurrency: 1025}}}\n", 3, 54, "too large"},
    {"handlers: {a: {command: /a, environment: {\"A-B\": 1}}}\n", 3, 43, "the name of an environment variable"},
    {"handlers: {a: {command: /a, environment: {AWS_LAMBDA_RUNTIME_API: x}}}\n", 3, 43,
     "AWS_LAMBDA_RUNTIME_API may not be set here: execgate"},
    {"handlers: {a: {command: /a, environment: {EXECGATE_X: x}}}\n", 3, 43, "execgate's own variables begin so"},
    {"handlers: {a: {command: /a, environment: {_HANDLER: x}}}\n", 3, 43, "may not be set here"},
    {"handlers: {a: {command: /a, mode: server, environment: {PORT: 1}}}\n", 3, 57, "PORT may not be set here"},
    {"handlers: {a: {command: /a, mode: once, environment: {HTTP_PROXY: 1}}}\n", 3, 55, "RFC 3875"},
    {"defaults: {environment: {LISTEN_FDS: 1}}\nhandlers: {a: {command: /a}}\n", 3, 26, "LISTEN_FDS may not be set"},
    {"handlers: {a: {command: /a, environment: {A: [1]}}}\n", 3, 46, "expected text, found a list"},
    {"handlers: {a: {command: /a, environment: {A: }}}\n", 3, 46, "write \"\" for an empty text"},
    {"handlers: {a: {command: /a, environment: {A: \"${env.EXECGATE_TEST_NONE}\"}}}\n", 3, 46,
     "EXECGATE_TEST_NONE is not set"},
    {"handlers: {a: {command: /a}, a: {command: /b}}\n", 3, 30, "\"a\" stands twice in this map, first on line 3"},
    {"handlers:\n  a: {command: /a, triggers: [{http: GET /x}, {http: GET /x}]}\n", 4, 54,
     "GET /x of a is the same route as GET /x of a on line 4, column 38"},
    {"handlers:\n  a: {command: /a, triggers: [{http: \"GET /x/{id}\"}]}\n  b: {command: /b, triggers: [{http: \"GET "
     "/x/{name}\"}]}\n",
     5, 38, "GET /x/{name} of b matches the same requests as GET /x/{id} of a on line 4, column 38"},
    {"handlers:\n  a: {command: /a, triggers: [{http: \"ANY /{x+}\"}, {http: \"ANY /{y+}\"}]}\n", 4, 59,
     "matches the same requests"},
    {"variables: {a: {tpye: integer}}\nhandlers: {a: {command: /a}}\n", 3, 17, "did you mean \"type\"?"},
    {"variables: {a: {type: int}}\nhandlers: {a: {command: /a}}\n", 3, 23, "expected one of string, integer"},
    {"variables: {a: {type: integer, default: x}}\n", 3, 41,
     "default of the variable \"a\": expected a whole number, found \"x\""},
    {"variables: {a: {type: number, default: 0x10}}\n", 3, 40, "expected a number"},
    {"variables: {a: {type: boolean, default: yes}}\n", 3, 41, "expected true or false"},
    {"variables: {a: {type: duration, default: 3}}\n", 3, 42, "expected a duration"},
    {"variables: {a: {type: size, default: 3}}\n", 3, 38, "expected a size"},
    {"variables: {a: {default: x, allowedValues: [y, z]}}\n", 3, 26, "\"x\" is not one of its allowedValues: y, z"},
    {"variables: {a: {allowedValues: []}}\n", 3, 32, "allowedValues: expected at least 1"},
    {"variables: {\"a b\": {}}\n", 3, 13, "a variable's name"},
    {"variables: {a: {default: \"${var.b}\"}, b: {}}\n", 3, 26, "cannot refer to another one"},
    {"variables: {a: {}}\nhandlers: {a: {command: [/a, \"${var.a}\"]}}\n", 4, 30,
     "\"a\" has no value; run with --var a=VALUE"},
};

static void test_bad_blueprints(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[512];
        struct problems p = {0};
        snprintf(text, sizeof text, "blueprint: 1\nname: shop\n%s", bad[i].text);
        assert_null(parse(text, &p));
        assert_problem(&p, bad[i].line, bad[i].column, bad[i].words);
        assert_string_equal(p.items[0].file, "/srv/shop/shop.yaml");
        problems_free(&p);
    }
}

static const struct bad_head {
    const char *text;
    int line, column;
    const char *words;
} bad_heads[] = {
    {"name: a\nhandlers: {a: {command: /a}}\n", 1, 1,
     "a blueprint needs the key \"blueprint\", for example `blueprint: 1`"},
    {"blueprint: 1\nhandlers: {a: {command: /a}}\n", 1, 1, "a blueprint needs the key \"name\""},
    {"blueprint: one\nname: a\n", 1, 12, "blueprint: expected the number 1, found \"one\""},
    {"blueprint: \"1\"\nname: a\n", 1, 12, "in quotes"},
    {"blueprint: 1\nname: My Shop\n", 2, 7, "name: expected a name (lower-case letters"},
    {"blueprint: 1\nname: \"\"\n", 2, 7, "name: expected a name"},
    {"[]\n", 1, 1, "expected a blueprint as a map of keys, found a list"},
    {"hello\n", 1, 1, "expected a blueprint as a map of keys, found \"hello\""},
};

static void test_bad_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_heads); i++) {
        struct problems p = {0};
        assert_null(parse(bad_heads[i].text, &p));
        assert_problem(&p, bad_heads[i].line, bad_heads[i].column, bad_heads[i].words);
        problems_free(&p);
    }
}

static void test_another_version_is_the_only_problem(void **state) {
    (void)state;
    struct problems p = {0};
    assert_null(parse("blueprint: 2\nsomething: else\n", &p));
    assert_int_equal(p.count, 1);
    assert_problem(&p, 1, 12, "version 2 of the format is unknown; this execgate reads version 1");
    problems_free(&p);
}

static void test_an_unknown_key_of_a_trigger_is_told_once(void **state) {
    (void)state;
    struct problems p = {0};
    assert_null(parse(
        "blueprint: 1\nname: a\nhandlers:\n  a: {command: /a, triggers: [{schedule: rate(1 day), timezone: UTC}]}\n",
        &p));
    assert_int_equal(p.count, 1);
    assert_problem(&p, 4, 55, "did you mean \"timeZone\"?");
    problems_free(&p);
}

static void test_all_problems_in_the_order_of_the_file(void **state) {
    (void)state;
    struct problems p = {0};
    assert_null(
        parse("blueprint: 1\nname: Shop\nlimit: {}\nhandlers:\n  a:\n    command: [/a, \"${var.x}\"]\n    timeout: 5\n"
              "    triggers:\n      - http: get /\n      - http: GET /a/{b}c\n  b: {command: /b, socket: port}\n",
              &p));
    assert_int_equal(p.count, 7);
    for (size_t i = 1; i < p.count; i++) assert_true(p.items[i - 1].line <= p.items[i].line);
    assert_problem(&p, 2, 7, "name:");
    assert_problem(&p, 3, 1, "did you mean \"limits\"?");
    assert_problem(&p, 6, 19, "no variable is named \"x\"");
    assert_problem(&p, 7, 14, "timeout:");
    assert_problem(&p, 9, 15, "\"get\" is no method; did you mean \"GET\"?");
    assert_problem(&p, 10, 15, "a brace is out of place");
    assert_problem(&p, 11, 28, "socket:");
    problems_free(&p);
}

static void test_a_mistake_in_defaults_is_told_once(void **state) {
    (void)state;
    struct problems p = {0};
    assert_null(parse("blueprint: 1\nname: a\ndefaults: {timeout: x, environment: {EXECGATE_A: 1}}\n"
                      "handlers: {a: {command: /a}, b: {command: /b}}\n",
                      &p));
    assert_int_equal(p.count, 2);
    problems_free(&p);
}

static void test_too_many_problems(void **state) {
    (void)state;
    for (unsigned count = PROBLEMS_MAX; count <= 5000; count += 4950) {
        struct problems p = {0};
        struct buf text = {0};
        buf_append_text(&text, "blueprint: 1\nname: a\nhandlers: {a: {command: /a}}\n");
        for (unsigned i = 0; i < count; i++) buf_printf(&text, "key%u: 1\n", i);
        assert_null(blueprint_parse(buf_slice(&text), "a.yaml", NULL, &p));
        bool cut = count > PROBLEMS_MAX;
        assert_int_equal(p.count, PROBLEMS_MAX + cut);
        if (cut) assert_non_null(strstr(p.items[PROBLEMS_MAX].message, "only the first 50 are shown"));
        problems_free(&p);
        buf_free(&text);
    }
}

int main(void) {
    unsetenv("EXECGATE_TEST_NONE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_blueprints),
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_another_version_is_the_only_problem),
        cmocka_unit_test(test_an_unknown_key_of_a_trigger_is_told_once),
        cmocka_unit_test(test_all_problems_in_the_order_of_the_file),
        cmocka_unit_test(test_a_mistake_in_defaults_is_told_once),
        cmocka_unit_test(test_too_many_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
