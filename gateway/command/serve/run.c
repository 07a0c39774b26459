#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/json_write.h"
#include "gateway/base/log.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/report.h"
#include "gateway/command/build/watcher.h"
#include "gateway/command/load.h"
#include "gateway/command/options.h"
#include "gateway/command/serve/gateway.h"
#include "gateway/observe/recorder.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct option_row run_options[] = {
    {"listen", 'l', "ADDRESS",
     "Listen here instead of where the blueprint says: HOST:PORT, :PORT or unix:PATH; may be repeated"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"watch", 'w', NULL,
     "For development: build handlers that say how (`build`), and again when their sources change; follow the "
     "blueprint and executables as they change"},
    {"attach", 0, "HANDLER", "Start no process of this handler: one that you start yourself attaches; may be repeated"},
    {"admin", 0, "ADDRESS",
     "Answer those who run the gateway here, instead of where the blueprint says (`admin`): 127.0.0.1:PORT or "
     "unix:PATH"},
    {"record", 0, "DIR", "Keep what clients ask and are answered, secrets taken out, for `execgate replay`"},
    {"record-limit", 0, "SIZE", "Of all records; the oldest are dropped beyond (default 256MiB)"},
    {"record-body", 0, "SIZE", "Kept of each body; what is longer is cut and marked (default 256KiB)"},
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
    struct arena arena; /* of --listen */
    struct gateway *gateway;
    struct watcher *watcher; /* NULL = nobody watches */
};

static int blame_option(struct error *e, const char *option) {
    const struct error why = *e;
    return error_set(e, ERROR_USAGE, "--%s: %s", option, why.message);
}

static int listen_everywhere(struct run *r, const struct blueprint *b, struct error *e) {
    const struct arguments *a = r->arguments;
    struct listener_config listeners[64];
    size_t count = 0;
    int status = 0;
    for (size_t i = 0; i < a->value_count && count < ARRAY_LEN(listeners) && status == 0; i++)
        if (strcmp(a->values[i].row->name, "listen") == 0)
            status = listener_parse(slice_of(a->values[i].value), b->directory, &r->arena, &listeners[count++], e);
    return status < 0 ? blame_option(e, "listen") : gateway_listen(r->gateway, listeners, count, e);
}

/* The command line's, else the blueprint's, else none. */
static int listen_admin(struct run *r, const struct blueprint *b, struct error *e) {
    const char *text = arguments_get(r->arguments, "admin");
    struct listener_config listener;
    if (!text) return b->admin ? gateway_listen_admin(r->gateway, b->admin, e) : 0;
    int status = listener_parse_admin(slice_of(text), b->directory, &r->arena, &listener, e);
    return status < 0 ? blame_option(e, "admin") : gateway_listen_admin(r->gateway, &listener, e);
}

static int read_size(const struct arguments *a, const char *option, uint64_t least, uint64_t *size, struct error *e) {
    const char *text = arguments_get(a, option);
    if (!text) return 0;
    if (!arguments_has(a, "record")) return error_set(e, ERROR_USAGE, "--%s needs --record DIR", option);
    if (text_to_size_bytes(slice_of(text), size) && *size >= least) return 0;
    struct buf spelled = {0};
    text_append_size(&spelled, least);
    error_set(e, ERROR_USAGE, "--%s takes a size such as 64KiB or 1GiB, " SLICE_FMT " at least, not \"%s\"", option,
              SLICE_ARG(buf_slice(&spelled)), text);
    buf_free(&spelled);
    return -ERROR_USAGE;
}

static int record(struct run *r, struct error *e) {
    const struct arguments *a = r->arguments;
    struct recorder_config c = {
        .folder = arguments_get(a, "record"), .limit = RECORDER_LIMIT, .body_limit = RECORDER_BODY_LIMIT};
    int status = read_size(a, "record-limit", RECORDER_LEAST_LIMIT, &c.limit, e);
    if (status == 0) status = read_size(a, "record-body", 1, &c.body_limit, e);
    return status == 0 && c.folder ? gateway_record(r->gateway, &c, e) : status;
}

/* A URL for a TCP listener; a Unix socket stands as it is. */
static void append_url(struct buf *out, const char *address, enum listener_scheme scheme) {
    if (strncmp(address, "unix:", 5) != 0) buf_append_text(out, scheme == LISTENER_HTTPS ? "https://" : "http://");
    buf_append_text(out, address);
}

static void append_address(struct buf *out, const struct gateway *g, size_t index) {
    append_url(out, gateway_address(g, index), gateway_scheme(g, index));
}

static void announce_admin_json(struct json_write *w, const struct gateway *g) {
    struct buf address = {0};
    if (!gateway_admin_address(g)) return;
    append_url(&address, gateway_admin_address(g), LISTENER_HTTP);
    json_member(w, SLICE("admin"), buf_slice(&address));
    buf_free(&address);
}

