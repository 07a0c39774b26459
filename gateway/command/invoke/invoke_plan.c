#include "gateway/command/invoke/invoke_plan.h"
#include "gateway/base/json_read.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/command/invoke/input.h"
#include "gateway/invocation/identity.h"
#include <stdlib.h>
#include <unistd.h>

static enum trigger_kind kind_of(const struct arguments *a) {
    if (arguments_has(a, "schedule")) return TRIGGER_SCHEDULE;
    if (arguments_has(a, "websocket")) return TRIGGER_WEBSOCKET;
    return arguments_has(a, "http") ? TRIGGER_HTTP : TRIGGER_INVOKE;
}

static int check_schedule(const struct arguments *a, struct error *e) {
    static const char *const others[] = {"http", "event", "client-context", "websocket"};
    for (size_t i = 0; arguments_has(a, "schedule") && i < ARRAY_LEN(others); i++)
        if (arguments_has(a, others[i]))
            return error_set(e, ERROR_USAGE, "--schedule runs what the blueprint says; --%s does not go with it",
                             others[i]);
    return 0;
}

/* Its message is -d, which is a request's otherwise. */
static int read_websocket(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    static const char *const others[] = {"http", "event", "client-context", "header"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (arguments_has(a, others[i]))
            return error_set(e, ERROR_USAGE, "--websocket is an event by itself; --%s does not go with it", others[i]);
    return request_data_read(&p->event, a, e);
}

static int read_event(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    const char *event = arguments_get(a, "event");
    if (!event) {
        buf_append_text(&p->event, "{}");
        return 0;
    }
    if (p->kind == TRIGGER_HTTP) return error_set(e, ERROR_USAGE, "--event and --http are two events; give one");
    if ((event[0] == '{' || event[0] == '[') && access(event, F_OK) < 0)
        return error_set(e, ERROR_USAGE,
                         "--event takes a file, not the event itself: echo '{...}' | execgate invoke ... --event -");
    return input_read(&p->event, "--event", event, e);
}

/* The event that the command line tells; -d belongs to two of them. */
static int read_what(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    if (p->kind == TRIGGER_WEBSOCKET) return read_websocket(p, a, e);
    int status = request_text_read(&p->request, a, NULL, e);
    return status == 0 ? read_event(p, a, e) : status;
}

static int read_context(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    struct slice text = slice_of(arguments_get(a, "client-context"));
    struct json_read json;
    struct json_value value;
    if (slice_is_none(text)) return 0;
    json_read_init(&json, text);
    if (json_read_peek(&json) != JSON_OBJECT || !json_read_value(&json, &value) || !json_read_end(&json))
        return error_set(e, ERROR_USAGE, "--client-context takes a JSON object");
    struct arena scratch;
    arena_init(&scratch, 1024);
    buf_append_slice(&p->context, identity_json_line(text, &scratch));
    arena_free(&scratch);
    return 0;
}

static int read_count(uint64_t *count, const struct arguments *a, const char *option, uint64_t most, struct error *e) {
    const char *text = arguments_get(a, option);
    *count = 1;
    if (!text || (slice_to_u64(slice_of(text), count) && *count >= 1 && *count <= most)) return 0;
    return error_set(e, ERROR_USAGE, "--%s takes a number from 1 to %llu, not \"%s\"", option, (unsigned long long)most,
                     text);
}

static int read_timeout(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    const char *text = arguments_get(a, "timeout");
    if (!text) return 0;
    if (text_to_duration_ms(slice_of(text), &p->timeout_ms) && p->timeout_ms) return 0;
    return error_set(e, ERROR_USAGE, "--timeout takes a duration such as 500ms, 30s or 5m, not \"%s\"", text);
}

static int read_manner(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    p->repeats = arguments_has(a, "repeat") || arguments_has(a, "parallel");
    p->debug = arguments_has(a, "debug");
    p->fails_on_status = arguments_has(a, "fail");
    p->printing = arguments_has(a, "include") ? PRINT_ANSWER_WHOLE : PRINT_ANSWER;
    if (arguments_has(a, "json")) p->printing = PRINT_JSON;
    if (!arguments_has(a, "repeat")) p->repeat = p->parallel;
    if (p->parallel > p->repeat) p->parallel = p->repeat;
    if (p->debug && p->repeats) return error_set(e, ERROR_USAGE, "--debug sends one event; --repeat sends many");
    if (p->debug && p->timeout_ms) return error_set(e, ERROR_USAGE, "--debug has no deadlines; --timeout sets one");
    if (p->kind == TRIGGER_HTTP || p->kind == TRIGGER_WEBSOCKET) return 0;
    if (arguments_has(a, "include"))
        return error_set(e, ERROR_USAGE, "--include shows a status and headers: it needs --http or --websocket");
    if (p->fails_on_status)
        return error_set(e, ERROR_USAGE, "--fail looks at a status: it needs --http or --websocket");
    return 0;
}

int invoke_plan_read(struct invoke_plan *p, const struct arguments *a, struct error *e) {
    *p = (struct invoke_plan){.kind = kind_of(a),
                              .schedule_name = arguments_get(a, "schedule"),
                              .websocket_name = arguments_get(a, "websocket")};
    int status = check_schedule(a, e);
    if (status == 0) status = read_what(p, a, e);
    if (status == 0) status = read_context(p, a, e);
    if (status == 0) status = request_claims_read(&p->claims, a, e);
    if (status == 0) status = read_count(&p->repeat, a, "repeat", INVOKE_MOST, e);
    if (status == 0) status = read_count(&p->parallel, a, "parallel", INVOKE_MOST_PARALLEL, e);
    if (status == 0) status = read_timeout(p, a, e);
    return status == 0 ? read_manner(p, a, e) : status;
}

/* "/chat join", as `execgate routes` has it, or "join" alone. */
static bool is_named(const struct websocket_trigger_config *t, const char *name) {
    size_t path = strlen(t->path);
    if (strcmp(name, t->route) == 0) return true;
    return strncmp(name, t->path, path) == 0 && name[path] == ' ' && strcmp(name + path + 1, t->route) == 0;
}

static int find_websocket(struct invoke_plan *p, const struct handler_config *handler, struct error *e) {
    size_t count = handler->websocket_trigger_count;
    const char **names = xcalloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        const struct websocket_trigger_config *t = &handler->websocket_triggers[i];
        names[i] = t->route;
        if (!p->websocket && is_named(t, p->websocket_name)) p->websocket = t;
    }
    const char *near = text_nearest(slice_of(p->websocket_name), names, count);
    free(names);
    if (p->websocket && strchr(p->websocket->path, '{'))
        return error_set(e, ERROR_USAGE, "%s has parameters, which --websocket cannot give; try it with `execgate run`",
                         p->websocket->path);
    if (p->websocket) return 0;
    if (near)
        return error_set(e, ERROR_USAGE, "%s has no websocket trigger for \"%s\"; did you mean \"%s\"?", handler->name,
                         p->websocket_name, near);
    return error_set(e, ERROR_USAGE, "%s has no websocket trigger for \"%s\"; `execgate routes` shows them",
                     handler->name, p->websocket_name);
}

int invoke_plan_resolve(struct invoke_plan *p, const struct handler_config *handler, struct error *e) {
    p->handler = handler->name;
    p->mode = handler->mode;
    if (p->websocket_name) return find_websocket(p, handler, e);
    if (!p->schedule_name) return 0;
    const char **names = xcalloc(handler->schedule_count + 1, sizeof *names);
    for (size_t i = 0; i < handler->schedule_count; i++) {
        names[i] = handler->schedules[i].name;
        if (strcmp(names[i], p->schedule_name) == 0) p->schedule = &handler->schedules[i];
    }
    const char *near = text_nearest(slice_of(p->schedule_name), names, handler->schedule_count);
    free(names);
    if (p->schedule) return 0;
    if (near)
        return error_set(e, ERROR_USAGE, "%s has no schedule \"%s\"; did you mean \"%s\"?", handler->name,
                         p->schedule_name, near);
    return error_set(e, ERROR_USAGE, "%s has no schedule \"%s\"; `execgate schedule next` shows them", handler->name,
                     p->schedule_name);
}

void invoke_plan_free(struct invoke_plan *p) {
    request_text_free(&p->request);
    buf_free(&p->event);
    buf_free(&p->context);
    buf_free(&p->claims);
}
