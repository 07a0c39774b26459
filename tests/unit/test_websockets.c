/* Open connections on socket pairs and a real loop: what goes out, what ends them, and what they own when idle. */
#include "gateway/base/memory.h"
#include "gateway/websocket/websocket_private.h"
#include "tests/unit/unit.h"
#include "tests/unit/websocket_client.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOON_MS 30000

struct owner {
    struct buf heard;
    int closed; /* the code; 0 = open */
    struct websocket *pause_on_message;
};
struct fixture {
    struct clock *clock;
    struct loop *loop;
    struct members *members;
    struct websockets *all;
    struct owner owners[3];
    struct websocket *connections[3];
    int clients[3];
    struct websocket_rules rules;
};

static void on_message(void *owner, enum websocket_kind kind, struct chunk *take_message) {
    struct owner *o = owner;
    buf_append_text(&o->heard, kind == WEBSOCKET_TEXT ? "t:" : "b:");
    buf_append_slice(&o->heard, take_message->bytes);
    buf_append_char(&o->heard, ' ');
    chunk_release(take_message);
    if (o->pause_on_message) websocket_pause(o->pause_on_message);
}

static void on_closed(void *owner, int code, struct slice reason) {
    (void)reason;
    ((struct owner *)owner)->closed = code;
}

static void connect_one(struct fixture *f, size_t i) {
    static const struct deflate_terms none;
    int ends[2];
    char id[WEBSOCKET_ID_SIZE];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    members_make_id(f->members, f->clock, id);
    const struct websocket_start start = {
        .take_fd = ends[0], .early = SLICE(""), .id = id, .rules = &f->rules, .terms = &none, .owner = &f->owners[i]};
    f->connections[i] = websocket_open(f->all, &start);
    f->clients[i] = ends[1];
}

static int set_up(void **state) {
    static const struct websocket_ops ops = {.on_message = on_message, .on_closed = on_closed};
    struct fixture *f = calloc(1, sizeof *f);
    struct error e;
    f->clock = clock_system_new();
    f->loop = loop_new(f->clock, &e);
    f->members = members_new();
    f->all = websockets_new(f->loop, f->members, &ops);
    f->rules = (struct websocket_rules){.limits = {1 << 20, 1 << 20}, .max_outbound = 100000, .max_groups = 2};
    for (size_t i = 0; i < ARRAY_LEN(f->clients); i++) f->clients[i] = -1;
    *state = f;
    return 0;
}

static bool none_left(void *context) {
    return websockets_count(((struct fixture *)context)->all) == 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    websockets_abort(f->all);
    loop_run_until(f->loop, none_left, f, SOON_MS);
    websockets_free(f->all);
    members_free(f->members);
    for (size_t i = 0; i < ARRAY_LEN(f->clients); i++) {
        if (f->clients[i] >= 0) close(f->clients[i]);
        buf_free(&f->owners[i].heard);
    }
    loop_free(f->loop);
    clock_system_free(f->clock);
    free(f);
    return 0;
}

static bool never(void *context) {
    (void)context;
    return false;
}

/* A few turns: what was made ready is done. */
static void turn(struct fixture *f) {
    loop_run_until(f->loop, never, f, 20);
}

