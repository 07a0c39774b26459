#include "gateway/base/memory.h"
#include "gateway/cluster/cluster_private.h"
#include <inttypes.h>
#include <stdlib.h>

/* Of one script: it is carried out whole while others wait. */
#define CHANGES_MAX (256u << 10)
#define WORDS_IN_A_CHANGE 3
#define ORPHANS_MOST 200

/* A dead node's connection that this one looks after. */
struct orphan {
    struct list_node node;
    bool done;
    uint64_t done_at; /* beats that had been sent then: after a later one, Redis has heard of it */
    size_t id_size;
    char id[];
};

static struct slice orphan_id(const struct orphan *o) {
    return slice_make(o->id, o->id_size);
}

/* --- changes --- */

void registry_write(struct cluster *c) {
    if (c->change_words && c->phase == CLUSTER_UP) {
        cluster_run(c, "write", cluster_tag(c), c->change_words);
        buf_append_slice(&c->command, buf_slice(&c->changes));
        cluster_send(c, &c->written);
    }
    c->change_words = 0;
    c->changes.n = 0;
}

/* While Redis is away, nothing needs to be kept: all is said again when it comes back. */
static void change(struct cluster *c, const char *what, struct slice name, struct slice value) {
    if (c->phase != CLUSTER_UP) return;
    redis_bulk(&c->changes, slice_of(what));
    redis_bulk(&c->changes, name);
    redis_bulk(&c->changes, value);
    c->change_words += WORDS_IN_A_CHANGE;
    if (c->changes.n > CHANGES_MAX) registry_write(c);
    cluster_go_soon(c);
}

static void on_written(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, written);
    if (!reply || cluster_check(c, reply)) return;
    bool dead = reply->type == REDIS_REPLY_STRING && slice_equal(slice_make(reply->str, reply->len), SLICE("dead"));
    if (dead) c->beat_due = true; /* whose answer says so, too, of the tag that is in use by then */
    if (dead) cluster_go_soon(c);
}

void cluster_put(struct cluster *c, struct slice id, struct slice record) {
    change(c, "put", id, record);
}

static void orphan_end(struct cluster *c, struct orphan *o) {
    o->done = true;
    o->done_at = c->beats;
    change(c, "end", orphan_id(o), SLICE_NONE);
}

void cluster_drop(struct cluster *c, struct slice id) {
    struct orphan *o = map_get(c->orphans, id);
    if (o)
        orphan_end(c, o);
    else
        change(c, "end", id, SLICE_NONE);
}

void cluster_enter(struct cluster *c, struct slice group) {
    map_put(c->groups, group, c);
    change(c, "enter", group, SLICE_NONE);
}

void cluster_leave(struct cluster *c, struct slice group) {
    map_remove(c->groups, group);
    change(c, "leave", group, SLICE_NONE);
}

void registry_resync(struct cluster *c) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    c->change_words = 0;
    c->changes.n = 0;
    change(c, "wipe", SLICE_NONE, SLICE_NONE);
    c->host.on_resync(c->host.context);
    while (map_next(c->groups, &cursor, &name, &value)) change(c, "enter", name, SLICE_NONE);
    list_each (&c->orphan_list, node) {
        struct orphan *o = list_entry(node, struct orphan, node);
        if (o->done) orphan_end(c, o);
    }
    c->adopt_due = !c->draining; /* what it had taken over before is among the answer */
}

/* --- orphans --- */

static void orphan_free(struct cluster *c, struct orphan *o) {
    map_remove(c->orphans, orphan_id(o));
    list_remove(&o->node);
    free(o);
}

void registry_settle(struct cluster *c, uint64_t beat) {
    bool some = false;
    list_each (&c->orphan_list, node) {
        struct orphan *o = list_entry(node, struct orphan, node);
        if (!o->done || o->done_at >= beat) continue;
        orphan_free(c, o);
        some = true;
    }
    c->adopt_due |= some && !c->draining;
}

void registry_forget(struct cluster *c) {
    list_each (&c->orphan_list, node) orphan_free(c, list_entry(node, struct orphan, node));
    c->change_words = 0;
    c->changes.n = 0;
}

static bool orphan_add(struct cluster *c, struct slice id) {
    if (id.n == 0 || map_get(c->orphans, id)) return false;
    struct orphan *o = xcalloc(1, sizeof *o + id.n);
    o->id_size = id.n;
    memcpy(o->id, id.p, id.n);
    list_push(&c->orphan_list, &o->node);
    map_put(c->orphans, id, o);
    return true;
}

static void on_adopted(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, adopted);
    size_t taken = 0;
    c->adopting = false;
    if (!reply || cluster_check(c, reply) || reply->type != REDIS_REPLY_ARRAY || c->phase != CLUSTER_UP) return;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        struct slice id = redis_text(reply, i);
        if (!orphan_add(c, id)) continue;
        taken++;
        c->host.on_orphan(c->host.context, id, redis_text(reply, i + 1));
    }
    if (taken) log_event(c->log, LOG_INFO, "took over connections of a dead node", LOG_INT("connections", taken));
}

/* Behind what has changed: an orphan that was dealt with must not come again. */
void registry_adopt(struct cluster *c) {
    c->adopt_due = false;
    c->adopting = true;
    cluster_run(c, "adopt", cluster_tag(c), 2);
    redis_bulk_number(&c->command, ORPHANS_MOST);
    redis_bulk_number(&c->command, c->lease_ms);
    cluster_send(c, &c->adopted);
}

/* --- life --- */

void registry_init(struct cluster *c) {
    c->groups = map_new();
    c->orphans = map_new();
    list_init(&c->orphan_list);
    c->written.on_reply = on_written;
    c->adopted.on_reply = on_adopted;
}

void registry_free(struct cluster *c) {
    registry_forget(c);
    map_free(c->groups);
    map_free(c->orphans);
    buf_free(&c->changes);
}
