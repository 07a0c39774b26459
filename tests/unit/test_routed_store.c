/* Several stores as one: all that one store must do, and what is each one's own. */
#include "gateway/queue/routed_store.h"
#include "tests/support/queue_store_suite.h"
#include "tests/support/sqlite_yard.h"

/* Two SQLite files: the queues `far` and `far-dead`, and all notes, are in the second. */
struct routed_yard {
    struct yard yard;
    struct sqlite_yard home, far;
};

static struct queue_store *routed_yard_open(struct yard *y, struct loop *loop, struct error *e) {
    struct routed_yard *r = container_of(y, struct routed_yard, yard);
    struct queue_store *home = r->home.yard.open(&r->home.yard, loop, e);
    struct queue_store *far = r->far.yard.open(&r->far.yard, loop, e);
    if (!home || !far) return NULL;
    struct queue_store *s = routed_store_new(loop, home);
    assert_true(routed_store_add(s, far));
    routed_store_route(s, SLICE("far"), far);
    routed_store_route(s, SLICE("far-dead"), far);
    return s;
}

static void routed_yard_clear(struct yard *y) {
    struct routed_yard *r = container_of(y, struct routed_yard, yard);
    r->home.yard.clear(&r->home.yard);
    r->far.yard.clear(&r->far.yard);
}

static void desk_pause(struct desk *d, struct slice key) {
    struct answer *a = desk_answer(d);
    d->used->ops->swap(d->used, &(struct queue_swap){key, SLICE_NONE, SLICE("")}, desk_done(a));
    assert_true(desk_await_ok(d, a)->granted);
}

static void queues_are_where_they_belong(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("far"), .dead_letter = SLICE("far-dead")});
    desk_send_text(d, "q", "near");
    desk_send_text(d, "far", "away");
    struct answer *a = desk_answer(d);
    d->used->ops->stats(d->used, SLICE_NONE, desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 2); /* of both stores, by name */
    assert_slice(reply->stats[0].queue, "far");
    assert_slice(reply->stats[1].queue, "q");
    const struct queue_message *m = desk_take(d, "far", "away");
    assert_int_equal(desk_act(d, "far", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    assert_int_equal(desk_redrive(d, &(struct queue_redrive){.from = SLICE("far-dead"), .max = 10}), 1);
    desk_take_and_ack(d, "far", "away");
    assert_true(desk_swap(d, SLICE_NONE, SLICE("1"))->granted);
    desk_pause(d, SLICE("pause/q"));
    desk_pause(d, SLICE("pause/far"));
    desk_shut(d);
    struct error e;
    struct routed_yard *r = container_of(d->yard, struct routed_yard, yard);
    d->store = d->used = r->home.yard.open(&r->home.yard, d->loop, &e); /* alone */
    d->open_stores++;
    assert_none(desk_recall(d, "schedule/nightly"));
    assert_slice(desk_recall(d, "pause/q"), "");
    assert_none(desk_recall(d, "pause/far"));
    desk_take_and_ack(d, "q", "near");
    assert_int_equal(desk_stats(d, "far").sent, 0);
}

static void one_call_is_for_one_store(void **state) {
    struct desk *d = *state;
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("a")}, {.queue = SLICE("far")}};
    struct queue_reply *reply = desk_send_fails(d, sends, 2);
    assert_non_null(strstr(reply->error.message, "queues q and far are in different stores"));
    desk_expect_none(d, "q");
    const struct queue_settlement items[] = {{.queue = SLICE("far"), .receipt = SLICE("1-1")},
                                             {.queue = SLICE("q"), .receipt = SLICE("1-1")}};
    struct answer *a = desk_answer(d);
    d->used->ops->settle(d->used, items, 2, desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_REFUSED);
    a = desk_answer(d);
    d->used->ops->redrive(d->used, &(struct queue_redrive){.from = SLICE("q"), .to = SLICE("far"), .max = 1},
                          desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_REFUSED);
    a = desk_answer(d);
    d->used->ops->send(d->used, sends, 2, desk_done(a)); /* answered before it closes */
    desk_shut(d);
    assert_true(a->arrived);
    desk_reopen(d);
}

static void watchers_hear_of_their_own_queue(void **state) {
    struct desk *d = *state;
    struct bell near = {0}, far = {0};
    struct queue_watch *n = d->store->ops->watch(d->store, SLICE("q"), bell_ring, &near);
    struct queue_watch *f = d->store->ops->watch(d->store, SLICE("far"), bell_ring, &far);
    desk_expect_ring(d, &near, "how it is found at first");
    desk_expect_ring(d, &far, "how it is found at first");
    near.rings = far.rings = 0;
    desk_send_text(d, "far", "away");
    desk_expect_ring(d, &far, "a send");
    assert_int_equal(near.rings, 0);
    d->store->ops->unwatch(n);
    d->store->ops->unwatch(f);
}

int main(void) {
    struct routed_yard y = {.yard = {routed_yard_open, routed_yard_clear}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queues_are_where_they_belong, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(one_call_is_for_one_store, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(watchers_hear_of_their_own_queue, desk_setup, desk_teardown),
    };
    sqlite_yard_init(&y.home);
    sqlite_yard_init(&y.far);
    int failed = queue_store_suite(&y.yard);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    sqlite_yard_end(&y.home);
    sqlite_yard_end(&y.far);
    return failed;
}
