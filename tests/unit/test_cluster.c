/* Nodes of a cluster against a real Redis: who may say what, who gets what. */
#include "gateway/base/memory.h"
#include "gateway/cluster/cluster.h"
#include "gateway/cluster/cluster_message.h"
#include "tests/support/redis_yard.h"
#include <stdlib.h>

#define LEASE_MS 600
#define PATIENCE 30000

/* The system's clock, which can be put forward. */
struct moved_clock {
    struct clock clock;
    struct clock *system;
    uint64_t ahead_us;
};

static struct redis_yard yard;
static struct moved_clock clock_moved;
static struct clock *const clock_used = &clock_moved.clock;

static struct moved_clock *moved(struct clock *c) {
    return container_of(c, struct moved_clock, clock);
}

static uint64_t moved_us(struct clock *c) {
    return moved(c)->system->monotonic_us(moved(c)->system) + moved(c)->ahead_us;
}

static uint64_t moved_wall_ms(struct clock *c) {
    return moved(c)->system->wall_ms(moved(c)->system);
}

static void moved_random(struct clock *c, void *p, size_t n) {
    moved(c)->system->random(moved(c)->system, p, n);
}

/* One node, and what it was told. */
struct member {
    const char *name; /* its records are NAME1 and NAME2; NULL = it has none */
    struct cluster *cluster;
    struct loop *loop;
    struct buf orphans; /* "ID=RECORD;" */
    size_t orphan_count, requests, buried, resyncs;
    struct cluster_served *held; /* the last request, when it holds its answers back */
    bool holds;
};

static void on_request(void *context, struct cluster_served *r, struct slice payload) {
    struct member *m = context;
    char text[64];
    int n = snprintf(text, sizeof text, "%zu:" SLICE_FMT, ++m->requests, SLICE_ARG(payload));
    if (m->holds)
        m->held = r;
    else
        cluster_answer(r, slice_make(text, (size_t)n));
}

static void on_resync(void *context) {
    struct member *m = context;
    m->resyncs++;
    for (int i = 1; m->name && i <= 2; i++) {
        char id[16], record[32];
        int n = snprintf(id, sizeof id, "%s%d", m->name, i);
        int size = snprintf(record, sizeof record, "record of %s", id);
        cluster_put(m->cluster, slice_make(id, (size_t)n), slice_make(record, (size_t)size));
    }
}

static void on_orphan(void *context, struct slice id, struct slice record) {
    struct member *m = context;
    m->orphan_count++;
    buf_append_slice(&m->orphans, id);
    buf_append_char(&m->orphans, '=');
    buf_append_slice(&m->orphans, record);
    buf_append_char(&m->orphans, ';');
}

static void on_buried(void *context) {
    ((struct member *)context)->buried++;
}

static void member_open(struct member *m, struct loop *loop) {
    struct error e;
    m->loop = loop;
    const struct cluster_options options = {.url = slice_of(yard.url),
                                            .name = SLICE("test"),
                                            .lease_ms = LEASE_MS,
                                            .host = {m, on_request, on_resync, on_orphan, on_buried}};
    m->cluster = cluster_new(loop, &options, &e);
    assert_non_null(m->cluster);
}

static bool is_up(void *context) {
    return !cluster_trouble(((struct member *)context)->cluster);
}

static bool has_quit(void *context) {
    return cluster_is_over(((struct member *)context)->cluster);
}

static void member_up(struct member *m, struct loop *loop) {
    member_open(m, loop);
    assert_true(loop_run_until(loop, is_up, m, PATIENCE));
}

static void member_quit(struct member *m) {
    cluster_quit(m->cluster);
    assert_true(loop_run_until(m->loop, has_quit, m, PATIENCE));
    cluster_free(m->cluster);
    buf_free(&m->orphans);
}

struct confirmation {
    struct cluster_confirm confirm;
    bool told;
    enum cluster_word word;
};

static void on_word(struct cluster_confirm *w, enum cluster_word word) {
    struct confirmation *c = container_of(w, struct confirmation, confirm);
    c->told = true;
    c->word = word;
}

