/* cluster.h - gateways that know of each other through one Redis.
 *
 * A gateway in a cluster is a node and has a tag: random digits that it takes a lease on and renews. While Redis cannot
 * be reached it goes on by itself and comes back by itself. A node whose lease ended is declared dead by whoever
 * notices; if it was only cut off, it learns so before it does anything else there, takes a new tag, and its owner is
 * told (on_buried).
 *
 *   AWAY -> JOINING (first words, beat) -> UP -> AWAY ...                       quit: LEAVING -> over
 *
 * Nodes ask each other by messages that Redis passes on without keeping them. So an asker repeats until it is answered
 * or its patience ends; the asked carries out each request once, in the order of the asker's numbers, and gives the
 * same answer again (cluster_peer.c).
 *
 * Redis also keeps what must outlive a node: a record of each of its connections, and which groups it has members of.
 * What is put and entered is written at the end of the turn, all at once; when Redis comes back, all of it anew,
 * because nobody knows what it has kept. What a dead node left becomes orphans of the survivors, some at a time; an
 * orphan whose survivor dies is an orphan again. cluster_confirm is the barrier: the owner is told once all that went
 * before is in Redis and this node has the lease for it.
 */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/log.h"
#include "gateway/cluster/cluster_message.h"
#include "gateway/loop/loop.h"

#define CLUSTER_PAYLOAD_MAX (8u << 20) /* Redis drops whoever is 32 MiB behind */

struct cluster;
struct cluster_served; /* a request of another node */

/* Nobody is called back before a function of the cluster returns. Slices live as long as the call. */
struct cluster_host {
    void *context;
    void (*on_request)(void *context, struct cluster_served *r, struct slice payload);
    void (*on_resync)(void *context); /* puts all records again */
    void (*on_orphan)(void *context, struct slice id, struct slice record);
    void (*on_buried)(void *context); /* the tag is a new one; others have all that was put under the old one */
};
struct cluster_options {
    struct slice url, name; /* all gateways with this name there are one cluster */
    uint64_t lease_ms;
    struct log *log;
    struct cluster_host host;
};
/* NULL when the URL is wrong; begins to connect otherwise. */
struct cluster *cluster_new(struct loop *loop, const struct cluster_options *options, struct error *e);
struct slice cluster_tag(const struct cluster *c);
const char *cluster_redis(const struct cluster *c);   /* "HOST:PORT" */
const char *cluster_trouble(const struct cluster *c); /* why Redis cannot be used; NULL = it can */
/* Until when whoever asks now should be kept waiting: some seconds, or not at all when Redis has been away for longer.
 */
uint64_t cluster_patience(const struct cluster *c);
/* The nodes, as far as is known, this one included; NULL after the last. */
const char *cluster_node(const struct cluster *c, size_t index); /* CLUSTER_TAG_SIZE digits, NUL-terminated */
/* The node is about to stop: it takes over nothing any more. */
void cluster_drain(struct cluster *c);
/* Leaves: what it has not ended is taken over by others. Done when cluster_is_over. */
void cluster_quit(struct cluster *c);
bool cluster_is_over(const struct cluster *c);
void cluster_free(struct cluster *c); /* whoever waits is told that it is over; NULL is fine */

/* --- records and groups --- */
void cluster_put(struct cluster *c, struct slice id, struct slice record);
void cluster_drop(struct cluster *c, struct slice id); /* a record or an orphan: it was dealt with */
void cluster_enter(struct cluster *c, struct slice group);
void cluster_leave(struct cluster *c, struct slice group);

enum cluster_word { CLUSTER_CONFIRMED, CLUSTER_BURIED };
struct cluster_confirm {
    struct list_node node;
    void (*on_word)(struct cluster_confirm *w, enum cluster_word word);
};
/* Embedded by whoever waits. Waits for Redis as long as it takes; a node that drains is not kept waiting by its
 * absence. */
void cluster_confirm(struct cluster *c, struct cluster_confirm *w);
void cluster_confirm_cancel(struct cluster_confirm *w); /* idempotent */

/* --- asking --- */
enum cluster_outcome {
    CLUSTER_ANSWERED,
    CLUSTER_GONE,      /* there is no such node */
    CLUSTER_UNREACHED, /* it was not asked: Redis cannot be reached, or the node did not listen */
    CLUSTER_SILENT,    /* it does not answer; it may have done as it was asked or not */
};
struct cluster_ask {
    struct list_node node; /* this and what follows is the cluster's */
    struct cluster_peer *peer;
    uint64_t number, again_ms, until_ms;
    bool maybe, absent; /* it may have arrived; no such node was known when it was last sent */
    enum cluster_outcome outcome;
    struct buf payload;
    void (*on_end)(struct cluster_ask *a, enum cluster_outcome outcome, struct slice answer);
};
/* Embedded by whoever asks, with on_end set; at most CLUSTER_PAYLOAD_MAX bytes. */
void cluster_ask(struct cluster *c, struct slice tag, struct buf *take_payload, struct cluster_ask *a);
/* To the request that was told of; once. */
void cluster_answer(struct cluster_served *r, struct slice payload);

/* Which nodes have members of a group, this one left out. The name lives until it is answered. */
struct cluster_lookup {
    struct list_node node; /* this and what follows is the cluster's */
    struct cluster_search *search;
    struct slice group;
    uint64_t until_ms;
    /* Tags one behind the other; absent when Redis did not say. */
    void (*on_nodes)(struct cluster_lookup *l, struct slice tags);
};
void cluster_lookup(struct cluster *c, struct slice group, struct cluster_lookup *l);
