#include "local-api/endpoint.h"
#include "local-api/extension.h"
#include "local-api/held_sends.h"
#include "local-api/runtime_private.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* After the exit: how often and after how long is looked whether everything that was sent has been read. */
#define LINGER_STEP_MS 2
#define LINGER_STEPS 10
/* For a client to come back that holds events without a connection. */
#define DESERTED_MS 2000
/* Cancellations that wait to be told. */
#define CANCELLED_MAX 64

/* --- life --- */

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct endpoint *ep = context;
    struct runtime_api *api = ep->api;
    if (peer_is_user(api->peer_check, take_fd, geteuid())) {
        http_server_add(api->server, &ep->group, take_fd, peer);
        return;
    }
    log_event(api->log, LOG_WARN, "refused a connection to the runtime API: another user's process",
              LOG_TEXT("handler", ep->worker->handler->name), LOG_TEXT("peer", peer->address),
              LOG_INT("port", peer->port));
    close(take_fd);
}

static int listen_on_both(struct endpoint *ep, struct error *e) {
    struct runtime_api *api = ep->api;
    char path[128];
    struct listener_config tcp = {.kind = LISTENER_TCP, .host = "127.0.0.1", .text = "127.0.0.1:0"};
    snprintf(path, sizeof path, "%s/%llu.sock", api->folder, (unsigned long long)++api->next_number);
    struct listener_config local = {.kind = LISTENER_UNIX, .path = path, .text = path};
    ep->tcp = listener_open(api->loop, &tcp, on_accept, ep, e);
    if (!ep->tcp) return -1;
    ep->local = listener_open(api->loop, &local, on_accept, ep, e);
    return ep->local ? 0 : -1;
}

static void on_attend(struct turn_task *task);
static void on_linger(struct deadline *d);
static void on_deserted(struct deadline *d);

struct endpoint *endpoint_open(struct runtime_api *api, struct worker *w, struct error *e) {
    struct endpoint *ep = xcalloc(1, sizeof *ep);
    ep->api = api;
    ep->worker = w;
    ep->attend = (struct turn_task){.phase = TURN_LOCAL, .run = on_attend};
    ep->linger.on_due = on_linger;
    ep->deserted.on_due = on_deserted;
    if (w->handler->attach) list_push(&api->attached, &ep->attached);
    http_group_init(&ep->group, ep);
    list_init(&ep->polls);
    list_init(&ep->waiters);
    list_init(&ep->calls);
    list_init(&ep->extensions);
    if (listen_on_both(ep, e) == 0) return ep;
    endpoint_close(ep);
    return NULL;
}

const char *endpoint_socket_path(const struct endpoint *ep) {
    const char *address = listener_address(ep->local);
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
}

/* The call goes on without the endpoint, until its exchange is over. */
static void endpoint_detach_calls(struct list *calls) {
    list_each (calls, node) {
        struct call *c = list_entry(node, struct call, node);
        if (c->ops->on_left) c->ops->on_left(c);
        list_remove(node);
        c->endpoint = NULL;
    }
}

void endpoint_close(struct endpoint *ep) {
    endpoint_detach_calls(&ep->polls);
    endpoint_detach_calls(&ep->waiters);
    endpoint_detach_calls(&ep->calls);
    extensions_free(ep);
    listener_close(ep->tcp);
    listener_close(ep->local);
    http_group_close(&ep->group);
    turn_remove(&ep->attend);
    deadline_disarm(loop_deadlines(ep->api->loop), &ep->linger);
    deadline_disarm(loop_deadlines(ep->api->loop), &ep->deserted);
    list_remove(&ep->attached);
    buf_free(&ep->cancelled);
    free(ep);
}

void endpoint_stopping(struct endpoint *ep, enum stop_reason why) {
    ep->draining = true;
    extensions_shut_down(ep, why);
    if (ep->tells_cancelled) worker_expect_leave(ep->worker);
    list_each (&ep->polls, node) {
        struct call *c = list_entry(node, struct call, node);
        if (!c->ops->drain) continue;
        list_remove(node);
        list_push(&ep->calls, node);
        c->ops->drain(c);
    }
}

/* The kernel closes a dead process's sockets with all its bytes still to be read: its last answer may be among them. */
static void endpoint_linger(struct endpoint *ep) {
    deadline_arm(loop_deadlines(ep->api->loop), &ep->linger, clock_now_ms(loop_clock(ep->api->loop)) + LINGER_STEP_MS);
}

bool endpoint_exited(struct endpoint *ep) {
    bool owes = !list_empty(&ep->worker->running) || !list_empty(&ep->worker->streams);
    if (!owes || list_empty(&ep->group.connections)) return true;
    ep->linger_left = LINGER_STEPS;
    endpoint_linger(ep);
    return false;
}

static void on_linger(struct deadline *d) {
    struct endpoint *ep = container_of(d, struct endpoint, linger);
    if (list_empty(&ep->group.connections) || --ep->linger_left == 0)
        worker_finished(ep->worker);
    else
        endpoint_linger(ep);
}

