/* Real processes on a real loop under a real pool: exits, groups, output. */
#include "gateway/pool/supervisor.h"
#include "tests/support/process_check.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct rig {
    struct clock *clock;
    struct loop *loop;
    struct log *log;
    int log_fd;
    struct supervisor *supervisor;
    struct handler_config handler;
    char *argv[4];
    struct pool *pool;
    struct pipeline pipeline;
    struct router *router;
    struct http_trigger_config trigger;
    struct route route;
    int descriptors;
    int finished;
    char text[1 << 20]; /* of the log */
};

static int plain_open(struct worker *w, struct launch *launch, struct error *e) {
    (void)w;
    (void)e;
    launch_set(launch, "GIVEN", "by the transport");
    return 0;
}

static void plain_deliver(struct worker *w, struct invocation *inv) {
    (void)w;
    (void)inv;
}

static void plain_abort(struct worker *w, struct answer_stream *s) {
    (void)w;
    (void)s;
}

static const struct transport_ops plain = {
    .name = "plain", .open = plain_open, .deliver = plain_deliver, .abort_stream = plain_abort};

static void on_finish(struct invocation *inv) {
    struct rig *r = inv->source_context;
    r->finished++;
}
static const struct source_ops source = {.name = "test", .finish = on_finish};

static void rig_open(struct rig *r, const char *script) {
    struct error e;
    memset(r, 0, sizeof *r);
    r->descriptors = open_descriptors();
    r->clock = clock_system_new();
    r->loop = loop_new(r->clock, &e);
    assert_non_null(r->loop);
    r->log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    r->log = log_new(r->log_fd, LOG_FORMAT_TEXT, LOG_INFO, r->clock);
    r->supervisor = supervisor_new(r->loop, r->log);
    static char shell[] = "/bin/sh", option[] = "-c";
    r->argv[0] = shell;
    r->argv[1] = option;
    r->argv[2] = (char *)script;
    r->handler = (struct handler_config){
        .name = "shell",
        .command = r->argv,
        .working_directory = "/",
        .timeout_ms = 20000,
        .queue_limit = 10,
        .processes = {.min = 1,
                      .max = 1,
                      .concurrency = 1,
                      .start_timeout_ms = 60000,
                      .idle_timeout_ms = 60000,
                      .stop_timeout_ms = 300},
    };
    struct pool_host host = {.clock = r->clock,
                             .log = r->log,
                             .deadlines = loop_deadlines(r->loop),
                             .turn = loop_turn(r->loop),
                             .launcher = supervisor_launcher(r->supervisor),
                             .application = "test"};
    r->pool = pool_new(&host, &r->handler, &plain, r);
    r->route = (struct route){&r->handler, &r->trigger, pool_executor(r->pool), SLICE("ANY /"), NULL, 0};
    r->router = router_new();
    assert_int_equal(router_add(r->router, SLICE("ANY"), SLICE("/"), &r->route, &e), 0);
    pipeline_init(&r->pipeline, r->clock, r->log, loop_deadlines(r->loop), loop_turn(r->loop));
    r->pipeline.router = r->router;
    r->pipeline.in_flight_limit = UINT64_MAX;
    pool_start(r->pool);
}

static bool on_empty(void *context) {
    struct rig *r = context;
    return pool_is_empty(r->pool);
}

static void rig_close(struct rig *r) {
    pool_kill(r->pool);
    assert_true(loop_run_until(r->loop, on_empty, r, 10000));
    assert_int_equal(supervisor_processes(r->supervisor), 0);
    pool_free(r->pool);
    pipeline_close(&r->pipeline);
    router_free(r->router);
    supervisor_free(r->supervisor);
    loop_free(r->loop);
    log_free(r->log);
    close(r->log_fd);
    clock_system_free(r->clock);
    assert_int_equal(open_descriptors(), r->descriptors);
    assert_no_children();
}

static const char *rig_log(struct rig *r) {
    log_flush(r->log);
    ssize_t n = pread(r->log_fd, r->text, sizeof r->text - 1, 0);
    assert_true(n >= 0);
    r->text[n] = '\0';
    return r->text;
}

struct wanted {
    struct rig *rig;
    const char *text;
};

static bool on_logged(void *context) {
    struct wanted *w = context;
    return strstr(rig_log(w->rig), w->text) != NULL;
}

static void await_log(struct rig *r, const char *text) {
    struct wanted w = {r, text};
    if (!loop_run_until(r->loop, on_logged, &w, 10000)) fail_msg("not logged: %s\n%s", text, r->text);
}

