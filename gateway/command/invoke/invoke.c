#include "gateway/base/memory.h"
#include "gateway/command/invoke/invoke_run.h"
#include "gateway/command/invoke/invoke_target.h"
#include "gateway/command/load.h"
#include "gateway/command/route_advice.h"
#include <unistd.h>

static const struct option_row invoke_options[] = {
    {"event", 'e', "FILE", "The event: what the handler is given, byte by byte; - for stdin (default {})"},
    REQUEST_TEXT_OPTIONS,
    {"schedule", 0, "NAME", "A run of this schedule of the handler, now"},
    {"websocket", 0, "ROUTE",
     "What the handler is told of a WebSocket connection: $connect, $disconnect, $default or a name; -d is the "
     "message"},
    {"dev-issuer", 0, NULL, "Jwt guards believe only tokens that `execgate token` makes on this machine"},
    {"client-context", 0, "JSON", "What Lambda clients find in their client context"},
    {"include", 'i', NULL, "Of --http and --websocket: status and headers on stdout, before the body"},
    {"fail", 'f', NULL, "Of --http and --websocket: a status of 400 and above is a failure"},
    {"repeat", 'n', "N", "Invoke so many times and tell how long it took"},
    {"parallel", 'p', "N", "So many at a time"},
    {"timeout", 't', "DURATION", "How long it may take, instead of what the blueprint says"},
    {"debug", 0, NULL, "Send the event once a debugger is attached to the process; no deadlines"},
    {"json", 0, NULL, "Print one JSON object: status, answer, error, duration_ms, logs"},
    {"mode", 'm', "MODE", "How a bare executable is a handler: runtime (default), once or server"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"log-level", 0, "LEVEL", "What execgate itself logs: debug, info, warn, error or off (default error)"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

static int check_debug(const struct invoke_plan *p, const struct handler_config *h, struct error *e) {
    if (!p->debug || h->mode != HANDLER_ONCE) return 0;
    return error_set(
        e, ERROR_USAGE,
        "--debug needs a process that waits for events, and with mode: once there is none before its event: "
        "run the executable under gdb itself, with the event as its standard input");
}

static int check_route(const struct invoke_plan *p, const struct invoke_target *t, struct gateway *g, struct error *e) {
    if (p->kind != TRIGGER_HTTP) return 0;
    return route_advice(gateway_pipeline(g)->router, t->blueprint, t->handler, &p->request.http, e);
}

/* An exit_status. */
static int invoke_with(const struct arguments *a, const struct invoke_plan *p, struct invoke_target *t, struct log *log,
                       struct clock *clock) {
    struct error e = {0};
    int status = EXIT_SYSTEM;
    invoke_target_prepare(t, p->parallel);
    if (p->debug) invoke_target_unhurry(t);
    enum gateway_issuers issuers = arguments_has(a, "dev-issuer") ? GATEWAY_ISSUERS_DEVELOPMENT : GATEWAY_ISSUERS_REAL;
    struct gateway *g = gateway_new(t->blueprint, clock, log, issuers, &e);
    if (g && check_route(p, t, g, &e) == 0) {
        status = invoke_run(p, g);
    } else {
        command_report(a, &e);
        if (e.code == ERROR_USAGE) status = EXIT_USAGE;
    }
    gateway_free(g);
    return status;
}

static int invoke_handler(const struct arguments *a, struct invoke_plan *p, struct log *log, struct clock *clock) {
    struct invoke_target t;
    struct error e = {0};
    int status = EXIT_USAGE;
    if (!invoke_target_load(&t, a, &status)) return status;
    if (invoke_plan_resolve(p, t.handler, &e) < 0 || check_debug(p, t.handler, &e) < 0)
        command_report(a, &e);
    else
        status = invoke_with(a, p, &t, log, clock);
    invoke_target_free(&t);
    return status;
}

static int invoke(const struct arguments *a) {
    struct invoke_plan plan = {0};
    struct error e = {0};
    int status = EXIT_USAGE;
    struct clock *clock = clock_system_new();
    struct log *log = command_open_log(a, LOG_ERROR, clock, &e);
    if (!log || invoke_plan_read(&plan, a, &e) < 0)
        command_report(a, &e);
    else
        status = invoke_handler(a, &plan, log, clock);
    invoke_plan_free(&plan);
    log_free(log);
    clock_system_free(clock);
    return status;
}

const struct command command_invoke = {
    .name = "invoke",
    .synopsis = "HANDLER [FILE]",
    .summary = "Send one event to one handler, without a server",
    .details =
        "Starts just that handler of the blueprint, sends it one event and prints its answer on stdout. HANDLER with\n"
        "a '/' is an executable of its own, which needs no blueprint. What its processes print goes to stderr.\n"
        "With --http the event is what the route would make of the request, plugins included; status and headers of\n"
        "the answer go to stderr. With --schedule it is what that schedule sends; when it runs next does not "
        "change.\n"
        "With --websocket it is an event of a connection that is not open; its answer is shown as one to --http.\n\n"
        "Exit status: 5 when the handler failed or the event was refused, 6 when there was no answer in time; an\n"
        "answer to --http or --websocket is no failure whatever its status, unless --fail is given.",
    .options = invoke_options,
    .option_count = ARRAY_LEN(invoke_options),
    .max_positional = 2,
    .file_position = 1,
    .run = invoke,
};
