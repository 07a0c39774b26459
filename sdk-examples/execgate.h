/* execgate.h - be a handler of execgate, in C or C++, with this one file.
 *
 * Include it where you need it; in exactly one file define EXECGATE_IMPLEMENTATION first (and, under a strict -std=c99,
 * include it before any system header):
 *
 *     #define EXECGATE_IMPLEMENTATION
 *     #include "execgate.h"
 *
 *     static void hello(const struct execgate_request *request, struct execgate_response *response, void *user)
 *     {
 *         const char *name = execgate_query_value(request, "name");
 *         (void)user;
 *         execgate_add_header(response, "Content-Type", "text/plain");
 *         execgate_print(response, "Hello, %s!\n", name ? name : "world");
 *     }
 *     int main(void) { return execgate_run(hello, NULL) == 0 ? 0 : 1; }
 *
 * execgate starts the program and tells it in EXECGATE_RUNTIME_SOCKET (or EXECGATE_RUNTIME_API) where to take
 * events. Each event is an HTTP request, each answer an HTTP response; an exchange carries the answers of the last
 * batch there and brings the next batch back, so a busy handler makes two system calls for up to EXECGATE_CONCURRENCY
 * events. Events of a batch are handled one after the other, and their answers leave together: give a handler that
 * blocks `concurrency: 1` and more processes, and one that only computes a concurrency of 16.
 *
 * Everything a request points to, and the request and the response themselves, end when the handler function returns.
 * Text is NUL-terminated. No state is global: several threads may each call execgate_run, and the handler function is
 * then called by all of them.
 */
#pragma once
#if defined(EXECGATE_IMPLEMENTATION) && !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stddef.h>

#if defined(__GNUC__)
#define EXECGATE_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define EXECGATE_FORMAT(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct execgate_response;
struct execgate_client; /* private */

struct execgate_request {
    const char *id;      /* the invocation's id */
    const char *trigger; /* "http", ... */
    const char *route;   /* as the blueprint spells it: "GET /items/{id}" */
    const char *method;
    const char *target; /* as the client sent it: "/a%20b?x=1" */
    const char *path;   /* decoded: "/a b" */
    const char *query;  /* raw, without the question mark; "" when there is none */
    const char *body;   /* a NUL follows, which body_size does not count */
    size_t body_size;
    long long deadline_ms; /* Unix time; 0 = none */
    struct execgate_client *client;
};

typedef void execgate_handler(const struct execgate_request *request, struct execgate_response *response, void *user);

/* Takes events and answers them until the gateway says drain or goes away; then 0. -1 when there is no gateway to
 * talk to, or it is not understood (the reason is on stderr). */
int execgate_run(execgate_handler *handler, void *user);

/* --- the request --- */
/* A header field's first value; NULL when absent. Names match in any case. */
const char *execgate_header(const struct execgate_request *request, const char *name);
/* The field at `index` from 0; NULL behind the last. */
const char *execgate_header_at(const struct execgate_request *request, size_t index, const char **name);
/* The decoded value of {name} or {name+} in the route; NULL when the route has none of that name. */
const char *execgate_parameter(const struct execgate_request *request, const char *name);
/* The decoded value of ?name=value, the first; NULL when absent. */
const char *execgate_query_value(const struct execgate_request *request, const char *name);
/* What is left until the deadline; 0 when it has passed, or when there is none. */
long long execgate_remaining_ms(const struct execgate_request *request);
/* 1 once nobody waits for the answer any more: the client left, the deadline passed, or the gateway shuts down. For
 * long work; asks over a connection of its own and never waits. */
int execgate_cancelled(const struct execgate_request *request);

/* --- the response: 200 and an empty body unless said otherwise. All return 0, or -1 when the call was refused --- */
int execgate_status(struct execgate_response *response, int status);
/* Adds a field, at any time before the answer leaves. Refused: control characters, names that are no token, and the
 * fields that are not the handler's to say (Content-Length, Transfer-Encoding, Execgate-* but Execgate-Groups). */
int execgate_add_header(struct execgate_response *response, const char *name, const char *value);
/* The answer is an event stream that goes on without the handler, in this group; call it for each group. The body is
 * its beginning. */
int execgate_hold(struct execgate_response *response, const char *group);
/* Both append to the body. */
int execgate_write(struct execgate_response *response, const void *data, size_t size);
int execgate_print(struct execgate_response *response, const char *format, ...) EXECGATE_FORMAT(2, 3);
/* Appends the text as a JSON string, quotes included. */
int execgate_write_json(struct execgate_response *response, const char *text, size_t size);
/* Status, content type and body in one call. */
int execgate_reply(struct execgate_response *response, int status, const char *content_type, const char *text);
/* The handler failed: the client gets 502, the log this type and text. Replaces whatever was answered so far; in the
 * middle of a stream it breaks the stream off. */
void execgate_fail(struct execgate_response *response, const char *type, const char *format, ...) EXECGATE_FORMAT(3, 4);

/* --- a body that is sent while it is made ---
 * begin sends status and fields; from then on write sends first what execgate_print and execgate_write gathered and
 * then `data` (NULL and 0 for none), and waits while the client is slow. -1 from write: nobody listens any more;
 * return. end is implied by returning. */
int execgate_stream_begin(struct execgate_response *response);
int execgate_stream_write(struct execgate_response *response, const void *data, size_t size);
int execgate_stream_end(struct execgate_response *response);

/* --- the messages of a queue (trigger "queue"): one event brings several ---
 *
 *     struct execgate_message m = {0};
 *     while (execgate_message_next(request, &m))
 *         if (process(m.body, m.body_size)) execgate_message_fail(response, m.id);
 *
 * With `reportFailures: true` in the blueprint only those come again that were named; write nothing else into the
 * response then. execgate_fail makes all of them come again. */
struct execgate_message {
    const char *id; /* the same in every attempt */
    const char *body;
    size_t body_size;         /* a NUL follows, which it does not count */
    const char *content_type; /* "" = the sender has not said */
    const char *group;        /* decoded; "" = none */
    const char *dedup_id;     /* decoded; "" = none */
    unsigned long attempt;    /* 1 = the first */
    long long sent_ms;        /* Unix time */
    const char *died_in;      /* of a dead letter: the queue that it died in, decoded; "" = it did not */
    const char *died_why;     /* "attempts used up", ... */
    const char *died_error;   /* the last one */
    size_t position;          /* private; 0 before the first */
};
/* 1, or 0 behind the last. What the message points to lives until the next call. */
int execgate_message_next(const struct execgate_request *request, struct execgate_message *message);
/* A decoded attribute that the sender gave the present message; NULL when absent. */
const char *execgate_message_attribute(const struct execgate_request *request, const char *name);
/* The attribute at `index` from 0; NULL behind the last. */
const char *execgate_message_attribute_at(const struct execgate_request *request, size_t index, const char **name);
int execgate_message_fail(struct execgate_response *response, const char *id);
/* Beside execgate_fail: when the messages come again ("30s"), or that they never shall ("false"). Call it after. */
int execgate_retry(struct execgate_response *response, const char *when);

/* --- sending messages to a queue of the blueprint: all of them or none, at most 1000 ---
 *
 *     struct execgate_outgoing order = {.body = text, .body_size = strlen(text), .dedup_id = id};
 *     if (execgate_send(request, "orders", &order, 1)) complain(execgate_send_problem(request));
 */
struct execgate_outgoing {
    const char *body;
    size_t body_size;
    const char *content_type;      /* here and below NULL = none */
    const char *group;             /* messages of a group are handled one after the other */
    const char *dedup_id;          /* sent again within the queue's dedupWindow, it is kept once */
    const char *const *attributes; /* name, value, name, value, NULL; in UTF-8, as the ids */
    long long delay_ms;            /* how long it waits; 0 = the queue's own delay, less = none at all */
};
/* 0 once they are on disk. -1 when they were refused, and when nothing is known: the connection was lost, or the
 * event's deadline has passed. Who wants to be sure sends again with the same dedup_id. */
