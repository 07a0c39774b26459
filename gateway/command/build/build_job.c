#include "gateway/command/build/build_job.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/pool/pool.h"
#include "gateway/pool/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_KEPT (64 * 1024)
#define READ_SIZE (16 * 1024)
#define LAST_READS 64 /* what a pipe holds, and no more: somebody else may still write into it */

struct build_job {
    struct loop *loop;
    int pid, pidfd;
    int output_fd;
    struct watch *exit_watch, *output_watch;
    struct buf output;
    uint64_t began_ms;
    void (*on_end)(void *context, const struct build_result *r);
    void *context;
};

static void job_free(struct build_job *j) {
    watch_close(j->exit_watch);
    watch_close(j->output_watch);
    if (j->output_fd >= 0) close(j->output_fd);
    if (j->pidfd >= 0) close(j->pidfd);
    buf_free(&j->output);
    free(j);
}

/* As read: more than 0 when there may be more, 0 at the end. */
static ssize_t output_read(struct build_job *j) {
    ssize_t n = read(j->output_fd, buf_reserve(&j->output, READ_SIZE), READ_SIZE);
    if (n > 0) j->output.n += (size_t)n;
    if (j->output.n > 2 * OUTPUT_KEPT) buf_consume(&j->output, j->output.n - OUTPUT_KEPT);
    return n;
}

static void on_output(void *context, unsigned events) {
    struct build_job *j = context;
    (void)events;
    if (output_read(j) == 0) watch_set(j->output_watch, 0);
}

static bool job_reap(struct build_job *j, int *wait_status) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)j->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0) return false;
    *wait_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    return true;
}

static void on_exit_event(void *context, unsigned events) {
    struct build_job *j = context;
    struct build_result r = {0};
    int wait_status;
    (void)events;
    if (!job_reap(j, &wait_status)) return;
    for (int reads = 0; reads < LAST_READS && output_read(j) > 0; reads++) {
    }
    r.succeeded = wait_status == 0;
    exit_describe(wait_status, r.how, sizeof r.how);
    r.output = buf_slice(&j->output);
    r.took_ms = clock_now_ms(loop_clock(j->loop)) - j->began_ms;
    j->on_end(j->context, &r);
    job_free(j);
}

static int job_spawn(struct build_job *j, const struct handler_config *h, int write_fd, struct error *e) {
    struct spawn_result spawned;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) return error_set_errno(e, errno, "cannot open /dev/null");
    const struct spawn_request request = {.argv = h->build,
                                          .environment = environ,
                                          .directory = h->working_directory,
                                          .stdin_fd = null,
                                          .stdout_fd = write_fd,
                                          .stderr_fd = write_fd,
                                          .inherited_fd = -1};
    int status = spawn_process(&request, &spawned, e);
    close(null);
    if (status < 0) return status;
    j->pid = spawned.pid;
    j->pidfd = spawned.pidfd;
    return 0;
}

static int job_open(struct build_job *j, const struct handler_config *h, struct error *e) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return error_set_errno(e, errno, "cannot make a pipe for a build");
    j->output_fd = ends[0];
    fcntl(j->output_fd, F_SETFL, O_NONBLOCK);
    int status = job_spawn(j, h, ends[1], e);
    close(ends[1]);
    return status;
}

static bool job_watch(struct build_job *j) {
    j->output_watch = watch_open(j->loop, j->output_fd, on_output, j);
    j->exit_watch = watch_open(j->loop, j->pidfd, on_exit_event, j);
    if (!j->output_watch || !j->exit_watch) return false;
    watch_set(j->output_watch, WATCH_READ);
    watch_set(j->exit_watch, WATCH_READ);
    return true;
}

struct build_job *build_job_start(struct loop *l, const struct handler_config *h,
                                  void (*on_end)(void *context, const struct build_result *r), void *context,
                                  struct error *e) {
    struct build_job *j = xcalloc(1, sizeof *j);
    *j = (struct build_job){.loop = l, .pidfd = -1, .output_fd = -1, .on_end = on_end, .context = context};
    j->began_ms = clock_now_ms(loop_clock(l));
    if (job_open(j, h, e) < 0) {
        job_free(j);
        return NULL;
    }
    if (job_watch(j)) return j;
    error_set(e, ERROR_SYSTEM, "cannot watch a build");
    build_job_cancel(j);
    return NULL;
}

void build_job_cancel(struct build_job *j) {
    siginfo_t info;
    if (!j) return;
    kill(-j->pid, SIGKILL);
    while (waitid(P_PIDFD, (id_t)j->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
    job_free(j);
}

bool build_equal(const struct handler_config *a, const struct handler_config *b) {
    if (!a->build || !b->build || strcmp(a->working_directory, b->working_directory) != 0) return false;
    size_t i = 0;
    for (; a->build[i] && b->build[i]; i++)
        if (strcmp(a->build[i], b->build[i]) != 0) return false;
    return a->build[i] == b->build[i];
}