/* --- clients that attach --- */

void endpoint_look_for_client(struct endpoint *ep) {
    struct loop *l = ep->api->loop;
    bool matters = ep->attended || !list_empty(&ep->worker->running);
    if (!matters || !list_empty(&ep->group.connections) || deadline_armed(&ep->deserted)) return;
    deadline_arm(loop_deadlines(l), &ep->deserted, clock_now_ms(loop_clock(l)) + DESERTED_MS);
}

static void endpoint_abandon(struct endpoint *ep) {
    bool idle = list_empty(&ep->worker->running);
    ep->attended = false;
    log_event(ep->api->log, idle ? LOG_INFO : LOG_WARN, "attached process left",
              LOG_TEXT("handler", ep->worker->handler->name), LOG_INT("unanswered", ep->worker->running.length));
    for (struct list_node *node; (node = list_first(&ep->worker->running));) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        invocation_complete(inv, outcome_failure(inv, FAILURE_HANDLER_DIED, "the attached process left"));
    }
}

static void on_deserted(struct deadline *d) {
    struct endpoint *ep = container_of(d, struct endpoint, deserted);
    if (list_empty(&ep->group.connections)) endpoint_abandon(ep);
}

void endpoint_greet(struct endpoint *ep) {
    if (deadline_armed(&ep->deserted)) {
        deadline_disarm(loop_deadlines(ep->api->loop), &ep->deserted);
        if (!list_empty(&ep->worker->running)) endpoint_abandon(ep);
    }
    if (!ep->worker->handler->attach || ep->attended) return;
    ep->attended = true;
    log_event(ep->api->log, LOG_INFO, "process attached", LOG_TEXT("handler", ep->worker->handler->name));
}

/* --- events --- */

static unsigned endpoint_want(const struct endpoint *ep) {
    const struct worker *w = ep->worker;
    uint64_t held = w->running.length + w->streams.length;
    uint64_t places = w->handler->processes.concurrency;
    uint64_t room = 0;
    list_each (&ep->polls, node) room += list_entry(node, struct call, node)->room;
    if (held >= places) return 0;
    return (unsigned)(room < places - held ? room : places - held);
}

void endpoint_offer(struct endpoint *ep) {
    unsigned want = endpoint_want(ep);
    if (want != ep->worker->want) worker_offer(ep->worker, want);
}

/* Cancellations wake the exchange that has waited longest, with whatever events it was given. */
static void endpoint_tell_cancelled(struct endpoint *ep) {
    list_each (&ep->polls, node) {
        struct call *c = list_entry(node, struct call, node);
        if (!ep->cancelled.n || !c->ops->tell) continue;
        list_remove(node);
        list_push(&ep->calls, node);
        c->ops->tell(c);
    }
}

static void on_attend(struct turn_task *task) {
    struct endpoint *ep = container_of(task, struct endpoint, attend);
    endpoint_tell_cancelled(ep);
    endpoint_offer(ep);
}

void endpoint_attend_soon(struct endpoint *ep) {
    turn_add(loop_turn(ep->api->loop), &ep->attend);
}

void endpoint_park(struct call *c, unsigned room, const struct call_ops *ops) {
    struct endpoint *ep = c->endpoint;
    endpoint_greet(ep);
    c->ops = ops;
    c->room = room;
    list_remove(&c->node);
    list_push(&ep->polls, &c->node);
    ep->asked = true;
    endpoint_offer(ep);
}

static struct call *endpoint_poll_with_room(struct endpoint *ep) {
    list_each (&ep->polls, node) {
        struct call *c = list_entry(node, struct call, node);
        if (c->room) return c;
    }
    return NULL;
}

void endpoint_deliver(struct endpoint *ep, struct invocation *inv) {
    struct call *c = endpoint_poll_with_room(ep);
    assert(c); /* no more is given than was offered */
    c->room--;
    c->events++;
    c->ops->add(c, inv);
}

void endpoint_flush(struct endpoint *ep) {
    list_each (&ep->polls, node) {
        struct call *c = list_entry(node, struct call, node);
        if (!c->events) continue;
        list_remove(node);
        list_push(&ep->calls, node);
        c->ops->send(c);
    }
    /* What a poll could have taken beyond what it got is gone with it. */
    if (endpoint_want(ep) != ep->worker->want) endpoint_attend_soon(ep);
}

/* Both clocks were read when it was received, so that none needs to be read now. */
uint64_t endpoint_deadline_ms(const struct endpoint *ep, const struct invocation *inv) {
    uint64_t received_ms = inv->received_us / 1000;
    if (deadline_armed(&inv->deadline)) return inv->received_wall_ms + (inv->deadline.at_ms - received_ms);
    return clock_wall_ms(loop_clock(ep->api->loop)) + invocation_timeout_ms(inv);
}

/* --- answers --- */

struct invocation *endpoint_find(struct endpoint *ep, struct slice id) {
    if (id.n != UUID_TEXT_SIZE) return NULL;
    list_each (&ep->worker->running, node) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        if (memcmp(inv->id, id.p, UUID_TEXT_SIZE) == 0) return held_sends_are_sending(inv) ? NULL : inv;
    }
    return NULL;
}