int execgate_send(const struct execgate_request *request, const char *queue, const struct execgate_outgoing *messages,
                  size_t count);
/* 0 once they wait for the answer: when the handler has succeeded they are put on disk, in one transaction with all
 * else that was sent so, and only then its answer counts. When the handler fails they are forgotten. */
int execgate_send_with_answer(const struct execgate_request *request, const char *queue,
                              const struct execgate_outgoing *messages, size_t count);
/* The id of the message at `index` of the last execgate_send, NULL behind the last. A duplicate was not kept: the id
 * is that of the first with its dedup_id. These two live until the next send. */
const char *execgate_sent_id(const struct execgate_request *request, size_t index, int *is_duplicate);
/* Why the last send, or the last call below, failed. */
const char *execgate_send_problem(const struct execgate_request *request);

/* --- WebSocket connections and their groups (trigger "websocket", and any other) ---
 *
 *     const char *id = execgate_connection(request);
 *     execgate_group_join(request, "tea", id);
 *     execgate_group_send(request, "tea", id, "somebody came", 13); // all but the one who came
 *
 * Where nothing else is said they return 0; 1 when no such connection is open (any more); -1 when nothing was done, or
 * nothing is known, and execgate_send_problem says why. They end at the event's deadline. */
/* The id of the connection that the event is of; NULL of other events. */
const char *execgate_connection(const struct execgate_request *request);
/* A group that this connection is in, or was in when it ended, decoded, at `index` from 0; NULL behind the last. */
const char *execgate_group_at(const struct execgate_request *request, size_t index);
int execgate_in_group(const struct execgate_request *request, const char *group); /* 1 or 0 */
/* Text in UTF-8, or bytes. */
int execgate_connection_send(const struct execgate_request *request, const char *id, const char *text, size_t size);
int execgate_connection_send_bytes(const struct execgate_request *request, const char *id, const void *data,
                                   size_t size);
int execgate_connection_close(const struct execgate_request *request, const char *id, int code, const char *reason);
int execgate_group_join(const struct execgate_request *request, const char *group, const char *id);
int execgate_group_leave(const struct execgate_request *request, const char *group, const char *id);
/* To all in it but the connection `except` (NULL = nobody). How many it went to; -1 as above. */
long long execgate_group_send(const struct execgate_request *request, const char *group, const char *except,
                              const char *text, size_t size);
long long execgate_group_send_bytes(const struct execgate_request *request, const char *group, const char *except,
                                    const void *data, size_t size);
/* How many are in it; -1 as above. */
long long execgate_group_size(const struct execgate_request *request, const char *group);
/* A connection, or {"connections": [...]} with the first `limit` of a group, as JSON that lives until the next call;
 * NULL for both of 1 and -1. */
const char *execgate_connection_show(const struct execgate_request *request, const char *id);
const char *execgate_group_show(const struct execgate_request *request, const char *group, unsigned limit);

/* Of an event of a schedule, the moment that is meant, as Unix time; else 0. */
long long execgate_scheduled_ms(const struct execgate_request *request);

#ifdef __cplusplus
}
#endif

#ifdef EXECGATE_IMPLEMENTATION
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EG_MAX_EVENTS 64
#define EG_MAX_FIELDS 256
#define EG_MAX_HEAD 65536
#define EG_HEAD_ROOM 160 /* in front of the gathered answers, for the head of the exchange that carries them */
#define EG_FIRST_BUFFER 16384
#define EG_SEND_PATIENCE_MS 60000 /* of a send when the event has no deadline */

/* --- bytes that grow and are used again. Out of memory is noted, and seen when the bytes are to be used --- */
struct eg_buffer {
    char *p; /* a NUL follows the n bytes */
    size_t n, capacity;
    int failed;
};

static int eg_reserve(struct eg_buffer *b, size_t extra) {
    size_t want = b->capacity ? b->capacity : 256;
    if (b->n + extra < b->capacity) return 0;
    while (want <= b->n + extra && want < (size_t)-1 / 4) want *= 2;
    char *p = extra < (size_t)-1 / 8 ? (char *)realloc(b->p, want) : NULL;
    if (!p) return b->failed = -1;
    b->p = p;
    b->capacity = want;
    return 0;
}

static void eg_clear(struct eg_buffer *b) {
    b->n = 0;
    b->failed = 0;
}

static void eg_append(struct eg_buffer *b, const void *data, size_t size) {
    if (eg_reserve(b, size)) return;
    if (size) memcpy(b->p + b->n, data, size);
    b->n += size;
    b->p[b->n] = 0;
}

static void eg_append_text(struct eg_buffer *b, const char *text) {
    eg_append(b, text, strlen(text));
}

static void eg_append_number(struct eg_buffer *b, size_t value) {
    char digits[24], *end = digits + sizeof digits, *at = end;
    do *--at = (char)('0' + value % 10);
    while (value /= 10);
    eg_append(b, at, (size_t)(end - at));
}

static void eg_append_format(struct eg_buffer *b, const char *format, va_list arguments) EXECGATE_FORMAT(2, 0);
static void eg_append_format(struct eg_buffer *b, const char *format, va_list arguments) {
    if (eg_reserve(b, 255)) return;
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(b->p + b->n, b->capacity - b->n, format, arguments);
    if (n > 0 && (size_t)n >= b->capacity - b->n && eg_reserve(b, (size_t)n) == 0)
        vsnprintf(b->p + b->n, b->capacity - b->n, format, again);
    va_end(again);
    if (n < 0)
        b->failed = -1;
    else if (!b->failed)
        b->n += (size_t)n;
}

static void eg_append_json(struct eg_buffer *b, const char *text, size_t size) {
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *end = text + size, *stop, *named;
    char escape[12];
    eg_append(b, "\"", 1);
    for (; text < end; text = stop + 1) {
        for (stop = text; stop < end && (unsigned char)*stop >= 0x20 && *stop != '"' && *stop != '\\';) stop++;
        eg_append(b, text, (size_t)(stop - text));
        if (stop == end) break;
        named = *stop ? strchr(names, *stop) : NULL;
        if (named)
            snprintf(escape, sizeof escape, "\\%c", letters[named - names]);
        else
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*stop);
        eg_append_text(b, escape);
    }
    eg_append(b, "\"", 1);
}

/* RFC 4648 section 4. */
static void eg_append_base64(struct eg_buffer *b, const char *data, size_t size) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < size; at += 3) {
        const unsigned char *in = (const unsigned char *)data + at;
        size_t left = size - at;
        unsigned bits = (unsigned)in[0] << 16 | (left > 1 ? (unsigned)in[1] << 8 : 0) | (left > 2 ? in[2] : 0);
        char four[4] = {letters[bits >> 18], letters[bits >> 12 & 63], left > 1 ? letters[bits >> 6 & 63] : '=',
                        left > 2 ? letters[bits & 63] : '='};
        eg_append(b, four, sizeof four);
    }
}

/* --- a connection to the gateway, and the reply that was read from it --- */
struct eg_wire {
    int fd; /* -1 = not open */
    struct eg_buffer in;
};
struct eg_reply {
    int status;
    size_t head_size; /* in wire.in; the decoded body follows it */
    size_t body_size;
};

static void eg_wire_close(struct eg_wire *w) {
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}

static int eg_connect(int family, const void *address, socklen_t size) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)address, size) == 0) return fd;
    close(fd);
    return -1;
}

static int eg_connect_unix(const char *path) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) return -1;
    memcpy(address.sun_path, path, strlen(path));
    return eg_connect(AF_UNIX, &address, sizeof address);
}

