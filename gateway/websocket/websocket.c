#include "gateway/base/memory.h"
#include "gateway/websocket/websocket_private.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY_US 86400000000ULL

void websocket_wake(struct websocket *ws) {
    if (ws->state != WEBSOCKET_GONE) turn_add(loop_turn(ws->all->loop), &ws->task);
}

void websocket_move(struct websocket *ws, enum websocket_state state) {
    list_remove(&ws->node);
    ws->state = state;
    ws->since_ms = websockets_now_ms(ws->all);
    list_push(&ws->all->states[state], &ws->node);
}

/* --- time --- */

static uint64_t sooner(uint64_t at_ms, uint64_t than_ms) {
    return at_ms && at_ms < than_ms ? at_ms : than_ms;
}

/* While its owner keeps it waiting its client cannot be heard. */
static uint64_t ping_due_ms(const struct websocket *ws) {
    if (!ws->rules.ping_ms || ws->paused || ws->held_ms) return 0;
    return ws->pinged_ms ? ws->pinged_ms + ws->rules.pong_ms : ws->heard_ms + ws->rules.ping_ms;
}

static uint64_t idle_due_ms(const struct websocket *ws) {
    return ws->rules.idle_ms ? ws->active_ms + ws->rules.idle_ms : 0;
}

static uint64_t open_due_ms(const struct websocket *ws) {
    return sooner(ws->held_ms, sooner(ping_due_ms(ws), sooner(idle_due_ms(ws), DEADLINE_NEVER)));
}

static uint64_t due_ms(const struct websocket *ws) {
    switch (ws->state) {
    case WEBSOCKET_OPEN: return open_due_ms(ws);
    case WEBSOCKET_CLOSING: return ws->since_ms + CLOSE_WAIT_MS;
    case WEBSOCKET_LINGERING: return ws->since_ms + LINGER_WAIT_MS;
    case WEBSOCKET_GONE:
    case WEBSOCKET_STATES: break;
    }
    return DEADLINE_NEVER;
}

/* Later dates are found when the timer comes: so a message costs no change of the heap. */
static void timer_follow(struct websocket *ws) {
    struct deadlines *deadlines = loop_deadlines(ws->all->loop);
    uint64_t due = due_ms(ws);
    if (due == DEADLINE_NEVER)
        deadline_disarm(deadlines, &ws->timer);
    else if (!deadline_armed(&ws->timer) || due < ws->timer.at_ms)
        deadline_arm(deadlines, &ws->timer, due);
}

static void ping(struct websocket *ws, uint64_t now_ms) {
    ws->pinged_ms = now_ms;
    outqueue_add(&ws->out, frame_make(FRAME_PING, 0, SLICE("")));
    websocket_wake(ws);
}

static void go_silent(struct websocket *ws) {
    ws->all->counters.silent++;
    websocket_part(ws, CLOSE_ABNORMAL, SLICE("no answer to a ping"));
    websocket_drop(ws);
}

static void open_overdue(struct websocket *ws, uint64_t now_ms) {
    uint64_t ping_ms = ping_due_ms(ws), idle_ms = idle_due_ms(ws);
    if (ws->held_ms && ws->held_ms <= now_ms) {
        ws->held_ms = 0;
        websocket_wake(ws);
    }
    if (idle_ms && idle_ms <= now_ms)
        websocket_close(ws, CLOSE_GOING_AWAY, SLICE("idle for too long"));
    else if (ping_ms && ping_ms <= now_ms && ws->pinged_ms)
        go_silent(ws);
    else if (ping_ms && ping_ms <= now_ms)
        ping(ws, now_ms);
}

static void on_due(struct deadline *d) {
    struct websocket *ws = container_of(d, struct websocket, timer);
    uint64_t now_ms = websockets_now_ms(ws->all);
    if (ws->state == WEBSOCKET_OPEN)
        open_overdue(ws, now_ms);
    else if (due_ms(ws) <= now_ms)
        websocket_drop(ws);
    if (ws->state != WEBSOCKET_GONE) timer_follow(ws);
}

/* --- the end --- */

void websocket_part(struct websocket *ws, int code, struct slice reason) {
    struct websockets *all = ws->all;
    void *owner = ws->owner;
    if (ws->state != WEBSOCKET_OPEN) return;
    websocket_move(ws, WEBSOCKET_CLOSING);
    buf_free(&ws->unread);
    ws->owner = NULL;
    ws->paused = false;
    ws->held_ms = 0;
    all->ops.on_closed(owner, code, reason);
    members_part(&ws->member); /* after the owner has seen which groups it was in */
}

void websocket_close(struct websocket *ws, int code, struct slice reason) {
    if (ws->state != WEBSOCKET_OPEN) return;
    outqueue_add(&ws->out, frame_make_close(code, reason));
    websocket_part(ws, code, reason);
    timer_follow(ws);
    websocket_wake(ws);
}

