/* queue_suite_messages.h - what every kind of queue store must do with messages: their lives, sending, groups. */
#pragma once
#include "tests/support/queue_desk.h"

/* --- the life of a message --- */

static inline void suite_a_message_arrives_whole(void **state) {
    struct desk *d = *state;
    const struct queue_attribute attributes[] = {{QUEUE_TEXT, SLICE("colour"), SLICE("red")},
                                                 {QUEUE_NUMBER, SLICE("price"), SLICE("9.95")},
                                                 {QUEUE_BINARY, SLICE("key"), SLICE("\0\xff\1")},
                                                 {QUEUE_TEXT, SLICE("empty"), SLICE("")}};
    const struct queue_sent *sent = desk_send(d, &(struct queue_send){.queue = SLICE("q"),
                                                                      .body = SLICE("a\0b\xff"),
                                                                      .content_type = SLICE("application/x-odd"),
                                                                      .attributes = attributes,
                                                                      .attribute_count = 4,
                                                                      .dedup_id = SLICE("once"),
                                                                      .group_id = SLICE("g")});
    assert_int_equal(strlen(sent->id), UUID_TEXT_SIZE);
    assert_false(sent->duplicate);
    desk_wait(d, 2000);
    struct queue_reply *reply = desk_receive(d, "q", 10);
    assert_int_equal(reply->count, 1);
    const struct queue_message *m = &reply->messages[0];
    assert_string_equal(m->id, sent->id);
    assert_slice(m->body, "a\0b\xff");
    assert_slice(m->content_type, "application/x-odd");
    assert_slice(m->dedup_id, "once");
    assert_slice(m->group_id, "g");
    assert_int_equal(m->attribute_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(m->attributes[i].type, attributes[i].type);
        assert_slice_is(m->attributes[i].name, attributes[i].name, __FILE__, __LINE__);
        assert_slice_is(m->attributes[i].value, attributes[i].value, __FILE__, __LINE__);
    }
    assert_int_equal(m->receive_count, 1);
    assert_int_equal(m->sent_ms, d->clock.wall_now_ms - 2000);
    assert_int_equal(m->first_received_ms, d->clock.wall_now_ms);
    assert_int_equal(m->last_received_ms, d->clock.wall_now_ms);
    assert_null(m->death);
    desk_ack(d, "q", m);
    assert_int_equal(desk_act(d, "q", m, QUEUE_ACK, 0), QUEUE_STALE);
}

static inline void suite_plain_messages_need_little(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q")});
    const struct queue_message *m = &desk_receive(d, "q", 10)->messages[0];
    assert_slice(m->body, "");
    assert_none(m->content_type);
    assert_none(m->dedup_id);
    assert_none(m->group_id);
    assert_int_equal(m->attribute_count, 0);
    desk_ack(d, "q", m);
    desk_expect_none(d, "q");
    desk_expect_none(d, "never-heard-of");
}

static inline void suite_large_bodies_are_kept(void **state) {
    struct desk *d = *state;
    char *bytes = xmalloc(QUEUE_MESSAGE_SIZE_DEFAULT);
    for (size_t i = 0; i < QUEUE_MESSAGE_SIZE_DEFAULT; i++) bytes[i] = (char)(i * 31 >> 3);
    static const size_t sizes[] = {2047, 2048, 2049, 65536, QUEUE_MESSAGE_SIZE_DEFAULT};
    desk_declare_dead(d);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = slice_make(bytes, sizes[i])});
        const struct queue_message *m = &desk_receive(d, "q", 1)->messages[0];
        assert_int_equal(m->body.n, sizes[i]);
        assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
        struct queue_reply *dead = desk_receive(d, "dead", 10); /* it has moved with the message */
        assert_int_equal(dead->count, 1);
        assert_int_equal(dead->messages[0].body.n, sizes[i]);
        assert_memory_equal(dead->messages[0].body.p, bytes, sizes[i]);
        desk_ack(d, "dead", &dead->messages[0]);
    }
    free(bytes);
}

