#include "gateway/blueprint/check.h"
#include "gateway/base/map.h"
#include "gateway/blueprint/build.h"
#include "gateway/blueprint/executable.h"
#include "gateway/blueprint/route_text.h"

/* A route as it was met first. */
struct claim {
    const struct handler_config *handler; /* NULL: the handshake of a WebSocket path */
    const struct http_trigger_config *trigger;
};

/* As its blueprint says it: "GET /items of shop", or "the WebSocket path /chat". */
static const char *claim_words(const struct claim *c, struct arena *a) {
    if (c->handler) return arena_printf(a, "%s of %s%c", c->trigger->text, c->handler->name, 0).p;
    return arena_printf(a, "the WebSocket path " SLICE_FMT "%c", SLICE_ARG(c->trigger->pattern), 0).p;
}

static void report_conflict(struct problems *p, struct arena *a, const struct claim *first,
                            const struct claim *second) {
    struct position at = {second->trigger->line, second->trigger->column};
    bool same_text = slice_equal(first->trigger->pattern, second->trigger->pattern);
    problems_add(p, at, "%s: %s %s %s on line %d, column %d; remove or change one",
                 second->handler ? "http" : "websocket", claim_words(second, a),
                 same_text ? "is the same route as" : "matches the same requests as", claim_words(first, a),
                 first->trigger->line, first->trigger->column);
}

static void check_route(struct problems *p, struct map *claims, struct arena *a, struct claim claim) {
    struct buf shape = {0};
    route_write_shape(&shape, claim.trigger);
    const struct claim *first = map_get(claims, buf_slice(&shape));
    if (first) {
        report_conflict(p, a, first, &claim);
    } else {
        struct claim *kept = arena_alloc(a, sizeof *kept);
        *kept = claim;
        map_put(claims, buf_slice(&shape), kept);
    }
    buf_free(&shape);
}

static void check_routes(struct problems *p, const struct blueprint *model) {
    struct map *claims = map_new();
    struct arena a;
    arena_init(&a, 4096);
    for (size_t i = 0; i < model->handler_count; i++) {
        const struct handler_config *h = &model->handlers[i];
        for (size_t k = 0; k < h->http_trigger_count; k++)
            check_route(p, claims, &a, (struct claim){h, &h->http_triggers[k]});
    }
    for (size_t i = 0; i < model->queue_count; i++) {
        const struct handler_config *h = &model->queues[i].sender;
        for (size_t k = 0; k < h->http_trigger_count; k++)
            check_route(p, claims, &a, (struct claim){h, &h->http_triggers[k]});
    }
    for (size_t i = 0; i < model->websocket_count; i++) {
        const struct handler_config *h = &model->websockets[i].door;
        if (h->http_trigger_count) check_route(p, claims, &a, (struct claim){NULL, h->http_triggers});
    }
    map_free(claims);
    arena_free(&a);
}

/* Where a member of the handler's own `processes` stands, else of the defaults', else the handler. */
static struct position processes_position(const struct blueprint_document *d, const struct handler_document *h,
                                          const struct handler_config *config, const char *member) {
    const struct node *own = h->processes.origin ? node_get(h->processes.origin, member) : NULL;
    if (own) return own->at;
    const struct node *shared = d->defaults.processes.origin ? node_get(d->defaults.processes.origin, member) : NULL;
    return shared ? shared->at : (struct position){config->line, config->column};
}

static void check_processes(struct problems *p, const struct blueprint_document *d, const struct handler_document *h,
                            const struct handler_config *config) {
    const struct processes_config *values = &config->processes;
    bool own_min = h->processes.origin && node_get(h->processes.origin, "min");
    if (values->min > values->max) {
        problems_add(p, processes_position(d, h, config, own_min ? "min" : "max"),
                     "processes: min (%llu) is more than max (%llu) for the handler %s",
                     (unsigned long long)values->min, (unsigned long long)values->max, config->name);
    }
    const struct node *concurrency = h->processes.origin ? node_get(h->processes.origin, "concurrency") : NULL;
    if (config->mode == HANDLER_ONCE && concurrency && h->processes.values.concurrency != 1) {
        problems_add(p, concurrency->at,
                     "concurrency: a process with `mode: once` holds one event; remove it, or use another mode");
    }
}

static void check_mode(struct problems *p, const struct handler_document *h, const struct handler_config *config) {
    const struct node *socket = h->origin ? node_get(h->origin, "socket") : NULL;
    if (!socket || config->mode == HANDLER_SERVER) return;
    problems_add(p, socket->at, "socket: only a handler with `mode: server` has one; remove it, or set the mode");
}

static void check_attach(struct problems *p, const struct handler_document *h, const struct handler_config *config) {
    const struct node *attach = h->origin ? node_get(h->origin, "attach") : NULL;
    struct position at = attach ? attach->at : (struct position){config->line, config->column};
    if (config->attach && config->mode != HANDLER_RUNTIME)
        problems_add(p, at, "attach: %s does not poll the runtime API; only `mode: runtime` can be attached",
                     config->name);
    if (attach && !config->attach && !h->command.node)
        problems_add(p, at, "attach: false leaves %s without a process; give it a `command`", config->name);
}

void check_consistency(struct problems *p, const struct blueprint_document *d, const struct blueprint *model) {
    const struct handler_document *handlers = d->handlers.items;
    for (size_t i = 0; i < model->handler_count; i++) {
        check_processes(p, d, &handlers[i], &model->handlers[i]);
        check_mode(p, &handlers[i], &model->handlers[i]);
        check_attach(p, &handlers[i], &model->handlers[i]);
    }
    check_routes(p, model);
    check_schedules(p, model);
    check_queues(p, model);
    check_websockets(p, model);
    check_async(p, model);
}

static void check_bare_name(struct problems *p, const struct node *word, const struct blueprint *model) {
    struct arena a;
    struct error ignored;
    arena_init(&a, 256);
    const char *beside = path_resolve(&a, model->directory, word->text);
    bool is_beside = executable_check(beside, &ignored) == 0;
    problems_add(p, word->at, "command: \"%s\" is not in PATH; %s%s", word->text.p,
                 is_beside ? "to run the file beside the blueprint, write ./"
                           : "a path such as bin/name is relative to the blueprint",
                 is_beside ? word->text.p : "");
    arena_free(&a);
}

static void check_command(struct problems *p, const struct handler_document *h, const struct handler_config *config,
                          const struct blueprint *model) {
    struct error e;
    if (h->command.count == 0 || config->attach) return; /* what is not started need not be there */
    if (config->command[0][0] != '/') {
        check_bare_name(p, h->command.words[0], model);
    } else if (executable_check(config->command[0], &e) < 0) {
        problems_add(p, h->command.words[0]->at, "command: %s%s", e.message,
                     config->build ? "; `execgate build` makes it, and so does `execgate run --watch`" : "");
    }
}

void check_files(struct problems *p, const struct blueprint_document *d, struct blueprint *model) {
    const struct handler_document *handlers = d->handlers.items;
    check_listener_files(p, d, model);
    for (size_t i = 0; i < model->handler_count; i++) {
        const struct node *directory = handlers[i].working_directory;
        struct error e;
        check_command(p, &handlers[i], &model->handlers[i], model);
        if (directory && directory_check(model->handlers[i].working_directory, &e) < 0) {
            problems_add(p, directory->at, "workingDirectory: %s", e.message);
        }
    }
}
