#include "local-api/once.h"
#include "gateway/pool/pool.h"
#include "local-api/cgi.h"
#include "local-api/event.h"
#include "local-api/once_answer.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES (64 * 1024) /* what a pipe holds */
#define SCRATCH_BYTES 1024
/* After the exit somebody else may still hold stdout open; that long it is waited for. */
#define HELD_OPEN_MS 1000

/* What is being done with the output. */
enum once_phase {
    PHASE_GATHERS, /* it is not yet known, or it is plain: kept until the end */
    PHASE_STREAMS, /* a document's body goes to the client as it comes */
    PHASE_DROPS,   /* nobody is there for it any more */
};

struct once_pipe {
    int fd; /* -1 = closed */
    struct watch *watch;
};

/* One worker: one process, one event. */
struct once {
    struct worker *worker;
    const struct once_context *context;
    struct turn_task task;
    struct invocation *inv; /* until it is completed */
    struct once_pipe in;
    struct once_pipe out;
    struct body *request; /* consumer's end of what is left to write */
    enum once_phase phase;
    enum once_shape shape;
    bool is_head;
    bool has_document;   /* its head is complete */
    struct buf text;     /* PHASE_GATHERS: all so far */
    struct body *answer; /* PHASE_STREAMS: producer's end */
    struct answer_stream stream;
    struct deadline held_open;
    bool start_failed;
    bool unwanted; /* the process is to be stopped */
    bool exited;
    int wait_status;
};

/* --- the two pipes --- */

static void pipe_close(struct once_pipe *p) {
    watch_close(p->watch);
    p->watch = NULL;
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

static void on_pipe_event(void *context, unsigned events) {
    struct once *o = context;
    (void)events;
    turn_add(loop_turn(o->context->loop), &o->task);
}

static int pipe_open(struct once_pipe *p, struct once *o, int take_fd, struct error *e) {
    p->fd = take_fd;
    fcntl(take_fd, F_SETFL, O_NONBLOCK);
    p->watch = watch_open(o->context->loop, take_fd, on_pipe_event, o);
    return p->watch ? 0 : error_set(e, ERROR_SYSTEM, "cannot watch a pipe");
}

/* stdout: the process writes, we read. */
static int out_open(struct once *o, struct launch *launch, struct error *e) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return error_set_errno(e, errno, "cannot create a pipe for stdout");
    launch->stdout_fd = ends[1];
    return pipe_open(&o->out, o, ends[0], e);
}

/* stdin: /dev/null unless there is a body. */
static int in_open(struct once *o, struct launch *launch, struct error *e) {
    int ends[2];
    if (!o->request) return 0;
    if (pipe2(ends, O_CLOEXEC) < 0) return error_set_errno(e, errno, "cannot create a pipe for stdin");
    launch->stdin_fd = ends[0];
    return pipe_open(&o->in, o, ends[1], e);
}

/* --- the request body, to stdin --- */

static void request_end(struct once *o) {
    pipe_close(&o->in);
    if (o->request) body_release_consumer(o->request);
    o->request = NULL;
}

/* A process may close its stdin without having read it all (EPIPE); that is its own affair. */
static void request_feed(struct once *o) {
    while (o->in.fd >= 0) {
        struct slice next = body_peek(o->request);
        if (!next.n) return request_end(o);
        ssize_t n = write(o->in.fd, next.p, next.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return watch_set(o->in.watch, WATCH_WRITE);
        if (n < 0) return request_end(o);
        body_consume(o->request, (size_t)n);
    }
}

/* --- the answer's end --- */

static void answer_drop(struct once *o) {
    o->phase = PHASE_DROPS;
    buf_free(&o->text);
    if (!o->answer) return;
    body_release_producer(o->answer);
    o->answer = NULL;
    worker_stream_end(o->worker, &o->stream);
}

static void once_complete(struct once *o, struct outcome outcome) {
    (void)invocation_complete(o->inv, outcome);
}

static bool was_killed(const struct once *o) {
    return WIFSIGNALED(o->wait_status);
}

/* A document says itself what it is, so a non-zero status does not count; but one that was cut off must not look whole.
 */
static void document_end(struct once *o) {
    if (was_killed(o))
        body_fail(o->answer, "the handler process was killed");
    else
        body_finish(o->answer);
    answer_drop(o);
}

static struct outcome plain_outcome(struct once *o) {
    char why[64];
    exit_describe(o->wait_status, why, sizeof why);
    if (was_killed(o)) return outcome_failure(o->inv, FAILURE_HANDLER_DIED, "%s", why);
    if (WEXITSTATUS(o->wait_status) != 0) return outcome_failure(o->inv, FAILURE_HANDLER_ERROR, "%s", why);
    return once_plain_outcome(o->inv, &o->text);
}

/* --- the output as it comes --- */

static void on_answer_wanted(void *context) {
    struct once *o = context;
    turn_add(loop_turn(o->context->loop), &o->task);
}

/* Completes with a body that has begun. What follows a declared length is not part of it. */
static void document_begin(struct once *o, const struct response_head *head, enum once_output output) {
    struct outcome outcome = once_document_outcome(o->inv, head);
    struct slice rest = slice_make(o->text.p + head->size, o->text.n - head->size);
    bool full = head->content_length >= 0 && rest.n >= (uint64_t)head->content_length;
    if (full) rest.n = (size_t)head->content_length;
    outcome.body = o->answer = body_new(head->content_length, UINT64_MAX);
    body_append_copy(o->answer, rest);
    if (full || (output == ONCE_OUTPUT_ENDED && head->content_length < 0)) {
        body_finish(o->answer);
        answer_drop(o);
    } else {
        o->phase = PHASE_STREAMS;
        buf_free(&o->text);
        body_on_wanted(o->answer, on_answer_wanted, o);
        worker_stream_begin(o->worker, &o->stream, o->inv);
    }
    once_complete(o, outcome);
}

/* The process is of no use any more, whatever it is still doing. */
static void answer_refuse(struct once *o, struct outcome outcome) {
    answer_drop(o);
    o->unwanted = true;
    once_complete(o, outcome);
}

/* To a HEAD the length is told, which is known at the end of the output; there is nobody to stream it to. */
static bool document_must_end_first(const struct once *o, enum once_output output) {
    return o->is_head && output == ONCE_MORE_MAY_COME;
}

static void answer_decide(struct once *o, enum once_output output) {
    struct response_head head;
    struct error e;
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES);
    enum once_shape shape = once_shape_of(buf_slice(&o->text), output, &scratch, &head, &e);
    o->has_document = shape == ONCE_DOCUMENT;
    if (o->has_document && document_must_end_first(o, output)) shape = ONCE_UNDECIDED;
    o->shape = shape;
    if (shape == ONCE_DOCUMENT) document_begin(o, &head, output);
    if (shape == ONCE_BROKEN) answer_refuse(o, once_broken_outcome(o->inv, buf_slice(&o->text), e.message));
    arena_free(&scratch);
}

