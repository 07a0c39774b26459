/* The first plugins and the access log, in a real pipeline. */
#include "gateway/observe/access_log.h"
#include "plugins/limits/limits.h"
#include "plugins/plugin.h"
#include "plugins/request_id/request_id.h"
#include "tests/support/blueprint_text.h"
#include "tests/support/house.h"
#include <sys/mman.h>
#include <unistd.h>

static const char one_route[] = "blueprint: 1\nname: test\n"
                                "handlers:\n"
                                "  hands:\n"
                                "    command: /bin/true\n"
                                "    triggers: [{http: 'POST /items/{id}', maxBody: 1000B}]\n";

struct world {
    struct house house;
    struct blueprint *blueprint;
    struct hook hooks[SECTIONS_MAX + 1];
    struct log *log;
    int fd;
    char line[2048];
};

static void world_open(struct world *w) {
    struct error e;
    const struct sections sections = plugins_sections();
    house_open(&w->house);
    w->fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(w->fd >= 0);
    w->log = log_new(w->fd, LOG_FORMAT_JSON, LOG_INFO, &w->house.clock.clock);
    w->hooks[0] = access_log_hook(w->log);
    assert_true(plugin_count + 1 <= ARRAY_LEN(w->hooks));
    w->blueprint = blueprint_of_text(one_route, &sections);
    const struct plugin_host host = {.clock = &w->house.clock.clock, .log = w->log, .blueprint = w->blueprint};
    assert_int_equal(plugins_open(&host, NULL, w->hooks + 1, &e), 0);
    w->house.pipeline.hooks = w->hooks;
    w->house.pipeline.hook_count = plugin_count + 1;
}

static void world_close(struct world *w) {
    house_close(&w->house);
    plugins_close(w->hooks + 1);
    blueprint_release(w->blueprint);
    log_free(w->log);
    close(w->fd);
}

/* What was logged since the last look. */
static const char *world_logged(struct world *w) {
    log_flush(w->log);
    ssize_t n = pread(w->fd, w->line, sizeof w->line - 1, 0);
    assert_true(n >= 0);
    w->line[n] = '\0';
    assert_int_equal(ftruncate(w->fd, 0), 0);
    assert_int_equal(lseek(w->fd, 0, SEEK_SET), 0);
    return w->line;
}

static void expect_logged(struct world *w, const char *const *parts, size_t count) {
    const char *line = world_logged(w);
    for (size_t i = 0; i < count; i++)
        if (!strstr(line, parts[i])) fail_msg("no %s in %s", parts[i], line);
    const char *end = strchr(line, '\n');
    assert_true(end && end[1] == '\0'); /* one line */
}

static void each_plugin_has_a_row(void **state) {
    (void)state;
    assert_true(plugin_count >= 2);
    for (size_t i = 0; i < plugin_count; i++) {
        assert_true(plugin_table[i]->name[0]);
        assert_true(plugin_table[i]->pre_handle || plugin_table[i]->post_handle);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(plugin_table[i]->name, plugin_table[j]->name);
    }
}

static void a_declared_length_over_the_limit_is_refused_unread(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    struct invocation *inv = house_item(&w.house);
    struct body *b = body_new(1001, UINT64_MAX);
    inv->body = b;
    pipeline_run(inv);
    house_expect(&w.house, "finish");
    assert_int_equal(w.house.failure, FAILURE_BODY_TOO_LARGE);
    assert_int_equal(w.house.status, 413);
    assert_non_null(strstr(w.house.body, "1001 bytes; at most 1000 are accepted"));
    assert_false(body_wants(b));
    body_release_producer(b);
    world_close(&w);
}

static void a_body_of_unknown_length_is_bounded_while_it_arrives(void **state) {
    (void)state;
    struct world w;
    char bytes[1001] = {0};
    world_open(&w);
    struct invocation *inv = house_item(&w.house);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    inv->body = b;
    pipeline_run(inv);
    assert_true(body_append_copy(b, slice_make(bytes, 1000)));
    assert_false(body_append_copy(b, slice_make(bytes, 1)));
    assert_false(turn_run(&w.house.turn, 1));
    assert_int_equal(w.house.failure, FAILURE_BODY_TOO_LARGE);
    body_release_producer(b);
    world_close(&w);
}

