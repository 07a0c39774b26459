/* What is Redis' own: restarts, sudden death, silence, other gateways and other programs on the same streams. */
#include "gateway/base/log.h"
#include "gateway/base/redis_address.h"
#include "tests/support/redis_yard.h"
#include <sys/mman.h>

static struct redis_yard *yard(void) {
    return container_of(*suite_yard(), struct redis_yard, yard);
}

/* Time passes, too, ten times as fast: what happens after seconds need not be waited for. */
static bool desk_pump(struct desk *d, bool (*done)(void *context), void *context) {
    for (int i = 0; i < 3000; i++) {
        if (loop_run_until(d->loop, done, context, 10)) return true;
        desk_wait(d, 100);
    }
    return false;
}

static struct queue_reply *desk_pump_answer(struct desk *d, struct answer *a) {
    if (!desk_pump(d, answer_has_arrived, a)) fail_msg("no answer");
    return &a->reply;
}

static struct answer *desk_ask_send(struct desk *d, const struct queue_send *send) {
    struct answer *a = desk_answer(d);
    d->used->ops->send(d->used, send, 1, desk_done(a));
    return a;
}

static struct answer *desk_ask_text(struct desk *d, const char *body) {
    return desk_ask_send(d, &(struct queue_send){.queue = SLICE("q"), .body = slice_of(body)});
}

static struct answer *desk_ask_ack(struct desk *d, const struct queue_message *m) {
    struct answer *a = desk_answer(d);
    const struct queue_settlement item = {.queue = SLICE("q"), .receipt = m->receipt, .action = QUEUE_ACK};
    d->used->ops->settle(d->used, &item, 1, desk_done(a));
    return a;
}

