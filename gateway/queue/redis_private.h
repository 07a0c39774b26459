/* redis_private.h - inside the Redis store: calls on their way to Redis and back.
 *
 * A struct redis_call is written into `arguments` when it is asked for. Those of one kind that stand next to each other
 * are sent as a struct redis_batch: one EVALSHA, with the store's time of that moment, whose reply has a part for each.
 * A call is in one place: `waiting` (not sent yet), its batch, `again` (to be sent once more when the connection is
 * back), or `failed` (to be answered at the end of the turn). Its reply is read into its arena, which the caller gets.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/base/map.h"
#include "gateway/queue/message.h"
#include "gateway/queue/redis_script.h"
#include "gateway/queue/redis_store.h"
#include "gateway/queue/watches.h"
#include "gateway/redis/redis_link.h"
#include "gateway/redis/redis_words.h"
#include <hiredis/hiredis.h>

#define SOON_NEVER UINT64_MAX

struct redis_call;
/* A row per kind of call. */
struct redis_kind {
    enum redis_script script;
    /* Of what answers the script gives: sets the call's reply. NULL: nothing in it matters. */
    void (*read)(struct redis_call *c, const redisReply *r);
    enum redis_repeat { REDIS_ONCE, REDIS_REPEATS } repeat; /* after a connection that broke under it */
    unsigned patience_ticks;                                /* of waiting for a connection */
    size_t batch_max;                                       /* calls */
};

struct redis_call {
    struct list_node node;
    struct redis_store *store;
    const struct redis_kind *kind;
    struct arena arena;   /* holds the call itself and its reply */
    struct buf arguments; /* in Redis' protocol */
    size_t argument_count;
    unsigned waited_ticks;
    struct queue_done done;
    struct slice *queues; /* whose watchers are told; consecutive ones differ */
    size_t queue_count;
    union {
        struct {
            struct queue_sent *ids;
            size_t *sizes; /* for the words of a refusal */
        } send;
        struct slice key; /* of a message on what is wrong */
    };
    size_t asked; /* messages, receipts */
    struct queue_reply reply;
};

struct redis_batch {
    struct redis_wait wait;
    struct list_node node;
    struct redis_store *store;
    struct list calls; /* at least one; all of a kind */
};

struct redis_store {
    struct queue_store store;
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    enum redis_store_clock begin;
    struct arena memory;
    struct redis_address address;
    struct redis_link *link;
    struct redis_scripts scripts;
    struct slice prefix;
    char consumer[40];
    bool up;           /* the connection has been greeted: calls may be sent */
    bool scripts_lost; /* Redis was emptied of them: they are loaded anew once all that was sent is answered */
    bool leaving;      /* the last call was asked for */
    bool gone;         /* closed, but for on_closed */
    struct redis_wait loading, hello;
    struct list waiting, again, failed; /* of calls */
    struct list sent;                   /* of batches */
    size_t pending_bytes;               /* of all calls */
    struct buf command;                 /* the one that is being written */
    struct turn_task start;
    struct turn_task finish;
    bool has_time;
    uint64_t base_ms;     /* store time less monotonic time */
    struct map *declared; /* name -> struct redis_declaration, in memory */
    struct queue_watches watches;
    bool looking;
    unsigned looks;
    char why[320]; /* there is no connection */
    void (*on_closed)(void *context);
    void *closed_context;
};
struct redis_declaration {
    struct queue_settings settings;
    struct slice stream, group;
    bool complete; /* declared, not only bound */
};

/* --- redis_command.c: what is sent --- */
/* `size` is a guess of the arguments' bytes. */
struct redis_call *redis_call_new(struct redis_store *s, const struct redis_kind *kind, size_t size,
                                  struct queue_done done);
void redis_call_free(struct redis_call *c);
void redis_put(struct redis_call *c, struct slice argument); /* absent = empty */
void redis_put_number(struct redis_call *c, uint64_t number);
/* The calls of a batch as one command in s->command, with the times of now. */
void redis_batch_write(struct redis_store *s, const struct list *calls);

/* --- redis_store.c --- */
uint64_t redis_now_ms(const struct redis_store *s);
void redis_call_submit(struct redis_call *c);
/* A call that is wrong in itself; its reply has the error. */
void redis_call_refuse(struct redis_call *c);
struct redis_call *redis_declare_call(struct redis_store *s, const struct redis_declaration *d);

/* --- redis_calls.c: one function per call of the interface --- */
extern const struct queue_store_ops redis_ops;

/* --- redis_reply.c: what comes back --- */
/* What to do about an error of Redis'; NULL when that is not known. */
const char *redis_advice(const char *text);
void redis_error_explain(const struct redis_store *s, const char *text, struct queue_reply *reply);
void redis_read_sent(struct redis_call *c, const redisReply *r);
void redis_read_messages(struct redis_call *c, const redisReply *r);
void redis_read_settled(struct redis_call *c, const redisReply *r);
void redis_read_stats(struct redis_call *c, const redisReply *r);
void redis_read_count(struct redis_call *c, const redisReply *r);
void redis_read_note(struct redis_call *c, const redisReply *r);

/* --- redis_watch.c --- */
struct queue_watch *redis_watch(struct queue_store *store, struct slice queue, void (*on_ready)(void *context),
                                void *context);
void redis_watches_init(struct redis_store *s);
/* `in_ms` from now there may be something; SOON_NEVER = nothing is known. */
void redis_ready_in(struct redis_store *s, struct slice queue, uint64_t in_ms);
void redis_ready_all(struct redis_store *s);
