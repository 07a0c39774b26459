/* schedule_world.h - schedule sources in a world of their own: a fake clock, a pool that the test plays, and a store
 * that lives in memory and fails when told to. Several gateways may share it, each with a source.
 *
 * `trace` gets "G:02:00" when gateway G begins the run of that hour and minute (UTC).
 */
#pragma once
#include "gateway/base/memory.h"
#include "gateway/invocation/event.h"
#include "gateway/schedule/calendar.h"
#include "gateway/source/schedule/schedule_private.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>

/* --- the store --- */

enum shelf_mood { SHELF_WELL, SHELF_FAILS, SHELF_SILENT };
enum shelf_verb { SHELF_RECALL, SHELF_SWAP, SHELF_LEASE };
struct shelf_call {
    struct list_node node;
    enum shelf_verb verb;
    struct buf expected, value; /* of a swap; p NULL = absent */
    char owner[64];
    uint64_t ttl_ms;
    struct queue_done done;
};
struct shelf { /* one note, one lease */
    struct queue_store store;
    struct clock *clock;
    enum shelf_mood mood;
    struct buf note;
    char holder[64];
    uint64_t held_until_ms;
    struct list calls;
    int swaps;
};

static inline struct shelf_call *shelf_take(struct queue_store *s, enum shelf_verb verb, struct queue_done done) {
    struct shelf_call *c = xcalloc(1, sizeof *c);
    c->verb = verb;
    c->done = done;
    list_push(&container_of(s, struct shelf, store)->calls, &c->node);
    return c;
}

static inline void shelf_copy(struct buf *to, struct slice from) {
    if (!slice_is_none(from)) buf_append_slice(to, from);
}

static inline void shelf_recall(struct queue_store *s, struct slice key, struct queue_done done) {
    assert_slice(key, "schedule/nightly");
    shelf_take(s, SHELF_RECALL, done);
}
static inline void shelf_swap(struct queue_store *s, const struct queue_swap *swap, struct queue_done done) {
    struct shelf_call *c = shelf_take(s, SHELF_SWAP, done);
    shelf_copy(&c->expected, swap->expected);
    shelf_copy(&c->value, swap->value);
}
static inline void shelf_lease(struct queue_store *s, const struct queue_lease *lease, struct queue_done done) {
    struct shelf_call *c = shelf_take(s, SHELF_LEASE, done);
    snprintf(c->owner, sizeof c->owner, SLICE_FMT, SLICE_ARG(lease->owner));
    c->ttl_ms = lease->ttl_ms;
}
static const struct queue_store_ops shelf_ops = {.recall = shelf_recall, .swap = shelf_swap, .lease = shelf_lease};

static inline void shelf_do_swap(struct shelf *h, struct shelf_call *c, struct queue_reply *reply) {
    h->swaps++;
    bool same = slice_is_none(buf_slice(&c->expected)) == slice_is_none(buf_slice(&h->note)) &&
                slice_equal(buf_slice(&c->expected), buf_slice(&h->note));
    if (same) {
        buf_free(&h->note);
        shelf_copy(&h->note, buf_slice(&c->value));
    }
    reply->granted = same;
    reply->value = buf_slice(&h->note);
}

static inline void shelf_do_lease(struct shelf *h, const struct shelf_call *c, struct queue_reply *reply) {
    uint64_t now_ms = clock_now_ms(h->clock);
    bool is_free = !h->holder[0] || now_ms >= h->held_until_ms || strcmp(h->holder, c->owner) == 0;
    reply->granted = is_free && c->ttl_ms;
    if (is_free) snprintf(h->holder, sizeof h->holder, "%s", c->ttl_ms ? c->owner : "");
    if (is_free) h->held_until_ms = now_ms + c->ttl_ms;
}

