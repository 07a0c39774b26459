/* Requests from node to node.
 *
 * What one node asks another has consecutive numbers. The asked carries out the next number and no other: one that it
 * has carried out is answered again, if its asker still waits (the floor says so); one beyond the next shows that
 * something was lost, and is left to be repeated. So requests are carried out once each, in order, but for those
 * that were given up. */
#include "gateway/base/memory.h"
#include "gateway/cluster/cluster_private.h"
#include <assert.h>
#include <stdlib.h>

#define REPEAT_MS 1000
#define SERVED_KEPT_MS 60000 /* an answer that nobody can ask for again */

struct cluster_peer {
    struct list_node node; /* while it is swept away */
    struct cluster *cluster;
    char tag[CLUSTER_TAG_SIZE];
    uint64_t numbers; /* that we have used */
    struct list asks;
    uint64_t expected; /* of its requests */
    struct list served;
    uint64_t used_ms;
};
struct cluster_served {
    struct list_node node;
    struct cluster_peer *peer; /* NULL = nobody waits for the answer */
    uint64_t number, answered_ms;
    bool answered;
    struct buf answer;
};
/* A message on its way to Redis; the request may end before. */
struct post {
    struct redis_wait wait;
    struct cluster *cluster;
    char tag[CLUSTER_TAG_SIZE];
    uint64_t number;
};

static struct cluster_peer *peer_of(struct cluster *c, struct slice tag) {
    struct cluster_peer *p = map_get(c->peers, tag);
    if (!p) {
        p = xcalloc(1, sizeof *p);
        p->cluster = c;
        p->numbers = c->numbers;
        memcpy(p->tag, tag.p, sizeof p->tag);
        list_init(&p->asks);
        list_init(&p->served);
        map_put(c->peers, tag, p);
    }
    p->used_ms = cluster_now_ms(c);
    return p;
}

static struct slice peer_tag(const struct cluster_peer *p) {
    return slice_make(p->tag, sizeof p->tag);
}

/* --- asking --- */

static struct cluster_ask *ask_numbered(const struct cluster_peer *p, uint64_t number) {
    list_each (&p->asks, node) {
        struct cluster_ask *a = list_entry(node, struct cluster_ask, node);
        if (a->number == number) return a;
    }
    return NULL;
}

static void ask_end(struct cluster_ask *a, enum cluster_outcome outcome, struct slice answer) {
    list_remove(&a->node);
    buf_free(&a->payload);
    a->on_end(a, outcome, answer);
}

/* All of a peer's, told once none of them is in its list any more. */
static void asks_take(struct list *from, struct list *to, enum cluster_outcome outcome) {
    for (struct list_node *node; (node = list_first(from));) {
        list_entry(node, struct cluster_ask, node)->outcome = outcome;
        list_remove(node);
        list_push(to, node);
    }
}

static void asks_tell(struct list *ended) {
    for (struct list_node *node; (node = list_first(ended));) {
        struct cluster_ask *a = list_entry(node, struct cluster_ask, node);
        ask_end(a, a->outcome, SLICE_NONE);
    }
}

/* How many have heard it: none may have by mistake. -1: no node of that tag is known just now; -2: it was declared
 * dead. */
static void post_judge(struct post *p, struct cluster_peer *peer, long long heard) {
    struct cluster_ask *a = ask_numbered(peer, p->number);
    struct list ended;
    list_init(&ended);
    if (a) {
        a->absent = heard == -1;
        a->maybe |= heard > 0;
    }
    if (heard == -2) asks_take(&peer->asks, &ended, CLUSTER_GONE);
    asks_tell(&ended);
}

static void on_posted(struct redis_wait *w, const redisReply *reply) {
    struct post *p = container_of(w, struct post, wait);
    struct cluster_peer *peer = map_get(p->cluster->peers, slice_make(p->tag, sizeof p->tag));
    struct cluster_ask *a = peer ? ask_numbered(peer, p->number) : NULL;
    if (!reply && a) a->maybe = true;
    if (reply && !cluster_check(p->cluster, reply) && peer && reply->type == REDIS_REPLY_INTEGER)
        post_judge(p, peer, reply->integer);
    free(p);
}

static void message_bulk(struct cluster *c, const struct cluster_message *m) {
    struct buf bytes = {0};
    cluster_message_write(&bytes, m);
    redis_bulk(&c->command, buf_slice(&bytes));
    buf_free(&bytes);
}

static struct cluster_message message_of(const struct cluster *c, enum cluster_kind kind, uint64_t number,
                                         struct slice payload) {
    struct cluster_message m = {.kind = kind, .number = number, .payload = payload};
    memcpy(m.sender, c->tag, sizeof m.sender);
    return m;
}

