#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_private.h"
#include <assert.h>

sqlite3_stmt *sql_ready(struct sqlite_db *db, enum sqlite_sql name) {
    return db->statements[name];
}

/* The store's numbers are times and counts: they fit in 63 bits. A failed bind shows when the statement runs: the
 * parameter is NULL, which the columns refuse. */
void sql_bind_int(sqlite3_stmt *s, int at, uint64_t value) {
    assert(value <= INT64_MAX);
    sqlite3_bind_int64(s, at, (int64_t)value);
}

void sql_bind_text(sqlite3_stmt *s, int at, struct slice text) {
    if (slice_is_none(text))
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_text64(s, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_blob(sqlite3_stmt *s, int at, struct slice bytes) {
    if (slice_is_none(bytes))
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_blob64(s, at, bytes.p, bytes.n, SQLITE_STATIC);
}

int sql_run(sqlite3_stmt *s) {
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

int sql_first(sqlite3_stmt *s) {
    int rc = sqlite3_step(s);
    return rc == SQLITE_DONE ? 0 : rc;
}

struct slice sql_column(sqlite3_stmt *s, int at, struct arena *a) {
    if (sqlite3_column_type(s, at) == SQLITE_NULL) return SLICE_NONE;
    const void *p = sqlite3_column_blob(s, at);
    size_t n = (size_t)sqlite3_column_bytes(s, at);
    return arena_copy(a, slice_make(p ? p : "", n));
}

uint64_t sql_column_int(sqlite3_stmt *s, int at) {
    return (uint64_t)sqlite3_column_int64(s, at);
}

/* --- queues --- */

static struct sqlite_queue *queue_read(struct sqlite_db *db, sqlite3_stmt *s) {
    struct sqlite_queue *q = arena_zalloc(&db->queue_memory, sizeof *q);
    q->id = sqlite3_column_int64(s, 0);
    q->name = sql_column(s, 1, &db->queue_memory);
    q->dead_letter = sql_column(s, 2, &db->queue_memory);
    q->retention_ms = sql_column_int(s, 3);
    q->dedup_window_ms = sql_column_int(s, 4);
    q->message_size_bytes = (uint32_t)sqlite3_column_int64(s, 5);
    q->ready_at = READY_NEVER;
    map_put(db->queues, q->name, q);
    return q;
}

static int queue_load(struct sqlite_db *db, struct slice name, struct sqlite_queue **q) {
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_BY_NAME);
    sql_bind_text(s, 1, name);
    int rc = sql_first(s);
    *q = rc == SQLITE_ROW ? queue_read(db, s) : NULL;
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

int sqlite_queue_of(struct sqlite_db *db, struct slice name, enum queue_making making, struct sqlite_queue **q) {
    *q = db->recent && slice_equal(db->recent->name, name) ? db->recent : map_get(db->queues, name);
    int rc = *q ? 0 : queue_load(db, name, q);
    if (*q) db->recent = *q;
    if (rc || *q || making == QUEUE_FIND) return rc;
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_MAKE);
    sql_bind_text(s, 1, name);
    rc = sql_run(s);
    return rc ? rc : queue_load(db, name, q);
}

static struct sqlite_queue *queue_cached(struct sqlite_db *db, int64_t id) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (map_next(db->queues, &cursor, &name, &value)) {
        struct sqlite_queue *q = value;
        if (q->id == id) return q;
    }
    return NULL;
}

int sqlite_queue_by_id(struct sqlite_db *db, int64_t id, struct sqlite_queue **q) {
    *q = queue_cached(db, id);
    if (*q) return 0;
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_BY_ID);
    sql_bind_int(s, 1, (uint64_t)id);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) *q = queue_read(db, s);
    sqlite3_reset(s);
    if (rc == SQLITE_ROW) return 0;
    return rc ? rc : SQLITE_CORRUPT; /* a message of no queue */
}

void sqlite_queues_forget(struct sqlite_db *db) {
    db->recent = NULL;
    map_free(db->queues);
    db->queues = map_new();
    arena_free(&db->queue_memory);
}

static int queue_flush(struct sqlite_db *db, struct sqlite_queue *q) {
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_COUNT);
    sqlite3_bind_int64(s, 1, q->id);
    for (int i = 0; i < QUEUE_COUNTERS; i++) sqlite3_bind_int64(s, i + 2, q->counts[i]);
    memset(q->counts, 0, sizeof q->counts);
    q->counted = false;
    return sql_run(s);
}

int sqlite_queues_flush(struct sqlite_db *db) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (map_next(db->queues, &cursor, &name, &value)) {
        struct sqlite_queue *q = value;
        int rc = q->counted ? queue_flush(db, q) : 0;
        if (rc) return rc;
    }
    return 0;
}

void sqlite_count(struct sqlite_queue *q, enum queue_counter counter, int64_t difference) {
    q->counts[counter] += difference;
    q->counted = true;
}

void sqlite_ready_at(struct sqlite_queue *q, uint64_t at_ms) {
    if (at_ms < q->ready_at) q->ready_at = at_ms;
}

static void queue_wake(struct sqlite_db *db, struct sqlite_queue *q) {
    struct sqlite_wake *w = map_get(db->wakes, q->name);
    if (!w) {
        w = arena_zalloc(&db->wake_memory, sizeof *w);
        w->at_ms = READY_NEVER;
        map_put(db->wakes, q->name, w);
    }
    if (q->ready_at < w->at_ms) w->at_ms = q->ready_at;
    q->ready_at = READY_NEVER;
}

void sqlite_queues_wake(struct sqlite_db *db) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (map_next(db->queues, &cursor, &name, &value)) {
        struct sqlite_queue *q = value;
        if (q->ready_at != READY_NEVER) queue_wake(db, q);
    }
}
