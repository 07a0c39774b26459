#include "local-api/port_probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_DELAY_MS 10
#define LAST_DELAY_MS 100

static void probe_hang_up(struct port_probe *p) {
    watch_close(p->watch);
    p->watch = NULL;
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

static void probe_wake(struct port_probe *p) {
    turn_add(loop_turn(p->loop), &p->task);
}

static void on_probe_event(void *context, unsigned events) {
    (void)events;
    probe_wake(context);
}

static void on_retry_due(struct deadline *d) {
    probe_wake(container_of(d, struct port_probe, retry));
}

static void probe_connect_later(struct port_probe *p, uint64_t after_ms) {
    deadline_arm(loop_deadlines(p->loop), &p->retry, clock_now_ms(loop_clock(p->loop)) + after_ms);
}

static void probe_retry_later(struct port_probe *p) {
    probe_hang_up(p);
    probe_connect_later(p, p->delay_ms);
    p->delay_ms += p->delay_ms / 4;
    if (p->delay_ms > LAST_DELAY_MS) p->delay_ms = LAST_DELAY_MS;
}

/* The system may have given our end the very port that it connects to, and TCP lets an end connect to itself. */
static bool is_own_reflection(int fd) {
    struct sockaddr_in us, them;
    socklen_t us_size = sizeof us, them_size = sizeof them;
    if (getsockname(fd, (struct sockaddr *)&us, &us_size) < 0) return false;
    if (getpeername(fd, (struct sockaddr *)&them, &them_size) < 0) return false;
    return us.sin_port == them.sin_port;
}

static void probe_connected(struct port_probe *p) {
    if (is_own_reflection(p->fd)) {
        probe_retry_later(p);
        return;
    }
    probe_hang_up(p);
    p->on_open(p->context);
}

/* Watched until it is decided; without a watch it counts as refused. */
static void probe_await(struct port_probe *p) {
    p->watch = watch_open(p->loop, p->fd, on_probe_event, p);
    if (p->watch)
        watch_set(p->watch, WATCH_WRITE);
    else
        probe_retry_later(p);
}

static void probe_connect(struct port_probe *p) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(p->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) {
        probe_retry_later(p);
    } else if (connect(p->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        probe_connected(p);
    } else if (errno == EINPROGRESS) {
        probe_await(p);
    } else {
        probe_retry_later(p);
    }
}

static void probe_conclude(struct port_probe *p) {
    int status = 0;
    socklen_t size = sizeof status;
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &status, &size) == 0 && status == 0)
        probe_connected(p);
    else
        probe_retry_later(p);
}

static void on_probe_task(struct turn_task *task) {
    struct port_probe *p = container_of(task, struct port_probe, task);
    if (p->fd < 0)
        probe_connect(p);
    else
        probe_conclude(p);
}

void port_probe_init(struct port_probe *p, struct loop *l, uint16_t port, void (*on_open)(void *context),
                     void *context) {
    *p = (struct port_probe){.loop = l, .port = port, .on_open = on_open, .context = context};
    p->task = (struct turn_task){.phase = TURN_LOCAL, .run = on_probe_task};
    p->retry.on_due = on_retry_due;
    p->fd = -1;
}

void port_probe_start(struct port_probe *p, uint64_t after_ms) {
    p->delay_ms = FIRST_DELAY_MS;
    if (after_ms)
        probe_connect_later(p, after_ms);
    else
        probe_wake(p);
}

void port_probe_stop(struct port_probe *p) {
    probe_hang_up(p);
    deadline_disarm(loop_deadlines(p->loop), &p->retry);
    turn_remove(&p->task);
}
