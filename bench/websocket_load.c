/* WebSocket clients for the benchmarks, many in one process and on one epoll. Two ways to use it:
 *
 *   websocket_load echo PORT PATH COUNT IN_FLIGHT SECONDS
 *       COUNT clients keep IN_FLIGHT messages each under way to a server that sends them back; every answer is compared
 *       with what was sent. Prints {"round_trips", "seconds"}.
 *
 *   websocket_load hold PORT PATH COUNT ADDRESS SLOW
 *       COUNT clients from a loopback ADDRESS connect, answer pings and wait. Prints {"open", "seconds"}, then does
 * what standard input says, a line each, and answers each with a line of JSON; its end is the end: stall the first SLOW
 * clients, which have small receive buffers, read no more await N SECONDS   until each of the others has had N messages
 * since it connected: {"complete", "closed", "last"}, the clients that have, those that ended, and the monotonic time
 * of the last message codes SECONDS     the stalled ones read on until they are closed: {"try_later", "other", "open"},
 * those that got 1013, another end, none yet
 *
 * Nothing waits for ever: a handshake has HANDSHAKE_S, a held load LIFE_S. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define HANDSHAKE_S 20
#define LIFE_S 900.0
#define PAYLOAD 100
#define FRAME_SIZE (2 + 4 + PAYLOAD)
#define IN_FLIGHT_MAX 64
#define SLOW_BUFFER 4096
#define SLOW_SEGMENT 1460
#define CONTROL_MAX 125
#define NO_STATUS 1005
#define TRY_LATER 1013

enum opcode { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

struct client {
    int fd; /* -1 = ended */
    bool stalled;
    bool inside; /* of a frame: its head is here */
    uint8_t head[10];
    size_t head_size;   /* so far */
    uint64_t size, had; /* of its payload */
    uint8_t control[CONTROL_MAX];
    unsigned messages;
    unsigned due; /* echoes that came and are to be followed by another message */
    int code;     /* of the server's Close; 0 = none came */
};

struct load {
    struct sockaddr_in server, own;
    const char *path;
    int polled;
    bool echoing;
    struct client *clients;
    size_t count, slow;
    size_t closed;
    unsigned wanted; /* messages */
    size_t complete; /* clients that have so many */
    double last_s;
    uint64_t round_trips;
    uint8_t payload[PAYLOAD], frames[IN_FLIGHT_MAX * FRAME_SIZE];
};

static void give_up(const char *why) {
    fprintf(stderr, "websocket_load: %s\n", why);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- opening --- */

/* Loopback's segments of 64 kB let a server's socket hold megabytes; those of an Ethernet do not. */
static void behave_as_remote(int fd) {
    int buffer = SLOW_BUFFER, segment = SLOW_SEGMENT;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static int connect_one(const struct load *l, bool slow) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = HANDSHAKE_S};
    if (fd < 0) give_up("no more descriptors: raise the limit (ulimit -n)");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (slow) behave_as_remote(fd);
    /* The port is chosen when it is known where to: so a port serves many connections to different places. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&l->own, sizeof l->own)) give_up("the address cannot be used");
    if (connect(fd, (const struct sockaddr *)&l->server, sizeof l->server)) give_up("the server cannot be reached");
    return fd;
}

/* Nothing may follow the answer's head: nobody sends before all are open. */
static void shake(const struct load *l, int fd) {
    char head[1024];
    size_t n = 0;
    int size = snprintf(head, sizeof head,
                        "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n",
                        l->path);
    if (send(fd, head, (size_t)size, MSG_NOSIGNAL) != size) give_up("the handshake cannot be sent");
    do {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0) give_up("no answer to a handshake");
        n += (size_t)got;
        head[n] = '\0';
    } while (n < sizeof head - 1 && !strstr(head, "\r\n\r\n"));
    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) give_up(head);
    if (strstr(head, "\r\n\r\n") + 4 != head + n) give_up("bytes follow the handshake");
}

static void watch(const struct load *l, int operation, struct client *c, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->polled, operation, c->fd, &e)) give_up("epoll");
}

static void open_all(struct load *l) {
    l->polled = epoll_create1(EPOLL_CLOEXEC);
    l->clients = calloc(l->count, sizeof *l->clients);
    for (size_t i = 0; i < l->count; i++) {
        struct client *c = &l->clients[i];
        c->fd = connect_one(l, i < l->slow);
        shake(l, c->fd);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        watch(l, EPOLL_CTL_ADD, c, EPOLLIN);
    }
}

static void client_end(struct load *l, struct client *c) {
    close(c->fd);
    c->fd = -1;
    l->closed++;
}

/* --- sending --- */