/* `api` is "http://127.0.0.1:PORT". */
static int eg_connect_tcp(const char *api) {
    struct sockaddr_in address;
    char host[32];
    int port, on = 1;
    memset(&address, 0, sizeof address);
    if (sscanf(api, "http://%31[0-9.]:%d", host, &port) != 2 || port < 1 || port > 65535) return -1;
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    int fd = eg_connect(AF_INET, &address, sizeof address);
    if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int eg_wire_open(struct eg_wire *w) {
    const char *path = getenv("EXECGATE_RUNTIME_SOCKET"), *api = getenv("EXECGATE_RUNTIME_API");
    if (w->fd >= 0) return 0;
    if (path && *path) w->fd = eg_connect_unix(path);
    if (w->fd < 0 && api && *api) w->fd = eg_connect_tcp(api);
    return w->fd < 0 ? -1 : 0;
}

static int eg_send(struct eg_wire *w, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(w->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

/* Data, or the end, from a peer that has nothing to say. */
static int eg_wire_is_stale(const struct eg_wire *w) {
    char byte;
    return w->fd >= 0 && (recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR));
}

/* Reads what is there, at least a byte. */
static int eg_fill(struct eg_wire *w) {
    if (w->in.capacity < w->in.n + 2 && eg_reserve(&w->in, EG_FIRST_BUFFER)) return -1;
    ssize_t got;
    do got = recv(w->fd, w->in.p + w->in.n, w->in.capacity - w->in.n - 1, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return -1;
    w->in.n += (size_t)got;
    w->in.p[w->in.n] = 0;
    return 0;
}

/* Makes sure that wire.in holds `size` bytes. */
static int eg_fill_to(struct eg_wire *w, size_t size) {
    if (w->in.n >= size) return 0;
    if (eg_reserve(&w->in, size - w->in.n)) return -1;
    while (w->in.n < size)
        if (eg_fill(w)) return -1;
    return 0;
}

/* The value of a field of the reply's head, and its size; NULL when absent. */
static const char *eg_reply_field(const struct eg_wire *w, const struct eg_reply *r, const char *name, size_t *size) {
    const char *line = w->in.p, *end = w->in.p + r->head_size, *next;
    size_t n = strlen(name);
    for (; line < end; line = next) {
        const char *stop = (const char *)memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        if ((size_t)(next - line) <= n || line[n] != ':' || strncasecmp(line, name, n) != 0) continue;
        line += n + 1;
        line += strspn(line, " \t");
        *size = strcspn(line, "\r\n");
        return line;
    }
    return NULL;
}

static int eg_reply_says(const struct eg_wire *w, const struct eg_reply *r, const char *name, const char *value) {
    size_t size = 0;
    const char *text = eg_reply_field(w, r, name, &size);
    return text && size == strlen(value) && strncasecmp(text, value, size) == 0;
}

/* The head of the final reply; interim ones (1xx) are dropped. */
static int eg_head_read(struct eg_wire *w, struct eg_reply *r) {
    const char *end;
    for (;;) {
        while (w->in.n == 0 || !(end = strstr(w->in.p, "\r\n\r\n")))
            if (w->in.n > EG_MAX_HEAD || eg_fill(w)) return -1;
        r->head_size = (size_t)(end - w->in.p) + 4;
        if (strncmp(w->in.p, "HTTP/1.", 7) != 0 || r->head_size < 16) return -1;
        r->status = atoi(w->in.p + 9);
        if (r->status >= 200) return 0;
        if (r->status < 100) return -1;
        w->in.n -= r->head_size;
        memmove(w->in.p, w->in.p + r->head_size, w->in.n + 1);
    }
}

/* The end of the line at `at`, after its LF, reading on as needed; 0 = lost. */
static size_t eg_line_end(struct eg_wire *w, size_t at) {
    for (;;) {
        const char *stop = (const char *)memchr(w->in.p + at, '\n', w->in.n - at);
        if (stop) return (size_t)(stop - w->in.p) + 1;
        if (w->in.n - at > EG_MAX_HEAD || eg_fill(w)) return 0;
    }
}

/* RFC 9112 section 7.1, decoded in place. */
static int eg_chunks_read(struct eg_wire *w, struct eg_reply *r) {
    size_t at = r->head_size, next;
    for (;;) {
        char *stop;
        next = eg_line_end(w, at);
        if (!next) return -1;
        size_t size = strtoul(w->in.p + at, &stop, 16);
        if (stop == w->in.p + at) return -1;
        if (size == 0) break;
        if (size > (size_t)-1 / 8 || eg_fill_to(w, next + size + 2)) return -1;
        memmove(w->in.p + r->head_size + r->body_size, w->in.p + next, size);
        r->body_size += size;
        at = next + size + 2;
    }
    do { /* trailer fields, up to the empty line */
        at = next;
        next = eg_line_end(w, at);
        if (!next) return -1;
    } while (next - at > 2);
    return 0;
}

/* The whole reply. An exchange is over when its reply is, so nothing of a next one can be behind it. */
static int eg_reply_read(struct eg_wire *w, struct eg_reply *r) {
    size_t size = 0;
    memset(r, 0, sizeof *r);
    w->in.n = 0;
    if (eg_head_read(w, r)) return -1;
    if (r->status == 204) return 0;
    if (eg_reply_says(w, r, "Transfer-Encoding", "chunked")) return eg_chunks_read(w, r);
    const char *length = eg_reply_field(w, r, "Content-Length", &size);
    if (!length) return -1;
    r->body_size = strtoul(length, NULL, 10);
    if (r->body_size > (size_t)-1 / 8) return -1;
    return eg_fill_to(w, r->head_size + r->body_size);
}

/* --- the client: what one execgate_run owns. All buffers are kept from event to event --- */
struct eg_field {
    const char *name;
    const char *value;
    size_t name_size;
};
struct eg_form {
    struct eg_buffer text; /* name NUL value NUL ... */
    int loaded;
};
enum eg_state { EG_ANSWERING, EG_FAILED, EG_STREAMING, EG_STREAMED };

struct execgate_response {
    struct execgate_client *client;
    enum eg_state state;
    int status;
    int failures; /* messages named in the body, which is to be closed */
    int is_held;  /* an event stream of execgate_hold */
    struct eg_buffer fields;
    struct eg_buffer body;
};
struct execgate_client {
    execgate_handler *handler;
    void *user;
    size_t max;
    struct eg_wire main;    /* exchanges */
    struct eg_wire stream;  /* streamed answers, and answers that must not wait for them */
    struct eg_wire watch;   /* is the invocation cancelled? */
    struct eg_wire post;    /* messages to queues and connections, and other calls */
    struct eg_buffer out;   /* EG_HEAD_ROOM, then the answers of this batch */
    struct eg_buffer frame; /* what goes out on `stream` */
    struct eg_buffer path;
    struct eg_form parameters, query;
    struct eg_buffer message; /* a copy of the present one */
    struct eg_buffer texts;
    struct eg_form attributes;
    struct eg_form groups;     /* name NUL name NUL ... */
    struct eg_buffer told;     /* what the last call was answered */
    struct eg_buffer receipts; /* of the last send: '0', or '1' for a duplicate, the id, NUL */
    struct eg_buffer problem;
    struct eg_field fields[EG_MAX_FIELDS];
    size_t field_count;
    struct execgate_request request;
    struct execgate_response response;
};

/* --- the request --- */
static int eg_hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes and appends; %00 stays as it is, so that text stays whole. Room was reserved. */
static void eg_append_decoded(struct eg_buffer *b, const char *text, size_t size, char space) {
    const char *end = text + size;
    for (; text < end; text++) {
        char c = *text == '+' ? space : *text;
        if (c == '%' && end - text > 2 && eg_hex(text[1]) >= 0 && eg_hex(text[2]) >= 0) {
            char decoded = (char)(eg_hex(text[1]) << 4 | eg_hex(text[2]));
            if (decoded) {
                c = decoded;
                text += 2;
            }
        }
        b->p[b->n++] = c;
    }
    b->p[b->n] = 0;
}

static int eg_form_load(struct eg_form *f, const char *text) {
    f->loaded = 1;
    f->text.n = 0;
    if (eg_reserve(&f->text, 2 * strlen(text) + 2)) return -1;
    while (*text) {
        size_t size = strcspn(text, "&"), name = strcspn(text, "=&");
        eg_append_decoded(&f->text, text, name, ' ');
        f->text.n++;
        eg_append_decoded(&f->text, text + name + (name < size), size - name - (name < size), ' ');
        f->text.n++;
        text += size + (text[size] == '&');
    }
    return 0;
}

static const char *eg_form_value(struct eg_form *f, const char *text, const char *name) {
    if (!text || (!f->loaded && eg_form_load(f, text))) return NULL;
    for (const char *at = f->text.p, *end = at + f->text.n; at < end; at += strlen(at) + 1) {
        int found = strcmp(at, name) == 0;
        at += strlen(at) + 1;
        if (found) return at;
    }
    return NULL;
}

/* The pair at `index`; NULL behind the last. */
static const char *eg_form_at(struct eg_form *f, const char *text, size_t index, const char **name) {
    if (!f->loaded && eg_form_load(f, text)) return NULL;
    for (const char *at = f->text.p, *end = at + f->text.n; at < end; at += strlen(at) + 1) {
        *name = at;
        at += strlen(at) + 1;
        if (index-- == 0) return at;
    }
    return NULL;
}

const char *execgate_header(const struct execgate_request *request, const char *name) {
    const struct eg_field *field = request->client->fields, *end = field + request->client->field_count;
    size_t size = strlen(name);
    for (; field < end; field++)
        if (field->name_size == size && strcasecmp(field->name, name) == 0) return field->value;
    return NULL;
}

const char *execgate_header_at(const struct execgate_request *request, size_t index, const char **name) {
    if (index >= request->client->field_count) return NULL;
    *name = request->client->fields[index].name;
    return request->client->fields[index].value;
}

const char *execgate_parameter(const struct execgate_request *request, const char *name) {
    return eg_form_value(&request->client->parameters, execgate_header(request, "Execgate-Parameters"), name);
}

const char *execgate_query_value(const struct execgate_request *request, const char *name) {
    return eg_form_value(&request->client->query, request->query, name);
}

long long execgate_remaining_ms(const struct execgate_request *request) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long left = request->deadline_ms - ((long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return left > 0 ? left : 0;
}

/* The watch is a request that the gateway answers when there is something to tell; here one only looks: 200 means
 * cancelled, 204 that the invocation ended otherwise. A stream is its own watch: the gateway breaks it off. */
int execgate_cancelled(const struct execgate_request *request) {
    struct execgate_client *c = request->client;
    struct eg_wire *w = &c->watch;
    char start[12];
    if (c->response.state == EG_STREAMED || (request->deadline_ms && execgate_remaining_ms(request) == 0)) return 1;
    if (c->response.state == EG_STREAMING) return eg_wire_is_stale(&c->stream);
    if (w->fd < 0) {
        eg_clear(&w->in);
        eg_append_text(&w->in, "GET /v1/invocations/");
        eg_append_text(&w->in, request->id);
        eg_append_text(&w->in, "/cancelled HTTP/1.1\r\nHost: execgate\r\n\r\n");
        if (w->in.failed || eg_wire_open(w) || eg_send(w, w->in.p, w->in.n)) return 1;
    }
    ssize_t got = recv(w->fd, start, sizeof start, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0) return errno != EAGAIN && errno != EINTR;
    return got == 0 || (got == (ssize_t)sizeof start && memcmp(start + 9, "200", 3) == 0);
}

/* Takes a line off; it is NUL-terminated in place of its CR. NULL when there is none. */
static char *eg_line_take(char **at, const char *end) {
    char *line = *at, *stop = (char *)memchr(line, '\n', (size_t)(end - line));
    if (!stop || stop == line || stop[-1] != '\r') return NULL;
    stop[-1] = 0;
    *at = stop + 1;
    return line;
}

static int eg_request_line(struct execgate_client *c, char *line) {
    struct execgate_request *q = &c->request;
    char *target = line ? strchr(line, ' ') : NULL, *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version) return -1;
    *target++ = 0;
    *version = 0;
    size_t path_size = strcspn(target, "?");
    c->path.n = 0;
    if (eg_reserve(&c->path, path_size)) return -1;
    eg_append_decoded(&c->path, target, path_size, '+');
    q->method = line;
    q->target = target;
    q->path = c->path.p;
    q->query = target + path_size + (target[path_size] == '?');
    return 0;
}

static int eg_field_take(struct execgate_client *c, char *line) {
    char *colon = strchr(line, ':');
    if (!colon || c->field_count == EG_MAX_FIELDS) return -1;
    struct eg_field *field = &c->fields[c->field_count++];
    *colon = 0;
    field->name = line;
    field->name_size = (size_t)(colon - line);
    field->value = colon + 1 + strspn(colon + 1, " \t");
    return 0;
}

static const char *eg_header_or_empty(const struct execgate_request *request, const char *name) {
    const char *value = execgate_header(request, name);
    return value ? value : "";
}

/* One request message of a pipeline; returns where the next starts, NULL when it is malformed. */
static char *eg_event_parse(struct execgate_client *c, char *at, const char *end) {
    struct execgate_request *q = &c->request;
    char *line = eg_line_take(&at, end);
    c->field_count = 0;
    c->parameters.loaded = c->query.loaded = c->groups.loaded = 0;
    if (eg_request_line(c, line)) return NULL;
    while ((line = eg_line_take(&at, end)) && *line)
        if (eg_field_take(c, line)) return NULL;
    q->id = execgate_header(q, "Execgate-Invocation-Id");
    if (!line || !q->id) return NULL;
    q->trigger = eg_header_or_empty(q, "Execgate-Trigger");
    q->route = eg_header_or_empty(q, "Execgate-Route");
    q->deadline_ms = strtoll(eg_header_or_empty(q, "Execgate-Deadline"), NULL, 10);
    q->body = at;
    q->body_size = strtoul(eg_header_or_empty(q, "Content-Length"), NULL, 10);
    return q->body_size <= (size_t)(end - at) ? at + q->body_size : NULL;
}

/* --- the messages of a queue --- */
/* A field of the copy, whose lines are NUL-terminated; "" when absent. */
static const char *eg_message_field(const struct execgate_client *c, const char *name) {
    size_t size = strlen(name);
    const char *line = c->message.p ? c->message.p : "";
    for (; *line; line += strlen(line) + 1)
        if (strncasecmp(line, name, size) == 0 && strncmp(line + size, ": ", 2) == 0) return line + size + 2;
    return "";
}

/* Copies the head of the message at `at`; returns its size, 0 when it is none. */
static size_t eg_message_head(struct execgate_client *c, const char *at, size_t left) {
    size_t size = 0;
    for (const char *line = at, *stop; !size && (stop = (const char *)memchr(line, '\n', left - (size_t)(line - at)));)
        if (stop - line == 1 && *line == '\r')
            size = (size_t)(stop + 1 - at);
        else
            line = stop + 1;
    eg_clear(&c->message);
    eg_append(&c->message, at, size);
    if (!size || c->message.failed) return 0;
    for (char *to = c->message.p, *from = to, *stop = from + size; from < stop; from++)
        if (*from != '\r') *to++ = (char)(*from == '\n' ? 0 : *from);
    return size;
}

/* Behind the others, which eg_message_texts has made room for. */
static const char *eg_message_text(struct execgate_client *c, const char *name) {
    const char *text = eg_message_field(c, name);
    size_t at = c->texts.n;
    eg_append_decoded(&c->texts, text, strlen(text), ' ');
    c->texts.n++;
    return c->texts.p + at;
}

static void eg_message_texts(struct execgate_client *c, struct execgate_message *message) {
    static const char *const names[] = {"Queue-Group-Id", "Queue-Dedup-Id", "Queue-Died-In", "Queue-Died-Why",
                                        "Queue-Died-Error"};
    const char **texts[] = {&message->group, &message->dedup_id, &message->died_in, &message->died_why,
                            &message->died_error};
    size_t room = 0, i;
    for (i = 0; i < 5; i++) room += strlen(eg_message_field(c, names[i])) + 1;
    eg_clear(&c->texts);
    int full = eg_reserve(&c->texts, room);
    for (i = 0; i < 5; i++) *texts[i] = full ? "" : eg_message_text(c, names[i]);
}

/* From the fields of the copy. */
static int eg_message_fill(struct execgate_client *c, struct execgate_message *message) {
    c->attributes.loaded = 0;
    message->id = eg_message_field(c, "Queue-Message-Id");
    message->content_type = eg_message_field(c, "Content-Type");
    eg_message_texts(c, message);
    message->attempt = strtoul(eg_message_field(c, "Queue-Receive-Count"), NULL, 10);
    message->sent_ms = strtoll(eg_message_field(c, "Queue-Sent"), NULL, 10);
    return 1;
}

/* With `batch: 1` the event is the message. */
static int eg_message_only(const struct execgate_request *request, struct execgate_message *message) {
    struct execgate_client *c = request->client;
    eg_clear(&c->message);
    for (size_t i = 0; i < c->field_count; i++) {
        eg_append_text(&c->message, c->fields[i].name);
        eg_append(&c->message, ": ", 2);
        eg_append(&c->message, c->fields[i].value, strlen(c->fields[i].value) + 1);
    }
    eg_append(&c->message, "", 1);
    if (message->position || c->message.failed) return 0;
    message->position = 1;
    message->body = request->body;
    message->body_size = request->body_size;
    return eg_message_fill(c, message);
}

int execgate_message_next(const struct execgate_request *request, struct execgate_message *message) {
    struct execgate_client *c = request->client;
    if (execgate_header(request, "Queue-Message-Id")) return eg_message_only(request, message);
    const char *at = request->body + message->position;
    size_t left = request->body_size - message->position, head = eg_message_head(c, at, left);
    size_t size = head ? strtoul(eg_message_field(c, "Content-Length"), NULL, 10) : 0;
    if (!head || size > left - head) return 0;
    c->message.n = head; /* the head, now with NULs, is shorter; the body goes behind all of it */
    eg_append(&c->message, at + head, size);
    if (c->message.failed) return 0;
    message->position += head + size;
    message->body = c->message.p + head;
    message->body_size = size;
    return eg_message_fill(c, message);
}

const char *execgate_message_attribute(const struct execgate_request *request, const char *name) {
    struct execgate_client *c = request->client;
    return eg_form_value(&c->attributes, eg_message_field(c, "Queue-Attributes"), name);
}

const char *execgate_message_attribute_at(const struct execgate_request *request, size_t index, const char **name) {
    struct execgate_client *c = request->client;
    return eg_form_at(&c->attributes, eg_message_field(c, "Queue-Attributes"), index, name);
}

int execgate_message_fail(struct execgate_response *response, const char *id) {
    execgate_print(response, response->failures++ ? "," : "{\"batchItemFailures\":[");
    execgate_print(response, "{\"itemIdentifier\":");
    execgate_write_json(response, id, strlen(id));
    return execgate_write(response, "}", 1);
}

/* --- the response --- */
int execgate_status(struct execgate_response *response, int status) {
    if (response->state != EG_ANSWERING || status < 200 || status > 599) return -1;
    response->status = status;
    return 0;
}

/* RFC 9110 section 5.1: a token. */
static int eg_name_is_valid(const char *name) {
    const char *at = name;
    for (; *at; at++) {
        char lower = (char)(*at | 0x20);
        int plain = (lower >= 'a' && lower <= 'z') || (*at >= '0' && *at <= '9');
        if (!plain && !strchr("!#$%&'*+-.^_`|~", *at)) return 0;
    }
    return at > name;
}

/* RFC 9110 section 5.5: no control characters but the tab. */
static int eg_value_is_valid(const char *value) {
    for (; *value; value++)
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f) return 0;
    return 1;
}

static int eg_append_field(struct eg_buffer *b, const char *name, const char *value) {
    if (!eg_name_is_valid(name) || !eg_value_is_valid(value)) return -1;
    eg_append_text(b, name);
    eg_append(b, ": ", 2);
    eg_append_text(b, value);
    eg_append(b, "\r\n", 2);
    return b->failed;
}

int execgate_add_header(struct execgate_response *response, const char *name, const char *value) {
    int is_own = strncasecmp(name, "Execgate-", 9) == 0 && strcasecmp(name, "Execgate-Groups") != 0;
    if (response->state != EG_ANSWERING || is_own) return -1;
    if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0) return -1;
    return eg_append_field(&response->fields, name, value);
}

int execgate_write(struct execgate_response *response, const void *data, size_t size) {
    eg_append(&response->body, data, size);
    return response->body.failed;
}

int execgate_print(struct execgate_response *response, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    eg_append_format(&response->body, format, arguments);
    va_end(arguments);
    return response->body.failed;
}

int execgate_write_json(struct execgate_response *response, const char *text, size_t size) {
    eg_append_json(&response->body, text, size);
    return response->body.failed;
}

int execgate_reply(struct execgate_response *response, int status, const char *content_type, const char *text) {
    if (execgate_status(response, status) || execgate_add_header(response, "Content-Type", content_type)) return -1;
    return execgate_write(response, text, strlen(text));
}

void execgate_fail(struct execgate_response *response, const char *type, const char *format, ...) {
    va_list arguments;
    int streaming = response->state == EG_STREAMING;
    if (response->state == EG_STREAMED) return;
    if (streaming) eg_wire_close(&response->client->stream);
    response->status = 500;
    eg_clear(&response->fields);
    eg_clear(&response->body);
    if (eg_append_field(&response->fields, "Execgate-Error", type))
        eg_append_field(&response->fields, "Execgate-Error", "Error");
    va_start(arguments, format);
    eg_append_format(&response->body, format, arguments);
    va_end(arguments);
    if (streaming) fprintf(stderr, "execgate: stream broken off: %s: %s\n", type, response->body.p);
    response->state = streaming ? EG_STREAMED : EG_FAILED;
}

int execgate_retry(struct execgate_response *response, const char *when) {
    if (response->state != EG_FAILED) return -1;
    return eg_append_field(&response->fields, "Execgate-Retry", when);
}

long long execgate_scheduled_ms(const struct execgate_request *request) {
    const char *text = execgate_header(request, "Execgate-Scheduled-Time");
    int year, month, day, hour, minute, second;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &year, &month, &day, &hour, &minute, &second) != 6) return 0;
    /* Years from March on, so that a leap day is the last of its year; 1970-01-01 is day 719468 of the year 0. */
    long long years = year - (month < 3), of_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;
    long long days = 365 * years + years / 4 - years / 100 + years / 400 + of_year - 719468;
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
}

