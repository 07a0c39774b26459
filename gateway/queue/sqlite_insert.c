/* New messages: several rows to a statement where nothing has to be looked up between them. */
#include "gateway/queue/sqlite_private.h"

/* The parameters of INSERT_ROW. */
#define ROW_PARAMETERS 13

static void row_bind(sqlite3_stmt *s, int at, const struct new_row *row) {
    sqlite3_bind_int64(s, at, row->seq);
    sqlite3_bind_int64(s, at + 1, row->queue);
    sqlite3_bind_int64(s, at + 2, row->visible_at);
    sql_bind_int(s, at + 3, row->due_at);
    if (row->expires_at)
        sql_bind_int(s, at + 4, row->expires_at);
    else
        sqlite3_bind_null(s, at + 4);
    sql_bind_int(s, at + 5, row->extras);
    sql_bind_text(s, at + 6, row->id);
    sql_bind_int(s, at + 7, row->sent_ms);
    sql_bind_text(s, at + 8, row->group_id);
    sql_bind_text(s, at + 9, row->dedup_id);
    sql_bind_text(s, at + 10, row->content_type);
    sql_bind_blob(s, at + 11, row->attributes);
    sql_bind_blob(s, at + 12, row->extras & EXTRA_BODY ? SLICE_NONE : row->body);
}

static int row_insert(struct sqlite_db *db, const struct new_row *row) {
    sqlite3_stmt *s = sql_ready(db, SQL_INSERT);
    row_bind(s, 1, row);
    return sql_run(s);
}

int sqlite_rows_flush(struct sqlite_db *db) {
    size_t count = db->row_count;
    int rc = 0;
    db->row_count = 0;
    if (count < ROWS_MAX) {
        for (size_t i = 0; rc == 0 && i < count; i++) rc = row_insert(db, &db->rows[i]);
        return rc;
    }
    sqlite3_stmt *s = sql_ready(db, SQL_INSERT_MANY);
    for (int i = 0; i < ROWS_MAX; i++) row_bind(s, 1 + i * ROW_PARAMETERS, &db->rows[i]);
    return sql_run(s);
}

/* Those of a group are not put off: the next of them looks for it. */
static int row_add(struct sqlite_db *db, const struct new_row *row) {
    if (!slice_is_none(row->group_id)) return row_insert(db, row);
    db->rows[db->row_count++] = *row;
    return db->row_count == ROWS_MAX ? sqlite_rows_flush(db) : 0;
}

static int body_add(struct sqlite_db *db, const struct new_row *row) {
    if (!(row->extras & EXTRA_BODY)) return 0;
    sqlite3_stmt *s = sql_ready(db, SQL_BODY_ADD);
    sqlite3_bind_int64(s, 1, row->seq);
    sql_bind_blob(s, 2, row->body);
    return sql_run(s);
}

static struct slice attributes_of(const struct queue_send *send, struct arena *a) {
    struct buf packed = {0};
    queue_attributes_pack(send->attributes, send->attribute_count, &packed);
    struct slice kept = arena_copy(a, buf_slice(&packed));
    buf_free(&packed);
    return kept;
}

int message_insert(struct sqlite_db *db, struct sqlite_queue *q, const struct queue_send *send, struct slice id,
                   struct arena *a) {
    struct new_row row = {
        .seq = db->next_seq++,
        .queue = q->id,
        .due_at = db->now_ms + send->delay_ms,
        .visible_at = (int64_t)(db->now_ms + send->delay_ms),
        .expires_at = q->retention_ms ? db->now_ms + q->retention_ms : 0,
        .sent_ms = send->sent_ms ? send->sent_ms : db->wall_ms,
        .extras = (send->body.n > INLINE_BODY_SIZE ? EXTRA_BODY : 0) | (send->death ? EXTRA_DEATH : 0),
        .id = id,
        .group_id = send->group_id,
        .dedup_id = send->dedup_id,
        .content_type = send->content_type,
        .attributes = attributes_of(send, a),
        .body = send->body,
    };
    int rc = group_join(db, q, row.group_id, &row.visible_at);
    if (rc) return rc;
    if (row.visible_at != BLOCKED) sqlite_ready_at(q, row.due_at);
    sqlite_count(q, COUNT_MESSAGES, 1);
    sqlite_count(q, COUNT_SENT, 1);
    rc = row_add(db, &row);
    if (rc == 0) rc = body_add(db, &row);
    return rc == 0 && send->death ? death_add(db, row.seq, send->death) : rc;
}
