#include "gateway/observe/recorder.h"
#include "gateway/base/memory.h"
#include "gateway/invocation/identity.h"
#include "gateway/observe/record.h"
#include "gateway/observe/record_files.h"
#include "gateway/observe/redactor.h"
#include <stdlib.h>

#define HELD_MOST ((size_t)64 * 1024 * 1024)    /* of bodies whose records are not complete */
#define PENDING_MOST ((size_t)16 * 1024 * 1024) /* of lines that wait for the disk */
#define LAST_WAIT_MS 10000

struct recorder {
    struct loop *loop;
    struct log *log;
    uint64_t body_limit;
    struct list recordings; /* whose bodies are on their way */
    size_t held;
    struct buf pending;
    uint64_t lost; /* records for which there was no room */
    bool stopped;  /* the disk has refused */
    /* While loop_work is under way these are its own. */
    bool writing;
    struct record_files *files;
    struct buf lines;
    int status;
    struct error error;
    bool drop_told;
};

struct recorder_view {
    struct recorder *recorder;
    const struct auth_settings *auth;
    struct redactor redactor;
};

/* A record that is being made. The bodies are NULL unless they are tapped. */
struct recording {
    struct list_node node;
    struct recorder *recorder;
    struct clock *clock;
    struct arena arena;
    struct record record;
    struct body *request, *answer;
    struct buf request_bytes, answer_bytes;
    uint64_t received_us;
    bool was_encoded; /* by the handler itself */
};

/* --- to the disk --- */

static void on_write(void *context) {
    struct recorder *r = context;
    r->status = record_files_append(r->files, buf_slice(&r->lines), &r->error);
}

static void write_pending(struct recorder *r);

static void tell_dropped(struct recorder *r) {
    if (r->drop_told || record_files_dropped(r->files) == 0) return;
    r->drop_told = true;
    log_event(r->log, LOG_WARN, "the records have reached --record-limit; from now on the oldest are dropped");
}

static void on_written(void *context) {
    struct recorder *r = context;
    r->writing = false;
    r->lines.n = 0;
    tell_dropped(r);
    if (r->status < 0 && !r->stopped) {
        r->stopped = true;
        log_event(r->log, LOG_ERROR, "recording has ended", LOG_TEXT("reason", r->error.message));
    }
    write_pending(r);
}

static void write_pending(struct recorder *r) {
    if (r->stopped) r->pending.n = 0;
    if (r->writing || r->pending.n == 0) return;
    struct buf lines = r->pending;
    r->pending = r->lines;
    r->lines = lines;
    r->writing = true;
    loop_work(r->loop, on_write, on_written, r);
}

static void recorder_add(struct recorder *r, const struct record *record) {
    if (r->stopped) return;
    if (r->pending.n > PENDING_MOST) {
        if (r->lost++ == 0)
            log_event(r->log, LOG_WARN, "records are lost: the disk is slower than the clients", LOG_INT("lost", 1));
        return;
    }
    record_write(record, &r->pending);
    write_pending(r);
}

/* --- bodies --- */

static void keep_bytes(struct recorder *r, struct record_bytes *b, struct buf *kept, struct slice bytes) {
    size_t room = kept->n < r->body_limit ? (size_t)r->body_limit - kept->n : 0;
    b->size += bytes.n;
    if (!slice_is_none(b->cut)) return;
    if (bytes.n > room) b->cut = SLICE("it is larger than --record-body");
    if (bytes.n < room) room = bytes.n;
    if (room > HELD_MOST - r->held) {
        b->cut = SLICE("too much was in flight");
        room = HELD_MOST - r->held;
    }
    buf_append(kept, bytes.p, room);
    r->held += room;
}

static void on_request_bytes(void *context, struct slice bytes) {
    struct recording *r = context;
    keep_bytes(r->recorder, &r->record.request.body, &r->request_bytes, bytes);
}

static void on_answer_bytes(void *context, struct slice bytes) {
    struct recording *r = context;
    keep_bytes(r->recorder, &r->record.answer.body, &r->answer_bytes, bytes);
}

/* `open_means`: why there is less than all of a body that goes on without us. */
static void bytes_end(struct recording *r, struct record_bytes *b, const struct body *body, struct slice open_means) {
    if (!slice_is_none(b->cut) || body_state_of(body) == BODY_COMPLETE) return;
    bool failed = body_state_of(body) == BODY_FAILED && !body_was_cut(body);
    b->cut = failed ? arena_copy(&r->arena, slice_of(body_failure(body))) : open_means;
}

