/* Every way through the pipeline; in each, the source finishes exactly once. */
#include "tests/support/house.h"

static void an_answer_comes_back_through_every_place(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = house_item(&h);
    assert_int_equal(inv->state, INVOCATION_NEW);
    assert_int_equal(h.pipeline.places[INVOCATION_NEW].length, 1);
    pipeline_run(inv);
    house_expect(&h, "pre-a pre-b room submit");
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    assert_ptr_equal(inv->route, &h.route);
    assert_int_equal(h.route.parameter_count, 1);
    assert_true(slice_equal(inv->parameters[0], SLICE("42")));
    clock_fake_advance_ms(&h.clock, 5);
    house_start(&h, inv);
    assert_int_equal(inv->started_us - inv->queued_us, 5000);
    assert_true(invocation_complete(inv, house_answer("hello")));
    house_expect(&h, "completed post-b post-a finish");
    assert_int_equal(h.status, 200);
    assert_string_equal(h.body, "hello");
    assert_string_equal(h.headers, "");
    assert_int_equal(h.pipeline.in_flight, 0);
    assert_int_equal(h.pipeline.counters.finished, 1);
    assert_int_equal(h.pipeline.counters.failures[FAILURE_NONE], 1);
    house_close(&h);
}

static void check_refusal(struct house *h, struct invocation *inv, enum failure f, const char *trace) {
    int before = h->finished;
    pipeline_run(inv);
    house_expect(h, trace);
    assert_int_equal(h->finished, before + 1);
    assert_int_equal(h->failure, f);
    assert_int_equal(h->status, failure_row(f)->status);
    assert_non_null(strstr(h->body, failure_row(f)->slug));
    assert_non_null(strstr(h->headers, "Content-Type: application/problem+json"));
    assert_non_null(strstr(h->headers, "Cache-Control: no-store"));
}

static void unknown_routes_pass_the_post_hooks(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    check_refusal(&h, house_invocation(&h, "GET", "/nothing"), FAILURE_NOT_FOUND, "post-b post-a finish");
    check_refusal(&h, house_invocation(&h, "GET", "/items/1"), FAILURE_METHOD, "post-b post-a finish");
    assert_non_null(strstr(h.headers, "Allow: POST"));
    house_close(&h);
}

static void a_problem_tells_what_and_whose(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = house_invocation(&h, "GET", "/nothing");
    inv->request_id = SLICE("r-1");
    check_refusal(&h, inv, FAILURE_NOT_FOUND, "post-b post-a finish");
    assert_string_equal(h.body,
                        "{\"type\":\"urn:execgate:problem:not-found\",\"title\":\"No such route\",\"status\":404,"
                        "\"requestId\":\"r-1\"}\n");
    h.hook_states[0].result = STEP_REPLY;
    inv = house_item(&h);
    inv->request_id = SLICE("r-2");
    check_refusal(&h, inv, FAILURE_BAD_REQUEST, "pre-a post-b post-a finish");
    assert_string_equal(h.body,
                        "{\"type\":\"urn:execgate:problem:bad-request\",\"title\":\"Bad Request\",\"status\":400,"
                        "\"detail\":\"said a\",\"requestId\":\"r-2\"}\n");
    house_close(&h);
}

static void draining_and_overload_refuse_newcomers(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.pipeline.in_flight_limit = 1;
    struct invocation *first = house_item(&h);
    pipeline_run(first);
    house_expect(&h, "pre-a pre-b room submit");
    check_refusal(&h, house_item(&h), FAILURE_OVERLOADED, "post-b post-a finish");
    assert_non_null(strstr(h.headers, "Retry-After: 1"));
    h.pipeline.draining = true;
    check_refusal(&h, house_item(&h), FAILURE_SHUTTING_DOWN, "post-b post-a finish");
    assert_true(invocation_complete(first, house_answer("still served")));
    assert_string_equal(h.body, "still served");
    house_close(&h);
}