static inline void suite_what_is_not_acknowledged_comes_again(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *first = desk_take(d, "q", "one");
    desk_wait(d, 29999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    const struct queue_message *second = desk_take(d, "q", "one");
    assert_string_equal(first->id, second->id);
    assert_int_equal(second->receive_count, 2);
    assert_int_equal(second->first_received_ms, d->clock.wall_now_ms - 30000);
    assert_int_equal(second->last_received_ms, d->clock.wall_now_ms);
    static const enum queue_action stale[] = {QUEUE_ACK, QUEUE_RETRY, QUEUE_BURY, QUEUE_EXTEND};
    desk_declare_dead(d);
    for (size_t i = 0; i < ARRAY_LEN(stale); i++) assert_int_equal(desk_act(d, "q", first, stale[i], 0), QUEUE_STALE);
    desk_ack(d, "q", second);
    desk_wait(d, 60000);
    desk_expect_none(d, "q");
}

/* Late, but nobody else has it: the work is done, so it need not be done again. */
static inline void suite_a_late_acknowledgement_counts(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    desk_wait(d, 40000);
    desk_ack(d, "q", m);
    desk_expect_none(d, "q");
}

static inline void suite_extending_keeps_it_in_flight(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    for (int i = 0; i < 3; i++) {
        desk_wait(d, 20000);
        assert_int_equal(desk_act(d, "q", m, QUEUE_EXTEND, 30000), QUEUE_SETTLED);
        desk_expect_none(d, "q");
    }
    assert_int_equal(desk_stats(d, "q").in_flight, 1);
    desk_wait(d, 30000);
    assert_int_equal(desk_take(d, "q", "one")->receive_count, 2);
    assert_int_equal(desk_act(d, "q", m, QUEUE_EXTEND, 30000), QUEUE_STALE);
}

static inline void suite_a_delay_is_waited_for(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 5000});
    desk_send_text(d, "q", "now");
    assert_int_equal(desk_stats(d, "q").delayed, 1);
    desk_take_and_ack(d, "q", "now");
    desk_wait(d, 4999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    desk_take_and_ack(d, "q", "later");
}

static inline void suite_a_retry_comes_after_its_delay(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    assert_int_equal(desk_act(d, "q", m, QUEUE_RETRY, 7000), QUEUE_SETTLED);
    assert_int_equal(desk_act(d, "q", m, QUEUE_ACK, 0), QUEUE_STALE);
    assert_int_equal(desk_stats(d, "q").delayed, 1);
    desk_wait(d, 6999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    m = desk_take(d, "q", "one");
    assert_int_equal(m->receive_count, 2);
    assert_int_equal(desk_act(d, "q", m, QUEUE_RETRY, 0), QUEUE_SETTLED);
    desk_take_and_ack(d, "q", "one");
    assert_int_equal(desk_stats(d, "q").retried, 2);
}

static inline void suite_burial_keeps_why(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "bad");
    const struct queue_message *m = desk_take(d, "q", "bad");
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_UNBURIED);
    assert_int_equal(desk_stats(d, "q").in_flight, 1); /* nothing has happened to it */
    desk_declare_dead(d);
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_STALE);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.ready + stats.in_flight + stats.delayed + stats.blocked, 0);
    assert_int_equal(stats.buried, 1);
    const struct queue_message *dead = desk_take(d, "dead", "bad");
    assert_string_equal(dead->id, m->id);
    assert_int_equal(dead->receive_count, 1);
    assert_int_equal(dead->sent_ms, m->sent_ms);
    assert_non_null(dead->death);
    assert_slice(dead->death->queue, "q");
    assert_slice(dead->death->reason, "attempts used up");
    assert_slice(dead->death->error, "it fell over");
    assert_int_equal(dead->death->attempts, 5);
    assert_int_equal(dead->death->died_ms, d->clock.wall_now_ms);
    desk_ack(d, "dead", dead);
}