static void expect_words(const char *text, const char *words) {
    if (!strstr(text, words)) fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void expect_trouble(struct desk *d, struct answer *a, const char *words) {
    struct queue_reply *reply = desk_pump_answer(d, a);
    assert_int_equal(reply->result, QUEUE_TRY_AGAIN);
    expect_words(reply->error.message, words);
}

/* Sends are asked for until one is answered well. */
static void desk_pump_until_up(struct desk *d) {
    for (int i = 0; i < 1000; i++) {
        struct answer *a = desk_answer(d);
        d->used->ops->recall(d->used, SLICE("is it up?"), desk_done(a));
        if (desk_pump_answer(d, a)->result == QUEUE_OK) return;
    }
    fail_msg("the connection does not come back");
}

/* What must not be among the keys of a queue, counted inside Redis. */
static const char contradictions[] =
    "local P, q, wrong = 'execgate:{test}:', ARGV[1], {} "
    "local function expect(what, a, b) if a ~= b then wrong[#wrong + 1] = what .. ': ' .. a .. ' and ' .. b end end "
    "local S, parked = P .. 'stream:' .. q, P .. 'parked:' .. q "
    "local pending, late_in_stream, late_parked, listed, heads = 0, 0, 0, 0, redis.call('HLEN', P .. 'heads:' .. q) "
    "local groups = redis.pcall('XPENDING', S, 'execgate') if not groups.err then pending = groups[1] end "
    "for _, id in ipairs(redis.call('ZRANGE', P .. 'late:' .. q, 0, -1)) do "
    "  local in_parked = string.sub(id, 1, 1) == 'p' "
    "  local key, at = in_parked and parked or S, in_parked and string.sub(id, 2) or id "
    "  if in_parked then late_parked = late_parked + 1 else late_in_stream = late_in_stream + 1 end "
    "  expect('late ' .. id, #redis.call('XRANGE', key, at, at), 1) end "
    "for _, id in ipairs(redis.call('ZRANGE', P .. 'flight:' .. q, 0, -1)) do "
    "  expect('in flight ' .. id, #redis.call('XRANGE', S, id, id), 1) "
    "  expect('state of ' .. id, redis.call('HEXISTS', P .. 'state:' .. q, id), 1) end "
    "for _, key in ipairs(redis.call('KEYS', P .. 'group:' .. #q .. ':' .. q .. ':*')) do listed = listed + "
    "redis.call('LLEN', key) end "
    "local flight, states = redis.call('ZCARD', P .. 'flight:' .. q), redis.call('HLEN', P .. 'state:' .. q) "
    "expect('states and pending', states, pending) expect('flight and late and pending', flight + late_in_stream, "
    "pending) "
    "expect('parked', redis.call('XLEN', parked), late_parked + listed) "
    "expect('blocked', tonumber(redis.call('HGET', P .. 'stats:' .. q, 'blocked') or 0), listed) "
    "if listed > 0 and heads == 0 then wrong[#wrong + 1] = 'groups without heads' end "
    "return wrong";

static void keys_are_consistent(void) {
    redisReply *r = redis_yard_do(yard(), "EVAL %s 0 q", contradictions);
    if (r->type == REDIS_REPLY_ERROR) fail_msg("%s", r->str);
    if (r->elements) fail_msg("contradiction: %s", r->element[0]->str);
    freeReplyObject(r);
}

/* --- restarts and death --- */

static void all_is_there_after_sudden_death(void **state) {
    struct desk *d = *state;
    desk_declare_dead(d);
    desk_send_group(d, "A", "a1");
    desk_send_group(d, "A", "a2");
    desk_send(d, &(struct queue_send){
                     .queue = SLICE("q"), .body = SLICE("later"), .delay_ms = 50000, .dedup_id = SLICE("x")});
    const struct queue_message *a1 = desk_take(d, "q", "a1");
    redis_yard_kill(yard(), SIGKILL);
    redis_yard_start(yard());
    desk_pump_until_up(d);
    keys_are_consistent();
    assert_int_equal(desk_stats(d, "q").blocked, 1);
    assert_true(desk_send(d, &(struct queue_send){.queue = SLICE("q"), .dedup_id = SLICE("x")})->duplicate);
    assert_int_equal(desk_act(d, "q", a1, QUEUE_BURY, 0), QUEUE_SETTLED); /* its receipt is good still */
    desk_take_and_ack(d, "q", "a2");
    desk_wait(d, 50000);
    desk_take_and_ack(d, "q", "later");
    desk_take_and_ack(d, "dead", "a1");
}

static void settlements_wait_for_the_connection(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    desk_send_text(d, "q", "two");
    const struct queue_message *one = desk_take(d, "q", "one"), *two = desk_take(d, "q", "two");
    redis_yard_kill(yard(), SIGKILL);
    struct answer *first = desk_ask_ack(d, one);
    expect_trouble(d, desk_ask_text(d, "unsure"), "Redis at 127.0.0.1:");
    expect_trouble(d, desk_ask_text(d, "lost"), "no connection to Redis at 127.0.0.1:");
    struct answer *second = desk_ask_ack(d, two);
    redis_yard_start(yard());
    struct queue_reply *reply = desk_pump_answer(d, first);
    assert_int_equal(reply->result, QUEUE_OK);
    assert_int_equal(reply->settled[0], QUEUE_SETTLED);
    reply = desk_pump_answer(d, second);
    assert_int_equal(reply->settled[0], QUEUE_SETTLED);
    desk_pump_until_up(d);
    desk_wait(d, 60000);
    desk_expect_none(d, "q");
}

/* The server dies while much is under way, again and again. */
#define STORM_ROUNDS 6
#define STORM_SENDS 250
struct storm {
    struct answer *sends[STORM_SENDS];
    bool seen[STORM_ROUNDS * STORM_SENDS];
    unsigned acknowledged, unsure;
};

static bool storm_is_over(void *context) {
    struct storm *s = context;
    for (size_t i = 0; i < STORM_SENDS; i++)
        if (!s->sends[i]->arrived) return false;
    return true;
}

/* From another process, at a moment that nobody here chooses. */
static pid_t storm_brew(uint64_t after_us) {
    pid_t killer = fork();
    assert_true(killer >= 0);
    if (killer > 0) return killer;
    usleep((useconds_t)after_us);
    kill(yard()->pid, SIGKILL);
    _exit(0);
}

static void storm_round(struct desk *d, struct storm *s, unsigned round) {
    pid_t killer = storm_brew(clock_random_below(&d->clock.clock, 6000));
    for (unsigned i = 0; i < STORM_SENDS; i++) {
        char body[16], group[4];
        snprintf(body, sizeof body, "%u", round * STORM_SENDS + i);
        snprintf(group, sizeof group, "%u", i % 7);
        s->sends[i] = desk_ask_send(
            d, &(struct queue_send){.queue = SLICE("q"), .body = slice_of(body), .group_id = slice_of(group)});
        if (i >= 20) loop_run_until(d->loop, answer_has_arrived, s->sends[i - 20], 5);
    }
    waitpid(killer, NULL, 0);
    redis_yard_kill(yard(), SIGKILL);
    redis_yard_start(yard());
    if (!desk_pump(d, storm_is_over, s)) fail_msg("sends without an answer");
}

/* Numbers in a group rise, for all that came once. */
static void storm_count(struct storm *s, const struct queue_message *m, uint64_t last[7]) {
    uint64_t number = 0, group = 0;
    assert_true(slice_to_u64(m->body, &number) && slice_to_u64(m->group_id, &group));
    assert_true(number < ARRAY_LEN(s->seen) && group < 7);
    if (s->seen[number]) fail_msg("message %u came twice", (unsigned)number);
    if (last[group] > number) fail_msg("message %u came after %u", (unsigned)number, (unsigned)last[group]);
    last[group] = number;
    s->seen[number] = true;
}

static void a_dying_server_loses_nothing(void **state) {
    struct desk *d = *state;
    struct storm *s = xcalloc(1, sizeof *s);
    bool *sent = xcalloc(STORM_ROUNDS * STORM_SENDS, sizeof *sent);
    uint64_t last[7] = {0};
    for (unsigned round = 0; round < STORM_ROUNDS; round++) {
        storm_round(d, s, round);
        for (unsigned i = 0; i < STORM_SENDS; i++) {
            sent[round * STORM_SENDS + i] = s->sends[i]->reply.result == QUEUE_OK;
            if (s->sends[i]->reply.result == QUEUE_OK)
                s->acknowledged++;
            else
                s->unsure++;
        }
        desk_pump_until_up(d);
        keys_are_consistent();
    }
    for (struct queue_reply *r = desk_receive(d, "q", 10); r->count; r = desk_receive(d, "q", 10))
        for (size_t i = 0; i < r->count; i++) {
            storm_count(s, &r->messages[i], last);
            desk_ack(d, "q", &r->messages[i]);
        }
    for (size_t i = 0; i < STORM_ROUNDS * STORM_SENDS; i++)
        if (sent[i] && !s->seen[i]) fail_msg("message %zu was acknowledged and is lost", i);
    keys_are_consistent();
    print_message("%u acknowledged, %u unsure\n", s->acknowledged, s->unsure);
    free(sent);
    free(s);
}

static void silence_is_noticed(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "before");
    kill(yard()->pid, SIGSTOP);
    struct answer *asked = desk_ask_text(d, "during");
    struct answer *receive = desk_answer(d);
    d->store->ops->receive(d->store, &(struct queue_receive){SLICE("q"), 10, 1000}, desk_done(receive));
    expect_trouble(d, asked, "nobody knows whether it was done");
    expect_trouble(d, receive, "nobody knows");
    expect_trouble(d, desk_ask_text(d, "after"), "no connection to Redis");
    kill(yard()->pid, SIGCONT);
    desk_pump_until_up(d);
    desk_wait(d, 60000); /* what the lost receive may have taken comes back */
    struct queue_reply *reply = desk_receive(d, "q", 10);
    assert_true(reply->count == 1 || reply->count == 2);
    for (size_t i = 0; i < reply->count; i++)
        assert_false(slice_equal(reply->messages[i].body, SLICE("after"))); /* that one was never sent */
}

