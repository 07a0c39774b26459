#include "gateway/base/memory.h"
#include "gateway/cluster/cluster_private.h"
#include <stdlib.h>

/* A question that is with Redis; whoever asks may have given up. */
struct cluster_search {
    struct redis_wait wait;
    struct cluster *cluster;
    struct cluster_lookup *lookup;
};

static void lookup_end(struct cluster_lookup *l, struct slice tags) {
    list_remove(&l->node);
    if (l->search) l->search->lookup = NULL;
    l->search = NULL;
    l->on_nodes(l, tags);
}

static void tags_read(const struct cluster *c, const redisReply *reply, struct buf *tags) {
    for (size_t i = 0; i < reply->elements; i++) {
        struct slice tag = redis_text(reply, i);
        if (cluster_tag_is_good(tag) && !slice_equal(tag, cluster_tag(c))) buf_append_slice(tags, tag);
    }
}

static void on_found(struct redis_wait *w, const redisReply *reply) {
    struct cluster_search *s = container_of(w, struct cluster_search, wait);
    struct cluster_lookup *l = s->lookup;
    struct buf tags = {0};
    bool well = reply && !cluster_check(s->cluster, reply) && reply->type == REDIS_REPLY_ARRAY;
    if (l) l->search = NULL; /* without an answer it is asked again when Redis is back */
    if (l && well) {
        buf_reserve(&tags, 1);
        tags_read(s->cluster, reply, &tags);
        lookup_end(l, slice_make(tags.p, tags.n));
    }
    buf_free(&tags);
    free(s);
}

static void lookup_send(struct cluster *c, struct cluster_lookup *l) {
    struct cluster_search *s = xcalloc(1, sizeof *s);
    struct buf key = {0};
    s->wait.on_reply = on_found;
    s->cluster = c;
    s->lookup = l;
    l->search = s;
    buf_append_slice(&key, c->prefix);
    buf_append_text(&key, "group:");
    buf_append_slice(&key, l->group);
    c->command.n = 0;
    redis_command_begin(&c->command, 2);
    redis_bulk(&c->command, SLICE("SMEMBERS"));
    redis_bulk(&c->command, buf_slice(&key));
    cluster_send(c, &s->wait);
    buf_free(&key);
}

void lookups_send(struct cluster *c) {
    list_each (&c->lookups, node) {
        struct cluster_lookup *l = list_entry(node, struct cluster_lookup, node);
        if (!l->search && c->phase == CLUSTER_UP && redis_link_has_room(c->link)) lookup_send(c, l);
    }
}

void cluster_lookup(struct cluster *c, struct slice group, struct cluster_lookup *l) {
    l->group = group;
    l->search = NULL;
    l->until_ms = cluster_patience(c);
    list_push(&c->lookups, &l->node);
    lookups_send(c);
    cluster_look_soon(c);
}

void lookups_look(struct cluster *c, uint64_t now_ms) {
    struct list over;
    list_init(&over);
    list_each (&c->lookups, node) {
        if (list_entry(node, struct cluster_lookup, node)->until_ms > now_ms) continue;
        list_remove(node);
        list_push(&over, node);
    }
    for (struct list_node *node; (node = list_first(&over));)
        lookup_end(list_entry(node, struct cluster_lookup, node), SLICE_NONE);
    lookups_send(c);
}
