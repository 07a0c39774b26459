#include "gateway/source/listen/tls_socket.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

static bool passes(int error) {
    return error == EAGAIN || error == EINTR;
}

/* How much of `size` may still be asked for. */
static size_t allowed(const struct tls_socket *s, size_t size) {
    if (s->allowance == 0) return size;
    size_t left = s->allowance - s->received;
    return left < size ? left : size;
}

static void note_received(struct tls_socket *s, const char *room, size_t n, size_t asked) {
    if (s->received == 0) s->first = room[0];
    s->received += n;
    if (n < asked) s->readable = false;
}

size_t tls_socket_receive(struct tls_socket *s, char *room, size_t size) {
    if (!s->readable || s->ended || s->failed) return 0;
    size = allowed(s, size);
    if (size == 0) {
        s->too_much = true;
        return 0;
    }
    ssize_t n = recv(s->fd, room, size, 0);
    if (n > 0) {
        note_received(s, room, (size_t)n, size);
        return (size_t)n;
    }
    if (n == 0)
        s->ended = true;
    else if (passes(errno))
        s->readable = false;
    else
        s->failed = true;
    return 0;
}

/* How many bytes the kernel took. */
static size_t send_now(struct tls_socket *s, struct slice bytes) {
    if (s->failed) return 0;
    ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    if (n >= 0) return (size_t)n;
    if (!passes(errno)) s->failed = true;
    return 0;
}

void tls_socket_send(struct tls_socket *s, struct slice bytes) {
    size_t sent = s->out.n ? 0 : send_now(s, bytes);
    if (sent < bytes.n && !s->failed) buf_append(&s->out, bytes.p + sent, bytes.n - sent);
}

void tls_socket_flush(struct tls_socket *s) {
    if (s->out.n == 0) return;
    buf_consume(&s->out, send_now(s, buf_slice(&s->out)));
    /* An idle connection keeps no memory for what it once had to keep. */
    if (s->out.n == 0 || s->failed) buf_free(&s->out);
}

static int on_read(BIO *bio, char *room, int size) {
    struct tls_socket *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t n = size > 0 ? tls_socket_receive(s, room, (size_t)size) : 0;
    if (n > 0) return (int)n;
    if (s->ended) return 0;
    if (!s->failed && !s->too_much) BIO_set_retry_read(bio);
    return -1;
}

static int on_write(BIO *bio, const char *bytes, int n) {
    struct tls_socket *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    tls_socket_send(s, slice_make(bytes, (size_t)n));
    return s->failed ? -1 : n;
}

static long on_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    const struct tls_socket *s = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF) return s->ended;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_socket_method_new(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "client socket");
    if (!method) return NULL;
    BIO_meth_set_read(method, on_read);
    BIO_meth_set_write(method, on_write);
    BIO_meth_set_ctrl(method, on_control);
    return method;
}

void tls_socket_method_free(BIO_METHOD *method) {
    BIO_meth_free(method);
}

bool tls_socket_attach(struct tls_socket *s, SSL *ssl, BIO_METHOD *method) {
    BIO *bio = BIO_new(method);
    if (!bio) return false;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}