/* One call, in its order; false when there is none, or nobody answers. */
static inline bool shelf_answer(struct shelf *h) {
    struct list_node *node = list_first(&h->calls);
    if (!node || h->mood == SHELF_SILENT) return false;
    struct shelf_call *c = list_entry(node, struct shelf_call, node);
    struct queue_reply reply = {.result = QUEUE_OK};
    list_remove(node);
    if (h->mood == SHELF_FAILS) {
        reply.result = QUEUE_TRY_AGAIN;
        error_set(&reply.error, ERROR_SYSTEM, "the disk is full");
    } else if (c->verb == SHELF_RECALL) {
        reply.value = buf_slice(&h->note);
    } else if (c->verb == SHELF_SWAP) {
        shelf_do_swap(h, c, &reply);
    } else {
        shelf_do_lease(h, c, &reply);
    }
    c->done.on_done(c->done.context, &reply);
    buf_free(&c->expected);
    buf_free(&c->value);
    free(c);
    return true;
}

/* --- gateways --- */

enum pool_mood { POOL_ANSWERS, POOL_HOLDS, POOL_FAILS, POOL_REFUSES };
struct world;
struct house_of_schedules { /* one gateway */
    char name;
    struct world *world;
    struct pipeline pipeline;
    struct executor executor;
    struct list running;
    enum pool_mood pool;
    struct route route;
    struct schedule_source *source;
};
#define WORLD_GATEWAYS 2
struct world {
    struct clock_fake clock;
    struct deadlines deadlines;
    struct turn turn;
    struct shelf shelf;
    struct arena arena;
    struct handler_config handler;
    struct schedule_config config;
    struct house_of_schedules gateways[WORLD_GATEWAYS];
    char trace[4096];
};

static inline enum failure world_room(struct executor *e, uint32_t *retry_after_s) {
    (void)retry_after_s;
    return container_of(e, struct house_of_schedules, executor)->pool == POOL_REFUSES ? FAILURE_UNAVAILABLE
                                                                                      : FAILURE_NONE;
}

static inline void world_answer(struct house_of_schedules *g, struct invocation *inv) {
    struct outcome o = g->pool == POOL_FAILS ? outcome_failure(inv, FAILURE_HANDLER_ERROR, NULL)
                                             : (struct outcome){.status = 200};
    assert_true(invocation_complete(inv, o));
}

static inline void world_submit(struct executor *e, struct invocation *inv) {
    struct house_of_schedules *g = container_of(e, struct house_of_schedules, executor);
    struct world *w = g->world;
    size_t n = strlen(w->trace);
    char text[25];
    assert_int_equal(inv->trigger, TRIGGER_SCHEDULE);
    clock_iso_time(inv->schedule->due_ms, text);
    snprintf(w->trace + n, sizeof w->trace - n, "%s%c:%.5s", n ? " " : "", g->name, text + 11);
    invocation_move(inv, INVOCATION_QUEUED, &g->running);
    invocation_move(inv, INVOCATION_RUNNING, &g->running);
    if (g->pool != POOL_HOLDS) world_answer(g, inv);
}

static inline void world_completed(struct executor *e, struct invocation *inv) {
    assert_true(list_holds(&container_of(e, struct house_of_schedules, executor)->running, &inv->node));
}
static const struct executor_ops world_executor = {
    .room = world_room, .submit = world_submit, .completed = world_completed};

