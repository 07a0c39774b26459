/* lambda_echo.c - the AWS Lambda runtime API on a bare socket, without any library: poll for an event, post its answer.
 *
 * It answers with the event itself, which is JSON, or with the text given as first argument. What a real client adds to
 * this loop is JSON, streaming and error reports; the protocol is no more than what is here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct connection {
    int fd;
    char *buffer; /* one reply, NUL-terminated */
    size_t size, capacity;
    char *body; /* in buffer */
    size_t body_size;
};

/* `api` is AWS_LAMBDA_RUNTIME_API: "127.0.0.1:PORT". */
static int api_connect(const char *api) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[32];
    int port, on = 1;
    if (sscanf(api, "%31[0-9.]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    address.sin_port = htons((unsigned short)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* Head and body in one system call, as a rule. */
static int request_send(int fd, const char *head, const char *body, size_t body_size) {
    struct iovec parts[2] = {{(void *)(size_t)head, strlen(head)}, {(void *)(size_t)body, body_size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return -1;
        for (int i = 0; i < 2; i++) {
            size_t done = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + done;
            parts[i].iov_len -= done;
            sent -= (ssize_t)done;
        }
    }
    return 0;
}

static int buffer_fill(struct connection *c) {
    if (c->size + 1 >= c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 65536;
        char *buffer = realloc(c->buffer, capacity);
        if (!buffer) return -1;
        c->buffer = buffer;
        c->capacity = capacity;
    }
    ssize_t got = recv(c->fd, c->buffer + c->size, c->capacity - c->size - 1, 0);
    if (got < 0 && errno == EINTR) return 0;
    if (got <= 0) return -1;
    c->size += (size_t)got;
    c->buffer[c->size] = 0;
    return 0;
}

/* The value of a field of the reply's head, ended by CR; NULL when absent. */
static const char *reply_field(const struct connection *c, const char *name) {
    size_t n = strlen(name);
    const char *line = strstr(c->buffer, "\r\n");
    for (; line && line + 2 < c->body; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') return line + 3 + n + strspn(line + 3 + n, " ");
    return NULL;
}

/* Returns the reply's status, -1 when the connection is lost. */
static int reply_read(struct connection *c) {
    char *end = NULL;
    c->size = 0;
    while (c->size == 0 || !(end = strstr(c->buffer, "\r\n\r\n")))
        if (buffer_fill(c)) return -1;
    size_t head_size = (size_t)(end - c->buffer) + 4;
    c->body = c->buffer + head_size;
    const char *length = reply_field(c, "Content-Length");
    c->body_size = length ? strtoul(length, NULL, 10) : 0;
    while (c->size < head_size + c->body_size)
        if (buffer_fill(c)) return -1;
    c->body = c->buffer + head_size;
    return atoi(c->buffer + strlen("HTTP/1.1 "));
}

/* One invocation; -1 ends the program. */
static int serve_one(struct connection *c, const char *answer) {
    static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
    char head[512];
    if (request_send(c->fd, next, "", 0) || reply_read(c) != 200) return -1;
    const char *id = reply_field(c, "Lambda-Runtime-Aws-Request-Id");
    if (!id) return -1;
    snprintf(head, sizeof head,
             "POST /2018-06-01/runtime/invocation/%.*s/response HTTP/1.1\r\nHost: runtime\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             (int)strcspn(id, "\r\n"), id, answer ? strlen(answer) : c->body_size);
    if (request_send(c->fd, head, answer ? answer : c->body, answer ? strlen(answer) : c->body_size)) return -1;
    int status = reply_read(c);
    if (status != 202) fprintf(stderr, "lambda_echo: the answer was refused with %d: %s\n", status, c->body);
    return status < 0 ? -1 : 0;
}

int main(int argc, char **argv) {
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    struct connection c = {.fd = api ? api_connect(api) : -1};
    if (c.fd < 0) {
        fprintf(stderr, "lambda_echo: nothing to talk to at AWS_LAMBDA_RUNTIME_API=%s\n", api ? api : "");
        return 1;
    }
    while (serve_one(&c, argc > 1 ? argv[1] : NULL) == 0) {
    }
    close(c.fd);
    free(c.buffer);
    return 0;
}