static void a_full_executor_refuses_before_the_upload(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.room = FAILURE_UNAVAILABLE;
    struct invocation *inv = house_item(&h);
    struct body *b = body_new(5, UINT64_MAX);
    inv->body = b;
    check_refusal(&h, inv, FAILURE_UNAVAILABLE, "pre-a pre-b room post-b post-a finish");
    assert_non_null(strstr(h.headers, "Retry-After: 7"));
    assert_true(body_abandoned(b));
    body_release_producer(b);
    house_close(&h);
}

static void submit_may_complete_at_once(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.submit = SUBMIT_COMPLETES;
    check_refusal(&h, house_item(&h), FAILURE_QUEUE_FULL, "pre-a pre-b room submit post-b post-a finish");
    assert_non_null(strstr(h.headers, "Retry-After: 3"));
    house_close(&h);
}

static void a_parked_hook_is_passed_on_resume(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.hook_states[0].result = STEP_WAIT;
    struct invocation *inv = house_item(&h);
    pipeline_run(inv);
    house_expect(&h, "pre-a");
    assert_int_equal(inv->state, INVOCATION_PRE);
    pipeline_resume(inv);
    house_expect(&h, "pre-b room submit");
    assert_true(invocation_complete(inv, house_answer("")));
    assert_int_equal(h.finished, 1);
    house_close(&h);
}

static void a_parked_hook_may_reply(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.hook_states[1].result = STEP_WAIT;
    struct invocation *inv = house_item(&h);
    pipeline_run(inv);
    pipeline_reply(inv, outcome_failure(inv, FAILURE_BAD_REQUEST, "no key"));
    house_expect(&h, "pre-a pre-b post-b post-a finish");
    assert_int_equal(h.status, 400);
    h.hook_states[1].reply_from_pre = true;
    pipeline_run(house_item(&h));
    house_expect(&h, "pre-a pre-b post-b post-a finish");
    assert_int_equal(h.finished, 2);
    house_close(&h);
}

/* --- bodies --- */

static struct invocation *item_with_body(struct house *h, struct body *b) {
    struct invocation *inv = house_item(h);
    inv->body = b;
    return inv;
}

static void a_complete_body_does_not_wait(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = item_with_body(&h, body_of_chunk(chunk_copy(SLICE("abc"))));
    pipeline_run(inv);
    house_expect(&h, "pre-a pre-b room submit");
    assert_true(slice_equal(body_whole(inv->body), SLICE("abc")));
    invocation_complete(inv, house_answer(""));
    house_close(&h);
}

static void an_arriving_body_is_collected_first(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct invocation *inv = item_with_body(&h, b);
    assert_false(body_wants(b));
    pipeline_run(inv);
    house_expect(&h, "pre-a pre-b room");
    assert_int_equal(inv->state, INVOCATION_BODY);
    assert_true(body_wants(b));
    assert_true(body_append_copy(b, SLICE("abc")));
    assert_false(turn_run(&h.turn, 1));
    body_finish(b);
    house_expect(&h, ""); /* only noted; the turn goes on */
    assert_false(turn_run(&h.turn, 1));
    house_expect(&h, "submit");
    body_release_producer(b);
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    invocation_complete(inv, house_answer(""));
    assert_int_equal(h.finished, 1);
    house_close(&h);
}

static void a_streaming_executor_takes_it_as_it_arrives(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.executor.streams_request = true;
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct invocation *inv = item_with_body(&h, b);
    pipeline_run(inv);
    house_expect(&h, "pre-a pre-b room submit");
    assert_false(body_wants(b));
    house_start(&h, inv);
    body_want(inv->body);
    assert_true(body_append_copy(b, SLICE("abc")));
    invocation_complete(inv, house_answer("early"));
    assert_true(body_abandoned(b));
    body_release_producer(b);
    house_close(&h);
}

struct body_end {
    enum failure failure;
    const char *detail;
    void (*end)(struct body *b);
};

static void end_over_limit(struct body *b) {
    assert_false(body_append_copy(b, SLICE("12345678901")));
}
static void end_with_timeout(struct body *b) {
    body_fail_as(b, FAILURE_REQUEST_TIMEOUT, "nothing came for 30s");
}
static void end_with_error(struct body *b) {
    body_fail(b, "bad chunk size");
}
static void end_short(struct body *b) {
    body_finish(b);
}
static void end_on_full_disk(struct body *b) {
    body_fail_as(b, FAILURE_INTERNAL, "cannot write to /secret/place");
}

