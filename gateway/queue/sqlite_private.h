/* sqlite_private.h - inside the SQLite store: the loop's side and the other thread's.
 *
 * struct sqlite_db is touched by one thread at a time: while a batch runs, by the thread that runs it; otherwise by
 * the loop. Each call is a struct sqlite_call with a row of functions (struct sqlite_kind) that
 * carry it out within the batch's transaction. They return 0 or SQLite's error code, which undoes the whole
 * transaction; what is wrong with the call itself is its reply and undoes nothing.
 *
 * `seq` numbers a message for as long as it is in one queue. `visible_at` is when it is ready, in store time; BLOCKED
 * for all of a group but its first, so that a receive is one range of the index message_due, however long the queue.
 */
#pragma once
#include "gateway/base/list.h"
#include "gateway/base/map.h"
#include "gateway/queue/message.h"
#include "gateway/queue/sqlite_store.h"
#include <sqlite3.h>

#define BLOCKED INT64_MAX
#define READY_NEVER UINT64_MAX
/* A larger body has a row of its own, so that receiving and settling never rewrite it. */
#define INLINE_BODY_SIZE 2048
enum message_extras { EXTRA_BODY = 1, EXTRA_DEATH = 2 };

/* Columns of the table queue that are counted, in its order after the settings. */
enum queue_counter {
    COUNT_MESSAGES,
    COUNT_BLOCKED,
    COUNT_SENT,
    COUNT_DUPLICATES,
    COUNT_RECEIVED,
    COUNT_ACKNOWLEDGED,
    COUNT_RETRIED,
    COUNT_BURIED,
    COUNT_EXPIRED,
    COUNT_PURGED,
    COUNT_REDRIVEN,
    QUEUE_COUNTERS
};

/* A row of the table queue, and what the running transaction adds to it. */
struct sqlite_queue {
    struct slice name;
    int64_t id;
    struct slice dead_letter; /* absent = none */
    uint64_t retention_ms;
    uint64_t dedup_window_ms;
    uint32_t message_size_bytes;
    int64_t counts[QUEUE_COUNTERS]; /* differences */
    bool counted;
    uint64_t ready_at; /* the earliest time at which the batch made or left a message ready; READY_NEVER */
};

/* Every statement, in sqlite_sql.c. */
enum sqlite_sql {
#define SQL(name, text) name,
#include "gateway/queue/sqlite_sql.h"
#undef SQL
    SQL_STATEMENTS
};

/* When a queue should be looked at again; set by transactions that were committed, taken by the loop. */
struct sqlite_wake {
    uint64_t at_ms;
};

/* A row of the table message that is still to be written: many in one statement cost less. All slices live as long as
 * the batch. */
#define ROWS_MAX 16
struct new_row {
    int64_t seq;
    int64_t queue;
    int64_t visible_at;
    uint64_t due_at;
    uint64_t expires_at; /* 0 = never */
    uint64_t sent_ms;
    unsigned extras;
    struct slice id, group_id, dedup_id, content_type, attributes, body;
};

struct sqlite_db {
    sqlite3 *handle;
    const char *path;
    sqlite3_stmt *statements[SQL_STATEMENTS];
    struct map *queues; /* by name; of struct sqlite_queue, in queue_memory */
    struct arena queue_memory;
    struct sqlite_queue *recent; /* the last one asked for; NULL = none */
    struct new_row rows[ROWS_MAX];
    size_t row_count;
    struct map *wakes; /* by name; of struct sqlite_wake, in wake_memory */
    struct arena wake_memory;
    int64_t data_version; /* changes when another process has written */
    bool changed_elsewhere;
    uint64_t now_ms; /* store time of the running transaction */
    uint64_t wall_ms;
    int64_t next_seq;
    uint64_t sweep_at_ms; /* when to look for what has expired */
};

struct sqlite_call;
struct sqlite_kind {
    enum sqlite_access { SQLITE_READS, SQLITE_WRITES } access;
    int (*run)(struct sqlite_db *db, struct sqlite_call *c);
};
struct sqlite_call {
    struct list_node node;
    const struct sqlite_kind *kind;
    struct arena arena; /* holds the call itself, its arguments and its reply */
    struct queue_done done;
    size_t size_bytes;
    union {
        struct queue_settings settings;
        struct {
            struct queue_send *sends;
            struct queue_sent *ids; /* drawn on the loop */
            size_t count;
        } send;
        struct queue_receive receive;
        struct {
            struct queue_settlement *items;
            size_t count;
        } settle;
        struct queue_browse browse;
        struct queue_redrive redrive;
        struct {
            struct slice queue;
            unsigned max;
        } purge;
        struct slice name; /* stats, recall */
        struct queue_swap swap;
        struct queue_lease lease;
    };
    struct queue_reply reply; /* last: see call_clear */
};

