#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/base/url.h"
#include "gateway/client/http_call.h"
#include "gateway/command/load.h"
#include <stdlib.h>

#define TIMEOUT_MS 10000
#define LIST_HEAD "%-32s  %-24s  %-9s  %-15s  %s\n", "CONNECTION", "SINCE", "KIND", "CLIENT", "PATH"
#define ANSWER_MOST (64u << 20)

static const struct option_row connections_options[] = {
    {"admin", 0, "ADDRESS", "The gateway's admin listener; default: what the blueprint says"},
    {"json", 0, NULL, "Of list: print one JSON object, with all that is known of each"},
    {"binary", 0, NULL, "Of send: as bytes, not as text"},
    {"code", 0, "CODE", "Of close: the close code (default 1000)"},
    {"reason", 0, "TEXT", "Of close: the reason that the client is told"},
    {"var", 'v', "NAME=VALUE", "Set a variable of the blueprint; may be repeated"},
    {"blueprint", 'b', "FILE", "The blueprint (default blueprint.yaml)"},
};

/* One command while it runs. */
struct asking {
    const struct arguments *arguments;
    struct arena arena;
    struct blueprint *blueprint;
    struct listener_config admin;
    struct http_caller *caller;
    struct http_reply reply;
    bool as_json;   /* the list */
    size_t printed; /* connections of it */
};

static const char *word(const struct asking *q, size_t index) {
    return index < q->arguments->positional_count ? q->arguments->positional[index] : NULL;
}

/* --- where the gateway is --- */

static int read_admin(struct asking *q, const char *text, struct error *e) {
    struct error why;
    if (listener_parse_admin(slice_of(text), ".", &q->arena, &q->admin, &why) == 0) return 0;
    return error_set(e, ERROR_USAGE, "--admin: %s", why.message);
}

/* What --admin says, or else the blueprint, which is read only then. */
static int find_admin(struct asking *q, int *exit_status, struct error *e) {
    const char *text = arguments_get(q->arguments, "admin");
    *exit_status = EXIT_USAGE;
    if (text) return read_admin(q, text, e);
    q->blueprint = command_load(q->arguments, BLUEPRINT_CHECK_TEXT, exit_status);
    if (!q->blueprint) return -ERROR_BLUEPRINT; /* told already */
    *exit_status = EXIT_USAGE;
    if (!q->blueprint->admin)
        return error_set(e, ERROR_USAGE, "%s has no `admin:` listener; name the gateway's with --admin ADDRESS",
                         q->blueprint->file);
    q->admin = *q->blueprint->admin;
    return 0;
}

static const char *url_of(struct asking *q, const char *path) {
    const struct listener_config *l = &q->admin;
    if (l->kind == LISTENER_UNIX) return arena_printf(&q->arena, "http://localhost%s%c", path, 0).p;
    bool v6 = strchr(l->host, ':') != NULL;
    return arena_printf(&q->arena, "http://%s%s%s:%u%s%c", v6 ? "[" : "", l->host, v6 ? "]" : "", l->port, path, 0).p;
}

/* What the gateway says about a refusal. */
static const char *detail_of(struct asking *q) {
    struct json_read json;
    struct slice name;
    struct json_value value;
    json_read_init(&json, q->reply.body);
    if (!json_is_valid(q->reply.body) || !json_read_open(&json, '{')) return "";
    while (json_read_name(&json, &q->arena, &name) && json_read_value(&json, &value))
        if (slice_equal(name, SLICE("detail")) && value.kind == JSON_STRING)
            return arena_text(&q->arena, json_text_of(&q->arena, value));
    return "";
}

/* Of a socket the client only knows the name that stands for its host. */
static int not_there(const struct asking *q, const char *why, struct error *e) {
    const struct listener_config *l = &q->admin;
    if (l->kind == LISTENER_UNIX)
        return error_set(e, ERROR_SYSTEM, "no gateway answers at unix:%s; does it run, with this admin listener?",
                         l->path);
    return error_set(e, ERROR_SYSTEM, "no gateway answers at %s:%u; does it run, with this admin listener? (%s)",
                     l->host, l->port, why);
}

