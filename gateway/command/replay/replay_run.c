#include "gateway/command/replay/replay_run.h"
#include "gateway/base/http_text.h"
#include "gateway/client/http_call.h"
#include "gateway/command/options.h"
#include "gateway/command/replay/replay_request.h"
#include "gateway/command/serve/handler_output.h"
#include "gateway/invocation/identity.h"
#include "gateway/loop/loop.h"
#include "gateway/observe/redactor.h"
#include "gateway/source/invoke/invoke_source.h"
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 60000
#define ANSWER_MOST ((size_t)64 * 1024 * 1024)

struct replay {
    const struct replay_plan *plan;
    struct replay_files *files;
    struct gateway *gateway;
    struct http_caller *caller;
    struct replay_report report;
    struct arena arena; /* of one record */
    struct replay_line line;
    struct record record;
    struct replay_request request;
    int status; /* what stopped it; 0 = nothing */
    struct error *error;
};

static enum replay_way way_of(const struct replay *r) {
    return r->plan->url ? REPLAY_TO_URL : REPLAY_HERE;
}

/* --- from record to record --- */

static void tell(struct replay *r, enum replay_result result, struct slice why) {
    const struct replay_finding f = {
        .result = result, .line = &r->line, .record = result == REPLAY_DAMAGED ? NULL : &r->record, .why = why};
    replay_report_add(&r->report, &f);
}

static bool read_record(struct replay *r) {
    struct error e;
    bool well = record_read(&r->record, r->line.text, &r->arena, &e) == 0;
    if (well && !slice_is_none(r->record.claims)) well = invoke_claims_check(r->record.claims, &e);
    if (!well) tell(r, REPLAY_DAMAGED, slice_of(e.message));
    return well;
}

static bool is_wanted(const struct replay *r) {
    const char *handler = r->plan->handler;
    return !handler || slice_equal(r->record.handler, slice_of(handler));
}

/* True when the record is to be sent; otherwise what there is to say has been said. */
static bool prepare(struct replay *r) {
    const struct fields *given = r->plan->url ? &r->plan->given : NULL;
    arena_reset(&r->arena);
    if (!read_record(r) || !is_wanted(r)) return false;
    replay_request_make(&r->request, &r->record, way_of(r), given, &r->arena);
    struct slice obstacle = replay_request_obstacle(&r->request, &r->record, way_of(r));
    if (!slice_is_none(obstacle)) tell(r, REPLAY_SKIPPED, obstacle);
    return slice_is_none(obstacle);
}

/* False at the end, and when a file stops it. */
static bool next_record(struct replay *r) {
    int found;
    while ((found = replay_files_next(r->files, &r->line, r->error)) > 0)
        if (prepare(r)) return true;
    if (found < 0) r->status = found;
    return false;
}

/* --- an answer --- */

static void accept_answer(struct replay *r, const struct record_answer *now, uint64_t now_us) {
    struct record anew = r->record;
    struct buf line = {0};
    anew.answer = *now;
    anew.answer.streamed = r->record.answer.streamed;
    anew.answer.encoded = r->record.answer.encoded;
    bool failed_alike = r->plan->url && now->status == r->record.answer.status;
    if (failed_alike) anew.answer.failure = r->record.answer.failure; /* a client sees no more of it */
    anew.timing = (struct record_timing){.total_us = now_us};
    record_write(&anew, &line);
    replay_files_replace(r->files, buf_slice(&line));
    buf_free(&line);
}

