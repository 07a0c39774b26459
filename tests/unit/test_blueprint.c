#include "gateway/base/memory.h"
#include "gateway/blueprint/environment.h"
#include "gateway/blueprint/report.h"
#include "gateway/blueprint/route_text.h"
#include "tests/unit/problems_helper.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct blueprint *parse_with(const char *text, const struct variable_override *overrides, size_t count,
                                    struct problems *p) {
    const struct blueprint_options options = {.overrides = overrides, .override_count = count};
    return blueprint_parse(slice_of(text), "/srv/shop/shop.yaml", &options, p);
}
static struct blueprint *parse(const char *text, struct problems *p) {
    return parse_with(text, NULL, 0, p);
}

static struct blueprint *parse_valid(const char *text) {
    struct problems p = {0};
    struct blueprint *b = parse(text, &p);
    problems_dump(&p);
    assert_non_null(b);
    assert_int_equal(p.count, 0);
    problems_free(&p);
    return b;
}

static void test_five_lines_and_defaults(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: hello\nhandlers:\n  hello:\n    command: bin/hello\n");
    assert_string_equal(b->name, "hello");
    assert_string_equal(b->file, "/srv/shop/shop.yaml");
    assert_int_equal(b->listener_count, 1);
    assert_string_equal(b->listeners[0].host, "127.0.0.1");
    assert_int_equal(b->listeners[0].port, 8080);
    assert_int_equal(b->limits.connections, 20000);
    assert_int_equal(b->limits.in_flight, 10000);
    assert_int_equal(b->limits.max_body, 10 << 20);
    assert_int_equal(b->limits.max_answer, 6 << 20);
    assert_int_equal(b->limits.max_header, 16 << 10);
    assert_int_equal(b->limits.header_timeout_ms, 10000);
    assert_int_equal(b->limits.body_timeout_ms, 30000);
    assert_int_equal(b->limits.idle_timeout_ms, 75000);
    assert_int_equal(b->limits.shutdown_timeout_ms, 30000);
    const struct handler_config *h = &b->handlers[0];
    assert_int_equal(b->handler_count, 1);
    assert_string_equal(h->name, "hello");
    assert_int_equal(h->mode, HANDLER_RUNTIME);
    assert_int_equal(h->timeout_ms, 30000);
    assert_int_equal(h->queue_limit, 1000);
    assert_int_equal(h->processes.min, 0);
    assert_int_equal(h->processes.max, 4);
    assert_int_equal(h->processes.concurrency, 1);
    assert_int_equal(h->processes.start_timeout_ms, 10000);
    assert_int_equal(h->processes.idle_timeout_ms, 60000);
    assert_int_equal(h->processes.stop_timeout_ms, 5000);
    assert_int_equal(h->processes.max_invocations, 0);
    assert_int_equal(h->processes.max_memory, 0);
    assert_int_equal(h->http_trigger_count, 0);
    assert_int_equal(h->line, 4);
    assert_int_equal(h->column, 3);
    blueprint_release(b);
}

static void test_paths_are_relative_to_the_file(void **state) {
    (void)state;
    char cwd[PATH_MAX], expected[PATH_MAX + 32];
    struct problems p = {0};
    assert_non_null(getcwd(cwd, sizeof cwd));
    struct blueprint *b = blueprint_parse(
        SLICE("blueprint: 1\nname: a\nlisten: [{http: 'unix:run/s'}]\nhandlers:\n"
              "  a: {command: [./bin/a, ./x], workingDirectory: sub}\n  b: {command: /bin/b}\n"),
        "a.yaml", NULL, &p);
    assert_non_null(b);
    assert_string_equal(b->directory, cwd);
    snprintf(expected, sizeof expected, "%s/bin/a", cwd);
    assert_string_equal(b->handlers[0].command[0], expected);
    assert_string_equal(b->handlers[0].command[1], "./x");
    assert_null(b->handlers[0].command[2]);
    snprintf(expected, sizeof expected, "%s/sub", cwd);
    assert_string_equal(b->handlers[0].working_directory, expected);
    assert_string_equal(b->handlers[1].command[0], "/bin/b");
    assert_string_equal(b->handlers[1].working_directory, cwd);
    snprintf(expected, sizeof expected, "%s/run/s", cwd);
    assert_string_equal(b->listeners[0].path, expected);
    blueprint_release(b);
    problems_free(&p);
}