static void a_failed_body_refuses_by_reason(void **state) {
    (void)state;
    static const struct body_end ends[] = {
        {FAILURE_BODY_TOO_LARGE, "at most 10 bytes are accepted", end_over_limit},
        {FAILURE_REQUEST_TIMEOUT, "nothing came for 30s", end_with_timeout},
        {FAILURE_BAD_REQUEST, "bad chunk size", end_with_error},
        {FAILURE_BAD_REQUEST, "fewer bytes than declared", end_short},
        {FAILURE_INTERNAL, "\"status\":500", end_on_full_disk},
    };
    struct house h;
    house_open(&h);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct body *b = body_new(50, 10);
        pipeline_run(item_with_body(&h, b));
        ends[i].end(b);
        house_expect(&h, "pre-a pre-b room");
        assert_false(turn_run(&h.turn, 1));
        house_expect(&h, "post-b post-a finish");
        assert_int_equal(h.failure, ends[i].failure);
        assert_non_null(strstr(h.body, ends[i].detail));
        assert_null(strstr(h.body, "secret"));
        assert_true(body_abandoned(b));
        body_release_producer(b);
    }
    assert_int_equal(h.finished, ARRAY_LEN(ends));
    house_close(&h);
}

static void a_body_that_failed_early_never_waits(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct body *b = body_new(50, 10);
    body_fail(b, "gone");
    check_refusal(&h, item_with_body(&h, b), FAILURE_BAD_REQUEST, "pre-a pre-b room post-b post-a finish");
    body_release_producer(b);
    house_close(&h);
}

static void a_cancelled_one_leaves_the_turn(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct body *b = body_new(3, UINT64_MAX);
    struct invocation *inv = item_with_body(&h, b);
    pipeline_run(inv);
    body_finish(b); /* its task is on the turn now */
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    house_expect(&h, "pre-a pre-b room post-b post-a finish");
    assert_false(turn_run(&h.turn, 5));
    house_expect(&h, "");
    body_release_producer(b);
    house_close(&h);
}

/* --- ends --- */

static void the_first_result_wins(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = house_item(&h);
    pipeline_run(inv);
    house_start(&h, inv);
    h.complete_in_finish = true;
    assert_true(invocation_complete(inv, house_answer("first")));
    assert_false(invocation_complete(inv, house_answer("second")));
    pipeline_reply(inv, house_answer("third"));
    pipeline_resume(inv);
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    house_expect(&h, "pre-a pre-b room submit completed post-b post-a finish");
    assert_string_equal(h.body, "first");
    assert_int_equal(h.finished, 1);
    assert_int_equal(h.pipeline.counters.late_results, 3);
    assert_int_equal(h.pipeline.counters.cancelled, 0);
    house_close(&h);
}

static struct invocation *park_new(struct house *h) {
    return house_item(h);
}

static struct invocation *park_pre(struct house *h) {
    struct invocation *inv = house_item(h);
    h->hook_states[1].result = STEP_WAIT;
    pipeline_run(inv);
    h->hook_states[1].result = STEP_NEXT;
    return inv;
}

static struct invocation *park_body(struct house *h) {
    struct invocation *inv = item_with_body(h, body_new(9, 9));
    struct body *b = inv->body;
    pipeline_run(inv);
    assert_true(body_append_copy(b, SLICE("12")));
    return inv;
}

static struct invocation *park_queued(struct house *h) {
    struct invocation *inv = house_item(h);
    pipeline_run(inv);
    return inv;
}

