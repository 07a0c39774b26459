#include "gateway/blueprint/document.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/text_rules.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define DAY_MS (24ULL * 60 * 60 * 1000)

static const char *const variable_types[] = {"string", "integer", "number", "boolean", "duration", "size", NULL};
static const char *const handler_modes[] = {"runtime", "once", "server", NULL};
static const char *const server_sockets[] = {"port", "inherited", NULL};

static const struct schema_field variable_fields[] = {
    {.name = "type",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct variable_document, type),
     .choices = variable_types,
     .preset = "string",
     .about = "What the value must be. It is checked wherever the value comes from.",
     .example = "integer"},
    {.name = "default",
     .kind = FIELD_TEXT,
     .offset = offsetof(struct variable_document, preset),
     .preset_note = "none: the variable must be given with `--var`",
     .about = "The value when `--var` gives none. May use `${env.NAME}` and `${file:path}`.",
     .example = "8"},
    {.name = "allowedValues",
     .kind = FIELD_LIST,
     .least = 1,
     .offset = offsetof(struct variable_document, allowed),
     .preset_note = "any value of the type",
     .about = "The only values that are accepted.",
     .example = "[staging, production]"},
    {.name = "description",
     .kind = FIELD_TEXT,
     .offset = offsetof(struct variable_document, description),
     .preset_note = "none",
     .about = "What the variable is for.",
     .example = "How many processes to keep"},
    {.name = "secret",
     .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct variable_document, secret),
     .preset = "false",
     .about = "Keeps the value out of every log, error and dump.",
     .example = "true"},
};
static const struct object_schema variable_schema = {
    .name = "variable",
    .title = "a variable",
    .about = "A value that the person who runs the blueprint may choose, used as `${var.NAME}`.",
    .fields = variable_fields,
    .count = ARRAY_LEN(variable_fields),
    .size = sizeof(struct variable_document),
    .origin_offset = offsetof(struct variable_document, origin),
};