static bool is_told(void *context) {
    return ((struct confirmation *)context)->told;
}

static enum cluster_word confirm(struct member *m) {
    struct confirmation c = {.confirm.on_word = on_word};
    cluster_confirm(m->cluster, &c.confirm);
    assert_true(loop_run_until(m->loop, is_told, &c, PATIENCE));
    return c.word;
}

struct question {
    struct cluster_ask ask;
    bool ended;
    enum cluster_outcome outcome;
    struct buf answer;
};

static void on_end(struct cluster_ask *a, enum cluster_outcome outcome, struct slice answer) {
    struct question *q = container_of(a, struct question, ask);
    q->ended = true;
    q->outcome = outcome;
    buf_append_slice(&q->answer, answer);
}

static bool is_ended(void *context) {
    return ((struct question *)context)->ended;
}

static void ask(struct member *from, struct slice tag, const char *text, struct question *q) {
    struct buf payload = {0};
    q->ask.on_end = on_end;
    buf_append_text(&payload, text);
    cluster_ask(from->cluster, tag, &payload, &q->ask);
}

static void with_loop(void (*test)(struct loop *loop)) {
    struct error e;
    struct loop *loop = loop_new(clock_used, &e);
    assert_non_null(loop);
    freeReplyObject(redis_yard_do(&yard, "FLUSHALL"));
    test(loop);
    loop_free(loop);
}

/* --- requests --- */

static void asks_and_answers(struct loop *loop) {
    struct member a = {0}, b = {0};
    struct question first = {0}, second = {0};
    member_up(&a, loop);
    member_up(&b, loop);
    ask(&a, cluster_tag(b.cluster), "x", &first);
    ask(&a, cluster_tag(b.cluster), "y", &second);
    assert_true(loop_run_until(loop, is_ended, &second, PATIENCE));
    assert_true(first.ended);
    assert_int_equal(first.outcome, CLUSTER_ANSWERED);
    assert_slice(buf_slice(&first.answer), "1:x");
    assert_slice(buf_slice(&second.answer), "2:y");
    assert_int_equal(b.requests, 2);
    buf_free(&first.answer);
    buf_free(&second.answer);
    member_quit(&a);
    member_quit(&b);
}

static void a_request_that_is_repeated_is_carried_out_once(struct loop *loop) {
    struct member a = {0}, b = {.holds = true};
    struct question q = {0};
    member_up(&a, loop);
    member_up(&b, loop);
    ask(&a, cluster_tag(b.cluster), "x", &q);
    /* Without an answer, it is repeated until the asker's patience ends. */
    assert_true(loop_run_until(loop, is_ended, &q, PATIENCE));
    assert_int_equal(q.outcome, CLUSTER_SILENT);
    assert_int_equal(b.requests, 1);
    cluster_answer(b.held, SLICE("late"));
    b.holds = false;
    q.ended = false;
    ask(&a, cluster_tag(b.cluster), "y", &q);
    assert_true(loop_run_until(loop, is_ended, &q, PATIENCE));
    assert_int_equal(q.outcome, CLUSTER_ANSWERED);
    assert_slice(buf_slice(&q.answer), "2:y");
    buf_free(&q.answer);
    member_quit(&a);
    member_quit(&b);
}

static void nobody_of_that_name(struct loop *loop) {
    struct member a = {0}, b = {0};
    struct question left = {0}, never = {0};
    char tag[CLUSTER_TAG_SIZE];
    member_up(&a, loop);
    member_up(&b, loop);
    memcpy(tag, cluster_tag(b.cluster).p, sizeof tag);
    member_quit(&b);
    ask(&a, slice_make(tag, sizeof tag), "x", &left);
    ask(&a, SLICE("ffffffff"), "x", &never);
    assert_true(loop_run_until(loop, is_ended, &left, PATIENCE));
    assert_int_equal(left.outcome, CLUSTER_GONE);
    assert_true(loop_run_until(loop, is_ended, &never, PATIENCE));
    assert_int_equal(never.outcome, CLUSTER_GONE);
    member_quit(&a);
}

