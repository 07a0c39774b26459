/* Held streams on socket pairs and relays between two bodies, on a real loop. */
#include "gateway/base/memory.h"
#include "gateway/event_stream/event_private.h"
#include "gateway/websocket/websockets.h"
#include "tests/unit/unit.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOON_MS 30000

struct fixture {
    struct clock *clock;
    struct loop *loop;
    struct members *members;
    struct event_streams *all;
    struct event_rules rules;
    const char *closed; /* why the last one was */
    int client;
    struct buf got;
};

static void on_closed(void *owner, const char *why) {
    ((struct fixture *)owner)->closed = why;
}

static struct member_facts on_facts(void *owner) {
    (void)owner;
    return (struct member_facts){.path = SLICE("/events")};
}

static int set_up(void **state) {
    static const struct event_stream_ops ops = {.on_closed = on_closed, .facts = on_facts};
    struct fixture *f = calloc(1, sizeof *f);
    struct error e;
    f->clock = clock_system_new();
    f->loop = loop_new(f->clock, &e);
    f->members = members_new();
    f->all = event_streams_new(f->loop, f->members, &ops);
    f->rules = (struct event_rules){.max_outbound = 100000, .max_groups = 2};
    f->client = -1;
    *state = f;
    return 0;
}

static bool none_left(void *context) {
    return event_streams_are_idle(((struct fixture *)context)->all);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    event_streams_abort(f->all);
    loop_run_until(f->loop, none_left, f, SOON_MS);
    event_streams_free(f->all);
    members_free(f->members);
    if (f->client >= 0) close(f->client);
    buf_free(&f->got);
    loop_free(f->loop);
    clock_system_free(f->clock);
    free(f);
    return 0;
}

static struct event_stream *open_one(struct fixture *f, struct body *take_opening) {
    int ends[2];
    struct buf head = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    buf_append_text(&head, "HEAD ");
    const struct event_stream_start start = {.take_fd = ends[0],
                                             .take_head = &head,
                                             .take_opening = take_opening,
                                             .id = "0123456789abcdef0123456789abcdef",
                                             .rules = &f->rules,
                                             .route = SLICE("GET /events"),
                                             .client = SLICE("address 192.0.2.1"),
                                             .owner = f};
    struct event_stream *s = event_stream_open(f->all, &start);
    assert_non_null(s);
    assert_null(head.p);
    f->client = ends[1];
    return s;
}

struct hearing {
    struct fixture *f;
    size_t size;
    bool ended;
};

static bool has_heard(void *context) {
    struct hearing *h = context;
    char room[4096];
    ssize_t n = recv(h->f->client, room, sizeof room, MSG_DONTWAIT);
    if (n > 0) buf_append(&h->f->got, room, (size_t)n);
    h->ended = n == 0;
    return h->f->got.n >= h->size || h->ended;
}

static void expect(struct fixture *f, const char *text) {
    struct hearing h = {f, strlen(text), false};
    assert_true(loop_run_until(f->loop, has_heard, &h, SOON_MS));
    assert_int_equal(f->got.n, strlen(text));
    assert_memory_equal(f->got.p, text, f->got.n);
    f->got.n = 0;
}

static void expect_end(struct fixture *f) {
    struct hearing h = {f, SIZE_MAX, false};
    assert_true(loop_run_until(f->loop, has_heard, &h, SOON_MS));
    assert_true(h.ended);
}

static bool say(struct event_stream *s, const char *text) {
    struct parcel p = parcel_make(WEBSOCKET_TEXT, slice_of(text));
    bool sent = event_stream_member(s)->ops->send(event_stream_member(s), &p);
    parcel_free(&p);
    return sent;
}

static void head_then_messages(void **state) {
    struct fixture *f = *state;
    struct event_stream *s = open_one(f, NULL);
    expect(f, "HEAD ");
    assert_ptr_equal(members_find(f->members, SLICE("0123456789abcdef0123456789abcdef")), event_stream_member(s));
    assert_int_equal(event_streams_count_of(f->all, SLICE("GET /events"), SLICE_NONE), 1);
    assert_int_equal(event_streams_count_of(f->all, SLICE("GET /events"), SLICE("address 192.0.2.1")), 1);
    assert_int_equal(event_streams_count_of(f->all, SLICE("GET /events"), SLICE("address 192.0.2.2")), 0);
    assert_int_equal(event_streams_count_of(f->all, SLICE("GET /other"), SLICE_NONE), 0);
    assert_true(say(s, "one\ntwo"));
    expect(f, "data: one\ndata: two\n\n");
    event_stream_member(s)->ops->close(event_stream_member(s), 0, SLICE(""));
    assert_null(members_find(f->members, SLICE("0123456789abcdef0123456789abcdef")));
    assert_string_equal(f->closed, "it was closed");
    expect_end(f);
}

static void messages_follow_the_answer(void **state) {
    struct fixture *f = *state;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct event_stream *s = open_one(f, answer);
    expect(f, "HEAD ");
    body_append_copy(answer, SLICE("data: first"));
    expect(f, "data: first");
    assert_true(say(s, "later"));
    assert_true(say(s, "still later"));
    body_append_copy(answer, SLICE(" of all\n"));
    expect(f, " of all\n");
    body_finish(answer);
    body_release_producer(answer);
    expect(f, "\ndata: later\n\ndata: still later\n\n");
}

static void an_answer_that_fails(void **state) {
    struct fixture *f = *state;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct event_stream *s = open_one(f, answer);
    expect(f, "HEAD ");
    assert_true(say(s, "never"));
    body_fail(answer, "broken");
    body_release_producer(answer);
    expect_end(f);
    assert_int_equal(f->got.n, 0);
    assert_string_equal(f->closed, "the handler broke its answer off");
}