static void on_request_over(void *context, const struct body *b) {
    struct recording *r = context;
    r->request = NULL;
    bytes_end(r, &r->record.request.body, b, SLICE("the handler did not take all of it"));
}

static void recording_end(struct recording *r);

static void on_answer_over(void *context, const struct body *b) {
    struct recording *r = context;
    r->answer = NULL;
    bytes_end(r, &r->record.answer.body, b, SLICE("the client left"));
    if (slice_is_none(r->record.answer.body.cut) && body_was_cut(b))
        r->record.answer.body.cut = SLICE("the client left");
    recording_end(r);
}

/* --- a record --- */

static struct recording *recording_new(const struct recorder_view *v, struct invocation *inv) {
    struct recording *r = xcalloc(1, sizeof *r);
    struct record_request *q = &r->record.request;
    struct arena *a = &r->arena;
    char time[25];
    arena_init(a, 2048);
    clock_iso_time(inv->received_wall_ms, time);
    r->recorder = v->recorder;
    r->clock = inv->pipeline->clock;
    r->received_us = inv->received_us;
    r->record.version = RECORD_VERSION;
    r->record.id = arena_copy(a, invocation_id(inv));
    r->record.time = arena_copy(a, slice_of(time));
    r->record.trigger = slice_of(trigger_kind_name(inv->trigger));
    r->record.client_context = arena_copy(a, inv->client_context);
    q->method = arena_copy(a, inv->request.method);
    q->target = redactor_target(&v->redactor, inv->request.target, &r->record.redacted, a);
    q->headers = redactor_headers(&v->redactor, &inv->request.headers, &r->record.redacted, a);
    q->client_address = arena_copy(a, inv->request.client_address);
    list_push(&v->recorder->recordings, &r->node);
    inv->recording = r;
    return r;
}

static void recording_free(struct recording *r) {
    if (r->request) body_set_tap(r->request, NULL);
    if (r->answer) body_set_tap(r->answer, NULL);
    r->recorder->held -= r->request_bytes.n + r->answer_bytes.n;
    list_remove(&r->node);
    buf_free(&r->request_bytes);
    buf_free(&r->answer_bytes);
    arena_free(&r->arena);
    free(r);
}

static void recording_end(struct recording *r) {
    struct record *record = &r->record;
    if (record->timing.total_us == 0) record->timing.total_us = clock_now_us(r->clock) - r->received_us;
    if (r->request_bytes.n) record->request.body.bytes = buf_slice(&r->request_bytes);
    if (r->answer_bytes.n) record->answer.body.bytes = buf_slice(&r->answer_bytes);
    recorder_add(r->recorder, record);
    recording_free(r);
}

/* --- what the hooks see --- */

static bool is_kept(const struct recorder_view *v, const struct invocation *inv) {
    return !v->recorder->stopped && (inv->trigger == TRIGGER_HTTP || inv->trigger == TRIGGER_INVOKE);
}

static enum step_result client_pre(void *self, struct invocation *inv) {
    const struct recorder_view *v = self;
    if (!is_kept(v, inv)) return STEP_NEXT;
    struct recording *r = recording_new(v, inv);
    if (!inv->body) return STEP_NEXT;
    const struct body_tap tap = {.on_bytes = on_request_bytes, .on_over = on_request_over, .context = r};
    r->request = inv->body;
    body_set_tap(inv->body, &tap);
    return STEP_NEXT;
}

/* The first to see the answer: as the handler, or whoever refused, has made it. */
static void handler_post(void *self, struct invocation *inv) {
    const struct recorder_view *v = self;
    struct recording *r = inv->recording;
    struct body *body = inv->outcome.body;
    if (!r && is_kept(v, inv)) r = recording_new(v, inv); /* it got no further than the router */
    if (!r) return;
    r->was_encoded = !slice_is_none(fields_get(&inv->outcome.headers, SLICE("Content-Encoding")));
    if (!body) return;
    const struct body_tap tap = {.on_bytes = on_answer_bytes, .on_over = on_answer_over, .context = r};
    bool streamed = body_state_of(body) == BODY_OPEN;
    r->record.answer.streamed = streamed;
    body_set_tap(body, &tap);
    if (streamed)
        r->answer = body;
    else
        body_set_tap(body, NULL);
    if (body_state_of(body) == BODY_FAILED) bytes_end(r, &r->record.answer.body, body, SLICE_NONE);
}