static void answer_consider(struct once *o, enum once_output output) {
    if (o->shape == ONCE_UNDECIDED) answer_decide(o, output);
    if (o->phase != PHASE_GATHERS || o->text.n <= o->context->max_answer) return;
    answer_refuse(o, outcome_failure(o->inv, FAILURE_HANDLER_ANSWER_TOO_LARGE, "more than %llu bytes of plain output",
                                     (unsigned long long)o->context->max_answer));
}

static void stream_take(struct once *o, struct slice bytes) {
    int64_t length = body_length(o->answer);
    uint64_t left = length < 0 ? UINT64_MAX : (uint64_t)length - body_received(o->answer);
    if (bytes.n > left) bytes.n = (size_t)left;
    body_append_copy(o->answer, bytes);
    if (left != bytes.n) return;
    body_finish(o->answer);
    answer_drop(o);
}

static void output_take(struct once *o, struct slice bytes) {
    switch (o->phase) {
    case PHASE_GATHERS:
        buf_append_slice(&o->text, bytes);
        answer_consider(o, ONCE_MORE_MAY_COME);
        return;
    case PHASE_STREAMS: stream_take(o, bytes); return;
    case PHASE_DROPS: return;
    }
}

/* False while the client is slower than the process. */
static bool output_is_wanted(const struct once *o) {
    return o->phase != PHASE_STREAMS || body_wants(o->answer);
}

/* One pipe's worth per turn, so that one process cannot hold the loop. */
static void output_read(struct once *o) {
    char bytes[READ_BYTES];
    if (o->out.fd < 0 || !output_is_wanted(o)) return;
    ssize_t n = read(o->out.fd, bytes, sizeof bytes);
    if (n > 0) return output_take(o, slice_make(bytes, (size_t)n));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    pipe_close(&o->out);
}

static void output_follow(struct once *o) {
    if (o->phase == PHASE_STREAMS && body_abandoned(o->answer)) {
        answer_drop(o);
        o->unwanted = true;
    }
    if (o->out.watch) watch_set(o->out.watch, output_is_wanted(o) ? WATCH_READ : 0);
}

/* --- the end of the process --- */

/* Exit and end of output have both been seen. */
static void once_end(struct once *o) {
    bool answered = o->wait_status == 0 || (o->has_document && !was_killed(o));
    if (o->inv && answered) answer_consider(o, ONCE_OUTPUT_ENDED);
    if (o->inv) once_complete(o, plain_outcome(o));
    if (o->phase == PHASE_STREAMS) document_end(o);
    request_end(o);
    deadline_disarm(loop_deadlines(o->context->loop), &o->held_open);
    worker_finished(o->worker);
}

/* The client left, or the answer has been refused. */
static void once_stop(struct once *o) {
    o->unwanted = false;
    if (o->inv) once_complete(o, outcome_failure(o->inv, FAILURE_CLIENT_GONE, NULL));
    if (!o->exited) worker_stop(o->worker);
}

static void once_start_failed(struct once *o) {
    o->start_failed = false;
    if (o->inv) once_complete(o, outcome_failure(o->inv, FAILURE_UNAVAILABLE, NULL));
    worker_fail(o->worker, "no pipes can be made for it");
}

