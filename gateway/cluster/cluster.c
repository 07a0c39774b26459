#include "gateway/base/memory.h"
#include "gateway/cluster/cluster_private.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BEATS_IN_A_LEASE 3
#define LOOK_MS 100
#define DEAF_TIMES 2 /* in a row that a subscription has failed */

/* --- what is known --- */

struct slice cluster_tag(const struct cluster *c) {
    return slice_make(c->tag, CLUSTER_TAG_SIZE);
}

const char *cluster_redis(const struct cluster *c) {
    return c->address.where;
}

const char *cluster_trouble(const struct cluster *c) {
    if (c->phase == CLUSTER_UP && c->listens) return NULL;
    if (c->phase == CLUSTER_UP && c->deaf_why[0]) return c->deaf_why;
    return c->why[0] ? c->why : "it has not answered yet";
}

const char *cluster_node(const struct cluster *c, size_t index) {
    size_t at = index * (CLUSTER_TAG_SIZE + 1);
    return at < c->nodes.n ? c->nodes.p + at : NULL;
}

uint64_t cluster_patience(const struct cluster *c) {
    uint64_t now_ms = cluster_now_ms(c);
    bool long_away = c->phase != CLUSTER_UP && now_ms - c->away_ms >= PATIENCE_MS;
    return long_away ? now_ms : now_ms + PATIENCE_MS;
}

/* --- time --- */

void cluster_go_soon(struct cluster *c) {
    turn_add(loop_turn(c->loop), &c->go);
}

void cluster_look_soon(struct cluster *c) {
    if (!deadline_armed(&c->look)) deadline_arm(loop_deadlines(c->loop), &c->look, cluster_now_ms(c) + LOOK_MS);
}

static void on_look(struct deadline *d) {
    struct cluster *c = container_of(d, struct cluster, look);
    uint64_t now_ms = cluster_now_ms(c);
    peers_look(c, now_ms);
    lookups_look(c, now_ms);
    if (peers_wait(c) || !list_empty(&c->lookups)) cluster_look_soon(c);
}

/* --- confirmations --- */

static void confirms_answer(struct list *confirms, enum cluster_word word) {
    struct list told;
    list_init(&told);
    for (struct list_node *node; (node = list_first(confirms));) {
        list_remove(node);
        list_push(&told, node);
    }
    for (struct list_node *node; (node = list_first(&told));) {
        struct cluster_confirm *w = list_entry(node, struct cluster_confirm, node);
        list_remove(node);
        w->on_word(w, word);
    }
}

/* Those that were asked about are asked about again, before what came later. */
static void confirms_return(struct cluster *c) {
    while (!list_empty(&c->confirming)) {
        struct list_node *last = c->confirming.head.previous;
        list_remove(last);
        list_push_front(&c->confirms, last);
    }
}

void cluster_confirm(struct cluster *c, struct cluster_confirm *w) {
    list_push(&c->confirms, &w->node);
    cluster_go_soon(c);
}

void cluster_confirm_cancel(struct cluster_confirm *w) {
    list_remove(&w->node);
}

/* --- the lease --- */

static void tag_choose(struct cluster *c) {
    struct clock *clock = loop_clock(c->loop);
    clock_random_hex(clock, c->tag, CLUSTER_TAG_SIZE / 2);
    clock_random_hex(clock, c->nonce, NONCE_SIZE / 2);
    c->nodes.n = 0;
    buf_append(&c->nodes, c->tag, sizeof c->tag);
}

void cluster_rise(struct cluster *c) {
    char old[sizeof c->tag];
    if (c->phase >= CLUSTER_LEAVING) return;
    memcpy(old, c->tag, sizeof old);
    tag_choose(c);
    log_event(c->log, LOG_WARN, "this node was taken for dead; it begins anew", LOG_TEXT("was", old),
              LOG_TEXT("node", c->tag));
    c->phase = CLUSTER_JOINING;
    c->beat_due = true;
    peers_drop(c);
    registry_forget(c);
    confirms_return(c);
    confirms_answer(&c->confirms, CLUSTER_BURIED);
    c->host.on_buried(c->host.context);
    redis_link_fail(c->ear, "the tag is a new one");
    cluster_go_soon(c);
}

bool cluster_check(struct cluster *c, const redisReply *reply) {
    if (reply->type != REDIS_REPLY_ERROR) return false;
    redis_link_fail(c->link, reply->str);
    return true;
}

static bool nodes_have(const struct cluster *c, struct slice tag) {
    const char *known;
    for (size_t i = 0; (known = cluster_node(c, i)); i++)
        if (slice_equal(slice_of(known), tag)) return true;
    return false;
}

/* After Redis was emptied, nodes are there though they are not all back in it. */
static void nodes_read(struct cluster *c, const redisReply *nodes) {
    if (cluster_now_ms(c) >= c->keep_ms) c->nodes.n = 0;
    for (size_t i = 0; nodes && nodes->type == REDIS_REPLY_ARRAY && i < nodes->elements; i++) {
        struct slice tag = redis_text(nodes, i);
        if (!cluster_tag_is_good(tag) || nodes_have(c, tag)) continue;
        buf_append_slice(&c->nodes, tag);
        buf_append_char(&c->nodes, '\0');
    }
}