static void keep_route(struct recording *r, const struct recorder_view *v, const struct invocation *inv) {
    const struct route *route = inv->route;
    struct record *record = &r->record;
    struct arena *a = &r->arena;
    if (!route) return;
    record->route = arena_copy(a, route->key);
    if (route->handler) record->handler = arena_copy(a, slice_of(route->handler->name));
    for (size_t i = 0; i < route->parameter_count; i++)
        fields_add(&record->parameters, a, arena_copy(a, route->parameter_names[i]), arena_copy(a, inv->parameters[i]));
    record->guarded = auth_guards_trigger(v->auth, route->trigger);
    if (inv->identity) record->claims = arena_copy(a, inv->identity->claims_json);
}

static void keep_failure(struct recording *r, const struct outcome *o) {
    struct record_failure *f = &r->record.answer.failure;
    struct arena *a = &r->arena;
    if (o->failure == FAILURE_NONE) return;
    f->slug = slice_of(failure_row(o->failure)->slug);
    f->detail = arena_copy(a, o->detail);
    if (!o->report) return;
    f->type = arena_copy(a, o->report->type);
    f->message = arena_copy(a, o->report->message);
}

static void keep_head(struct recording *r, const struct recorder_view *v, const struct outcome *o) {
    struct record_answer *answer = &r->record.answer;
    struct fields nobody_asks = {0};
    struct slice encoding = fields_get(&o->headers, SLICE("Content-Encoding"));
    answer->status = (uint64_t)o->status;
    answer->headers = redactor_headers(&v->redactor, &o->headers, &nobody_asks, &r->arena);
    if (r->was_encoded || slice_is_none(encoding)) return;
    answer->encoded = arena_copy(&r->arena, encoding);
    fields_remove(&answer->headers, SLICE("Content-Encoding"));
}

static void keep_request_end(struct recording *r) {
    struct record_bytes *b = &r->record.request.body;
    if (!r->request) return;
    bytes_end(r, b, r->request,
              b->size ? SLICE("it was answered before all of it had come") : SLICE("it was not read"));
    body_set_tap(r->request, NULL);
    r->request = NULL;
}

/* The last but one to see the answer: as the client will. */
static void client_post(void *self, struct invocation *inv) {
    const struct recorder_view *v = self;
    struct recording *r = inv->recording;
    if (!r) return;
    inv->recording = NULL;
    keep_request_end(r);
    keep_route(r, v, inv);
    keep_failure(r, &inv->outcome);
    keep_head(r, v, &inv->outcome);
    if (inv->queued_us && inv->started_us) r->record.timing.waited_us = inv->started_us - inv->queued_us;
    if (r->answer) return;
    r->record.timing.total_us = inv->completed_us - inv->received_us;
    recording_end(r);
}

struct hook recorder_client_hook(struct recorder_view *v) {
    return (struct hook){
        .name = "recorder, client", .self = v, .scope = HOOK_SEES_ALL, .pre = client_pre, .post = client_post};
}

struct hook recorder_handler_hook(struct recorder_view *v) {
    return (struct hook){.name = "recorder, handler", .self = v, .scope = HOOK_SEES_ALL, .post = handler_post};
}

struct recorder_view *recorder_view_new(struct recorder *r, const struct blueprint *b) {
    struct recorder_view *v = xcalloc(1, sizeof *v);
    v->recorder = r;
    v->auth = auth_settings_of(b);
    redactor_init(&v->redactor, v->auth);
    return v;
}

void recorder_view_free(struct recorder_view *v) {
    if (!v) return;
    redactor_free(&v->redactor);
    free(v);
}

/* --- life --- */

struct recorder *recorder_new(struct loop *l, struct log *log, const struct recorder_config *c, struct error *e) {
    struct record_files *files = record_files_open(c->folder, c->limit, loop_clock(l), e);
    if (!files) return NULL;
    struct recorder *r = xcalloc(1, sizeof *r);
    *r = (struct recorder){.loop = l, .log = log, .body_limit = c->body_limit, .files = files};
    list_init(&r->recordings);
    log_event(log, LOG_INFO, "recording: requests, answers and claims are kept, credentials are not",
              LOG_TEXT("folder", c->folder));
    return r;
}

static bool is_written(void *context) {
    const struct recorder *r = context;
    return !r->writing && r->pending.n == 0;
}

void recorder_free(struct recorder *r) {
    if (!r) return;
    list_each (&r->recordings, node) recording_free(list_entry(node, struct recording, node));
    while (!loop_run_until(r->loop, is_written, r, LAST_WAIT_MS))
        log_event(r->log, LOG_WARN, "the last records wait for the disk");
    if (r->lost) log_event(r->log, LOG_WARN, "records were lost", LOG_INT("lost", r->lost));
    record_files_close(r->files);
    buf_free(&r->pending);
    buf_free(&r->lines);
    free(r);
}
