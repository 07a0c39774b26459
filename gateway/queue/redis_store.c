/* Calls on their way: held back while there is no connection, sent in their order, answered, or given up. */
#include "gateway/queue/redis_store.h"
#include "gateway/base/memory.h"
#include "gateway/queue/redis_private.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Of all that is not answered: above, calls fail at once. */
#define PENDING_BYTES_MAX (128u << 20)
/* Of one script: it is carried out whole while others wait. */
#define BATCH_SIZE_MAX (256u << 10)

uint64_t redis_now_ms(const struct redis_store *s) {
    return s->base_ms + clock_now_ms(s->clock);
}

/* --- answers --- */

/* The call itself is in its arena, and goes with it wherever on_done takes that. */
static void call_answer(struct redis_call *c) {
    struct arena memory = c->arena;
    c->store->pending_bytes -= c->arguments.n;
    buf_free(&c->arguments);
    c->reply.memory = &memory;
    if (c->reply.result != QUEUE_OK) c->reply.count = 0;
    if (c->done.on_done) c->done.on_done(c->done.context, &c->reply);
    arena_free(&memory);
}

/* Answered at the end of the turn. */
static void call_fail(struct redis_call *c) {
    list_push(&c->store->failed, &c->node);
    turn_add(loop_turn(c->store->loop), &c->store->finish);
}

void redis_call_refuse(struct redis_call *c) {
    c->store->pending_bytes += c->arguments.n;
    call_fail(c);
}

static void failed_answer(struct redis_store *s) {
    while (!list_empty(&s->failed)) {
        struct redis_call *c = list_entry(list_first(&s->failed), struct redis_call, node);
        list_remove(&c->node);
        call_answer(c);
    }
}

static void on_finish(struct turn_task *task) {
    struct redis_store *s = container_of(task, struct redis_store, finish);
    failed_answer(s);
    turn_add(loop_turn(s->loop), &s->start);
}

/* Store time follows what Redis has said. */
static void time_follow(struct redis_store *s, uint64_t redis_ms) {
    uint64_t now = redis_now_ms(s);
    if (redis_ms > now || !s->has_time) s->base_ms += redis_ms - now;
    s->has_time = true;
}

/* Nobody waits for a declaration, so nobody else would tell. */
static void declare_report(struct redis_call *c) {
    if (c->done.on_done || c->reply.result == QUEUE_OK) return;
    log_event(c->store->log, LOG_ERROR, "a queue could not be declared", LOG_TEXT("why", c->reply.error.message));
}

static void call_read(struct redis_call *c, const redisReply *part) {
    if (part->type == REDIS_REPLY_ERROR) {
        redis_error_explain(c->store, part->str, &c->reply);
        declare_report(c);
    } else if (c->kind->read) {
        c->kind->read(c, part);
    }
    call_answer(c);
}

static void call_lost(struct redis_call *c) {
    struct redis_store *s = c->store;
    if (c->kind->repeat == REDIS_REPEATS) {
        list_push(&s->again, &c->node);
        return;
    }
    c->reply.result = QUEUE_TRY_AGAIN;
    error_set(&c->reply.error, ERROR_SYSTEM,
              "the connection to Redis at %s broke before it answered: nobody knows whether it was done",
              s->address.where);
    call_fail(c);
}

/* Of a script's reply, the part of each call; what is no such reply is an error of the whole. */
static const redisReply *part_of(const redisReply *reply, size_t at) {
    static char odd[] = "ERR the reply is not one of a script";
    static const redisReply error = {.type = REDIS_REPLY_ERROR, .str = odd, .len = sizeof odd - 1};
    if (reply->type == REDIS_REPLY_ERROR) return reply;
    return reply->type == REDIS_REPLY_ARRAY && at < reply->elements ? reply->element[at] : &error;
}

static bool is_error(const redisReply *reply, const char *word) {
    return reply && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, word);
}