/* "2026-03-29T01:00" */
static inline int64_t world_moment(const char *text) {
    int year, month, day, hour = 0, minute = 0, second = 0;
    assert_true(sscanf(text, "%d-%d-%dT%d:%d:%d", &year, &month, &day, &hour, &minute, &second) >= 3);
    return calendar_day_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

/* What the blueprint says from now on. */
static inline void world_say(struct world *w, const char *schedule) {
    struct error e = {0};
    w->config.text = schedule;
    assert_int_equal(schedule_parse(&w->config.when, slice_of(schedule), &e), 0);
    w->config.when.zone = zone_load(&w->arena, SLICE("UTC"), &e);
}

static inline void world_open(struct world *w, const char *schedule, const char *now) {
    memset(w, 0, sizeof *w);
    clock_fake_init(&w->clock);
    w->clock.wall_now_ms = (uint64_t)world_moment(now) * 1000;
    deadlines_init(&w->deadlines);
    turn_init(&w->turn);
    arena_init(&w->arena, 1024);
    w->shelf.store.ops = &shelf_ops;
    w->shelf.clock = &w->clock.clock;
    list_init(&w->shelf.calls);
    w->handler = (struct handler_config){.name = "hands", .timeout_ms = 1000};
    w->config = (struct schedule_config){
        .name = "nightly", .time_zone = "UTC", .key = "POST /schedule/nightly", .max_missed = 10};
    world_say(w, schedule);
}

static inline struct house_of_schedules *world_gateway(struct world *w, size_t i, struct queue_store *store) {
    struct house_of_schedules *g = &w->gateways[i];
    g->name = (char)('a' + i);
    g->world = w;
    g->executor.ops = &world_executor;
    g->route = (struct route){.handler = &w->handler, .executor = &g->executor, .key = slice_of(w->config.key)};
    list_init(&g->running);
    pipeline_init(&g->pipeline, &w->clock.clock, NULL, &w->deadlines, &w->turn);
    g->pipeline.in_flight_limit = 1000;
    g->source = schedule_source_new(&g->pipeline, store, &w->config, &g->route);
    schedule_source_start(g->source);
    return g;
}

/* All that can happen without time going by. */
static inline void world_settle(struct world *w) {
    bool more = true;
    for (int i = 0; more && i < 100000; i++) {
        more = shelf_answer(&w->shelf);
        if (turn_run(&w->turn, 100)) more = true;
        if (deadlines_run(&w->deadlines, clock_now_ms(&w->clock.clock))) more = true;
    }
    assert_false(more);
}

/* Time goes by, and everybody lives it. */
static inline void world_pass(struct world *w, uint64_t seconds) {
    uint64_t until_ms = clock_now_ms(&w->clock.clock) + seconds * 1000;
    world_settle(w);
    while (clock_now_ms(&w->clock.clock) < until_ms) {
        uint64_t next_ms = deadlines_next_ms(&w->deadlines), now_ms = clock_now_ms(&w->clock.clock);
        if (next_ms <= now_ms) next_ms = now_ms + 1;
        clock_fake_advance_ms(&w->clock, (next_ms < until_ms ? next_ms : until_ms) - now_ms);
        world_settle(w);
    }
}

/* The machine sleeps, or somebody sets its clock. */
static inline void world_jump(struct world *w, int64_t seconds) {
    w->clock.wall_now_ms = (uint64_t)((int64_t)w->clock.wall_now_ms + seconds * 1000);
}

static inline void world_complete(struct house_of_schedules *g) {
    struct list_node *node = list_first(&g->running);
    assert_non_null(node);
    world_answer(g, list_entry(node, struct invocation, node));
    world_settle(g->world);
}

static inline void world_expect(struct world *w, const char *trace) {
    assert_string_equal(w->trace, trace);
    w->trace[0] = '\0';
}

static inline void world_leave(struct house_of_schedules *g) {
    schedule_source_stop(g->source);
    world_settle(g->world);
    assert_true(schedule_source_is_idle(g->source));
    schedule_source_free(g->source);
    g->source = NULL;
    pipeline_close(&g->pipeline);
}

/* It stops, and is there again after a time. */
static inline void world_come_back(struct world *w, int64_t after_s) {
    world_leave(&w->gateways[0]);
    world_jump(w, after_s);
    world_gateway(w, 0, &w->shelf.store);
    world_settle(w);
}

static inline void world_check_note(struct world *w, const char *ran, enum schedule_outcome outcome) {
    struct schedule_note note;
    assert_true(schedule_note_read(&note, buf_slice(&w->shelf.note), &w->arena));
    assert_slice_is(note.schedule, slice_of(w->config.text), __FILE__, __LINE__);
    assert_slice(note.time_zone, "UTC");
    assert_int_equal(note.ran_s, world_moment(ran));
    assert_int_equal(note.outcome, outcome);
}

static inline void world_close(struct world *w) {
    for (size_t i = 0; i < WORLD_GATEWAYS; i++)
        if (w->gateways[i].source) world_leave(&w->gateways[i]);
    assert_int_equal(deadlines_next_ms(&w->deadlines), DEADLINE_NEVER);
    assert_true(list_empty(&w->shelf.calls));
    buf_free(&w->shelf.note);
    deadlines_free(&w->deadlines);
    arena_free(&w->arena);
}