static void a_gateway_starts_before_its_redis(void **state) {
    struct desk *d = *state;
    struct bell bell = {0};
    desk_shut(d);
    redis_yard_kill(yard(), SIGTERM);
    desk_reopen(d);
    desk_declare_dead(d);
    struct queue_watch *w = d->store->ops->watch(d->store, SLICE("q"), bell_ring, &bell);
    desk_expect_ring(d, &bell, "how it is found at first");
    expect_trouble(d, desk_ask_text(d, "lost"), "Connection refused");
    bell.rings = 0;
    redis_yard_start(yard());
    assert_true(desk_pump(d, bell_has_rung, &bell)); /* connected: look again */
    desk_pump_until_up(d);
    d->store->ops->unwatch(w);
    desk_send_text(d, "q", "bad");
    assert_int_equal(desk_act(d, "q", desk_take(d, "q", "bad"), QUEUE_BURY, 0), QUEUE_SETTLED); /* it was declared */
}

static void closing_does_not_wait_for_a_dead_server(void **state) {
    struct desk *d = *state;
    struct answer *a;
    desk_send_text(d, "q", "one");
    redis_yard_kill(yard(), SIGKILL);
    a = desk_ask_text(d, "two");
    desk_close_store(d, d->store);
    assert_true(desk_pump(d, desk_is_closed, d));
    assert_true(a->arrived);
    assert_int_equal(a->reply.result, QUEUE_TRY_AGAIN);
    redis_yard_start(yard());
    desk_reopen(d);
}