static void answered(struct replay *r, const struct record_answer *now, uint64_t now_us) {
    struct answer_diff diff = {.arena = &r->arena,
                               .ignored = r->plan->ignored,
                               .ignored_count = r->plan->ignored_count,
                               .sight = r->plan->url ? FAILURES_UNSEEN : FAILURES_SEEN};
    if (replay_failure_is_of_the_hour(now->failure.slug)) {
        tell(r, REPLAY_SKIPPED,
             arena_printf(&r->arena, "it cannot be answered now: " SLICE_FMT, SLICE_ARG(now->failure.slug)));
        return;
    }
    answer_diff(&diff, &r->record, now);
    bool updated = diff.count && r->plan->updates && slice_is_none(now->body.cut);
    const struct replay_finding f = {.result = diff.count ? REPLAY_DIFFERENT : REPLAY_SAME,
                                     .line = &r->line,
                                     .record = &r->record,
                                     .left_out = r->request.left_out,
                                     .diff = &diff,
                                     .now_us = now_us,
                                     .updated = updated};
    replay_report_add(&r->report, &f);
    if (updated) accept_answer(r, now, now_us);
}

/* There is no answer to compare with. */
static void unanswered(struct replay *r, struct slice why) {
    struct answer_diff diff = {.arena = &r->arena};
    answer_diff_add(&diff, SLICE("answer"),
                    arena_printf(&r->arena, "status %llu", (unsigned long long)r->record.answer.status), why);
    const struct replay_finding f = {.result = REPLAY_DIFFERENT, .line = &r->line, .record = &r->record, .diff = &diff};
    replay_report_add(&r->report, &f);
}

/* As it would be recorded. */
static struct fields kept_headers(struct replay *r, const struct fields *from) {
    struct fields kept = {0};
    for (size_t i = 0; i < from->count; i++) {
        const struct field *f = &from->items[i];
        bool sets_cookie = slice_equal_nocase(f->name, SLICE("Set-Cookie"));
        bool redacted = slice_equal(fields_get(&r->record.answer.headers, f->name), SLICE(RECORD_REDACTED));
        struct slice value = sets_cookie ? redact_set_cookie(f->value, &r->arena) : arena_copy(&r->arena, f->value);
        fields_add(&kept, &r->arena, arena_copy(&r->arena, f->name), redacted ? SLICE(RECORD_REDACTED) : value);
    }
    return kept;
}

/* --- here --- */

static struct record_answer answer_of(struct replay *r, const struct invoke_answer *a) {
    struct record_answer now = {.status = (uint64_t)a->status, .headers = kept_headers(r, a->headers)};
    if (a->bytes.n) now.body = (struct record_bytes){.bytes = a->bytes, .size = a->bytes.n};
    if (a->failure == FAILURE_NONE) return now;
    now.failure.slug = slice_of(failure_row(a->failure)->slug);
    now.failure.detail = a->detail.n ? a->detail : SLICE_NONE;
    if (!a->report) return now;
    now.failure.type = a->report->type;
    now.failure.message = a->report->message;
    return now;
}

static void send_here(struct replay *r);

static void on_end(void *context, const struct invoke_answer *a) {
    struct replay *r = context;
    if (a->failure == FAILURE_SHUTTING_DOWN) {
        r->status = -ERROR_STATE;
        return;
    }
    const struct record_answer now = answer_of(r, a);
    answered(r, &now, a->duration_us);
    send_here(r);
}

static const struct invoke_ops here_ops = {.reading = INVOKE_WHOLE, .on_end = on_end};

static void send_request(struct replay *r, const struct invoke_order *order) {
    const struct invoke_http http = {.method = r->request.method,
                                     .target = r->request.target,
                                     .headers = &r->request.headers,
                                     .body = r->request.body,
                                     .client_address = r->record.request.client_address};
    invoke_request(gateway_pipeline(r->gateway), &http, order);
}

/* False when there is nobody to send it to. */
static bool send_bytes(struct replay *r, const struct invoke_order *order) {
    const char *name = arena_text(&r->arena, r->record.handler);
    const struct route *route = gateway_invoke_route(r->gateway, name);
    struct slice context = r->record.client_context;
    const struct invoke_payload payload = {
        .bytes = r->request.body,
        .content_type = fields_get(&r->request.headers, SLICE("Content-Type")),
        .client_context = slice_is_none(context) ? context : identity_json_line(context, &r->arena)};
    if (!route) {
        unanswered(r, SLICE("the blueprint has no such handler"));
        return false;
    }
    invoke_bytes(gateway_pipeline(r->gateway), route, &payload, order);
    return true;
}