static struct worker *rig_worker(struct rig *r, enum worker_state s) {
    struct list_node *node = list_first(pool_worker_list(r->pool, s));
    assert_non_null(node);
    return list_entry(node, struct worker, node);
}

static int logged_number(struct rig *r, const char *before) {
    const char *at = strstr(rig_log(r), before);
    assert_non_null(at);
    return atoi(at + strlen(before));
}

static void an_exit_is_told_with_the_last_lines(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "echo 'all is lost' >&2; printf 'no end' >&2; exit 3");
    await_log(&r, "handler exited");
    const char *log = rig_log(&r);
    assert_non_null(strstr(log, "exit=\"exit status 3\""));
    assert_non_null(strstr(log, "all is lost\\x0ano end"));
    assert_int_equal(pool_failures(r.pool), 1);
    rig_close(&r);
}

static void a_signal_is_told(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "kill -SEGV $$");
    await_log(&r, "killed by SIGSEGV");
    rig_close(&r);
}

static void lines_go_into_the_log(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "echo plain; printf 'evil\\033[31m\\r\\n' >&2; printf partial; echo ready >&2; exec sleep 1000");
    await_log(&r, "plain");
    await_log(&r, "line=ready");
    struct worker *w = rig_worker(&r, WORKER_STARTING);
    char line[128];
    snprintf(line, sizeof line, "handler=shell line=plain stream=stdout pid=%d", w->pid);
    assert_non_null(strstr(rig_log(&r), line));
    assert_null(strchr(rig_log(&r), '\033'));
    assert_null(strstr(rig_log(&r), "partial")); /* its end may still come */
    kill(w->pid, SIGKILL);
    await_log(&r, "line=partial");
    rig_close(&r);
}

static void the_environment_is_clean(void **state) {
    (void)state;
    static struct rig r;
    static struct environment_variable given[] = {{"MINE", "1", false}, {"GIVEN", "by the blueprint", false}};
    setenv("LEAK", "1", 1);
    rig_open(&r, "exec 9>/dev/null; sleep 1000");
    pool_kill(r.pool);
    assert_true(loop_run_until(r.loop, on_empty, &r, 10000));
    pool_free(r.pool);
    r.handler.environment = given;
    r.handler.environment_count = 2;
    r.argv[2] = (char *)"/usr/bin/env -u PWD -u SHLVL -u OLDPWD -u _ | sort | tr '\\n' ';'; echo";
    struct pool_host host = {.clock = r.clock,
                             .log = r.log,
                             .deadlines = loop_deadlines(r.loop),
                             .turn = loop_turn(r.loop),
                             .launcher = supervisor_launcher(r.supervisor),
                             .application = "test"};
    r.pool = pool_new(&host, &r.handler, &plain, &r);
    pool_start(r.pool);
    await_log(&r, "line=\"GIVEN=by the transport;LANG=C.UTF-8;MINE=1;PATH=/usr/local/bin:/usr/bin:/bin;\"");
    rig_close(&r);
}

static void the_only_invocation_names_its_lines(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "while :; do echo tick; sleep 0.02; done");
    await_log(&r, "line=tick");
    worker_offer(rig_worker(&r, WORKER_STARTING), 1);
    struct invocation *inv = invocation_new(&r.pipeline, &source, &r);
    struct error e;
    inv->request.method = SLICE("GET");
    assert_int_equal(url_parse(&inv->request.url, &inv->arena, SLICE("/"), &e), 0);
    pipeline_run(inv);
    char line[96];
    snprintf(line, sizeof line, "invocation=%.*s\n", UUID_TEXT_SIZE, inv->id);
    await_log(&r, line);
    assert_int_equal(r.finished, 0);
    rig_close(&r);
    assert_int_equal(r.finished, 1);
}

static bool on_told(void *context) {
    struct rig *r = context;
    return pool_counters(r->pool)->exits > 0 && pool_workers(r->pool, WORKER_STOPPING) == 0;
}

static void the_group_dies_with_its_leader(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "sleep 1000 & echo child=$!; exit 0");
    uint64_t start_ms = clock_now_ms(r.clock);
    assert_true(loop_run_until(r.loop, on_told, &r, 10000));
    assert_in_range(clock_now_ms(r.clock) - start_ms, 0, 900); /* without waiting for its output */
    int child = logged_number(&r, "line=\"child=");
    for (int i = 0; i < 500 && process_is_there(child); i++) poll(NULL, 0, 10);
    assert_false(process_is_there(child));
    rig_close(&r);
}