/* Somebody has emptied the database, or Redis has forgotten its scripts: a connection's first words are said again. */
static bool has_forgotten(struct redis_store *s, const redisReply *reply) {
    bool flushed = is_error(reply, "FLUSHED");
    if (flushed && !s->scripts_lost)
        log_event(s->log, LOG_WARN, "Redis was emptied, and the messages there are gone",
                  LOG_TEXT("redis", s->address.where));
    return flushed || is_error(reply, "NOSCRIPT");
}

/* NULL: the connection broke. */
static void batch_answer(struct redis_batch *b, const redisReply *reply) {
    struct redis_store *s = b->store;
    bool forgotten = has_forgotten(s, reply);
    if (reply && reply->type == REDIS_REPLY_ARRAY) time_follow(s, redis_number(reply, 0));
    s->scripts_lost |= forgotten;
    for (size_t i = 1; !list_empty(&b->calls); i++) {
        struct redis_call *c = list_entry(list_first(&b->calls), struct redis_call, node);
        list_remove(&c->node);
        if (!reply)
            call_lost(c);
        else if (forgotten)
            list_push(&s->again, &c->node);
        else
            call_read(c, part_of(reply, i));
    }
}

static void on_reply(struct redis_wait *w, const redisReply *reply) {
    struct redis_batch *b = container_of(w, struct redis_batch, wait);
    struct redis_store *s = b->store;
    list_remove(&b->node);
    batch_answer(b, reply);
    free(b);
    turn_add(loop_turn(s->loop), &s->start);
}

/* --- the first words of a connection --- */

static void on_loaded(struct redis_wait *w, const redisReply *reply) {
    struct redis_store *s = container_of(w, struct redis_store, loading);
    if (reply && reply->type == REDIS_REPLY_ERROR) redis_link_fail(s->link, reply->str);
}

static void scripts_load(struct redis_store *s) {
    struct buf command = {0};
    for (int i = 0; i < REDIS_SCRIPTS; i++) {
        redis_command_begin(&command, 3);
        redis_bulk(&command, SLICE("SCRIPT"));
        redis_bulk(&command, SLICE("LOAD"));
        redis_bulk(&command, buf_slice(&s->scripts.texts[i]));
        redis_link_send(s->link, buf_slice(&command), &s->loading);
        command.n = 0;
    }
    buf_free(&command);
}

static void declarations_send(struct redis_store *s) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    struct list others = {0};
    list_init(&others);
    while (!list_empty(&s->waiting)) {
        struct list_node *n = list_first(&s->waiting);
        list_remove(n);
        list_push(&others, n);
    }
    while (map_next(s->declared, &cursor, &name, &value))
        if (((struct redis_declaration *)value)->complete) redis_call_submit(redis_declare_call(s, value));
    while (!list_empty(&others)) {
        struct list_node *n = list_first(&others);
        list_remove(n);
        list_push(&s->waiting, n);
    }
}

static const struct redis_kind kind_hello = {REDIS_SCRIPT_UPKEEP, NULL, REDIS_ONCE, 0, 1};

static void on_hello(struct redis_wait *w, const redisReply *reply) {
    struct redis_store *s = container_of(w, struct redis_store, hello);
    const redisReply *part = reply ? part_of(reply, 1) : NULL;
    if (!part) return;
    if (part->type == REDIS_REPLY_ERROR) {
        redis_link_fail(s->link, part->str);
        return;
    }
    time_follow(s, redis_number(part, 1));
    redis_link_settled(s->link);
    if (s->why[0]) log_event(s->log, LOG_INFO, "connected to Redis", LOG_TEXT("redis", s->address.where));
    s->why[0] = '\0';
    s->up = true;
    declarations_send(s);
    redis_ready_all(s);
    turn_add(loop_turn(s->loop), &s->start);
}

/* A gateway that has a store time already keeps it, whatever Redis' clock has done meanwhile. */
static void hello_send(struct redis_store *s) {
    struct list alone;
    struct redis_call *c = redis_call_new(s, &kind_hello, 64, (struct queue_done){0});
    redis_put(c, SLICE("hello"));
    if (s->has_time)
        redis_put_number(c, redis_now_ms(s));
    else if (s->begin == REDIS_CLOCK_LOOP)
        redis_put_number(c, clock_wall_ms(s->clock));
    else
        redis_put(c, SLICE_NONE);
    list_init(&alone);
    list_push(&alone, &c->node);
    redis_batch_write(s, &alone);
    redis_call_free(c);
    redis_link_send(s->link, buf_slice(&s->command), &s->hello);
}