static void ask_post(struct cluster *c, struct cluster_peer *p, struct cluster_ask *a) {
    struct cluster_message m = message_of(c, CLUSTER_REQUEST, a->number, buf_slice(&a->payload));
    struct post *post = xcalloc(1, sizeof *post);
    m.floor = list_entry(list_first(&p->asks), struct cluster_ask, node)->number;
    post->wait.on_reply = on_posted;
    post->cluster = c;
    memcpy(post->tag, p->tag, sizeof post->tag);
    post->number = a->number;
    a->again_ms = cluster_now_ms(c) + REPEAT_MS;
    cluster_run(c, "post", peer_tag(p), 1);
    message_bulk(c, &m);
    cluster_send(c, &post->wait);
}

static void peer_post(struct cluster *c, struct cluster_peer *p, uint64_t now_ms) {
    list_each (&p->asks, node) {
        struct cluster_ask *a = list_entry(node, struct cluster_ask, node);
        if (a->again_ms <= now_ms && redis_link_has_room(c->link)) ask_post(c, p, a);
    }
}

void peers_post(struct cluster *c) {
    size_t cursor = 0;
    struct slice tag;
    void *peer;
    if (c->phase != CLUSTER_UP) return;
    while (map_next(c->peers, &cursor, &tag, &peer)) peer_post(c, peer, cluster_now_ms(c));
}

void cluster_ask(struct cluster *c, struct slice tag, struct buf *take_payload, struct cluster_ask *a) {
    struct cluster_peer *p = peer_of(c, tag);
    assert(take_payload->n <= CLUSTER_PAYLOAD_MAX);
    a->peer = p;
    a->number = ++p->numbers;
    a->until_ms = cluster_patience(c);
    a->again_ms = 0;
    a->maybe = a->absent = false;
    a->payload = *take_payload;
    *take_payload = (struct buf){0};
    list_push(&p->asks, &a->node);
    if (c->phase == CLUSTER_UP && redis_link_has_room(c->link)) ask_post(c, p, a);
    cluster_look_soon(c);
}

/* --- being asked --- */

static void served_free(struct cluster_served *r) {
    list_remove(&r->node);
    buf_free(&r->answer);
    free(r);
}

static void served_post(struct cluster *c, const struct cluster_served *r) {
    struct cluster_message m = message_of(c, CLUSTER_ANSWER, r->number, buf_slice(&r->answer));
    struct buf channel = {0};
    if (c->phase != CLUSTER_UP || !redis_link_has_room(c->link)) return; /* its asker repeats the request */
    buf_append_slice(&channel, c->prefix);
    buf_append_text(&channel, "to:");
    buf_append_slice(&channel, peer_tag(r->peer));
    c->command.n = 0;
    redis_command_begin(&c->command, 3);
    redis_bulk(&c->command, SLICE("PUBLISH"));
    redis_bulk(&c->command, buf_slice(&channel));
    message_bulk(c, &m);
    cluster_send(c, &c->published);
    buf_free(&channel);
}

void cluster_answer(struct cluster_served *r, struct slice payload) {
    struct cluster *c = r->peer ? r->peer->cluster : NULL;
    if (!c) {
        served_free(r);
        return;
    }
    r->answered = true;
    r->answered_ms = cluster_now_ms(c);
    buf_append_slice(&r->answer, payload);
    served_post(c, r);
}

/* One whose answer is still in the making is let go when that is there. */
static void served_forget(struct cluster_served *r) {
    if (r->answered)
        served_free(r);
    else {
        list_remove(&r->node);
        r->peer = NULL;
    }
}

static void serve_new(struct cluster_peer *p, const struct cluster_message *m) {
    struct cluster *c = p->cluster;
    struct cluster_served *r = xcalloc(1, sizeof *r);
    r->peer = p;
    r->number = m->number;
    p->expected = m->number + 1;
    list_push(&p->served, &r->node);
    c->host.on_request(c->host.context, r, m->payload);
}

static void serve(struct cluster_peer *p, const struct cluster_message *m) {
    if (p->expected < m->floor) p->expected = m->floor;
    list_each (&p->served, node) {
        struct cluster_served *r = list_entry(node, struct cluster_served, node);
        if (r->number == m->number && r->answered) served_post(p->cluster, r);
        if (r->number < m->floor) served_forget(r);
    }
    if (m->number == p->expected) serve_new(p, m);
}

static void take_answer(struct cluster *c, const struct cluster_message *m) {
    const struct cluster_peer *p = map_get(c->peers, slice_make(m->sender, sizeof m->sender));
    struct cluster_ask *a = p ? ask_numbered(p, m->number) : NULL;
    if (a) ask_end(a, CLUSTER_ANSWERED, m->payload);
}