static void a_stray_grandchild_is_waited_for_one_second(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "setsid sleep 1000 & echo stray=$!; wait");
    await_log(&r, "line=\"stray=");
    int stray = logged_number(&r, "line=\"stray=");
    for (int i = 0; i < 500 && getsid(stray) != stray; i++) poll(NULL, 0, 10);
    assert_int_equal(getsid(stray), stray);
    uint64_t start_ms = clock_now_ms(r.clock);
    pool_drain(r.pool);
    assert_true(loop_run_until(r.loop, on_empty, &r, 10000));
    assert_in_range(clock_now_ms(r.clock) - start_ms, 990, 5000);
    assert_non_null(strstr(rig_log(&r), "output left open"));
    assert_true(process_is_there(stray));
    kill(stray, SIGKILL);
    rig_close(&r);
}

static void who_ignores_sigterm_is_killed(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    await_log(&r, "line=deaf");
    uint64_t start_ms = clock_now_ms(r.clock);
    pool_drain(r.pool);
    assert_true(loop_run_until(r.loop, on_empty, &r, 10000));
    assert_in_range(clock_now_ms(r.clock) - start_ms, 290, 5000);
    assert_non_null(strstr(rig_log(&r), "killed by SIGKILL"));
    rig_close(&r);
}

struct ticker {
    struct deadline deadline;
    struct rig *rig;
    uint64_t last_ms, worst_ms, count;
};

static void on_tick(struct deadline *d) {
    struct ticker *t = container_of(d, struct ticker, deadline);
    uint64_t now_ms = clock_now_ms(t->rig->clock);
    if (now_ms - t->last_ms > t->worst_ms) t->worst_ms = now_ms - t->last_ms;
    t->last_ms = now_ms;
    t->count++;
    deadline_arm(loop_deadlines(t->rig->loop), d, now_ms + 5);
}

static void a_flood_is_read_and_bounded(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "yes 'a line of a flood that nobody will ever read' | head -c 50000000; echo done >&2; exit 3");
    struct ticker t = {.deadline.on_due = on_tick, .rig = &r, .last_ms = clock_now_ms(r.clock)};
    on_tick(&t.deadline);
    await_log(&r, "output dropped");
    await_log(&r, "exited"); /* whoever is dead has been read to the end, and its last word is in the obituary */
    assert_non_null(strstr(rig_log(&r), "done"));
    deadline_disarm(loop_deadlines(r.loop), &t.deadline);
    assert_true(t.count > 3);
    assert_in_range(t.worst_ms, 0, 500); /* others had their turns */
    assert_true(lseek(r.log_fd, 0, SEEK_END) < 4 << 20);
    rig_close(&r);
}

static void many_starts_leave_nothing_behind(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "exit 0");
    for (int i = 0; i < 3; i++) loop_run_until(r.loop, on_empty, &r, 100);
    assert_true(pool_counters(r.pool)->exits >= 1);
    rig_close(&r);
    static char missing[] = "/no/such/handler";
    rig_open(&r, "exit 0");
    r.argv[0] = missing;
    for (int i = 0; i < 3; i++) loop_run_until(r.loop, on_empty, &r, 100);
    assert_true(pool_counters(r.pool)->spawn_failures >= 1);
    assert_non_null(strstr(rig_log(&r), "cannot start /no/such/handler: No such file or directory"));
    rig_close(&r);
}

static void memory_is_measured(void **state) {
    (void)state;
    static struct rig r;
    rig_open(&r, "exec sleep 1000");
    struct worker *w = rig_worker(&r, WORKER_STARTING);
    uint64_t bytes = supervisor_launcher(r.supervisor)->memory(supervisor_launcher(r.supervisor), w);
    assert_in_range(bytes, 4096, 100 << 20);
    rig_close(&r);
}

/* The library's first loop makes a pipe that it keeps for the life of the process. */
static int warm_up(void **state) {
    (void)state;
    struct error e;
    struct clock *clock = clock_system_new();
    loop_free(loop_new(clock, &e));
    clock_system_free(clock);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exit_is_told_with_the_last_lines),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(lines_go_into_the_log),
        cmocka_unit_test(the_environment_is_clean),
        cmocka_unit_test(the_only_invocation_names_its_lines),
        cmocka_unit_test(the_group_dies_with_its_leader),
        cmocka_unit_test(a_stray_grandchild_is_waited_for_one_second),
        cmocka_unit_test(who_ignores_sigterm_is_killed),
        cmocka_unit_test(a_flood_is_read_and_bounded),
        cmocka_unit_test(many_starts_leave_nothing_behind),
        cmocka_unit_test(memory_is_measured),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