static void on_open(void *context) {
    struct redis_store *s = context;
    scripts_load(s);
    hello_send(s);
}

/* What is to be repeated goes before what came later. */
static void again_take(struct redis_store *s) {
    while (s->again.length) {
        struct list_node *last = s->again.head.previous;
        list_remove(last);
        list_push_front(&s->waiting, last);
    }
}

static void on_down(void *context, const char *why) {
    struct redis_store *s = context;
    char text[sizeof s->why];
    const char *advice = redis_advice(why);
    if (advice)
        snprintf(text, sizeof text, "%s (%s)", advice, why);
    else
        snprintf(text, sizeof text, "%s", why);
    s->up = s->scripts_lost = false;
    again_take(s);
    if (strcmp(s->why, text) != 0)
        log_event(s->log, LOG_WARN, "no connection to Redis, trying again", LOG_TEXT("redis", s->address.where),
                  LOG_TEXT("why", text));
    memcpy(s->why, text, sizeof text);
    turn_add(loop_turn(s->loop), &s->start);
}

/* --- sending --- */

/* The first of those that wait, and more of its kind right behind it. */
static void batch_send(struct redis_store *s) {
    struct redis_batch *b = xcalloc(1, sizeof *b);
    const struct redis_kind *kind = list_entry(list_first(&s->waiting), struct redis_call, node)->kind;
    size_t size = 0;
    b->wait.on_reply = on_reply;
    b->store = s;
    list_init(&b->calls);
    while (!list_empty(&s->waiting) && b->calls.length < kind->batch_max && size < BATCH_SIZE_MAX) {
        struct redis_call *c = list_entry(list_first(&s->waiting), struct redis_call, node);
        if (c->kind != kind) break;
        list_remove(&c->node);
        list_push(&b->calls, &c->node);
        size += c->arguments.n;
    }
    list_push(&s->sent, &b->node);
    redis_batch_write(s, &b->calls);
    redis_link_send(s->link, buf_slice(&s->command), &b->wait);
}

static void calls_send(struct redis_store *s) {
    if (s->scripts_lost && list_empty(&s->sent) && s->up) {
        s->scripts_lost = s->up = false;
        again_take(s);
        on_open(s);
    }
    while (s->up && !s->scripts_lost && !list_empty(&s->waiting) && redis_link_has_room(s->link)) batch_send(s);
}

static void call_refuse_now(struct redis_call *c, enum queue_result result, const char *why) {
    c->reply.result = result;
    error_set(&c->reply.error, ERROR_STATE, "%s", why);
    call_fail(c);
}

static const struct redis_kind kind_leave = {REDIS_SCRIPT_UPKEEP, NULL, REDIS_ONCE, 0, 1};

void redis_call_submit(struct redis_call *c) {
    struct redis_store *s = c->store;
    s->pending_bytes += c->arguments.n;
    if (s->on_closed && c->kind != &kind_leave)
        call_refuse_now(c, QUEUE_BROKEN, "the connection to Redis is being closed");
    else if (s->pending_bytes > PENDING_BYTES_MAX)
        call_refuse_now(c, QUEUE_TRY_AGAIN, "too much is on its way to Redis: it does not keep up");
    else
        list_push(&s->waiting, &c->node);
    turn_add(loop_turn(s->loop), &s->start);
}

static void on_room(void *context) {
    struct redis_store *s = context;
    turn_add(loop_turn(s->loop), &s->start);
}

