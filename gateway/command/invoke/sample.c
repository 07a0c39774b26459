#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/invoke/request_text.h"
#include "gateway/command/load.h"
#include "gateway/command/route_advice.h"
#include "local-api/event_http.h"
#include "local-api/event_queue.h"
#include "local-api/event_schedule.h"
#include "local-api/event_websocket.h"
#include "plugins/auth/auth.h"
#include "plugins/auth/guard.h"
#include "plugins/auth/guard_places.h"
#include "plugins/plugin.h"
#include <stdlib.h>
#include <unistd.h>

#define MOST_MESSAGES 10 /* of a batch, as SQS has it */

static const struct option_row sample_options[] = {
    REQUEST_TEXT_OPTIONS,
    {"name", 0, "NAME",
     "Of the queue or the schedule (default sample), or the route of a websocket message (default $default)"},
    {"count", 'c', "N", "Messages of a queue's event, 1 to 10 (default 1)"},
    {"type", 't', "TYPE", "Of a websocket event: connect, message (default) or disconnect"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"blueprint", 'b', "FILE", "The blueprint, instead of the argument"},
};

/* What every writer may want. */
struct sample {
    const struct arguments *arguments;
    struct clock *clock;
    struct blueprint *blueprint; /* NULL = none: every request has the route $default */
    struct request_text request;
    struct buf data; /* of -d, where there is no request */
    struct buf claims;
    struct arena arena;
    struct buf out;
};

static bool is_given(const struct sample *s, const char *option) {
    return arguments_has(s->arguments, option);
}

static struct slice name_of(const struct sample *s) {
    const char *name = arguments_get(s->arguments, "name");
    return slice_of(name ? name : "sample");
}

static struct slice new_id(struct sample *s) {
    char *text = arena_alloc(&s->arena, UUID_TEXT_SIZE);
    clock_uuid(s->clock, text);
    return slice_make(text, UUID_TEXT_SIZE);
}

static struct slice data_or(const struct sample *s, struct slice otherwise) {
    return is_given(s, "data") ? buf_slice(&s->data) : otherwise;
}

static const char *application_of(const struct sample *s) {
    return s->blueprint ? s->blueprint->name : "sample";
}

/* --- http: through the router and the writer of production --- */

static int build_router(struct router *router, struct sample *s, struct error *e) {
    const struct blueprint *b = s->blueprint;
    int status = 0;
    for (size_t i = 0; i < b->handler_count; i++) {
        for (size_t k = 0; k < b->handlers[i].http_trigger_count && status == 0; k++) {
            const struct http_trigger_config *t = &b->handlers[i].http_triggers[k];
            struct route *r = arena_zalloc(&s->arena, sizeof *r);
            *r = (struct route){.handler = &b->handlers[i], .trigger = t, .key = slice_of(t->text)};
            status = router_add(router, t->method, t->pattern, r, e);
        }
    }
    return status;
}

static int find_route(struct invocation *inv, const struct router *router, const struct sample *s, struct error *e) {
    struct router_match match = {.values = inv->parameters};
    int status = route_advice(router, s->blueprint, NULL, &s->request.http, e);
    if (status < 0) return status;
    router_match(router, inv->request.method, &inv->request.url, &inv->arena, &match);
    inv->route = match.route;
    const struct auth_settings *auth = auth_settings_of(s->blueprint);
    if (auth && inv->identity) auth_name_identity(auth, inv->route->trigger, inv->identity);
    return 0;
}

static int write_request(struct invocation *inv, const struct router *router, struct sample *s, struct error *e) {
    int status = invoke_request_fill(inv, &s->request.http, buf_slice(&s->claims), e);
    if (status == 0 && s->blueprint) status = find_route(inv, router, s, e);
    if (status == 0) http_event_write(&s->out, inv, application_of(s));
    return status;
}

static void on_finish(struct invocation *inv) {
    (void)inv;
}
static const struct source_ops sample_source = {.name = "sample", .finish = on_finish};

static int sample_http(struct sample *s, struct error *e) {
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline p;
    struct router *router = router_new();
    deadlines_init(&deadlines);
    turn_init(&turn);
    pipeline_init(&p, s->clock, NULL, &deadlines, &turn);
    struct invocation *inv = invocation_new(&p, &sample_source, NULL);
    int status = s->blueprint ? build_router(router, s, e) : 0;
    if (status == 0) status = write_request(inv, router, s, e);
    pipeline_reply(inv, (struct outcome){.status = 204});
    pipeline_close(&p);
    deadlines_free(&deadlines);
    router_free(router);
    return status;
}

/* --- the others --- */

