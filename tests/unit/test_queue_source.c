/* A queue source between a store and an executor that are fakes, under a clock that is one too. */
#include "gateway/blueprint/model.h"
#include "gateway/invocation/event.h"
#include "gateway/source/queue/queue_source.h"
#include "tests/support/fake_store.h"

struct shop {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct pipeline pipeline;
    struct executor executor;
    struct list queued, running;
    size_t places;
    struct fake_store store;
    struct queue_config queue;
    struct handler_config handler;
    struct queue_trigger_config triggers[2];
    size_t trigger_count;
    struct async_config async;
    struct queue_source *source;
};

/* --- the executor --- */

static struct shop *shop_of(struct executor *e) {
    return container_of(e, struct shop, executor);
}

static enum failure on_room(struct executor *e, uint32_t *retry_after_s) {
    (void)e;
    *retry_after_s = 0;
    return FAILURE_NONE;
}

static void on_submit(struct executor *e, struct invocation *inv) {
    invocation_move(inv, INVOCATION_QUEUED, &shop_of(e)->queued);
}

static void on_completed(struct executor *e, struct invocation *inv) {
    (void)e;
    (void)inv;
}

static size_t on_places(struct executor *e) {
    struct shop *s = shop_of(e);
    size_t taken = s->queued.length + s->running.length;
    return s->places > taken ? s->places - taken : 0;
}

static const struct executor_ops executor_ops = {
    .room = on_room, .submit = on_submit, .completed = on_completed, .places = on_places, .cancel = on_completed};

/* --- the shop --- */

static void shop_prepare(struct shop *s) {
    *s = (struct shop){.places = 1};
    clock_fake_init(&s->clock);
    deadlines_init(&s->deadlines);
    turn_init(&s->turn);
    list_init(&s->queued);
    list_init(&s->running);
    pipeline_init(&s->pipeline, &s->clock.clock, NULL, &s->deadlines, &s->turn);
    s->executor.ops = &executor_ops;
    s->handler = (struct handler_config){.name = "hands", .timeout_ms = 60000};
    s->queue = (struct queue_config){.name = "q",
                                     .visibility_ms = 3000,
                                     .retry = {3, 1000, 2, 60000, QUEUE_JITTER_NONE},
                                     .dead_letter = "dead",
                                     .max_message = 1000};
    s->triggers[0] = (struct queue_trigger_config){.queue = "q", .batch = 10, .report_failures = true};
    s->trigger_count = 1;
    fake_store_init(&s->store, &s->clock.clock);
}

static void shop_run(struct shop *s) {
    for (int i = 0; i < 10; i++) {
        deadlines_run(&s->deadlines, clock_now_ms(&s->clock.clock));
        turn_run(&s->turn, 64);
        fake_store_answer(&s->store);
    }
}

static void shop_wait(struct shop *s, uint64_t ms) {
    clock_fake_advance_ms(&s->clock, ms);
    shop_run(s);
}

static void shop_open(struct shop *s) {
    struct queue_source_trigger triggers[2];
    bool async = s->async.queue != NULL;
    for (size_t i = 0; i < s->trigger_count; i++)
        triggers[i] = (struct queue_source_trigger){.config = &s->triggers[i],
                                                    .route = {.handler = &s->handler, .executor = &s->executor},
                                                    .async = async ? &s->async : NULL};
    s->source = queue_source_new(&s->pipeline, &s->store.store, &s->queue, triggers, s->trigger_count);
    queue_source_start(s->source);
    shop_run(s);
}

static void shop_close(struct shop *s) {
    queue_source_stop(s->source);
    shop_run(s);
    assert_true(queue_source_is_idle(s->source));
    queue_source_free(s->source);
    assert_int_equal(s->pipeline.in_flight, 0);
    assert_int_equal(deadlines_next_ms(&s->deadlines), DEADLINE_NEVER);
    pipeline_close(&s->pipeline);
    deadlines_free(&s->deadlines);
}

/* A process takes the event that has waited longest. */
static struct invocation *shop_start(struct shop *s) {
    struct list_node *node = list_first(&s->queued);
    assert_non_null(node);
    struct invocation *inv = list_entry(node, struct invocation, node);
    invocation_move(inv, INVOCATION_RUNNING, &s->running);
    return inv;
}

static void shop_answer(struct shop *s, struct invocation *inv, const char *text) {
    clock_fake_advance_ms(&s->clock, 1);
    assert_true(invocation_complete(
        inv, (struct outcome){.status = 200, .body = *text ? body_of_chunk(chunk_copy(slice_of(text))) : NULL}));
    shop_run(s);
}

