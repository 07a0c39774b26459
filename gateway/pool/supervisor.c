#include "gateway/pool/supervisor.h"
#include "gateway/pool/output.h"
#include "gateway/pool/spawn.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024) /* a pipe holds as much; one read per event keeps the loop fair */
#define LAST_READS 16         /* after the exit: what the pipe still holds, and no more */
#define LINGER_MS 1000        /* for output that grandchildren hold open */

struct supervisor {
    struct launcher launcher;
    struct loop *loop;
    struct log *log;
    struct list processes; /* until they are released */
    size_t alive;          /* not yet reaped */
    char read[READ_SIZE];
};

/* One of a process's two pipes. */
struct pipe_end {
    struct process *process;
    const char *name;
    bool is_stderr;
    int fd; /* -1 = closed, or never captured */
    struct watch *watch;
    struct output_cutter cutter;
};

struct process {
    struct list_node node;
    struct supervisor *supervisor;
    struct worker *worker;
    int pid;
    int pidfd;
    struct watch *exit_watch;
    struct turn_task exit_task;
    bool exited, output_closed; /* the worker was told */
    struct pipe_end out, err;
    struct output_budget budget;
    struct output_tail tail;
    struct deadline report; /* of dropped lines, at the end of their second */
    struct deadline linger;
};

/* --- lines --- */

/* Known only when the process holds exactly one, or was started for one; what that prints may be read after its answer.
 */
static struct slice process_invocation(const struct process *p) {
    const struct list *running = &p->worker->running;
    if (p->worker->deferred) return slice_make(p->worker->only_id, sizeof p->worker->only_id);
    if (running->length != 1) return SLICE_NONE;
    return invocation_id(list_entry(list_first(running), struct invocation, node));
}

static void process_report_dropped(struct process *p) {
    uint64_t lines, bytes;
    if (!output_take_dropped(&p->budget, &lines, &bytes)) return;
    log_event(p->supervisor->log, LOG_WARN, "output dropped", LOG_TEXT("handler", p->worker->handler->name),
              LOG_INT("pid", p->pid), LOG_INT("lines", lines), LOG_INT("bytes", bytes));
}

static void on_report_due(struct deadline *d) {
    process_report_dropped(container_of(d, struct process, report));
}

/* To those who want to know more than the log tells. */
static void process_tell_line(struct process *p, enum output_stream stream, struct slice line) {
    const struct pool_host *host = pool_host_of(p->worker->pool);
    if (host->on_output) host->on_output(host->output_context, p->worker, stream, line);
    list_each (&p->worker->running, node) {
        struct invocation *inv = list_entry(node, struct invocation, node);
        if (inv->source->output) inv->source->output(inv, line);
    }
}

static void on_line(void *context, struct slice line) {
    struct pipe_end *end = context;
    struct process *p = end->process;
    struct loop *loop = p->supervisor->loop;
    if (line.n == 0) return;
    process_tell_line(p, end->is_stderr ? OUTPUT_STDERR : OUTPUT_STDOUT, line);
    if (end->is_stderr) output_tail_add(&p->tail, line);
    uint64_t now_ms = clock_now_ms(loop_clock(loop));
    if (!output_afford(&p->budget, now_ms, line.n)) {
        if (!deadline_armed(&p->report))
            deadline_arm(loop_deadlines(loop), &p->report, p->budget.window_ms + OUTPUT_WINDOW_MS);
        return;
    }
    log_event(p->supervisor->log, LOG_INFO, "output", LOG_TEXT("handler", p->worker->handler->name),
              LOG_SLICE("line", line), LOG_TEXT("stream", end->name), LOG_INT("pid", p->pid),
              LOG_SLICE("invocation", process_invocation(p)));
}

/* --- pipes --- */

static void pipe_close(struct pipe_end *end) {
    if (end->fd < 0) return;
    output_cut_end(&end->cutter, on_line, end);
    watch_close(end->watch);
    end->watch = NULL;
    close(end->fd);
    end->fd = -1;
}

static void process_check_output(struct process *p) {
    if (p->output_closed || p->out.fd >= 0 || p->err.fd >= 0) return;
    p->output_closed = true;
    deadline_disarm(loop_deadlines(p->supervisor->loop), &p->linger);
    worker_output_closed(p->worker);
}

