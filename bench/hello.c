/* The yardstick of the bench suite: the least that libmicrohttpd on libuv can do. One daemon with an external
 * epoll, our own accept, one fixed answer. Usage: hello PORT */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

static struct MHD_Response *hello;

/* The second call is the one in which an answer leaves the connection open. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **seen) {
    (void)context, (void)url, (void)method, (void)version, (void)data;
    if (!*seen) {
        *seen = hello;
        return MHD_YES;
    }
    *size = 0;
    return MHD_queue_response(c, 200, hello);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    struct MHD_Daemon *daemon = handle->data;
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    do MHD_run(daemon);
    while (MHD_get_timeout(daemon, &timeout_ms) == MHD_YES && timeout_ms == 0);
}

static void on_connection(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    int listening = -1, on = 1;
    uv_fileno((uv_handle_t *)handle, &listening);
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct sockaddr_in nobody = {.sin_family = AF_INET};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        MHD_add_connection(handle->data, fd, (struct sockaddr *)&nobody, sizeof nobody);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) return -1;
    return fd;
}

int main(int argc, char **argv) {
    int fd = argc == 2 ? listen_on(atoi(argv[1])) : -1;
    if (fd < 0) return fprintf(stderr, "usage: hello PORT (a free one)\n"), 1;
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL, 0, NULL, NULL, on_request,
                                                 NULL, MHD_OPTION_CONNECTION_LIMIT, 4096U, MHD_OPTION_END);
    hello = MHD_create_response_from_buffer(12, (void *)"hello world\n", MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(hello, "Content-Type", "text/plain");
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t accepting = {.data = daemon}, serving = {.data = daemon};
    uv_poll_init(loop, &accepting, fd);
    uv_poll_start(&accepting, UV_READABLE, on_connection);
    uv_poll_init(loop, &serving, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_start(&serving, UV_READABLE, on_ready);
    on_ready(&serving, 0, 0);
    return uv_run(loop, UV_RUN_DEFAULT);
}
