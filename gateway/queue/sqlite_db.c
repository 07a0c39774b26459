#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000
/* "exgq" */
#define APPLICATION_ID 0x65786771
#define SCHEMA_VERSION 1
/* What is kept of the WAL after it was copied into the file, and a cache of 8 MiB. */
#define SETUP                                                                                                          \
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"                                                            \
    "PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;"                     \
    "PRAGMA trusted_schema = OFF;"

static const char schema[] =
    "CREATE TABLE state(id INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL, next_seq INTEGER NOT NULL);"
    "INSERT INTO state VALUES(1, 0, 1);"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, dead_letter TEXT,"
    " retention_ms INTEGER NOT NULL DEFAULT 0, dedup_window_ms INTEGER NOT NULL DEFAULT 0,"
    " message_size_bytes INTEGER NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0,"
    " blocked INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,"
    " received INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0,"
    " retried INTEGER NOT NULL DEFAULT 0, buried INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,"
    " purged INTEGER NOT NULL DEFAULT 0, redriven INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE message(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, visible_at INTEGER NOT NULL,"
    " in_flight INTEGER NOT NULL, receive_count INTEGER NOT NULL, due_at INTEGER NOT NULL, expires_at INTEGER,"
    " extras INTEGER NOT NULL, id TEXT NOT NULL, sent_ms INTEGER NOT NULL, first_received_ms INTEGER NOT NULL,"
    " last_received_ms INTEGER NOT NULL, group_id TEXT, dedup_id TEXT, content_type TEXT, attributes BLOB, body BLOB);"
    "CREATE INDEX message_due ON message(queue, visible_at, in_flight);"
    "CREATE INDEX message_group ON message(queue, group_id) WHERE group_id IS NOT NULL;"
    "CREATE INDEX message_expiry ON message(expires_at) WHERE expires_at IS NOT NULL;"
    "CREATE TABLE large_body(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    "CREATE TABLE death(seq INTEGER PRIMARY KEY, queue TEXT NOT NULL, reason TEXT, error TEXT,"
    " attempts INTEGER NOT NULL, died_ms INTEGER NOT NULL);"
    "CREATE TABLE dedup(queue INTEGER NOT NULL, dedup_id TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL,"
    " PRIMARY KEY(queue, dedup_id)) WITHOUT ROWID;"
    "CREATE INDEX dedup_until ON dedup(until);"
    "CREATE TABLE note(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE lease(key TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;";

/* A statement of several rows that may end in the middle would keep a journal of its own; OR ROLLBACK spares it, since
 * every failure undoes the transaction anyway. */
#define INSERT_HEAD                                                                                                    \
    "INSERT OR ROLLBACK INTO message(seq, queue, visible_at, in_flight, receive_count, due_at, expires_at, extras, "   \
    "id, sent_ms, "                                                                                                    \
    "first_received_ms, last_received_ms, group_id, dedup_id, content_type, attributes, body) VALUES"
#define INSERT_ROW "(?, ?, ?, 0, 0, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)"
#define INSERT_4 INSERT_ROW "," INSERT_ROW "," INSERT_ROW "," INSERT_ROW

static const char *const texts[SQL_STATEMENTS] = {
#define SQL(name, text) [name] = (text),
#include "gateway/queue/sqlite_sql.h"
#undef SQL
};

const char *sqlite_sql_text(enum sqlite_sql name) {
    return texts[name];
}

/* --- failures --- */

/* What a person can do about it, and what a caller may expect. */
static const struct failure_row {
    int code;
    enum queue_result result;
    const char *advice;
} failure_rows[] = {
    {SQLITE_BUSY, QUEUE_TRY_AGAIN, "another process holds it"},
    {SQLITE_LOCKED, QUEUE_TRY_AGAIN, "another process holds it"},
    {SQLITE_PROTOCOL, QUEUE_TRY_AGAIN, "another process holds it"},
    {SQLITE_FULL, QUEUE_TRY_AGAIN, "free some space"},
    {SQLITE_IOERR, QUEUE_TRY_AGAIN, "look at the disk and at the kernel's log"},
    {SQLITE_CANTOPEN, QUEUE_TRY_AGAIN, "look at the rights of the folder and the limit of open files"},
    {SQLITE_NOMEM, QUEUE_TRY_AGAIN, "out of memory"},
    {SQLITE_CORRUPT, QUEUE_BROKEN,
     "the file is damaged: stop execgate, move it away, and save what `sqlite3 FILE .recover` finds"},
    {SQLITE_NOTADB, QUEUE_BROKEN, "this is no queue file, or it is damaged: move it away"},
    {SQLITE_READONLY_DBMOVED, QUEUE_TRY_AGAIN,
     "the file was deleted or moved away while it was in use: put it back, or restart execgate for a new one"},
    {SQLITE_READONLY, QUEUE_BROKEN, "the file or its folder may not be written"},
};

static enum queue_result failure_tell(struct sqlite_db *db, int rc, struct error *e) {
    for (size_t i = 0; i < ARRAY_LEN(failure_rows); i++) {
        if (failure_rows[i].code != rc && failure_rows[i].code != (rc & 255)) continue;
        error_set(e, ERROR_SYSTEM, "queue file %s: %s (SQLite %d); %s", db->path, sqlite3_errstr(rc), rc,
                  failure_rows[i].advice);
        return failure_rows[i].result;
    }
    error_set(e, ERROR_SYSTEM, "queue file %s: %s (SQLite %d)", db->path,
              db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc), rc);
    return QUEUE_BROKEN;
}