/* True when there may be more. */
static bool pipe_read(struct pipe_end *end) {
    struct supervisor *s = end->process->supervisor;
    if (end->fd < 0) return false;
    ssize_t n = read(end->fd, s->read, sizeof s->read);
    if (n > 0) {
        output_cut(&end->cutter, slice_make(s->read, (size_t)n), on_line, end);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    pipe_close(end);
    return false;
}

static void on_pipe_event(void *context, unsigned events) {
    struct pipe_end *end = context;
    (void)events;
    pipe_read(end);
    process_check_output(end->process);
}

static void on_linger_due(struct deadline *d) {
    struct process *p = container_of(d, struct process, linger);
    log_event(p->supervisor->log, LOG_INFO, "output left open", LOG_TEXT("handler", p->worker->handler->name),
              LOG_INT("pid", p->pid),
              LOG_TEXT("why", "a process that it started still holds stdout or stderr; no longer read"));
    pipe_close(&p->out);
    pipe_close(&p->err);
    process_check_output(p);
}

/* --- exit --- */

static int wait_status_of(const siginfo_t *info) {
    if (info->si_code == CLD_EXITED) return info->si_status << 8;
    return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* The dead leader's number stays taken until it is reaped, so its group is still its own here. */
static bool process_reap(struct process *p, int *wait_status) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return false;
    kill(-p->pid, SIGKILL);
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) < 0) return false;
    *wait_status = wait_status_of(&info);
    return true;
}

static void pipe_read_rest(struct pipe_end *end) {
    for (int i = 0; i < LAST_READS && pipe_read(end); i++) {
    }
}

static void process_watch_linger(struct process *p) {
    struct loop *loop = p->supervisor->loop;
    if (p->out.fd < 0 && p->err.fd < 0) return;
    deadline_arm(loop_deadlines(loop), &p->linger, clock_now_ms(loop_clock(loop)) + LINGER_MS);
}

static void on_exit_task(struct turn_task *task) {
    struct process *p = container_of(task, struct process, exit_task);
    int wait_status;
    if (!process_reap(p, &wait_status)) {
        watch_set(p->exit_watch, WATCH_READ);
        return;
    }
    watch_close(p->exit_watch);
    p->exit_watch = NULL;
    p->exited = true;
    p->supervisor->alive--;
    /* Its last words belong to the invocation that it still holds. */
    pipe_read_rest(&p->out);
    pipe_read_rest(&p->err);
    process_watch_linger(p);
    worker_exited(p->worker, wait_status);
    process_check_output(p);
}

/* Later in the turn than the connections on which its last answer may just have come. */
static void on_exit_event(void *context, unsigned events) {
    struct process *p = context;
    (void)events;
    watch_set(p->exit_watch, 0);
    turn_add(loop_turn(p->supervisor->loop), &p->exit_task);
}

/* --- start --- */

struct stdio {
    int in, out, err;       /* the process's */
    int read_out, read_err; /* ours */
};

static int stdio_pipe(int *write_end, int *read_end, struct error *e) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return error_set_errno(e, errno, "cannot make a pipe for a handler's output");
    *read_end = ends[0];
    *write_end = ends[1];
    fcntl(*read_end, F_SETFL, O_NONBLOCK);
    return 0;
}

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Takes the launch's descriptors over. */
static int stdio_open(struct stdio *io, struct launch *launch, struct error *e) {
    *io = (struct stdio){launch->stdin_fd, launch->stdout_fd, -1, -1, -1};
    launch->stdin_fd = launch->stdout_fd = -1;
    if (io->in < 0) io->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (io->in < 0) return error_set_errno(e, errno, "cannot open /dev/null");
    if (io->out < 0 && stdio_pipe(&io->out, &io->read_out, e) < 0) return -ERROR_SYSTEM;
    return stdio_pipe(&io->err, &io->read_err, e);
}

static void stdio_close_theirs(struct stdio *io) {
    close_fd(&io->in);
    close_fd(&io->out);
    close_fd(&io->err);
}

static void stdio_close(struct stdio *io) {
    stdio_close_theirs(io);
    close_fd(&io->read_out);
    close_fd(&io->read_err);
}

static int spawn_for(const struct launch *launch, const struct stdio *io, struct spawn_result *result,
                     struct error *e) {
    char **environment = launch_environment(launch);
    struct spawn_request request = {
        .argv = launch->argv,
        .environment = environment,
        .directory = launch->directory,
        .stdin_fd = io->in,
        .stdout_fd = io->out,
        .stderr_fd = io->err,
        .inherited_fd = launch->inherited_fd,
    };
    int status = spawn_process(&request, result, e);
    free(environment);
    return status;
}

static void pipe_watch(struct process *p, struct pipe_end *end, int *take_fd) {
    end->process = p;
    end->fd = *take_fd;
    *take_fd = -1;
    if (end->fd < 0) return;
    end->watch = watch_open(p->supervisor->loop, end->fd, on_pipe_event, end);
    if (end->watch) watch_set(end->watch, WATCH_READ);
}

