/* The calls that look after queues (stats, purge, redrive) and those for notes. */
#include "gateway/queue/sqlite_private.h"

static int refuse(struct sqlite_call *c) {
    c->reply.result = QUEUE_REFUSED;
    return 0;
}

/* --- stats --- */

static int stats_counters(struct sqlite_db *db, const struct sqlite_queue *q, struct queue_stats *stats,
                          uint64_t *messages) {
    sqlite3_stmt *s = sql_ready(db, SQL_STATS);
    sqlite3_bind_int64(s, 1, q->id);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) {
        *messages = sql_column_int(s, COUNT_MESSAGES);
        stats->blocked = sql_column_int(s, COUNT_BLOCKED);
        stats->sent = sql_column_int(s, COUNT_SENT);
        stats->duplicates = sql_column_int(s, COUNT_DUPLICATES);
        stats->received = sql_column_int(s, COUNT_RECEIVED);
        stats->acknowledged = sql_column_int(s, COUNT_ACKNOWLEDGED);
        stats->retried = sql_column_int(s, COUNT_RETRIED);
        stats->buried = sql_column_int(s, COUNT_BURIED);
        stats->expired = sql_column_int(s, COUNT_EXPIRED);
        stats->purged = sql_column_int(s, COUNT_PURGED);
        stats->redriven = sql_column_int(s, COUNT_REDRIVEN);
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

static int stats_places(struct sqlite_db *db, const struct sqlite_queue *q, struct queue_stats *stats,
                        uint64_t messages) {
    sqlite3_stmt *s = sql_ready(db, SQL_STATS_WAITING);
    sqlite3_bind_int64(s, 1, q->id);
    sql_bind_int(s, 2, db->now_ms);
    int rc = sql_first(s);
    uint64_t waiting = rc == SQLITE_ROW ? sql_column_int(s, 0) : 0;
    stats->in_flight = rc == SQLITE_ROW ? sql_column_int(s, 1) : 0;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW) return rc;
    stats->delayed = waiting - stats->in_flight;
    stats->ready = messages - stats->blocked - waiting;
    return 0;
}

static int stats_oldest(struct sqlite_db *db, const struct sqlite_queue *q, struct queue_stats *stats) {
    sqlite3_stmt *s = sql_ready(db, SQL_OLDEST);
    sqlite3_bind_int64(s, 1, q->id);
    sql_bind_int(s, 2, db->now_ms);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) stats->oldest_age_ms = db->now_ms - sql_column_int(s, 0);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

/* Zeros for a queue that nobody has used. */
static int stats_one(struct sqlite_db *db, struct slice name, struct queue_stats *stats, struct arena *a) {
    struct sqlite_queue *q;
    uint64_t messages = 0;
    *stats = (struct queue_stats){.queue = arena_copy(a, name)};
    int rc = sqlite_queue_of(db, name, QUEUE_FIND, &q);
    if (rc || !q) return rc;
    rc = stats_counters(db, q, stats, &messages);
    if (rc == 0) rc = stats_places(db, q, stats, messages);
    return rc ? rc : stats_oldest(db, q, stats);
}

static int names_read(struct sqlite_db *db, struct buf *names, size_t *count, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_NAMES);
    int rc;
    for (*count = 0; (rc = sqlite3_step(s)) == SQLITE_ROW; ++*count) {
        struct slice name = sql_column(s, 0, a);
        buf_append(names, &name, sizeof name);
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : rc;
}

static int stats_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct buf names = {0};
    size_t count = 1;
    /* What the batch has counted so far belongs into the rows that are read now. */
    int rc = sqlite_queues_flush(db);
    if (rc) return rc;
    if (slice_is_none(c->name))
        rc = names_read(db, &names, &count, &c->arena);
    else
        buf_append(&names, &c->name, sizeof c->name);
    struct queue_stats *stats = arena_alloc(&c->arena, (count + 1) * sizeof *stats);
    const struct slice *name = (const void *)names.p;
    for (size_t i = 0; rc == 0 && i < count; i++) rc = stats_one(db, name[i], &stats[i], &c->arena);
    buf_free(&names);
    c->reply.stats = stats;
    c->reply.count = count;
    return rc;
}
const struct sqlite_kind sqlite_stats = {SQLITE_WRITES,
                                         stats_run}; /* it sweeps, so that expired messages do not count */

/* --- purge and redrive --- */

struct seqs {
    int64_t at[QUEUE_PAGE_MAX];
    size_t count;
};

/* Of a bound select whose first column is seq. */
static int seqs_read(sqlite3_stmt *s, struct seqs *seqs) {
    int rc;
    seqs->count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) seqs->at[seqs->count++] = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : rc;
}