static void test_whole_example(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\n"
                                      "name: shop\n"
                                      "listen:\n"
                                      "  - http: 0.0.0.0:80\n"
                                      "  - http: \"[::1]:81\"\n"
                                      "limits: {maxBody: 2MiB, idleTimeout: 24h}\n"
                                      "variables:\n"
                                      "  workers: {type: integer, default: 8}\n"
                                      "defaults:\n"
                                      "  timeout: 20s\n"
                                      "  environment: {A: one, B: two}\n"
                                      "  processes: {max: 6, concurrency: 3}\n"
                                      "handlers:\n"
                                      "  first:\n"
                                      "    command: /bin/first --flag 'a b'\n"
                                      "    environment: {B: \"\", C: true}\n"
                                      "    timeout: 5s\n"
                                      "    processes: {max: \"${var.workers}\", maxMemory: 256MiB}\n"
                                      "    triggers:\n"
                                      "      - http: GET /items/{id}\n"
                                      "      - http: ANY /files/{path+}\n"
                                      "  cgi: {command: /bin/cgi, mode: once}\n"
                                      "  web: {command: /bin/web, mode: server, socket: inherited}\n");
    const struct handler_config *h = &b->handlers[0];
    assert_int_equal(b->listener_count, 2);
    assert_string_equal(b->listeners[1].host, "::1");
    assert_int_equal(b->limits.idle_timeout_ms, 86400000);
    assert_string_equal(h->command[2], "a b");
    assert_int_equal(h->timeout_ms, 5000);
    assert_int_equal(h->processes.max, 8);
    assert_int_equal(h->processes.concurrency, 3);
    assert_int_equal(h->processes.max_memory, 256 << 20);
    assert_int_equal(h->environment_count, 3);
    assert_string_equal(h->environment[0].name, "B");
    assert_string_equal(h->environment[0].value, "");
    assert_string_equal(h->environment[1].value, "true");
    assert_string_equal(h->environment[2].name, "A");
    assert_int_equal(h->http_trigger_count, 2);
    assert_slice(h->http_triggers[0].method, "GET");
    assert_slice(h->http_triggers[0].pattern, "/items/{id}");
    assert_string_equal(h->http_triggers[0].text, "GET /items/{id}");
    assert_int_equal(h->http_triggers[0].number, 0);
    assert_int_equal(h->http_triggers[0].line, 20);
    assert_int_equal(h->http_triggers[0].column, 15);
    assert_int_equal(h->http_triggers[1].number, 1);
    assert_int_equal(b->handlers[1].processes.concurrency, 1); /* what `defaults` says is for the others */
    assert_int_equal(b->handlers[2].processes.concurrency, 3);
    assert_int_equal(b->handlers[2].server_socket, SERVER_SOCKET_INHERITED);
    assert_int_equal(b->handlers[2].index, 2);
    assert_int_equal(b->handlers[2].environment_count, 2);
    blueprint_release(b);
}

static void test_queues(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\n"
                                      "name: shop\n"
                                      "dataDirectory: /data\n"
                                      "queues:\n"
                                      "  orders:\n"
                                      "    retry: {base: 2s, jitter: none}\n"
                                      "    deadLetter: dead\n"
                                      "    fifo: true\n"
                                      "    send: [{http: POST /orders}]\n"
                                      "  dead: {}\n"
                                      "defaults: {async: {maxAttempts: 7}}\n"
                                      "handlers:\n"
                                      "  ship:\n"
                                      "    command: /bin/ship\n"
                                      "    async: {onFailure: {queue: dead}, onSuccess: {handler: tell}}\n"
                                      "    triggers:\n"
                                      "      - {queue: orders, window: 1s, filter: {a.b: \"1\", c: x}}\n"
                                      "      - {http: GET /}\n"
                                      "  tell: {command: /bin/tell}\n");
    const struct queue_config *q = blueprint_queue(b, SLICE("orders"));
    const struct handler_config *ship = &b->handlers[0];
    const struct queue_trigger_config *t = ship->queue_triggers;
    assert_string_equal(b->data_directory, "/data");
    assert_int_equal(b->http_trigger_count, 2);
    assert_int_equal(q->retry.base_ms, 2000);
    assert_int_equal(q->retry.factor, 2);
    assert_int_equal(q->retry.max_ms, 300000);
    assert_int_equal(q->retry.jitter, QUEUE_JITTER_NONE);
    assert_int_equal(q->retry.max_attempts, 5);
    assert_int_equal(q->visibility_ms, 30000);
    assert_int_equal(q->max_message, 256 << 10);
    assert_string_equal(q->dead_letter, "dead");
    assert_true(q->fifo);
    assert_int_equal(q->sender.http_trigger_count, 1);
    assert_int_equal(ship->queue_trigger_count, 1);
    assert_int_equal(t->batch, 10);
    assert_int_equal(t->window_ms, 1000);
    assert_false(t->report_failures);
    assert_int_equal(t->filter_count, 2);
    assert_slice(t->filters[0].path, "a.b");
    assert_slice(t->filters[1].value, "x");
    assert_string_equal(ship->async.queue->name, "async/ship");
    assert_string_equal(ship->async.queue->dead_letter, "async/ship/failed");
    assert_int_equal(ship->async.queue->retry.max_attempts, 7);
    assert_string_equal(ship->async.on_failure.queue, "dead");
    assert_int_equal(ship->async.on_failure.max_message, 256 << 10);
    assert_string_equal(ship->async.on_success.queue, "async/tell");
    assert_null(b->handlers[1].async.on_success.queue);
    assert_null(blueprint_queue(b, SLICE("none")));
    blueprint_release(b);
}

