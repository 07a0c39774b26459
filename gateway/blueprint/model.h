/* model.h - the typed blueprint: what an application is, once a file has been understood.
 *
 * bytes -> located tree (tree.h) -> substitution (substitute.h) -> schema tables (schema.h) ->
 * these structs -> cross checks (check.c). The result is immutable and reference-counted: a
 * reload builds a second one, and what is running keeps the one it started with. Everything in it
 * lives in its arena. Other dialects would fill the same structs from the same tree.
 *
 * Text members are NUL-terminated and never NULL unless said so. Durations are milliseconds, sizes bytes.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/error.h"
#include "gateway/blueprint/cidr.h"
#include "gateway/schedule/schedule.h"

struct certificate_config {
    const char *certificate; /* absolute path: PEM, the chain in order */
    const char *key;         /* absolute path: PEM; may be the same file */
};
enum client_certificates { CLIENT_CERTIFICATES_NONE, CLIENT_CERTIFICATES_OPTIONAL, CLIENT_CERTIFICATES_REQUIRED };
enum listener_tls_version { LISTENER_TLS_1_2, LISTENER_TLS_1_3 };
struct tls_config {
    const struct certificate_config *certificates; /* the first serves clients that name none of the others' hosts */
    size_t certificate_count;                      /* at least 1 */
    enum client_certificates client_certificates;
    const char *client_authority; /* absolute path: PEM; NULL without client certificates */
    enum listener_tls_version min_version;
};

enum listener_kind { LISTENER_TCP, LISTENER_UNIX };
enum listener_scheme { LISTENER_HTTP, LISTENER_HTTPS };
struct listener_config {
    enum listener_kind kind;
    const char *host; /* LISTENER_TCP: numeric address, IPv6 without brackets; "0.0.0.0", "::" */
    uint16_t port;    /* 0 = any free port */
    const char *path; /* LISTENER_UNIX: absolute */
    const char *text; /* as written */
    enum listener_scheme scheme;
    const struct tls_config *tls; /* LISTENER_HTTPS only, else NULL */
    bool proxy_protocol;          /* each connection begins with a PROXY header, version 1 or 2 */
    bool redirect;                /* LISTENER_HTTP only: answers nothing but redirects to https */
};

/* The numbers that bound work in flight; each can be set and seen. */
struct limits_config {
    uint64_t connections;         /* open client connections, all listeners */
    uint64_t in_flight;           /* invocations between arrival and delivery */
    uint64_t max_body;            /* request body, bytes; a trigger may override (plugins/limits) */
    uint64_t max_answer;          /* a handler's whole (not streamed) answer, bytes */
    uint64_t max_header;          /* request line and fields, bytes */
    uint64_t header_timeout_ms;   /* from the request's first byte (or the connection) to its last header byte */
    uint64_t body_timeout_ms;     /* without progress while the client sends a body or reads the answer */
    uint64_t idle_timeout_ms;     /* keep-alive */
    uint64_t shutdown_timeout_ms; /* graceful drain */
};

enum handler_mode {
    HANDLER_RUNTIME, /* polls the runtime API */
    HANDLER_ONCE,    /* a process per event: CGI */
    HANDLER_SERVER,  /* is an HTTP server itself */
};
enum server_socket { SERVER_SOCKET_PORT, SERVER_SOCKET_INHERITED };

struct environment_variable {
    const char *name;
    const char *value;
    bool secret; /* came from a file or a secret variable: never shown */
};

struct processes_config {
    uint64_t min;
    uint64_t max;
    uint64_t concurrency;
    uint64_t start_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t stop_timeout_ms; /* between SIGTERM and SIGKILL */
    uint64_t max_invocations; /* 0 = no bound */
    uint64_t max_memory;      /* 0 = no bound; recycled when idle above it, killed above twice it */
};

struct http_trigger_config {
    struct slice method;  /* "GET", ... or "ANY" */
    struct slice pattern; /* "/items/{id}" */
    const char *text;     /* as written: "GET /items/{id}" */
    size_t number;        /* counts the http triggers of all handlers, from 0: the index of plugins' settings */
    bool guarded_later;   /* a WebSocket path's: its guards look at the first message */
    int line, column;     /* where it stands */
};

enum schedule_overlap { SCHEDULE_OVERLAP_SKIP, SCHEDULE_OVERLAP_QUEUE, SCHEDULE_OVERLAP_ALLOW };
enum schedule_missed { SCHEDULE_MISSED_SKIP, SCHEDULE_MISSED_ONCE, SCHEDULE_MISSED_ALL };
#define SCHEDULE_MISSED_MAX 1000