static void on_once_task(struct turn_task *task) {
    struct once *o = container_of(task, struct once, task);
    if (o->start_failed) return once_start_failed(o);
    request_feed(o);
    output_read(o);
    output_follow(o);
    if (o->unwanted) once_stop(o);
    if (o->exited && o->out.fd < 0) once_end(o);
}

static void hold_open_arm(struct once *o) {
    struct loop *l = o->context->loop;
    deadline_arm(loop_deadlines(l), &o->held_open, clock_now_ms(loop_clock(l)) + HELD_OPEN_MS);
}

/* What is waiting for a slow client is not held open by anybody. */
static void on_held_open(struct deadline *d) {
    struct once *o = container_of(d, struct once, held_open);
    if (!output_is_wanted(o)) return hold_open_arm(o);
    pipe_close(&o->out);
    turn_add(loop_turn(o->context->loop), &o->task);
}

/* --- the transport --- */

static int once_open(struct worker *w, struct launch *launch, struct error *e) {
    struct once *o = xcalloc(1, sizeof *o);
    (void)e;
    o->worker = w;
    o->context = pool_transport_context(w->pool);
    o->task = (struct turn_task){.phase = TURN_LOCAL, .run = on_once_task};
    o->held_open.on_due = on_held_open;
    o->in.fd = o->out.fd = -1;
    w->transport = o;
    launch->deferred = true;
    return 0;
}

static uint64_t deadline_wall_ms(struct clock *clock, const struct invocation *inv) {
    uint64_t now_ms = clock_now_ms(clock);
    uint64_t due_ms = deadline_armed(&inv->deadline) ? inv->deadline.at_ms : now_ms + invocation_timeout_ms(inv);
    return clock_wall_ms(clock) + (due_ms > now_ms ? due_ms - now_ms : 0);
}

/* The process is started only with all its pipes in place. */
static void once_launch(struct once *o, struct launch *launch) {
    struct error e;
    if (out_open(o, launch, &e) < 0 || in_open(o, launch, &e) < 0) {
        log_event(o->context->log, LOG_ERROR, "handler cannot be started",
                  LOG_TEXT("handler", o->worker->handler->name), LOG_TEXT("why", e.message));
        launch_discard(launch);
        o->start_failed = true;
    } else if (worker_launch(o->worker, launch, &e) < 0) {
        return;
    }
    turn_add(loop_turn(o->context->loop), &o->task);
}

static void once_deliver(struct worker *w, struct invocation *inv) {
    struct once *o = w->transport;
    struct launch launch;
    launch_init(&launch, w->handler);
    launch_set(&launch, "EXECGATE_APPLICATION", pool_host_of(w->pool)->application);
    launch_set(&launch, "EXECGATE_HANDLER", w->handler->name);
    cgi_environment_set(&launch, inv, deadline_wall_ms(loop_clock(o->context->loop), inv));
    o->inv = inv;
    o->is_head = slice_equal(inv->request.method, SLICE("HEAD"));
    if (event_shape_of(inv)->answer == EVENT_ANSWER_BYTES) o->shape = ONCE_PLAIN;
    /* Outlives the invocation when the answer begins before all of it has been read. */
    o->request = inv->body;
    inv->body = NULL;
    if (o->request && body_at_end(o->request)) request_end(o);
    once_launch(o, &launch);
}

static void once_cancel(struct worker *w, struct invocation *inv) {
    struct once *o = w->transport;
    (void)inv;
    o->unwanted = true;
    turn_add(loop_turn(o->context->loop), &o->task);
}

static void once_forget(struct worker *w, struct invocation *inv) {
    struct once *o = w->transport;
    if (o->inv != inv) return;
    o->inv = NULL;
    if (o->phase == PHASE_GATHERS) answer_drop(o);
}

static void once_abort_stream(struct worker *w, struct answer_stream *s) {
    struct once *o = w->transport;
    (void)s;
    body_fail(o->answer, "the handler did not end its answer in time");
    answer_drop(o);
    turn_add(loop_turn(o->context->loop), &o->task);
}

/* What it left in the pipe is still to be read. */
static bool once_exited(struct worker *w, int wait_status) {
    struct once *o = w->transport;
    o->exited = true;
    o->wait_status = wait_status;
    if (o->out.fd >= 0) hold_open_arm(o);
    turn_add(loop_turn(o->context->loop), &o->task);
    return false;
}

static void once_close(struct worker *w) {
    struct once *o = w->transport;
    deadline_disarm(loop_deadlines(o->context->loop), &o->held_open);
    turn_remove(&o->task);
    request_end(o);
    pipe_close(&o->out);
    answer_drop(o);
    free(o);
}

const struct transport_ops once_transport = {
    .name = "once",
    .open = once_open,
    .deliver = once_deliver,
    .cancel = once_cancel,
    .forget = once_forget,
    .abort_stream = once_abort_stream,
    .exited = once_exited,
    .close = once_close,
};
