#include "gateway/pool/spawn.h"
#include "gateway/base/memory.h"
#include "gateway/base/slice.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FDS 4       /* 0-2, and 3 when one is inherited */
#define FIRST_SPARE_FD 10 /* above all the places that are filled */
#define EXIT_SPAWN 127
#define LISTEN_PID_SIZE sizeof "LISTEN_PID=4294967295"

enum spawn_step { SPAWN_DESCRIPTORS, SPAWN_DIRECTORY, SPAWN_EXEC };

/* Made before the vfork; the child fills `step` and `errnum` in the memory that it shares with us. */
struct spawn_plan {
    const struct spawn_request *request;
    char path[PATH_MAX];
    char **environment;
    char listen_pid[LISTEN_PID_SIZE];
    int parent_pid;
    volatile enum spawn_step step;
    volatile int errnum;
};

/* --- before the vfork --- */

static const char *environment_get(char *const *environment, const char *name) {
    size_t n = strlen(name);
    for (; *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=') return *environment + n + 1;
    return "";
}

static bool is_executable(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

static int plan_path(struct spawn_plan *plan, struct error *e) {
    const char *name = plan->request->argv[0];
    if (strchr(name, '/')) {
        if (strlen(name) >= sizeof plan->path) return error_set_errno(e, ENAMETOOLONG, "cannot start %.200s...", name);
        strcpy(plan->path, name);
        return 0;
    }
    struct slice rest = slice_of(environment_get(plan->request->environment, "PATH"));
    struct slice directory;
    while (slice_next(&rest, ':', &directory)) {
        int n = snprintf(plan->path, sizeof plan->path, SLICE_FMT "/%s", SLICE_ARG(directory), name);
        if (directory.n > 0 && n > 0 && (size_t)n < sizeof plan->path && is_executable(plan->path)) return 0;
    }
    return error_set(e, ERROR_SYSTEM, "cannot start %s: no such executable on PATH", name);
}

/* The request's variables, and those of socket activation (sd_listen_fds(3)). */
static void plan_environment(struct spawn_plan *plan) {
    char *const *given = plan->request->environment;
    size_t count = 0;
    while (given[count]) count++;
    plan->environment = xcalloc(count + 3, sizeof *plan->environment);
    memcpy(plan->environment, given, count * sizeof *given);
    if (plan->request->inherited_fd < 0) return;
    strcpy(plan->listen_pid, "LISTEN_PID=");
    plan->environment[count] = plan->listen_pid;
    plan->environment[count + 1] = (char *)"LISTEN_FDS=1";
}

/* --- in the child, on its parent's memory: only async-signal-safe calls --- */

/* By the system call itself: the library's function leaves out the two signals that it keeps for itself, and who
 * started us may have ignored those too. All zeros is SIG_DFL without flags. */
static void child_signals(void) {
    static const char standard[64];
    sigset_t none;
    for (long s = 1; s < NSIG; s++) syscall(SYS_rt_sigaction, s, standard, NULL, (NSIG - 1) / CHAR_BIT);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* By way of high numbers, because any of ours may have one of the places. */
static int child_descriptors(const struct spawn_request *r) {
    const int given[CHILD_FDS] = {r->stdin_fd, r->stdout_fd, r->stderr_fd, r->inherited_fd};
    int spare[CHILD_FDS];
    unsigned count = r->inherited_fd >= 0 ? CHILD_FDS : CHILD_FDS - 1;
    for (unsigned i = 0; i < count; i++)
        if ((spare[i] = fcntl(given[i], F_DUPFD, FIRST_SPARE_FD)) < 0) return -1;
    for (unsigned i = 0; i < count; i++)
        if (dup2(spare[i], (int)i) < 0) return -1;
    /* Kernels before 5.9 lack it; then close-on-exec has to do, but not for the spare ones. */
    if (close_range(count, ~0U, 0) == 0) return 0;
    for (unsigned i = 0; i < count; i++) close(spare[i]);
    return 0;
}

static void child_listen_pid(struct spawn_plan *plan) {
    char digits[10];
    int n = 0;
    char *at = plan->listen_pid + strlen(plan->listen_pid);
    for (int pid = getpid(); pid > 0; pid /= 10) digits[n++] = (char)('0' + pid % 10);
    while (n > 0) *at++ = digits[--n];
    *at = '\0';
}

static _Noreturn void child_fail(struct spawn_plan *plan) {
    plan->errnum = errno;
    _exit(EXIT_SPAWN);
}

static _Noreturn void child_run(struct spawn_plan *plan) {
    const struct spawn_request *r = plan->request;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have died before that. */
    if (getppid() != plan->parent_pid) _exit(EXIT_SPAWN);
    plan->step = SPAWN_DESCRIPTORS;
    if (child_descriptors(r) < 0) child_fail(plan);
    plan->step = SPAWN_DIRECTORY;
    if (chdir(r->directory) < 0) child_fail(plan);
    plan->step = SPAWN_EXEC;
    if (r->inherited_fd >= 0) child_listen_pid(plan);
    child_signals();
    execve(plan->path, r->argv, plan->environment);
    child_fail(plan);
}

/* --- after it --- */

static const char *exec_hint(const struct spawn_plan *plan) {
    switch (plan->errnum) {
    case EACCES: return " (is it executable? chmod +x)";
    case ENOEXEC: return " (a script needs a first line like #!/bin/sh)";
    case ENOENT: return access(plan->path, F_OK) == 0 ? " (it is there: is the interpreter of its first line?)" : "";
    default: return "";
    }
}

static int spawn_explain(const struct spawn_plan *plan, struct error *e) {
    const char *why = strerror(plan->errnum);
    switch (plan->step) {
    case SPAWN_DIRECTORY:
        return error_set(e, ERROR_SYSTEM, "cannot start %s: cannot enter the working directory %s: %s", plan->path,
                         plan->request->directory, why);
    case SPAWN_EXEC: return error_set(e, ERROR_SYSTEM, "cannot start %s: %s%s", plan->path, why, exec_hint(plan));
    case SPAWN_DESCRIPTORS: break;
    }
    return error_set(e, ERROR_SYSTEM, "cannot start %s: cannot set up its descriptors: %s", plan->path, why);
}

static void reap(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* Not inlined: the child runs on this function's stack frame until the exec. */
static __attribute__((noinline)) pid_t spawn_vfork(struct spawn_plan *plan) {
    sigset_t all, before;
    sigfillset(&all);
    /* A signal handler must not run in the child, on our memory. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0) child_run(plan);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = errnum;
    return pid;
}

static int spawn_run(struct spawn_plan *plan, struct spawn_result *result, struct error *e) {
    pid_t pid = spawn_vfork(plan);
    if (pid < 0) return error_set_errno(e, errno, "cannot start %s", plan->path);
    if (plan->errnum) {
        reap(pid);
        return spawn_explain(plan, e);
    }
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int errnum = errno;
        kill(-pid, SIGKILL);
        reap(pid);
        return error_set_errno(e, errnum, "cannot watch the process of %s", plan->path);
    }
    *result = (struct spawn_result){.pid = pid, .pidfd = pidfd};
    return 0;
}

int spawn_process(const struct spawn_request *request, struct spawn_result *result, struct error *e) {
    struct spawn_plan plan = {.request = request, .parent_pid = getpid()};
    int status = plan_path(&plan, e);
    if (status < 0) return status;
    plan_environment(&plan);
    status = spawn_run(&plan, result, e);
    free(plan.environment);
    return status;
}