static void shop_fail(struct shop *s, struct invocation *inv, enum failure f) {
    clock_fake_advance_ms(&s->clock, 1);
    assert_true(invocation_complete(inv, outcome_failure(inv, f, "because")));
    shop_run(s);
}

static void expect_bodies(const struct invocation *inv, const char *bodies) {
    char text[256] = "";
    for (size_t i = 0; i < inv->messages->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s" SLICE_FMT, i ? " " : "",
                 SLICE_ARG(inv->messages->messages[i].body));
    assert_string_equal(text, bodies);
}

/* --- the tests --- */

static void what_is_ready_comes_in_one_batch_and_is_acknowledged(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a");
    fake_add(&s.store, "b");
    shop_open(&s);
    struct invocation *inv = shop_start(&s);
    assert_int_equal(inv->trigger, TRIGGER_QUEUE);
    expect_bodies(inv, "a b");
    assert_int_equal(s.store.messages[0].state, FAKE_IN_FLIGHT);
    shop_answer(&s, inv, "");
    assert_int_equal(s.store.messages[0].state, FAKE_GONE);
    assert_int_equal(s.store.messages[1].state, FAKE_GONE);
    shop_close(&s);
}

static void nothing_is_fetched_that_cannot_run(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    s.places = 0;
    s.triggers[0].batch = 2;
    for (int i = 0; i < 10; i++) fake_add(&s.store, "a");
    shop_open(&s);
    assert_int_equal(s.store.receives, 0);
    s.places = 2;
    shop_wait(&s, 100);
    assert_int_equal(s.store.asked, 4);
    assert_int_equal(s.queued.length, 2);
    unsigned receives = s.store.receives;
    shop_wait(&s, 100);
    assert_int_equal(s.store.receives, receives);
    while (s.queued.length) shop_answer(&s, shop_start(&s), "");
    for (size_t i = 0; i < 10; i++) assert_int_equal(s.store.messages[i].state, FAKE_GONE);
    shop_close(&s);
}

static void a_window_waits_for_a_full_batch(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    s.triggers[0].batch = 3;
    s.triggers[0].window_ms = 500;
    shop_open(&s);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s.queued.length, 0);
        fake_add(&s.store, "a");
        fake_tell_ready(&s.store);
        shop_wait(&s, 100);
    }
    expect_bodies(shop_start(&s), "a a a");
    fake_add(&s.store, "late");
    fake_tell_ready(&s.store);
    shop_answer(&s, list_entry(list_first(&s.running), struct invocation, node), "");
    assert_int_equal(s.queued.length, 0);
    shop_wait(&s, 500);
    struct invocation *inv = shop_start(&s);
    expect_bodies(inv, "late");
    shop_answer(&s, inv, "");
    shop_close(&s);
}

static void only_the_named_messages_come_again_and_alone(void **state) {
    struct shop s;
    char answer[200];
    (void)state;
    shop_prepare(&s);
    for (int i = 0; i < 3; i++) fake_add(&s.store, "a");
    shop_open(&s);
    snprintf(answer, sizeof answer, "{\"batchItemFailures\":[{\"itemIdentifier\":\"%s\"},{\"itemIdentifier\":\"%s\"}]}",
             s.store.messages[0].id, s.store.messages[2].id);
    shop_answer(&s, shop_start(&s), answer);
    assert_int_equal(s.store.messages[0].delay_ms, 1000);
    assert_int_equal(s.store.messages[1].state, FAKE_GONE);
    s.places = 2;
    clock_fake_advance_ms(&s.clock, 1000);
    fake_tell_ready(&s.store);
    shop_run(&s);
    assert_int_equal(s.queued.length, 2);
    while (s.queued.length) {
        struct invocation *inv = shop_start(&s);
        expect_bodies(inv, "a");
        shop_answer(&s, inv, "null");
    }
    shop_close(&s);
}

static void attempts_are_counted_and_the_last_failure_buries(void **state) {
    static const uint64_t delays[] = {1000, 2000};
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a");
    shop_open(&s);
    for (size_t i = 0; i < 2; i++) {
        shop_fail(&s, shop_start(&s), FAILURE_HANDLER_DIED);
        assert_int_equal(s.store.messages[0].state, FAKE_READY);
        assert_int_equal(s.store.messages[0].delay_ms, delays[i]);
        clock_fake_advance_ms(&s.clock, delays[i]);
        fake_tell_ready(&s.store);
        shop_run(&s);
    }
    shop_fail(&s, shop_start(&s), FAILURE_HANDLER_TIMEOUT);
    assert_int_equal(s.store.messages[0].state, FAKE_BURIED);
    assert_string_equal(s.store.messages[0].reason, "attempts used up");
    assert_string_equal(s.store.messages[0].error, "The handler did not answer in time: because");
    shop_close(&s);
}

