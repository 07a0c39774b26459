/* The yardstick of WebSocket echoes: the least that libwslay on libuv can do. One loop, one watched socket for each
 * connection, libwslay's event interface, every message sent back as it came. Usage: bare_websocket PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include <wslay/wslay.h>

#define KEY_SIZE 24
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct connection {
    uv_poll_t poll;
    int fd;
    int interest;
    bool drained;               /* the socket gave less than was asked for: it would block now */
    wslay_event_context_ptr ws; /* NULL before the handshake */
    size_t head_size;
    char head[4096];
};

/* --- libwslay's side --- */

static ssize_t on_receive(wslay_event_context_ptr ws, uint8_t *room, size_t size, int flags, void *context) {
    struct connection *c = context;
    ssize_t n = c->drained ? -1 : recv(c->fd, room, size, 0);
    (void)flags;
    if (n > 0) {
        c->drained = (size_t)n < size;
        return n;
    }
    bool later = c->drained || (n < 0 && errno == EAGAIN);
    wslay_event_set_error(ws, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *bytes, size_t size, int flags, void *context) {
    struct connection *c = context;
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));
    if (n < 0) wslay_event_set_error(ws, errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return n;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *context) {
    (void)context;
    if (wslay_is_ctrl_frame(m->opcode)) return; /* libwslay answers those */
    wslay_event_queue_msg(ws, &(struct wslay_event_msg){m->opcode, m->msg, m->msg_length});
}

/* --- the handshake (RFC 6455 4.2.2) --- */

static void accept_of(const char *key, char accept[29]) {
    unsigned char text[KEY_SIZE + sizeof GUID], digest[SHA_DIGEST_LENGTH];
    memcpy(text, key, KEY_SIZE);
    memcpy(text + KEY_SIZE, GUID, sizeof GUID);
    SHA1(text, sizeof text - 1, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

static bool answer(struct connection *c, const char *key) {
    char accept[29], head[256];
    accept_of(key, accept);
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    return send(c->fd, head, (size_t)n, MSG_NOSIGNAL) == n;
}

/* False when the connection is of no use. */
static bool shake(struct connection *c) {
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_receive, .send_callback = on_send, .on_msg_recv_callback = on_message};
    static const char name[] = "Sec-WebSocket-Key: ";
    ssize_t n = recv(c->fd, c->head + c->head_size, sizeof c->head - 1 - c->head_size, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->head_size += (size_t)n;
    c->head[c->head_size] = '\0';
    if (!strstr(c->head, "\r\n\r\n")) return c->head_size < sizeof c->head - 1;
    const char *key = strcasestr(c->head, name);
    if (!key || strlen(key) < sizeof name - 1 + KEY_SIZE || !answer(c, key + sizeof name - 1)) return false;
    return wslay_event_context_server_init(&c->ws, &callbacks, c) == 0;
}

/* --- libuv's side --- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void end(struct connection *c) {
    if (c->ws) wslay_event_context_free(c->ws);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
}

static bool talk(struct connection *c) {
    c->drained = false;
    if (wslay_event_recv(c->ws) != 0) return false;
    if (wslay_event_want_write(c->ws) && wslay_event_send(c->ws) != 0) return false;
    return wslay_event_want_read(c->ws) || wslay_event_want_write(c->ws);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct connection *c = poll->data;
    (void)events;
    if (status < 0 || !(c->ws ? talk(c) : shake(c))) {
        end(c);
        return;
    }
    int interest = UV_READABLE | (c->ws && wslay_event_want_write(c->ws) ? UV_WRITABLE : 0);
    if (interest == c->interest) return;
    c->interest = interest;
    uv_poll_start(poll, interest, on_ready);
}

static void on_connection(uv_poll_t *handle, int status, int events) {
    int listening = -1, on = 1;
    (void)status, (void)events;
    uv_fileno((uv_handle_t *)handle, &listening);
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->poll.data = c;
        c->interest = UV_READABLE;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        uv_poll_init(handle->loop, &c->poll, fd);
        uv_poll_start(&c->poll, UV_READABLE, on_ready);
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
    if (fd < 0) return fprintf(stderr, "usage: bare_websocket PORT (a free one)\n"), 1;
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t accepting;
    uv_poll_init(loop, &accepting, fd);
    uv_poll_start(&accepting, UV_READABLE, on_connection);
    return uv_run(loop, UV_RUN_DEFAULT);
}
