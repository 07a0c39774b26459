#include "gateway/queue/sqlite_private.h"

#define SWEEP_PAGE 256
#define SWEEP_INTERVAL_MS 1000

/* --- reading --- */

/* The columns that all selects of rows begin with. */
static void row_read(sqlite3_stmt *s, struct message_row *row, struct arena *a) {
    *row = (struct message_row){
        .seq = sqlite3_column_int64(s, 0),
        .visible_at = sqlite3_column_int64(s, 1),
        .in_flight = sqlite3_column_int(s, 2) != 0,
        .receive_count = sql_column_int(s, 3),
        .group_id = sql_column(s, 4, a),
        .extras = (unsigned)sqlite3_column_int(s, 5),
        .expires_at = sql_column_int(s, 6),
        .first_received_ms = sql_column_int(s, 7),
    };
}

static void id_read(sqlite3_stmt *s, int at, char id[UUID_TEXT_SIZE + 1]) {
    const void *p = sqlite3_column_blob(s, at);
    size_t n = (size_t)sqlite3_column_bytes(s, at);
    if (n > UUID_TEXT_SIZE) n = UUID_TEXT_SIZE;
    if (p) memcpy(id, p, n);
    id[n] = '\0';
}

int message_row_read(sqlite3_stmt *s, struct message_row *row, struct queue_message *m, struct arena *a) {
    row_read(s, row, a);
    *m = (struct queue_message){
        .group_id = row->group_id,
        .first_received_ms = row->first_received_ms,
        .receive_count = row->receive_count,
        .last_received_ms = sql_column_int(s, 8),
        .sent_ms = sql_column_int(s, 10),
        .dedup_id = sql_column(s, 11, a),
        .content_type = sql_column(s, 12, a),
        .body = sql_column(s, 14, a),
    };
    if (slice_is_none(m->body)) m->body = SLICE("");
    id_read(s, 9, m->id);
    struct error e;
    return queue_attributes_unpack(sql_column(s, 13, a), m, a, &e) < 0 ? SQLITE_CORRUPT : 0;
}

static int body_read(struct sqlite_db *db, int64_t seq, struct queue_message *m, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_BODY);
    sql_bind_int(s, 1, (uint64_t)seq);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) m->body = sql_column(s, 0, a);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc ? rc : SQLITE_CORRUPT;
}

static int death_read(struct sqlite_db *db, int64_t seq, const struct queue_death **death, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_DEATH);
    sql_bind_int(s, 1, (uint64_t)seq);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) {
        struct queue_death *d = arena_alloc(a, sizeof *d);
        *d = (struct queue_death){sql_column(s, 0, a), sql_column(s, 1, a), sql_column(s, 2, a), sql_column_int(s, 3),
                                  sql_column_int(s, 4)};
        *death = d;
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc ? rc : SQLITE_CORRUPT;
}

int message_extras_read(struct sqlite_db *db, const struct message_row *row, struct queue_message *m, struct arena *a) {
    int rc = row->extras & EXTRA_BODY ? body_read(db, row->seq, m, a) : 0;
    if (rc == 0 && row->extras & EXTRA_DEATH) rc = death_read(db, row->seq, &m->death, a);
    return rc;
}

int message_row_find(struct sqlite_db *db, int64_t seq, struct found_row *found, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_FIND);
    sqlite3_bind_int64(s, 1, seq);
    int rc = sql_first(s);
    found->found = rc == SQLITE_ROW;
    if (found->found) {
        row_read(s, &found->row, a);
        found->queue = sqlite3_column_int64(s, 8);
    }
    sqlite3_reset(s);
    return found->found ? 0 : rc;
}

/* --- groups --- */

static int group_first(struct sqlite_db *db, const struct sqlite_queue *q, struct slice group_id,
                       sqlite3_stmt **found) {
    sqlite3_stmt *s = sql_ready(db, SQL_GROUP_FIRST);
    sqlite3_bind_int64(s, 1, q->id);
    sql_bind_text(s, 2, group_id);
    *found = s;
    return sql_first(s);
}

