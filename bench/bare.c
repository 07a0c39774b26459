/* What TLS costs by itself: the least server that answers wrk, in the clear or with OpenSSL, without libmicrohttpd and
 * without a pump. One epoll, one read and one write for each request. Usage: bare PORT [CERTIFICATE KEY] */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 128

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello world\n";

struct connection {
    int fd;
    SSL *ssl; /* NULL = in the clear */
    char head[4096];
    size_t n;
};

struct server {
    int listening, polled;
    SSL_CTX *tls;
};

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) return -1;
    return fd;
}

static void watch(const struct server *s, int fd, void *what) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
    epoll_ctl(s->polled, EPOLL_CTL_ADD, fd, &e);
}

static void take_all(const struct server *s) {
    int on = 1;
    for (int fd; (fd = accept4(s->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (s->tls) {
            c->ssl = SSL_new(s->tls);
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);
        }
        watch(s, fd, c);
    }
}

static void end(struct connection *c) {
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

static ssize_t receive(struct connection *c) {
    char *room = c->head + c->n;
    size_t size = sizeof c->head - c->n - 1;
    if (!c->ssl) return recv(c->fd, room, size, 0);
    ERR_clear_error();
    int n = SSL_read(c->ssl, room, (int)size);
    return n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? -1 : n < 0 ? 0 : n;
}

static bool reply(struct connection *c) {
    int sent = c->ssl ? SSL_write(c->ssl, answer, sizeof answer - 1)
                      : (int)send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    return sent == sizeof answer - 1;
}

/* wrk sends one request at a time, so a head's end is the end of what was read. */
static void serve(struct connection *c) {
    ssize_t n = receive(c);
    if (n == 0) {
        end(c);
        return;
    }
    if (n < 0) return;
    c->n += (size_t)n;
    c->head[c->n] = '\0';
    if (!strstr(c->head, "\r\n\r\n")) return;
    c->n = 0;
    if (!reply(c)) end(c);
}

static SSL_CTX *tls_new(const char *certificate, const char *key) {
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        return NULL;
    return tls;
}

int main(int argc, char **argv) {
    struct server s = {.polled = epoll_create1(EPOLL_CLOEXEC)};
    s.listening = argc == 2 || argc == 4 ? listen_on(atoi(argv[1])) : -1;
    if (argc == 4) s.tls = tls_new(argv[2], argv[3]);
    if (s.listening < 0 || (argc == 4 && !s.tls)) return fputs("usage: bare PORT [CERTIFICATE KEY]\n", stderr), 1;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    watch(&s, s.listening, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(s.polled, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                take_all(&s);
        }
    }
}