/* --- scripts --- */

static void forgotten_scripts_are_loaded_again(void **state) {
    struct desk *d = *state;
    struct answer *answers[60];
    desk_send_text(d, "q", "first");
    freeReplyObject(redis_yard_do(yard(), "SCRIPT FLUSH"));
    for (size_t i = 0; i < ARRAY_LEN(answers); i += 2) {
        answers[i] = desk_ask_text(d, "x");
        answers[i + 1] = desk_answer(d);
        d->store->ops->receive(d->store, &(struct queue_receive){SLICE("q"), 1, 1000}, desk_done(answers[i + 1]));
    }
    const char *expected = "first";
    for (size_t i = 0; i < ARRAY_LEN(answers); i += 2) { /* in their order still */
        struct queue_reply *received = desk_pump_answer(d, answers[i + 1]);
        assert_int_equal(answers[i]->reply.result, QUEUE_OK);
        assert_int_equal(received->count, 1);
        assert_slice_is(received->messages[0].body, slice_of(expected), __FILE__, __LINE__);
        expected = "x";
    }
}

static void full_pages_are_carried_out(void **state) {
    struct desk *d = *state;
    struct queue_send sends[QUEUE_PAGE_MAX];
    struct queue_settlement items[QUEUE_PAGE_MAX];
    const struct queue_attribute attribute = {QUEUE_TEXT, SLICE("n"), SLICE("v")};
    for (size_t i = 0; i < QUEUE_PAGE_MAX; i++)
        sends[i] = (struct queue_send){.queue = SLICE("q"),
                                       .body = SLICE("x"),
                                       .content_type = SLICE("text/plain"),
                                       .attributes = &attribute,
                                       .attribute_count = 1};
    struct answer *a = desk_answer(d);
    d->store->ops->send(d->store, sends, QUEUE_PAGE_MAX, desk_done(a));
    assert_int_equal(desk_await_ok(d, a)->count, QUEUE_PAGE_MAX);
    struct queue_reply *reply = desk_receive(d, "q", QUEUE_PAGE_MAX);
    assert_int_equal(reply->count, QUEUE_PAGE_MAX);
    for (size_t i = 0; i < QUEUE_PAGE_MAX; i++)
        items[i] = (struct queue_settlement){.queue = SLICE("q"), .receipt = reply->messages[i].receipt};
    a = desk_answer(d);
    d->store->ops->settle(d->store, items, QUEUE_PAGE_MAX, desk_done(a));
    reply = desk_await_ok(d, a);
    for (size_t i = 0; i < QUEUE_PAGE_MAX; i++) assert_int_equal(reply->settled[i], QUEUE_SETTLED);
    keys_are_consistent();
}