static void cancelling_before_running_finishes_at_once(void **state) {
    (void)state;
    static const struct {
        enum invocation_state state;
        struct invocation *(*park)(struct house *h);
        const char *trace;
    } rows[] = {
        {INVOCATION_NEW, park_new, "post-b post-a finish"},
        {INVOCATION_PRE, park_pre, "pre-a pre-b post-b post-a finish"},
        {INVOCATION_BODY, park_body, "pre-a pre-b room post-b post-a finish"},
        {INVOCATION_QUEUED, park_queued, "pre-a pre-b room submit completed post-b post-a finish"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        struct house h;
        house_open(&h);
        enum cancel_reason why = i % 2 ? CANCEL_SHUTDOWN : CANCEL_CLIENT_GONE;
        struct invocation *inv = rows[i / 2].park(&h);
        struct body *b = inv->body;
        assert_int_equal(inv->state, rows[i / 2].state);
        invocation_cancel(inv, why);
        house_expect(&h, rows[i / 2].trace);
        assert_int_equal(h.finished, 1);
        assert_int_equal(h.failure, i % 2 ? FAILURE_SHUTTING_DOWN : FAILURE_CLIENT_GONE);
        assert_int_equal(h.pipeline.counters.cancelled, 1);
        pipeline_resume(inv);
        invocation_cancel(inv, why);
        assert_false(invocation_complete(inv, house_answer("late")));
        house_expect(&h, "");
        if (b) body_release_producer(b);
        house_close(&h);
    }
}

static void remember_failure(void *self, struct invocation *inv) {
    *(enum failure *)self = inv->outcome.failure;
}

static void cancelling_a_running_one_detaches_its_source(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    enum failure seen = FAILURE_NONE;
    h.hooks[0] = (struct hook){.name = "remember", .self = &seen, .post = remember_failure};
    struct invocation *inv = park_queued(&h);
    house_start(&h, inv);
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    house_expect(&h, "pre-b room submit cancel");
    assert_int_equal(inv->state, INVOCATION_RUNNING);
    assert_int_equal(h.pipeline.counters.cancelled, 1);
    assert_true(invocation_complete(inv, house_answer("for nobody")));
    house_expect(&h, "completed post-b");
    assert_int_equal(h.finished, 0);
    assert_int_equal(seen, FAILURE_CLIENT_GONE);
    assert_int_equal(h.pipeline.counters.failures[FAILURE_CLIENT_GONE], 1);
    house_close(&h);
}

static void on_queue_timeout(struct deadline *d) {
    struct invocation *inv = container_of(d, struct invocation, deadline);
    invocation_complete(inv, outcome_failure(inv, FAILURE_QUEUE_TIMEOUT, NULL));
}

static void a_deadline_completes(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = park_queued(&h);
    invocation_arm(inv, 100, on_queue_timeout);
    clock_fake_advance_ms(&h.clock, 99);
    assert_int_equal(deadlines_run(&h.deadlines, clock_now_ms(&h.clock.clock)), 0);
    clock_fake_advance_ms(&h.clock, 1);
    assert_int_equal(deadlines_run(&h.deadlines, clock_now_ms(&h.clock.clock)), 1);
    assert_int_equal(h.failure, FAILURE_QUEUE_TIMEOUT);
    assert_int_equal(h.finished, 1);
    house_close(&h);
}

static void a_deadline_belongs_to_its_state(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = park_queued(&h);
    invocation_arm(inv, 100, on_queue_timeout);
    house_start(&h, inv);
    assert_int_equal(deadlines_next_ms(&h.deadlines), DEADLINE_NEVER);
    invocation_arm(inv, 100, on_queue_timeout);
    invocation_arm(inv, 0, NULL);
    assert_int_equal(deadlines_next_ms(&h.deadlines), DEADLINE_NEVER);
    invocation_arm(inv, 100, on_queue_timeout);
    invocation_complete(inv, house_answer("in time"));
    assert_int_equal(deadlines_next_ms(&h.deadlines), DEADLINE_NEVER);
    house_close(&h);
}

static void a_failure_replaces_a_body_and_answers_nothing_else(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *inv = park_queued(&h);
    struct outcome o = outcome_failure(inv, FAILURE_HANDLER_ANSWER, "status \"%s\"", "abc");
    o.body = body_of_chunk(chunk_copy(SLICE("raw answer")));
    fields_add(&o.headers, &inv->arena, SLICE("content-type"), SLICE("text/plain"));
    fields_add(&o.headers, &inv->arena, SLICE("X-Kept"), SLICE("1"));
    invocation_complete(inv, o);
    assert_string_equal(h.headers, "X-Kept: 1; Content-Type: application/problem+json; Cache-Control: no-store");
    assert_non_null(strstr(h.body, "\"detail\":\"status \\\"abc\\\"\""));
    house_close(&h);
}

static void room_is_told_to_queues(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    assert_true(pipeline_room(&h.route));
    h.room = FAILURE_QUEUE_FULL;
    assert_false(pipeline_room(&h.route));
    house_close(&h);
}

/* --- the invocation itself --- */

static void recycled_ones_start_afresh(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    char first_id[UUID_TEXT_SIZE];
    struct invocation *inv = park_body(&h);
    struct body *b = inv->body;
    memcpy(first_id, inv->id, sizeof first_id);
    fields_add(&inv->request.headers, &inv->arena, SLICE("a"), SLICE("b"));
    inv->attempts = 3;
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    body_release_producer(b);
    struct invocation *again = invocation_new(&h.pipeline, &house_source, &h);
    assert_ptr_equal(again, inv);
    assert_memory_not_equal(again->id, first_id, sizeof first_id);
    assert_true(slice_equal(again->request_id, invocation_id(again)));
    assert_int_equal(again->request.headers.count, 0);
    assert_int_equal(again->attempts, 0);
    assert_int_equal(again->cancelled, CANCEL_NONE);
    assert_null(again->body);
    assert_null(again->route);
    assert_int_equal(again->outcome.failure, FAILURE_NONE);
    assert_int_equal(again->outcome.headers.count, 0);
    invocation_cancel(again, CANCEL_CLIENT_GONE);
    house_close(&h);
}

static void only_some_are_kept_for_the_next(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *all[600];
    for (size_t i = 0; i < ARRAY_LEN(all); i++) all[i] = house_item(&h);
    assert_int_equal(h.pipeline.in_flight, ARRAY_LEN(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        invocation_cancel(all[i], CANCEL_SHUTDOWN);
        h.trace[0] = '\0';
    }
    assert_int_equal(h.finished, ARRAY_LEN(all));
    assert_true(h.pipeline.recycled.length > 100 && h.pipeline.recycled.length < 400);
    house_close(&h);
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void trace_context_is_taken_strictly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool taken, sampled;
    } rows[] = {
        {"00-" TRACE "-" PARENT "-01", true, true},
        {"00-" TRACE "-" PARENT "-00", true, false},
        {"00-" TRACE "-" PARENT "-ff", true, true},
        {"01-" TRACE "-" PARENT "-01", false, false},
        {"ff-" TRACE "-" PARENT "-01", false, false},
        {"00-00000000000000000000000000000000-" PARENT "-01", false, false},
        {"00-" TRACE "-0000000000000000-01", false, false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false, false},
        {"00-" TRACE "-" PARENT "-0g", false, false},
        {"00-" TRACE "-" PARENT "-0A", false, false},
        {"00-" TRACE "-" PARENT "-01-x", false, false},
        {"00-" TRACE "_" PARENT "-01", false, false},
        {"00-" TRACE "-" PARENT "x01", false, false},
        {"", false, false},
    };
    struct house h;
    house_open(&h);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct invocation *inv = house_item(&h);
        invocation_trace_from(inv, slice_of(rows[i].text));
        assert_int_equal(memcmp(inv->trace_id, TRACE, 32) == 0, rows[i].taken);
        assert_int_equal(memcmp(inv->parent_id, PARENT, 16) == 0, rows[i].taken);
        assert_int_equal(inv->trace_sampled, rows[i].sampled);
        for (size_t j = 0; j < sizeof inv->trace_id; j++) assert_non_null(strchr("0123456789abcdef", inv->trace_id[j]));
        invocation_cancel(inv, CANCEL_SHUTDOWN);
    }
    house_close(&h);
}

