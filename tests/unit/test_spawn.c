/* Real processes: what they inherit, what they do not, and why they cannot be started. */
#include "gateway/base/memory.h"
#include "gateway/pool/spawn.h"
#include "tests/support/process_check.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *const no_environment[] = {NULL};

struct run {
    struct spawn_request request;
    struct spawn_result result;
    struct error error;
    char output[8192];
    int exit_code; /* -1 when it was killed */
};

static struct run run_of(char *const *argv) {
    struct run r = {.request = {.argv = argv, .environment = no_environment, .directory = "/", .inherited_fd = -1}};
    return r;
}

static void run_wait(struct run *r) {
    siginfo_t info;
    assert_int_equal(waitid(P_PIDFD, (id_t)r->result.pidfd, &info, WEXITED), 0);
    assert_int_equal(info.si_pid, r->result.pid);
    r->exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    close(r->result.pidfd);
}

static void read_all(int fd, char *text, size_t size) {
    size_t n = 0;
    for (ssize_t got; (got = read(fd, text + n, size - 1 - n)) > 0;) n += (size_t)got;
    text[n] = '\0';
}

/* Runs it to its end with its output in r->output. */
static int run(struct run *r) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r->request.stdin_fd = null;
    r->request.stdout_fd = r->request.stderr_fd = ends[1];
    int status = spawn_process(&r->request, &r->result, &r->error);
    close(ends[1]);
    close(null);
    if (status == 0) {
        read_all(ends[0], r->output, sizeof r->output);
        run_wait(r);
    }
    close(ends[0]);
    return status;
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})
#define SHELL(script) ARGV((char *)"/bin/sh", (char *)"-c", (char *)(script))

static void the_environment_is_what_was_given(void **state) {
    (void)state;
    setenv("LEAK", "1", 1);
    struct run r = run_of(ARGV((char *)"/usr/bin/env"));
    r.request.environment = ARGV((char *)"A=1", (char *)"B=two words");
    assert_int_equal(run(&r), 0);
    assert_string_equal(r.output, "A=1\nB=two words\n");
    assert_int_equal(r.exit_code, 0);
}

static void arguments_directory_and_exit_code(void **state) {
    (void)state;
    struct run r = run_of(
        ARGV((char *)"/bin/sh", (char *)"-c", (char *)"pwd; echo \"$0|$1\"; exit 7", (char *)"a b", (char *)""));
    r.request.directory = "/usr";
    assert_int_equal(run(&r), 0);
    assert_string_equal(r.output, "/usr\na b|\n");
    assert_int_equal(r.exit_code, 7);
}

static void a_bare_name_is_found_on_its_path(void **state) {
    (void)state;
    struct run r = run_of(ARGV((char *)"true"));
    r.request.environment = ARGV((char *)"PATHS=/x", (char *)"PATH=/nowhere::/usr/bin:/bin");
    assert_int_equal(run(&r), 0);
    assert_int_equal(r.exit_code, 0);
    r.request.environment = ARGV((char *)"PATH=/nowhere");
    assert_int_equal(run(&r), -ERROR_SYSTEM);
    assert_string_equal(r.error.message, "cannot start true: no such executable on PATH");
}

static void only_its_descriptors_are_open(void **state) {
    (void)state;
    int stray = dup(2); /* without close-on-exec */
    assert_int_equal(fcntl(2, F_DUPFD, 200), 200);
    struct run r = run_of(ARGV((char *)"/bin/ls", (char *)"-1", (char *)"/proc/self/fd"));
    assert_int_equal(run(&r), 0);
    assert_string_equal(r.output, "0\n1\n2\n3\n"); /* 3 is ls reading the directory */
    r.request.inherited_fd = 200;
    assert_int_equal(run(&r), 0);
    assert_string_equal(r.output, "0\n1\n2\n3\n4\n");
    close(stray);
    close(200);
}

static void a_socket_is_passed_as_systemd_does(void **state) {
    (void)state;
    struct run r = run_of(SHELL("echo $LISTEN_FDS; test $LISTEN_PID = $$ && echo mine; cat <&3"));
    r.request.environment = ARGV((char *)"PATH=/usr/bin:/bin");
    r.request.inherited_fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    assert_true(r.request.inherited_fd >= 0);
    assert_int_equal(run(&r), 0);
    assert_int_equal(strncmp(r.output, "1\nmine\n", 7), 0);
    assert_int_equal(r.exit_code, 0);
    close(r.request.inherited_fd);
}

static void signals_are_as_at_birth(void **state) {
    (void)state;
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigprocmask(SIG_BLOCK, &some, &before);
    signal(SIGPIPE, SIG_IGN);
    struct run r = run_of(ARGV((char *)"/bin/grep", (char *)"-E", (char *)"Sig(Blk|Ign)", (char *)"/proc/self/status"));
    assert_int_equal(run(&r), 0);
    assert_string_equal(r.output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGUSR1)); /* ours are as before */
    assert_false(sigismember(&now, SIGTERM));
}