int group_join(struct sqlite_db *db, struct sqlite_queue *q, struct slice group_id, int64_t *visible_at) {
    if (slice_is_none(group_id)) return 0;
    sqlite3_stmt *s;
    int rc = group_first(db, q, group_id, &s);
    sqlite3_reset(s);
    if (rc != SQLITE_ROW) return rc;
    *visible_at = BLOCKED;
    sqlite_count(q, COUNT_BLOCKED, 1);
    return 0;
}

/* After the first of a group is gone, the next one is due when it would have been on its own. */
static int group_advance(struct sqlite_db *db, struct sqlite_queue *q, struct slice group_id) {
    if (slice_is_none(group_id)) return 0;
    sqlite3_stmt *s;
    int rc = group_first(db, q, group_id, &s);
    int64_t seq = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    bool blocked = rc == SQLITE_ROW && sqlite3_column_int64(s, 1) == BLOCKED;
    uint64_t due_at = rc == SQLITE_ROW ? sql_column_int(s, 2) : 0;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW || !blocked) return rc == SQLITE_ROW ? 0 : rc;
    sqlite_count(q, COUNT_BLOCKED, -1);
    return message_set_visible(db, q, seq, due_at, 0);
}

/* --- writing --- */

int message_set_visible(struct sqlite_db *db, struct sqlite_queue *q, int64_t seq, uint64_t at_ms, int in_flight) {
    sqlite3_stmt *s = sql_ready(db, SQL_SET_VISIBLE);
    sqlite3_bind_int64(s, 1, seq);
    sql_bind_int(s, 2, at_ms);
    sqlite3_bind_int(s, 3, in_flight);
    sqlite_ready_at(q, at_ms);
    return sql_run(s);
}

static void bind_expiry(struct sqlite_db *db, const struct sqlite_queue *q, sqlite3_stmt *s, int at) {
    if (q->retention_ms)
        sql_bind_int(s, at, db->now_ms + q->retention_ms);
    else
        sqlite3_bind_null(s, at);
}

static int run_by_seq(struct sqlite_db *db, enum sqlite_sql name, int64_t seq) {
    sqlite3_stmt *s = sql_ready(db, name);
    sqlite3_bind_int64(s, 1, seq);
    return sql_run(s);
}

int message_remove(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row) {
    int rc = run_by_seq(db, SQL_DELETE, row->seq);
    if (rc == 0 && row->extras & EXTRA_BODY) rc = run_by_seq(db, SQL_BODY_DELETE, row->seq);
    if (rc == 0 && row->extras & EXTRA_DEATH) rc = run_by_seq(db, SQL_DEATH_DELETE, row->seq);
    sqlite_count(q, COUNT_MESSAGES, -1);
    if (row->visible_at == BLOCKED) sqlite_count(q, COUNT_BLOCKED, -1);
    return rc ? rc : group_advance(db, q, row->group_id);
}

static int row_copy(struct sqlite_db *db, struct sqlite_queue *to, const struct message_row *row, unsigned extras) {
    int64_t visible_at = (int64_t)db->now_ms;
    int rc = group_join(db, to, row->group_id, &visible_at);
    if (rc) return rc;
    if (visible_at != BLOCKED) sqlite_ready_at(to, db->now_ms);
    sqlite3_stmt *s = sql_ready(db, SQL_COPY);
    sqlite3_bind_int64(s, 1, row->seq);
    sqlite3_bind_int64(s, 2, db->next_seq);
    sqlite3_bind_int64(s, 3, to->id);
    sqlite3_bind_int64(s, 4, visible_at);
    sql_bind_int(s, 5, db->now_ms);
    bind_expiry(db, to, s, 6);
    sqlite3_bind_int64(s, 7, extras);
    sqlite_count(to, COUNT_MESSAGES, 1);
    return sql_run(s);
}