/* Everything at once, and the keys still agree with each other. */
static void any_mixture_leaves_the_keys_consistent(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q"), .dead_letter = SLICE("dead"), .retention_ms = 90000});
    for (unsigned i = 0; i < 600; i++) {
        char group[4];
        uint64_t draw = clock_random_below(&d->clock.clock, 1000);
        snprintf(group, sizeof group, "%u", (unsigned)(draw % 5));
        desk_send(d, &(struct queue_send){.queue = SLICE("q"),
                                          .body = SLICE("x"),
                                          .group_id = draw % 3 ? slice_of(group) : SLICE_NONE,
                                          .delay_ms = draw % 4 ? 0 : draw * 20});
        struct queue_reply *got = desk_receive(d, "q", 3);
        for (size_t k = 0; k < got->count; k++) {
            enum queue_action action = (enum queue_action)clock_random_below(&d->clock.clock, 4);
            desk_act(d, "q", &got->messages[k], action, clock_random_below(&d->clock.clock, 8000));
        }
        if (draw % 50 == 0) d->store->ops->purge(d->store, SLICE("q"), 3, desk_done(desk_answer(d)));
        if (draw % 50 == 1) desk_redrive(d, &(struct queue_redrive){.from = SLICE("dead"), .max = 5});
        desk_wait(d, clock_random_below(&d->clock.clock, 2000));
        if (i % 20 == 0) keys_are_consistent();
    }
    keys_are_consistent();
    struct queue_stats stats;
    uint64_t left = 1;
    desk_wait(d, 200000);
    for (int i = 0; i < 100 && left; i++) { /* all expires, some pages at a time */
        stats = desk_stats(d, "q");
        left = stats.ready + stats.in_flight + stats.delayed + stats.blocked;
    }
    assert_int_equal(left, 0);
    keys_are_consistent();
}

/* A message that fails at once, for ever, does not keep the others waiting. */
static void retries_stand_in_line(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "poison");
    desk_wait(d, 10);
    const struct queue_message *m = desk_take(d, "q", "poison");
    desk_send_text(d, "q", "good 1");
    desk_wait(d, 10);
    desk_send_text(d, "q", "good 2");
    desk_wait(d, 10);
    assert_int_equal(desk_act(d, "q", m, QUEUE_RETRY, 0), QUEUE_SETTLED);
    desk_take_and_ack(d, "q", "good 1");
    desk_take_and_ack(d, "q", "good 2");
    desk_take_and_ack(d, "q", "poison");
}

/* --- several gateways --- */

#define RIVALS 3
static void rivals_never_share_a_message(void **state) {
    struct desk *d = *state;
    struct queue_store *stores[RIVALS] = {d->store, desk_open_store(d), desk_open_store(d)};
    struct answer *answers[RIVALS];
    unsigned next[4] = {0}, handled = 0;
    bool seen[200] = {false};
    for (unsigned i = 0; i < 200; i++) {
        char body[16], group[2] = {(char)('A' + i % 4), 0};
        snprintf(body, sizeof body, "%u", i);
        desk_send_group(d, group, body);
    }
    while (handled < 200) {
        for (unsigned k = 0; k < RIVALS; k++) { /* all at once */
            answers[k] = desk_answer(d);
            stores[k]->ops->receive(stores[k], &(struct queue_receive){SLICE("q"), 2, 30000}, desk_done(answers[k]));
        }
        for (unsigned k = 0; k < RIVALS; k++) {
            if (!answers[k]->arrived) desk_await_ok(d, answers[k]);
            for (size_t i = 0; i < answers[k]->reply.count; i++, handled++) {
                const struct queue_message *m = &answers[k]->reply.messages[i];
                uint64_t number;
                assert_true(slice_to_u64(m->body, &number) && number < 200 && !seen[number]);
                seen[number] = true;
                assert_int_equal(number / 4, next[number % 4]++);
                d->used = stores[(k + 1) % RIVALS]; /* any of them may settle it */
                desk_ack(d, "q", m);
            }
        }
    }
    keys_are_consistent();
    d->used = d->store;
    desk_close_store(d, stores[1]);
    desk_close_store(d, stores[2]);
}

static void a_gateway_that_starts_late_shares_the_time(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    desk_wait(d, 3600 * 1000);
    desk_take(d, "q", "one");
    d->clock.wall_now_ms -= 3600 * 1000; /* that gateway's clock is slow */
    struct queue_store *late = desk_open_store(d);
    d->used = late;
    desk_expect_none(d, "q");
    desk_wait(d, 29999);
    desk_expect_none(d, "q");
    desk_wait(d, 1);
    desk_take_and_ack(d, "q", "one");
    d->used = d->store;
    desk_close_store(d, late);
}

static long long consumers(void) {
    redisReply *r = redis_yard_do(yard(), "XINFO CONSUMERS execgate:{test}:stream:q execgate");
    long long count = r->type == REDIS_REPLY_ARRAY ? (long long)r->elements : -1;
    freeReplyObject(r);
    return count;
}

