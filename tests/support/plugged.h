/* plugged.h - one plugin in a real pipeline, configured and routed by a real blueprint.
 *
 * The house (house.h) stands in for everything else: its executor takes what gets through, and plugged_send answers
 * for the handler.
 */
#pragma once
#include "gateway/blueprint/section.h"
#include "plugins/plugin.h"
#include "tests/support/house.h"
#include "tests/unit/problems_helper.h"

#define PLUGGED_ROUTES 16

struct plugged {
    struct house house;
    const struct plugin *plugin;
    struct hook hook;
    struct blueprint *blueprint;
    struct router *router;
    struct route routes[PLUGGED_ROUTES];
    bool reached; /* the last request got to the handler */
};

/* Names and values in turns. */
#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_HEADERS ((const char *const[]){NULL})

static inline struct blueprint *plugged_parse(const struct plugin *plugin, const char *text, struct problems *p) {
    const struct sections sections = {{plugin->section}, 1};
    const struct blueprint_options options = {.sections = &sections};
    return blueprint_parse(slice_of(text), "test.yaml", &options, p);
}

static inline void plugged_add_routes(struct plugged *w) {
    struct error e;
    const struct handler_config *h = &w->blueprint->handlers[0];
    w->router = router_new();
    assert_true(h->http_trigger_count <= PLUGGED_ROUTES);
    for (size_t i = 0; i < h->http_trigger_count; i++) {
        const struct http_trigger_config *t = &h->http_triggers[i];
        w->routes[i] = (struct route){
            .handler = h, .trigger = t, .executor = &w->house.executor, .key = slice_of(t->text)};
        assert_int_equal(router_add(w->router, t->method, t->pattern, &w->routes[i], &e), 0);
    }
}

/* Every handler is the house. */
static inline struct executor *plugged_executor_of(void *context, const char *handler_name) {
    struct plugged *w = context;
    (void)handler_name;
    return &w->house.executor;
}

/* The blueprint has one handler. */
static inline void plugged_open(struct plugged *w, const struct plugin *plugin, const char *text) {
    struct problems problems = {0};
    struct error e;
    house_open(&w->house);
    w->plugin = plugin;
    w->blueprint = plugged_parse(plugin, text, &problems);
    if (!w->blueprint) problems_dump(&problems);
    assert_non_null(w->blueprint);
    problems_free(&problems);
    plugged_add_routes(w);
    void *settings = w->blueprint->settings[0];
    const struct plugin_host host = {.clock = &w->house.clock.clock,
                                     .turn = &w->house.turn,
                                     .deadlines = &w->house.deadlines,
                                     .pipeline = &w->house.pipeline,
                                     .blueprint = w->blueprint,
                                     .executor_of = plugged_executor_of,
                                     .context = w};
    w->hook = (struct hook){.name = plugin->name,
                            .self = settings,
                            .pre = plugin->pre_handle,
                            .body = plugin->body_handle,
                            .post = plugin->post_handle,
                            .preflight = plugin->preflight};
    if (plugin->open) assert_int_equal(plugin->open(&host, settings, &w->hook.self, &e), 0);
    w->house.pipeline.router = w->router;
    w->house.pipeline.hooks = &w->hook;
    w->house.pipeline.hook_count = 1;
}

static inline void plugged_close(struct plugged *w) {
    if (w->plugin->close) w->plugin->close(w->hook.self);
    house_close(&w->house);
    router_free(w->router);
    blueprint_release(w->blueprint);
}

static inline void plugged_add_fields(struct fields *f, struct arena *a, const char *const *headers) {
    for (size_t i = 0; headers[i]; i += 2) fields_add(f, a, slice_of(headers[i]), slice_of(headers[i + 1]));
}

static inline struct invocation *plugged_request(struct plugged *w, const char *method, const char *target,
                                                 const char *const *headers) {
    struct invocation *inv = house_invocation(&w->house, method, target);
    plugged_add_fields(&inv->request.headers, &inv->arena, headers);
    return inv;
}

/* Sends it; the handler, if reached, answers with these headers. Status, headers and body are in the house. */
static inline void plugged_send(struct plugged *w, struct invocation *inv, struct outcome answer,
                                const char *const *answer_headers) {
    w->house.trace[0] = '\0';
    pipeline_run(inv);
    w->reached = w->house.queued.length > 0;
    if (!w->reached) {
        outcome_release(&answer);
        return;
    }
    plugged_add_fields(&answer.headers, &inv->arena, answer_headers);
    assert_true(invocation_complete(inv, answer));
}

/* Of the last answer: `name: value` pairs joined by "; ", as house.h keeps them. */
#define assert_header(w, text)                                                                                         \
    do {                                                                                                               \
        if (!strstr((w)->house.headers, (text))) fail_msg("no \"%s\" in \"%s\"", (text), (w)->house.headers);          \
    } while (0)
#define assert_no_header(w, text)                                                                                      \
    do {                                                                                                               \
        if (strstr((w)->house.headers, (text))) fail_msg("\"%s\" in \"%s\"", (text), (w)->house.headers);              \
    } while (0)