static void test_server_concurrency(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers: {w: {command: /w, mode: server}}\n");
    assert_int_equal(b->handlers[0].processes.concurrency, 64);
    blueprint_release(b);
}

static void test_builds_and_attaching(void **state) {
    (void)state;
    struct blueprint *b = parse_valid(
        "blueprint: 1\nname: a\nhandlers:\n"
        "  made: {command: bin/made, build: 'make -C \"my dir\" made', sources: [src, /abs/*.c]}\n"
        "  by-hand: {attach: true, processes: {min: 3, max: 5}}\n"
        "  hurried: {attach: true, timeout: 2s}\n");
    const struct handler_config *made = &b->handlers[0], *by_hand = &b->handlers[1];
    assert_string_equal(made->build[2], "my dir");
    assert_null(made->build[4]);
    assert_int_equal(made->source_count, 2);
    assert_string_equal(made->sources[1], "/abs/*.c");
    assert_non_null(strstr(made->sources[0], "/src"));
    assert_false(made->attach);
    assert_true(by_hand->attach);
    assert_null(by_hand->command[0]);
    assert_null(by_hand->build);
    assert_int_equal(by_hand->processes.min, 1);
    assert_int_equal(by_hand->processes.max, 1);
    assert_int_equal(by_hand->timeout_ms, 24 * 60 * 60 * 1000);
    assert_int_equal(b->handlers[2].timeout_ms, 2000);
    blueprint_release(b);
}

static void test_references(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers: {w: {command: /w}}\n");
    assert_ptr_equal(blueprint_hold(b), b);
    blueprint_release(b);
    assert_string_equal(b->name, "a");
    blueprint_release(b);
    blueprint_release(NULL);
}

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