static void consumers_leave_when_nothing_is_pending(void **state) {
    struct desk *d = *state;
    desk_declare(d, &(struct queue_settings){.name = SLICE("q")});
    desk_send_text(d, "q", "one");
    const struct queue_message *m = desk_take(d, "q", "one");
    assert_int_equal(consumers(), 1);
    desk_shut(d); /* with something in flight */
    assert_int_equal(consumers(), 1);
    desk_reopen(d);
    desk_declare(d, &(struct queue_settings){.name = SLICE("q")});
    desk_ack(d, "q", m);
    desk_send_text(d, "q", "two");
    desk_take_and_ack(d, "q", "two");
    assert_int_equal(consumers(), 2);
    desk_shut(d);
    assert_int_equal(consumers(), 1);
    desk_reopen(d);
}

/* --- other programs --- */

static void desk_share(struct desk *d) {
    redis_store_bind(d->store, SLICE("q"), SLICE("events"), SLICE("shop"));
    desk_declare_dead(d);
}

static void what_others_add_to_a_stream_is_received(void **state) {
    struct desk *d = *state;
    desk_share(d);
    freeReplyObject(redis_yard_do(yard(), "XADD events 5-1 body hello colour red"));
    freeReplyObject(redis_yard_do(yard(), "XADD events 6-1 kind order number 7"));
    const struct queue_message *m = desk_take(d, "q", "hello");
    assert_string_equal(m->id, "5-1");
    assert_int_equal(m->sent_ms, 5);
    assert_int_equal(m->attribute_count, 1);
    assert_slice(m->attributes[0].name, "colour");
    assert_slice(m->attributes[0].value, "red");
    assert_int_equal(desk_act(d, "q", m, QUEUE_BURY, 0), QUEUE_SETTLED);
    m = &desk_receive(d, "q", 1)->messages[0];
    assert_true(slice_equal(m->body, SLICE("{\"kind\":\"order\",\"number\":\"7\"}")) ||
                slice_equal(m->body, SLICE("{\"number\":\"7\",\"kind\":\"order\"}")));
    desk_ack(d, "q", m);
    assert_int_equal(redis_yard_number(yard(), "XLEN", "events"), 0);
    m = desk_take(d, "dead", "hello");
    assert_int_equal(m->attribute_count, 1);
    desk_ack(d, "dead", m);
    desk_send_text(d, "q", "ours");
    desk_take_and_ack(d, "q", "ours");
}

static void other_groups_keep_their_entries(void **state) {
    struct desk *d = *state;
    desk_share(d);
    freeReplyObject(redis_yard_do(yard(), "XGROUP CREATE events audit 0 MKSTREAM"));
    desk_send_text(d, "q", "one");
    desk_send_text(d, "q", "two");
    desk_take_and_ack(d, "q", "one");
    assert_int_equal(redis_yard_number(yard(), "XLEN", "events"), 2);
    assert_int_equal(desk_browse(d, "q", SLICE_NONE, 10)->count, 1);
    assert_int_equal(desk_stats(d, "q").ready, 1);
    desk_take_and_ack(d, "q", "two");
    assert_int_equal(desk_browse(d, "q", SLICE_NONE, 10)->count, 0);
    desk_wait(d, 60000);
    desk_expect_none(d, "q");
}

static void what_others_left_unfinished_is_received(void **state) {
    struct desk *d = *state;
    struct bell bell = {0};
    desk_share(d);
    desk_send_text(d, "q", "one");
    freeReplyObject(redis_yard_do(yard(), "XGROUP CREATE events shop 0"));
    freeReplyObject(redis_yard_do(yard(), "XREADGROUP GROUP shop other STREAMS events >"));
    desk_expect_none(d, "q");
    redisReply *r = redis_yard_do(yard(), "XPENDING events shop - + 1");
    assert_int_equal(r->elements, 1);
    /* As if it had been a minute ago. */
    freeReplyObject(
        redis_yard_do(yard(), "XCLAIM events shop other 0 %s IDLE 61000 JUSTID", r->element[0]->element[0]->str));
    freeReplyObject(r);
    struct queue_watch *w = d->store->ops->watch(d->store, SLICE("q"), bell_ring, &bell);
    desk_expect_ring(d, &bell, "how it is found at first");
    bell.rings = 0;
    assert_true(desk_pump(d, bell_has_rung, &bell));
    d->store->ops->unwatch(w);
    desk_take_and_ack(d, "q", "one");
}