static bool is_to_us(const struct cluster *c, struct slice channel) {
    return channel.n > CLUSTER_TAG_SIZE &&
           memcmp(channel.p + channel.n - CLUSTER_TAG_SIZE, c->tag, CLUSTER_TAG_SIZE) == 0;
}

/* {"message", channel, bytes}, or what became of the subscription. */
static void on_heard(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, heard);
    struct cluster_message m;
    if (!slice_equal(redis_text(reply, 0), SLICE("message")) || !is_to_us(c, redis_text(reply, 1))) {
        if (slice_equal(redis_text(reply, 0), SLICE("subscribe")) && is_to_us(c, redis_text(reply, 1)))
            cluster_hears(c);
        return;
    }
    struct slice bytes = redis_text(reply, 2);
    if (c->phase >= CLUSTER_LEAVING || slice_is_none(bytes) || !cluster_message_read(bytes, &m)) return;
    if (m.kind == CLUSTER_ANSWER)
        take_answer(c, &m);
    else
        serve(peer_of(c, slice_make(m.sender, sizeof m.sender)), &m);
}

/* --- time --- */

bool peers_wait(const struct cluster *c) {
    size_t cursor = 0;
    struct slice tag;
    void *peer;
    while (map_next(c->peers, &cursor, &tag, &peer))
        if (!list_empty(&((struct cluster_peer *)peer)->asks)) return true;
    return false;
}

static enum cluster_outcome outcome_of(const struct cluster_ask *a) {
    if (a->maybe) return CLUSTER_SILENT;
    return a->absent ? CLUSTER_GONE : CLUSTER_UNREACHED;
}

static void asks_expire(struct cluster_peer *p, uint64_t now_ms, struct list *ended) {
    list_each (&p->asks, node) {
        struct cluster_ask *a = list_entry(node, struct cluster_ask, node);
        if (a->until_ms > now_ms) continue;
        a->outcome = outcome_of(a);
        list_remove(node);
        list_push(ended, node);
    }
}

void peers_look(struct cluster *c, uint64_t now_ms) {
    size_t cursor = 0;
    struct slice tag;
    void *peer;
    struct list ended;
    list_init(&ended);
    while (map_next(c->peers, &cursor, &tag, &peer)) asks_expire(peer, now_ms, &ended);
    peers_post(c);
    asks_tell(&ended);
}

static bool is_a_node(const struct cluster *c, const struct cluster_peer *p) {
    const char *tag;
    for (size_t i = 0; (tag = cluster_node(c, i)); i++)
        if (memcmp(tag, p->tag, CLUSTER_TAG_SIZE) == 0) return true;
    return false;
}

/* The other side may go on counting: whoever has this tag is asked with higher numbers, should it come back. */
static void peer_free(struct cluster_peer *p) {
    struct cluster *c = p->cluster;
    list_each (&p->served, node) served_forget(list_entry(node, struct cluster_served, node));
    if (p->numbers > c->numbers) c->numbers = p->numbers;
    map_remove(c->peers, peer_tag(p));
    free(p);
}

static bool peer_is_over(const struct cluster_peer *p, uint64_t now_ms) {
    return list_empty(&p->asks) && list_empty(&p->served) && p->used_ms + SERVED_KEPT_MS < now_ms &&
           !is_a_node(p->cluster, p);
}

static void served_sweep(struct cluster_peer *p, uint64_t now_ms) {
    list_each (&p->served, node) {
        struct cluster_served *r = list_entry(node, struct cluster_served, node);
        if (r->answered && r->answered_ms + SERVED_KEPT_MS < now_ms) served_free(r);
    }
}

void peers_sweep(struct cluster *c) {
    size_t cursor = 0;
    struct slice tag;
    void *value;
    struct list over;
    uint64_t now_ms = cluster_now_ms(c);
    list_init(&over);
    while (map_next(c->peers, &cursor, &tag, &value)) {
        struct cluster_peer *p = value;
        served_sweep(p, now_ms);
        if (peer_is_over(p, now_ms)) list_push(&over, &p->node);
    }
    list_each (&over, node) {
        list_remove(node);
        peer_free(list_entry(node, struct cluster_peer, node));
    }
}

static struct cluster_peer *peer_first(const struct cluster *c) {
    size_t cursor = 0;
    struct slice tag;
    void *peer = NULL;
    return map_next(c->peers, &cursor, &tag, &peer) ? peer : NULL;
}

void peers_drop(struct cluster *c) {
    struct list ended;
    list_init(&ended);
    for (struct cluster_peer *p; (p = peer_first(c));) {
        asks_take(&p->asks, &ended, CLUSTER_SILENT);
        peer_free(p);
    }
    asks_tell(&ended);
}

void peers_init(struct cluster *c) {
    c->peers = map_new();
    c->heard.on_reply = on_heard;
}

void peers_free(struct cluster *c) {
    peers_drop(c);
    map_free(c->peers);
}
