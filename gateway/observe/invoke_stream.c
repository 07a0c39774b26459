#include "gateway/observe/invoke_stream.h"
#include "gateway/base/json_write.h"
#include "gateway/base/memory.h"
#include "gateway/observe/invoke_report.h"
#include <stdlib.h>

#define PAYLOAD_MAX ((size_t)64 * 1024)

/* Between two bodies; frees itself once the last message is written or nobody reads any more. */
struct invoke_stream {
    struct turn *turn;
    struct turn_task task;
    struct body *from; /* NULL = there is nothing, or no more */
    struct body *to;
    struct arena arena;
    struct slice log;
    struct invoke_report report; /* absent type = no failure */
};

static void stream_note(void *context) {
    struct invoke_stream *s = context;
    turn_add(s->turn, &s->task);
}

static void stream_free(struct invoke_stream *s) {
    turn_remove(&s->task);
    if (s->from) body_release_consumer(s->from);
    body_release_producer(s->to);
    arena_free(&s->arena);
    free(s);
}

static void stream_payload(struct invoke_stream *s, struct slice bytes) {
    const struct event_message m = {SLICE("PayloadChunk"), SLICE("application/octet-stream"), bytes};
    body_append(s->to, event_stream_message(&m));
}

static void stream_complete(struct invoke_stream *s) {
    struct buf text = {0};
    struct json_write w = json_write_to(&text);
    json_open(&w, '{');
    if (!slice_is_none(s->report.type)) {
        json_member(&w, SLICE("ErrorCode"), s->report.type);
        json_member(&w, SLICE("ErrorDetails"), s->report.message);
    }
    if (!slice_is_none(s->log)) json_member(&w, SLICE("LogResult"), s->log);
    json_close(&w, '}');
    const struct event_message m = {SLICE("InvokeComplete"), SLICE("application/json"), buf_slice(&text)};
    body_append(s->to, event_stream_message(&m));
    buf_free(&text);
    body_finish(s->to);
}

/* True while more may come. */
static bool stream_move(struct invoke_stream *s) {
    struct slice bytes;
    while (s->from && body_wants(s->to) && (bytes = body_peek(s->from)).n > 0) {
        if (bytes.n > PAYLOAD_MAX) bytes.n = PAYLOAD_MAX;
        stream_payload(s, bytes);
        body_consume(s->from, bytes.n);
    }
    if (!s->from || body_at_end(s->from)) return false;
    if (body_state_of(s->from) != BODY_FAILED || body_peek(s->from).n > 0) return true;
    const char *why = body_failure(s->from);
    s->report = (struct invoke_report){SLICE("Runtime.StreamError"),
                                       arena_copy(&s->arena, slice_of(why ? why : "the stream broke off"))};
    return false;
}

static void on_task(struct turn_task *task) {
    struct invoke_stream *s = container_of(task, struct invoke_stream, task);
    if (!body_abandoned(s->to)) {
        if (stream_move(s)) return;
        stream_complete(s);
    }
    stream_free(s);
}

static void stream_read(struct invoke_stream *s, struct body *take_body) {
    s->from = take_body;
    if (!take_body) return;
    body_on_readable(take_body, stream_note, s);
    body_want(take_body);
}

struct body *invoke_stream_new(struct loop *l, const struct invoke_answer *answer, struct slice log) {
    struct invoke_stream *s = xcalloc(1, sizeof *s);
    arena_init(&s->arena, 512);
    s->turn = loop_turn(l);
    s->task = (struct turn_task){.phase = TURN_PUBLIC, .run = on_task};
    s->to = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    s->log = arena_copy(&s->arena, log);
    struct body *reader = s->to;
    body_on_wanted(s->to, stream_note, s);
    if (answer->failure == FAILURE_NONE) {
        stream_read(s, answer->body);
    } else {
        struct invoke_report r = invoke_report_of(&s->arena, answer);
        s->report = (struct invoke_report){arena_copy(&s->arena, r.type), arena_copy(&s->arena, r.message)};
        if (answer->body) body_release_consumer(answer->body);
    }
    stream_note(s);
    return reader;
}
