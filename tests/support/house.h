/* house.h - a pipeline with recording fakes around it, for unit tests.
 *
 * A source, an executor and two hooks write what happens to them into `trace`, separated by blanks. The clock is
 * fake. The executor keeps invocations in its lists until the test starts or completes them.
 */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/blueprint/model.h"
#include "gateway/invocation/pipeline.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum house_submit { SUBMIT_QUEUES, SUBMIT_COMPLETES };

struct house;
struct house_hook {
    struct house *house;
    const char *name;
    enum step_result result; /* of pre */
    bool reply_from_pre;     /* pre calls pipeline_reply itself */
    struct invocation *parked;
};

struct house {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline pipeline;
    struct router *router;
    struct handler_config handler;
    struct http_trigger_config trigger;
    struct route route;
    struct house_hook hook_states[2];
    struct hook hooks[2];

    struct executor executor;
    struct list queued, running;
    enum failure room;
    enum house_submit submit;

    char trace[2048];
    int finished;
    int status; /* of the last finish */
    enum failure failure;
    char headers[1024]; /* "name: value" joined by "; " */
    char body[1024];
    bool complete_in_finish;
};

static inline void house_note(struct house *h, const char *what) {
    size_t n = strlen(h->trace);
    snprintf(h->trace + n, sizeof h->trace - n, "%s%s", n ? " " : "", what);
}

static inline void house_expect(struct house *h, const char *trace) {
    assert_string_equal(h->trace, trace);
    h->trace[0] = '\0';
}

static inline enum step_result house_pre(void *self, struct invocation *inv) {
    struct house_hook *hook = self;
    char what[32];
    snprintf(what, sizeof what, "pre-%s", hook->name);
    house_note(hook->house, what);
    if (hook->result == STEP_WAIT) hook->parked = inv;
    if (hook->result == STEP_REPLY) inv->outcome = outcome_failure(inv, FAILURE_BAD_REQUEST, "said %s", hook->name);
    if (hook->reply_from_pre) pipeline_reply(inv, outcome_failure(inv, FAILURE_BAD_REQUEST, NULL));
    return hook->result;
}

static inline void house_post(void *self, struct invocation *inv) {
    struct house_hook *hook = self;
    char what[32];
    snprintf(what, sizeof what, "post-%s", hook->name);
    house_note(hook->house, what);
    assert_int_equal(inv->state, INVOCATION_POST);
    assert_true(inv->completed_us >= inv->received_us);
    hook->parked = NULL;
}

static inline void house_keep_headers(struct house *h, const struct fields *f) {
    size_t n = 0;
    h->headers[0] = '\0';
    for (size_t i = 0; i < f->count; i++)
        n += (size_t)snprintf(h->headers + n, sizeof h->headers - n, "%s" SLICE_FMT ": " SLICE_FMT, i ? "; " : "",
                              SLICE_ARG(f->items[i].name), SLICE_ARG(f->items[i].value));
}

static inline void house_finish(struct invocation *inv) {
    struct house *h = inv->source_context;
    house_note(h, "finish");
    h->finished++;
    h->status = inv->outcome.status;
    h->failure = inv->outcome.failure;
    h->body[0] = '\0';
    house_keep_headers(h, &inv->outcome.headers);
    if (h->complete_in_finish) assert_false(invocation_complete(inv, (struct outcome){.status = 200}));
    struct body *b = outcome_take_body(&inv->outcome);
    if (!b) return;
    h->body[body_read(b, h->body, sizeof h->body - 1)] = '\0';
    body_release_consumer(b);
}

static const struct source_ops house_source = {.name = "fake", .finish = house_finish};

static inline struct house *house_of(struct executor *e) {
    return container_of(e, struct house, executor);
}

static inline enum failure house_room(struct executor *e, uint32_t *retry_after_s) {
    struct house *h = house_of(e);
    house_note(h, "room");
    if (h->room != FAILURE_NONE) *retry_after_s = 7;
    return h->room;
}

static inline void house_submit(struct executor *e, struct invocation *inv) {
    struct house *h = house_of(e);
    house_note(h, "submit");
    if (h->submit == SUBMIT_QUEUES) {
        invocation_move(inv, INVOCATION_QUEUED, &h->queued);
        return;
    }
    struct outcome o = outcome_failure(inv, FAILURE_QUEUE_FULL, NULL);
    o.retry_after_s = 3;
    assert_true(invocation_complete(inv, o));
}

static inline void house_completed(struct executor *e, struct invocation *inv) {
    struct house *h = house_of(e);
    assert_true(list_holds(&h->queued, &inv->node) || list_holds(&h->running, &inv->node));
    house_note(h, "completed");
}

static inline void house_cancel(struct executor *e, struct invocation *inv) {
    (void)inv;
    house_note(house_of(e), "cancel");
}

static const struct executor_ops house_executor_ops = {
    .room = house_room, .submit = house_submit, .completed = house_completed, .cancel = house_cancel};

static inline void house_add_hook(struct house *h, size_t i, const char *name) {
    h->hook_states[i] = (struct house_hook){.house = h, .name = name, .result = STEP_NEXT};
    h->hooks[i] = (struct hook){.name = name, .self = &h->hook_states[i], .pre = house_pre, .post = house_post};
}

static inline void house_open(struct house *h) {
    struct error e;
    memset(h, 0, sizeof *h);
    clock_fake_init(&h->clock);
    deadlines_init(&h->deadlines);
    turn_init(&h->turn);
    list_init(&h->queued);
    list_init(&h->running);
    h->executor.ops = &house_executor_ops;
    h->handler = (struct handler_config){.name = "hands"};
    h->trigger = (struct http_trigger_config){.max_body = 1000};
    h->route = (struct route){&h->handler, &h->trigger, &h->executor, SLICE("POST /items/{id}"), NULL, 0};
    h->router = router_new();
    assert_int_equal(router_add(h->router, SLICE("POST"), SLICE("/items/{id}"), &h->route, &e), 0);
    house_add_hook(h, 0, "a");
    house_add_hook(h, 1, "b");
    pipeline_init(&h->pipeline, &h->clock.clock, NULL, &h->deadlines, &h->turn);
    h->pipeline.router = h->router;
    h->pipeline.hooks = h->hooks;
    h->pipeline.hook_count = ARRAY_LEN(h->hooks);
}

static inline void house_close(struct house *h) {
    assert_int_equal(h->pipeline.in_flight, 0);
    assert_int_equal(deadlines_next_ms(&h->deadlines), DEADLINE_NEVER);
    assert_false(turn_run(&h->turn, 1));
    pipeline_close(&h->pipeline);
    deadlines_free(&h->deadlines);
    router_free(h->router);
}

static inline struct invocation *house_invocation(struct house *h, const char *method, const char *target) {
    struct error e;
    struct invocation *inv = invocation_new(&h->pipeline, &house_source, h);
    inv->request.method = slice_of(method);
    inv->request.target = slice_of(target);
    assert_int_equal(url_parse(&inv->request.url, &inv->arena, inv->request.target, &e), 0);
    return inv;
}

/* As most tests want it: it matches the route and has no body. */
static inline struct invocation *house_item(struct house *h) {
    return house_invocation(h, "POST", "/items/42");
}

static inline void house_start(struct house *h, struct invocation *inv) {
    invocation_move(inv, INVOCATION_RUNNING, &h->running);
}

static inline struct outcome house_answer(const char *text) {
    return (struct outcome){.status = 200, .body = body_of_chunk(chunk_copy(slice_of(text)))};
}