static void log_up(struct cluster *c) {
    log_event(c->log, LOG_INFO, "part of a cluster", LOG_TEXT("node", c->tag), LOG_TEXT("redis", c->address.where));
    c->why[0] = '\0';
}

/* `fresh`: Redis did not know the tag, so it knows nothing else of this node either. */
static void on_lease(struct cluster *c, bool fresh) {
    redis_link_settled(c->link);
    if (c->phase == CLUSTER_UP && !fresh) {
        registry_settle(c, c->beats);
        confirms_answer(&c->confirming, CLUSTER_CONFIRMED);
        return;
    }
    confirms_return(c);
    if (c->phase != CLUSTER_UP) log_up(c);
    redis_link_hurry(c->ear);
    c->phase = CLUSTER_UP;
    registry_resync(c);
    peers_post(c);
    lookups_send(c);
    c->beat_due = !list_empty(&c->confirms);
}

static void on_beaten(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, beaten);
    c->beating = false;
    if (!reply || cluster_check(c, reply)) return;
    if (slice_equal(redis_text(reply, 0), SLICE("dead"))) {
        cluster_rise(c);
        return;
    }
    c->adopt_due |= redis_number(reply, 1) > 0 && !c->draining;
    if (slice_equal(redis_text(reply, 0), SLICE("new"))) c->keep_ms = cluster_now_ms(c) + c->lease_ms;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 2) nodes_read(c, reply->element[2]);
    if (c->phase == CLUSTER_JOINING || c->phase == CLUSTER_UP)
        on_lease(c, slice_equal(redis_text(reply, 0), SLICE("new")));
    cluster_go_soon(c);
}

static void beat(struct cluster *c) {
    c->beating = true;
    c->beat_due = false;
    c->beats++;
    for (struct list_node *node; c->phase == CLUSTER_UP && (node = list_first(&c->confirms));) {
        list_remove(node);
        list_push(&c->confirming, node);
    }
    cluster_run(c, "beat", cluster_tag(c), 2);
    redis_bulk(&c->command, slice_make(c->nonce, NONCE_SIZE));
    redis_bulk_number(&c->command, c->lease_ms);
    deadline_arm(loop_deadlines(c->loop), &c->lease, cluster_now_ms(c) + c->lease_ms / BEATS_IN_A_LEASE);
    cluster_send(c, &c->beaten);
}

static void on_lease_due(struct deadline *d) {
    struct cluster *c = container_of(d, struct cluster, lease);
    c->beat_due = true;
    cluster_go_soon(c);
}

/* --- the end of a turn --- */

static void quit(struct cluster *c) {
    c->phase = CLUSTER_LEAVING;
    cluster_run(c, "quit", cluster_tag(c), 0);
    cluster_send(c, &c->left);
}

/* Nobody who stops waits for what may not come back. */
static void go_alone(struct cluster *c) {
    if (c->draining && c->phase == CLUSTER_AWAY) confirms_answer(&c->confirms, CLUSTER_CONFIRMED);
}

static void on_go(struct turn_task *task) {
    struct cluster *c = container_of(task, struct cluster, go);
    bool may_beat = (c->phase == CLUSTER_UP || c->phase == CLUSTER_JOINING) && redis_link_has_room(c->link);
    go_alone(c);
    registry_write(c);
    if (may_beat && !c->beating && (c->beat_due || (c->phase == CLUSTER_UP && !list_empty(&c->confirms)))) beat(c);
    if (c->adopt_due && !c->adopting && c->phase == CLUSTER_UP) registry_adopt(c);
}

/* --- connections --- */

static void on_loaded(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, loading);
    if (reply) (void)cluster_check(c, reply);
}

static void on_open(void *context) {
    struct cluster *c = context;
    c->command.n = 0;
    redis_command_begin(&c->command, 3);
    redis_bulk(&c->command, SLICE("SCRIPT"));
    redis_bulk(&c->command, SLICE("LOAD"));
    redis_bulk(&c->command, c->script.text);
    cluster_send(c, &c->loading);
    c->phase = CLUSTER_JOINING;
    beat(c);
}

static void on_down(void *context, const char *why) {
    struct cluster *c = context;
    if (c->phase >= CLUSTER_LEAVING) {
        c->phase = CLUSTER_OVER;
        return;
    }
    if (c->phase != CLUSTER_AWAY) c->away_ms = cluster_now_ms(c);
    c->phase = CLUSTER_AWAY;
    c->beating = c->adopting = false;
    confirms_return(c);
    if (strcmp(c->why, why) != 0)
        log_event(c->log, LOG_WARN, "the cluster's Redis cannot be reached, trying again",
                  LOG_TEXT("redis", c->address.where), LOG_TEXT("why", why));
    snprintf(c->why, sizeof c->why, "%s", why);
    cluster_go_soon(c);
}

