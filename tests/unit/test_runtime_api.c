/* What both faces stand on: endpoints, their environment and folder, whose connections are taken, the end. */
#include "tests/support/booth.h"
#include <sys/stat.h>
#include <sys/wait.h>

static const char *variable(struct booth *b, size_t process, const char *name) {
    const char *value = process_variable(b->processes[process], name);
    return value ? value : "(absent)";
}

static void the_environment(void **state) {
    (void)state;
    static const char *const expected[][2] = {
        {"_HANDLER", "shop"},
        {"LAMBDA_TASK_ROOT", "/tmp"},
        {"LAMBDA_RUNTIME_DIR", "/tmp"},
        {"AWS_LAMBDA_FUNCTION_NAME", "shop"},
        {"AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"},
        {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"},
        {"AWS_LAMBDA_LOG_GROUP_NAME", "/execgate/unit/shop"},
        {"AWS_LAMBDA_LOG_STREAM_NAME", "shop-1"},
        {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
        {"AWS_LAMBDA_MAX_CONCURRENCY", "(absent)"},
        {"TZ", ":UTC"},
        {"EXECGATE_APPLICATION", "unit"},
        {"EXECGATE_HANDLER", "shop"},
        {"EXECGATE_CONCURRENCY", "1"},
        {"AWS_ACCESS_KEY_ID", "(absent)"},
        {"AWS_SECRET_ACCESS_KEY", "(absent)"},
        {"AWS_SESSION_TOKEN", "(absent)"},
        {"AWS_REGION", "(absent)"},
        {"AWS_EXECUTION_ENV", "(absent)"},
        {"_LAMBDA_SERVER_PORT", "(absent)"},
    };
    struct booth b;
    char url[64];
    booth_open(&b);
    b.handler.processes.max_memory = 256 * 1024 * 1024;
    booth_build(&b);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(variable(&b, 0, expected[i][0]), expected[i][1]);
    const char *api = variable(&b, 0, "AWS_LAMBDA_RUNTIME_API");
    assert_ptr_equal(strstr(api, "127.0.0.1:"), api);
    assert_null(strchr(api, '/'));
    snprintf(url, sizeof url, "http://%s", api);
    assert_string_equal(variable(&b, 0, "EXECGATE_RUNTIME_API"), url);
    booth_close(&b);
}

static void the_handlers_time_zone_is_kept(void **state) {
    (void)state;
    struct booth b;
    struct environment_variable zone = {.name = "TZ", .value = "Europe/Paris"};
    booth_open(&b);
    b.handler.environment = &zone;
    b.handler.environment_count = 1;
    b.handler.processes.concurrency = 8;
    booth_build(&b);
    assert_string_equal(variable(&b, 0, "TZ"), "Europe/Paris");
    assert_string_equal(variable(&b, 0, "AWS_LAMBDA_MAX_CONCURRENCY"), "8");
    assert_string_equal(variable(&b, 0, "AWS_LAMBDA_INITIALIZATION_TYPE"), "lambda-managed-instances");
    booth_close(&b);
}

/* Private, and nothing is left of it. */
static void the_folder_of_the_sockets(void **state) {
    (void)state;
    struct booth b;
    struct stat st;
    char path[128];
    booth_open(&b);
    booth_build(&b);
    snprintf(path, sizeof path, "%s", variable(&b, 0, "EXECGATE_RUNTIME_SOCKET"));
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_uid, geteuid());
    booth_close(&b);
    assert_int_equal(stat(path, &st), -1);
}

/* Each process has an endpoint of its own, on both sockets. */
static void both_sockets_speak_for_the_process(void **state) {
    (void)state;
    struct booth b;
    booth_open(&b);
    b.handler.processes.min = b.handler.processes.max = 2;
    booth_build(&b);
    for (size_t i = 0; i < 2; i++) {
        char worker[32];
        snprintf(worker, sizeof worker, "\"worker\":%zu", i + 1);
        struct client *tcp = booth_dial(&b, i), *local = booth_dial_local(&b, i);
        client_get(tcp, "/v1/config");
        client_expect_reply(tcp, 200, worker);
        client_get(local, "/v1/config");
        client_expect_reply(local, 200, worker);
        client_free(tcp);
        client_free(local);
    }
    booth_close(&b);
}

/* Becomes another user and tries to take an event. */
static int try_as_somebody_else(uint16_t port) {
    char bytes[256];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (setgid(54321) < 0 || setuid(54321) < 0) return 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) return 3;
    static const char ask[] = "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) < 0) return 0;
    return recv(fd, bytes, sizeof bytes, 0) > 0 ? 1 : 0;
}

struct child {
    pid_t pid;
    int status;
    bool ended;
};

static bool child_has_ended(void *context) {
    struct child *c = context;
    if (!c->ended) c->ended = waitpid(c->pid, &c->status, WNOHANG) == c->pid;
    return c->ended;
}

static void another_users_process_is_refused(void **state) {
    (void)state;
    struct booth b;
    if (geteuid() != 0) skip();
    booth_open(&b);
    booth_build(&b);
    struct client *own = booth_dial(&b, 0); /* its ticker keeps the loop going */
    uint16_t port = (uint16_t)atoi(strchr(variable(&b, 0, "AWS_LAMBDA_RUNTIME_API"), ':') + 1);
    struct child c = {.pid = fork()};
    if (c.pid == 0) _exit(try_as_somebody_else(port));
    assert_true(loop_run_until(b.loop, child_has_ended, &c, WAIT_MS));
    assert_true(WIFEXITED(c.status));
    assert_int_equal(WEXITSTATUS(c.status), 0);
    assert_true(booth_logged(&b, "another user's process"));
    client_get(own, "/2018-06-01/ping");
    client_expect_reply(own, 200, "pong");
    client_free(own);
    booth_close(&b);
}

/* With uploads, streams and polls of every kind open. */
static void a_process_that_is_killed_in_the_middle_of_everything(void **state) {
    (void)state;
    static const char *const openings[] = {
        "GET /v1/next HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/exchange?max=3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /v1/exchange?max=3 HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200",
        "POST /v1/exchange?max=3 HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200 "
        "OK\r\nExecgate-Invocation-Id: x\r\n"
        "Content-Length: 100\r\n\r\nsome",
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
        "GET /2018-06-01/",
    };
    struct booth b;
    struct client *clients[ARRAY_LEN(openings)];
    booth_open(&b);
    b.handler.processes.concurrency = 8;
    booth_build(&b);
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        clients[i] = i % 2 ? booth_dial(&b, 0) : booth_dial_local(&b, 0);
        client_send(clients[i], openings[i]);
    }
    run_on(b.loop, 20);
    process_end(b.processes[0], SIGKILL);
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        client_expect_end(clients[i]);
        assert_int_equal(clients[i]->in.n, 0);
        client_free(clients[i]);
    }
    booth_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment),
        cmocka_unit_test(the_handlers_time_zone_is_kept),
        cmocka_unit_test(the_folder_of_the_sockets),
        cmocka_unit_test(both_sockets_speak_for_the_process),
        cmocka_unit_test(another_users_process_is_refused),
        cmocka_unit_test(a_process_that_is_killed_in_the_middle_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
