#include "gateway/base/memory.h"
#include "gateway/source/http/http_private.h"
#include <errno.h>
#include <stdio.h>

/* Beside the head, libmicrohttpd keeps in the same pool a record per field (56 bytes, HTTP_MAX_FIELDS of them) and per
 * cookie, a copy of the cookies, and what it builds of the answer's head (REPLY_HEAD_MAX). All of it is cleared for
 * every request, so more costs time. */
#define POOL_EXTRA (20 * 1024)

void lane_wake(struct lane *lane) {
    turn_add(loop_turn(lane->server->loop), &lane->task);
}

/* A resume is told by nobody: neither the epoll descriptor nor MHD_get_timeout knows of it. Whoever resumes wakes the
 * lane. */
static void lane_run(struct turn_task *task) {
    struct lane *lane = container_of(task, struct lane, task);
    lane->server->now_ms = clock_now_ms(loop_clock(lane->server->loop));
    MHD_run(lane->daemon);
    pairs_settle(lane);
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    if (lane->eager && MHD_get_timeout(lane->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0) lane_wake(lane);
}

static void on_lane_ready(void *context, unsigned events) {
    (void)events;
    lane_wake(context);
}

static void on_library_log(void *context, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void on_library_log(void *context, const char *format, va_list arguments) {
    struct http_server *s = context;
    char text[256];
    int n = vsnprintf(text, sizeof text, format, arguments);
    if (n <= 0) return;
    struct slice line = slice_trim(slice_make(text, strcspn(text, "\n")));
    log_event(s->config.log, LOG_DEBUG, "libmicrohttpd", LOG_SLICE("line", line));
}

/* The target is decoded by our own rules from its raw form; libmicrohttpd need not do it too. */
static size_t on_unescape(void *context, struct MHD_Connection *c, char *text) {
    (void)context;
    (void)c;
    return strlen(text);
}

int lane_start(struct lane *lane, struct http_server *s, struct error *e) {
    lane->server = s;
    list_init(&lane->pairs);
    lane->task.phase = s->config.phase;
    lane->task.run = lane_run;
    unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE;
    if (s->config.log && log_wants(s->config.log, LOG_DEBUG)) flags |= MHD_USE_ERROR_LOG;
    lane->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_on_call, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->config.max_header + POOL_EXTRA, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->config.max_connections + 16, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_on_target, s, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        server_on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, s, MHD_OPTION_END);
    if (!lane->daemon)
        return error_set_errno(e, errno, "cannot start the HTTP server (too few descriptors? see `ulimit -n`)");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(lane->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info) lane->watch = watch_open(s->loop, info->epoll_fd, on_lane_ready, lane);
    if (!lane->watch) return error_set(e, ERROR_SYSTEM, "cannot watch libmicrohttpd's epoll descriptor");
    watch_set(lane->watch, WATCH_READ);
    return 0;
}

void lane_stop(struct lane *lane) {
    watch_close(lane->watch);
    turn_remove(&lane->task);
    if (lane->daemon) MHD_stop_daemon(lane->daemon);
}
