#include "gateway/command/route_advice.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/invocation/invocation.h"
#include <stdlib.h>

#define TOLD_ROUTES 8

/* "METHOD /path" of a route, with what the request has in place of its parameters. */
static char *spelled_like(const struct http_trigger_config *t, struct slice path) {
    struct slice pattern = t->pattern, mine, theirs;
    struct buf text = {0};
    buf_append_slice(&text, t->method);
    buf_append_char(&text, ' ');
    for (bool first = true; slice_next(&pattern, '/', &mine); first = false) {
        bool there = slice_next(&path, '/', &theirs);
        if (!first) buf_append_char(&text, '/');
        buf_append_slice(&text, there && mine.n && mine.p[0] == '{' ? theirs : mine);
    }
    buf_append_char(&text, '\0');
    return text.p;
}

struct spellings {
    char **texts;
    const struct http_trigger_config **triggers;
    size_t count;
};

static struct spellings spellings_make(const struct blueprint *b, struct slice path) {
    struct spellings s = {.texts = xcalloc(b->http_trigger_count + 1, sizeof *s.texts),
                          .triggers = xcalloc(b->http_trigger_count + 1, sizeof *s.triggers)};
    for (size_t i = 0; i < b->handler_count; i++) {
        for (size_t k = 0; k < b->handlers[i].http_trigger_count; k++) {
            s.triggers[s.count] = &b->handlers[i].http_triggers[k];
            s.texts[s.count] = spelled_like(s.triggers[s.count], path);
            s.count++;
        }
    }
    return s;
}

/* The trigger that was probably meant; NULL when none is near. */
static const char *nearest_route(const struct blueprint *b, struct slice wanted, struct slice path) {
    struct spellings s = spellings_make(b, path);
    const char *near = text_nearest(wanted, (const char *const *)s.texts, s.count), *found = NULL;
    for (size_t i = 0; i < s.count; i++) {
        if (s.texts[i] == near) found = s.triggers[i]->text;
        free(s.texts[i]);
    }
    free(s.texts);
    free(s.triggers);
    return found;
}

static void append_routes(struct buf *out, const struct handler_config *h) {
    for (size_t i = 0; i < h->http_trigger_count && i < TOLD_ROUTES; i++)
        buf_printf(out, "%s%s", i ? ", " : "", h->http_triggers[i].text);
    if (h->http_trigger_count > TOLD_ROUTES) buf_append_text(out, ", ...");
    if (h->http_trigger_count == 0) buf_append_text(out, "none");
}

static int no_path(const struct blueprint *b, const struct handler_config *h, const struct invoke_http *r,
                   struct error *e) {
    struct slice path = r->target, rest = r->target;
    struct buf wanted = {0}, routes = {0};
    slice_next(&rest, '?', &path);
    buf_printf(&wanted, SLICE_FMT " " SLICE_FMT, SLICE_ARG(r->method), SLICE_ARG(path));
    if (h) append_routes(&routes, h);
    const char *near = nearest_route(b, buf_slice(&wanted), path);
    if (near)
        error_set(e, ERROR_USAGE, "no route for " SLICE_FMT " (404); did you mean \"%s\"?",
                  SLICE_ARG(buf_slice(&wanted)), near);
    else if (h)
        error_set(e, ERROR_USAGE, "no route for " SLICE_FMT " (404); the routes of \"%s\": " SLICE_FMT,
                  SLICE_ARG(buf_slice(&wanted)), h->name, SLICE_ARG(buf_slice(&routes)));
    else
        error_set(e, ERROR_USAGE, "no route for " SLICE_FMT " (404); `execgate routes %s` lists them",
                  SLICE_ARG(buf_slice(&wanted)), b->file);
    buf_free(&wanted);
    buf_free(&routes);
    return -ERROR_USAGE;
}

static int found(const struct route *route, const struct handler_config *h, const struct invoke_http *r,
                 struct error *e) {
    if (!h || strcmp(route->handler->name, h->name) == 0) return 0;
    if (!route->handler->command) /* of a queue (queue_config.sender) */
        return error_set(e, ERROR_USAGE, SLICE_FMT " " SLICE_FMT " sends to the %s, and no handler answers it",
                         SLICE_ARG(r->method), SLICE_ARG(r->target), route->handler->name);
    return error_set(e, ERROR_USAGE,
                     SLICE_FMT " " SLICE_FMT " is the route \"" SLICE_FMT "\" of the handler \"%s\", not of \"%s\": "
                               "execgate invoke %s --http ...",
                     SLICE_ARG(r->method), SLICE_ARG(r->target), SLICE_ARG(route->key), route->handler->name, h->name,
                     route->handler->name);
}

struct question {
    const struct blueprint *blueprint;
    const struct handler_config *handler;
    const struct invoke_http *request;
};

static int explain(const struct question *q, enum router_result result, const struct router_match *match,
                   struct error *e) {
    switch (result) {
    case ROUTER_FOUND: return found(match->route, q->handler, q->request, e);
    case ROUTER_NO_PATH: return no_path(q->blueprint, q->handler, q->request, e);
    case ROUTER_NO_METHOD: break;
    }
    return error_set(e, ERROR_USAGE, "no route for the method " SLICE_FMT " of " SLICE_FMT " (405); allowed: %s",
                     SLICE_ARG(q->request->method), SLICE_ARG(q->request->target), match->allow);
}

int route_advice(const struct router *router, const struct blueprint *b, const struct handler_config *handler,
                 const struct invoke_http *request, struct error *e) {
    struct slice values[INVOCATION_MAX_PARAMETERS];
    struct router_match match = {.values = values};
    struct arena scratch;
    struct url url;
    arena_init(&scratch, 1024);
    int status = url_parse(&url, &scratch, request->target, e);
    if (status < 0) e->code = ERROR_USAGE;
    const struct question q = {b, handler, request};
    if (status == 0) status = explain(&q, router_match(router, request->method, &url, &scratch, &match), &match, e);
    arena_free(&scratch);
    return status;
}