static void a_trace_is_made_when_the_source_took_none(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct invocation *one = park_queued(&h);
    struct invocation *two = park_queued(&h);
    assert_memory_not_equal(one->trace_id, two->trace_id, sizeof one->trace_id);
    assert_true(one->trace_id[0] && one->parent_id[0]);
    invocation_cancel(one, CANCEL_SHUTDOWN);
    invocation_cancel(two, CANCEL_SHUTDOWN);
    house_close(&h);
}

static void the_failure_table_is_sound(void **state) {
    (void)state;
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        const struct failure_row *row = failure_row((enum failure)f);
        assert_true(row->status >= 400 && row->status <= 599);
        assert_true(row->slug[0] && row->title[0]);
        for (const char *c = row->slug; *c; c++) assert_true((*c >= 'a' && *c <= 'z') || *c == '-');
        for (int other = f + 1; other < FAILURE_COUNT; other++)
            assert_string_not_equal(row->slug, failure_row((enum failure)other)->slug);
    }
}

/* --- preflights --- */

struct preflight_hook {
    bool answers;
    int asked;
    const struct route *route;
};

static bool answer_preflight(void *self, struct invocation *inv, const struct route *route) {
    struct preflight_hook *hook = self;
    hook->asked++;
    hook->route = route;
    if (hook->answers) inv->outcome = (struct outcome){.status = 204};
    return hook->answers;
}