/* --- opening --- */

static int pragma_int(sqlite3 *handle, const char *sql, int64_t *value) {
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(handle, sql, -1, &s, NULL);
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *value = sqlite3_column_int64(s, 0);
    int end = sqlite3_finalize(s);
    return rc == SQLITE_ROW ? SQLITE_OK : end;
}

static int schema_create(struct sqlite_db *db) {
    char *sql = sqlite3_mprintf("%s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;", schema,
                                APPLICATION_ID, SCHEMA_VERSION);
    int rc = sql ? sqlite3_exec(db->handle, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return rc;
}

/* Within a write transaction, so that two processes do not both make it. */
static int schema_check(struct sqlite_db *db, struct error *e) {
    int64_t application = 0, version = 0, tables = 0;
    int rc = pragma_int(db->handle, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK) rc = pragma_int(db->handle, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK) rc = pragma_int(db->handle, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_OK && application == 0 && tables == 0)
        rc = schema_create(db);
    else if (rc == SQLITE_OK && application != APPLICATION_ID)
        return error_set(e, ERROR_FORMAT, "%s is a SQLite file of another program; name another one", db->path);
    else if (rc == SQLITE_OK && version != SCHEMA_VERSION)
        return error_set(e, ERROR_FORMAT,
                         "%s was written by another version of execgate (format %lld, this one knows %d)", db->path,
                         (long long)version, SCHEMA_VERSION);
    else if (rc == SQLITE_OK)
        rc = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK) return 0;
    failure_tell(db, rc, e);
    return -ERROR_SYSTEM;
}

static int statements_prepare(struct sqlite_db *db) {
    for (size_t i = 0; i < SQL_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}

/* The file is ours alone from its first moment; SQLite gives its WAL the same rights. */
static int file_touch(const char *path, struct error *e) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return error_set_errno(e, errno, "cannot open the queue file %s", path);
    close(fd);
    return 0;
}

static int file_open(struct sqlite_db *db, struct error *e) {
    int rc = sqlite3_open_v2(db->path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, SETUP "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        int status = schema_check(db, e);
        if (status < 0) return status;
        rc = statements_prepare(db);
        sqlite_room_plan(db);
    }
    if (rc == SQLITE_OK) return 0;
    failure_tell(db, rc, e);
    return -ERROR_SYSTEM;
}

