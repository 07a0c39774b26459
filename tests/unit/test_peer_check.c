/* Who is at the other end: on Unix sockets, by socket diagnostics, and by /proc. */
#include "local-api/peer_check.h"
#include "tests/unit/unit.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOMEBODY_ELSE 54321

struct pair {
    int listener, client, accepted;
};

static int listen_on_loopback(struct sockaddr_in *at) {
    socklen_t size = sizeof *at;
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &size), 0);
    return fd;
}

static struct pair connect_pair(void) {
    struct sockaddr_in at;
    struct pair p = {.listener = listen_on_loopback(&at), .client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(p.client, (struct sockaddr *)&at, sizeof at), 0);
    p.accepted = accept(p.listener, NULL, NULL);
    assert_true(p.accepted >= 0);
    return p;
}

/* As Java and others do it: an IPv6 socket that speaks to an IPv4 address. */
static struct pair connect_mapped_pair(void) {
    struct sockaddr_in at;
    struct pair p = {.listener = listen_on_loopback(&at), .client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = at.sin_port};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    if (p.client < 0 || connect(p.client, (struct sockaddr *)&mapped, sizeof mapped) < 0) {
        close(p.listener);
        p.listener = -1;
        return p;
    }
    p.accepted = accept(p.listener, NULL, NULL);
    return p;
}

static void close_pair(struct pair *p) {
    close(p->listener);
    close(p->client);
    close(p->accepted);
}

static void own_connections_are_known(void **state) {
    (void)state;
    struct peer_check *check = peer_check_new();
    struct pair p = connect_pair();
    uid_t owner = SOMEBODY_ELSE;
    assert_true(peer_is_user(check, p.accepted, geteuid()));
    assert_false(peer_is_user(check, p.accepted, SOMEBODY_ELSE));
    assert_true(peer_owner_from_proc(p.accepted, &owner));
    assert_int_equal(owner, geteuid());
    owner = SOMEBODY_ELSE;
    if (peer_owner_from_diagnostics(check, p.accepted, &owner)) assert_int_equal(owner, geteuid());
    close_pair(&p);
    peer_check_free(check);
}

static void mapped_addresses_are_known(void **state) {
    (void)state;
    struct pair p = connect_mapped_pair();
    uid_t owner = SOMEBODY_ELSE;
    if (p.listener < 0) skip(); /* no IPv6 here */
    struct peer_check *check = peer_check_new();
    assert_true(peer_is_user(check, p.accepted, geteuid()));
    assert_true(peer_owner_from_proc(p.accepted, &owner));
    assert_int_equal(owner, geteuid());
    close_pair(&p);
    peer_check_free(check);
}

static void unix_sockets_tell_by_themselves(void **state) {
    (void)state;
    int ends[2];
    struct peer_check *check = peer_check_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(peer_is_user(check, ends[0], geteuid()));
    assert_false(peer_is_user(check, ends[0], SOMEBODY_ELSE));
    close(ends[0]);
    close(ends[1]);
    peer_check_free(check);
}

/* What cannot be found out counts as somebody else. */
static void unknown_peers_are_refused(void **state) {
    (void)state;
    struct peer_check *check = peer_check_new();
    uid_t owner;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_false(peer_is_user(check, fd, geteuid()));
    assert_false(peer_is_user(check, -1, geteuid()));
    assert_false(peer_owner_from_diagnostics(check, fd, &owner));
    assert_false(peer_owner_from_proc(fd, &owner));
    close(fd);
    peer_check_free(check);
}

/* Another user's process, where this test may become one. */
static int connect_as_somebody_else(const struct sockaddr_in *at, int hold) {
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (setgid(SOMEBODY_ELSE) < 0 || setuid(SOMEBODY_ELSE) < 0) return 1;
    /* The socket belongs to whoever made it: a new one. */
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)at, sizeof *at) < 0) return 1;
    return read(hold, &byte, 1) < 0;
}

static void another_users_connection_is_refused(void **state) {
    (void)state;
    struct sockaddr_in at;
    int hold[2];
    uid_t owner = 0;
    if (geteuid() != 0) skip();
    int listener = listen_on_loopback(&at);
    assert_int_equal(pipe(hold), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        _exit(connect_as_somebody_else(&at, hold[0]));
    }
    close(hold[0]);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    struct peer_check *check = peer_check_new();
    assert_false(peer_is_user(check, accepted, geteuid()));
    assert_true(peer_is_user(check, accepted, SOMEBODY_ELSE));
    assert_true(peer_owner_from_proc(accepted, &owner));
    assert_int_equal(owner, SOMEBODY_ELSE);
    close(hold[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(accepted);
    close(listener);
    peer_check_free(check);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_connections_are_known),           cmocka_unit_test(mapped_addresses_are_known),
        cmocka_unit_test(unix_sockets_tell_by_themselves),     cmocka_unit_test(unknown_peers_are_refused),
        cmocka_unit_test(another_users_connection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