struct schedule_config {
    const char *name;
    bool is_named;    /* or the name is made from the handler's */
    const char *text; /* as written */
    const char *time_zone;
    const char *key; /* "POST /schedule/nightly": its route in logs */
    struct schedule when;
    struct slice input; /* JSON; absent = none given */
    uint64_t jitter_ms;
    enum schedule_overlap overlap;
    enum schedule_missed missed;
    uint64_t max_missed; /* 1 to SCHEDULE_MISSED_MAX */
    int line, column;
};

/* Messages for a handler. Which of several triggers of one queue takes a message, their filters say, in order. */
struct filter_config {
    struct slice path; /* "customer.region" */
    struct slice value;
};
struct queue_trigger_config {
    const char *queue;
    uint64_t batch;
    uint64_t window_ms;
    uint64_t concurrency; /* 0 = what the pool has places for */
    bool report_failures;
    const struct filter_config *filters; /* all must fit */
    size_t filter_count;
    int line, column;
};

/* What happens on the connections of one path, for a handler. */
struct websocket_trigger_config {
    const char *path;
    const char *route; /* "$connect", "$disconnect", "$default", or what routeKey finds in a message */
    const char *text;  /* "websocket /chat join" */
    bool reply;        /* its answer goes back as a message */
    int line, column;
};

/* When what failed is tried again. */
enum queue_jitter { QUEUE_JITTER_FULL, QUEUE_JITTER_NONE };
struct queue_retry_config {
    uint64_t max_attempts;
    uint64_t base_ms, factor, max_ms;
    enum queue_jitter jitter;
};

/* A handler's invocations that nobody waits for, and who is told of their end. */
struct destination_config {
    const char *queue; /* a handler's is that of its invocations; NULL = nobody */
    uint64_t max_message;
    int line, column;
};
struct queue_config;
struct async_config {
    bool said; /* the blueprint has a word about it */
    const struct queue_config
        *queue; /* of its own: "async/NAME"; its dead letter queue is for those without onFailure */
    uint64_t max_age_ms;
    struct destination_config on_success, on_failure;
};

struct handler_config {
    const char *name;
    size_t index; /* position in blueprint.handlers */
    enum handler_mode mode;
    enum server_socket server_socket;
    char *
        *command; /* argv; NULL-terminated; argv[0] is absolute (a bare name is looked up in PATH; it stays bare when it
                     is not there, which BLUEPRINT_CHECK_FILES refuses). Arguments may be secret: never log them. */
    char **build; /* argv as `command`; NULL = nothing makes it */
    const char *const *sources; /* absolute paths and patterns; none = what is below the working directory */
    size_t source_count;
    bool attach;                   /* no process is started: somebody else does (pool/attach.h); command may be empty */
    const char *working_directory; /* absolute */
    struct environment_variable *environment;
    size_t environment_count;
    uint64_t timeout_ms; /* per invocation */
    uint64_t queue_limit;
    struct processes_config processes;
    struct http_trigger_config *http_triggers;
    size_t http_trigger_count;
    struct schedule_config *schedules;
    size_t schedule_count;
    struct queue_trigger_config *queue_triggers;
    size_t queue_trigger_count;
    struct websocket_trigger_config *websocket_triggers;
    size_t websocket_trigger_count;
    struct async_config async;
    int line, column;
};

/* Messages that are confirmed. */
struct acknowledge_config {
    bool on;
    uint64_t window_ms; /* how long a message's id is remembered */
    uint64_t resend_ms; /* until the first resend; twice as long until the next */
    uint64_t max_resends;
};

/* A path that speaks WebSocket. */
enum websocket_origins { WEBSOCKET_ORIGINS_CORS, WEBSOCKET_ORIGINS_ANY, WEBSOCKET_ORIGINS_LIST };
struct websocket_config {
    const char *path;      /* a pattern: "/chat", "/rooms/{room}" */
    const char *route_key; /* "action" */
    enum websocket_origins origins_from;
    struct slice *origins; /* WEBSOCKET_ORIGINS_LIST */
    size_t origin_count;
    struct slice *protocols;
    size_t protocol_count;
    unsigned deflate; /* enum deflate_mode of gateway/websocket/deflate.h */
    uint64_t concurrency;
    uint64_t max_message, max_frame, max_outbound;
    uint64_t ping_ms, pong_ms, idle_ms;
    uint64_t rate_per_day, burst;             /* rate 0 = no bound */
    uint64_t max_connections, max_per_client; /* 0 = no bound of its own */
    uint64_t max_groups;
    bool auth_by_message;     /* or by the handshake */
    uint64_t auth_timeout_ms; /* until the message that proves who the client is */
    struct acknowledge_config acknowledge;
    struct handler_config door; /* stands for a handler on the route of its handshakes: its name and its http trigger */
    int line, column;
};