/* What is under way fits into a socket's buffer. */
static void send_all(const struct client *c, const void *bytes, size_t n) {
    if (send(c->fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n && errno != EPIPE && errno != ECONNRESET)
        give_up("the server does not read");
}

static void frames_make(struct load *l) {
    static const uint8_t mask[4] = {0x5a, 0xc3, 0x17, 0xee};
    uint8_t *f = l->frames;
    for (size_t i = 0; i < PAYLOAD; i++) l->payload[i] = (uint8_t)('a' + i % 26);
    f[0] = 0x80 | TEXT;
    f[1] = 0x80 | PAYLOAD;
    memcpy(f + 2, mask, sizeof mask);
    for (size_t i = 0; i < PAYLOAD; i++) f[6 + i] = l->payload[i] ^ mask[i % 4];
    for (size_t i = 1; i < IN_FLIGHT_MAX; i++) memcpy(f + i * FRAME_SIZE, f, FRAME_SIZE);
}

static void send_due(const struct load *l, struct client *c) {
    if (!c->due) return;
    send_all(c, l->frames, c->due * FRAME_SIZE);
    c->due = 0;
}

/* A control frame's payload goes back: as a Pong, or as the Close that answers one (RFC 6455 5.5.1). Masked with
 * zeroes, which is allowed for what is no secret and leaves the payload as it is. */
static void send_back(const struct client *c, enum opcode opcode) {
    uint8_t frame[6 + CONTROL_MAX] = {(uint8_t)(0x80 | opcode), (uint8_t)(0x80 | c->size)};
    memcpy(frame + 6, c->control, c->size);
    send_all(c, frame, 6 + c->size);
}

static void close_come(struct client *c) {
    c->code = c->size < 2 ? NO_STATUS : c->control[0] << 8 | c->control[1];
    send_back(c, CLOSE);
}

/* --- reading --- */

static void message_come(struct load *l, struct client *c) {
    l->round_trips++;
    c->due++;
    c->messages++;
    l->last_s = now_s();
    if (!c->stalled && c->messages == l->wanted) l->complete++;
}

static void frame_end(struct load *l, struct client *c) {
    unsigned opcode = c->head[0] & 15;
    c->inside = false;
    c->head_size = 0;
    if (opcode == PING) send_back(c, PONG);
    if (opcode == CLOSE) close_come(c);
    if (opcode < CLOSE) message_come(l, c);
}

static void frame_begin(const struct load *l, struct client *c) {
    uint8_t length = c->head[1];
    uint16_t medium;
    uint64_t large;
    memcpy(&medium, c->head + 2, sizeof medium);
    memcpy(&large, c->head + 2, sizeof large);
    c->size = length < 126 ? length : length == 126 ? be16toh(medium) : be64toh(large);
    c->had = 0;
    c->inside = true;
    if (!(c->head[0] & 0x80) || length & 0x80) give_up("a frame that a server must not send");
    if (c->head[0] & 8 && c->size > CONTROL_MAX) give_up("a control frame that is too long");
    if (l->echoing && (c->head[0] != (0x80 | TEXT) || c->size != PAYLOAD)) give_up("not an echo");
}

/* Both return how much they have taken. */
static size_t head_feed(const struct load *l, struct client *c, const uint8_t *bytes, size_t n) {
    size_t size = c->head_size < 2 || c->head[1] < 126 ? 2 : c->head[1] == 126 ? 4 : 10;
    size_t taken = n < size - c->head_size ? n : size - c->head_size;
    memcpy(c->head + c->head_size, bytes, taken);
    c->head_size += taken;
    bool longer = c->head_size == 2 && (c->head[1] & 0x7f) >= 126;
    if (c->head_size == size && !longer) frame_begin(l, c);
    return taken;
}

static size_t payload_feed(const struct load *l, struct client *c, const uint8_t *bytes, size_t n) {
    size_t taken = n < c->size - c->had ? n : (size_t)(c->size - c->had);
    if ((c->head[0] & 15) >= CLOSE) memcpy(c->control + c->had, bytes, taken);
    if (l->echoing && memcmp(l->payload + c->had, bytes, taken) != 0) give_up("an echo is not what was sent");
    c->had += taken;
    return taken;
}

static void feed(struct load *l, struct client *c, const uint8_t *bytes, size_t n) {
    while (n > 0) {
        size_t taken = c->inside ? payload_feed(l, c, bytes, n) : head_feed(l, c, bytes, n);
        bytes += taken;
        n -= taken;
        if (c->inside && c->had == c->size) frame_end(l, c);
    }
}

static void client_read(struct load *l, struct client *c) {
    static uint8_t room[64 * 1024];
    ssize_t n = recv(c->fd, room, sizeof room, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        client_end(l, c);
        return;
    }
    feed(l, c, room, (size_t)n);
    if (l->echoing) send_due(l, c);
}

/* Once around; true when standard input has something. */
static bool look(struct load *l, double until_s) {
    struct epoll_event events[EVENTS];
    double left_s = until_s - now_s();
    bool told = false;
    int n = epoll_wait(l->polled, events, EVENTS, left_s > 0 ? (int)(left_s * 1000) + 1 : 0);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (!c)
            told = true;
        else if (c->fd >= 0)
            client_read(l, c);
    }
    return told;
}