/* maxBody belongs to the plugin, and to each trigger: the default is the application's. */
static void the_limit_is_the_triggers_own(void **state) {
    (void)state;
    struct blueprint *b = blueprint_of_section("blueprint: 1\nname: a\nlimits: {maxBody: 20B}\nhandlers:\n"
                                               "  a: {command: /a, triggers: [{http: GET /a, maxBody: 10B}]}\n"
                                               "  b: {command: /b, triggers: [{http: GET /b}]}\n",
                                               limits_plugin.section);
    static const uint64_t limits[] = {10, 20};
    struct clock_fake clock;
    struct error e;
    void *opened;
    clock_fake_init(&clock);
    const struct plugin_host host = {.clock = &clock.clock, .blueprint = b};
    assert_int_equal(limits_plugin.open(&host, b->settings[0], &opened, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct route route = {.trigger = b->handlers[i].http_triggers};
        for (uint64_t n = limits[i]; n <= limits[i] + 1; n++) {
            struct invocation inv = {.route = &route, .body = body_new((int64_t)n, UINT64_MAX)};
            arena_init(&inv.arena, 1024);
            enum step_result result = limits_plugin.pre_handle(opened, &inv);
            assert_int_equal(result, n > limits[i] ? STEP_REPLY : STEP_NEXT);
            body_release_producer(inv.body);
            body_release_consumer(inv.body);
            arena_free(&inv.arena);
        }
    }
    limits_plugin.close(opened);
    blueprint_release(b);
}

static void a_body_at_the_limit_passes(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    struct invocation *inv = house_item(&w.house);
    struct chunk *c = chunk_new(1000);
    memset(c->memory, 'x', 1000);
    c->bytes.n = 1000;
    inv->body = body_of_chunk(c);
    pipeline_run(inv);
    assert_int_equal(inv->state, INVOCATION_QUEUED);
    invocation_complete(inv, house_answer(""));
    assert_int_equal(w.house.status, 200);
    world_close(&w);
}

static void every_outcome_carries_the_request_id(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    struct invocation *inv = house_item(&w.house);
    inv->request_id = SLICE("client-7");
    pipeline_run(inv);
    struct outcome o = house_answer("ok");
    fields_add(&o.headers, &inv->arena, SLICE("x-request-id"), SLICE("forged"));
    fields_add(&o.headers, &inv->arena, SLICE("ETag"), SLICE("\"1\""));
    invocation_complete(inv, o);
    assert_string_equal(w.house.headers, "ETag: \"1\"; X-Request-Id: client-7");
    inv = house_invocation(&w.house, "GET", "/nothing");
    inv->request_id = SLICE("client-8");
    pipeline_run(inv);
    assert_int_equal(w.house.status, 404);
    assert_non_null(strstr(w.house.headers, "X-Request-Id: client-8"));
    assert_non_null(strstr(w.house.body, "\"requestId\":\"client-8\""));
    world_close(&w);
}

static void only_sane_request_ids_are_taken_over(void **state) {
    (void)state;
    char longest[129];
    memset(longest, 'a', sizeof longest);
    assert_true(request_id_is_sane(SLICE("a")));
    assert_true(request_id_is_sane(SLICE("0f8fad5b-d9cb-469f-a165-70867728950e")));
    assert_true(request_id_is_sane(SLICE("A.b_C:d+e/f=g@h-9")));
    assert_true(request_id_is_sane(slice_make(longest, 128)));
    assert_false(request_id_is_sane(slice_make(longest, 129)));
    assert_false(request_id_is_sane(SLICE("")));
    assert_false(request_id_is_sane(SLICE_NONE));
    for (int c = 0; c < 256; c++) {
        char text[2] = {'a', (char)c};
        bool wanted = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                      (c != 0 && strchr("._:+/=@-", c) != NULL);
        assert_int_equal(request_id_is_sane(slice_make(text, 2)), wanted);
    }
}

static void one_line_tells_about_an_answer(void **state) {
    (void)state;
    struct world w;
    static const char *const parts[] = {
        "\"info\"",
        "\"request\"",
        "\"method\":\"POST\"",
        "\"path\":\"/items/42\"",
        "\"status\":200",
        "\"duration_ms\":12.000",
        "\"bytes\":5",
        "\"handler\":\"hands\"",
        "\"route\":\"POST /items/{id}\"",
        "\"request_id\":\"r-9\"",
        "\"client\":\"127.0.0.1\"",
    };
    world_open(&w);
    struct invocation *inv = house_invocation(&w.house, "POST", "/items/42?token=hidden");
    inv->request_id = SLICE("r-9");
    inv->request.client_address = SLICE("127.0.0.1");
    pipeline_run(inv);
    assert_string_equal(world_logged(&w), "");
    clock_fake_advance_ms(&w.house.clock, 12);
    invocation_complete(inv, house_answer("hello"));
    expect_logged(&w, parts, ARRAY_LEN(parts));
    assert_null(strstr(w.line, "hidden"));
    assert_null(strstr(w.line, "failure"));
    world_close(&w);
}

static void failures_have_their_level_and_slug(void **state) {
    (void)state;
    struct world w;
    static const char *const refused[] = {"\"info\"", "\"failure\":\"not-found\"", "\"status\":404"};
    static const char *const died[] = {"\"warn\"", "\"failure\":\"handler-died\"", "\"status\":502",
                                       "\"handler\":\"hands\""};
    world_open(&w);
    pipeline_run(house_invocation(&w.house, "GET", "/nothing"));
    expect_logged(&w, refused, ARRAY_LEN(refused));
    assert_null(strstr(w.line, "\"route\""));
    struct invocation *inv = house_item(&w.house);
    pipeline_run(inv);
    invocation_complete(inv, outcome_failure(inv, FAILURE_HANDLER_DIED, NULL));
    expect_logged(&w, died, ARRAY_LEN(died));
    world_close(&w);
}

static void a_client_that_left_is_logged_as_499(void **state) {
    (void)state;
    struct world w;
    static const char *const parts[] = {"\"failure\":\"client-gone\"", "\"status\":499"};
    world_open(&w);
    struct invocation *inv = house_item(&w.house);
    pipeline_run(inv);
    house_start(&w.house, inv);
    invocation_cancel(inv, CANCEL_CLIENT_GONE);
    assert_string_equal(world_logged(&w), "");
    invocation_complete(inv, house_answer("for nobody"));
    expect_logged(&w, parts, ARRAY_LEN(parts));
    assert_int_equal(w.house.finished, 0);
    world_close(&w);
}

static void take_body(struct invocation *inv) {
    *(struct body **)inv->source_context = outcome_take_body(&inv->outcome);
}

/* An answer that is still arriving, as the client's end. */
static struct body *stream_to_client(struct world *w, const char *target, struct body *answer) {
    static const struct source_ops taking = {.name = "taking", .finish = take_body};
    struct invocation *inv = house_invocation(&w->house, "POST", target);
    struct body *taken = NULL;
    inv->source = &taking;
    inv->source_context = &taken;
    pipeline_run(inv);
    invocation_complete(inv, (struct outcome){.status = 200, .body = answer});
    body_append_copy(answer, SLICE("half of it"));
    return taken;
}

static void a_long_path_is_cut_and_a_stream_is_logged_when_it_is_over(void **state) {
    (void)state;
    struct world w;
    static const char *const parts[] = {"\"status\":200", "\"cut\":\"the sender left", "\"level\":\"warn\""};
    char target[400];
    world_open(&w);
    size_t n = (size_t)snprintf(target, sizeof target, "/items/");
    memset(target + n, 'z', sizeof target - n);
    target[sizeof target - 1] = '\0';
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    struct body *taken = stream_to_client(&w, target, b);
    assert_string_equal(world_logged(&w), ""); /* not before it is over */
    body_release_producer(b);
    body_release_consumer(taken);
    expect_logged(&w, parts, ARRAY_LEN(parts));
    const char *path = strstr(w.line, "\"path\":\"");
    assert_int_equal(strchr(path + 8, '"') - (path + 8), 200);
    world_close(&w);
}

/* Its handler is broken off then, which is nobody's fault. */
static void a_stream_whose_client_leaves_is_no_warning(void **state) {
    (void)state;
    struct world w;
    static const char *const parts[] = {"\"cut\":\"the client left\"", "\"level\":\"info\""};
    world_open(&w);
    struct body *b = body_new(BODY_LENGTH_UNKNOWN, UINT64_MAX);
    body_release_consumer(stream_to_client(&w, "/items/1", b));
    body_release_producer(b);
    expect_logged(&w, parts, ARRAY_LEN(parts));
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_plugin_has_a_row),
        cmocka_unit_test(a_declared_length_over_the_limit_is_refused_unread),
        cmocka_unit_test(a_body_of_unknown_length_is_bounded_while_it_arrives),
        cmocka_unit_test(a_body_at_the_limit_passes),
        cmocka_unit_test(the_limit_is_the_triggers_own),
        cmocka_unit_test(every_outcome_carries_the_request_id),
        cmocka_unit_test(only_sane_request_ids_are_taken_over),
        cmocka_unit_test(one_line_tells_about_an_answer),
        cmocka_unit_test(failures_have_their_level_and_slug),
        cmocka_unit_test(a_client_that_left_is_logged_as_499),
        cmocka_unit_test(a_long_path_is_cut_and_a_stream_is_logged_when_it_is_over),
        cmocka_unit_test(a_stream_whose_client_leaves_is_no_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