static int purge_one(struct sqlite_db *db, struct sqlite_queue *q, int64_t seq, struct arena *a) {
    struct found_row f;
    int rc = message_row_find(db, seq, &f, a);
    if (rc || !f.found) return rc;
    sqlite_count(q, COUNT_PURGED, 1);
    return message_remove(db, q, &f.row);
}

static int purge_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct sqlite_queue *q;
    struct seqs seqs;
    if (queue_page_check(c->purge.max, &c->reply.error) < 0) return refuse(c);
    int rc = sqlite_queue_of(db, c->purge.queue, QUEUE_FIND, &q);
    if (rc || !q) return rc;
    sqlite3_stmt *s = sql_ready(db, SQL_PAGE);
    sqlite3_bind_int64(s, 1, q->id);
    sqlite3_bind_int64(s, 2, c->purge.max);
    rc = seqs_read(s, &seqs);
    for (size_t i = 0; rc == 0 && i < seqs.count; i++) rc = purge_one(db, q, seqs.at[i], &c->arena);
    c->reply.count = seqs.count;
    return rc;
}
const struct sqlite_kind sqlite_purge = {SQLITE_WRITES, purge_run};

/* The first ones that may be moved: neither in flight nor, without a target, of unknown origin. */
static int redrive_page(struct sqlite_db *db, const struct sqlite_queue *from, const struct queue_redrive *redrive,
                        struct seqs *seqs) {
    sqlite3_stmt *s = sql_ready(db, slice_is_none(redrive->to) ? SQL_PAGE_DEAD : SQL_PAGE_IDLE);
    sqlite3_bind_int64(s, 1, from->id);
    sql_bind_int(s, 2, db->now_ms);
    sqlite3_bind_int64(s, 3, redrive->max);
    return seqs_read(s, seqs);
}

static int redrive_named(const struct queue_redrive *redrive, struct seqs *seqs) {
    seqs->count = 0;
    for (size_t i = 0; i < redrive->position_count; i++) {
        struct slice rest = redrive->positions[i], part = SLICE_NONE;
        uint64_t seq = 0;
        while (slice_next(&rest, '-', &part)) {
        }
        if (slice_to_u64(part, &seq) && seq <= INT64_MAX) seqs->at[seqs->count++] = (int64_t)seq;
    }
    return 0;
}

/* Where a message goes: the target, or where it died; NULL when neither is known. */
static int redrive_target(struct sqlite_db *db, const struct queue_redrive *redrive, const struct message_row *row,
                          struct sqlite_queue **to, struct arena *a) {
    struct slice name = redrive->to;
    struct message_row death_only = *row;
    struct queue_message m = {0};
    *to = NULL;
    if (slice_is_none(name)) {
        death_only.extras &= EXTRA_DEATH;
        int rc = message_extras_read(db, &death_only, &m, a);
        if (rc || !m.death) return rc;
        name = m.death->queue;
    }
    return sqlite_queue_of(db, name, QUEUE_MAKE, to);
}

static int redrive_one(struct sqlite_db *db, struct sqlite_queue *from, struct sqlite_call *c, int64_t seq) {
    struct found_row f;
    struct sqlite_queue *to;
    int rc = message_row_find(db, seq, &f, &c->arena);
    if (rc || !f.found || f.queue != from->id) return rc;
    if (f.row.in_flight && f.row.visible_at > (int64_t)db->now_ms) return 0;
    rc = redrive_target(db, &c->redrive, &f.row, &to, &c->arena);
    if (rc || !to || to == from) return rc;
    sqlite_count(from, COUNT_REDRIVEN, 1);
    c->reply.count++;
    return message_move(db, from, to, &f.row, 0);
}

static int redrive_check(const struct queue_redrive *redrive, struct error *e) {
    int status = queue_name_check(redrive->from, e);
    if (status == 0 && !slice_is_none(redrive->to)) status = queue_name_check(redrive->to, e);
    if (status == 0 && slice_equal(redrive->from, redrive->to))
        status = error_set(e, ERROR_FORMAT, "queue " SLICE_FMT " cannot be redriven to itself", SLICE_ARG(redrive->to));
    if (status) return status;
    return queue_page_check(redrive->position_count ? redrive->position_count : redrive->max, e);
}