static void on_room(void *context) {
    cluster_go_soon(context);
}

static void on_tick(void *context) {
    struct cluster *c = context;
    peers_sweep(c);
    if (c->phase == CLUSTER_UP && !list_empty(&c->orphan_list)) c->adopt_due = !c->draining;
}

static void on_ear_open(void *context) {
    struct cluster *c = context;
    struct buf channel = {0};
    buf_append_slice(&channel, c->prefix);
    buf_append_text(&channel, "to:");
    buf_append_text(&channel, c->tag);
    redis_link_subscribe(c->ear, buf_slice(&channel), &c->heard);
    buf_free(&channel);
}

/* Most often the other connection tells; but it may be that alone nobody may listen, as without rights to channels. */
static void on_ear_down(void *context, const char *why) {
    struct cluster *c = context;
    c->listens = false;
    if (c->phase != CLUSTER_UP || ++c->deaf_times < DEAF_TIMES) return;
    if (strcmp(c->deaf_why, why) != 0)
        log_event(c->log, LOG_WARN, "the cluster's Redis lets this node hear nothing, so other nodes cannot reach it",
                  LOG_TEXT("redis", c->address.where), LOG_TEXT("why", why));
    snprintf(c->deaf_why, sizeof c->deaf_why, "%s", why);
}

/* A connection that is of use says that the other may be, too; one that was merely made does not. */
void cluster_hears(struct cluster *c) {
    redis_link_settled(c->ear);
    redis_link_hurry(c->link);
    c->listens = true;
    c->deaf_times = 0;
    c->deaf_why[0] = '\0';
}

static void on_nothing(void *context) {
    (void)context;
}

static void on_published(struct redis_wait *w, const redisReply *reply) {
    struct cluster *c = container_of(w, struct cluster, published);
    if (reply) (void)cluster_check(c, reply);
}

/* --- life --- */

static void on_left(struct redis_wait *w, const redisReply *reply) {
    (void)reply;
    container_of(w, struct cluster, left)->phase = CLUSTER_OVER;
}

static void cluster_init(struct cluster *c, struct loop *loop, const struct cluster_options *options) {
    c->loop = loop;
    c->log = options->log;
    c->host = options->host;
    c->lease_ms = options->lease_ms;
    c->prefix = arena_printf(&c->memory, "execgate:{" SLICE_FMT "}:cluster:", SLICE_ARG(options->name));
    c->script = cluster_script();
    c->go = (struct turn_task){.phase = TURN_LAST, .run = on_go};
    c->lease.on_due = on_lease_due;
    c->look.on_due = on_look;
    c->loading.on_reply = on_loaded;
    c->beaten.on_reply = on_beaten;
    c->published.on_reply = on_published;
    c->left.on_reply = on_left;
    c->away_ms = cluster_now_ms(c);
    list_init(&c->confirms);
    list_init(&c->confirming);
    list_init(&c->lookups);
    registry_init(c);
    peers_init(c);
    tag_choose(c);
}

struct cluster *cluster_new(struct loop *loop, const struct cluster_options *options, struct error *e) {
    struct cluster *c = xcalloc(1, sizeof *c);
    assert(slice_find(options->name, '}') < 0); /* it would end the hash tag */
    if (redis_address_parse(&c->address, &c->memory, options->url, e) < 0) {
        arena_free(&c->memory);
        free(c);
        return NULL;
    }
    cluster_init(c, loop, options);
    const struct redis_link_owner commands = {c, on_open, on_down, on_room, on_tick};
    const struct redis_link_owner listener = {c, on_ear_open, on_ear_down, on_nothing, on_nothing};
    c->link = redis_link_new(loop, &c->address, commands);
    c->ear = redis_link_new(loop, &c->address, listener);
    return c;
}

void cluster_drain(struct cluster *c) {
    c->draining = true;
    cluster_go_soon(c);
}

void cluster_quit(struct cluster *c) {
    if (c->phase >= CLUSTER_LEAVING) return;
    registry_write(c);
    if (c->phase == CLUSTER_UP)
        quit(c);
    else
        c->phase = CLUSTER_OVER;
}

bool cluster_is_over(const struct cluster *c) {
    return c->phase == CLUSTER_OVER;
}

void cluster_free(struct cluster *c) {
    if (!c) return;
    c->phase = CLUSTER_OVER; /* what the connections say now changes nothing */
    peers_drop(c);
    lookups_look(c, UINT64_MAX);
    confirms_return(c);
    confirms_answer(&c->confirms, CLUSTER_BURIED);
    redis_link_fail(c->link, "closing");
    redis_link_fail(c->ear, "closing");
    redis_link_free(c->link);
    redis_link_free(c->ear);
    deadline_disarm(loop_deadlines(c->loop), &c->lease);
    deadline_disarm(loop_deadlines(c->loop), &c->look);
    turn_remove(&c->go);
    peers_free(c);
    registry_free(c);
    buf_free(&c->command);
    buf_free(&c->nodes);
    arena_free(&c->memory);
    free(c);
}