/* What was heard on a channel: the number of a request. */
static uint64_t number_heard(redisContext *channel) {
    struct cluster_message m;
    void *reply;
    assert_int_equal(redisGetReply(channel, &reply), REDIS_OK);
    const redisReply *bytes = ((redisReply *)reply)->element[2];
    assert_true(cluster_message_read(slice_make(bytes->str, bytes->len), &m));
    freeReplyObject(reply);
    return m.number;
}

static void ask_nobody(struct member *from, const char *tag) {
    struct question q = {0};
    ask(from, slice_of(tag), "x", &q);
    clock_moved.ahead_us += 4500 * 1000ULL; /* of its patience; before the request is repeated */
    assert_true(loop_run_until(from->loop, is_ended, &q, PATIENCE));
    assert_int_not_equal(q.outcome, CLUSTER_ANSWERED);
}

static bool is_past(void *context) {
    return clock_now_ms(clock_used) >= *(uint64_t *)context;
}

/* It may be there all the time, and remember which numbers it has seen. */
static void a_node_that_was_forgotten_is_not_asked_with_old_numbers(struct loop *loop) {
    struct member a = {0};
    redisContext *channel = redisConnect("127.0.0.1", yard.port);
    member_up(&a, loop);
    assert_int_equal(redisSetTimeout(channel, (struct timeval){.tv_sec = 5}), REDIS_OK);
    freeReplyObject(redisCommand(channel, "SUBSCRIBE execgate:{test}:cluster:to:ffffffff"));
    ask_nobody(&a, "ffffffff");
    uint64_t before = number_heard(channel);
    ask_nobody(&a, "eeeeeeee"); /* both are swept away at once */
    clock_moved.ahead_us += 61 * 1000 * 1000ULL;
    uint64_t until_ms = clock_now_ms(clock_used) + 1500;
    assert_true(loop_run_until(loop, is_past, &until_ms, PATIENCE));
    ask_nobody(&a, "ffffffff");
    uint64_t after = number_heard(channel);
    while (after == before) after = number_heard(channel); /* repeated before it was given up */
    assert_true(after > before);
    redisFree(channel);
    member_quit(&a);
}

/* --- leases --- */

static bool has_two_orphans(void *context) {
    return ((struct member *)context)->orphan_count >= 2;
}

static bool has_three_orphans(void *context) {
    return ((struct member *)context)->orphan_count >= 3;
}

static void what_a_dead_node_leaves_is_taken_over(struct loop *loop) {
    struct member a = {.name = "a"}, b = {.name = "b"}, dead = {.name = "d"};
    member_up(&a, loop);
    member_up(&dead, loop);
    assert_int_equal(confirm(&dead), CLUSTER_CONFIRMED);
    cluster_free(dead.cluster);
    assert_true(loop_run_until(loop, has_two_orphans, &a, PATIENCE));
    assert_int_equal(a.orphan_count, 2);
    assert_non_null(memmem(a.orphans.p, a.orphans.n, "d1=record of d1;", 16));
    assert_non_null(memmem(a.orphans.p, a.orphans.n, "d2=record of d2;", 16));
    cluster_drop(a.cluster, SLICE("d1"));
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    /* The other one was not dealt with when this node dies, too; its own are left as well. */
    member_up(&b, loop);
    cluster_free(a.cluster);
    buf_free(&a.orphans);
    assert_true(loop_run_until(loop, has_three_orphans, &b, PATIENCE));
    assert_int_equal(b.orphan_count, 3);
    assert_null(memmem(b.orphans.p, b.orphans.n, "d1=", 3));
    assert_non_null(memmem(b.orphans.p, b.orphans.n, "d2=record of d2;", 16));
    member_quit(&b);
}

static bool is_buried(void *context) {
    return ((struct member *)context)->buried > 0;
}