static void client_send(struct fixture *f, size_t i, unsigned first, struct slice payload) {
    struct buf bytes = {0};
    client_frame(&bytes, first, payload);
    assert_int_equal(send(f->clients[i], bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
    buf_free(&bytes);
}

struct heard {
    struct owner *owner;
    size_t size;
};

static bool has_heard(void *context) {
    const struct heard *h = context;
    return h->owner->heard.n >= h->size;
}

static void expect_heard(struct fixture *f, size_t i, struct slice text) {
    struct heard h = {&f->owners[i], text.n};
    assert_true(loop_run_until(f->loop, has_heard, &h, SOON_MS));
    assert_true(slice_equal(buf_slice(&f->owners[i].heard), text));
}

static void expect_got(struct fixture *f, size_t i, struct slice bytes) {
    char room[256];
    turn(f);
    ssize_t n = recv(f->clients[i], room, sizeof room, 0);
    assert_int_equal(n, bytes.n);
    assert_memory_equal(room, bytes.p, bytes.n);
}

static void messages_and_pings(void **state) {
    struct fixture *f = *state;
    connect_one(f, 0);
    client_send(f, 0, FIN | FRAME_TEXT, SLICE("one"));
    client_send(f, 0, FIN | FRAME_PING, SLICE("?"));
    client_send(f, 0, FIN | FRAME_BINARY, SLICE("two"));
    expect_heard(f, 0, SLICE("t:one b:two "));
    expect_got(f, 0, SLICE("\x8a\x01?"));
}

static void while_paused_nothing_is_read(void **state) {
    struct fixture *f = *state;
    connect_one(f, 0);
    f->owners[0].pause_on_message = f->connections[0];
    for (int i = 0; i < 3; i++) client_send(f, 0, FIN | FRAME_TEXT, SLICE("x"));
    expect_heard(f, 0, SLICE("t:x "));
    turn(f);
    expect_heard(f, 0, SLICE("t:x "));
    websocket_resume(f->connections[0]);
    expect_heard(f, 0, SLICE("t:x t:x "));
    f->owners[0].pause_on_message = NULL;
    websocket_resume(f->connections[0]);
    expect_heard(f, 0, SLICE("t:x t:x t:x "));
}

static void a_close_is_answered_and_the_socket_shut(void **state) {
    struct fixture *f = *state;
    char id[WEBSOCKET_ID_SIZE];
    connect_one(f, 0);
    memcpy(id, member_id(websocket_member(f->connections[0])).p, sizeof id);
    assert_ptr_equal(members_find(f->members, slice_make(id, sizeof id)), websocket_member(f->connections[0]));
    client_send(f, 0, FIN | FRAME_CLOSE,
                SLICE("\x0f\xa1"
                      "bye"));
    expect_got(f, 0, SLICE("\x88\x02\x0f\xa1"));
    assert_int_equal(f->owners[0].closed, 4001);
    assert_null(members_find(f->members, slice_make(id, sizeof id)));
    char byte;
    assert_int_equal(recv(f->clients[0], &byte, 1, 0), 0);
    close(f->clients[0]);
    f->clients[0] = -1;
    assert_true(loop_run_until(f->loop, none_left, f, SOON_MS));
}

static void our_close_waits_for_theirs(void **state) {
    struct fixture *f = *state;
    connect_one(f, 0);
    websocket_close(f->connections[0], CLOSE_POLICY, SLICE("no"));
    websocket_close(f->connections[0], CLOSE_NORMAL, SLICE("the first one counts"));
    assert_int_equal(f->owners[0].closed, CLOSE_POLICY);
    client_send(f, 0, FIN | FRAME_TEXT, SLICE("not heard any more"));
    expect_got(f, 0, SLICE("\x88\x04\x03\xf0no"));
    assert_int_equal(websockets_open(f->all), 0);
    assert_int_equal(websockets_count(f->all), 1);
    client_send(f, 0, FIN | FRAME_CLOSE, SLICE("\x03\xf0"));
    close(f->clients[0]);
    f->clients[0] = -1;
    assert_true(loop_run_until(f->loop, none_left, f, SOON_MS));
    assert_int_equal(f->owners[0].heard.n, 0);
}

static void who_vanishes_has_ended_abnormally(void **state) {
    struct fixture *f = *state;
    connect_one(f, 0);
    close(f->clients[0]);
    f->clients[0] = -1;
    assert_true(loop_run_until(f->loop, none_left, f, SOON_MS));
    assert_int_equal(f->owners[0].closed, CLOSE_ABNORMAL);
}

static void a_slow_one_does_not_hold_up_the_others(void **state) {
    struct fixture *f = *state;
    static char block[50000];
    struct parcel p = parcel_make(WEBSOCKET_BINARY, slice_make(block, sizeof block));
    for (size_t i = 0; i < 2; i++) {
        connect_one(f, i);
        assert_int_equal(member_join(websocket_member(f->connections[i]), SLICE("room")), GROUP_OK);
    }
    size_t sent = 2;
    for (int round = 0; round < 100 && sent == 2; round++) {
        char room[60000];
        sent = members_broadcast(f->members, SLICE("room"), &p, NULL);
        for (ssize_t n = 1; n > 0;) {
            turn(f);
            n = recv(f->clients[1], room, sizeof room, 0);
        }
    }
    parcel_free(&p);
    assert_int_equal(sent, 1);
    assert_int_equal(f->owners[0].closed, CLOSE_TRY_LATER);
    assert_int_equal(f->owners[1].closed, 0);
    assert_int_equal(members_group_size(f->members, SLICE("room")), 1);
    assert_int_equal(websockets_counters(f->all)->slow, 1);
}

static void groups(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) connect_one(f, i);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("")), GROUP_BAD_NAME);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("a\nb")), GROUP_BAD_NAME);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("\xff")), GROUP_BAD_NAME);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("a")), GROUP_OK);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("a")), GROUP_ALREADY);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("b")), GROUP_OK);
    assert_int_equal(member_join(websocket_member(f->connections[0]), SLICE("c")), GROUP_TOO_MANY);
    assert_int_equal(member_join(websocket_member(f->connections[1]), SLICE("a")), GROUP_OK);
    struct parcel p = parcel_make(WEBSOCKET_TEXT, SLICE("hi"));
    assert_int_equal(members_broadcast(f->members, SLICE("a"), &p, websocket_member(f->connections[1])), 1);
    assert_int_equal(members_broadcast(f->members, SLICE("nobody"), &p, NULL), 0);
    parcel_free(&p);
    expect_got(f, 0, SLICE("\x81\x02hi"));
    assert_true(member_leave(websocket_member(f->connections[1]), SLICE("a")));
    assert_false(member_leave(websocket_member(f->connections[1]), SLICE("a")));
    websocket_close(f->connections[0], CLOSE_NORMAL, SLICE(""));
    assert_int_equal(members_group_size(f->members, SLICE("a")), 0);
    assert_int_equal(members_group_count(f->members), 0);
}