/* The next one that can be; the answer comes to on_end. */
static void send_here(struct replay *r) {
    while (next_record(r)) {
        const struct invoke_order order = {.ops = &here_ops,
                                           .context = r,
                                           .timeout_ms = r->plan->timeout_ms,
                                           .claims = r->record.claims,
                                           .answer_limit = ANSWER_MOST};
        bool by_name = slice_equal(r->record.trigger, slice_of(trigger_kind_name(TRIGGER_INVOKE)));
        if (!by_name) send_request(r, &order);
        if (!by_name || send_bytes(r, &order)) return;
    }
    gateway_stop(r->gateway);
}

static void replay_here(struct replay *r) {
    handler_output_show(r->gateway);
    gateway_hurry(r->gateway);
    send_here(r);
    if (!gateway_serve(r->gateway) && r->status == 0) r->status = -ERROR_STATE;
}

/* --- to a URL --- */

/* A file may hold what would be two header fields. */
static bool is_sound(const struct replay_request *q) {
    bool sound = http_is_token(q->method) && q->target.n && q->target.p[0] == '/';
    for (size_t i = 0; i < q->target.n; i++) sound &= q->target.p[i] > ' ' && q->target.p[i] < 127;
    for (size_t i = 0; i < q->headers.count; i++)
        sound &= http_is_token(q->headers.items[i].name) && http_is_field_value(q->headers.items[i].value);
    return sound;
}

static void send_to_url(struct replay *r) {
    const struct replay_request *q = &r->request;
    struct arena *a = &r->arena;
    struct slice base = slice_of(r->plan->url);
    struct http_reply reply;
    struct error e;
    while (base.n && base.p[base.n - 1] == '/') base.n--;
    if (!is_sound(q)) {
        tell(r, REPLAY_SKIPPED, SLICE("its request line or a header is none that a client can send"));
        return;
    }
    const struct http_call call = {
        .url = arena_text(a, arena_printf(a, SLICE_FMT SLICE_FMT, SLICE_ARG(base), SLICE_ARG(q->target))),
        .method = arena_text(a, q->method),
        .headers = &q->headers,
        .body = q->body,
        .timeout_ms = r->plan->timeout_ms ? r->plan->timeout_ms : TIMEOUT_MS,
        .max_size = ANSWER_MOST};
    if (http_caller_call(r->caller, &call, &reply, &e) < 0) {
        unanswered(r, slice_of(e.message));
        return;
    }
    struct record_answer now = {.status = (uint64_t)reply.status, .headers = kept_headers(r, &reply.headers)};
    if (reply.body.n) now.body = (struct record_bytes){.bytes = reply.body, .size = reply.body.n};
    if (!reply.whole) now.body.cut = SLICE("it is larger than 64 MiB");
    answered(r, &now, reply.duration_us);
}

static void replay_to_url(struct replay *r) {
    r->caller = http_caller_new(getenv("SSL_CERT_FILE"), r->error);
    if (!r->caller) r->status = -ERROR_SYSTEM;
    while (r->caller && next_record(r)) send_to_url(r);
    http_caller_free(r->caller);
}

/* --- all of it --- */

static int status_of(const struct replay *r) {
    if (r->status == 0) return replay_report_status(&r->report);
    if (r->status == -ERROR_STATE) return EXIT_UNFINISHED;
    return r->status == -ERROR_USAGE ? EXIT_USAGE : EXIT_SYSTEM;
}

int replay_run(const struct replay_plan *p, struct replay_files *files, struct gateway *g, struct error *e) {
    struct replay r = {.plan = p, .files = files, .gateway = g, .error = e};
    arena_init(&r.arena, 64 * 1024);
    replay_report_begin(&r.report, p->form);
    if (g)
        replay_here(&r);
    else
        replay_to_url(&r);
    int status = status_of(&r);
    replay_report_end(&r.report);
    arena_free(&r.arena);
    return status;
}