/* --- sending messages --- */
static int eg_send_failed(struct execgate_client *c, const char *format, ...) EXECGATE_FORMAT(2, 3);
static int eg_send_failed(struct execgate_client *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    eg_append_format(&c->problem, format, arguments);
    va_end(arguments);
    return -1;
}

static void eg_append_member(struct eg_buffer *b, const char *name, const char *text) {
    if (!text || !*text) return;
    eg_append(b, ",", 1);
    eg_append_json(b, name, strlen(name));
    eg_append(b, ":", 1);
    eg_append_json(b, text, strlen(text));
}

static void eg_append_attributes(struct eg_buffer *b, const char *const *attributes) {
    if (!attributes || !*attributes) return;
    eg_append_text(b, ",\"attributes\":");
    for (const char *const *at = attributes; *at; at += 2) {
        eg_append(b, at == attributes ? "{" : ",", 1);
        eg_append_json(b, at[0], strlen(at[0]));
        eg_append(b, ":", 1);
        eg_append_json(b, at[1], strlen(at[1]));
    }
    eg_append(b, "}", 1);
}

static void eg_append_outgoing(struct eg_buffer *b, const struct execgate_outgoing *m) {
    char delay[32];
    snprintf(delay, sizeof delay, "%lldms", m->delay_ms > 0 ? m->delay_ms : 0);
    eg_append_text(b, "{\"bodyBase64\":\"");
    eg_append_base64(b, m->body, m->body_size);
    eg_append(b, "\"", 1);
    eg_append_member(b, "contentType", m->content_type);
    eg_append_member(b, "groupId", m->group);
    eg_append_member(b, "dedupId", m->dedup_id);
    eg_append_member(b, "delay", m->delay_ms ? delay : NULL);
    eg_append_attributes(b, m->attributes);
    eg_append(b, "}", 1);
}