static void a_key_of_another_kind_is_told(void **state) {
    struct desk *d = *state;
    desk_share(d);
    freeReplyObject(redis_yard_do(yard(), "SET events text"));
    struct answer *bad = desk_ask_text(d, "one");
    struct answer *good = desk_ask_send(d, &(struct queue_send){.queue = SLICE("other"), .body = SLICE("two")});
    struct queue_reply *reply = desk_await(d, bad);
    assert_int_equal(reply->result, QUEUE_BROKEN);
    expect_words(reply->error.message, "another program keeps something else");
    assert_int_equal(desk_pump_answer(d, good)->result, QUEUE_OK); /* though they share a script */
    desk_take_and_ack(d, "other", "two");
}

/* --- refusals --- */

static void a_full_server_is_told(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    freeReplyObject(redis_yard_do(yard(), "CONFIG SET maxmemory 1"));
    struct answer *a = desk_ask_text(d, "two");
    struct queue_reply *reply = desk_await(d, a);
    freeReplyObject(redis_yard_do(yard(), "CONFIG SET maxmemory 0"));
    assert_int_equal(reply->result, QUEUE_TRY_AGAIN);
    expect_words(reply->error.message, "its memory is full");
    desk_expect_all(d, "q", "one");
    keys_are_consistent();
}

static void a_replica_is_told(void **state) {
    struct desk *d = *state;
    desk_send_text(d, "q", "one");
    freeReplyObject(redis_yard_do(yard(), "REPLICAOF 127.0.0.1 1"));
    struct queue_reply *reply = desk_await(d, desk_ask_text(d, "two"));
    freeReplyObject(redis_yard_do(yard(), "REPLICAOF NO ONE"));
    assert_int_equal(reply->result, QUEUE_TRY_AGAIN);
    expect_words(reply->error.message, "give the primary's address");
}

struct login_case {
    const char *login;
    const char *trouble; /* NULL = it is let in */
};

static void login_try(struct desk *d, const struct login_case *c, int fd) {
    char log_text[8192];
    struct redis_yard *y = yard();
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(ftruncate(fd, 0), 0);
    desk_shut(d);
    snprintf(y->url, sizeof y->url, "redis://%s127.0.0.1:%d", c->login, y->port);
    y->log = log_new(fd, LOG_FORMAT_JSON, LOG_DEBUG, &d->clock.clock);
    desk_reopen(d);
    struct answer *a = desk_ask_text(d, "one");
    if (c->trouble)
        expect_trouble(d, a, c->trouble);
    else
        assert_int_equal(desk_pump_answer(d, a)->result, QUEUE_OK);
    desk_shut(d);
    log_free(y->log);
    y->log = NULL;
    snprintf(y->url, sizeof y->url, "redis://127.0.0.1:%d", y->port);
    ssize_t n = pread(fd, log_text, sizeof log_text - 1, 0);
    assert_true(n >= 0);
    log_text[n] = '\0';
    if (c->trouble) expect_words(log_text, c->trouble);
    assert_null(strstr(log_text, "s3cret"));
    assert_null(strstr(a->reply.error.message, "s3cret"));
    desk_reopen(d);
}