/* Where a queue's messages are. */
enum queue_keeper { KEEPER_SQLITE, KEEPER_REDIS };

struct queue_config {
    const char *name;
    uint64_t visibility_ms;
    struct queue_retry_config retry;
    const char *dead_letter; /* NULL = none */
    uint64_t retention_ms;   /* 0 = for ever */
    uint64_t delay_ms;
    uint64_t dedup_window_ms;
    uint64_t max_message;
    bool fifo;
    enum queue_keeper keeper;
    const char *url;              /* of Redis; NULL = none */
    const char *stream, *group;   /* NULL = the store's own */
    const char *route_text;       /* "POST /queue/orders" */
    struct handler_config sender; /* stands for a handler on the routes of `send`: its name and its http triggers */
    int line, column;
};

struct blueprint {
    unsigned references;
    struct arena arena;
    const char *file;      /* as given by the user */
    const char *directory; /* absolute; relative paths start here */
    const char *name;
    struct listener_config *listeners;
    size_t listener_count;
    struct listener_config *admin; /* on a loopback address or a Unix socket; NULL = none */
    struct cidr *trusted_proxies;  /* peers whose Forwarded, X-Forwarded-* and PROXY headers are believed */
    size_t trusted_proxy_count;
    struct limits_config limits;
    struct handler_config *handlers;
    size_t handler_count;
    struct queue_config *queues;
    size_t queue_count;
    struct websocket_config *websockets; /* every path that has triggers */
    size_t websocket_count;
    const char *websocket_cluster; /* URL of its Redis; NULL = none */
    uint64_t websocket_lease_ms;
    const char *data_directory; /* absolute */
    size_t http_trigger_count;  /* of all handlers, of all queues' `send`, and one of each WebSocket path */
    void **settings;            /* what each section made (section.h), in the order of the sections */
    size_t settings_count;
};

struct sections;
struct variable_override { /* --var name=value */
    struct slice name;
    struct slice value;
};

/* Every problem of one run, in the order of the file; zero-initialised is empty. report.h prints them. */
struct problems {
    struct error *items;
    size_t count;
    size_t capacity;
    size_t dropped; /* beyond the number that one run shows */
    char *file;     /* the rest is kept by the loader for the printers */
    char *source;
    size_t source_size;
    struct line_range *hidden; /* lines that define secrets */
    size_t hidden_count;
};
void problems_free(struct problems *p);

enum blueprint_check {
    BLUEPRINT_CHECK_TEXT,
    BLUEPRINT_CHECK_FILES
}; /* FILES: executables and directories must exist too */

/* WHATEVER: a pipe, too, which may keep whoever reads it waiting. */
enum blueprint_origin { BLUEPRINT_FROM_WHATEVER, BLUEPRINT_FROM_FILE };

/* How a blueprint is read; zero-initialised is fine, and NULL means the same. */
struct blueprint_options {
    const struct variable_override *overrides;
    size_t override_count;
    enum blueprint_check check;
    enum blueprint_origin origin;    /* of blueprint_load */
    const struct sections *sections; /* what plugins add to the language (section.h); NULL = nothing */
    const char *const *attach;       /* names of handlers that are read as if they said `attach: true` */
    size_t attach_count;
    /* Whether certificates and keys can be used, with FILES; NULL = it is enough that they are there. */
    int (*check_tls)(const struct tls_config *c, struct error *e);
};

/* Loads `file`. On success returns a blueprint with one reference; otherwise NULL and at least one problem. */
struct blueprint *blueprint_load(const char *file, const struct blueprint_options *options, struct problems *problems);
/* The same from memory; `file` is used in messages and for relative paths. */
struct blueprint *blueprint_parse(struct slice text, const char *file, const struct blueprint_options *options,
                                  struct problems *problems);
/* NULL when there is none of that name. */
const struct queue_config *blueprint_queue(const struct blueprint *b, struct slice name);
/* The settings of a path as its triggers spell it, or NULL. */
const struct websocket_config *blueprint_websocket(const struct blueprint *b, struct slice path);
struct blueprint *blueprint_hold(struct blueprint *b);
void blueprint_release(struct blueprint *b); /* NULL is fine */
/* One --listen argument or `http:` value: "host:port", ":port", "[v6]:port", "unix:path". */
int listener_parse(struct slice text, const char *directory, struct arena *a, struct listener_config *out,
                   struct error *e) MUST_CHECK;
/* The same for an admin listener, which nobody but this machine may reach. */
int listener_parse_admin(struct slice text, const char *directory, struct arena *a, struct listener_config *out,
                         struct error *e) MUST_CHECK;