/* --- echoes --- */

static void echo(struct load *l, unsigned in_flight, double seconds) {
    frames_make(l);
    l->echoing = true;
    double began = now_s(), until = began + seconds;
    for (size_t i = 0; i < l->count; i++) {
        l->clients[i].due = in_flight;
        send_due(l, &l->clients[i]);
    }
    while (now_s() < until) look(l, until);
    if (l->closed) give_up("the server has closed a connection");
    printf("{\"round_trips\": %llu, \"seconds\": %.6f}\n", (unsigned long long)l->round_trips, now_s() - began);
}

/* --- those that wait --- */

static void stall(struct load *l) {
    for (size_t i = 0; i < l->slow; i++) {
        l->clients[i].stalled = true;
        if (l->clients[i].fd >= 0) watch(l, EPOLL_CTL_MOD, &l->clients[i], 0);
    }
    puts("{}");
}

static void await_messages(struct load *l, unsigned wanted, double seconds) {
    double until = now_s() + seconds;
    size_t readers = 0;
    l->wanted = wanted;
    l->complete = 0;
    for (size_t i = 0; i < l->count; i++) {
        readers += !l->clients[i].stalled;
        if (!l->clients[i].stalled && l->clients[i].messages >= wanted) l->complete++;
    }
    while (l->complete < readers && now_s() < until) look(l, until);
    printf("{\"complete\": %zu, \"closed\": %zu, \"last\": %.6f}\n", l->complete, l->closed, l->last_s);
}

static size_t stalled_left(const struct load *l) {
    size_t left = 0;
    for (size_t i = 0; i < l->slow; i++) left += l->clients[i].fd >= 0;
    return left;
}

static void collect_codes(struct load *l, double seconds) {
    double until = now_s() + seconds;
    size_t try_later = 0, left;
    for (size_t i = 0; i < l->slow; i++)
        if (l->clients[i].fd >= 0) watch(l, EPOLL_CTL_MOD, &l->clients[i], EPOLLIN);
    while ((left = stalled_left(l)) > 0 && now_s() < until) look(l, until);
    for (size_t i = 0; i < l->slow; i++) try_later += l->clients[i].fd < 0 && l->clients[i].code == TRY_LATER;
    printf("{\"try_later\": %zu, \"other\": %zu, \"open\": %zu}\n", try_later, l->slow - left - try_later, left);
}

static void obey(struct load *l, const char *line) {
    unsigned wanted;
    double seconds;
    if (strcmp(line, "stall\n") == 0)
        stall(l);
    else if (sscanf(line, "await %u %lf", &wanted, &seconds) == 2)
        await_messages(l, wanted, seconds);
    else if (sscanf(line, "codes %lf", &seconds) == 1)
        collect_codes(l, seconds);
    else
        give_up("standard input: stall, await N SECONDS, or codes SECONDS");
    fflush(stdout);
}

static void hold(struct load *l) {
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    double until = now_s() + LIFE_S;
    char line[128];
    epoll_ctl(l->polled, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    setvbuf(stdin, NULL, _IONBF, 0); /* what it reads ahead, epoll would not tell */
    while (now_s() < until) {
        if (!look(l, until)) continue;
        if (!fgets(line, sizeof line, stdin)) return;
        obey(l, line);
    }
}

int main(int argc, char **argv) {
    bool echoing = argc == 7 && strcmp(argv[1], "echo") == 0;
    if (!echoing && (argc != 7 || strcmp(argv[1], "hold") != 0))
        give_up("echo PORT PATH COUNT IN_FLIGHT SECONDS, or hold PORT PATH COUNT ADDRESS SLOW");
    static struct load l;
    l.server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    l.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    l.own.sin_family = AF_INET;
    l.path = argv[3];
    l.count = strtoul(argv[4], NULL, 10);
    double began = now_s();
    if (echoing) {
        unsigned in_flight = (unsigned)strtoul(argv[5], NULL, 10);
        if (in_flight < 1 || in_flight > IN_FLIGHT_MAX) give_up("IN_FLIGHT is 1 to 64");
        l.own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        open_all(&l);
        echo(&l, in_flight, strtod(argv[6], NULL));
        return 0;
    }
    l.slow = strtoul(argv[6], NULL, 10);
    if (inet_pton(AF_INET, argv[5], &l.own.sin_addr) != 1 || l.slow > l.count)
        give_up("ADDRESS is 127.0.0.x, SLOW at most COUNT");
    open_all(&l);
    printf("{\"open\": %zu, \"seconds\": %.6f}\n", l.count, now_s() - began);
    fflush(stdout);
    hold(&l);
    return 0;
}