static int sample_queue(struct sample *s, struct error *e) {
    struct queue_record messages[MOST_MESSAGES];
    const char *text = arguments_get(s->arguments, "count");
    uint64_t count = 1, now_ms = clock_wall_ms(s->clock);
    if (text && (!slice_to_u64(slice_of(text), &count) || count < 1 || count > MOST_MESSAGES))
        return error_set(e, ERROR_USAGE, "--count takes a number from 1 to %d, not \"%s\"", MOST_MESSAGES, text);
    for (uint64_t i = 0; i < count; i++)
        messages[i] = (struct queue_record){.id = new_id(s),
                                            .receipt = new_id(s),
                                            .body = data_or(s, SLICE("{\"sample\":true}")),
                                            .receive_count = 1,
                                            .sent_ms = now_ms,
                                            .first_received_ms = now_ms};
    const struct queue_event event = {.queue = name_of(s), .messages = messages, .count = (size_t)count};
    queue_event_write(&s->out, &event);
    return 0;
}

static int sample_schedule(struct sample *s, struct error *e) {
    struct slice input = data_or(s, SLICE("{}"));
    if (!json_is_valid(input)) return error_set(e, ERROR_USAGE, "the input of a schedule is JSON: -d '{...}'");
    const struct schedule_event event = {
        .schedule = name_of(s), .id = new_id(s), .due_ms = clock_wall_ms(s->clock) / 60000 * 60000, .input = input};
    schedule_event_write(&s->out, &event);
    return 0;
}

struct websocket_row {
    const char *name;
    enum websocket_event_type type;
    const char *route_key;
};
static const struct websocket_row websocket_rows[] = {{"message", WEBSOCKET_MESSAGE, "$default"},
                                                      {"connect", WEBSOCKET_CONNECT, "$connect"},
                                                      {"disconnect", WEBSOCKET_DISCONNECT, "$disconnect"}};

static const struct websocket_row *websocket_row_of(const struct sample *s) {
    const char *name = arguments_get(s->arguments, "type");
    if (!name) return &websocket_rows[0];
    for (size_t i = 0; i < ARRAY_LEN(websocket_rows); i++)
        if (strcmp(websocket_rows[i].name, name) == 0) return &websocket_rows[i];
    return NULL;
}

static const struct field upgrade_items[] = {
    {{"Host", 4}, {"localhost", 9}},
    {{"User-Agent", 10}, {"execgate/" EXECGATE_VERSION, sizeof "execgate/" EXECGATE_VERSION - 1}},
    {{"Origin", 6}, {"http://localhost", 16}},
    {{"Sec-WebSocket-Version", 21}, {"13", 2}},
    {{"Sec-WebSocket-Key", 17}, {"c2FtcGxlIG9mIGEga2V5IQ==", 24}},
};

static int sample_websocket(struct sample *s, struct error *e) {
    const struct websocket_row *row = websocket_row_of(s);
    const struct fields headers = {(struct field *)(uintptr_t)upgrade_items, ARRAY_LEN(upgrade_items), 0};
    uint64_t now_ms = clock_wall_ms(s->clock);
    if (!row)
        return error_set(e, ERROR_USAGE, "--type is connect, message or disconnect, not \"%s\"",
                         arguments_get(s->arguments, "type"));
    const char *route = arguments_get(s->arguments, "name");
    if (route && row->type != WEBSOCKET_MESSAGE)
        return error_set(e, ERROR_USAGE, "--name is the route of a message; that of --type %s is %s", row->name,
                         row->route_key);
    struct websocket_event event = {.type = row->type,
                                    .route_key = slice_of(route ? route : row->route_key),
                                    .connection_id = new_id(s),
                                    .request_id = new_id(s),
                                    .message_id = new_id(s),
                                    .connected_ms = now_ms - 1000,
                                    .event_ms = now_ms,
                                    .host = SLICE("localhost"),
                                    .client_address = SLICE("127.0.0.1"),
                                    .user_agent = upgrade_items[1].value,
                                    .headers = &headers,
                                    .body = data_or(s, SLICE("{\"action\":\"sample\"}")),
                                    .close_code = 1000,
                                    .close_reason = SLICE("")};
    if (s->claims.n) event.identity = identity_of_claims(&s->arena, IDENTITY_LAMBDA, "Bearer", buf_slice(&s->claims));
    websocket_event_write(&s->out, &s->arena, &event, application_of(s));
    return 0;
}

/* --- the command --- */

struct sample_kind {
    const char *name;
    int (*write)(struct sample *s, struct error *e);
    const char *const *options; /* those that it knows; NULL at the end */
};
static const struct sample_kind kinds[] = {
    {"http", sample_http, (const char *const[]){"http", "header", "data", "as", "var", "blueprint", NULL}},
    {"queue", sample_queue, (const char *const[]){"name", "count", "data", NULL}},
    {"websocket", sample_websocket, (const char *const[]){"type", "name", "data", "as", NULL}},
    {"schedule", sample_schedule, (const char *const[]){"name", "data", NULL}},
};

static const struct sample_kind *kind_of(const struct arguments *a, struct error *e) {
    for (size_t i = 0; a->positional_count && i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, a->positional[0]) == 0) return &kinds[i];
    const char *names[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) names[i] = kinds[i].name;
    const char *word = a->positional_count ? a->positional[0] : NULL;
    const char *near = word ? text_nearest(slice_of(word), names, ARRAY_LEN(names)) : NULL;
    if (near)
        error_set(e, ERROR_USAGE, "there is no event \"%s\"; did you mean \"%s\"?", word, near);
    else
        error_set(e, ERROR_USAGE, "which event? execgate event http, queue, websocket or schedule");
    return NULL;
}

