/* cluster_private.h - what the files of a cluster share; nobody else includes it.
 *
 * cluster.c           a node's life: connections, lease, burial, leaving
 * cluster_registry.c  what is written: records, groups; what is taken over
 * cluster_peer.c      requests from node to node
 * cluster_lookup.c    where a group's members are
 * cluster_script.c    the script that all of these run inside Redis
 */
#pragma once
#include "gateway/base/map.h"
#include "gateway/cluster/cluster.h"
#include "gateway/redis/redis_link.h"
#include "gateway/redis/redis_words.h"
#include <hiredis/hiredis.h>

#define PATIENCE_MS 5000 /* how long somebody who asks is kept waiting */
#define NONCE_SIZE 32

enum cluster_phase { CLUSTER_AWAY, CLUSTER_JOINING, CLUSTER_UP, CLUSTER_LEAVING, CLUSTER_OVER };

struct cluster_script {
    struct slice text;
    char digest[REDIS_DIGEST_SIZE + 1];
};

struct cluster {
    struct loop *loop;
    struct log *log;
    struct cluster_host host;
    struct arena memory;
    struct redis_address address;
    struct slice prefix;
    uint64_t lease_ms;
    struct cluster_script script;
    char tag[CLUSTER_TAG_SIZE + 1];
    char nonce[NONCE_SIZE];
    enum cluster_phase phase;
    struct redis_link *link; /* commands */
    struct redis_link *ear;  /* listens to what is sent to the tag */
    struct redis_wait loading, beaten, written, adopted, published, left, heard;
    struct buf command;  /* the one that is being written */
    struct turn_task go; /* writes what there is to be said, at the end of the turn */
    struct deadline lease;
    struct deadline look; /* while somebody waits for an answer */
    uint64_t away_ms;     /* since when; UP: no matter */
    char why[256];        /* it is away; empty = that was not told */
    bool listens;         /* what is sent to the tag arrives */
    char deaf_why[256];   /* it does not; empty = that was not told */
    unsigned deaf_times;
    bool beat_due, beating, adopt_due, adopting, draining;
    uint64_t beats;                   /* sent */
    struct list confirms, confirming; /* not asked yet; the beat is under way */
    struct buf nodes;                 /* tags, each NUL-terminated */
    uint64_t keep_ms;                 /* until then no node is forgotten: Redis was emptied */
    struct buf changes;               /* of this turn, as arguments */
    size_t change_words;
    struct map *groups;  /* names; the value says nothing */
    struct map *orphans; /* id -> struct orphan */
    struct list orphan_list;
    struct map *peers; /* tag -> struct cluster_peer */
    uint64_t numbers;  /* of requests: the highest that was used with a peer which is forgotten */
    struct list lookups;
};

static inline uint64_t cluster_now_ms(const struct cluster *c) {
    return clock_now_ms(loop_clock(c->loop));
}

/* cluster.c */
void cluster_go_soon(struct cluster *c);
/* Somebody has declared it dead, or the tag is another's. */
void cluster_rise(struct cluster *c);
/* Of an error that makes the connection useless; true when it was one. */
bool cluster_check(struct cluster *c, const redisReply *reply);
void cluster_look_soon(struct cluster *c);
void cluster_hears(struct cluster *c); /* what is sent to its tag */

/* cluster_script.c */
struct cluster_script cluster_script(void);
/* In c->command: the script with `words` arguments more, which the caller appends. */
void cluster_run(struct cluster *c, const char *what, struct slice tag, size_t words);
void cluster_send(struct cluster *c, struct redis_wait *w);

/* cluster_registry.c */
void registry_init(struct cluster *c);
void registry_free(struct cluster *c);
void registry_resync(struct cluster *c);
void registry_write(struct cluster *c); /* what has changed */
void registry_adopt(struct cluster *c);
/* A beat was answered, the n-th. */
void registry_settle(struct cluster *c, uint64_t beat);
void registry_forget(struct cluster *c); /* the orphans: they are others' now */

/* cluster_peer.c */
void peers_init(struct cluster *c);
void peers_free(struct cluster *c);
void peers_post(struct cluster *c); /* what is due */
bool peers_wait(const struct cluster *c);
void peers_look(struct cluster *c, uint64_t now_ms);
void peers_sweep(struct cluster *c);
/* Nobody answers what was sent under the old tag. */
void peers_drop(struct cluster *c);

/* cluster_lookup.c */
void lookups_send(struct cluster *c);
void lookups_look(struct cluster *c, uint64_t now_ms);