void websocket_drop(struct websocket *ws) {
    struct websockets *all = ws->all;
    if (ws->state == WEBSOCKET_GONE) return;
    websocket_part(ws, CLOSE_ABNORMAL, SLICE(""));
    websocket_move(ws, WEBSOCKET_GONE);
    turn_remove(&ws->task);
    deadline_disarm(loop_deadlines(all->loop), &ws->timer);
    watch_close(ws->watch);
    ws->watch = NULL;
    close(ws->fd);
    ws->fd = -1;
    turn_add(loop_turn(all->loop), &all->bury);
}

void websocket_free(struct websocket *ws) {
    list_remove(&ws->node);
    outqueue_free(&ws->out);
    deflater_free(ws->deflater);
    reader_free(&ws->reader);
    buf_free(&ws->unread);
    free(ws);
}

/* --- reading --- */

static void linger(struct websocket *ws) {
    websocket_move(ws, WEBSOCKET_LINGERING);
    timer_follow(ws);
}

/* RFC 6455 5.5.1: the answer says the same. */
static void take_close(struct websocket *ws, const struct reader_item *item) {
    outqueue_add(&ws->out, frame_make_close(item->code, SLICE("")));
    websocket_part(ws, item->code, item->bytes);
    linger(ws);
}

/* RFC 6455 7.1.7. */
static void take_failure(struct websocket *ws, const struct reader_item *item) {
    outqueue_add(&ws->out, frame_make_close(item->code, item->bytes));
    websocket_part(ws, item->code, item->bytes);
    linger(ws);
}

static void take_ping(struct websocket *ws, struct slice payload) {
    /* Pongs that nobody fetches do not pile up (RFC 6455 5.5.3: the last ping is enough). */
    if (ws->out.bytes > ws->rules.max_outbound) return;
    outqueue_add(&ws->out, frame_make(FRAME_PONG, 0, payload));
}

/* The generic cell rate algorithm: a message may come `burst` messages before its time. */
static void pace(struct websocket *ws) {
    if (!ws->rules.rate_per_day) return;
    uint64_t now_us = clock_now_us(loop_clock(ws->all->loop)), each_us = DAY_US / ws->rules.rate_per_day;
    if (ws->due_us < now_us) ws->due_us = now_us;
    ws->due_us += each_us;
    uint64_t ahead_us = ws->due_us - now_us, may_us = each_us * ws->rules.burst;
    if (ahead_us >= may_us) ws->held_ms = (now_us + ahead_us - may_us) / 1000 + 1;
}

static void take_message(struct websocket *ws, enum websocket_kind kind) {
    struct websockets *all = ws->all;
    all->counters.received++;
    ws->active_ms = ws->heard_ms;
    pace(ws);
    all->ops.on_message(ws->owner, kind, reader_take_message(&ws->reader));
}

static void take(struct websocket *ws, enum reader_result result, const struct reader_item *item) {
    switch (result) {
    case READER_TEXT: take_message(ws, WEBSOCKET_TEXT); return;
    case READER_BINARY: take_message(ws, WEBSOCKET_BINARY); return;
    case READER_PING: take_ping(ws, item->bytes); return;
    case READER_PONG: return;
    case READER_CLOSE: take_close(ws, item); return;
    case READER_FAILED: take_failure(ws, item); return;
    case READER_MORE: return;
    }
}

static bool may_read(const struct websocket *ws) {
    return ws->state == WEBSOCKET_OPEN && !ws->paused && !ws->held_ms;
}

/* What is not taken now is kept: the room that it stands in belongs to the next who reads. */
static void keep_rest(struct websocket *ws) {
    struct slice rest = ws->reader.frames.input;
    if (rest.n && ws->state == WEBSOCKET_OPEN) buf_append_slice(&ws->unread, rest);
    frame_reader_feed(&ws->reader.frames, SLICE_NONE);
}

/* False when it stopped before the end of what was fed. */
static bool digest(struct websocket *ws) {
    struct reader_item item;
    while (may_read(ws)) {
        enum reader_result result = reader_next(&ws->reader, &item);
        if (result == READER_MORE) return true;
        take(ws, result, &item);
    }
    return false;
}

/* What the socket has, in the room that all share; absent when there is nothing now, or nothing ever again. */
static struct slice receive(struct websocket *ws) {
    ssize_t n = recv(ws->fd, ws->all->room, READ_SIZE, MSG_DONTWAIT);
    ws->readable = false;
    if (n > 0) return slice_make(ws->all->room, (size_t)n);
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) websocket_drop(ws);
    return SLICE_NONE;
}

static void read_fresh(struct websocket *ws) {
    struct slice bytes = receive(ws);
    if (slice_is_none(bytes)) return;
    ws->heard_ms = websockets_now_ms(ws->all);
    ws->pinged_ms = 0;
    reader_feed(&ws->reader, bytes);
    if (!digest(ws)) keep_rest(ws);
}