static void it_leads_its_own_group(void **state) {
    (void)state;
    struct run r = run_of(SHELL("kill -STOP $$"));
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    r.request.stdin_fd = r.request.stdout_fd = r.request.stderr_fd = null;
    assert_int_equal(spawn_process(&r.request, &r.result, &r.error), 0);
    assert_int_equal(getpgid(r.result.pid), r.result.pid);
    assert_int_equal(fcntl(r.result.pidfd, F_GETFD), FD_CLOEXEC);
    kill(-r.result.pid, SIGKILL);
    run_wait(&r);
    assert_int_equal(r.exit_code, -1);
    close(null);
}

static void check_refused(char *const *argv, const char *directory, const char *message) {
    struct run r = run_of(argv);
    r.request.directory = directory;
    assert_int_equal(run(&r), -ERROR_SYSTEM);
    assert_string_equal(r.error.message, message);
}

static void write_file(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    char directory[] = "/tmp/spawn-XXXXXX";
    char path[64], message[256];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/handler", directory);
    snprintf(message, sizeof message, "cannot start %s: No such file or directory", path);
    check_refused(ARGV(path), "/", message);
    write_file(path, "#!/bin/sh\n", 0600);
    snprintf(message, sizeof message, "cannot start %s: Permission denied (is it executable? chmod +x)", path);
    check_refused(ARGV(path), "/", message);
    write_file(path, "#!/no/such/interpreter\n", 0700);
    snprintf(message, sizeof message,
             "cannot start %s: No such file or directory (it is there: is the interpreter of its first line?)", path);
    check_refused(ARGV(path), "/", message);
    write_file(path, "echo no first line\n", 0700);
    snprintf(message, sizeof message, "cannot start %s: Exec format error (a script needs a first line like #!/bin/sh)",
             path);
    check_refused(ARGV(path), "/", message);
    check_refused(
        SHELL(":"), "/no/such/directory",
        "cannot start /bin/sh: cannot enter the working directory /no/such/directory: No such file or directory");
    unlink(path);
    rmdir(directory);
}

/* A gateway that was itself started without stdin: its pipes have the very numbers that are to be filled. */
static void crowded_low_descriptors(void **state) {
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct run r = run_of(SHELL("read line; test \"$line\" = in && echo out && echo err >&2"));
        int in[2], out[2], err[2];
        close(0), close(1), close(2);
        if (pipe(in) || pipe(err) || pipe(out)) _exit(1);
        r.request.stdin_fd = in[0], r.request.stdout_fd = out[1], r.request.stderr_fd = err[1];
        if (write(in[1], "in\n", 3) != 3 || spawn_process(&r.request, &r.result, &r.error) < 0) _exit(2);
        close(out[1]), close(err[1]);
        read_all(out[0], r.output, sizeof r.output);
        if (strcmp(r.output, "out\n") != 0) _exit(3);
        read_all(err[0], r.output, sizeof r.output);
        _exit(strcmp(r.output, "err\n") == 0 ? 0 : 4);
    }
    int wait_status;
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
}

static _Noreturn void be_a_gateway(int tell) {
    struct run r = run_of(ARGV((char *)"/bin/sleep", (char *)"1000"));
    r.request.stdin_fd = r.request.stdout_fd = r.request.stderr_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (spawn_process(&r.request, &r.result, &r.error) < 0) _exit(1);
    if (write(tell, &r.result.pid, sizeof r.result.pid) != sizeof r.result.pid) _exit(2);
    for (;;) pause();
}

static void it_dies_with_the_gateway(void **state) {
    (void)state;
    int ends[2], handler;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t gateway = fork();
    assert_true(gateway >= 0);
    if (gateway == 0) be_a_gateway(ends[1]);
    assert_int_equal(read(ends[0], &handler, sizeof handler), sizeof handler);
    assert_true(process_is_there(handler));
    kill(gateway, SIGKILL);
    assert_int_equal(waitpid(gateway, NULL, 0), gateway);
    for (int i = 0; i < 500 && process_is_there(handler); i++) poll(NULL, 0, 10);
    assert_false(process_is_there(handler));
    close(ends[0]);
    close(ends[1]);
}

static void nothing_is_left_behind(void **state) {
    (void)state;
    int before = open_descriptors();
    for (int i = 0; i < 20; i++) {
        struct run ok = run_of(ARGV((char *)"/bin/true"));
        assert_int_equal(run(&ok), 0);
        struct run bad = run_of(ARGV((char *)"/no/such/file"));
        assert_int_equal(run(&bad), -ERROR_SYSTEM);
    }
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_is_what_was_given),
        cmocka_unit_test(arguments_directory_and_exit_code),
        cmocka_unit_test(a_bare_name_is_found_on_its_path),
        cmocka_unit_test(only_its_descriptors_are_open),
        cmocka_unit_test(a_socket_is_passed_as_systemd_does),
        cmocka_unit_test(signals_are_as_at_birth),
        cmocka_unit_test(it_leads_its_own_group),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(crowded_low_descriptors),
        cmocka_unit_test(it_dies_with_the_gateway),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