/* Bounds every wait for the gateway by the event's deadline. */
static int eg_wire_limit(const struct eg_wire *w, const struct execgate_request *request) {
    long long ms = request->deadline_ms ? execgate_remaining_ms(request) : EG_SEND_PATIENCE_MS;
    struct timeval limit;
    limit.tv_sec = ms / 1000;
    limit.tv_usec = ms % 1000 * 1000;
    if (ms == 0 || setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) return -1;
    return setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* Sends what frame holds. */
static int eg_post(struct execgate_client *c, struct eg_reply *r) {
    struct eg_wire *w = &c->post;
    if (eg_wire_is_stale(w)) eg_wire_close(w);
    if (eg_wire_open(w) || eg_wire_limit(w, &c->request) || eg_send(w, c->frame.p, c->frame.n) || eg_reply_read(w, r)) {
        eg_wire_close(w);
        return -1;
    }
    if (eg_reply_says(w, r, "Connection", "close")) eg_wire_close(w);
    return 0;
}

/* The list of messages, and in frame the whole call with it. */
static int eg_post_make(struct execgate_client *c, const char *queue, const char *invocation,
                        const struct execgate_outgoing *messages, size_t count) {
    struct eg_buffer *list = &c->post.in, *call = &c->frame;
    eg_clear(list);
    eg_append_text(list, "{\"messages\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) eg_append(list, ",", 1);
        eg_append_outgoing(list, &messages[i]);
    }
    eg_append(list, "]}", 2);
    eg_clear(call);
    eg_append_text(call, "POST /v1/queues/");
    eg_append_text(call, queue);
    eg_append_text(call, "/messages HTTP/1.1\r\nHost: execgate\r\n"
                         "Content-Type: application/vnd.execgate.messages+json\r\n");
    if (invocation && eg_append_field(call, "Execgate-Invocation-Id", invocation)) return -1;
    eg_append_text(call, "Content-Length: ");
    eg_append_number(call, list->n);
    eg_append(call, "\r\n\r\n", 4);
    eg_append(call, list->p, list->n);
    return list->failed || call->failed ? -1 : 0;
}

/* From the reply, which is {"messages":[{"messageId":"...","duplicate":false}, ...]}. */
static void eg_receipts_read(struct execgate_client *c, const char *text) {
    static const char id[] = "\"messageId\":\"", duplicate[] = "\",\"duplicate\":true";
    while ((text = strstr(text, id))) {
        size_t size = strcspn(text += sizeof id - 1, "\"");
        eg_append(&c->receipts, strncmp(text + size, duplicate, sizeof duplicate - 1) ? "0" : "1", 1);
        eg_append(&c->receipts, text, size);
        eg_append(&c->receipts, "", 1);
        text += size;
    }
}

/* What a problem of the gateway's (RFC 9457) says, and how much of it. */
static const char *eg_reply_detail(const struct execgate_client *c, const struct eg_reply *r, int *size) {
    static const char detail[] = "\"detail\":\"";
    const char *body = r->body_size ? c->post.in.p + r->head_size : "", *said = strstr(body, detail);
    if (said) body = said + sizeof detail - 1;
    *size = (int)(said ? strcspn(body, "\"") : r->body_size);
    return body;
}

static int eg_send_messages(struct execgate_client *c, const char *queue, const char *invocation,
                            const struct execgate_outgoing *messages, size_t count) {
    struct eg_reply reply;
    int size;
    eg_clear(&c->receipts);
    eg_clear(&c->problem);
    if (!eg_name_is_valid(queue)) return eg_send_failed(c, "no queue has the name %s", queue);
    if (eg_post_make(c, queue, invocation, messages, count)) return eg_send_failed(c, "out of memory");
    if (eg_post(c, &reply))
        return eg_send_failed(c,
                              "it is not known whether the queue %s has the messages: the connection was lost, or the "
                              "deadline has passed",
                              queue);
    if (reply.status == 202) {
        eg_receipts_read(c, reply.body_size ? c->post.in.p + reply.head_size : "");
        return c->receipts.failed;
    }
    const char *detail = eg_reply_detail(c, &reply, &size);
    return eg_send_failed(c, "the queue %s answered %d: %.*s", queue, reply.status, size, detail);
}

int execgate_send(const struct execgate_request *request, const char *queue, const struct execgate_outgoing *messages,
                  size_t count) {
    return count ? eg_send_messages(request->client, queue, NULL, messages, count) : 0;
}

int execgate_send_with_answer(const struct execgate_request *request, const char *queue,
                              const struct execgate_outgoing *messages, size_t count) {
    return count ? eg_send_messages(request->client, queue, request->id, messages, count) : 0;
}

const char *execgate_sent_id(const struct execgate_request *request, size_t index, int *is_duplicate) {
    const struct eg_buffer *receipts = &request->client->receipts;
    if (receipts->n == 0) return NULL;
    for (const char *at = receipts->p, *end = at + receipts->n; at < end; at += strlen(at) + 1) {
        if (index--) continue;
        *is_duplicate = *at == '1';
        return at + 1;
    }
    return NULL;
}

const char *execgate_send_problem(const struct execgate_request *request) {
    const struct eg_buffer *problem = &request->client->problem;
    return problem->n ? problem->p : "";
}

/* --- WebSocket connections --- */
const char *execgate_connection(const struct execgate_request *request) {
    return execgate_header(request, "Execgate-Connection-Id");
}

static int eg_groups_load(struct eg_form *f, const char *text) {
    eg_clear(&f->text);
    if (eg_reserve(&f->text, strlen(text) + 2)) return -1;
    f->loaded = 1;
    while (*text) {
        size_t size = strcspn(text, ",");
        eg_append_decoded(&f->text, text, size, '+');
        f->text.n++;
        text += size + (text[size] == ',');
    }
    return 0;
}

const char *execgate_group_at(const struct execgate_request *request, size_t index) {
    struct eg_form *f = &request->client->groups;
    if (!f->loaded && eg_groups_load(f, eg_header_or_empty(request, "Execgate-Groups"))) return NULL;
    for (const char *at = f->text.p, *end = at + f->text.n; at < end; at += strlen(at) + 1)
        if (index-- == 0) return at;
    return NULL;
}

int execgate_in_group(const struct execgate_request *request, const char *group) {
    const char *one;
    for (size_t i = 0; (one = execgate_group_at(request, i)); i++)
        if (strcmp(one, group) == 0) return 1;
    return 0;
}

/* RFC 3986 section 2.3: what is not unreserved is percent-encoded. */
static void eg_append_escaped(struct eg_buffer *b, const char *text) {
    char escape[4];
    for (; *text; text++) {
        char lower = (char)(*text | 0x20);
        int plain = (lower >= 'a' && lower <= 'z') || (*text >= '0' && *text <= '9') || strchr("-._~", *text);
        snprintf(escape, sizeof escape, "%%%02X", (unsigned)(unsigned char)*text);
        eg_append(b, plain ? text : escape, plain ? 1 : 3);
    }
}

int execgate_hold(struct execgate_response *response, const char *group) {
    if (response->state != EG_ANSWERING || !*group) return -1;
    if (!response->is_held) eg_append_text(&response->fields, "Content-Type: text/event-stream\r\n");
    response->is_held = 1;
    eg_append_text(&response->fields, "Execgate-Groups: ");
    eg_append_escaped(&response->fields, group);
    eg_append_text(&response->fields, "\r\n");
    return response->fields.failed;
}

/* A call is made in frame: its method and path first, one escaped name in it. */
static struct eg_buffer *eg_call_begin(const struct execgate_request *request, const char *path, const char *name) {
    struct eg_buffer *call = &request->client->frame;
    eg_clear(&request->client->problem);
    eg_clear(call);
    eg_append_text(call, path);
    eg_append_escaped(call, name);
    return call;
}

static int eg_call_failed(struct execgate_client *c, const struct eg_reply *r) {
    int size;
    const char *detail = eg_reply_detail(c, r, &size);
    eg_send_failed(c, "the gateway answered %d: %.*s", r->status, size, detail);
    return r->status == 410 ? 1 : -1;
}

/* The rest of the call, and its reply, whose body is text then, "" without one. */
static int eg_call(struct execgate_client *c, const char *type, const void *data, size_t size) {
    struct eg_buffer *call = &c->frame;
    struct eg_reply reply;
    eg_append_text(call, " HTTP/1.1\r\nHost: execgate\r\nContent-Type: ");
    eg_append_text(call, type);
    eg_append_text(call, "\r\nContent-Length: ");
    eg_append_number(call, size);
    eg_append(call, "\r\n\r\n", 4);
    eg_append(call, data, size);
    if (call->failed) return eg_send_failed(c, "out of memory");
    if (eg_post(c, &reply))
        return eg_send_failed(c, "it is not known whether the gateway has done it: the connection was lost, or the "
                                 "deadline has passed");
    if (reply.status >= 300) return eg_call_failed(c, &reply);
    eg_clear(&c->told);
    eg_append(&c->told, c->post.in.p + reply.head_size, reply.body_size);
    return c->told.failed;
}

static int eg_call_plain(const struct execgate_request *request) {
    return eg_call(request->client, "text/plain", "", 0);
}

/* The number that stands behind the name in the last reply. */
static long long eg_call_number(const struct execgate_client *c, int result, const char *name) {
    const char *at = result == 0 && c->told.n ? strstr(c->told.p, name) : NULL;
    return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static const char *eg_call_text(const struct execgate_client *c, int result) {
    return result == 0 && c->told.n ? c->told.p : NULL;
}

int execgate_connection_send(const struct execgate_request *request, const char *id, const char *text, size_t size) {
    eg_call_begin(request, "POST /v1/connections/", id);
    return eg_call(request->client, "text/plain; charset=utf-8", text, size);
}

int execgate_connection_send_bytes(const struct execgate_request *request, const char *id, const void *data,
                                   size_t size) {
    eg_call_begin(request, "POST /v1/connections/", id);
    return eg_call(request->client, "application/octet-stream", data, size);
}

int execgate_connection_close(const struct execgate_request *request, const char *id, int code, const char *reason) {
    struct eg_buffer *call = eg_call_begin(request, "DELETE /v1/connections/", id);
    eg_append_text(call, "?code=");
    eg_append_number(call, code < 0 ? 0 : (size_t)code);
    eg_append_text(call, "&reason=");
    eg_append_escaped(call, reason);
    return eg_call_plain(request);
}

static int eg_call_group(const struct execgate_request *request, const char *path, const char *id, const char *group) {
    struct eg_buffer *call = eg_call_begin(request, path, id);
    eg_append_text(call, "/groups/");
    eg_append_escaped(call, group);
    return eg_call_plain(request);
}

int execgate_group_join(const struct execgate_request *request, const char *group, const char *id) {
    return eg_call_group(request, "PUT /v1/connections/", id, group);
}

int execgate_group_leave(const struct execgate_request *request, const char *group, const char *id) {
    return eg_call_group(request, "DELETE /v1/connections/", id, group);
}

static void eg_call_broadcast(const struct execgate_request *request, const char *group, const char *except) {
    struct eg_buffer *call = eg_call_begin(request, "POST /v1/groups/", group);
    eg_append_text(call, "/messages");
    if (!except || !*except) return;
    eg_append_text(call, "?except=");
    eg_append_escaped(call, except);
}

long long execgate_group_send(const struct execgate_request *request, const char *group, const char *except,
                              const char *text, size_t size) {
    struct execgate_client *c = request->client;
    eg_call_broadcast(request, group, except);
    return eg_call_number(c, eg_call(c, "text/plain; charset=utf-8", text, size), "\"sent\":");
}

long long execgate_group_send_bytes(const struct execgate_request *request, const char *group, const char *except,
                                    const void *data, size_t size) {
    struct execgate_client *c = request->client;
    eg_call_broadcast(request, group, except);
    return eg_call_number(c, eg_call(c, "application/octet-stream", data, size), "\"sent\":");
}

long long execgate_group_size(const struct execgate_request *request, const char *group) {
    eg_call_begin(request, "GET /v1/groups/", group);
    return eg_call_number(request->client, eg_call_plain(request), "\"connections\":");
}

const char *execgate_connection_show(const struct execgate_request *request, const char *id) {
    eg_call_begin(request, "GET /v1/connections/", id);
    return eg_call_text(request->client, eg_call_plain(request));
}

const char *execgate_group_show(const struct execgate_request *request, const char *group, unsigned limit) {
    struct eg_buffer *call = eg_call_begin(request, "GET /v1/connections?group=", group);
    eg_append_text(call, "&limit=");
    eg_append_number(call, limit);
    return eg_call_text(request->client, eg_call_plain(request));
}

/* The head of the answer, up to its fields; the blank line is not included. */
static void eg_append_head(struct eg_buffer *b, const struct execgate_response *response) {
    eg_append_text(b, "HTTP/1.1 ");
    eg_append_number(b, (size_t)response->status);
    eg_append_text(b, " \r\nExecgate-Invocation-Id: ");
    eg_append_text(b, response->client->request.id);
    eg_append(b, "\r\n", 2);
    eg_append(b, response->fields.p, response->fields.n);
}

/* Puts the answer behind the others of this batch. */
static int eg_answer_gather(struct execgate_client *c) {
    struct execgate_response *r = &c->response;
    if (r->failures && r->state == EG_ANSWERING) execgate_write(r, "]}", 2);
    if (r->fields.failed || r->body.failed) execgate_fail(r, "OutOfMemory", "the answer did not fit");
    eg_append_head(&c->out, r);
    eg_append_text(&c->out, "Content-Length: ");
    eg_append_number(&c->out, r->body.n);
    eg_append(&c->out, "\r\n\r\n", 4);
    eg_append(&c->out, r->body.p, r->body.n);
    return c->out.failed;
}

/* --- exchanges --- */
static void eg_complain(const struct eg_wire *w, const struct eg_reply *r, const char *what) {
    int shown = (int)(r->body_size < 500 ? r->body_size : 500);
    fprintf(stderr, "execgate: %s: the gateway answered %d: %.*s\n", what, r->status, shown, w->in.p + r->head_size);
}

/* Carries the gathered answers there and a reply back; a lost connection is renewed once. -1 = the gateway is gone. */
static int eg_exchange(struct execgate_client *c, struct eg_wire *w, size_t max, struct eg_reply *r) {
    char head[EG_HEAD_ROOM];
    int attempt = 0;
    int size = snprintf(head, sizeof head,
                        "POST /v1/exchange?max=%lu HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\n"
                        "Content-Length: %lu\r\n\r\n",
                        (unsigned long)max, (unsigned long)(c->out.n - EG_HEAD_ROOM));
    char *start = c->out.p + EG_HEAD_ROOM - size;
    memcpy(start, head, (size_t)size);
    for (; attempt < 2; attempt++) {
        if (eg_wire_open(w)) return -1;
        if (eg_send(w, start, c->out.n - (size_t)(start - c->out.p)) == 0 && eg_reply_read(w, r) == 0) break;
        eg_wire_close(w);
    }
    if (attempt == 2) return -1;
    if (eg_reply_says(w, r, "Connection", "close")) eg_wire_close(w);
    c->out.n = EG_HEAD_ROOM;
    return 0;
}

/* What a reply says about the answers that its exchange carried. */
static void eg_reply_note(const struct eg_wire *w, const struct eg_reply *r) {
    size_t size = 0;
    const char *refused = eg_reply_field(w, r, "Execgate-Refused", &size);
    if (refused) fprintf(stderr, "execgate: answers refused: %.*s\n", (int)size, refused);
    if (r->status != 200) eg_complain(w, r, "exchange");
}

/* --- streaming --- */
static int eg_stream_lost(struct execgate_response *response) {
    eg_wire_close(&response->client->stream);
    response->state = EG_STREAMED;
    return -1;
}

/* Two parts as one chunk; nothing at all for an empty one, which would be the last. */
static void eg_append_chunk(struct eg_buffer *b, const struct eg_buffer *first, const void *data, size_t size) {
    char line[24];
    if (first->n + size == 0) return;
    snprintf(line, sizeof line, "%lx\r\n", (unsigned long)(first->n + size));
    eg_append_text(b, line);
    eg_append(b, first->p, first->n);
    eg_append(b, data, size);
    eg_append(b, "\r\n", 2);
}

/* Answers of earlier events must not wait for a stream: they leave before it. */
static int eg_stream_open(struct execgate_client *c) {
    struct eg_reply reply;
    if (eg_wire_is_stale(&c->stream)) eg_wire_close(&c->stream);
    if (c->out.n > EG_HEAD_ROOM) {
        if (eg_exchange(c, &c->stream, 0, &reply)) return -1;
        eg_reply_note(&c->stream, &reply);
    }
    return eg_wire_open(&c->stream);
}

/* Sends what frame holds. */
static int eg_stream_send(struct execgate_response *response) {
    struct execgate_client *c = response->client;
    if (response->body.failed || response->fields.failed || c->frame.failed) return eg_stream_lost(response);
    response->body.n = 0;
    return eg_send(&c->stream, c->frame.p, c->frame.n) ? eg_stream_lost(response) : 0;
}

int execgate_stream_begin(struct execgate_response *response) {
    struct execgate_client *c = response->client;
    struct eg_buffer *head = &c->stream.in;
    if (response->state != EG_ANSWERING) return -1;
    if (eg_stream_open(c)) return eg_stream_lost(response);
    response->state = EG_STREAMING;
    eg_clear(head);
    eg_append_head(head, response);
    eg_append(head, "\r\n", 2);
    eg_clear(&c->frame);
    eg_append_text(&c->frame, "POST /v1/invocations/");
    eg_append_text(&c->frame, c->request.id);
    eg_append_text(&c->frame, "/response HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n");
    eg_append_chunk(&c->frame, head, response->body.p, response->body.n);
    return head->failed ? eg_stream_lost(response) : eg_stream_send(response);
}

int execgate_stream_write(struct execgate_response *response, const void *data, size_t size) {
    struct execgate_client *c = response->client;
    if (response->state != EG_STREAMING) return -1;
    if (eg_wire_is_stale(&c->stream)) return eg_stream_lost(response);
    eg_clear(&c->frame);
    eg_append_chunk(&c->frame, &response->body, data, size);
    return eg_stream_send(response);
}

int execgate_stream_end(struct execgate_response *response) {
    struct execgate_client *c = response->client;
    struct eg_reply reply;
    if (execgate_stream_write(response, NULL, 0)) return -1;
    if (eg_send(&c->stream, "0\r\n\r\n", 5) || eg_reply_read(&c->stream, &reply)) return eg_stream_lost(response);
    response->state = EG_STREAMED;
    if (eg_reply_says(&c->stream, &reply, "Connection", "close")) eg_wire_close(&c->stream);
    if (reply.status < 300) return 0;
    eg_complain(&c->stream, &reply, "stream");
    return -1;
}

/* --- the loop --- */
static int eg_handle(struct execgate_client *c) {
    struct execgate_response *r = &c->response;
    r->state = EG_ANSWERING;
    r->status = 200;
    r->failures = 0;
    r->is_held = 0;
    eg_clear(&r->fields);
    eg_clear(&r->body);
    c->handler(&c->request, r, c->user);
    eg_wire_close(&c->watch);
    if (r->state == EG_STREAMING) execgate_stream_end(r);
    return r->state == EG_STREAMED ? 0 : eg_answer_gather(c);
}

/* The events of a reply, one after the other; each body is NUL-terminated while it is its turn. */
static int eg_batch(struct execgate_client *c, const struct eg_reply *r) {
    char *at = c->main.in.p + r->head_size, *end = at + r->body_size;
    while (at < end) {
        at = eg_event_parse(c, at, end);
        if (!at) {
            fprintf(stderr, "execgate: the gateway sent an event that is no request message\n");
            return -1;
        }
        char first_of_next = *at;
        *at = 0;
        int failed = eg_handle(c);
        *at = first_of_next;
        if (failed) return -1;
    }
    return 0;
}

static int eg_loop(struct execgate_client *c) {
    struct eg_reply reply;
    int reached = 0, trouble = 0;
    while (eg_exchange(c, &c->main, c->max, &reply) == 0) {
        reached = 1;
        eg_reply_note(&c->main, &reply);
        if (eg_reply_says(&c->main, &reply, "Execgate-Drain", "true")) return 0;
        trouble = reply.status == 200 ? 0 : trouble + 1;
        if (trouble == 3) return -1;
        if (!trouble && eg_batch(c, &reply)) return -1;
    }
    if (!reached)
        fprintf(stderr,
                "execgate: no gateway at EXECGATE_RUNTIME_SOCKET or EXECGATE_RUNTIME_API; does execgate run this?\n");
    return reached ? 0 : -1;
}

static int eg_client_init(struct execgate_client *c, execgate_handler *handler, void *user) {
    const char *concurrency = getenv("EXECGATE_CONCURRENCY");
    long max = concurrency ? strtol(concurrency, NULL, 10) : 1;
    c->handler = handler;
    c->user = user;
    c->max = max < 1 ? 1 : max > EG_MAX_EVENTS ? EG_MAX_EVENTS : (size_t)max;
    c->main.fd = c->stream.fd = c->watch.fd = c->post.fd = -1;
    c->request.client = c->response.client = c;
    if (eg_reserve(&c->out, EG_FIRST_BUFFER) || eg_reserve(&c->main.in, 4 * EG_FIRST_BUFFER)) return -1;
    c->out.n = EG_HEAD_ROOM;
    return 0;
}

static void eg_client_free(struct execgate_client *c) {
    struct eg_buffer *buffers[] = {
        &c->main.in,         &c->stream.in,       &c->watch.in,        &c->out,           &c->frame,       &c->path,
        &c->query.text,      &c->parameters.text, &c->response.fields, &c->response.body, &c->message,     &c->texts,
        &c->attributes.text, &c->post.in,         &c->receipts,        &c->problem,       &c->groups.text, &c->told};
    eg_wire_close(&c->main);
    eg_wire_close(&c->stream);
    eg_wire_close(&c->watch);
    eg_wire_close(&c->post);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]->p);
    free(c);
}

int execgate_run(execgate_handler *handler, void *user) {
    struct execgate_client *c = (struct execgate_client *)calloc(1, sizeof *c);
    if (!c) return -1;
    int result = eg_client_init(c, handler, user) ? -1 : eg_loop(c);
    eg_client_free(c);
    return result;
}
#endif /* EXECGATE_IMPLEMENTATION */