static int check_options(const struct sample_kind *kind, const struct arguments *a, struct error *e) {
    for (size_t i = 0; i < a->value_count; i++) {
        const char *const *known = kind->options;
        while (*known && strcmp(*known, a->values[i].row->name) != 0) known++;
        if (!*known)
            return error_set(e, ERROR_USAGE, "--%s says nothing about a %s event", a->values[i].row->name, kind->name);
    }
    return 0;
}

/* Members on lines of their own: for people as much as for programs. Valid JSON only. */
static void append_pretty(struct buf *out, struct slice json) {
    int depth = 0;
    bool inside = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        bool closes = !inside && (c == '}' || c == ']');
        bool empty = closes && i && (json.p[i - 1] == '{' || json.p[i - 1] == '[');
        if (closes) depth--;
        if (closes && !empty) buf_printf(out, "\n%*s", 2 * depth, "");
        buf_append_char(out, c);
        if (inside && c == '\\' && i + 1 < json.n) buf_append_char(out, json.p[++i]);
        if (c == '"') inside = !inside;
        if (inside) continue;
        bool opens = c == '{' || c == '[';
        bool filled = opens && i + 1 < json.n && json.p[i + 1] != '}' && json.p[i + 1] != ']';
        if (opens) depth++;
        if (c == ',' || filled) buf_printf(out, "\n%*s", 2 * depth, "");
        if (c == ':') buf_append_char(out, ' ');
    }
    buf_append_char(out, '\n');
}

static bool names_blueprint(const struct arguments *a) {
    return a->positional_count > 1 || arguments_has(a, "blueprint");
}

static int check_blueprint(const struct sample_kind *kind, const struct arguments *a, struct error *e) {
    if (!names_blueprint(a) || arguments_has(a, "http")) return 0;
    if (kind->write != sample_http)
        return error_set(e, ERROR_USAGE, "a blueprint says nothing about a %s event", kind->name);
    return error_set(e, ERROR_USAGE, "%s says which route a request has: it needs --http \"METHOD /path\"",
                     arguments_file(a));
}

/* Of a request, when there is one: named, or in the working directory. */
static bool load_blueprint(struct sample *s, int *exit_status) {
    const struct arguments *a = s->arguments;
    if (!arguments_has(a, "http") || (!names_blueprint(a) && access(arguments_file(a), F_OK) < 0)) return true;
    s->blueprint = command_load(a, BLUEPRINT_CHECK_TEXT, exit_status);
    return s->blueprint != NULL;
}

static int sample_read(struct sample *s, const struct sample_kind *kind, struct error *e) {
    int status = check_options(kind, s->arguments, e);
    if (status == 0) status = check_blueprint(kind, s->arguments, e);
    if (status == 0) status = request_claims_read(&s->claims, s->arguments, e);
    if (status < 0) return status;
    if (kind->write != sample_http) return request_data_read(&s->data, s->arguments, e);
    return request_text_read(&s->request, s->arguments, "/hello?name=sample", e);
}

static int sample_print(struct sample *s, const struct sample_kind *kind, struct error *e) {
    struct buf pretty = {0};
    int status = kind->write(s, e);
    if (status < 0) return status;
    append_pretty(&pretty, buf_slice(&s->out));
    command_print(&pretty, stdout);
    return 0;
}

static int sample(const struct arguments *a) {
    struct sample s = {.arguments = a, .clock = clock_system_new()};
    struct error e = {0};
    int exit_status = EXIT_USAGE, status = -1;
    arena_init(&s.arena, 4096);
    const struct sample_kind *kind = kind_of(a, &e);
    if (kind) status = sample_read(&s, kind, &e);
    if (status == 0 && load_blueprint(&s, &exit_status)) {
        status = sample_print(&s, kind, &e);
        if (status == 0) exit_status = EXIT_OK;
    }
    if (e.code) command_report(a, &e);
    blueprint_release(s.blueprint);
    request_text_free(&s.request);
    buf_free(&s.data);
    buf_free(&s.claims);
    buf_free(&s.out);
    arena_free(&s.arena);
    clock_system_free(s.clock);
    return exit_status;
}

const struct command command_event = {
    .name = "event",
    .synopsis = "KIND [FILE]",
    .summary = "Print a sample event, ready to be piped into invoke",
    .details =
        "KIND is http, queue, websocket or schedule. The event is written by what writes it for handlers on the\n"
        "Lambda runtime API. With --http it is the one that the blueprint's route makes of the request, if there is\n"
        "a blueprint; -d is the body of a message, or the input of a schedule.\n\n"
        "  execgate event http --http \"POST /orders\" -d '{\"item\":\"teapot\"}' | execgate invoke place-order "
        "--event -",
    .options = sample_options,
    .option_count = ARRAY_LEN(sample_options),
    .max_positional = 2,
    .file_position = 1,
    .run = sample,
};