static void run_options(struct house *h, const char *target, const char *origin, const char *method) {
    struct invocation *inv = house_invocation(h, "OPTIONS", target);
    if (origin) fields_add(&inv->request.headers, &inv->arena, SLICE("Origin"), slice_of(origin));
    if (method)
        fields_add(&inv->request.headers, &inv->arena, SLICE("Access-Control-Request-Method"), slice_of(method));
    pipeline_run(inv);
}

static void a_preflight_is_answered_before_any_pre(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct preflight_hook preflight = {.answers = true};
    struct hook hooks[] = {h.hooks[0], {.name = "preflight", .self = &preflight, .preflight = answer_preflight}};
    h.pipeline.hooks = hooks;
    run_options(&h, "/items/42", "https://a.example", "POST");
    house_expect(&h, "post-a finish");
    assert_int_equal(h.status, 204);
    assert_int_equal(h.failure, FAILURE_NONE);
    assert_ptr_equal(preflight.route, &h.route);
    struct invocation *inv = house_item(&h);
    assert_false(inv->preflight); /* the same memory, used again */
    pipeline_run(inv);
    assert_true(invocation_complete(inv, house_answer("")));
    assert_int_equal(preflight.asked, 1);
    house_close(&h);
}

static void an_unanswered_preflight_is_an_ordinary_options(void **state) {
    (void)state;
    struct house h;
    struct error e;
    house_open(&h);
    struct preflight_hook preflight = {.answers = false};
    struct hook hooks[] = {h.hooks[0], {.name = "preflight", .self = &preflight, .preflight = answer_preflight}};
    h.pipeline.hooks = hooks;
    run_options(&h, "/items/42", "https://a.example", "POST");
    assert_int_equal(h.status, 405);
    house_expect(&h, "post-a finish");
    struct route options = {&h.handler, &h.trigger, &h.executor, SLICE("OPTIONS /items/{id}"), NULL, 0};
    assert_int_equal(router_add(h.router, SLICE("OPTIONS"), SLICE("/items/{id}"), &options, &e), 0);
    run_options(&h, "/items/42", "https://a.example", "POST");
    house_expect(&h, "pre-a room submit");
    assert_int_equal(preflight.asked, 2);
    struct invocation *inv = list_entry(list_first(&h.queued), struct invocation, node);
    assert_ptr_equal(inv->route, &options);
    assert_true(slice_equal(inv->parameters[0], SLICE("42")));
    assert_true(invocation_complete(inv, house_answer("")));
    house_close(&h);
}

static void only_a_whole_preflight_is_one(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    struct preflight_hook preflight = {.answers = true};
    struct hook hooks[] = {{.name = "preflight", .self = &preflight, .preflight = answer_preflight}};
    h.pipeline.hooks = hooks;
    h.pipeline.hook_count = 1;
    run_options(&h, "/items/42", NULL, "POST");
    assert_int_equal(h.status, 405);
    run_options(&h, "/items/42", "https://a.example", NULL);
    assert_int_equal(h.status, 405);
    run_options(&h, "/items/42", "https://a.example", "PUT");
    assert_int_equal(h.status, 405);
    run_options(&h, "/nothing", "https://a.example", "POST");
    assert_int_equal(h.status, 404);
    h.pipeline.draining = true;
    run_options(&h, "/items/42", "https://a.example", "POST");
    assert_int_equal(h.status, 503);
    assert_int_equal(preflight.asked, 0);
    house_close(&h);
}