static int ask(struct asking *q, const char *method, const char *path, struct slice body, struct error *e) {
    bool binary = arguments_has(q->arguments, "binary");
    struct field type = {SLICE("Content-Type"), binary ? SLICE("application/octet-stream") : SLICE("text/plain")};
    const struct fields headers = {&type, 1, 1};
    const struct http_call call = {.url = url_of(q, path),
                                   .unix_socket = q->admin.kind == LISTENER_UNIX ? q->admin.path : NULL,
                                   .method = method,
                                   .headers = &headers,
                                   .body = body,
                                   .timeout_ms = TIMEOUT_MS,
                                   .max_size = ANSWER_MOST};
    struct error why;
    if (http_caller_call(q->caller, &call, &q->reply, &why) < 0) return not_there(q, why.message, e);
    if (q->reply.status >= 200 && q->reply.status <= 299) return 0;
    return error_set(e, ERROR_STATE, "%d: %s", q->reply.status, detail_of(q));
}

/* --- verbs --- */

static struct slice member(struct asking *q, struct slice object, struct slice wanted) {
    struct json_read json;
    struct slice name, found = SLICE("");
    struct json_value value;
    json_read_init(&json, object);
    if (!json_read_open(&json, '{')) return found;
    while (json_read_name(&json, &q->arena, &name) && json_read_value(&json, &value))
        if (slice_equal(name, wanted)) found = value.kind == JSON_STRING ? json_text_of(&q->arena, value) : value.raw;
    return found;
}

/* `node`: absent when there is no cluster. */
static void print_row(struct asking *q, struct buf *out, struct slice node, struct slice connection) {
    if (q->printed++ && q->as_json) buf_append_char(out, ',');
    if (q->as_json) {
        buf_append_slice(out, connection);
        return;
    }
    struct slice identity = member(q, connection, SLICE("identity"));
    if (!slice_is_none(node)) buf_printf(out, SLICE_FMT "  ", SLICE_ARG(node));
    buf_printf(out, SLICE_FMT "  " SLICE_FMT "  %-9.*s  %-15.*s  " SLICE_FMT "\n",
               SLICE_ARG(member(q, connection, SLICE("connectionId"))),
               SLICE_ARG(member(q, connection, SLICE("connectedAt"))), SLICE_ARG(member(q, connection, SLICE("kind"))),
               SLICE_ARG(member(q, identity, SLICE("sourceIp"))), SLICE_ARG(member(q, connection, SLICE("path"))));
}

/* The id of the last connection of a page; absent when it has none. */
static struct slice print_page(struct asking *q, struct buf *out, struct slice node) {
    struct json_read json;
    struct json_value value;
    struct slice last = SLICE_NONE;
    json_read_init(&json, member(q, q->reply.body, SLICE("connections")));
    if (!json_read_open(&json, '[')) return last;
    while (json_read_element(&json) && json_read_value(&json, &value)) {
        last = member(q, value.raw, SLICE("connectionId"));
        print_row(q, out, node, value.raw);
    }
    return last;
}

static int list_node(struct asking *q, struct buf *out, struct slice node, struct error *e) {
    struct slice of = slice_is_none(node) ? SLICE("") : arena_printf(&q->arena, "node=" SLICE_FMT, SLICE_ARG(node));
    const char *path = arena_printf(&q->arena, "/v1/connections?" SLICE_FMT "%c", SLICE_ARG(of), 0).p;
    for (;;) {
        int status = ask(q, "GET", path, SLICE_NONE, e);
        if (status < 0) return status;
        struct slice last = print_page(q, out, node);
        if (slice_is_none(last)) return 0;
        path = arena_printf(&q->arena, "/v1/connections?" SLICE_FMT "&after=" SLICE_FMT "%c", SLICE_ARG(of),
                            SLICE_ARG(last), 0)
                   .p;
    }
}

static void print_heading(struct asking *q, struct buf *out, bool with_nodes) {
    if (q->as_json) return;
    if (with_nodes) buf_printf(out, "%-8s  ", "NODE");
    buf_printf(out, LIST_HEAD);
}

static int list_rows(struct asking *q, struct buf *out, struct error *e) {
    struct json_read nodes;
    struct json_value node;
    bool some = false;
    int status = ask(q, "GET", "/v1/nodes", SLICE_NONE, e);
    if (status < 0) return status;
    json_read_init(&nodes, arena_copy(&q->arena, member(q, q->reply.body, SLICE("nodes"))));
    json_read_open(&nodes, '[');
    for (; status == 0 && json_read_element(&nodes) && json_read_value(&nodes, &node); some = true) {
        if (!some) print_heading(q, out, true);
        status = list_node(q, out, json_text_of(&q->arena, node), e);
    }
    if (some) return status;
    print_heading(q, out, false);
    return list_node(q, out, SLICE_NONE, e);
}

static int list(struct asking *q, struct buf *out, struct error *e) {
    q->as_json = arguments_has(q->arguments, "json");
    if (!q->as_json) return list_rows(q, out, e);
    buf_append_text(out, "{\"connections\":[");
    int status = list_rows(q, out, e);
    buf_append_text(out, "]}\n");
    return status;
}