static void who_was_declared_dead_learns_it(struct loop *loop) {
    struct member a = {0};
    char old[CLUSTER_TAG_SIZE + 1] = {0}, key[64];
    member_up(&a, loop);
    memcpy(old, cluster_tag(a.cluster).p, CLUSTER_TAG_SIZE);
    snprintf(key, sizeof key, "execgate:{test}:cluster:dead:%s", old);
    freeReplyObject(redis_yard_do(&yard, "SET %s 1", key));
    assert_int_equal(confirm(&a), CLUSTER_BURIED);
    assert_int_equal(a.buried, 1);
    assert_memory_not_equal(old, cluster_tag(a.cluster).p, CLUSTER_TAG_SIZE);
    assert_true(loop_run_until(loop, is_up, &a, PATIENCE));
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    assert_true(is_buried(&a));
    member_quit(&a);
}

static void a_tag_that_is_anothers_is_given_up(struct loop *loop) {
    struct member a = {0};
    member_up(&a, loop);
    freeReplyObject(
        redis_yard_do(&yard, "HSET execgate:{test}:cluster:owners %s somebody", cluster_node(a.cluster, 0)));
    assert_true(loop_run_until(loop, is_buried, &a, PATIENCE));
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    member_quit(&a);
}

static void a_node_that_redis_forgot_says_all_again(struct loop *loop) {
    struct member a = {0};
    member_up(&a, loop);
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    assert_int_equal(a.resyncs, 1);
    freeReplyObject(redis_yard_do(&yard, "FLUSHALL"));
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    assert_int_equal(a.resyncs, 2);
    assert_int_equal(a.buried, 0);
    member_quit(&a);
}

static void an_orderly_end_leaves_nothing(struct loop *loop) {
    struct member a = {.name = "a"};
    member_up(&a, loop);
    cluster_enter(a.cluster, SLICE("room"));
    cluster_drop(a.cluster, SLICE("a1"));
    cluster_drop(a.cluster, SLICE("a2"));
    assert_int_equal(confirm(&a), CLUSTER_CONFIRMED);
    member_quit(&a);
    redisReply *r = redis_yard_do(&yard, "KEYS execgate:{test}:cluster:*");
    for (size_t i = 0; i < r->elements; i++) {
        bool expected = strstr(r->element[i]->str, ":dead:") || strstr(r->element[i]->str, ":seen");
        if (!expected) fail_msg("%s is left", r->element[i]->str);
    }
    freeReplyObject(r);
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        with_loop(name);                                                                                               \
    }
TEST(asks_and_answers)
TEST(a_request_that_is_repeated_is_carried_out_once)
TEST(nobody_of_that_name)
TEST(a_node_that_was_forgotten_is_not_asked_with_old_numbers)
TEST(what_a_dead_node_leaves_is_taken_over)
TEST(who_was_declared_dead_learns_it)
TEST(a_tag_that_is_anothers_is_given_up)
TEST(a_node_that_redis_forgot_says_all_again)
TEST(an_orderly_end_leaves_nothing)

static int begin(void **state) {
    (void)state;
    clock_moved = (struct moved_clock){{moved_us, moved_wall_ms, moved_random}, clock_system_new(), 0};
    redis_yard_init(&yard);
    return 0;
}

static int end(void **state) {
    (void)state;
    redis_yard_end(&yard);
    clock_system_free(clock_moved.system);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asks_and_answers),
        cmocka_unit_test(test_a_request_that_is_repeated_is_carried_out_once),
        cmocka_unit_test(test_nobody_of_that_name),
        cmocka_unit_test(test_a_node_that_was_forgotten_is_not_asked_with_old_numbers),
        cmocka_unit_test(test_what_a_dead_node_leaves_is_taken_over),
        cmocka_unit_test(test_who_was_declared_dead_learns_it),
        cmocka_unit_test(test_a_tag_that_is_anothers_is_given_up),
        cmocka_unit_test(test_a_node_that_redis_forgot_says_all_again),
        cmocka_unit_test(test_an_orderly_end_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
