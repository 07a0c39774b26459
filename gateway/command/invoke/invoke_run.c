#include "gateway/command/invoke/invoke_run.h"
#include "gateway/base/memory.h"
#include "gateway/command/invoke/debugger.h"
#include "gateway/command/invoke/invoke_report.h"
#include "gateway/command/serve/handler_output.h"
#include "gateway/loop/loop.h"
#include "gateway/source/websocket/websocket_trial.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct run {
    const struct invoke_plan *plan;
    struct gateway *gateway;
    struct route route;
    struct debugger_wait debugger;
    uint64_t started, ended;
    uint64_t began_us;
    struct invoke_tally tally;
    int status;   /* the worst so far; an exit_status */
    bool stopped; /* by a signal: nothing more is sent */
    bool answer_on_terminal;
    char last;         /* byte of the answer */
    struct body *body; /* of a streamed answer, while it comes */
    struct turn_task body_task;
};

static struct clock *run_clock(const struct run *r) {
    return loop_clock(gateway_loop(r->gateway));
}

static void run_judge(struct run *r, const struct invoke_answer *a) {
    int status = invoke_exit_status(r->plan, a);
    if (a->failure == FAILURE_SHUTTING_DOWN) r->stopped = true;
    if (status > r->status) r->status = status;
}

/* --- calls --- */

static const struct invoke_ops whole_ops, streamed_ops;

/* Of now, with a new id. */
static struct schedule_event scheduled_run(const struct run *r, char id[UUID_TEXT_SIZE]) {
    const struct schedule_config *c = r->plan->schedule;
    if (!c) return (struct schedule_event){.due_ms = 0};
    clock_uuid(run_clock(r), id);
    return (struct schedule_event){.schedule = slice_of(c->name),
                                   .id = slice_make(id, UUID_TEXT_SIZE),
                                   .due_ms = clock_wall_ms(run_clock(r)) / 1000 * 1000,
                                   .input = c->input};
}

static void run_call(struct run *r) {
    const struct invoke_plan *p = r->plan;
    struct pipeline *pipeline = gateway_pipeline(r->gateway);
    bool streams = !p->repeats && p->printing != PRINT_JSON;
    const struct invoke_order order = {.ops = streams ? &streamed_ops : &whole_ops,
                                       .context = r,
                                       .timeout_ms = p->timeout_ms,
                                       .claims = buf_slice(&p->claims),
                                       .answer_limit = UINT64_MAX};
    r->started++;
    if (p->kind == TRIGGER_HTTP) {
        invoke_request(pipeline, &p->request.http, &order);
        return;
    }
    char id[UUID_TEXT_SIZE];
    const struct schedule_event run = scheduled_run(r, id);
    const struct websocket_trial trial = {p->websocket, buf_slice(&p->event)};
    const struct invoke_payload payload = {.bytes = buf_slice(&p->event),
                                           .content_type = SLICE("application/json"),
                                           .client_context = buf_slice(&p->context),
                                           .schedule = p->schedule ? &run : NULL,
                                           .websocket = p->websocket ? &trial : NULL};
    invoke_bytes(pipeline, &r->route, &payload, &order);
}

static void run_ended(struct run *r) {
    r->ended++;
    if (r->started < r->plan->repeat && !r->stopped)
        run_call(r);
    else if (r->ended == r->started)
        gateway_stop(r->gateway);
}

/* --- one answer of many, or for a program --- */

static void tally_add(struct run *r, const struct invoke_answer *a) {
    struct invoke_tally *t = &r->tally;
    t->times_us[t->count++] = a->duration_us;
    t->elapsed_us = clock_now_us(run_clock(r)) - r->began_us;
    if (a->failure != FAILURE_NONE) t->errors[a->failure]++;
    if (a->failure == FAILURE_NONE && invoke_exit_status(r->plan, a) != EXIT_OK) t->bad_statuses++;
}