static void assert_nowhere(const struct problems *p, const char *secret) {
    struct buf out = {0};
    problems_print(p, &out);
    problems_print_json(p, &out);
    buf_append_char(&out, '\0');
    if (strstr(out.p, secret)) print_error("%s\n", out.p);
    assert_null(strstr(out.p, secret));
    buf_free(&out);
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

static void test_printing(void **state) {
    (void)state;
    struct problems p = {0};
    struct buf out = {0};
    assert_null(parse("blueprint: 1\nname: a\nhandlers:\n  a: {command: /\xc3\xa9, timout: 5s}\n", &p));
    problems_print(&p, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.p, "/srv/shop/shop.yaml:4:20: error: unknown key \"timout\" in a handler; did you mean \"timeout\"?\n"
               "    4 |   a: {command: /\xc3\xa9, timout: 5s}\n"
               "      |                    ^\n");
    out.n = 0;
    problems_print_json(&p, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.p, "{\"problems\":[{\"file\":\"/srv/shop/shop.yaml\",\"line\":4,\"column\":20,\"message\":"
                               "\"unknown key \\\"timout\\\" in a handler; did you mean \\\"timeout\\\"?\"}]}\n");
    buf_free(&out);
    problems_free(&p);
}

/* --- routes --- */

static const struct route_case {
    const char *text;
    const char *words; /* NULL: fine */
} route_cases[] = {
    {"GET /", NULL},
    {"GET /a", NULL},
    {"GET /a/", NULL},
    {"POST  /a", NULL},
    {"ANY /{a}/b/{c_d-e.f}/{g+}", NULL},
    {"PROPFIND /a", NULL},
    {"FOOBARISH /a", NULL},
    {"VERSION-CONTROL /a", NULL},
    {"GET /caf\xc3\xa9", NULL},
    {"GET /a+b;c=d@e:f", NULL},
    {"GET", "expected a method and a pattern"},
    {"/a", "expected a method and a pattern"},
    {"GET a", "must begin with '/'"},
    {"get /a", "did you mean \"GET\"?"},
    {"GTE /a", "did you mean \"GET\"?"},
    {"POTS /a", "did you mean \"POST\"?"},
    {"any /a", "did you mean \"ANY\"?"},
    {"g3t-thing /a", "expected upper-case letters"},
    {"CONNECT /a", "never passed to a handler"},
    {"TRACE /a", "never passed to a handler"},
    {"GET /a//b", "empty segment"},
    {"GET //", "empty segment"},
    {"GET /a?b=c", "no '?'"},
    {"GET /a#b", "no '#'"},
    {"GET /a%20b", "no '%'"},
    {"GET /a b", "no blanks"},
    {"GET /a/../b", "can never match"},
    {"GET /./b", "can never match"},
    {"GET /{a}/{a}", "stands twice"},
    {"GET /{a}/{a+}", "stands twice"},
    {"GET /{a+}/b", "must be the last segment"},
    {"GET /{}", "is no parameter"},
    {"GET /{+}", "is no parameter"},
    {"GET /{a b}", "is no parameter"},
    {"GET /{1a}", "is no parameter"},
    {"GET /{a}{b}", "is no parameter"},
    {"GET /{a}.json", "a brace is out of place"},
    {"GET /x{a}", "a brace is out of place"},
    {"GET /{a", "a brace is out of place"},
    {"GET /a}", "a brace is out of place"},
};

static void test_routes(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    for (size_t i = 0; i < ARRAY_LEN(route_cases); i++) {
        struct http_trigger_config t;
        struct error e = {0};
        int result = route_parse(slice_of(route_cases[i].text), &a, &t, &e);
        const char *words = route_cases[i].words;
        if (result != (words ? -ERROR_BLUEPRINT : 0) || (words && !strstr(e.message, words))) {
            print_error("%s: %d %s\n", route_cases[i].text, result, e.message);
            fail();
        }
    }
    arena_free(&a);
}

static void test_route_segments_are_bounded(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    char text[4 + 2 * (ROUTE_MAX_SEGMENTS + 1) + 1] = "GET ";
    for (size_t i = 0; i <= ROUTE_MAX_SEGMENTS; i++) memcpy(text + 4 + 2 * i, "/a", 3);
    struct http_trigger_config t;
    struct error e;
    assert_int_equal(route_parse(slice_of(text), &a, &t, &e), -ERROR_BLUEPRINT);
    text[sizeof text - 3] = '\0';
    assert_int_equal(route_parse(slice_of(text), &a, &t, &e), 0);
    arena_free(&a);
}

static void test_routes_of_different_rank_live_together(void **state) {
    (void)state;
    struct blueprint *b = parse_valid("blueprint: 1\nname: a\nhandlers:\n  a:\n    command: /a\n    triggers:\n"
                                      "      - http: GET /a/{x}\n      - http: GET /{y}/b\n      - http: ANY /a/{x}\n"
                                      "      - http: POST /a/{x}\n      - http: GET /a/{x+}\n      - http: GET /a/\n"
                                      "      - http: GET /a\n      - http: HEAD /a\n");
    assert_int_equal(b->handlers[0].http_trigger_count, 8);
    blueprint_release(b);
}

static void test_listeners(void **state) {
    (void)state;
    struct arena a;
    struct listener_config l;
    struct error e;
    arena_init(&a, 1024);
    assert_int_equal(listener_parse(SLICE(":80"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "0.0.0.0");
    assert_int_equal(l.port, 80);
    assert_int_equal(listener_parse(SLICE("localhost:0"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "127.0.0.1");
    assert_int_equal(l.port, 0);
    assert_int_equal(listener_parse(SLICE("[::]:65535"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.host, "::");
    assert_int_equal(listener_parse(SLICE("unix:/run/s"), "/d", &a, &l, &e), 0);
    assert_string_equal(l.path, "/run/s");
    assert_string_equal(l.text, "unix:/run/s");
    char path[5 + 108 + 1] = "unix:/";
    memset(path + 6, 'x', sizeof path - 7);
    assert_int_equal(listener_parse(slice_of(path), "/d", &a, &l, &e), -ERROR_BLUEPRINT);
    assert_non_null(strstr(e.message, "108 bytes"));
    path[sizeof path - 2] = '\0';
    assert_int_equal(listener_parse(slice_of(path), "/d", &a, &l, &e), 0);
    static const char *const wrong[] = {"",      "80",         "1.2.3:80",    "[::1]", "[1.2.3.4]:80",
                                        "[]:80", "1.2.3.4:-1", "1.2.3.4:8 0", "unix:"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(listener_parse(slice_of(wrong[i]), "/d", &a, &l, &e), -ERROR_BLUEPRINT);
    }
    arena_free(&a);
}

static void test_reserved_names(void **state) {
    (void)state;
    assert_non_null(environment_reserved(SLICE("AWS_LAMBDA_FUNCTION_NAME"), HANDLER_RUNTIME));
    assert_null(environment_reserved(SLICE("AWS_REGION"), HANDLER_RUNTIME));
    assert_null(environment_reserved(SLICE("PORT"), HANDLER_RUNTIME));
    assert_non_null(environment_reserved(SLICE("PORT"), HANDLER_SERVER));
    assert_null(environment_reserved(SLICE("PORTS"), HANDLER_SERVER));
    assert_null(environment_reserved(SLICE("HTTP_PROXY"), HANDLER_RUNTIME));
    assert_non_null(environment_reserved(SLICE("HTTP_PROXY"), HANDLER_ONCE));
}

/* --- files --- */

struct folder {
    char path[64];
};

static int folder_setup(void **state) {
    struct folder *f = calloc(1, sizeof *f);
    strcpy(f->path, "/tmp/execgate-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    *state = f;
    return 0;
}

static const char *const folder_files[] = {"good", "plain", "bare",           "empty",
                                           "lost", "crlf",  "blueprint.yaml", "secret"};

static int folder_teardown(void **state) {
    struct folder *f = *state;
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(folder_files); i++) {
        snprintf(path, sizeof path, "%s/%s", f->path, folder_files[i]);
        unlink(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void folder_write(const struct folder *f, const char *name, const char *content, mode_t mode) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct blueprint *folder_load(const struct folder *f, const char *content, struct problems *p) {
    char path[128];
    folder_write(f, "blueprint.yaml", content, 0600);
    snprintf(path, sizeof path, "%s/blueprint.yaml", f->path);
    return blueprint_load(path, &(struct blueprint_options){.check = BLUEPRINT_CHECK_FILES}, p);
}

static void test_executables_are_checked(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    folder_write(f, "good", "#!/bin/sh\necho hello\n", 0755);
    folder_write(f, "plain", "#!/bin/sh\n", 0644);
    folder_write(f, "bare", "echo hello\n", 0755);
    folder_write(f, "empty", "", 0755);
    folder_write(f, "lost", "#!/no/such/interpreter -x\n", 0755);
    folder_write(f, "crlf", "#!/bin/sh\r\n", 0755);
    assert_null(folder_load(f,
                            "blueprint: 1\nname: a\nhandlers:\n"
                            "  fine: {command: ./good}\n"
                            "  also: {command: sh -c true}\n"
                            "  h1: {command: bin/none}\n"
                            "  h2: {command: /tmp}\n"
                            "  h3: {command: ./plain}\n"
                            "  h4: {command: ./bare}\n"
                            "  h5: {command: ./empty}\n"
                            "  h6: {command: ./lost}\n"
                            "  h7: {command: [./crlf]}\n"
                            "  h8: {command: good}\n"
                            "  h9: {command: execgate-no-such-program}\n"
                            "  h10: {command: ./good, workingDirectory: none}\n"
                            "  h11: {command: ./good, workingDirectory: good}\n",
                            &p));
    assert_problem(&p, 6, 17, "bin/none does not exist");
    assert_problem(&p, 7, 17, "/tmp is a directory");
    assert_problem(&p, 8, 17, "is not executable; run: chmod +x");
    assert_problem(&p, 9, 17, "without a first line such as #!/bin/sh");
    assert_problem(&p, 10, 17, "is empty");
    assert_problem(&p, 11, 17, "names the interpreter \"/no/such/interpreter\"");
    assert_problem(&p, 12, 18, "carriage return");
    assert_problem(&p, 13, 17, "\"good\" is not in PATH; to run the file beside the blueprint, write ./good");
    assert_problem(&p, 14, 17, "is not in PATH");
    assert_problem(&p, 15, 44, "none does not exist");
    assert_problem(&p, 16, 44, "good is not a directory");
    assert_int_equal(p.count, 11);
    problems_free(&p);
}

static void test_loading_a_good_file(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    folder_write(f, "good", "#!/bin/sh\n", 0755);
    folder_write(f, "secret", "hunter2\n", 0600);
    struct blueprint *b = folder_load(f,
                                      "blueprint: 1\nname: a\nhandlers: {a: {command: ./good, environment: {S: "
                                      "\"${file:secret}\"}}, b: {command: sh}}\n",
                                      &p);
    problems_dump(&p);
    assert_non_null(b);
    assert_string_equal(b->directory, f->path);
    assert_string_equal(b->handlers[0].environment[0].value, "hunter2");
    assert_true(b->handlers[0].environment[0].secret);
    assert_int_equal(b->handlers[1].command[0][0], '/');
    blueprint_release(b);
    assert_null(
        folder_load(f, "blueprint: 1\nname: a\nhandlers: {a: {command: ./good, timeout: \"${file:secret}\"}}\n", &p));
    assert_problem(&p, 3, 42, "found (secret)");
    assert_nowhere(&p, "hunter2");
    problems_free(&p);
}

static void test_unreadable_files(void **state) {
    struct folder *f = *state;
    struct problems p = {0};
    assert_null(blueprint_load("/no/such/blueprint.yaml", NULL, &p));
    assert_problem(&p, 0, 0, "cannot read the blueprint: No such file or directory");
    assert_null(blueprint_load(f->path, NULL, &p));
    assert_int_equal(p.count, 1);
    assert_problem(&p, 0, 0, "Is a directory; name the file in it");
    problems_free(&p);
}

static void test_hostile_texts_finish_quickly(void **state) {
    (void)state;
    struct problems p = {0};
    struct buf text = {0};
    for (size_t i = 0; i < 1000000; i++) buf_append_char(&text, '[');
    clock_t before = clock();
    assert_null(blueprint_parse(buf_slice(&text), "deep.yaml", NULL, &p));
    assert_true((double)(clock() - before) / CLOCKS_PER_SEC < 2.0);
    assert_int_equal(p.count, 1);
    assert_problem(&p, 1, 65, "nested more than 64 levels deep");
    buf_free(&text);
    buf_append_text(&text, "blueprint: 1\nname: a\nhandlers:\n  a: &a {command: [x, *a]}\n  b: *a\n");
    assert_null(blueprint_parse(buf_slice(&text), "cycle.yaml", NULL, &p));
    assert_problem(&p, 4, 23, "aliases (*a) are not allowed");
    assert_problem(&p, 5, 6, "aliases");
    buf_free(&text);
    problems_free(&p);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
int main(void) {
    unsetenv("EXECGATE_TEST_NONE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_lines_and_defaults),
        cmocka_unit_test(test_paths_are_relative_to_the_file),
        cmocka_unit_test(test_whole_example),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_server_concurrency),
        cmocka_unit_test(test_builds_and_attaching),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_bad_blueprints),
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_another_version_is_the_only_problem),
        cmocka_unit_test(test_an_unknown_key_of_a_trigger_is_told_once),
        cmocka_unit_test(test_all_problems_in_the_order_of_the_file),
        cmocka_unit_test(test_a_mistake_in_defaults_is_told_once),
        cmocka_unit_test(test_too_many_problems),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_typed_variables),
        cmocka_unit_test(test_secrets_do_not_leak),
        cmocka_unit_test(test_secret_overrides_do_not_leak),
        cmocka_unit_test(test_secrets_arrive),
        cmocka_unit_test(test_printing),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_route_segments_are_bounded),
        cmocka_unit_test(test_routes_of_different_rank_live_together),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_reserved_names),
        IN_FOLDER(test_executables_are_checked),
        IN_FOLDER(test_loading_a_good_file),
        IN_FOLDER(test_unreadable_files),
        cmocka_unit_test(test_hostile_texts_finish_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
