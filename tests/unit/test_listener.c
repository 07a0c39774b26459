#include "gateway/source/listen/listener.h"
#include "tests/support/client.h"
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

struct door {
    struct clock *clock;
    struct loop *loop;
    struct listener *listener;
    char directory[64];
    char path[80];
    size_t accepted;
    struct peer peer;
};

static void on_accept(void *context, int take_fd, const struct peer *peer) {
    struct door *d = context;
    d->accepted++;
    d->peer = *peer;
    close(take_fd);
}

static int setup(void **state) {
    struct door *d = xcalloc(1, sizeof *d);
    struct error e;
    d->clock = clock_system_new();
    d->loop = loop_new(d->clock, &e);
    snprintf(d->directory, sizeof d->directory, "/tmp/test_listener.XXXXXX");
    assert_non_null(mkdtemp(d->directory));
    snprintf(d->path, sizeof d->path, "%s/s", d->directory);
    *state = d;
    return 0;
}

static int teardown(void **state) {
    struct door *d = *state;
    listener_close(d->listener);
    unlink(d->path);
    rmdir(d->directory);
    loop_free(d->loop);
    clock_system_free(d->clock);
    free(d);
    return 0;
}

static int open_tcp(struct door *d, const char *host, uint16_t port, struct error *e) {
    struct listener_config c = {.kind = LISTENER_TCP, .host = host, .port = port, .text = "where"};
    d->listener = listener_open(d->loop, &c, on_accept, d, e);
    return d->listener ? 0 : -1;
}

static struct listener *open_unix(struct door *d, struct error *e) {
    struct listener_config c = {.kind = LISTENER_UNIX, .path = d->path, .text = "where"};
    return listener_open(d->loop, &c, on_accept, d, e);
}

static int unix_socket(const char *path, int (*act)(int fd, const struct sockaddr *a, socklen_t n)) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(act(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void test_tcp(void **state) {
    struct door *d = *state;
    struct error e;
    assert_int_equal(open_tcp(d, "127.0.0.1", 0, &e), 0);
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", listener_port(d->listener));
    assert_string_equal(listener_address(d->listener), text);
    struct client *c = client_new(d->loop, listener_port(d->listener));
    wait_count(d->loop, &d->accepted, 1);
    assert_string_equal(d->peer.address, "127.0.0.1");
    assert_true(d->peer.port > 0 && !d->peer.local);
    client_free(c);
}

static void test_port_in_use_and_bad_address(void **state) {
    struct door *d = *state;
    struct error e;
    assert_int_equal(open_tcp(d, "127.0.0.1", 0, &e), 0);
    struct listener *first = d->listener;
    assert_int_equal(open_tcp(d, "127.0.0.1", listener_port(first), &e), -1);
    assert_int_equal(e.code, ERROR_SYSTEM);
    assert_non_null(strstr(e.message, "where"));
    assert_int_equal(open_tcp(d, "localhost", 0, &e), -1);
    assert_int_equal(e.code, ERROR_USAGE);
    d->listener = first;
}

static void test_unix_accepts(void **state) {
    struct door *d = *state;
    struct error e;
    d->listener = open_unix(d, &e);
    assert_non_null(d->listener);
    int fd = unix_socket(d->path, connect);
    wait_count(d->loop, &d->accepted, 1);
    assert_string_equal(d->peer.address, "unix:");
    assert_true(d->peer.local);
    close(fd);
    listener_close(d->listener);
    d->listener = NULL;
    assert_int_equal(access(d->path, F_OK), -1);
}

static void test_stale_socket_is_replaced_a_live_one_is_not(void **state) {
    struct door *d = *state;
    struct error e;
    close(unix_socket(d->path, bind));
    d->listener = open_unix(d, &e);
    assert_non_null(d->listener);
    assert_null(open_unix(d, &e));
    assert_non_null(strstr(e.message, "another process"));
    assert_int_equal(access(d->path, F_OK), 0);
}

static void test_file_is_left_alone(void **state) {
    struct door *d = *state;
    struct error e;
    FILE *file = fopen(d->path, "w");
    assert_non_null(file);
    fclose(file);
    assert_null(open_unix(d, &e));
    assert_int_equal(access(d->path, F_OK), 0);
}

static void test_pause(void **state) {
    struct door *d = *state;
    struct error e;
    assert_int_equal(open_tcp(d, "127.0.0.1", 0, &e), 0);
    listener_pause(d->listener);
    struct client *c = client_new(d->loop, listener_port(d->listener));
    run_on(d->loop, 30);
    assert_int_equal(d->accepted, 0);
    listener_resume(d->listener);
    wait_count(d->loop, &d->accepted, 1);
    client_free(c);
}

/* With no descriptor left it waits a little instead of spinning, and goes on by itself. */
static void test_no_descriptors(void **state) {
    struct door *d = *state;
    struct error e;
    assert_int_equal(open_tcp(d, "127.0.0.1", 0, &e), 0);
    struct client *c = client_new(d->loop, listener_port(d->listener));
    run_on(d->loop, 0); /* libuv opens what it needs */
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){3, before.rlim_max};
    struct client *late = client_new(d->loop, listener_port(d->listener));
    size_t accepted = d->accepted;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_on(d->loop, 50);
    assert_int_equal(d->accepted, accepted);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    wait_count(d->loop, &d->accepted, 2);
    client_free(late);
    client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_in_use_and_bad_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unix_accepts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced_a_live_one_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