static inline void suite_a_batch_is_settled_one_by_one(void **state) {
    struct desk *d = *state;
    static const char *const bodies[] = {"a", "b", "c", "d"};
    desk_declare_dead(d);
    for (size_t i = 0; i < 4; i++) desk_send_text(d, "q", bodies[i]);
    struct queue_reply *got = desk_receive(d, "q", 10);
    assert_int_equal(got->count, 4);
    const struct queue_settlement items[] = {
        {.queue = SLICE("q"), .receipt = got->messages[0].receipt, .action = QUEUE_ACK},
        {.queue = SLICE("q"), .receipt = got->messages[1].receipt, .action = QUEUE_RETRY, .delay_ms = 1000},
        {.queue = SLICE("q"), .receipt = SLICE("nonsense"), .action = QUEUE_ACK},
        {.queue = SLICE("other"), .receipt = got->messages[2].receipt, .action = QUEUE_ACK},
        {.queue = SLICE("q"), .receipt = got->messages[3].receipt, .action = QUEUE_BURY, .reason = SLICE("r")},
    };
    struct answer *a = desk_answer(d);
    d->used->ops->settle(d->used, items, ARRAY_LEN(items), desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    static const enum queue_settled expected[] = {QUEUE_SETTLED, QUEUE_SETTLED, QUEUE_STALE, QUEUE_STALE,
                                                  QUEUE_SETTLED};
    assert_int_equal(reply->count, ARRAY_LEN(items));
    assert_memory_equal(reply->settled, expected, sizeof expected);
    struct queue_stats stats = desk_stats(d, "q");
    assert_int_equal(stats.acknowledged, 1);
    assert_int_equal(stats.delayed, 1);
    assert_int_equal(stats.in_flight, 1);
    assert_int_equal(desk_stats(d, "dead").ready, 1);
}

/* --- sending --- */

static inline void suite_duplicates_are_dropped_within_the_window(void **state) {
    struct desk *d = *state;
    struct queue_send send = {.queue = SLICE("q"), .body = SLICE("first"), .dedup_id = SLICE("order-7")};
    const struct queue_sent *first = desk_send(d, &send);
    assert_false(first->duplicate);
    send.body = SLICE("second");
    desk_wait(d, 4 * 60 * 1000);
    const struct queue_sent *again = desk_send(d, &send);
    assert_true(again->duplicate);
    assert_string_equal(again->id, first->id);
    send.queue = SLICE("other"); /* a window of its own */
    assert_false(desk_send(d, &send)->duplicate);
    send.queue = SLICE("q");
    desk_take_and_ack(d, "q", "first");
    assert_true(desk_send(d, &send)->duplicate); /* though the message is gone */
    desk_wait(d, 60 * 1000 - 1);
    assert_true(desk_send(d, &send)->duplicate);
    desk_wait(d, 1); /* five minutes from the first send, whatever came between */
    again = desk_send(d, &send);
    assert_false(again->duplicate);
    assert_string_not_equal(again->id, first->id);
    desk_take_and_ack(d, "q", "second");
    assert_int_equal(desk_stats(d, "q").duplicates, 3);
    assert_int_equal(desk_stats(d, "q").sent, 2);
}

static inline void suite_the_window_is_the_queues_own(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .dedup_window_ms = 1000});
    struct queue_send send = {.queue = SLICE("q"), .dedup_id = SLICE("x")};
    assert_false(desk_send(d, &send)->duplicate);
    desk_wait(d, 999);
    assert_true(desk_send(d, &send)->duplicate);
    desk_wait(d, 1);
    assert_false(desk_send(d, &send)->duplicate);
}

static inline void suite_a_batch_is_sent_whole(void **state) {
    struct desk *d = *state;
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("a"), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("other"), .body = SLICE("b")},
                                       {.queue = SLICE("q"), .body = SLICE("c"), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("q"), .body = SLICE("d")}};
    struct answer *a = desk_answer(d);
    d->used->ops->send(d->used, sends, 4, desk_done(a));
    struct queue_reply *reply = desk_await_ok(d, a);
    assert_int_equal(reply->count, 4);
    assert_true(reply->sent[2].duplicate);
    assert_string_equal(reply->sent[2].id, reply->sent[0].id);
    desk_expect_all(d, "q", "a d");
    desk_expect_all(d, "other", "b");
}

static inline void suite_a_batch_with_one_bad_message_is_refused(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .message_size_bytes = 10});
    const struct queue_send sends[] = {{.queue = SLICE("q"), .body = SLICE("ten bytes."), .dedup_id = SLICE("x")},
                                       {.queue = SLICE("q"), .body = SLICE("eleven byte")}};
    struct queue_reply *reply = desk_send_fails(d, sends, 2);
    assert_non_null(strstr(reply->error.message, "10 bytes, not 11"));
    desk_expect_none(d, "q");
    assert_false(desk_send(d, &sends[0])->duplicate); /* nor is its id remembered */
    desk_expect_all(d, "q", "ten bytes.");
}