int sqlite_db_open(struct sqlite_db *db, const char *path, struct error *e) {
    /* Nobody asks SQLite how much memory it uses, and counting takes a lock for every allocation. It is refused, which
     * does no harm, once SQLite runs. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    *db = (struct sqlite_db){.path = path, .queues = map_new(), .wakes = map_new()};
    int status = file_touch(path, e);
    if (status == 0) status = file_open(db, e);
    if (status < 0) sqlite_db_close(db);
    return status;
}

void sqlite_db_close(struct sqlite_db *db) {
    for (size_t i = 0; i < SQL_STATEMENTS; i++) sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    map_free(db->queues);
    map_free(db->wakes);
    arena_free(&db->queue_memory);
    arena_free(&db->wake_memory);
    *db = (struct sqlite_db){0};
}

/* --- transactions --- */

void sqlite_db_look(struct sqlite_db *db) {
    sqlite3_stmt *s = sql_ready(db, SQL_DATA_VERSION);
    int64_t version = sql_first(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : db->data_version;
    sqlite3_reset(s);
    if (version == db->data_version) return;
    db->data_version = version;
    db->changed_elsewhere = true;
    sqlite_queues_forget(db);
}

/* Otherwise all would be kept in a file that has no name any more, and ends with the process. */
static bool file_has_moved(const struct sqlite_db *db) {
    int moved = 0;
    return sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

/* Store time is never less than what a transaction has seen before, in whatever process. */
static int transaction_begin(struct sqlite_db *db, enum sqlite_access access) {
    if (access == SQLITE_WRITES && file_has_moved(db)) return SQLITE_READONLY_DBMOVED;
    int rc = sql_run(sql_ready(db, access == SQLITE_WRITES ? SQL_BEGIN_WRITE : SQL_BEGIN_READ));
    if (rc) return rc;
    sqlite3_stmt *s = sql_ready(db, SQL_STATE);
    rc = sql_first(s);
    if (rc == SQLITE_ROW) {
        uint64_t floor = sql_column_int(s, 0);
        if (floor > db->now_ms) db->now_ms = floor;
        db->next_seq = sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    if (rc != SQLITE_ROW) return rc ? rc : SQLITE_CORRUPT;
    sqlite_db_look(db);
    return 0;
}

static int transaction_end(struct sqlite_db *db, int changes_before) {
    int rc = sqlite_queues_flush(db);
    if (rc) return rc;
    if (sqlite3_total_changes(db->handle) != changes_before) {
        sqlite3_stmt *s = sql_ready(db, SQL_STATE_SET);
        sql_bind_int(s, 1, db->now_ms);
        sql_bind_int(s, 2, (uint64_t)db->next_seq);
        rc = sql_run(s);
        if (rc) return rc;
    }
    rc = sql_run(sql_ready(db, SQL_COMMIT));
    if (rc == 0) sqlite_queues_wake(db);
    return rc;
}

static void transaction_undo(struct sqlite_db *db) {
    for (size_t i = 0; i < SQL_STATEMENTS; i++) sqlite3_reset(db->statements[i]);
    if (!sqlite3_get_autocommit(db->handle)) sql_run(sql_ready(db, SQL_ROLLBACK));
    sqlite_queues_forget(db);
    db->row_count = 0;
}

void call_clear(struct sqlite_call *c) {
    struct queue_reply *r = &c->reply;
    r->result = QUEUE_OK;
    r->error.code = ERROR_NONE;
    r->error.message[0] = '\0';
    r->messages = NULL;
    r->count = 0;
    r->value = SLICE_NONE;
    r->granted = false;
}

/* Rows that a send has put off go to the table before anybody else reads it. */
static int call_run(struct sqlite_db *db, struct sqlite_call *c) {
    int rc = c->kind == &sqlite_send ? 0 : sqlite_rows_flush(db);
    call_clear(c);
    return rc ? rc : c->kind->run(db, c);
}

static int calls_run(struct sqlite_db *db, struct sqlite_call *const *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int rc = call_run(db, calls[i]);
        if (rc) return rc;
    }
    return sqlite_rows_flush(db);
}

static enum sqlite_access access_of(struct sqlite_call *const *calls, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (calls[i]->kind->access == SQLITE_WRITES) return SQLITE_WRITES;
    return SQLITE_READS;
}

static int transaction_try(struct sqlite_db *db, struct sqlite_call *const *calls, size_t count) {
    enum sqlite_access access = access_of(calls, count);
    int changes_before = sqlite3_total_changes(db->handle);
    int rc = transaction_begin(db, access);
    if (rc == 0 && access == SQLITE_WRITES) rc = sqlite_sweep(db);
    if (rc == 0 && !sqlite_room_for(db, calls, count)) rc = SQLITE_FULL;
    if (rc == 0) rc = calls_run(db, calls, count);
    if (rc == 0) rc = transaction_end(db, changes_before);
    if (rc) transaction_undo(db);
    return rc;
}

static void call_fail(struct sqlite_db *db, struct sqlite_call *c, int rc) {
    call_clear(c);
    c->reply.result = failure_tell(db, rc, &c->reply.error);
}

void sqlite_db_run(struct sqlite_db *db, struct sqlite_call *const *calls, size_t count) {
    int rc = transaction_try(db, calls, count);
    if (rc == 0) return;
    bool hopeless = (rc & 255) == SQLITE_BUSY; /* each of them would wait as long */
    for (size_t i = 0; i < count; i++) {
        if (count > 1 && !hopeless) rc = transaction_try(db, &calls[i], 1);
        if (rc) call_fail(db, calls[i], rc);
    }
}
