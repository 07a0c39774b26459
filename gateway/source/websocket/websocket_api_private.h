/* websocket_api_private.h - what the files that answer calls about connections share; nobody else includes it.
 *
 * websocket_api.c    the table, and all that this gateway can answer by itself
 * websocket_batch.c  one message to many connections
 * websocket_relay.c  what other nodes of the cluster must be asked
 * websocket_listing.c  a group's connections at all nodes
 */
#pragma once
#include "gateway/base/json_write.h"
#include "gateway/base/url.h"
#include "gateway/cluster/cluster.h"
#include "gateway/source/websocket/websocket_api.h"
#include "gateway/source/websocket/websocket_private.h"

/* One request while it is answered. */
struct asking {
    struct websocket_source *source;
    struct websocket_call *call;
    const struct websocket_request *request;
    struct websocket_answer *answer;
    struct slice first, second; /* the path's variable segments */
};

/* websocket_api.c */
void asking_refuse(struct asking *q, int status, const char *detail);
struct slice asking_parameter(const struct asking *q, struct slice name);
/* True when it was one that asks for what goes to one connection only; answers 400. */
bool asking_refuse_acknowledgement(struct asking *q);
void asking_write_number(struct json_write *w, struct slice name, uint64_t value);
void answer_join(struct asking *q);
void answer_group(struct asking *q);
void answer_broadcast(struct asking *q);

uint64_t asking_limit(const struct asking *q);

/* websocket_batch.c */
void answer_batch(struct asking *q);

/* websocket_relay.c: each is true when it has answered, or will; otherwise the call is about this gateway alone. */
bool relay_to_owner(struct asking *q);
bool relay_join(struct asking *q);
bool relay_group(struct asking *q);
bool relay_broadcast(struct asking *q);
bool relay_list(struct asking *q);

/* The node that the id names; absent when there is no other. */
struct slice relay_node_of(const struct asking *q, struct slice id);
/* A request as it goes to another node. */
void relay_write(struct buf *out, const struct websocket_request *r, struct slice body);
void relay_write_parts(struct buf *out, struct slice method, struct slice target, struct slice content_type,
                       struct slice body);
/* What another node has answered, in the arena; false when it is no answer. */
bool relay_read(struct slice bytes, struct arena *a, struct websocket_answer *answer);
/* Why nothing was answered, for people; in the arena. */
const char *relay_why(const struct websocket_source *s, struct arena *a, struct slice tag,
                      enum cluster_outcome outcome);
/* Why Redis did not say which nodes there are; in the arena. */
const char *relay_no_nodes(const struct websocket_source *s, struct arena *a);
/* The number under this name in what was answered. */
uint64_t relay_count_of(struct slice json, struct slice name);
void call_answered(struct websocket_call *c);

/* websocket_listing.c */
bool relay_group_list(struct asking *q, struct slice group);
