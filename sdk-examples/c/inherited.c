/* inherited.c - an HTTP server of its own on a socket that it was given (mode: server, socket: inherited).
 *
 * execgate listens before it starts the program and passes the socket as descriptor 3, with LISTEN_FDS=1, as systemd
 * does. So there is no port to choose and no moment at which nobody listens. One request per connection, for brevity.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INHERITED_FD 3

/* The request's head, as far as it fits; bodies are not read. Returns 0 when it is complete. */
static int head_read(int fd, char *head, size_t capacity) {
    size_t size = 0;
    while (size + 1 < capacity) {
        ssize_t got = recv(fd, head + size, capacity - size - 1, 0);
        if (got <= 0) return -1;
        size += (size_t)got;
        head[size] = 0;
        if (strstr(head, "\r\n\r\n")) return 0;
    }
    return -1;
}

static void serve(int fd) {
    char head[16384], answer[512];
    if (head_read(fd, head, sizeof head)) return;
    int line = (int)strcspn(head, "\r\n"), shown = line < 200 ? line : 200;
    int body = shown + (int)strlen("you sent: \n");
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                        "you sent: %.*s\n",
                        body, shown, head);
    send(fd, answer, (size_t)size, MSG_NOSIGNAL);
}

int main(void) {
    const char *count = getenv("LISTEN_FDS");
    if (!count || atoi(count) != 1) {
        fprintf(stderr, "inherited: LISTEN_FDS is not 1; start me with `mode: server` and `socket: inherited`\n");
        return 1;
    }
    for (;;) {
        int fd = accept(INHERITED_FD, NULL, NULL);
        if (fd < 0) continue;
        serve(fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}