/* Of its own kind, it comes with its route; hooks that are for requests do not see it, others do. */
static void run_event(struct house *h, enum trigger_kind kind, const char *trace) {
    struct invocation *inv = invocation_new(&h->pipeline, &house_source, h);
    inv->trigger = kind;
    inv->route = &h->route;
    invocation_request_post(inv, "/invoke");
    pipeline_run(inv);
    if (h->pipeline.draining) return;
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    assert_true(invocation_complete(inv, house_answer("{}")));
    house_expect(h, trace);
    assert_int_equal(h->status, 200);
    assert_string_equal(h->body, "{}");
}

static void events_that_are_no_requests_pass_only_some_hooks(void **state) {
    (void)state;
    struct house h;
    house_open(&h);
    h.hooks[1].scope = HOOK_SEES_ALL;
    run_event(&h, TRIGGER_INVOKE, "pre-b room submit completed post-b finish");
    run_event(&h, TRIGGER_QUEUE, "pre-b room submit completed post-b finish");
    run_event(&h, TRIGGER_SCHEDULE, "pre-b room submit completed post-b finish");
    run_event(&h, TRIGGER_AUTHORIZER, "room submit completed finish");
    run_event(&h, TRIGGER_CREDENTIAL, "room submit completed finish");
    h.hooks[1].scope = HOOK_SEES_CREDENTIALS;
    run_event(&h, TRIGGER_CREDENTIAL, "pre-b room submit completed post-b finish");
    run_event(&h, TRIGGER_INVOKE, "room submit completed finish");
    h.pipeline.draining = true;
    run_event(&h, TRIGGER_INVOKE, NULL);
    assert_int_equal(h.failure, FAILURE_SHUTTING_DOWN);
    house_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_back_through_every_place),
        cmocka_unit_test(unknown_routes_pass_the_post_hooks),
        cmocka_unit_test(a_preflight_is_answered_before_any_pre),
        cmocka_unit_test(an_unanswered_preflight_is_an_ordinary_options),
        cmocka_unit_test(only_a_whole_preflight_is_one),
        cmocka_unit_test(a_problem_tells_what_and_whose),
        cmocka_unit_test(draining_and_overload_refuse_newcomers),
        cmocka_unit_test(a_full_executor_refuses_before_the_upload),
        cmocka_unit_test(submit_may_complete_at_once),
        cmocka_unit_test(a_parked_hook_is_passed_on_resume),
        cmocka_unit_test(a_parked_hook_may_reply),
        cmocka_unit_test(a_complete_body_does_not_wait),
        cmocka_unit_test(an_arriving_body_is_collected_first),
        cmocka_unit_test(a_streaming_executor_takes_it_as_it_arrives),
        cmocka_unit_test(a_failed_body_refuses_by_reason),
        cmocka_unit_test(a_body_that_failed_early_never_waits),
        cmocka_unit_test(a_cancelled_one_leaves_the_turn),
        cmocka_unit_test(the_first_result_wins),
        cmocka_unit_test(cancelling_before_running_finishes_at_once),
        cmocka_unit_test(cancelling_a_running_one_detaches_its_source),
        cmocka_unit_test(a_deadline_completes),
        cmocka_unit_test(a_deadline_belongs_to_its_state),
        cmocka_unit_test(a_failure_replaces_a_body_and_answers_nothing_else),
        cmocka_unit_test(room_is_told_to_queues),
        cmocka_unit_test(events_that_are_no_requests_pass_only_some_hooks),
        cmocka_unit_test(recycled_ones_start_afresh),
        cmocka_unit_test(only_some_are_kept_for_the_next),
        cmocka_unit_test(trace_context_is_taken_strictly),
        cmocka_unit_test(a_trace_is_made_when_the_source_took_none),
        cmocka_unit_test(the_failure_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