static void an_idle_connection_owns_no_buffers(void **state) {
    struct fixture *f = *state;
    connect_one(f, 0);
    client_send(f, 0, FIN | FRAME_TEXT, SLICE("x"));
    expect_heard(f, 0, SLICE("t:x "));
    const struct websocket *ws = f->connections[0];
    assert_int_equal(ws->unread.capacity, 0);
    assert_int_equal(ws->reader.message.capacity, 0);
    assert_null(ws->reader.frames.context);
    assert_null(ws->out.first);
    assert_true(sizeof *ws < 1024);
}

static void draining_closes_all(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) connect_one(f, i);
    websockets_drain(f->all);
    assert_int_equal(websockets_open(f->all), 0);
    for (size_t i = 0; i < 3; i++) assert_int_equal(f->owners[i].closed, CLOSE_GOING_AWAY);
}

/* Its handshake was answered before, and the descriptor comes after. */
static void who_comes_during_the_drain_is_sent_away(void **state) {
    struct fixture *f = *state;
    websockets_drain(f->all);
    connect_one(f, 0);
    turn(f);
    assert_int_equal(f->owners[0].closed, CLOSE_GOING_AWAY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_and_pings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(while_paused_nothing_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_close_is_answered_and_the_socket_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(our_close_waits_for_theirs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_vanishes_has_ended_abnormally, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_one_does_not_hold_up_the_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_connection_owns_no_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(draining_closes_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_comes_during_the_drain_is_sent_away, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