static void log_answer(struct endpoint *ep, const struct invocation *inv, const struct outcome *o) {
    log_event(ep->api->log, LOG_WARN, "handler's answer refused", LOG_TEXT("handler", ep->worker->handler->name),
              LOG_INT("pid", ep->worker->pid), LOG_SLICE("invocation", invocation_id(inv)),
              LOG_TEXT("why", failure_row(o->failure)->slug), LOG_SLICE("detail", o->detail),
              LOG_SLICE("answer", o->evidence));
}

struct invocation *endpoint_find_wanted(struct endpoint *ep, struct slice id) {
    struct invocation *inv = endpoint_find(ep, id);
    if (!inv || !inv->cancelled) return inv;
    invocation_complete(inv, outcome_failure(inv, FAILURE_CLIENT_GONE, NULL));
    endpoint_offer(ep);
    return NULL;
}

void endpoint_complete(struct endpoint *ep, struct invocation *inv, struct outcome o) {
    if (o.failure == FAILURE_HANDLER_ANSWER || o.failure == FAILURE_HANDLER_ANSWER_TOO_LARGE) log_answer(ep, inv, &o);
    if (held_sends_begin(ep, inv, o)) return;
    ep->completing = inv;
    invocation_complete(inv, o);
    ep->completing = NULL;
    endpoint_offer(ep);
}

enum end_reason endpoint_end_of(const struct endpoint *ep, struct slice id) {
    size_t kept = ep->ended_count < ENDPOINT_ENDED_KEPT ? ep->ended_count : ENDPOINT_ENDED_KEPT;
    if (id.n != UUID_TEXT_SIZE) return END_NONE;
    for (size_t i = 0; i < kept; i++)
        if (memcmp(ep->ended[i].id, id.p, UUID_TEXT_SIZE) == 0) return ep->ended[i].reason;
    return END_NONE;
}

static const char *const end_reasons[] = {
    [END_NONE] = "", [END_DEADLINE] = "deadline", [END_CLIENT_GONE] = "client-gone", [END_SHUTDOWN] = "shutdown"};

const char *end_reason_text(enum end_reason r) {
    return end_reasons[r];
}

void endpoint_wake_waiters(struct endpoint *ep, struct slice id) {
    list_each (&ep->waiters, node) {
        struct call *c = list_entry(node, struct call, node);
        if (!slice_equal(c->id, id)) continue;
        list_remove(node);
        list_push(&ep->calls, node);
        c->ops->tell(c);
    }
}

static void endpoint_note_cancelled(struct endpoint *ep, struct slice id) {
    if (!ep->tells_cancelled || ep->cancelled_count == CANCELLED_MAX) return;
    ep->cancelled_count++;
    if (ep->cancelled.n) buf_append_text(&ep->cancelled, ", ");
    buf_append_slice(&ep->cancelled, id);
    endpoint_attend_soon(ep);
}

void endpoint_cancel(struct endpoint *ep, struct invocation *inv) {
    endpoint_note_cancelled(ep, invocation_id(inv));
    endpoint_wake_waiters(ep, invocation_id(inv));
}

static void endpoint_note_ended(struct endpoint *ep, struct slice id, enum end_reason reason) {
    struct ended *place = &ep->ended[ep->ended_count++ % ENDPOINT_ENDED_KEPT];
    memcpy(place->id, id.p, sizeof place->id);
    place->reason = reason;
}

void endpoint_note_left(struct endpoint *ep, struct answer_stream *s) {
    struct slice id = slice_make(s->id, sizeof s->id);
    endpoint_note_ended(ep, id, END_CLIENT_GONE);
    endpoint_note_cancelled(ep, id);
    endpoint_wake_waiters(ep, id);
    worker_stream_unwanted(s);
}

bool endpoint_is_streaming(const struct endpoint *ep, struct slice id) {
    list_each (&ep->worker->streams, node) {
        const struct answer_stream *s = list_entry(node, struct answer_stream, node);
        if (slice_equal(slice_make(s->id, sizeof s->id), id)) return true;
    }
    return false;
}

static enum end_reason reason_of(const struct invocation *inv) {
    if (inv->outcome.failure == FAILURE_HANDLER_TIMEOUT) return END_DEADLINE;
    if (inv->outcome.failure == FAILURE_SHUTTING_DOWN) return END_SHUTDOWN;
    return inv->outcome.failure == FAILURE_CLIENT_GONE ? END_CLIENT_GONE : END_NONE;
}

void endpoint_forget(struct endpoint *ep, struct invocation *inv) {
    held_sends_forget(inv);
    if (inv != ep->completing) {
        endpoint_note_ended(ep, invocation_id(inv), reason_of(inv));
        if (!inv->cancelled) endpoint_note_cancelled(ep, invocation_id(inv));
        endpoint_attend_soon(ep); /* its place is free for whoever polls meanwhile */
    }
    endpoint_wake_waiters(ep, invocation_id(inv));
}