static bool is_closed(void *context) {
    return ((struct fixture *)context)->closed != NULL;
}

static void clients_that_leave(void **state) {
    struct fixture *f = *state;
    open_one(f, NULL);
    close(f->client);
    f->client = -1;
    assert_true(loop_run_until(f->loop, is_closed, f, SOON_MS));
    assert_string_equal(f->closed, "the client left");
    assert_int_equal(members_open(f->members), 0);
}

static void one_that_does_not_read(void **state) {
    struct fixture *f = *state;
    struct event_stream *s = open_one(f, NULL);
    struct parcel p;
    static char block[65536];
    memset(block, 'x', sizeof block);
    p = parcel_make(WEBSOCKET_TEXT, slice_make(block, sizeof block));
    assert_int_equal(member_join(event_stream_member(s), SLICE("room")), GROUP_OK);
    size_t sent = 1, count = 0;
    for (; sent && count < 100; count++) {
        sent = members_broadcast(f->members, SLICE("room"), &p, NULL);
        loop_run_until(f->loop, is_closed, f, 1);
    }
    assert_true(count < 100);
    assert_string_equal(f->closed, "events are not taken fast enough");
    assert_int_equal(event_streams_counters(f->all)->slow, 1);
    assert_int_equal(members_group_count(f->members), 0);
    parcel_free(&p);
}

static void silence_is_broken(void **state) {
    struct fixture *f = *state;
    f->rules.heartbeat_ms = 5;
    open_one(f, NULL);
    expect(f, "HEAD ");
    expect(f, ":\n\n");
    expect(f, ":\n\n");
}

static void draining(void **state) {
    struct fixture *f = *state;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    open_one(f, answer);
    expect(f, "HEAD ");
    body_append_copy(answer, SLICE("data: half"));
    expect(f, "data: half");
    event_streams_drain(f->all);
    expect_end(f);
    assert_true(body_abandoned(answer));
    body_release_producer(answer);
    assert_true(slice_starts_with(buf_slice(&f->got), SLICE("\n\nretry: ")));
    assert_memory_equal(f->got.p + f->got.n - 2, "\n\n", 2);
}

/* --- relays --- */

static void drain_into(struct fixture *f, struct body *events) {
    for (struct slice piece; (piece = body_peek(events)).n > 0;) {
        buf_append_slice(&f->got, piece);
        body_consume(events, piece.n);
    }
}

struct relayed {
    struct fixture *f;
    struct body *events;
    size_t size;
};

static bool has_come(void *context) {
    struct relayed *r = context;
    drain_into(r->f, r->events);
    return r->f->got.n >= r->size;
}

static void expect_relayed(struct fixture *f, struct body *events, const char *text) {
    struct relayed r = {f, events, strlen(text)};
    assert_true(loop_run_until(f->loop, has_come, &r, SOON_MS));
    assert_int_equal(f->got.n, strlen(text));
    assert_memory_equal(f->got.p, text, f->got.n);
    f->got.n = 0;
}

static bool is_complete(void *context) {
    return body_state_of(context) != BODY_OPEN;
}

static void a_relay(void **state) {
    struct fixture *f = *state;
    f->rules.heartbeat_ms = 5;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *events = event_relay_new(f->all, answer, &f->rules);
    body_want(events);
    expect_relayed(f, events, ":\n\n");
    body_append_copy(answer, SLICE("data: half"));
    expect_relayed(f, events, "data: half");
    uint64_t beats = event_streams_counters(f->all)->beats;
    loop_run_until(f->loop, is_complete, events, 50); /* ten heartbeats' time, at least */
    assert_int_equal(event_streams_counters(f->all)->beats, beats);
    body_append_copy(answer, SLICE("\n\n"));
    expect_relayed(f, events, "\n\n");
    expect_relayed(f, events, ":\n\n");
    body_finish(answer);
    body_release_producer(answer);
    assert_true(loop_run_until(f->loop, is_complete, events, SOON_MS));
    body_release_consumer(events);
    assert_true(event_streams_are_idle(f->all));
}

static bool is_abandoned(void *context) {
    return body_abandoned(context);
}

static void a_relay_without_its_client(void **state) {
    struct fixture *f = *state;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_release_consumer(event_relay_new(f->all, answer, &f->rules));
    assert_true(loop_run_until(f->loop, is_abandoned, answer, SOON_MS));
    body_release_producer(answer);
}

static void a_relay_drains_between_events(void **state) {
    struct fixture *f = *state;
    struct body *answer = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *events = event_relay_new(f->all, answer, &f->rules);
    body_want(events);
    body_append_copy(answer, SLICE("data: half"));
    expect_relayed(f, events, "data: half");
    event_streams_drain(f->all);
    loop_run_until(f->loop, is_complete, events, 20);
    assert_int_equal(body_state_of(events), BODY_OPEN);
    body_append_copy(answer, SLICE("\r\r"));
    assert_true(loop_run_until(f->loop, is_complete, events, SOON_MS));
    drain_into(f, events);
    assert_true(slice_starts_with(buf_slice(&f->got), SLICE("\r\rretry: ")));
    assert_true(body_abandoned(answer));
    body_release_producer(answer);
    body_release_consumer(events);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(head_then_messages),
        TEST(messages_follow_the_answer),
        TEST(an_answer_that_fails),
        TEST(clients_that_leave),
        TEST(one_that_does_not_read),
        TEST(silence_is_broken),
        TEST(draining),
        TEST(a_relay),
        TEST(a_relay_without_its_client),
        TEST(a_relay_drains_between_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
