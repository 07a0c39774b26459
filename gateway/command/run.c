#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/json_write.h"
#include "gateway/base/log.h"
#include "gateway/base/memory.h"
#include "gateway/blueprint/report.h"
#include "gateway/command/gateway.h"
#include "gateway/command/load.h"
#include "gateway/command/options.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct option_row run_options[] = {
    {"listen", 'l', "ADDRESS",
     "Listen here instead of where the blueprint says: HOST:PORT, :PORT or unix:PATH; may be repeated"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"dev-issuer", 0, NULL,
     "For development: jwt guards believe only tokens that `execgate token` makes on this machine"},
    {"log-level", 0, "LEVEL", "debug, info, warn, error or off (default info)"},
    {"json", 0, NULL,
     "Machine-readable: JSON lines on stderr (as always when it is no terminal), one on stdout when ready"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

/* Every connection and every handler process needs descriptors: take what the hard limit allows. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What one `run` works with. */
struct run {
    const struct arguments *arguments;
    struct clock *clock;
    struct log *log;
    enum log_format format;
    struct arena arena; /* of --listen */
    struct gateway *gateway;
};

static int open_log(struct run *r, struct error *e) {
    const struct arguments *a = r->arguments;
    const char *level_text = arguments_get(a, "log-level");
    enum log_level level = LOG_INFO;
    if (level_text && !log_level_parse(slice_of(level_text), &level))
        return error_set(e, ERROR_USAGE, "unknown log level \"%s\"; use debug, info, warn, error or off", level_text);
    r->format = LOG_FORMAT_JSON;
    if (!arguments_has(a, "json") && isatty(STDERR_FILENO))
        r->format = getenv("NO_COLOR") ? LOG_FORMAT_TEXT : LOG_FORMAT_COLOUR;
    r->log = log_new(STDERR_FILENO, r->format, level, r->clock);
    return 0;
}

static int listen_everywhere(struct run *r, const struct blueprint *b, struct error *e) {
    const struct arguments *a = r->arguments;
    struct listener_config listeners[64];
    size_t count = 0;
    int status = 0;
    for (size_t i = 0; i < a->value_count && count < ARRAY_LEN(listeners) && status == 0; i++)
        if (strcmp(a->values[i].row->name, "listen") == 0)
            status = listener_parse(slice_of(a->values[i].value), b->directory, &r->arena, &listeners[count++], e);
    return status < 0 ? status : gateway_listen(r->gateway, listeners, count, e);
}

/* A URL for a TCP listener; a Unix socket stands as it is. */
static void append_address(struct buf *out, const struct gateway *g, size_t index) {
    const char *address = gateway_address(g, index);
    if (strncmp(address, "unix:", 5) != 0)
        buf_append_text(out, gateway_scheme(g, index) == LISTENER_HTTPS ? "https://" : "http://");
    buf_append_text(out, address);
}

static void announce_json(const struct gateway *g, const struct blueprint *b) {
    struct buf out = {0};
    struct json_write w = json_write_to(&out);
    json_open(&w, '{');
    json_member(&w, SLICE("event"), SLICE("ready"));
    json_member(&w, SLICE("name"), slice_of(b->name));
    json_name(&w, SLICE("pid"));
    json_number(&w, getpid());
    json_name(&w, SLICE("listeners"));
    json_open(&w, '[');
    for (size_t i = 0; i < gateway_address_count(g); i++) {
        struct buf address = {0};
        append_address(&address, g, i);
        json_text(&w, buf_slice(&address));
        buf_free(&address);
    }
    json_close(&w, ']');
    json_name(&w, SLICE("routes"));
    json_number(&w, (int64_t)command_count_routes(b));
    if (gateway_dev_issuer(g)) json_member(&w, SLICE("devIssuer"), slice_of(gateway_dev_issuer(g)));
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static void announce_text(const struct gateway *g, const struct blueprint *b) {
    struct buf out = {0};
    buf_printf(&out, "execgate " EXECGATE_VERSION " serves \"%s\" ", b->name);
    command_append_size(&out, b);
    buf_append_text(&out, " at\n");
    for (size_t i = 0; i < gateway_address_count(g); i++) {
        buf_append_text(&out, "  ");
        append_address(&out, g, i);
        buf_append_char(&out, '\n');
    }
    if (gateway_dev_issuer(g))
        buf_printf(&out,
                   "DEVELOPMENT ISSUER at %s: its tokens open every jwt guard. Never expose this gateway.\n"
                   "`execgate token` makes them.\n",
                   gateway_dev_issuer(g));
    buf_append_text(&out, "Ctrl-C stops it; `execgate routes` lists what it answers.\n");
    command_print(&out, stdout);
}

/* --- reloads --- */

static void log_problems(struct log *log, const struct problems *p) {
    for (size_t i = 0; i < p->count; i++) {
        const struct error *e = &p->items[i];
        log_event(log, LOG_ERROR, "blueprint problem", LOG_TEXT("file", e->file), LOG_INT("line", e->line),
                  LOG_INT("column", e->column), LOG_TEXT("problem", e->message));
    }
}

/* A person gets what `execgate check` says; a machine a line of the log for each. */
static void tell_problems(struct run *r, const struct problems *p) {
    struct buf out = {0};
    if (r->format == LOG_FORMAT_JSON) {
        log_problems(r->log, p);
        return;
    }
    log_flush(r->log);
    problems_print(p, &out);
    command_print(&out, stderr);
}

static struct blueprint *load_again(void *context) {
    struct run *r = context;
    struct problems problems = {0};
    struct error e;
    struct blueprint *b = command_read(r->arguments, BLUEPRINT_CHECK_FILES, &problems, &e);
    if (!b) tell_problems(r, &problems);
    problems_free(&problems);
    return b;
}

/* --- serving --- */

static void announce(const struct run *r, const struct blueprint *b) {
    if (arguments_has(r->arguments, "json"))
        announce_json(r->gateway, b);
    else
        announce_text(r->gateway, b);
    fflush(stdout);
}

static int serve(struct run *r, struct blueprint *b) {
    const struct arguments *a = r->arguments;
    struct error e = {0};
    enum gateway_issuers issuers = arguments_has(a, "dev-issuer") ? GATEWAY_ISSUERS_DEVELOPMENT : GATEWAY_ISSUERS_REAL;
    const struct blueprint_source source = {.load = load_again, .context = r};
    r->gateway = gateway_new(b, r->clock, r->log, issuers, &e);
    if (!r->gateway || listen_everywhere(r, b, &e) < 0) {
        command_report(a, &e);
        gateway_free(r->gateway);
        return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
    }
    gateway_reload_from(r->gateway, &source);
    announce(r, b);
    bool finished = gateway_serve(r->gateway);
    gateway_free(r->gateway);
    return finished ? EXIT_OK : EXIT_UNFINISHED;
}

static int load_and_serve(struct run *r) {
    int status = EXIT_BLUEPRINT;
    struct blueprint *b = command_load(r->arguments, BLUEPRINT_CHECK_FILES, &status);
    if (b) status = serve(r, b);
    blueprint_release(b);
    return status;
}

static int run(const struct arguments *a) {
    struct run r = {.arguments = a, .clock = clock_system_new()};
    struct error e = {0};
    int status = EXIT_USAGE;
    raise_descriptor_limit();
    arena_init(&r.arena, 1024);
    if (open_log(&r, &e) < 0)
        fprintf(stderr, "execgate: %s\n", e.message);
    else
        status = load_and_serve(&r);
    log_free(r.log);
    arena_free(&r.arena);
    clock_system_free(r.clock);
    return status;
}

const struct command command_run = {
    .name = "run",
    .synopsis = "[FILE]",
    .summary = "Serve a blueprint",
    .details =
        "Starts the handlers of the blueprint and serves its triggers until SIGTERM or SIGINT (Ctrl-C). What is\n"
        "in flight is finished first; a second signal stops at once. SIGHUP reads the blueprint again and goes\n"
        "over to it without losing a request; processes of handlers that did not change go on. SIGUSR1 writes\n"
        "the state of every pool into the log. Port 0 picks a free port; the bound addresses are printed.",
    .options = run_options,
    .option_count = ARRAY_LEN(run_options),
    .max_positional = 1,
    .run = run,
};