static void read_kept(struct websocket *ws) {
    struct buf kept = ws->unread;
    ws->unread = (struct buf){0};
    reader_feed(&ws->reader, buf_slice(&kept));
    if (!digest(ws)) keep_rest(ws);
    buf_free(&kept);
}

/* CLOSING: only the client's Close counts still; LINGERING: only its end of file. */
static void read_away(struct websocket *ws) {
    struct reader_item item;
    struct slice bytes = receive(ws);
    if (slice_is_none(bytes) || ws->state != WEBSOCKET_CLOSING) return;
    reader_feed(&ws->reader, bytes);
    for (enum reader_result result; (result = reader_next(&ws->reader, &item)) != READER_MORE;)
        if (result == READER_CLOSE || result == READER_FAILED) linger(ws);
}

/* What libwslay has taken already is read before what the socket has. */
static void websocket_read(struct websocket *ws) {
    if (may_read(ws) && ws->stopped) {
        ws->stopped = false;
        read_kept(ws);
        if (!may_read(ws)) ws->stopped = true;
    }
    if (!ws->readable) return;
    if (ws->state == WEBSOCKET_CLOSING || ws->state == WEBSOCKET_LINGERING)
        read_away(ws);
    else if (may_read(ws)) {
        read_fresh(ws);
        if (!may_read(ws)) ws->stopped = true;
    }
}

/* --- events --- */

static unsigned wanted(const struct websocket *ws) {
    unsigned events = ws->out.first ? WATCH_WRITE : 0;
    if (ws->state == WEBSOCKET_OPEN && !may_read(ws)) return ws->left ? events : events | WATCH_GONE;
    return events | WATCH_READ;
}

void websocket_settle(struct websocket *ws) {
    unsigned events = wanted(ws);
    if (events == ws->interest) return;
    ws->interest = events;
    watch_set(ws->watch, events);
}

static void finish_writing(struct websocket *ws) {
    if (ws->state != WEBSOCKET_LINGERING || ws->out.first || ws->shut) return;
    ws->shut = true;
    shutdown(ws->fd, SHUT_WR);
}

static void run(struct turn_task *task) {
    struct websocket *ws = container_of(task, struct websocket, task);
    websocket_read(ws);
    if (ws->state == WEBSOCKET_GONE) return;
    if (!outqueue_flush(&ws->out, ws->fd)) {
        websocket_drop(ws);
        return;
    }
    finish_writing(ws);
    timer_follow(ws);
    websocket_settle(ws);
}

static void on_event(void *context, unsigned events) {
    struct websocket *ws = context;
    if (events & (WATCH_READ | WATCH_GONE)) ws->readable = true;
    if (events & WATCH_GONE) ws->left = true;
    websocket_wake(ws);
}

/* --- the beginning --- */

struct websocket *websocket_open(struct websockets *all, const struct websocket_start *start) {
    struct websocket *ws = xcalloc(1, sizeof *ws);
    uint64_t now_ms = websockets_now_ms(all);
    ws->all = all;
    ws->fd = start->take_fd;
    ws->watch = watch_open(all->loop, ws->fd, on_event, ws);
    if (!ws->watch) {
        close(ws->fd);
        free(ws);
        return NULL;
    }
    ws->member.ops = &websocket_member_ops;
    ws->member.max_groups = start->rules->max_groups;
    memcpy(ws->member.id, start->id, WEBSOCKET_ID_SIZE);
    ws->owner = start->owner;
    ws->rules = *start->rules;
    ws->task = (struct turn_task){.phase = TURN_PUBLIC, .run = run};
    ws->timer.on_due = on_due;
    ws->heard_ms = ws->active_ms = now_ms;
    reader_init(&ws->reader, &start->rules->limits, start->terms);
    buf_append_slice(&ws->unread, start->early);
    ws->stopped = ws->readable = true;
    websocket_move(ws, WEBSOCKET_OPEN);
    list_init(&ws->member.memberships);
    if (start->presence == WEBSOCKET_KNOWN) members_enter(all->members, &ws->member);
    all->counters.opened++;
    /* Its handshake was answered before the drain. */
    if (all->draining) deadline_arm(loop_deadlines(all->loop), &all->drain, now_ms);
    websocket_wake(ws);
    return ws;
}

void websocket_reveal(struct websocket *ws, const struct reader_limits *limits) {
    assert(ws->state == WEBSOCKET_OPEN && !ws->member.all);
    ws->reader.limits = *limits;
    members_enter(ws->all->members, &ws->member);
}

void websocket_pause(struct websocket *ws) {
    ws->paused = true;
}

void websocket_resume(struct websocket *ws) {
    if (!ws->paused || ws->state != WEBSOCKET_OPEN) return;
    ws->paused = false;
    websocket_wake(ws);
}

bool websocket_is_paused(const struct websocket *ws) {
    return ws->paused;
}