static inline void suite_bounds_are_kept(void **state) {
    struct desk *d = *state;
    struct queue_attribute many[QUEUE_ATTRIBUTES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) many[i] = (struct queue_attribute){QUEUE_TEXT, SLICE("n"), SLICE("v")};
    char *large = xcalloc(1, QUEUE_MESSAGE_SIZE_DEFAULT + 1);
    const struct slice key = slice_make(large, QUEUE_KEY_SIZE_MAX + 1);
    const struct queue_send bad[] = {
        {.queue = SLICE("")},
        {.queue = slice_make(large, QUEUE_NAME_SIZE_MAX + 1)},
        {.queue = SLICE("q"), .body = slice_make(large, QUEUE_MESSAGE_SIZE_DEFAULT + 1)},
        {.queue = SLICE("q"),
         .body = slice_make(large, QUEUE_MESSAGE_SIZE_DEFAULT),
         .attributes = many,
         .attribute_count = 1},
        {.queue = SLICE("q"), .attributes = many, .attribute_count = QUEUE_ATTRIBUTES_MAX + 1},
        {.queue = SLICE("q"),
         .attributes = &(struct queue_attribute){QUEUE_TEXT, SLICE(""), SLICE("")},
         .attribute_count = 1},
        {.queue = SLICE("q"), .delay_ms = QUEUE_DELAY_MS_MAX + 1},
        {.queue = SLICE("q"), .dedup_id = SLICE("")},
        {.queue = SLICE("q"), .dedup_id = key},
        {.queue = SLICE("q"), .group_id = key},
        {.queue = SLICE("q"), .content_type = key},
        {.queue = SLICE("q"), .id = SLICE("0123456789012345678901234567890123456")},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) desk_send_fails(d, &bad[i], 1);
    desk_send_fails(d, bad, 0);
    struct answer *a = desk_answer(d);
    d->used->ops->receive(d->used, &(struct queue_receive){SLICE("q"), QUEUE_PAGE_MAX + 1, 1000}, desk_done(a));
    assert_int_equal(desk_await(d, a)->result, QUEUE_REFUSED);
    desk_expect_none(d, "q");
    free(large);
}

static inline void suite_an_import_keeps_id_and_time(void **state) {
    struct desk *d = *state;
    const struct queue_sent *sent = desk_send(
        d, &(struct queue_send){.queue = SLICE("q"), .id = SLICE("old-7"), .sent_ms = 1234567890});
    assert_string_equal(sent->id, "old-7");
    const struct queue_message *m = desk_take(d, "q", "");
    assert_string_equal(m->id, "old-7");
    assert_int_equal(m->sent_ms, 1234567890);
}

static inline void suite_an_import_happens_once(void **state) {
    struct desk *d = *state;
    const struct queue_send first = {
        .queue = SLICE("q"), .id = SLICE("old-7"), .dedup_id = SLICE("same"), .once_ms = 60000};
    struct queue_send other = first;
    other.queue = SLICE("other");
    assert_false(desk_send(d, &first)->duplicate);
    assert_false(desk_send(d, &other)->duplicate); /* each queue has its own */
    desk_take_and_ack(d, "q", "");
    const struct queue_sent *again = desk_send(d, &first);
    assert_true(again->duplicate);
    assert_string_equal(again->id, "old-7");
    desk_expect_none(d, "q");
    other = first;
    other.once_ms = 0;
    assert_false(desk_send(d, &other)->duplicate); /* its dedup id counts for nothing */
    desk_take_and_ack(d, "q", "");
    desk_wait(d, 60001);
    assert_false(desk_send(d, &first)->duplicate);
    assert_int_equal(desk_stats(d, "q").duplicates, 1);
}

static inline void suite_an_import_is_no_dedup_id(void **state) {
    struct desk *d = *state;
    desk_send(d, &(struct queue_send){.queue = SLICE("q"), .id = SLICE("seven"), .once_ms = 60000});
    const struct queue_send plain = {.queue = SLICE("q"), .dedup_id = SLICE("seven")};
    assert_false(desk_send(d, &plain)->duplicate);
    assert_true(desk_send(d, &plain)->duplicate);
    const struct queue_send imported = {.queue = SLICE("q"), .id = SLICE("eight"), .dedup_id = SLICE("seven")};
    assert_false(desk_send(d, &imported)->duplicate);
}

static inline void suite_an_import_keeps_why_it_died(void **state) {
    struct desk *d = *state;
    const struct queue_death death = {SLICE("q"), SLICE("attempts"), SLICE("out of paper"), 5, 1234567890};
    desk_send(
        d,
        &(struct queue_send){
            .queue = SLICE("dead"), .body = SLICE("x"), .id = SLICE("old-7"), .group_id = SLICE("g"), .death = &death});
    const struct queue_message *m = desk_take(d, "dead", "x");
    assert_non_null(m->death);
    assert_slice(m->death->queue, "q");
    assert_slice(m->death->reason, "attempts");
    assert_slice(m->death->error, "out of paper");
    assert_int_equal(m->death->attempts, 5);
    assert_int_equal(m->death->died_ms, 1234567890);
    desk_wait(d, 3600000);
    struct answer *a = desk_answer(d);
    d->used->ops->redrive(d->used, &(struct queue_redrive){.from = SLICE("dead"), .max = 10}, desk_done(a));
    assert_int_equal(desk_await_ok(d, a)->count, 1);
    assert_string_equal(desk_take(d, "q", "x")->id, "old-7");
}