#define LIMIT(member) offsetof(struct limits_document, values.member)
static const struct schema_field limits_fields[] = {
    {.name = "connections",
     .kind = FIELD_INTEGER,
     .offset = LIMIT(connections),
     .least = 1,
     .most = 1000000,
     .preset = "20000",
     .about = "Open client connections, all listeners together."},
    {.name = "inFlight",
     .kind = FIELD_INTEGER,
     .offset = LIMIT(in_flight),
     .least = 1,
     .most = 1000000,
     .preset = "10000",
     .about = "Invocations between arrival and delivery. Above it, clients are answered 503."},
    {.name = "maxBody",
     .kind = FIELD_SIZE,
     .offset = LIMIT(max_body),
     .least = 0,
     .most = GIB,
     .preset = "10MiB",
     .about = "The largest request body. Above it, clients are answered 413. A trigger may set its own."},
    {.name = "maxAnswer",
     .kind = FIELD_SIZE,
     .offset = LIMIT(max_answer),
     .least = KIB,
     .most = GIB,
     .preset = "6MiB",
     .about = "The largest answer of a handler that is not streamed. Above it, clients are answered 502."},
    {.name = "maxHeader",
     .kind = FIELD_SIZE,
     .offset = LIMIT(max_header),
     .least = KIB,
     .most = MIB,
     .preset = "16KiB",
     .about = "The request line and all header fields of a request. Above it, clients are answered 431."},
    {.name = "headerTimeout",
     .kind = FIELD_DURATION,
     .offset = LIMIT(header_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "10s",
     .about = "From a request's first byte to the end of its header."},
    {.name = "bodyTimeout",
     .kind = FIELD_DURATION,
     .offset = LIMIT(body_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "30s",
     .about = "Without any progress, while a client sends a body or reads an answer."},
    {.name = "idleTimeout",
     .kind = FIELD_DURATION,
     .offset = LIMIT(idle_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "75s",
     .about = "How long a connection is kept open between requests."},
    {.name = "shutdownTimeout",
     .kind = FIELD_DURATION,
     .offset = LIMIT(shutdown_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "30s",
     .about = "How long running invocations may take to end when execgate is told to stop."},
};
static const struct object_schema limits_schema = {
    .name = "limits",
    .title = "`limits`",
    .about = "The numbers that bound work in flight.",
    .fields = limits_fields,
    .count = ARRAY_LEN(limits_fields),
    .size = sizeof(struct limits_document),
    .origin_offset = offsetof(struct limits_document, origin),
};

#define PROCESSES(member) offsetof(struct processes_document, values.member)
static const struct schema_field processes_fields[] = {
    {.name = "min",
     .kind = FIELD_INTEGER,
     .offset = PROCESSES(min),
     .least = 0,
     .most = 1024,
     .preset = "0",
     .about = "Processes kept warm; 0 scales to zero."},
    {.name = "max",
     .kind = FIELD_INTEGER,
     .offset = PROCESSES(max),
     .least = 1,
     .most = 1024,
     .preset = "4",
     .about = "The most processes; the pool grows while events wait."},
    {.name = "concurrency",
     .kind = FIELD_INTEGER,
     .offset = PROCESSES(concurrency),
     .least = 1,
     .most = 1024,
     .preset_note = "1, with `mode: server` 64",
     .about = "Events that one process may hold at once. Always 1 with `mode: once`."},
    {.name = "startTimeout",
     .kind = FIELD_DURATION,
     .offset = PROCESSES(start_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "10s",
     .about = "How long a process may take until it asks for its first event."},
    {.name = "idleTimeout",
     .kind = FIELD_DURATION,
     .offset = PROCESSES(idle_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "1m",
     .about = "How long a process above `min` is kept without work."},
    {.name = "stopTimeout",
     .kind = FIELD_DURATION,
     .offset = PROCESSES(stop_timeout_ms),
     .least = 1,
     .most = DAY_MS,
     .preset = "5s",
     .about = "Between SIGTERM and SIGKILL."},
    {.name = "maxInvocations",
     .kind = FIELD_INTEGER,
     .offset = PROCESSES(max_invocations),
     .least = 0,
     .most = 1000000000,
     .preset = "0",
     .about = "A process is replaced after so many invocations; 0 means never."},
    {.name = "maxMemory",
     .kind = FIELD_SIZE,
     .offset = PROCESSES(max_memory),
     .least = 0,
     .most = 1024 * GIB,
     .preset = "0",
     .about = "A process above it is replaced when it is idle, and killed above twice as much; 0 means no bound."},
};
static const struct object_schema processes_schema = {
    .name = "processes",
    .title = "`processes`",
    .about = "How many processes a handler has, and how long they live.",
    .fields = processes_fields,
    .count = ARRAY_LEN(processes_fields),
    .size = sizeof(struct processes_document),
    .origin_offset = offsetof(struct processes_document, origin),
};

static const char *const schedule_overlaps[] = {"skip", "queue", "allow", NULL};
static const char *const schedule_misses[] = {"skip", "once", "all", NULL};

#define TRIGGER(member) offsetof(struct trigger_document, member)
static const struct schema_field trigger_fields[] = {
    {.name = "http",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = offsetof(struct trigger_document, http),
     .rule = &rule_route,
     .about = "Requests that the handler answers: a method (or `ANY`) and a pattern. `{name}` matches one segment, "
              "`{name+}` at the "
              "end the rest of the path. GET serves HEAD too.",
     .example = "GET /items/{id}"},
    {.name = "schedule",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = TRIGGER(schedule),
     .about = "Times at which the handler runs: `cron(...)` with the six fields of EventBridge, `rate(5 minutes)`, or "
              "the five fields of crontab ([schedules](schedules.md)).",
     .example = "cron(0 2 * * ? *)"},
    {.name = "timeZone",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = TRIGGER(time_zone),
     .preset_note = "UTC",
     .about = "Of a schedule: whose clocks are meant.",
     .example = "Europe/Paris"},
    {.name = "input",
     .kind = FIELD_ANY,
     .offset = TRIGGER(input),
     .preset_note = "an empty map",
     .about = "Of a schedule: what the handler is given, as JSON.",
     .example = "{days: 1}"},
    {.name = "name",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = TRIGGER(name),
     .rule = &rule_name,
     .preset_note = "the handler's; of its second unnamed schedule `HANDLER-2`, and so on",
     .about = "Of a schedule: its name in logs, events and in the memory of what ran last. No two are the same.",
     .example = "nightly"},
    {.name = "jitter",
     .kind = FIELD_DURATION,
     .offset = TRIGGER(jitter_ms),
     .least = 0,
     .most = DAY_MS,
     .preset_note = "0s",
     .about = "Of a schedule: each run begins at random up to so much later, but before the next one's time.",
     .example = "30s"},
    {.name = "overlap",
     .kind = FIELD_ENUM,
     .offset = TRIGGER(overlap),
     .choices = schedule_overlaps,
     .preset_note = "skip",
     .about = "Of a schedule: what becomes of a run while the one before still goes on. `skip`: it is left out. "
              "`queue`: it waits. `allow`: both run.",
     .example = "queue"},
    {.name = "missed",
     .kind = FIELD_ENUM,
     .offset = TRIGGER(missed),
     .choices = schedule_misses,
     .preset_note = "skip",
     .about =
         "Of a schedule: what becomes of runs whose time came while the gateway was down or the machine slept. `skip`: "
         "nothing. `once`: the latest runs, for all of them. `all`: each, one after the other, up to `maxMissed`.",
     .example = "once"},
    {.name = "maxMissed",
     .kind = FIELD_INTEGER,
     .offset = TRIGGER(max_missed),
     .least = 1,
     .most = SCHEDULE_MISSED_MAX,
     .preset_note = "10",
     .about = "Of a schedule with `missed: all`: only so many, the latest."},
    {.name = "queue",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = TRIGGER(queue),
     .rule = &rule_name,
     .about = "A queue whose messages the handler takes.",
     .example = "orders"},
    {.name = "websocket",
     .kind = FIELD_TEXT,
     .flags = FIELD_ALTERNATIVE | FIELD_SHOWN,
     .offset = offsetof(struct trigger_document, websocket),
     .rule = &rule_websocket_path,
     .about = "A path that speaks WebSocket: the handler gets what happens on its connections. `websockets.paths` says "
              "more about it.",
     .example = "/chat"},
    {.name = "route",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = offsetof(struct trigger_document, route),
     .preset_note = "`$default`",
     .about = "Of a websocket: which of its events. `$connect` may refuse a connection, `$disconnect` is told of its "
              "end, any other name takes the messages in which the path's `routeKey` has this text, `$default` all "
              "that no other takes.",
     .example = "join"},
    {.name = "reply",
     .kind = FIELD_BOOLEAN,
     .offset = offsetof(struct trigger_document, reply),
     .preset_note = "false: an answer only says that all went well",
     .about = "Of a websocket: the body of the answer is sent back as a message.",
     .example = "true"},
    {.name = "batch",
     .kind = FIELD_INTEGER,
     .offset = TRIGGER(batch),
     .least = 1,
     .most = 1000,
     .preset_note = "10",
     .about =
         "Of a queue: the most messages in one event. A message that comes again, because it failed or its process "
         "died, comes alone."},
    {.name = "window",
     .kind = FIELD_DURATION,
     .offset = TRIGGER(window_ms),
     .least = 0,
     .most = 5 * 60 * 1000,
     .preset_note = "0s",
     .about = "Of a queue: how long a batch that is not full waits for more messages.",
     .example = "100ms"},
    {.name = "reportFailures",
     .kind = FIELD_BOOLEAN,
     .offset = TRIGGER(report_failures),
     .preset_note = "false: an answer says that all messages have succeeded",
     .about =
         "Of a queue: the answer says which messages failed, `{\"batchItemFailures\": [{\"itemIdentifier\": ID}]}`.",
     .example = "true"},
    {.name = "concurrency",
     .kind = FIELD_INTEGER,
     .offset = TRIGGER(concurrency),
     .least = 1,
     .most = 100000,
     .preset_note = "as many as the handler's processes can hold",
     .about = "Of a queue: the most events of it that are with the handler at once."},
    {.name = "filter",
     .kind = FIELD_MAP,
     .flags = FIELD_SHOWN,
     .offset = TRIGGER(filter),
     .least = 1,
     .most = 32,
     .preset_note = "every message",
     .about =
         "Of a queue: only messages whose body is a JSON object that has these values; a name may lead into objects "
         "with dots (`customer.region`). The first trigger that fits takes a message.",
     .example = "{type: order.created}"},
};
#undef TRIGGER
const struct object_schema trigger_schema = {
    .name = "trigger",
    .title = "a trigger",
    .about = "What makes a handler run.",
    .fields = trigger_fields,
    .count = ARRAY_LEN(trigger_fields),
    .size = sizeof(struct trigger_document),
    .origin_offset = offsetof(struct trigger_document, origin),
};

/* Rows that `defaults` shares with every handler. */
#define HANDLER(member) offsetof(struct handler_document, member)
#define FIELD_ROW_TIMEOUT                                                                                              \
    {                                                                                                                  \
        .name = "timeout", .kind = FIELD_DURATION, .offset = HANDLER(timeout_ms), .least = 1, .most = DAY_MS,          \
        .preset = "30s",                                                                                               \
        .about = "How long one invocation may take. After it, the client is answered 504 and the process is stopped.", \
        .example = "5s"                                                                                                \
    }
#define FIELD_ROW_QUEUE_LIMIT                                                                                          \
    {                                                                                                                  \
        .name = "queueLimit", .kind = FIELD_INTEGER, .offset = HANDLER(queue_limit), .least = 0, .most = 1000000,      \
        .preset = "1000", .about = "Invocations that may wait for a process. Above it, clients are answered 503."      \
    }
#define FIELD_ROW_ENVIRONMENT                                                                                          \
    {                                                                                                                  \
        .name = "environment", .kind = FIELD_MAP, .offset = HANDLER(environment), .key_rule = &rule_environment_name,  \
        .preset_note = "empty",                                                                                        \
        .about = "Environment variables of the processes. They get only these, the ones of the runtime, "              \
                 "`PATH=/usr/local/bin:/usr/bin:/bin` and `LANG=C.UTF-8`; "                                            \
                 "never the gateway's own.",                                                                           \
        .example = "{DB_URL: \"${env.DB_URL}\"}"                                                                       \
    }
#define FIELD_ROW_PROCESSES                                                                                            \
    {                                                                                                                  \
        .name = "processes", .kind = FIELD_OBJECT, .offset = HANDLER(processes), .object = &processes_schema,          \
        .about = "How many processes, and how long they live.", .example = "{min: 1, max: 8}"                          \
    }
#define FIELD_ROW_ASYNC                                                                                                \
    {                                                                                                                  \
        .name = "async", .kind = FIELD_OBJECT, .offset = HANDLER(async), .object = &async_schema,                      \
        .about = "Invocations that nobody waits for: how often they are tried, and who is told of their end.",         \
        .example = "{maxAttempts: 3, onFailure: {queue: failed}}"                                                      \
    }

static const struct schema_field defaults_fields[] = {
    FIELD_ROW_TIMEOUT, FIELD_ROW_QUEUE_LIMIT, FIELD_ROW_ENVIRONMENT, FIELD_ROW_PROCESSES, FIELD_ROW_ASYNC,
};
const struct object_schema defaults_schema = {
    .name = "defaults",
    .title = "`defaults`",
    .about = "Merged under every handler, key by key; what a handler sets itself wins.",
    .fields = defaults_fields,
    .count = ARRAY_LEN(defaults_fields),
    .size = sizeof(struct handler_document),
    .origin_offset = HANDLER(origin),
};

static const struct schema_field handler_fields[] = {
    {.name = "command",
     .kind = FIELD_COMMAND,
     .flags = FIELD_REQUIRED,
     .unless = "attach",
     .offset = HANDLER(command),
     .about = "The executable and its arguments: a list, or a text that is split into words (quotes work as in a "
              "shell, but no shell "
              "runs). A path is relative to the blueprint; a bare name is looked up in `PATH`.",
     .example = "[bin/list-items, --verbose]"},
    {.name = "mode",
     .kind = FIELD_ENUM,
     .offset = HANDLER(mode),
     .choices = handler_modes,
     .preset = "runtime",
     .about = "`runtime`: asks the runtime API for events. `once`: a process per event, event on stdin, answer on "
              "stdout (CGI for "
              "http triggers). `server`: an HTTP server itself, to which requests are passed on.",
     .example = "once"},
    {.name = "socket",
     .kind = FIELD_ENUM,
     .offset = HANDLER(socket),
     .choices = server_sockets,
     .preset = "port",
     .about = "Only with `mode: server`. `port`: it listens on `$PORT`. `inherited`: it is given a listening socket "
              "(`LISTEN_FDS`).",
     .example = "inherited"},
    {.name = "build",
     .kind = FIELD_COMMAND,
     .offset = HANDLER(build),
     .preset_note = "none: the executable is there",
     .about = "What makes the executable, like `command`: no shell runs it. `execgate run --watch` runs it in the "
              "working directory at the start and whenever a source has changed; `execgate run` never does.",
     .example = "make list-items"},
    {.name = "sources",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = HANDLER(sources),
     .least = 1,
     .most = 100,
     .rule = &rule_path,
     .preset_note = "with `build`, every source file below the working directory",
     .about =
         "What `execgate run --watch` looks at: files, folders, or patterns such as `src/*.c`, in which `*` stands "
         "for slashes too; relative to the blueprint. Without `build`, the processes are only started anew.",
     .example = "[src, go.mod]"},
    {.name = "attach",
     .kind = FIELD_BOOLEAN,
     .offset = HANDLER(attach),
     .preset = "false",
     .about = "No process is started: the handler waits for one that a person starts, in a debugger perhaps, with the "
              "environment that `execgate run` prints. Nothing times out in a hurry.",
     .example = "true"},
    {.name = "workingDirectory",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = HANDLER(working_directory),
     .rule = &rule_path,
     .preset_note = "the blueprint's directory",
     .about = "Where the processes run; relative to the blueprint.",
     .example = "service"},
    FIELD_ROW_ENVIRONMENT,
    FIELD_ROW_TIMEOUT,
    FIELD_ROW_QUEUE_LIMIT,
    FIELD_ROW_PROCESSES,
    FIELD_ROW_ASYNC,
    {.name = "triggers",
     .kind = FIELD_LIST,
     .offset = HANDLER(triggers),
     .object = &trigger_schema,
     .preset_note = "none: nothing makes the handler run yet",
     .about = "What makes the handler run.",
     .example = "[{http: GET /items}]"},
};
const struct object_schema handler_schema = {
    .name = "handler",
    .title = "a handler",
    .about = "An executable and what makes it run.",
    .fields = handler_fields,
    .count = ARRAY_LEN(handler_fields),
    .size = sizeof(struct handler_document),
    .origin_offset = HANDLER(origin),
};

#define BLUEPRINT(member) offsetof(struct blueprint_document, member)
#define FIELD_ROW_VARIABLES                                                                                            \
    {                                                                                                                  \
        .name = "variables", .kind = FIELD_MAP, .offset = BLUEPRINT(variables), .object = &variable_schema,            \
        .key_rule = &rule_variable_name, .preset_note = "none",                                                        \
        .about = "Values that may be chosen at start, used as `${var.NAME}` and set with `--var NAME=VALUE`.",         \
        .example = "{workers: {type: integer, default: 8}}"                                                            \
    }

static const struct schema_field blueprint_fields[] = {
    {.name = "blueprint",
     .kind = FIELD_INTEGER,
     .flags = FIELD_REQUIRED,
     .offset = BLUEPRINT(version),
     .least = BLUEPRINT_VERSION,
     .most = BLUEPRINT_VERSION,
     .about = "The version of this format.",
     .example = "1"},
    {.name = "name",
     .kind = FIELD_TEXT,
     .flags = FIELD_REQUIRED | FIELD_SHOWN,
     .offset = BLUEPRINT(name),
     .rule = &rule_name,
     .about = "The application's name in logs and ARNs: lower-case letters, digits and `-`.",
     .example = "shop"},
    {.name = "listen",
     .kind = FIELD_LIST,
     .offset = BLUEPRINT(listen),
     .least = 1,
     .most = 64,
     .object = &listener_schema,
     .preset_note = "`[{http: 127.0.0.1:8080}]`",
     .about = "Where clients connect.",
     .example = "[{http: 127.0.0.1:8080}]"},
    {.name = "admin",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = BLUEPRINT(admin),
     .rule = &rule_listener,
     .preset_note = "none",
     .about = "Where those who run the gateway ask for its state and invoke handlers by name, past all guards: a "
              "loopback address with its port, or `unix:path`.",
     .example = "127.0.0.1:9090"},
    {.name = "trustedProxies",
     .kind = FIELD_LIST,
     .flags = FIELD_ONE_OR_MORE | FIELD_SHOWN,
     .offset = BLUEPRINT(trusted_proxies),
     .most = 1000,
     .rule = &rule_network,
     .preset_note = "none",
     .about = "Networks of the proxies in front of execgate, `unix` for local sockets: whose word about the client's "
              "address is believed.",
     .example = "[10.0.0.0/8, \"fd00::/8\"]"},
    {.name = "limits",
     .kind = FIELD_OBJECT,
     .offset = BLUEPRINT(limits),
     .object = &limits_schema,
     .about = "The numbers that bound work in flight.",
     .example = "{maxBody: 1MiB}"},
    FIELD_ROW_VARIABLES,
    {.name = "defaults",
     .kind = FIELD_OBJECT,
     .offset = BLUEPRINT(defaults),
     .object = &defaults_schema,
     .about = "Settings for every handler that does not set them itself.",
     .example = "{timeout: 10s}"},
    {.name = "handlers",
     .kind = FIELD_MAP,
     .flags = FIELD_REQUIRED,
     .offset = BLUEPRINT(handlers),
     .least = 1,
     .most = 1000,
     .key_rule = &rule_name,
     .object = &handler_schema,
     .about = "The executables, by name: lower-case letters, digits and `-`, at most 64.",
     .example = "{hello: {command: bin/hello, triggers: [{http: GET /}]}}"},
    {.name = "dataDirectory",
     .kind = FIELD_TEXT,
     .flags = FIELD_SHOWN,
     .offset = BLUEPRINT(data_directory),
     .rule = &rule_path,
     .preset_note = "the blueprint's directory",
     .about = "Where queues are kept: in `.execgate/NAME/queues.db` below it. Relative to the blueprint.",
     .example = "/var/lib/shop"},
    {.name = "queues",
     .kind = FIELD_MAP,
     .offset = BLUEPRINT(queues),
     .most = 1000,
     .key_rule = &rule_name,
     .object = &queue_schema,
     .preset_note = "none",
     .about = "Durable queues, by name. A message is gone only after its handler has succeeded.",
     .example = "{orders: {deadLetter: orders-dead}, orders-dead: {}}"},
    {.name = "websockets",
     .kind = FIELD_OBJECT,
     .offset = BLUEPRINT(websockets),
     .object = &websockets_schema,
     .about = "WebSocket connections, by path.",
     .example = "{paths: {/chat: {guard: customer}}}"},
};
const struct object_schema blueprint_schema = {
    .name = "blueprint",
    .title = "a blueprint",
    .about = "One file describes an application: its executables, what triggers them, and the numbers that bound them.",
    .fields = blueprint_fields,
    .count = ARRAY_LEN(blueprint_fields),
    .size = sizeof(struct blueprint_document),
    .origin_offset = BLUEPRINT(origin),
};

static const struct schema_field variables_section_fields[] = {FIELD_ROW_VARIABLES};
const struct object_schema variables_section_schema = {
    .name = "blueprint",
    .title = "a blueprint",
    .about = "",
    .fields = variables_section_fields,
    .count = ARRAY_LEN(variables_section_fields),
    .size = sizeof(struct blueprint_document),
    .origin_offset = BLUEPRINT(origin),
};
