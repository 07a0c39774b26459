#include "gateway/base/memory.h"
#include "gateway/event_stream/event_private.h"
#include "gateway/websocket/websockets.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDING_WAIT_MS 2000 /* for a client to fetch what is left */
#define OPENING_AHEAD (64 * 1024)

static void stream_wake(struct event_stream *s) {
    if (s->state != EVENT_STREAM_GONE) turn_add(loop_turn(s->all->loop), &s->task);
}

static void stream_move(struct event_stream *s, enum event_stream_state state) {
    list_remove(&s->node);
    s->state = state;
    s->since_ms = event_streams_now_ms(s->all);
    list_push(&s->all->states[state], &s->node);
}

/* --- the end --- */

static void opening_release(struct event_stream *s) {
    struct body *opening = s->opening;
    s->opening = NULL;
    if (opening) body_release_consumer(opening);
}

static void stream_part(struct event_stream *s, const char *why) {
    if (s->state != EVENT_STREAM_OPEN) return;
    members_part(&s->member);
    opening_release(s);
    outqueue_free(&s->behind);
    stream_move(s, EVENT_STREAM_ENDING);
    s->all->ops.on_closed(s->owner, why);
    s->owner = NULL;
}

void event_stream_end(struct event_stream *s, const char *why) {
    stream_part(s, why);
    stream_wake(s);
}

static void say_text(struct event_stream *s, struct slice text) {
    if (text.n) outqueue_add(&s->out, chunk_copy(text));
}

void event_stream_dismiss(struct event_stream *s) {
    struct buf text = {0};
    buf_append_slice(&text, event_boundary_ending(&s->boundary));
    event_streams_write_retry(s->all, &text);
    say_text(s, buf_slice(&text));
    buf_free(&text);
    event_stream_end(s, "the gateway stops");
}

void event_stream_drop(struct event_stream *s, const char *why) {
    struct event_streams *all = s->all;
    if (s->state == EVENT_STREAM_GONE) return;
    stream_part(s, why);
    stream_move(s, EVENT_STREAM_GONE);
    turn_remove(&s->task);
    deadline_disarm(loop_deadlines(all->loop), &s->timer);
    watch_close(s->watch);
    s->watch = NULL;
    close(s->fd);
    s->fd = -1;
    turn_add(loop_turn(all->loop), &all->bury);
}

void event_stream_free(struct event_stream *s) {
    list_remove(&s->node);
    outqueue_free(&s->out);
    outqueue_free(&s->behind);
    free(s);
}

/* --- time --- */

static uint64_t due_ms(const struct event_stream *s) {
    if (s->state == EVENT_STREAM_ENDING) return s->since_ms + ENDING_WAIT_MS;
    uint64_t due = s->rules.heartbeat_ms ? s->said_ms + s->rules.heartbeat_ms : DEADLINE_NEVER;
    uint64_t ends = s->rules.max_duration_ms ? s->opened_ms + s->rules.max_duration_ms : DEADLINE_NEVER;
    return ends < due ? ends : due;
}

/* Later dates are found when the timer comes: so a message costs no change of the heap. */
static void timer_follow(struct event_stream *s) {
    struct deadlines *deadlines = loop_deadlines(s->all->loop);
    uint64_t due = due_ms(s);
    if (due == DEADLINE_NEVER)
        deadline_disarm(deadlines, &s->timer);
    else if (!deadline_armed(&s->timer) || due < s->timer.at_ms)
        deadline_arm(deadlines, &s->timer, due);
}

static void beat(struct event_stream *s, uint64_t now_ms) {
    bool between = !s->opening || event_boundary_is_between(&s->boundary);
    s->said_ms = now_ms;
    if (!between || s->out.bytes) return;
    s->all->counters.beats++;
    say_text(s, EVENT_HEARTBEAT);
    stream_wake(s);
}

static void overdue(struct event_stream *s, uint64_t now_ms) {
    uint64_t lasts_ms = s->rules.max_duration_ms;
    if (s->state == EVENT_STREAM_ENDING)
        event_stream_drop(s, "");
    else if (lasts_ms && s->opened_ms + lasts_ms <= now_ms)
        event_stream_end(s, "it has lasted as long as it may");
    else
        beat(s, now_ms);
}

static void on_due(struct deadline *d) {
    struct event_stream *s = container_of(d, struct event_stream, timer);
    uint64_t now_ms = event_streams_now_ms(s->all);
    if (due_ms(s) <= now_ms) overdue(s, now_ms);
    if (s->state != EVENT_STREAM_GONE) timer_follow(s);
}

/* --- what is said --- */

/* What was sent to it meanwhile follows. */
static void opening_end(struct event_stream *s) {
    opening_release(s);
    say_text(s, event_boundary_ending(&s->boundary));
    s->boundary = (struct event_boundary){.place = EVENT_BETWEEN};
    while (s->behind.first) {
        struct chunk *c = s->behind.first;
        s->behind.first = c->next;
        c->next = NULL;
        outqueue_add(&s->out, c);
    }
    s->behind = (struct outqueue){.bytes = 0};
}

static void opening_pass(struct event_stream *s) {
    body_want(s->opening);
    for (struct slice piece; s->out.bytes < OPENING_AHEAD && (piece = body_peek(s->opening)).n > 0;) {
        event_boundary_feed(&s->boundary, piece);
        s->said_ms = event_streams_now_ms(s->all);
        say_text(s, piece);
        body_consume(s->opening, piece.n);
    }
    if (body_at_end(s->opening))
        opening_end(s);
    else if (body_state_of(s->opening) == BODY_FAILED)
        event_stream_drop(s, "the handler broke its answer off");
}

static void on_opening(void *context) {
    stream_wake(context);
}

