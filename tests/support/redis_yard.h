/* redis_yard.h - a Redis server of the test's own: on a free port of the loopback, in a temporary folder that goes
 * away.
 *
 * It keeps an append-only file and nothing else, written to the disk before it answers: what it has after a restart is
 * what that file says. With appendfsync everysec it would hold writes back while an earlier one is being synced.
 */
#pragma once
#include "gateway/queue/redis_store.h"
#include "tests/support/queue_desk.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_yard {
    struct yard yard;
    char folder[64];
    char url[128];
    int port;
    pid_t pid;            /* 0 = not running */
    const char *extra[8]; /* of the server's command line; NULL at the end */
    struct log *log;      /* for stores; NULL = silent */
    enum redis_store_clock clock;
};

/* Not one that the system gives to whoever asks for any: a server that is killed and started again must find its own
 * still free. */
static inline int redis_free_port(void) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
            port = (int)(10000 + ((unsigned)getpid() + i * 7919) % 10000);
        place.sin_port = htons((uint16_t)port);
        int bound = bind(fd, (struct sockaddr *)&place, sizeof place);
        close(fd);
        if (bound == 0) return port;
    }
    fail_msg("no port is free");
    return 0;
}

static inline void redis_yard_exec(const struct redis_yard *y) {
    char port[16];
    const char *arguments[32] = {"redis-server", "--port",        port,     "--bind",     "127.0.0.1",
                                 "--dir",        y->folder,       "--save", "",           "--appendonly",
                                 "yes",          "--appendfsync", "always", "--loglevel", "warning"};
    size_t n = 15;
    snprintf(port, sizeof port, "%d", y->port);
    for (size_t i = 0; y->extra[i]; i++) arguments[n++] = y->extra[i];
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp("redis-server", (char *const *)arguments);
    _exit(127);
}

/* A connection of the test's own; waits until the server answers. */
static inline redisContext *redis_yard_connect(struct redis_yard *y) {
    const struct timeval patience = {5, 0};
    for (int i = 0; i < 3000; i++) {
        redisContext *c = redisConnectWithTimeout("127.0.0.1", y->port, patience);
        redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
        /* While it loads its file it answers with an error; with a password wanted, too. */
        bool up = r && !(r->type == REDIS_REPLY_ERROR && strncmp(r->str, "LOADING", 7) == 0);
        if (r) freeReplyObject(r);
        if (up) return c;
        redisFree(c);
        int status;
        if (y->pid && waitpid(y->pid, &status, WNOHANG) == y->pid) fail_msg("redis-server ended with %d", status);
        usleep(10000);
    }
    fail_msg("redis-server does not answer");
    return NULL;
}

static inline void redis_yard_start(struct redis_yard *y) {
    y->pid = fork();
    assert_true(y->pid >= 0);
    if (y->pid == 0) redis_yard_exec(y);
    redisFree(redis_yard_connect(y));
}

static inline void redis_yard_kill(struct redis_yard *y, int signal_number) {
    if (!y->pid) return;
    kill(y->pid, signal_number);
    while (waitpid(y->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    y->pid = 0;
}

/* One command; its reply lives until the test frees it. */
static inline redisReply *redis_yard_do(struct redis_yard *y, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline redisReply *redis_yard_do(struct redis_yard *y, const char *format, ...) {
    va_list arguments;
    redisContext *c = redis_yard_connect(y);
    va_start(arguments, format);
    redisReply *r = redisvCommand(c, format, arguments);
    va_end(arguments);
    assert_non_null(r);
    redisFree(c);
    return r;
}

/* Of a command that says a number of a key. */
static inline long long redis_yard_number(struct redis_yard *y, const char *what, const char *key) {
    redisReply *r = redis_yard_do(y, "%s %s", what, key);
    long long number = r->type == REDIS_REPLY_INTEGER ? r->integer : -1;
    freeReplyObject(r);
    return number;
}

static inline struct queue_store *redis_yard_open(struct yard *yard, struct loop *loop, struct error *e) {
    struct redis_yard *y = container_of(yard, struct redis_yard, yard);
    const struct redis_store_options options = {slice_of(y->url), SLICE("test"), y->log, y->clock};
    return redis_store_open(loop, &options, e);
}

static inline void redis_yard_clear(struct yard *yard) {
    struct redis_yard *y = container_of(yard, struct redis_yard, yard);
    if (!y->pid) redis_yard_start(y);
    freeReplyObject(redis_yard_do(y, "FLUSHALL"));
}

static inline void redis_yard_init(struct redis_yard *y) {
    *y = (struct redis_yard){.yard = {redis_yard_open, redis_yard_clear}, .clock = REDIS_CLOCK_LOOP};
    snprintf(y->folder, sizeof y->folder, "/tmp/execgate-redis-XXXXXX");
    assert_non_null(mkdtemp(y->folder));
    y->port = redis_free_port();
    snprintf(y->url, sizeof y->url, "redis://127.0.0.1:%d", y->port);
    redis_yard_start(y);
}

static inline void redis_yard_end(struct redis_yard *y) {
    redis_yard_kill(y, SIGKILL);
    char *command = xasprintf("rm -rf %s", y->folder);
    int status = system(command);
    assert_int_equal(status, 0);
    free(command);
}
