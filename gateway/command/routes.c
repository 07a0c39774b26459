#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/command/load.h"
#include "plugins/auth/guard_places.h"
#include <stdlib.h>

static const struct option_row routes_options[] = {
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"json", 0, NULL, "Print a JSON array instead of a table"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

struct route_row {
    const struct handler_config *handler;
    const struct http_trigger_config *trigger; /* of a WebSocket path: that of its handshake */
    struct slice method;
    struct slice event; /* of a WebSocket path: its route; else empty */
};

static int slice_order(struct slice a, struct slice b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int row_order(const void *left, const void *right) {
    const struct route_row *a = left, *b = right;
    int order = slice_order(a->trigger->pattern, b->trigger->pattern);
    if (order == 0) order = slice_order(a->method, b->method);
    return order ? order : slice_order(a->event, b->event);
}

static size_t add_rows(struct route_row *rows, const struct handler_config *h) {
    for (size_t k = 0; k < h->http_trigger_count; k++)
        rows[k] = (struct route_row){h, &h->http_triggers[k], h->http_triggers[k].method, SLICE("")};
    return h->http_trigger_count;
}

/* Those of one WebSocket path, which share its handshake. */
static size_t add_websocket_rows(struct route_row *rows, const struct handler_config *h,
                                 const struct websocket_config *w) {
    size_t n = 0;
    for (size_t k = 0; k < h->websocket_trigger_count; k++) {
        const struct websocket_trigger_config *t = &h->websocket_triggers[k];
        if (strcmp(t->path, w->path) == 0)
            rows[n++] = (struct route_row){h, w->door.http_triggers, SLICE("WS"), slice_of(t->route)};
    }
    return n;
}

/* Every route, sorted by path; malloc'd. */
static struct route_row *sorted_rows(const struct blueprint *b, size_t count) {
    struct route_row *rows = xcalloc(count + 1, sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; i < b->handler_count; i++) n += add_rows(rows + n, &b->handlers[i]);
    for (size_t i = 0; i < b->queue_count; i++) n += add_rows(rows + n, &b->queues[i].sender);
    for (size_t i = 0; i < b->websocket_count; i++)
        for (size_t k = 0; k < b->handler_count; k++)
            n += add_websocket_rows(rows + n, &b->handlers[k], &b->websockets[i]);
    qsort(rows, count, sizeof *rows, row_order);
    return rows;
}

/* The guards that a request to the route must pass; none: it is open. */
static const struct route_policy *policy_of(const struct auth_settings *auth, const struct route_row *row) {
    static const struct route_policy open;
    size_t number = row->trigger->number;
    return auth && number < auth->route_count ? &auth->routes[number] : &open;
}

/* Guards are worth a column only where there are any. */
static void append_guards(struct buf *out, const struct auth_settings *auth, const struct route_policy *policy) {
    if (!auth || auth->guard_count == 0) return;
    buf_append_char(out, ' ');
    for (size_t i = 0; i < policy->guard_count; i++)
        buf_printf(out, "%s" SLICE_FMT, i ? ", " : "", SLICE_ARG(auth->guards[policy->guards[i]].name));
    if (policy->guard_count == 0) buf_append_text(out, "none");
}

static void print_table(struct buf *out, const struct auth_settings *auth, const struct route_row *rows, size_t count) {
    size_t path = 7, handler = 7;
    bool guarded = auth && auth->guard_count;
    for (size_t i = 0; i < count; i++) {
        size_t name = strlen(rows[i].handler->name);
        size_t shown = rows[i].trigger->pattern.n + (rows[i].event.n ? rows[i].event.n + 1 : 0);
        if (shown > path) path = shown;
        if (name > handler) handler = name;
    }
    if (!guarded) handler = 0;
    buf_printf(out, "%-8s %-*s %-*s%s\n", "METHOD", (int)path, "PATH", (int)handler, "HANDLER",
               guarded ? " GUARDS" : "");
    for (size_t i = 0; i < count; i++) {
        struct slice pattern = rows[i].trigger->pattern, event = rows[i].event;
        buf_printf(out, "%-8.*s " SLICE_FMT "%s%-*.*s %-*s", SLICE_ARG(rows[i].method), SLICE_ARG(pattern),
                   event.n ? " " : "", (int)(path - pattern.n - (event.n ? 1 : 0)), SLICE_ARG(event), (int)handler,
                   rows[i].handler->name);
        append_guards(out, auth, policy_of(auth, &rows[i]));
        buf_append_char(out, '\n');
    }
}

static void json_guards(struct json_write *w, const struct auth_settings *auth, const struct route_policy *policy) {
    json_name(w, SLICE("guards"));
    json_open(w, '[');
    for (size_t i = 0; i < policy->guard_count; i++) json_text(w, auth->guards[policy->guards[i]].name);
    json_close(w, ']');
}

static void print_json(struct buf *out, const struct auth_settings *auth, const struct route_row *rows, size_t count) {
    struct json_write w = json_write_to(out);
    json_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&w, '{');
        json_member(&w, SLICE("method"), rows[i].method);
        json_member(&w, SLICE("path"), rows[i].trigger->pattern);
        if (rows[i].event.n) json_member(&w, SLICE("route"), rows[i].event);
        json_member(&w, SLICE("handler"), slice_of(rows[i].handler->name));
        json_guards(&w, auth, policy_of(auth, &rows[i]));
        json_close(&w, '}');
    }
    json_close(&w, ']');
    buf_append_char(out, '\n');
}

static int routes(const struct arguments *a) {
    int status = EXIT_BLUEPRINT;
    struct blueprint *b = command_load(a, BLUEPRINT_CHECK_TEXT, &status);
    if (!b) return status;
    size_t count = command_count_routes(b);
    struct route_row *rows = sorted_rows(b, count);
    const struct auth_settings *auth = auth_settings_of(b);
    struct buf out = {0};
    if (arguments_has(a, "json"))
        print_json(&out, auth, rows, count);
    else
        print_table(&out, auth, rows, count);
    command_print(&out, stdout);
    free(rows);
    blueprint_release(b);
    return EXIT_OK;
}

const struct command command_routes = {
    .name = "routes",
    .synopsis = "[FILE]",
    .summary = "List what a blueprint answers, with which handler, and who may ask",
    .details = "Prints every route, sorted by path. When several match a request, a static segment beats a\n"
               "{parameter}, which beats {the-rest+}; ANY yields to a named method; GET also answers HEAD; WS is a\n"
               "path that speaks WebSocket, with the event or the messages that the handler takes.\n"
               "Where the blueprint has guards, those that a request must pass are named; `none` is open to everybody.",
    .options = routes_options,
    .option_count = ARRAY_LEN(routes_options),
    .max_positional = 1,
    .run = routes,
};