static int redrive_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct sqlite_queue *from;
    struct seqs seqs;
    const struct queue_redrive *redrive = &c->redrive;
    if (redrive_check(redrive, &c->reply.error) < 0) return refuse(c);
    int rc = sqlite_queue_of(db, redrive->from, QUEUE_FIND, &from);
    if (rc || !from) return rc;
    rc = redrive->position_count ? redrive_named(redrive, &seqs) : redrive_page(db, from, redrive, &seqs);
    for (size_t i = 0; rc == 0 && i < seqs.count; i++) rc = redrive_one(db, from, c, seqs.at[i]);
    return rc;
}
const struct sqlite_kind sqlite_redrive = {SQLITE_WRITES, redrive_run};

/* --- notes --- */

static int note_read(struct sqlite_db *db, struct slice key, struct slice *value, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_NOTE);
    sql_bind_text(s, 1, key);
    int rc = sql_first(s);
    *value = rc == SQLITE_ROW ? sql_column(s, 0, a) : SLICE_NONE;
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

static int note_write(struct sqlite_db *db, struct slice key, struct slice value) {
    sqlite3_stmt *s = sql_ready(db, slice_is_none(value) ? SQL_NOTE_DELETE : SQL_NOTE_SET);
    sql_bind_text(s, 1, key);
    if (!slice_is_none(value)) sql_bind_blob(s, 2, value);
    return sql_run(s);
}

static int recall_run(struct sqlite_db *db, struct sqlite_call *c) {
    if (queue_key_check(c->name, "a note's key", &c->reply.error) < 0) return refuse(c);
    return note_read(db, c->name, &c->reply.value, &c->arena);
}
const struct sqlite_kind sqlite_recall = {SQLITE_READS, recall_run};

static bool same_note(struct slice a, struct slice b) {
    return slice_is_none(a) == slice_is_none(b) && slice_equal(a, b);
}

static int swap_check(const struct queue_swap *swap, struct error *e) {
    int status = queue_key_check(swap->key, "a note's key", e);
    if (status < 0 || swap->value.n <= QUEUE_NOTE_SIZE_MAX) return status;
    return error_set(e, ERROR_LIMIT, "a note may have %d bytes, not %zu", QUEUE_NOTE_SIZE_MAX, swap->value.n);
}

static int swap_run(struct sqlite_db *db, struct sqlite_call *c) {
    if (swap_check(&c->swap, &c->reply.error) < 0) return refuse(c);
    struct slice now;
    int rc = note_read(db, c->swap.key, &now, &c->arena);
    if (rc) return rc;
    c->reply.granted = same_note(now, c->swap.expected);
    c->reply.value = now;
    if (!c->reply.granted) return 0;
    c->reply.value = arena_copy(&c->arena, c->swap.value);
    return note_write(db, c->swap.key, c->swap.value);
}
const struct sqlite_kind sqlite_swap = {SQLITE_WRITES, swap_run};

static int lease_holder(struct sqlite_db *db, struct slice key, struct slice *owner, struct arena *a) {
    sqlite3_stmt *s = sql_ready(db, SQL_LEASE);
    sql_bind_text(s, 1, key);
    int rc = sql_first(s);
    bool held = rc == SQLITE_ROW && sql_column_int(s, 1) > db->now_ms;
    *owner = held ? sql_column(s, 0, a) : SLICE_NONE;
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

static int lease_write(struct sqlite_db *db, const struct queue_lease *lease) {
    sqlite3_stmt *s = sql_ready(db, lease->ttl_ms ? SQL_LEASE_SET : SQL_LEASE_DELETE);
    sql_bind_text(s, 1, lease->key);
    if (lease->ttl_ms) {
        sql_bind_text(s, 2, lease->owner);
        sql_bind_int(s, 3, db->now_ms + lease->ttl_ms);
    }
    return sql_run(s);
}

static int lease_check(const struct queue_lease *lease, struct error *e) {
    int status = queue_key_check(lease->key, "a lease's key", e);
    if (status == 0) status = queue_key_check(lease->owner, "a lease's owner", e);
    return status ? status : queue_delay_check(lease->ttl_ms, e);
}

static int lease_run(struct sqlite_db *db, struct sqlite_call *c) {
    if (lease_check(&c->lease, &c->reply.error) < 0) return refuse(c);
    struct slice owner;
    int rc = lease_holder(db, c->lease.key, &owner, &c->arena);
    if (rc) return rc;
    c->reply.value = owner;
    c->reply.granted = slice_is_none(owner) || slice_equal(owner, c->lease.owner);
    if (!c->reply.granted) return 0;
    c->reply.value = c->lease.ttl_ms ? arena_copy(&c->arena, c->lease.owner) : SLICE_NONE;
    return lease_write(db, &c->lease);
}
const struct sqlite_kind sqlite_lease = {SQLITE_WRITES, lease_run};
