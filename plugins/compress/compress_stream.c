#include "plugins/compress/compress_stream.h"
#include "gateway/base/memory.h"
#include <stdlib.h>

#define PIECE (32 * 1024) /* about a millisecond of work at most */

struct compress_stream {
    struct list_node node;
    struct turn *turn;
    struct turn_task task;
    struct body *plain;   /* consumer's end */
    struct body *encoded; /* producer's end */
    struct encoder *encoder;
};

static void stream_free(struct compress_stream *s) {
    turn_remove(&s->task);
    list_remove(&s->node);
    body_on_readable(s->plain, NULL, NULL);
    body_on_wanted(s->encoded, NULL, NULL);
    body_release_consumer(s->plain);
    body_release_producer(s->encoded);
    encoder_free(s->encoder);
    free(s);
}

/* False when it has failed, or nobody is there to take it. */
static bool stream_encode(struct compress_stream *s, struct slice in, enum encoder_step step) {
    struct buf out = {0};
    size_t n;
    if (encoder_push(s->encoder, in, step, &out) < 0) {
        buf_free(&out);
        body_fail_as(s->encoded, FAILURE_INTERNAL, "the encoder failed");
        return false;
    }
    char *bytes = buf_take(&out, &n);
    if (n) return body_append(s->encoded, chunk_take(bytes, n));
    free(bytes);
    return true;
}

/* What is at hand, up to a piece. */
static bool stream_pass_piece(struct compress_stream *s) {
    struct slice in = body_peek(s->plain);
    if (in.n > PIECE) in.n = PIECE;
    if (!stream_encode(s, in, ENCODER_MORE)) return false;
    body_consume(s->plain, in.n);
    bool more = body_peek(s->plain).n > 0 || body_state_of(s->plain) != BODY_OPEN;
    if (!more) return stream_encode(s, SLICE(""), ENCODER_FLUSH);
    turn_add(s->turn, &s->task);
    return true;
}

static bool stream_end(struct compress_stream *s) {
    if (body_state_of(s->plain) == BODY_FAILED)
        body_fail_as(s->encoded, body_fault(s->plain), body_failure(s->plain));
    else if (stream_encode(s, SLICE(""), ENCODER_FINISH))
        body_finish(s->encoded);
    return false;
}

/* True while there is something left to do. */
static bool stream_step(struct compress_stream *s) {
    if (body_abandoned(s->encoded)) return false;
    if (!body_wants(s->encoded)) return true;
    body_want(s->plain);
    if (body_peek(s->plain).n > 0) return stream_pass_piece(s);
    return body_state_of(s->plain) == BODY_OPEN || stream_end(s);
}

static void stream_run(struct turn_task *task) {
    struct compress_stream *s = container_of(task, struct compress_stream, task);
    if (!stream_step(s)) stream_free(s);
}

/* Of either body; called in the midst of other work. */
static void on_stream_event(void *context) {
    struct compress_stream *s = context;
    turn_add(s->turn, &s->task);
}

void compress_streams_init(struct compress_streams *streams, struct turn *turn) {
    list_init(&streams->all);
    streams->turn = turn;
}

struct body *compress_stream_new(struct compress_streams *streams, struct body *take_plain,
                                 struct encoder *take_encoder) {
    struct compress_stream *s = xcalloc(1, sizeof *s);
    s->turn = streams->turn;
    s->task = (struct turn_task){.phase = TURN_LOCAL, .run = stream_run};
    s->plain = take_plain;
    s->encoded = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    s->encoder = take_encoder;
    list_push(&streams->all, &s->node);
    body_on_readable(s->plain, on_stream_event, s);
    body_on_wanted(s->encoded, on_stream_event, s);
    return s->encoded;
}

void compress_streams_close(struct compress_streams *streams) {
    list_each (&streams->all, node) stream_free(list_entry(node, struct compress_stream, node));
}