static void on_tick(void *context) {
    struct redis_store *s = context;
    if (s->up) return;
    list_each (&s->waiting, node) {
        struct redis_call *c = list_entry(node, struct redis_call, node);
        if (++c->waited_ticks <= c->kind->patience_ticks) continue;
        list_remove(&c->node);
        c->reply.result = QUEUE_TRY_AGAIN;
        error_set(&c->reply.error, ERROR_SYSTEM, "no connection to Redis at %s: %s", s->address.where,
                  s->why[0] ? s->why : "it does not answer");
        call_fail(c);
    }
}

/* --- life --- */

static void store_free(struct redis_store *s) {
    redis_link_fail(s->link, "closing"); /* what was not a call, scripts on their way, is told so */
    redis_link_free(s->link);
    turn_remove(&s->start);
    turn_remove(&s->finish);
    map_free(s->declared);
    buf_free(&s->command);
    redis_scripts_free(&s->scripts);
    arena_free(&s->memory);
    free(s);
}

/* The last call, so that no consumer is left behind that has nothing to do. */
static void leave(struct redis_store *s) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    struct redis_call *c = redis_call_new(s, &kind_leave, 256, (struct queue_done){0});
    redis_put(c, SLICE("leave"));
    redis_put(c, slice_of(s->consumer));
    while (map_next(s->declared, &cursor, &name, &value)) redis_put(c, name);
    s->leaving = true;
    redis_call_submit(c);
}

static void nothing(void *context) {
    (void)context;
}

static void on_gone(void *context) {
    struct redis_store *s = context;
    void (*on_closed)(void *context) = s->on_closed;
    void *closed_context = s->closed_context;
    failed_answer(s); /* of calls that came too late */
    store_free(s);
    on_closed(closed_context);
}

/* The end comes by way of the other threads, so that it wakes a loop that has nothing else to wait for. */
static void close_step(struct redis_store *s) {
    if (s->gone || s->waiting.length + s->sent.length + s->again.length + s->failed.length) return;
    if (s->up && !s->leaving) {
        leave(s);
        return;
    }
    s->gone = true;
    loop_work(s->loop, nothing, on_gone, s);
}

static void on_start(struct turn_task *task) {
    struct redis_store *s = container_of(task, struct redis_store, start);
    calls_send(s);
    if (s->on_closed) close_step(s);
}

static void consumer_name(struct redis_store *s) {
    static const char prefix[] = "execgate-";
    char digits[16];
    clock_random_hex(s->clock, digits, sizeof digits / 2);
    snprintf(s->consumer, sizeof s->consumer, "%s%.16s", prefix, digits);
}

static struct redis_store *store_new(struct loop *loop, const struct redis_store_options *options) {
    struct redis_store *s = xcalloc(1, sizeof *s);
    s->store.ops = &redis_ops;
    s->loop = loop;
    s->clock = loop_clock(loop);
    s->log = options->log;
    s->begin = options->clock;
    s->prefix = arena_printf(&s->memory, "execgate:{" SLICE_FMT "}:", SLICE_ARG(options->name));
    s->declared = map_new();
    list_init(&s->waiting);
    list_init(&s->sent);
    list_init(&s->again);
    list_init(&s->failed);
    redis_watches_init(s);
    redis_scripts_init(&s->scripts);
    consumer_name(s);
    s->loading.on_reply = on_loaded;
    s->hello.on_reply = on_hello;
    s->start = (struct turn_task){.phase = TURN_LAST, .run = on_start};
    s->finish = (struct turn_task){.phase = TURN_DISPATCH, .run = on_finish};
    return s;
}

struct queue_store *redis_store_open(struct loop *loop, const struct redis_store_options *options, struct error *e) {
    struct arena memory = {0};
    struct redis_address address;
    assert(slice_find(options->name, '}') < 0); /* it would end the hash tag */
    if (redis_address_parse(&address, &memory, options->url, e) < 0) {
        arena_free(&memory);
        return NULL;
    }
    struct redis_store *s = store_new(loop, options);
    arena_free(&memory);
    int status = redis_address_parse(&s->address, &s->memory, options->url, e);
    assert(status == 0);
    (void)status;
    const struct redis_link_owner owner = {s, on_open, on_down, on_room, on_tick};
    s->link = redis_link_new(loop, &s->address, owner);
    return &s->store;
}