/* One message more than the bound may wait, so that no message is too large for an idle client. */
static bool is_too_slow(struct event_stream *s) {
    uint64_t most = s->rules.max_outbound;
    if (s->out.bytes + s->behind.bytes <= most) return false;
    if (!outqueue_flush(&s->out, s->fd)) return true;
    return s->out.bytes + s->behind.bytes > most;
}

static struct chunk *parcel_event(struct parcel *p) {
    const struct event_text t = {.name = p->event,
                                 .id = p->event_id,
                                 .message = p->payload,
                                 .kind = p->kind == WEBSOCKET_TEXT ? EVENT_OF_TEXT : EVENT_OF_BYTES};
    if (!p->event_text) {
        struct buf text = {0};
        event_text_write(&text, &t);
        size_t n;
        char *bytes = buf_take(&text, &n);
        p->event_text = chunk_take(bytes, n);
    }
    p->event_text->holders++;
    return p->event_text;
}

static bool stream_send(struct event_stream *s, struct parcel *p) {
    if (s->state != EVENT_STREAM_OPEN) return false;
    if (is_too_slow(s)) {
        s->all->counters.slow++;
        event_stream_drop(s, "events are not taken fast enough");
        return false;
    }
    s->said_ms = event_streams_now_ms(s->all);
    outqueue_add(s->opening ? &s->behind : &s->out, parcel_event(p));
    stream_wake(s);
    return true;
}

/* --- events of the socket --- */

/* Nothing is expected but the end, and that means both directions: an EventSource does not close one alone. */
static void stream_read(struct event_stream *s) {
    char room[512];
    s->readable = false;
    ssize_t n = recv(s->fd, room, sizeof room, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) event_stream_drop(s, "the client left");
}

static void finish_writing(struct event_stream *s) {
    if (s->state != EVENT_STREAM_ENDING || s->out.first || s->shut) return;
    s->shut = true;
    shutdown(s->fd, SHUT_WR);
}

static void stream_settle(struct event_stream *s) {
    unsigned events = WATCH_READ | (s->out.first ? WATCH_WRITE : 0u);
    if (events == s->interest) return;
    s->interest = events;
    watch_set(s->watch, events);
}

static void stream_run(struct turn_task *task) {
    struct event_stream *s = container_of(task, struct event_stream, task);
    if (s->readable) stream_read(s);
    if (s->state == EVENT_STREAM_OPEN && s->opening) opening_pass(s);
    if (s->state == EVENT_STREAM_GONE) return;
    if (!outqueue_flush(&s->out, s->fd)) {
        event_stream_drop(s, "the client left");
        return;
    }
    if (s->state == EVENT_STREAM_OPEN && s->opening && body_peek(s->opening).n > 0 && !s->out.first) stream_wake(s);
    finish_writing(s);
    timer_follow(s);
    stream_settle(s);
}

static void on_watch(void *context, unsigned events) {
    struct event_stream *s = context;
    if (events & (WATCH_READ | WATCH_GONE)) s->readable = true;
    stream_wake(s);
}

/* --- as a member --- */

static struct event_stream *of_member(struct member *m) {
    return container_of(m, struct event_stream, member);
}

static bool on_send(struct member *m, struct parcel *p) {
    return stream_send(of_member(m), p);
}

/* A stream has no words for why it ends. */
static void on_close(struct member *m, int code, struct slice reason) {
    (void)code;
    (void)reason;
    event_stream_end(of_member(m), "it was closed");
}

static struct member_facts on_facts(struct member *m) {
    struct event_stream *s = of_member(m);
    struct clock *clock = loop_clock(s->all->loop);
    struct member_facts f = s->all->ops.facts(s->owner);
    f.active_ms = clock_wall_ms(clock) - (clock_now_ms(clock) - s->said_ms);
    f.outbound = s->out.bytes + s->behind.bytes;
    return f;
}

static const struct member_ops member_ops = {.kind = "sse", .send = on_send, .close = on_close, .facts = on_facts};

/* --- the beginning --- */

static void start_forget(const struct event_stream_start *start) {
    close(start->take_fd);
    buf_free(start->take_head);
    if (start->take_opening) body_release_consumer(start->take_opening);
}

static void take_over(struct event_stream *s, const struct event_stream_start *start) {
    size_t n;
    char *head = buf_take(start->take_head, &n);
    if (n) outqueue_add(&s->out, chunk_take(head, n));
    s->opening = start->take_opening;
    if (s->opening) body_on_readable(s->opening, on_opening, s);
}

struct event_stream *event_stream_open(struct event_streams *all, const struct event_stream_start *start) {
    struct event_stream *s = xcalloc(1, sizeof *s);
    s->watch = watch_open(all->loop, start->take_fd, on_watch, s);
    if (!s->watch) {
        start_forget(start);
        free(s);
        return NULL;
    }
    s->all = all;
    s->fd = start->take_fd;
    s->owner = start->owner;
    s->rules = *start->rules;
    s->route = start->route;
    s->client = start->client;
    s->member.ops = &member_ops;
    s->member.max_groups = s->rules.max_groups;
    memcpy(s->member.id, start->id, WEBSOCKET_ID_SIZE);
    s->task = (struct turn_task){.phase = TURN_PUBLIC, .run = stream_run};
    s->timer.on_due = on_due;
    s->readable = true;
    take_over(s, start);
    stream_move(s, EVENT_STREAM_OPEN);
    s->opened_ms = s->said_ms = s->since_ms;
    members_enter(all->members, &s->member);
    all->counters.held++;
    /* Its answer was given before the drain. */
    if (all->draining) deadline_arm(loop_deadlines(all->loop), &all->drain, s->opened_ms);
    stream_wake(s);
    return s;
}

struct member *event_stream_member(struct event_stream *s) {
    return &s->member;
}