static void what_never_ran_goes_back_without_a_failure(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    s.queue.retry.max_attempts = 1;
    fake_add(&s.store, "a");
    shop_open(&s);
    shop_fail(&s, list_entry(list_first(&s.queued), struct invocation, node), FAILURE_UNAVAILABLE);
    assert_int_equal(s.store.messages[0].state, FAKE_READY);
    assert_string_equal(s.store.messages[0].error, "No handler process can be started: because");
    shop_close(&s);
}

static void a_message_that_was_received_too_often_is_not_run(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a")->receive_count = 3;
    shop_open(&s);
    assert_int_equal(s.queued.length, 0);
    assert_int_equal(s.store.messages[0].state, FAKE_BURIED);
    shop_close(&s);
}

static void what_is_held_is_extended(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a");
    shop_open(&s);
    struct invocation *inv = shop_start(&s);
    for (int i = 0; i < 10; i++) {
        shop_wait(&s, 1000);
        assert_true(s.store.messages[0].visible_ms > clock_now_ms(&s.clock.clock));
    }
    assert_true(s.store.messages[0].extended >= 9);
    shop_answer(&s, inv, "");
    assert_int_equal(s.store.messages[0].receive_count, 1);
    shop_close(&s);
}

static void a_store_that_fails_is_asked_again(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a");
    shop_open(&s);
    s.store.fails = QUEUE_TRY_AGAIN;
    shop_answer(&s, shop_start(&s), "");
    assert_int_equal(s.store.messages[0].state, FAKE_IN_FLIGHT);
    s.store.fails = QUEUE_OK;
    shop_wait(&s, 1000);
    assert_int_equal(s.store.messages[0].state, FAKE_GONE);
    shop_close(&s);
}

static void filters_choose_the_trigger_and_nobodys_messages_are_buried(void **state) {
    static const struct filter_config kind_a[] = {{SLICE("kind"), SLICE("a")}},
                                      deep[] = {{SLICE("in.n"), SLICE("1")}, {SLICE("kind"), SLICE("b")}};
    struct shop s;
    (void)state;
    shop_prepare(&s);
    s.places = 2;
    s.trigger_count = 2;
    s.triggers[1] = s.triggers[0];
    s.triggers[0].filters = kind_a;
    s.triggers[0].filter_count = 1;
    s.triggers[1].filters = deep;
    s.triggers[1].filter_count = 2;
    fake_add(&s.store, "{\"kind\":\"b\",\"in\":{\"n\":1}}");
    fake_add(&s.store, "{\"kind\":\"a\"}");
    fake_add(&s.store, "{\"kind\":\"b\",\"in\":{\"n\":\"2\"}}");
    fake_add(&s.store, "kind=a");
    shop_open(&s);
    assert_int_equal(s.queued.length, 2);
    struct invocation *first = shop_start(&s), *second = shop_start(&s);
    expect_bodies(first, "{\"kind\":\"a\"}");
    expect_bodies(second, "{\"kind\":\"b\",\"in\":{\"n\":1}}");
    shop_answer(&s, first, "");
    shop_answer(&s, second, "");
    assert_int_equal(s.store.messages[2].state, FAKE_BURIED);
    assert_int_equal(s.store.messages[3].state, FAKE_BURIED);
    assert_string_equal(s.store.messages[3].reason, "no trigger takes it");
    shop_close(&s);
}

static void a_pause_stops_the_fetching_and_nothing_else(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    fake_add(&s.store, "a");
    s.store.paused = true;
    shop_open(&s);
    shop_wait(&s, 5000);
    assert_int_equal(s.store.receives, 0);
    s.store.paused = false;
    shop_wait(&s, 1000);
    struct invocation *inv = shop_start(&s);
    s.store.paused = true;
    shop_wait(&s, 1000);
    fake_add(&s.store, "b");
    fake_tell_ready(&s.store);
    shop_answer(&s, inv, "");
    assert_int_equal(s.store.messages[0].state, FAKE_GONE);
    assert_int_equal(s.store.messages[1].state, FAKE_READY);
    shop_close(&s);
}