static void logins_are_used_and_never_told(void **state) {
    struct desk *d = *state;
    static const struct login_case cases[] = {
        {"", "it wants a password"},
        {"shop:wrong-s3cret@", "does not accept the user and password"},
        {"shop:s3cret%40home@", NULL},
        {"poor:s3cret@", "may not run scripts"},
    };
    int fd = memfd_create("log", MFD_CLOEXEC);
    freeReplyObject(redis_yard_do(yard(), "ACL SETUSER shop on >s3cret@home ~execgate:* &* +@all"));
    freeReplyObject(redis_yard_do(yard(), "ACL SETUSER poor on >s3cret ~* +ping"));
    desk_shut(d);
    desk_reopen(d);
    freeReplyObject(redis_yard_do(yard(), "CONFIG SET requirepass s3cret-of-all"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) login_try(d, &cases[i], fd);
    close(fd);
    desk_shut(d);
    redis_yard_kill(yard(), SIGKILL); /* rights are not in the append-only file */
    redis_yard_start(yard());
    desk_reopen(d);
}

/* --- addresses --- */

static void addresses_are_read(void **state) {
    (void)state;
    static const struct {
        const char *url, *where, *user, *password;
        unsigned database;
    } good[] = {
        {"redis://localhost", "localhost:6379", NULL, NULL, 0},
        {"redis://127.0.0.1:7000/3", "127.0.0.1:7000", NULL, NULL, 3},
        {"redis://[::1]:7000/", "[::1]:7000", NULL, NULL, 0},
        {"redis://:pw@h", "h:6379", NULL, "pw", 0},
        {"redis://pw@h", "h:6379", NULL, "pw", 0},
        {"redis://u:p%40%3a@w@h:1", "h:1", "u", "p@:@w", 0},
    };
    static const char *const bad[] = {
        "",           "http://h",     "redis://",    "redis://h:x", "redis://h:0", "redis://h/x", "redis://h:70000",
        "rediss://h", "redis://h:1x", "redis://[::1"};
    struct redis_address address;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena a = {0};
        if (redis_address_parse(&address, &a, slice_of(good[i].url), &e) < 0)
            fail_msg("%s: %s", good[i].url, e.message);
        assert_string_equal(address.where, good[i].where);
        assert_int_equal(slice_is_none(address.user), good[i].user == NULL);
        assert_int_equal(slice_is_none(address.password), good[i].password == NULL);
        assert_true(slice_equal(address.user, slice_of(good[i].user)));
        assert_true(slice_equal(address.password, slice_of(good[i].password)));
        assert_int_equal(address.database, good[i].database);
        arena_free(&a);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a = {0};
        if (redis_address_parse(&address, &a, slice_of(bad[i]), &e) == 0) fail_msg("%s was taken", bad[i]);
        expect_words(e.message, "redis://");
        arena_free(&a);
    }
}

static void names_are_looked_up(void **state) {
    struct desk *d = *state;
    struct redis_yard *y = yard();
    desk_shut(d);
    snprintf(y->url, sizeof y->url, "redis://localhost:%d/2", y->port);
    desk_reopen(d);
    struct answer *a = desk_ask_text(d, "one");
    assert_int_equal(desk_pump_answer(d, a)->result, QUEUE_OK);
    desk_shut(d);
    /* No name has a part of more than 63 letters (RFC 1035 2.3.4), so nobody is asked. */
    snprintf(y->url, sizeof y->url, "redis://%064d.example:%d", 7, y->port);
    desk_reopen(d);
    expect_trouble(d, desk_ask_text(d, "two"), "no connection to Redis at 000");
    desk_shut(d);
    snprintf(y->url, sizeof y->url, "redis://127.0.0.1:%d", y->port);
    desk_reopen(d);
    desk_expect_none(d, "q"); /* it is in another database */
}

#define REDIS_TEST(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        REDIS_TEST(all_is_there_after_sudden_death),
        REDIS_TEST(settlements_wait_for_the_connection),
        REDIS_TEST(a_dying_server_loses_nothing),
        REDIS_TEST(silence_is_noticed),
        REDIS_TEST(a_gateway_starts_before_its_redis),
        REDIS_TEST(closing_does_not_wait_for_a_dead_server),
        REDIS_TEST(forgotten_scripts_are_loaded_again),
        REDIS_TEST(full_pages_are_carried_out),
        REDIS_TEST(any_mixture_leaves_the_keys_consistent),
        REDIS_TEST(retries_stand_in_line),
        REDIS_TEST(rivals_never_share_a_message),
        REDIS_TEST(a_gateway_that_starts_late_shares_the_time),
        REDIS_TEST(consumers_leave_when_nothing_is_pending),
        REDIS_TEST(what_others_add_to_a_stream_is_received),
        REDIS_TEST(other_groups_keep_their_entries),
        REDIS_TEST(what_others_left_unfinished_is_received),
        REDIS_TEST(a_key_of_another_kind_is_told),
        REDIS_TEST(a_full_server_is_told),
        REDIS_TEST(a_replica_is_told),
        REDIS_TEST(logins_are_used_and_never_told),
        REDIS_TEST(names_are_looked_up),
    };
    struct redis_yard y;
    redis_yard_init(&y);
    *suite_yard() = &y.yard;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_yard_end(&y);
    return failed;
}
