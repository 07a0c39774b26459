#include "gateway/base/clock.h"
#include "gateway/base/json_write.h"
#include "gateway/base/log.h"
#include "gateway/base/memory.h"
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

static int listen_everywhere(struct gateway *g, const struct arguments *a, const struct blueprint *b, struct error *e) {
    struct listener_config listeners[64];
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 1024);
    int status = 0;
    for (size_t i = 0; i < a->value_count && count < ARRAY_LEN(listeners) && status == 0; i++)
        if (strcmp(a->values[i].row->name, "listen") == 0)
            status = listener_parse(slice_of(a->values[i].value), b->directory, &arena, &listeners[count++], e);
    if (status == 0) status = gateway_listen(g, listeners, count, e);
    arena_free(&arena);
    return status;
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
        buf_printf(
            &out,
            "DEVELOPMENT ISSUER at %s: its tokens open every jwt guard that fetches keys. Never expose this gateway.\n"
            "`execgate token` makes them.\n",
            gateway_dev_issuer(g));
    buf_append_text(&out, "Ctrl-C stops it; `execgate routes` lists what it answers.\n");
    command_print(&out, stdout);
}

static int serve(const struct arguments *a, struct blueprint *b, struct clock *clock, struct log *log) {
    struct error e = {0};
    bool json = arguments_has(a, "json");
    enum gateway_issuers issuers = arguments_has(a, "dev-issuer") ? GATEWAY_ISSUERS_DEVELOPMENT : GATEWAY_ISSUERS_REAL;
    struct gateway *g = gateway_new(b, clock, log, issuers, &e);
    if (!g || listen_everywhere(g, a, b, &e) < 0) {
        command_report(a, &e);
        gateway_free(g);
        return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
    }
    if (json)
        announce_json(g, b);
    else
        announce_text(g, b);
    fflush(stdout);
    bool finished = gateway_serve(g);
    gateway_free(g);
    return finished ? EXIT_OK : EXIT_UNFINISHED;
}

static int run(const struct arguments *a) {
    struct error e = {0};
    int status = EXIT_BLUEPRINT;
    raise_descriptor_limit();
    struct clock *clock = clock_system_new();
    struct log *log = command_open_log(a, LOG_INFO, clock, &e);
    if (!log) {
        fprintf(stderr, "execgate: %s\n", e.message);
        status = EXIT_USAGE;
    } else {
        struct blueprint *b = command_load(a, BLUEPRINT_CHECK_FILES, &status);
        if (b) status = serve(a, b, clock, log);
        blueprint_release(b);
    }
    log_free(log);
    clock_system_free(clock);
    return status;
}

const struct command command_run = {
    .name = "run",
    .synopsis = "[FILE]",
    .summary = "Serve a blueprint",
    .details =
        "Starts the handlers of the blueprint and serves its triggers until SIGTERM or SIGINT (Ctrl-C). What is\n"
        "in flight is finished first; a second signal stops at once. SIGUSR1 writes the state of every pool\n"
        "into the log. Port 0 picks a free port; the bound addresses are printed.",
    .options = run_options,
    .option_count = ARRAY_LEN(run_options),
    .max_positional = 1,
    .run = run,
};