/* --- sqlite_db.c: the file --- */
/* Empties the reply, but for the text of an error that was not set: a kilobyte of each call that nobody need touch. */
void call_clear(struct sqlite_call *c);
int sqlite_db_open(struct sqlite_db *db, const char *path, struct error *e) MUST_CHECK;
void sqlite_db_close(struct sqlite_db *db);
/* Carries out `count` calls as one transaction and sets their replies; db->now_ms and wall_ms are set. */
void sqlite_db_run(struct sqlite_db *db, struct sqlite_call *const *calls, size_t count);
/* Sets db->changed_elsewhere when another process has written. */
void sqlite_db_look(struct sqlite_db *db);
const char *sqlite_sql_text(enum sqlite_sql name);

/* --- sqlite_row.c: statements, rows, queues --- */
sqlite3_stmt *sql_ready(struct sqlite_db *db, enum sqlite_sql name);
void sql_bind_int(sqlite3_stmt *s, int at, uint64_t value);
void sql_bind_text(sqlite3_stmt *s, int at, struct slice text); /* absent = NULL */
void sql_bind_blob(sqlite3_stmt *s, int at, struct slice bytes);
/* For statements without rows: 0 or an error code. */
int sql_run(sqlite3_stmt *s);
/* The first row: SQLITE_ROW (then reset it), 0 when there is none, or an error code. */
int sql_first(sqlite3_stmt *s);
struct slice sql_column(sqlite3_stmt *s, int at, struct arena *a); /* a copy; absent when NULL */
uint64_t sql_column_int(sqlite3_stmt *s, int at);
/* NULL in *q when there is none and it is not to be made. */
enum queue_making { QUEUE_FIND, QUEUE_MAKE };
int sqlite_queue_of(struct sqlite_db *db, struct slice name, enum queue_making making, struct sqlite_queue **q);
int sqlite_queue_by_id(struct sqlite_db *db, int64_t id, struct sqlite_queue **q);
void sqlite_queues_forget(struct sqlite_db *db);
int sqlite_queues_flush(struct sqlite_db *db);
/* Hands what each queue's ready_at says to its wake. */
void sqlite_queues_wake(struct sqlite_db *db);
void sqlite_count(struct sqlite_queue *q, enum queue_counter counter, int64_t difference);
void sqlite_ready_at(struct sqlite_queue *q, uint64_t at_ms);

/* --- sqlite_message.c: one message's row --- */
struct message_row {
    int64_t seq;
    int64_t visible_at;
    bool in_flight;
    uint64_t receive_count;
    struct slice group_id;
    unsigned extras;
    uint64_t expires_at; /* 0 = never */
    uint64_t first_received_ms;
};
/* The columns that SQL_RECEIVE and SQL_BROWSE select; everything in the arena. */
int message_row_read(sqlite3_stmt *s, struct message_row *row, struct queue_message *m, struct arena *a);
/* Body and death from tables of their own, where the row says so. */
int message_extras_read(struct sqlite_db *db, const struct message_row *row, struct queue_message *m, struct arena *a);
struct found_row {
    bool found; /* false = it is gone */
    struct message_row row;
    int64_t queue;
};
int message_row_find(struct sqlite_db *db, int64_t seq, struct found_row *found, struct arena *a);
/* Perhaps put off until sqlite_rows_flush: message rows must not be read before. `id` and `a` live as long as the
 * batch. */
int message_insert(struct sqlite_db *db, struct sqlite_queue *q, const struct queue_send *send, struct slice id,
                   struct arena *a);
int sqlite_rows_flush(struct sqlite_db *db);
/* Where a new last member of its group begins: BLOCKED behind others, or as *visible_at says. */
int group_join(struct sqlite_db *db, struct sqlite_queue *q, struct slice group_id, int64_t *visible_at);
/* Gone, and its group moves on. */
int message_remove(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row);
/* To the end of another queue, as one that was never received, with seq db->next_seq. `extras`: EXTRA_DEATH when the
 * caller adds one. */
int message_move(struct sqlite_db *db, struct sqlite_queue *from, struct sqlite_queue *to,
                 const struct message_row *row, unsigned extras);
int message_set_visible(struct sqlite_db *db, struct sqlite_queue *q, int64_t seq, uint64_t at_ms, int in_flight);
int death_add(struct sqlite_db *db, int64_t seq, const struct queue_death *death);
int message_bury(struct sqlite_db *db, struct sqlite_queue *from, const struct message_row *row,
                 const struct queue_settlement *why);
/* To the dead letter queue, or gone. */
int message_expire(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row);
/* Expires a page of what is due in any queue, and forgets old deduplication ids. */
int sqlite_sweep(struct sqlite_db *db);

/* --- the kinds of calls --- */
extern const struct sqlite_kind sqlite_declare, sqlite_send, sqlite_receive, sqlite_settle, sqlite_stats, sqlite_browse,
    sqlite_purge, sqlite_redrive, sqlite_recall, sqlite_swap, sqlite_lease;
