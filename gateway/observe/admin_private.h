/* admin_private.h - what the endpoints of the admin listener share; nobody else includes it.
 *
 * A request lives from on_head to on_done. An endpoint answers with one of admin_reply_*, at once or later; until then
 * `work` may hold what it waits for, and `cancel` is called when the client leaves first.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/observe/admin.h"

struct admin {
    struct admin_host host;
    struct limits_config limits;
    struct http_server *server;
    struct peer_check *peer_check;
    struct http_group group;
    struct listener *listener;
};

struct admin_request;
struct admin_endpoint {
    struct slice method; /* "*" = the endpoint says which */
    struct slice path;   /* its segments behind '/'; one that is `*` is variable */
    uint64_t max_body;   /* 0 = as large as the limits allow */
    void (*answer)(struct admin_request *r);
};
struct admin_request {
    struct admin *admin;
    struct http_exchange *exchange;
    const struct admin_endpoint *endpoint;
    struct arena arena;
    struct url url;
    struct fields headers;
    struct slice variable; /* the path's variable segment, decoded */
    uint64_t max_body;
    struct buf body;
    void *work;
    void (*cancel)(struct admin_request *r);
};

/* The value of a query parameter, decoded; absent when there is none. */
struct slice admin_query(struct admin_request *r, struct slice name);
/* `fields` are copied, NULL = none. Takes the text's memory. */
void admin_reply_json(struct admin_request *r, int status, struct fields *fields, struct buf *take_text);
void admin_reply_body(struct admin_request *r, int status, const struct fields *fields, struct body *take_body);
/* A problem object (failure.h). The detail may be NULL. */
void admin_reply_failure(struct admin_request *r, enum failure f, const char *detail);

/* admin_status.c */
void admin_answer_health(struct admin_request *r);
void admin_answer_status(struct admin_request *r);
/* connection_api.c */
void admin_answer_connection(struct admin_request *r);
/* invoke_api.c */
void admin_answer_invoke(struct admin_request *r);
void admin_answer_invoke_stream(struct admin_request *r);