static struct process *process_new(struct supervisor *s, struct worker *w, const struct spawn_result *spawned,
                                   struct stdio *io) {
    struct process *p = xcalloc(1, sizeof *p);
    p->supervisor = s;
    p->worker = w;
    p->pid = spawned->pid;
    p->pidfd = spawned->pidfd;
    p->exit_task = (struct turn_task){.phase = TURN_DISPATCH, .run = on_exit_task};
    p->report.on_due = on_report_due;
    p->linger.on_due = on_linger_due;
    p->out.name = "stdout";
    p->err.name = "stderr";
    p->err.is_stderr = true;
    pipe_watch(p, &p->out, &io->read_out);
    pipe_watch(p, &p->err, &io->read_err);
    p->exit_watch = watch_open(s->loop, p->pidfd, on_exit_event, p);
    if (p->exit_watch) watch_set(p->exit_watch, WATCH_READ);
    list_push(&s->processes, &p->node);
    s->alive++;
    return p;
}

static bool process_is_watched(const struct process *p) {
    return p->exit_watch && p->err.watch && (p->out.fd < 0 || p->out.watch);
}

static void process_free(struct process *p) {
    struct loop *loop = p->supervisor->loop;
    pipe_close(&p->out); /* may still log a line, or arm the report */
    pipe_close(&p->err);
    process_report_dropped(p);
    deadline_disarm(loop_deadlines(loop), &p->report);
    deadline_disarm(loop_deadlines(loop), &p->linger);
    turn_remove(&p->exit_task);
    watch_close(p->exit_watch);
    close(p->pidfd);
    list_remove(&p->node);
    free(p);
}

/* For a process that cannot be watched: it must not stay. */
static int process_give_up(struct process *p, struct error *e) {
    siginfo_t info;
    kill(-p->pid, SIGKILL);
    while (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
    p->supervisor->alive--;
    process_free(p);
    return error_set(e, ERROR_SYSTEM, "cannot watch a handler's process");
}

static int on_start(struct launcher *l, struct worker *w, struct launch *launch, struct error *e) {
    struct supervisor *s = container_of(l, struct supervisor, launcher);
    struct spawn_result spawned;
    struct stdio io;
    int status = stdio_open(&io, launch, e);
    if (status == 0) status = spawn_for(launch, &io, &spawned, e);
    launch_discard(launch);
    if (status < 0) {
        stdio_close(&io);
        return status;
    }
    stdio_close_theirs(&io);
    struct process *p = process_new(s, w, &spawned, &io);
    if (!process_is_watched(p)) return process_give_up(p, e);
    w->process = p;
    w->pid = p->pid;
    return 0;
}

/* --- the rest of the launcher --- */

static void on_signal(struct launcher *l, struct worker *w, int signal_number) {
    (void)l;
    if (w->process && !w->process->exited) kill(-w->process->pid, signal_number);
}

static uint64_t on_memory(struct launcher *l, struct worker *w) {
    char path[48];
    unsigned long pages = 0;
    (void)l;
    if (!w->process || w->process->exited) return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", w->process->pid);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void on_last_lines(struct launcher *l, struct worker *w, struct buf *out) {
    (void)l;
    if (w->process) output_tail_write(&w->process->tail, out);
}

/* The end of a pipe is left to its own event: somebody has the worker in hand. */
static void pipe_read_now(struct pipe_end *end) {
    char bytes[4096];
    for (int i = 0; i < LAST_READS && end->fd >= 0; i++) {
        ssize_t n = read(end->fd, bytes, sizeof bytes);
        if (n <= 0) return;
        output_cut(&end->cutter, slice_make(bytes, (size_t)n), on_line, end);
    }
}

static void on_read_output(struct launcher *l, struct worker *w) {
    (void)l;
    if (!w->process) return;
    pipe_read_now(&w->process->out);
    pipe_read_now(&w->process->err);
}

static void on_release(struct launcher *l, struct worker *w) {
    (void)l;
    assert(w->process->exited);
    process_free(w->process);
    w->process = NULL;
}

struct supervisor *supervisor_new(struct loop *l, struct log *log) {
    struct supervisor *s = xcalloc(1, sizeof *s);
    s->launcher = (struct launcher){on_start, on_signal, on_memory, on_last_lines, on_release, on_read_output};
    s->loop = l;
    s->log = log;
    list_init(&s->processes);
    return s;
}

struct launcher *supervisor_launcher(struct supervisor *s) {
    return &s->launcher;
}

size_t supervisor_processes(const struct supervisor *s) {
    return s->alive;
}

void supervisor_free(struct supervisor *s) {
    if (!s) return;
    assert(list_empty(&s->processes));
    free(s);
}