static void announce_admin_text(struct buf *out, const struct gateway *g) {
    if (!gateway_admin_address(g)) return;
    buf_append_text(out, "Admin at ");
    append_url(out, gateway_admin_address(g), LISTENER_HTTP);
    buf_append_text(out, ": /status, and every handler past its guards.\n");
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
    announce_admin_json(&w, g);
    json_name(&w, SLICE("routes"));
    json_number(&w, (int64_t)command_count_routes(b));
    if (gateway_dev_issuer(g)) json_member(&w, SLICE("devIssuer"), slice_of(gateway_dev_issuer(g)));
    json_close(&w, '}');
    buf_append_char(&out, '\n');
    command_print(&out, stdout);
}

static void announce_text(const struct gateway *g, const struct blueprint *b, const char *file) {
    bool usual = strcmp(file, "blueprint.yaml") == 0;
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
    announce_admin_text(&out, g);
    buf_printf(&out, "Ctrl-C stops it; `execgate routes%s%s` lists what it answers.\n", usual ? "" : " ",
               usual ? "" : file);
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
    if (log_format_of(r->log) == LOG_FORMAT_JSON) {
        log_problems(r->log, p);
        return;
    }
    log_flush(r->log);
    problems_print(p, &out);
    command_print(&out, stderr);
}

static struct blueprint *load_again(struct run *r, enum blueprint_check depth) {
    struct problems problems = {0};
    struct error e;
    const struct blueprint_reading how = {.check = depth, .origin = BLUEPRINT_FROM_FILE}; /* the loop must not wait */
    struct blueprint *b = command_read(r->arguments, &how, &problems, &e);
    if (!b) tell_problems(r, &problems);
    problems_free(&problems);
    return b;
}

static struct blueprint *load_to_serve(void *context) {
    return load_again(context, BLUEPRINT_CHECK_FILES);
}

static struct blueprint *load_to_build(void *context) {
    return load_again(context, BLUEPRINT_CHECK_TEXT);
}

static int watch(struct run *r, struct blueprint *b, struct error *e) {
    if (!arguments_has(r->arguments, "watch")) return 0;
    const struct watcher_config config = {.gateway = r->gateway,
                                          .log = r->log,
                                          .file = arguments_file(r->arguments),
                                          .load = load_to_build,
                                          .context = r};
    r->watcher = watcher_new(&config, b, e);
    return r->watcher ? 0 : -ERROR_SYSTEM;
}

/* --- serving --- */

static void announce(const struct run *r, const struct blueprint *b) {
    if (arguments_has(r->arguments, "json"))
        announce_json(r->gateway, b);
    else
        announce_text(r->gateway, b, arguments_file(r->arguments));
    fflush(stdout);
}

static int serve(struct run *r, struct blueprint *b) {
    const struct arguments *a = r->arguments;
    struct error e = {0};
    enum gateway_issuers issuers = arguments_has(a, "dev-issuer") ? GATEWAY_ISSUERS_DEVELOPMENT : GATEWAY_ISSUERS_REAL;
    const struct blueprint_source source = {.load = load_to_serve, .context = r};
    r->gateway = gateway_new(b, r->clock, r->log, issuers, &e);
    if (!r->gateway || record(r, &e) < 0 || listen_everywhere(r, b, &e) < 0 || listen_admin(r, b, &e) < 0 ||
        watch(r, b, &e) < 0) {
        command_report(a, &e);
        gateway_free(r->gateway);
        return e.code == ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
    }
    gateway_reload_from(r->gateway, &source);
    announce(r, b);
    gateway_take_messages(r->gateway);
    bool finished = gateway_serve(r->gateway);
    watcher_free(r->watcher);
    gateway_free(r->gateway);
    return finished ? EXIT_OK : EXIT_UNFINISHED;
}

/* What could not be built is served as far as it goes: the next edit may mend it. */
static enum blueprint_check build_first(struct run *r, const struct blueprint *b) {
    return build_all(b, NULL, 0, r->clock, r->log) ? BLUEPRINT_CHECK_FILES : BLUEPRINT_CHECK_TEXT;
}

static int load_and_serve(struct run *r) {
    int status = EXIT_BLUEPRINT;
    enum blueprint_check depth = BLUEPRINT_CHECK_FILES;
    struct blueprint *b;
    if (arguments_has(r->arguments, "watch")) {
        b = command_load(r->arguments, BLUEPRINT_CHECK_TEXT, &status);
        if (!b) return status;
        depth = build_first(r, b);
        blueprint_release(b);
    }
    b = command_load(r->arguments, depth, &status);
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
    r.log = command_open_log(a, LOG_INFO, r.clock, &e);
    if (!r.log)
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
