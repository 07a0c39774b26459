/* store.h - where queued messages live until their handler has succeeded.
 *
 * A store keeps many queues by name, and a few small notes (what a schedule fired last, leases). There are several
 * kinds (sqlite_store.h, ...); they differ in how they are opened and in nothing that a caller sees.
 *
 * The life of a message: a send that was answered with QUEUE_OK is durable. The message is READY (or DELAYED first); a
 * receive makes it IN_FLIGHT for a visibility time, which QUEUE_EXTEND renews; then it is acknowledged and gone, or
 * retried after a delay, or buried in the queue's dead letter queue, with why. If nothing is said in time it is READY
 * again and its receive count tells. Nothing else removes a message but retention, purge and redrive.
 *
 * Order: messages come in the order in which they became ready, roughly. Those that share a group id come strictly one
 * after the other: while one is in flight, delayed or waits for its retry, the rest of its group is BLOCKED.
 *
 * Deduplication: a send whose dedup id was sent to the same queue within the window (from the first send) changes
 * nothing and is answered with the first message's id; an import is known by its id instead. Retention: a message that
 * nobody finished in time is counted as expired and moved to the dead letter queue, or dropped if there is none; never
 * while it is in flight.
 *
 * Every call copies what it is given and is answered by exactly one on_done, on the loop's turn, never before the call
 * returns. Calls are carried out in their order. A store's time is its own: it runs with the monotonic
 * clock and never goes back, not over a restart either, so a wall clock that jumps hides no message.
 */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/error.h"

enum queue_result {
    QUEUE_OK,
    QUEUE_TRY_AGAIN, /* busy, disk full, no connection: nothing was done, or (connection lost) nobody knows */
    QUEUE_REFUSED,   /* the call asks for something wrong: too large, too long; nothing was done */
    QUEUE_BROKEN,    /* the store cannot be used: corrupt, wrong version, closed */
};

enum queue_place { QUEUE_READY, QUEUE_IN_FLIGHT, QUEUE_DELAYED, QUEUE_BLOCKED };

/* Bounds that every store keeps; the size of a message is its body and its attributes' names and values. */
#define QUEUE_MESSAGE_SIZE_DEFAULT (256u << 10)
#define QUEUE_MESSAGE_SIZE_MAX (16u << 20)
#define QUEUE_NAME_SIZE_MAX 128
#define QUEUE_KEY_SIZE_MAX 256 /* group id, dedup id, attribute name, note key, content type */
#define QUEUE_ATTRIBUTES_MAX 64
#define QUEUE_DELAY_MS_MAX (366ULL * 24 * 3600 * 1000) /* and visibility */
#define QUEUE_PAGE_MAX 1000                            /* messages in one call */
#define QUEUE_DEDUP_WINDOW_MS_DEFAULT (5 * 60 * 1000)
#define QUEUE_NOTE_SIZE_MAX 65536
/* A note with this before a queue's name says that it is paused, and is kept where the queue is. */
#define QUEUE_PAUSE_PREFIX "pause/"

enum queue_attribute_type { QUEUE_TEXT, QUEUE_NUMBER, QUEUE_BINARY };
struct queue_attribute {
    enum queue_attribute_type type;
    struct slice name;
    struct slice value; /* a number is its decimal text */
};

/* What a queue is told once, before it is used. A queue without settings has the defaults: zero everywhere. */
struct queue_settings {
    struct slice name;
    struct slice dead_letter;    /* another queue; absent = none: QUEUE_BURY is refused, what expires is dropped */
    uint64_t retention_ms;       /* 0 = for ever */
    uint64_t dedup_window_ms;    /* 0 = QUEUE_DEDUP_WINDOW_MS_DEFAULT */
    uint32_t message_size_bytes; /* the largest one taken; 0 = QUEUE_MESSAGE_SIZE_DEFAULT */
};

/* Why a message is in a dead letter queue. */
struct queue_death {
    struct slice queue;  /* which it came from */
    struct slice reason; /* a few fixed words: what a person filters by */
    struct slice error;  /* the last one, as text */
    uint64_t attempts;
    uint64_t died_ms; /* wall */
};

struct queue_send {
    struct slice queue;
    struct slice body;
    struct slice content_type; /* absent = not told */
    const struct queue_attribute *attributes;
    size_t attribute_count;
    uint64_t delay_ms;
    struct slice dedup_id; /* absent = never a duplicate */
    struct slice group_id; /* absent = in no group */
    struct slice id;       /* an import keeps a message's id and sent_ms; absent and 0 = new ones */
    uint64_t sent_ms;
    /* Of an import, which is never compared by its dedup id: */
    uint64_t once_ms;                /* a send with this id is a duplicate for so long; 0 = the id is not remembered */
    const struct queue_death *death; /* kept; NULL = it did not die */
};
struct queue_sent {
    char id[UUID_TEXT_SIZE + 1];
    bool duplicate; /* the id is that of the first message with this dedup id, or it was imported before */
};

struct queue_message {
    char id[UUID_TEXT_SIZE + 1];
    struct slice body;
    struct slice content_type;
    const struct queue_attribute *attributes;
    size_t attribute_count;
    struct slice dedup_id;
    struct slice group_id;
    uint64_t sent_ms;           /* wall; so are the next two */
    uint64_t first_received_ms; /* 0 = never; since it came to this queue */
    uint64_t last_received_ms;
    uint64_t receive_count; /* this time included */
    struct slice receipt;   /* proves this receive to settle; absent in a browse */
    /* Only in a browse: */
    enum queue_place place;
    uint64_t ready_in_ms; /* when in flight or delayed */
    struct slice position;
    const struct queue_death *death; /* NULL = it did not die; set in a receive too */
};

