/* document.h - the blueprint as it is written, key by key, before it means anything.
 *
 * These structs mirror the file; the tables in document.c describe them. build.c turns them into the model
 * (model.h). Numbers are VALUE_UNSET, texts NULL while unset (schema.h).
 */
#pragma once
#include "gateway/blueprint/schema.h"

struct variable_document {
    struct node *origin;
    uint64_t type; /* enum variable_type */
    struct node *preset;
    struct bound_items allowed;
    struct node *description;
    uint64_t secret;
};
enum variable_type {
    VARIABLE_STRING,
    VARIABLE_INTEGER,
    VARIABLE_NUMBER,
    VARIABLE_BOOLEAN,
    VARIABLE_DURATION,
    VARIABLE_SIZE
};

struct certificate_document {
    struct node *origin;
    struct node *certificate, *key;
};
struct client_certificates_document {
    struct node *origin;
    struct node *authority;
    uint64_t mode; /* index of optional, required */
};
struct listener_document {
    struct node *origin;
    struct node *http, *https;
    struct node *certificate, *key;
    struct bound_items certificates; /* of struct certificate_document */
    struct client_certificates_document client_certificates;
    uint64_t min_version; /* enum listener_tls_version */
    uint64_t proxy_protocol;
    uint64_t redirect; /* unset, or 0 for https */
};
struct limits_document {
    struct node *origin;
    struct limits_config values;
};
struct processes_document {
    struct node *origin;
    struct processes_config values;
};
struct trigger_document {
    struct node *origin;
    struct node *http;
    struct node *schedule;
    struct node *name, *time_zone, *input; /* of a schedule; so are all up to max_missed */
    uint64_t jitter_ms;
    uint64_t overlap; /* enum schedule_overlap */
    uint64_t missed;  /* enum schedule_missed */
    uint64_t max_missed;
    struct node *queue;
    struct node *websocket, *route;                          /* route: of a websocket trigger */
    uint64_t reply;                                          /* the same */
    uint64_t batch, window_ms, report_failures, concurrency; /* of a queue trigger */
    struct bound_items filter;                               /* the same: of text */
    uint64_t number; /* http_trigger_config.number, set by build.c; VALUE_UNSET = it has none */
};
struct retry_document {
    struct node *origin;
    uint64_t base_ms, factor, max_ms;
    uint64_t jitter; /* index of full, none */
};
struct destination_document {
    struct node *origin;
    struct node *queue, *handler;
};
struct async_document {
    struct node *origin;
    uint64_t max_attempts, max_age_ms;
    struct retry_document retry;
    struct destination_document on_success, on_failure;
};
struct queue_document {
    struct node *origin;
    struct bound_items send; /* of struct trigger_document */
    uint64_t visibility_ms, max_attempts, retention_ms, delay_ms, dedup_window_ms, max_message;
    struct retry_document retry;
    struct node *dead_letter;
    uint64_t fifo;
    uint64_t store; /* enum queue_keeper */
    struct node *url, *stream, *group;
};
/* `defaults:` fills the same struct, as far as its table reaches. */
struct handler_document {
    struct node *origin;
    struct bound_command command;
    struct bound_command build;
    struct bound_items sources; /* of text */
    uint64_t attach;
    struct node *working_directory;
    struct bound_items environment; /* of text */
    uint64_t mode;                  /* enum handler_mode */
    uint64_t socket;                /* enum server_socket */
    uint64_t timeout_ms;
    uint64_t queue_limit;
    struct processes_document processes;
    struct async_document async;
    struct bound_items triggers; /* of struct trigger_document */
};
struct acknowledge_document {
    struct node *origin; /* NULL = not said: off */
    uint64_t window_ms, resend_ms, max_resends;
};
struct websocket_path_document {
    struct node *origin;
    struct node *route_key;
    struct bound_items origins, protocols; /* of text */
    uint64_t origins_word;                 /* 1 cors, 2 any */
    uint64_t deflate;                      /* index of off, message, connection */
    uint64_t concurrency, max_message, max_frame, max_outbound, ping_ms, pong_ms, idle_ms;
    uint64_t rate_per_day, burst, max_connections, max_per_client, max_groups;
    uint64_t auth; /* index of handshake, message */
    uint64_t auth_timeout_ms;
    struct acknowledge_document acknowledge;
    uint64_t number; /* of its http trigger, set by build_websocket.c */
};
struct websockets_document {
    struct node *origin;
    struct bound_items paths; /* of struct websocket_path_document */
    struct node *cluster;
    uint64_t lease_ms;
};
struct blueprint_document {
    struct node *origin;
    uint64_t version;
    struct node *name;
    struct bound_items listen; /* of struct listener_document */
    struct node *admin;
    struct bound_items trusted_proxies; /* of text */
    struct bound_items variables;       /* of struct variable_document */
    struct limits_document limits;
    struct handler_document defaults;
    struct bound_items handlers; /* of struct handler_document */
    struct node *data_directory;
    struct bound_items queues; /* of struct queue_document */
    struct websockets_document websockets;
};

#define BLUEPRINT_VERSION 1

/* The whole of a blueprint. */
extern const struct object_schema blueprint_schema;
/* Its parts that sections add to (compose.h), and its listeners. */
extern const struct object_schema handler_schema;
extern const struct object_schema trigger_schema;
extern const struct object_schema listener_schema;
extern const struct object_schema queue_schema;
extern const struct object_schema websocket_path_schema;
extern const struct object_schema websockets_schema;
extern const struct object_schema async_schema;
/* What `defaults` shares with a handler. */
extern const struct object_schema defaults_schema;
/* Only `variables:`, which is read before everything else. */
extern const struct object_schema variables_section_schema;