/* --- groups --- */

static inline void suite_a_group_has_one_in_flight(void **state) {
    struct desk *d = *state;
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_send_group(d, "B", "b1");
    desk_send_text(d, "q", "plain");
    desk_send_group(d, "A", "a3");
    assert_int_equal(desk_stats(d, "q").blocked, 2);
    struct queue_reply *got = desk_receive(d, "q", 10);
    assert_int_equal(got->count, 3);
    assert_slice(got->messages[0].body, "a1");
    assert_slice(got->messages[1].body, "b1");
    assert_slice(got->messages[2].body, "plain");
    desk_expect_none(d, "q");
    desk_ack(d, "q", &got->messages[0]);
    const struct queue_message *a2 = desk_take(d, "q", "a2");
    desk_expect_none(d, "q");
    desk_send_group(d, "B", "b2");
    desk_expect_none(d, "q");
    desk_ack(d, "q", &got->messages[1]);
    desk_take_and_ack(d, "q", "b2");
    desk_ack(d, "q", a2);
    desk_take_and_ack(d, "q", "a3");
    desk_send_group(d, "A", "a4"); /* an empty group begins anew */
    desk_take_and_ack(d, "q", "a4");
    assert_int_equal(desk_stats(d, "q").blocked, 0);
}

static inline void suite_a_failed_head_blocks_its_group(void **state) {
    struct desk *d = *state;
    desk_declare_dead(d);
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_act(d, "q", desk_take(d, "q", "a1"), QUEUE_RETRY, 10000);
    desk_expect_none(d, "q");
    desk_wait(d, 10000);
    const struct queue_message *a1 = desk_take(d, "q", "a1"); /* this one is not answered in time */
    desk_expect_none(d, "q");
    desk_wait(d, 30000);
    a1 = desk_take(d, "q", "a1");
    assert_int_equal(a1->receive_count, 3);
    assert_int_equal(desk_act(d, "q", a1, QUEUE_BURY, 0), QUEUE_SETTLED);
    desk_take_and_ack(d, "q", "a2");
    assert_slice(desk_take(d, "dead", "a1")->group_id, "A");
}

static inline void suite_a_group_keeps_order_through_delays(void **state) {
    struct desk *d = *state;
    desk_send(d,
              &(struct queue_send){.queue = SLICE("q"), .body = SLICE("a1"), .group_id = SLICE("A"), .delay_ms = 5000});
    desk_send_group(d, "A", "a2");
    desk_send(d,
              &(struct queue_send){.queue = SLICE("q"), .body = SLICE("a3"), .group_id = SLICE("A"), .delay_ms = 9000});
    desk_expect_none(d, "q");
    desk_wait(d, 5000);
    desk_take_and_ack(d, "q", "a1");
    desk_take_and_ack(d, "q", "a2");
    desk_expect_none(d, "q"); /* a3's own delay */
    desk_wait(d, 4000);
    desk_take_and_ack(d, "q", "a3");
}

static inline void suite_many_groups_keep_their_order(void **state) {
    struct desk *d = *state;
    unsigned next[5] = {0}, handled = 0;
    for (unsigned i = 0; i < 100; i++) {
        char group[2] = {(char)('A' + i % 5), 0}, body[16];
        snprintf(body, sizeof body, "%u", i / 5);
        desk_send_group(d, group, body);
    }
    for (unsigned round = 0; handled < 100; round++) {
        struct queue_reply *got = desk_receive(d, "q", 3);
        assert_true(round < 1000);
        for (size_t i = 0; i < got->count; i++) {
            const struct queue_message *m = &got->messages[i];
            uint64_t number;
            unsigned group = (unsigned)(m->group_id.p[0] - 'A');
            assert_true(slice_to_u64(m->body, &number));
            assert_int_equal(number, next[group]);
            bool fails = (round + i) % 3 == 0;
            assert_int_equal(desk_act(d, "q", m, fails ? QUEUE_RETRY : QUEUE_ACK, 500), QUEUE_SETTLED);
            if (!fails) next[group]++, handled++;
        }
        if (got->count == 0) desk_wait(d, 500);
    }
    desk_expect_none(d, "q");
}