static void a_stop_gives_back_what_has_not_run(void **state) {
    struct shop s;
    (void)state;
    shop_prepare(&s);
    s.places = 2;
    s.triggers[0].batch = 2;
    s.triggers[0].window_ms = 500;
    for (int i = 0; i < 5; i++) fake_add(&s.store, "a");
    shop_open(&s);
    struct invocation *running = shop_start(&s);
    assert_int_equal(s.queued.length, 1);
    queue_source_stop(s.source);
    shop_run(&s);
    assert_false(queue_source_is_idle(s.source));
    assert_int_equal(s.queued.length, 0);
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(s.store.messages[i].state, FAKE_READY);
        assert_int_equal(s.store.messages[i].delay_ms, 0);
    }
    shop_answer(&s, running, "");
    assert_int_equal(s.store.messages[1].state, FAKE_GONE);
    shop_close(&s);
}

/* --- invocations that nobody waits for --- */

static void async_prepare_shop(struct shop *s) {
    shop_prepare(s);
    s->triggers[0] = (struct queue_trigger_config){.batch = 1};
    s->async = (struct async_config){.queue = &s->queue,
                                     .max_age_ms = 10000,
                                     .on_success = {.queue = "done", .max_message = 1000},
                                     .on_failure = {.queue = "failed", .max_message = 1000}};
}

static void an_invocation_has_its_messages_id_and_its_end_is_told(void **state) {
    struct shop s;
    (void)state;
    async_prepare_shop(&s);
    fake_add(&s.store, "{\"n\":1}");
    shop_open(&s);
    struct invocation *inv = shop_start(&s);
    assert_int_equal(inv->trigger, TRIGGER_INVOKE);
    assert_slice(invocation_id(inv), "00000000-0000-7000-8000-000000000001");
    shop_answer(&s, inv, "[2]");
    assert_string_equal(s.store.sent_to, "done");
    assert_non_null(strstr(s.store.sent, "\"condition\":\"Success\",\"approximateInvokeCount\":1}"));
    assert_non_null(strstr(s.store.sent, "\"requestPayload\":{\"n\":1},\"responsePayload\":[2]}"));
    assert_int_equal(s.store.messages[0].state, FAKE_GONE);
    shop_close(&s);
}

static void one_that_would_be_too_old_for_another_attempt_is_given_up(void **state) {
    struct shop s;
    (void)state;
    async_prepare_shop(&s);
    s.async.max_age_ms = 500; /* the first delay is longer */
    fake_add(&s.store, "1");
    shop_open(&s);
    shop_fail(&s, shop_start(&s), FAILURE_HANDLER_ERROR);
    assert_string_equal(s.store.sent_to, "failed");
    assert_non_null(strstr(s.store.sent, "EventAgeExceeded"));
    assert_int_equal(s.store.messages[0].state, FAKE_GONE);
    shop_close(&s);
}

static void without_a_destination_it_is_kept_aside(void **state) {
    struct shop s;
    (void)state;
    async_prepare_shop(&s);
    s.async.on_failure.queue = NULL;
    s.queue.retry.max_attempts = 1;
    fake_add(&s.store, "1");
    shop_open(&s);
    shop_fail(&s, shop_start(&s), FAILURE_HANDLER_ERROR);
    assert_string_equal(s.store.sent, "");
    assert_int_equal(s.store.messages[0].state, FAKE_BURIED);
    shop_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ready_comes_in_one_batch_and_is_acknowledged),
        cmocka_unit_test(nothing_is_fetched_that_cannot_run),
        cmocka_unit_test(a_window_waits_for_a_full_batch),
        cmocka_unit_test(only_the_named_messages_come_again_and_alone),
        cmocka_unit_test(attempts_are_counted_and_the_last_failure_buries),
        cmocka_unit_test(what_never_ran_goes_back_without_a_failure),
        cmocka_unit_test(a_message_that_was_received_too_often_is_not_run),
        cmocka_unit_test(what_is_held_is_extended),
        cmocka_unit_test(a_store_that_fails_is_asked_again),
        cmocka_unit_test(filters_choose_the_trigger_and_nobodys_messages_are_buried),
        cmocka_unit_test(a_pause_stops_the_fetching_and_nothing_else),
        cmocka_unit_test(a_stop_gives_back_what_has_not_run),
        cmocka_unit_test(an_invocation_has_its_messages_id_and_its_end_is_told),
        cmocka_unit_test(one_that_would_be_too_old_for_another_attempt_is_given_up),
        cmocka_unit_test(without_a_destination_it_is_kept_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
