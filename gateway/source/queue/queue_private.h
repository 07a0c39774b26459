/* queue_private.h - what the files of the queue source share; nobody else includes it.
 *
 * queue_source.c  fetching, gathering, waiting, stopping
 * queue_batch.c   a batch from its run to the end of its answer
 * queue_async.c   what is different about invocations that nobody waits for
 * queue_settle.c  what its messages are told, and telling the store
 */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/invocation/collector.h"
#include "gateway/invocation/event.h"
#include "gateway/queue/retry.h"
#include "gateway/source/queue/queue_source.h"

/* The memory of what one receive brought. */
struct page {
    struct arena memory;
    size_t references;
};
struct held {
    struct list_node node;
    const struct queue_message *message;
    struct page *page;
};

struct consumer { /* a trigger at work */
    struct queue_source *source;
    const struct queue_trigger_config *config;
    const struct async_config *async; /* NULL = messages for a trigger */
    struct route route;
    struct list gathering; /* of struct held */
    struct deadline window;
    struct list waiting; /* of struct batch */
    size_t running;
};

/* What a batch came to: OK settles by `failed`. */
enum batch_end { BATCH_ANSWERED, BATCH_FAILED, BATCH_NEVER_RAN };
struct batch {
    struct list_node node; /* of consumer.waiting, source.running, or source.unsettled */
    struct queue_source *source;
    struct consumer *consumer;     /* NULL = no trigger wanted them */
    struct list messages;          /* of struct held */
    struct invocation *invocation; /* while it is under way */
    struct collector collector;
    struct arena arena; /* holds what follows */
    struct queue_event event;
    bool *failed;
    enum batch_end end;
    const char *reason; /* of a burial, whatever the policy says; NULL = as the policy says */
    struct slice error;
    enum retry_wish wish;
    uint64_t after_ms;
    struct slice error_type;
    struct queue_settlement *settlements;
    const char *told; /* the queue that is sent the record first; NULL = none, or it is there */
    struct slice record;
};

struct queue_source {
    struct pipeline *pipeline;
    struct queue_store *store;
    const struct queue_config *queue;
    struct slice name;
    struct retry_policy policy;
    struct consumer *consumers;
    size_t consumer_count;
    struct queue_watch *watch;
    struct list running;   /* of struct batch: until its answer is whole */
    struct list settling;  /* with the store */
    struct list unsettled; /* the store could not; tried again */
    struct turn_task pump;
    struct deadline beat;  /* extends what is held */
    struct deadline again; /* when places, or the store, are asked again */
    struct deadline look;  /* for the note that pauses it */
    struct buf pause_key;
    unsigned calls; /* of ours that the store has not answered */
    size_t asked;   /* messages, in the receive that is under way */
    bool may_find_more;
    bool receiving;
    bool spares_store; /* a receive has failed: none before `again` */
    bool pausing;      /* paused, or not known yet */
    bool pause_known;
    bool stopped;
    bool store_failed; /* and was complained about */
};

/* queue_source.c */
void source_pump_soon(struct queue_source *s);
void source_try_again(struct queue_source *s, uint64_t after_ms);
void held_free(struct held *h);
struct queue_done source_done(struct queue_source *s, void (*on_done)(void *context, struct queue_reply *reply));

/* queue_batch.c */
struct batch *batch_new(struct queue_source *s, struct consumer *c);
void batch_add(struct batch *b, struct held *h);
void batch_run(struct batch *b);
/* Takes it back if no process has it yet. */
void batch_withdraw(struct batch *b);
void batch_free(struct batch *b);

/* queue_settle.c */
/* Takes the batch over: tells the store what its end means for each message. */
void batch_settle(struct batch *b);
/* Asks the store once more for what it could not do. */
void source_settle_again(struct queue_source *s);
void source_complain(struct queue_source *s, const struct queue_reply *reply);

/* queue_async.c */
#define ASYNC_CONTEXT "client-context" /* attributes of the message */
#define ASYNC_TRACE "traceparent"
#define ASYNC_TOO_OLD "too old"
bool async_is_too_old(const struct consumer *c, const struct queue_message *m, uint64_t delay_ms);
void async_prepare(struct batch *b, struct invocation *inv);
/* Who is told of the end, which may change what the message is told. */
void async_conclude(struct batch *b, struct queue_settlement *item);