struct queue_receive {
    struct slice queue;
    unsigned max; /* messages, at most QUEUE_PAGE_MAX */
    uint64_t visibility_ms;
};

enum queue_action {
    QUEUE_ACK,    /* its handler has succeeded: it is gone */
    QUEUE_RETRY,  /* ready again after delay_ms */
    QUEUE_BURY,   /* to the dead letter queue, atomically */
    QUEUE_EXTEND, /* in flight for another delay_ms from now */
};
struct queue_settlement {
    struct slice queue;
    struct slice receipt;
    enum queue_action action;
    uint64_t delay_ms;
    struct slice reason; /* of a burial */
    struct slice error;
    uint64_t attempts;
};
enum queue_settled {
    QUEUE_SETTLED,
    QUEUE_STALE,    /* the receipt is not the latest, or was settled: somebody else has the message, or it is gone */
    QUEUE_UNBURIED, /* no dead letter queue is set; the message stays as it is */
};

struct queue_browse {
    struct slice queue;
    struct slice after; /* a message's position; absent = from the start */
    unsigned max;
};

/* Back to where they died, or to another queue: as new messages at the end, with their ids. */
struct queue_redrive {
    struct slice from;
    struct slice to;               /* absent = each one's own; those that never died stay */
    const struct slice *positions; /* from a browse; those gone or in flight meanwhile are left out */
    size_t position_count;         /* 0 = the first `max` */
    unsigned max;
};

struct queue_stats {
    struct slice queue;
    uint64_t ready;
    uint64_t in_flight;
    uint64_t delayed;
    uint64_t blocked;       /* behind another of their group */
    uint64_t oldest_age_ms; /* of the message that comes next; 0 = none is ready */
    /* Since the store was made: */
    uint64_t sent, duplicates, received, acknowledged, retried, buried, expired, purged, redriven;
};

/* Notes: a name, a value of a few bytes, and who holds it. For schedules and whatever must be agreed on. */
struct queue_swap {
    struct slice key;
    struct slice expected; /* absent = there must be no note */
    struct slice value;    /* absent = the note goes */
};
struct queue_lease {
    struct slice key; /* leases and values of notes do not touch each other */
    struct slice owner;
    uint64_t ttl_ms; /* 0 = give it back */
};

/* What on_done is given. All of it lives until on_done returns, but see queue_reply_take. */
struct queue_reply {
    enum queue_result result;
    struct error error; /* set unless QUEUE_OK; then all that follows is empty */
    union {
        const struct queue_sent *sent;        /* send: one for each, in order */
        const enum queue_settled *settled;    /* settle: the same */
        const struct queue_message *messages; /* receive, browse */
        const struct queue_stats *stats;      /* stats */
    };
    size_t count;       /* of the above; purge, redrive: how many */
    struct slice value; /* recall, swap: what the note says now; lease: who has it; absent = nothing, nobody */
    bool granted;       /* swap, lease */
    struct arena *memory;
};
struct queue_done {
    void (*on_done)(void *context, struct queue_reply *reply);
    void *context;
};

struct queue_store;
struct queue_watch;
struct queue_store_ops {
    /* In force for calls that come later. The strings are copied. */
    void (*declare)(struct queue_store *s, const struct queue_settings *settings);
    /* All of them or none, to one queue or several. At most QUEUE_PAGE_MAX. */
    void (*send)(struct queue_store *s, const struct queue_send *sends, size_t count, struct queue_done done);
    /* What is ready now, perhaps nothing: a receive does not wait (see watch). */
    void (*receive)(struct queue_store *s, const struct queue_receive *receive, struct queue_done done);
    /* QUEUE_OK with a queue_settled for each. */
    void (*settle)(struct queue_store *s, const struct queue_settlement *items, size_t count, struct queue_done done);
    /* Of one queue, or of all that the store knows when absent. */
    void (*stats)(struct queue_store *s, struct slice queue, struct queue_done done);
    /* Messages in any place, without touching them. Page after page until one is empty: peek, export, filters. A queue
     * that is in use meanwhile may show a message twice or not at all. */
    void (*browse)(struct queue_store *s, const struct queue_browse *browse, struct queue_done done);
    /* Removes up to `max` messages, in flight or not; the rest takes further calls, until 0. */
    void (*purge)(struct queue_store *s, struct slice queue, unsigned max, struct queue_done done);
    void (*redrive)(struct queue_store *s, const struct queue_redrive *redrive, struct queue_done done);
    void (*recall)(struct queue_store *s, struct slice key, struct queue_done done);
    void (*swap)(struct queue_store *s, const struct queue_swap *swap, struct queue_done done);
    /* Granted when nobody else holds it; asking again renews it. */
    void (*lease)(struct queue_store *s, const struct queue_lease *lease, struct queue_done done);
    /* on_ready is called on the loop's turn when a receive that came back with less than its max may find more: after a
     * send from here or elsewhere, when a delay or a visibility time is over, when a group moves on. At times for
     * nothing. Once for the queue as it is found at first. */
    struct queue_watch *(*watch)(struct queue_store *s, struct slice queue, void (*on_ready)(void *context),
                                 void *context);
    void (*unwatch)(struct queue_watch *w); /* NULL is fine */
    /* What was asked is still carried out and answered; then on_closed, and the store is freed. Later calls are
     * answered with QUEUE_BROKEN. All watches are gone. */
    void (*close)(struct queue_store *s, void (*on_closed)(void *context), void *context);
};
struct queue_store {
    const struct queue_store_ops *ops;
};

/* Takes over the memory of all that the reply points to, to be freed with arena_free; call it in on_done. */
struct arena queue_reply_take(struct queue_reply *reply);