static const char *path_of(struct asking *q) {
    struct buf path = {0};
    buf_append_text(&path, "/v1/connections/");
    url_append_form(&path, slice_of(word(q, 1)));
    const char *text = arena_text(&q->arena, buf_slice(&path));
    buf_free(&path);
    return text;
}

static int show(struct asking *q, struct buf *out, struct error *e) {
    int status = ask(q, "GET", path_of(q), SLICE_NONE, e);
    if (status < 0) return status;
    buf_append_slice(out, q->reply.body);
    buf_append_char(out, '\n');
    return 0;
}

static int send_message(struct asking *q, struct buf *out, struct error *e) {
    (void)out;
    return ask(q, "POST", path_of(q), slice_of(word(q, 2)), e);
}

static int close_connection(struct asking *q, struct buf *out, struct error *e) {
    const char *code = arguments_get(q->arguments, "code"), *reason = arguments_get(q->arguments, "reason");
    struct buf path = {0};
    (void)out;
    buf_append_text(&path, path_of(q));
    buf_append_text(&path, "?code=");
    url_append_form(&path, slice_of(code ? code : "1000"));
    buf_append_text(&path, "&reason=");
    url_append_form(&path, slice_of(reason ? reason : ""));
    int status = ask(q, "DELETE", arena_text(&q->arena, buf_slice(&path)), SLICE_NONE, e);
    buf_free(&path);
    return status;
}

static const struct verb {
    const char *name, *needs;
    size_t words; /* its own included */
    int (*run)(struct asking *q, struct buf *out, struct error *e);
} verbs[] = {
    {"list", "nothing more", 1, list},
    {"show", "the id of a connection", 2, show},
    {"send", "the id of a connection and a text", 3, send_message},
    {"close", "the id of a connection", 2, close_connection},
};

static int unknown_verb(const char *name, struct error *e) {
    const char *names[ARRAY_LEN(verbs)];
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) names[i] = verbs[i].name;
    const char *near = text_nearest(slice_of(name), names, ARRAY_LEN(verbs));
    if (near) return error_set(e, ERROR_USAGE, "there is no \"%s\"; did you mean \"%s\"?", name, near);
    return error_set(e, ERROR_USAGE, "there is no \"%s\"; expected list, show, send or close", name);
}

static const struct verb *find_verb(const struct arguments *a, struct error *e) {
    const char *name = a->positional_count ? a->positional[0] : "list";
    size_t given = a->positional_count ? a->positional_count : 1;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0) continue;
        if (given == verbs[i].words) return &verbs[i];
        error_set(e, ERROR_USAGE, "%s needs %s", name, verbs[i].needs);
        return NULL;
    }
    unknown_verb(name, e);
    return NULL;
}

static int asking_run(struct asking *q, const struct verb *verb, struct error *e) {
    struct buf out = {0};
    int exit_status;
    if (find_admin(q, &exit_status, e) < 0) return exit_status;
    q->caller = http_caller_new(NULL, e);
    int status = q->caller ? verb->run(q, &out, e) : -ERROR_SYSTEM;
    if (status == 0 && out.n)
        command_print(&out, stdout);
    else
        buf_free(&out);
    if (status == 0) return EXIT_OK;
    return status == -ERROR_STATE ? EXIT_FAILED : EXIT_SYSTEM;
}

static int connections(const struct arguments *a) {
    struct asking q = {.arguments = a};
    struct error e = {0};
    arena_init(&q.arena, 4096);
    const struct verb *verb = find_verb(a, &e);
    int exit_status = verb ? asking_run(&q, verb, &e) : EXIT_USAGE;
    if (e.code) command_report(a, &e);
    http_caller_free(q.caller);
    blueprint_release(q.blueprint);
    arena_free(&q.arena);
    return exit_status;
}

const struct command command_connections = {
    .name = "connections",
    .synopsis = "list|show ID|send ID TEXT|close ID",
    .summary = "Look at a running gateway's WebSocket connections, send to them, close them",
    .details =
        "Asks the gateway through its admin listener (`admin:` of the blueprint, or --admin). list prints all open\n"
        "connections, show one of them with its claims and groups. An id that is not open ends with status 5.\n\n"
        "  execgate connections send 3f2a... 'maintenance in five minutes'",
    .options = connections_options,
    .option_count = ARRAY_LEN(connections_options),
    .max_positional = 3,
    .file_position = 3,
    .run = connections,
};