static void on_whole(void *context, const struct invoke_answer *a) {
    struct run *r = context;
    if (r->plan->repeats)
        tally_add(r, a);
    else
        invoke_report_json(r->plan, a);
    run_judge(r, a);
    run_ended(r);
}

static const struct invoke_ops whole_ops = {.reading = INVOKE_WHOLE, .on_end = on_whole};

/* --- one answer for a person, printed as it comes --- */

/* The next prompt begins on a line of its own. */
static void stream_end_line(struct run *r) {
    if (r->answer_on_terminal && r->last && r->last != '\n') putchar('\n');
    fflush(stdout);
}

static void stream_end(struct run *r) {
    stream_end_line(r);
    if (body_state_of(r->body) == BODY_FAILED) {
        fprintf(stderr, "execgate: the answer broke off: %s\n", body_failure(r->body));
        r->status = EXIT_FAILED;
    }
    body_on_readable(r->body, NULL, NULL);
    body_release_consumer(r->body);
    r->body = NULL;
    run_ended(r);
}

static void on_stream_task(struct turn_task *task) {
    struct run *r = container_of(task, struct run, body_task);
    for (struct slice piece; !ferror(stdout) && (piece = body_peek(r->body)).n;) {
        fwrite(piece.p, 1, piece.n, stdout);
        r->last = piece.p[piece.n - 1];
        body_consume(r->body, piece.n);
    }
    fflush(stdout);
    bool lost = ferror(stdout); /* whoever read it has left, as `head` does: command_main says so */
    if (lost || body_at_end(r->body) || body_state_of(r->body) == BODY_FAILED) stream_end(r);
    if (lost) gateway_stop_at_once(r->gateway, "stdout cannot be written");
}

static void on_readable(void *context) {
    struct run *r = context;
    turn_add(loop_turn(gateway_loop(r->gateway)), &r->body_task);
}

/* A failure of bytes has no answer; one of a request is what a client would see. */
static bool is_answered(const struct run *r, const struct invoke_answer *a) {
    return a->failure == FAILURE_NONE || r->plan->kind == TRIGGER_HTTP;
}

static void on_streamed(void *context, const struct invoke_answer *a) {
    struct run *r = context;
    if (is_answered(r, a)) invoke_report_head(r->plan, a);
    invoke_report_failure(r->plan, a);
    run_judge(r, a);
    r->body = a->body;
    if (r->body && is_answered(r, a)) {
        body_on_readable(r->body, on_readable, r);
        body_want(r->body);
        on_readable(r);
        return;
    }
    if (r->body) body_release_consumer(r->body);
    r->body = NULL;
    run_ended(r);
}

static const struct invoke_ops streamed_ops = {.reading = INVOKE_STREAMED, .on_end = on_streamed};

/* --- the run --- */

static void run_begin(void *context) {
    struct run *r = context;
    r->began_us = clock_now_us(run_clock(r));
    for (uint64_t i = 0; i < r->plan->parallel; i++) run_call(r);
}

int invoke_run(const struct invoke_plan *p, struct gateway *g) {
    struct run r = {.plan = p, .gateway = g, .route = *gateway_invoke_route(g, p->handler)};
    if (p->schedule) r.route.key = slice_of(p->schedule->key);
    if (p->websocket) r.route.key = slice_of(p->websocket->text);
    r.answer_on_terminal = isatty(STDOUT_FILENO);
    r.body_task = (struct turn_task){.phase = TURN_LAST, .run = on_stream_task};
    if (p->repeats) r.tally.times_us = xcalloc(p->repeat, sizeof *r.tally.times_us);
    handler_output_show(g);
    gateway_hurry(g);
    if (p->debug)
        debugger_await(&r.debugger, g, p->handler, run_begin, &r);
    else
        run_begin(&r);
    gateway_serve(g);
    debugger_forget(&r.debugger);
    if (r.body) stream_end(&r);
    if (p->repeats) invoke_report_tally(p, &r.tally);
    free(r.tally.times_us);
    return r.stopped || r.ended < p->repeat ? EXIT_UNFINISHED : r.status;
}