/* The copy has no death; who buries it adds one. */
int message_move(struct sqlite_db *db, struct sqlite_queue *from, struct sqlite_queue *to,
                 const struct message_row *row, unsigned extras) {
    int rc = row_copy(db, to, row, (row->extras & EXTRA_BODY) | extras);
    if (rc == 0 && row->extras & EXTRA_BODY) {
        sqlite3_stmt *s = sql_ready(db, SQL_BODY_MOVE);
        sqlite3_bind_int64(s, 1, row->seq);
        sqlite3_bind_int64(s, 2, db->next_seq);
        rc = sql_run(s);
    }
    db->next_seq++;
    if (rc) return rc;
    struct message_row old = *row;
    old.extras &= ~(unsigned)EXTRA_BODY; /* it has moved on */
    return message_remove(db, from, &old);
}

int death_add(struct sqlite_db *db, int64_t seq, const struct queue_death *death) {
    sqlite3_stmt *s = sql_ready(db, SQL_DEATH_ADD);
    sqlite3_bind_int64(s, 1, seq);
    sql_bind_text(s, 2, death->queue);
    sql_bind_text(s, 3, death->reason);
    sql_bind_text(s, 4, death->error);
    sql_bind_int(s, 5, death->attempts);
    sql_bind_int(s, 6, death->died_ms);
    return sql_run(s);
}

int message_bury(struct sqlite_db *db, struct sqlite_queue *from, const struct message_row *row,
                 const struct queue_settlement *why) {
    struct sqlite_queue *to;
    int rc = sqlite_queue_of(db, from->dead_letter, QUEUE_MAKE, &to);
    if (rc) return rc;
    int64_t seq = db->next_seq;
    rc = message_move(db, from, to, row, EXTRA_DEATH);
    const struct queue_death death = {from->name, why->reason, why->error, why->attempts, db->wall_ms};
    return rc ? rc : death_add(db, seq, &death);
}

/* --- retention --- */

int message_expire(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row) {
    const struct queue_settlement why = {.reason = SLICE("expired"), .attempts = row->receive_count};
    sqlite_count(q, COUNT_EXPIRED, 1);
    if (slice_is_none(q->dead_letter)) return message_remove(db, q, row);
    return message_bury(db, q, row, &why);
}

/* A page of rows, read before any of them is changed. */
static int expired_find(struct sqlite_db *db, struct found_row *rows, size_t *count, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_EXPIRED);
    sql_bind_int(s, 1, db->now_ms);
    sqlite3_bind_int(s, 2, SWEEP_PAGE);
    int rc;
    for (*count = 0; (rc = sqlite3_step(s)) == SQLITE_ROW; ++*count) {
        row_read(s, &rows[*count].row, a);
        rows[*count].queue = sqlite3_column_int64(s, 8);
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : rc;
}

static int expire_page(struct sqlite_db *db, size_t *count, struct arena *a) {
    struct found_row rows[SWEEP_PAGE];
    int rc = expired_find(db, rows, count, a);
    for (size_t i = 0; rc == 0 && i < *count; i++) {
        struct sqlite_queue *q;
        rc = sqlite_queue_by_id(db, rows[i].queue, &q);
        if (rc == 0) rc = message_expire(db, q, &rows[i].row);
    }
    return rc;
}

static int dedup_forget(struct sqlite_db *db) {
    sqlite3_stmt *s = sql_ready(db, SQL_DEDUP_FORGET);
    sql_bind_int(s, 1, db->now_ms);
    sqlite3_bind_int(s, 2, SWEEP_PAGE);
    return sql_run(s);
}

int sqlite_sweep(struct sqlite_db *db) {
    if (db->now_ms < db->sweep_at_ms) return 0;
    struct arena a = {0};
    size_t expired = 0;
    int rc = expire_page(db, &expired, &a);
    if (rc == 0) rc = dedup_forget(db);
    arena_free(&a);
    db->sweep_at_ms = rc || expired == SWEEP_PAGE ? db->now_ms : db->now_ms + SWEEP_INTERVAL_MS;
    return rc;
}
