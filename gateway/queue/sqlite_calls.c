#include "gateway/queue/sqlite_private.h"
#include <assert.h>
#include <stdio.h>

/* Reading stops at this many bytes of bodies: memory is bounded, and the next call gets the rest. */
#define PAGE_SIZE_MAX (16u << 20)

/* A call that is wrong in itself (status < 0, the error is in the reply) undoes nothing of the batch; a positive status
 * is SQLite's and does. */
static int refuse(struct sqlite_call *c, int status) {
    c->reply.result = QUEUE_REFUSED;
    return status < 0 ? 0 : status;
}

/* --- declare --- */

static int declare_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct sqlite_queue *q;
    const struct queue_settings *want = &c->settings;
    int rc = sqlite_queue_of(db, want->name, QUEUE_MAKE, &q);
    if (rc) return rc;
    assert(!slice_equal(want->name, want->dead_letter)); /* the blueprint's checks see to it */
    q->dead_letter = arena_copy(&db->queue_memory, want->dead_letter);
    q->retention_ms = want->retention_ms;
    q->dedup_window_ms = want->dedup_window_ms;
    q->message_size_bytes = want->message_size_bytes;
    sqlite3_stmt *s = sql_ready(db, SQL_QUEUE_DECLARE);
    sqlite3_bind_int64(s, 1, q->id);
    sql_bind_text(s, 2, q->dead_letter);
    sql_bind_int(s, 3, q->retention_ms);
    sql_bind_int(s, 4, q->dedup_window_ms);
    sql_bind_int(s, 5, q->message_size_bytes);
    return sql_run(s);
}
const struct sqlite_kind sqlite_declare = {SQLITE_WRITES, declare_run};

/* --- send --- */

/* What an earlier send is known by, and for how long: the dedup id, or an import's own id under a number that no queue
 * has. Absent = nothing. */
struct once {
    int64_t queue;
    struct slice key;
    uint64_t window_ms;
};
static struct once once_of(const struct sqlite_queue *q, const struct queue_send *send) {
    if (!slice_is_none(send->id)) return (struct once){-q->id, send->once_ms ? send->id : SLICE_NONE, send->once_ms};
    return (struct once){q->id, send->dedup_id,
                         q->dedup_window_ms ? q->dedup_window_ms : QUEUE_DEDUP_WINDOW_MS_DEFAULT};
}

/* The earlier one's id into sent, which becomes a duplicate. */
static int duplicate_find(struct sqlite_db *db, const struct once *once, struct queue_sent *sent) {
    if (slice_is_none(once->key)) return 0;
    sqlite3_stmt *s = sql_ready(db, SQL_DEDUP);
    sqlite3_bind_int64(s, 1, once->queue);
    sql_bind_text(s, 2, once->key);
    sql_bind_int(s, 3, db->now_ms);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) {
        snprintf(sent->id, sizeof sent->id, "%.*s", sqlite3_column_bytes(s, 0),
                 (const char *)sqlite3_column_text(s, 0));
        sent->duplicate = true;
        rc = 0;
    }
    sqlite3_reset(s);
    return rc;
}

static int duplicate_remember(struct sqlite_db *db, const struct once *once, const struct queue_sent *sent) {
    if (slice_is_none(once->key)) return 0;
    sqlite3_stmt *s = sql_ready(db, SQL_DEDUP_ADD);
    sqlite3_bind_int64(s, 1, once->queue);
    sql_bind_text(s, 2, once->key);
    sql_bind_text(s, 3, slice_of(sent->id));
    sql_bind_int(s, 4, db->now_ms + once->window_ms);
    return sql_run(s);
}

static int send_one(struct sqlite_db *db, const struct queue_send *send, struct queue_sent *sent, struct arena *a) {
    struct sqlite_queue *q;
    int rc = sqlite_queue_of(db, send->queue, QUEUE_MAKE, &q);
    if (rc) return rc;
    const struct once once = once_of(q, send);
    rc = duplicate_find(db, &once, sent);
    if (rc) return rc;
    if (sent->duplicate) {
        sqlite_count(q, COUNT_DUPLICATES, 1);
        return 0;
    }
    rc = message_insert(db, q, send, slice_of(sent->id), a);
    return rc ? rc : duplicate_remember(db, &once, sent);
}

static int send_check(struct sqlite_db *db, struct sqlite_call *c) {
    int bad = queue_page_check(c->send.count, &c->reply.error);
    if (bad < 0) return bad;
    for (size_t i = 0; i < c->send.count; i++) {
        struct sqlite_queue *q;
        int rc = sqlite_queue_of(db, c->send.sends[i].queue, QUEUE_FIND, &q);
        if (rc) return rc;
        int status = queue_send_check(&c->send.sends[i], q ? q->message_size_bytes : 0, &c->reply.error);
        if (status < 0) return status;
    }
    return 0;
}

static int send_run(struct sqlite_db *db, struct sqlite_call *c) {
    int status = send_check(db, c);
    if (status) return refuse(c, status);
    /* A second try starts from the ids that were drawn. */
    struct queue_sent *sent = arena_alloc(&c->arena, c->send.count * sizeof *sent);
    memcpy(sent, c->send.ids, c->send.count * sizeof *sent);
    for (size_t i = 0; i < c->send.count; i++) {
        int rc = send_one(db, &c->send.sends[i], &sent[i], &c->arena);
        if (rc) return rc;
    }
    c->reply.sent = sent;
    c->reply.count = c->send.count;
    return 0;
}
const struct sqlite_kind sqlite_send = {SQLITE_WRITES, send_run};

/* --- rows of a page --- */

struct page {
    struct message_row *rows;
    struct queue_message *messages;
    size_t count;
    size_t size_bytes;
};

static struct page page_make(struct arena *a, unsigned max) {
    return (struct page){arena_alloc(a, max * sizeof(struct message_row)),
                         arena_alloc(a, max * sizeof(struct queue_message)), 0, 0};
}

/* What a bound select gives, and then what stands in other tables. */
static int page_read(struct sqlite_db *db, sqlite3_stmt *s, struct page *page, struct arena *a) {
    int rc = SQLITE_DONE, bad = 0;
    while (page->size_bytes < PAGE_SIZE_MAX && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct message_row *row = &page->rows[page->count];
        struct queue_message *m = &page->messages[page->count++];
        bad = message_row_read(s, row, m, a);
        if (bad == 0) bad = message_extras_read(db, row, m, a);
        if (bad) break;
        page->size_bytes += m->body.n;
    }
    sqlite3_reset(s);
    if (bad) return bad;
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

/* --- receive --- */

static int message_take(struct sqlite_db *db, struct message_row *row, struct queue_message *m, uint64_t until_ms) {
    sqlite3_stmt *s = sql_ready(db, SQL_TAKE);
    m->receive_count = ++row->receive_count;
    m->last_received_ms = db->wall_ms;
    if (m->first_received_ms == 0) m->first_received_ms = db->wall_ms;
    sqlite3_bind_int64(s, 1, row->seq);
    sql_bind_int(s, 2, until_ms);
    sql_bind_int(s, 3, m->receive_count);
    sql_bind_int(s, 4, m->first_received_ms);
    sql_bind_int(s, 5, m->last_received_ms);
    return sql_run(s);
}

/* Those that have expired go where such messages go; the others are taken. */
static int page_take(struct sqlite_db *db, struct sqlite_queue *q, struct page *page, struct sqlite_call *c) {
    size_t taken = 0;
    for (size_t i = 0; i < page->count; i++) {
        struct message_row *row = &page->rows[i];
        struct queue_message *m = &page->messages[i];
        bool expired = row->expires_at && row->expires_at <= db->now_ms;
        int rc = expired ? message_expire(db, q, row) : message_take(db, row, m, db->now_ms + c->receive.visibility_ms);
        if (rc) return rc;
        if (expired) continue;
        m->receipt = arena_printf(&c->arena, "%lld-%llu", (long long)row->seq, (unsigned long long)row->receive_count);
        page->messages[taken++] = *m;
    }
    page->count = taken;
    sqlite_count(q, COUNT_RECEIVED, (int64_t)taken);
    return 0;
}

/* When a receive that found too little may find more. */
static int next_ready(struct sqlite_db *db, struct sqlite_queue *q) {
    sqlite3_stmt *s = sql_ready(db, SQL_NEXT_READY);
    sqlite3_bind_int64(s, 1, q->id);
    int rc = sql_first(s);
    if (rc == SQLITE_ROW) sqlite_ready_at(q, sql_column_int(s, 0));
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc;
}

static int receive_check(const struct sqlite_call *c, struct error *e) {
    int status = queue_name_check(c->receive.queue, e);
    if (status == 0) status = queue_page_check(c->receive.max, e);
    return status ? status : queue_delay_check(c->receive.visibility_ms, e);
}

static int receive_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct sqlite_queue *q;
    int rc = receive_check(c, &c->reply.error);
    if (rc) return refuse(c, rc);
    rc = sqlite_queue_of(db, c->receive.queue, QUEUE_FIND, &q);
    if (rc || !q) return rc;
    struct page page = page_make(&c->arena, c->receive.max);
    sqlite3_stmt *s = sql_ready(db, SQL_RECEIVE);
    sqlite3_bind_int64(s, 1, q->id);
    sql_bind_int(s, 2, db->now_ms);
    sqlite3_bind_int64(s, 3, c->receive.max);
    rc = page_read(db, s, &page, &c->arena);
    if (rc == 0) rc = page_take(db, q, &page, c);
    if (rc == 0 && page.count < c->receive.max) rc = next_ready(db, q);
    c->reply.messages = page.messages;
    c->reply.count = page.count;
    return rc;
}
const struct sqlite_kind sqlite_receive = {SQLITE_WRITES, receive_run};

/* --- settle --- */

/* "seq-count", as receive wrote it. */
static bool receipt_read(struct slice receipt, uint64_t *seq, uint64_t *count) {
    struct slice first;
    return slice_next(&receipt, '-', &first) && slice_to_u64(first, seq) && slice_to_u64(receipt, count) &&
           *seq <= INT64_MAX;
}

static int settle_ack(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row,
                      const struct queue_settlement *item) {
    (void)item;
    sqlite_count(q, COUNT_ACKNOWLEDGED, 1);
    return message_remove(db, q, row);
}

static int settle_retry(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row,
                        const struct queue_settlement *item) {
    sqlite_count(q, COUNT_RETRIED, 1);
    return message_set_visible(db, q, row->seq, db->now_ms + item->delay_ms, 0);
}

static int settle_bury(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row,
                       const struct queue_settlement *item) {
    sqlite_count(q, COUNT_BURIED, 1);
    return message_bury(db, q, row, item);
}

static int settle_extend(struct sqlite_db *db, struct sqlite_queue *q, const struct message_row *row,
                         const struct queue_settlement *item) {
    return message_set_visible(db, q, row->seq, db->now_ms + item->delay_ms, 1);
}

static int (*const actions[])(struct sqlite_db *, struct sqlite_queue *, const struct message_row *,
                              const struct queue_settlement *) = {
    [QUEUE_ACK] = settle_ack,
    [QUEUE_RETRY] = settle_retry,
    [QUEUE_BURY] = settle_bury,
    [QUEUE_EXTEND] = settle_extend,
};

static int settle_one(struct sqlite_db *db, const struct queue_settlement *item, enum queue_settled *settled,
                      struct arena *a) {
    uint64_t seq, count;
    struct sqlite_queue *q;
    struct found_row f;
    *settled = QUEUE_STALE;
    if (!receipt_read(item->receipt, &seq, &count)) return 0;
    int rc = sqlite_queue_of(db, item->queue, QUEUE_FIND, &q);
    if (rc || !q) return rc;
    rc = message_row_find(db, (int64_t)seq, &f, a);
    if (rc || !f.found || f.queue != q->id || !f.row.in_flight || f.row.receive_count != count) return rc;
    *settled = QUEUE_UNBURIED;
    if (item->action == QUEUE_BURY && slice_is_none(q->dead_letter)) return 0;
    *settled = QUEUE_SETTLED;
    return actions[item->action](db, q, &f.row, item);
}

static int settle_check(const struct sqlite_call *c, struct error *e) {
    int status = queue_page_check(c->settle.count, e);
    for (size_t i = 0; status == 0 && i < c->settle.count; i++)
        status = queue_delay_check(c->settle.items[i].delay_ms, e);
    return status;
}

static int settle_run(struct sqlite_db *db, struct sqlite_call *c) {
    int rc = settle_check(c, &c->reply.error);
    if (rc) return refuse(c, rc);
    enum queue_settled *settled = arena_alloc(&c->arena, c->settle.count * sizeof *settled);
    for (size_t i = 0; i < c->settle.count; i++) {
        rc = settle_one(db, &c->settle.items[i], &settled[i], &c->arena);
        if (rc) return rc;
    }
    c->reply.settled = settled;
    c->reply.count = c->settle.count;
    return 0;
}
const struct sqlite_kind sqlite_settle = {SQLITE_WRITES, settle_run};

/* --- browse --- */

/* "visible_at-in_flight-seq"; an absent one is before all. */
static bool position_read(struct slice position, int64_t key[3]) {
    key[0] = key[1] = key[2] = -1;
    if (slice_is_none(position)) return true;
    for (int i = 0; i < 3; i++) {
        struct slice part;
        uint64_t value;
        if (!slice_next(&position, '-', &part) || !slice_to_u64(part, &value) || value > INT64_MAX) return false;
        key[i] = (int64_t)value;
    }
    return slice_is_none(position);
}

static void message_place(const struct sqlite_db *db, const struct message_row *row, struct queue_message *m,
                          struct arena *a) {
    uint64_t visible_at = (uint64_t)row->visible_at;
    m->position = arena_printf(a, "%lld-%d-%lld", (long long)row->visible_at, row->in_flight, (long long)row->seq);
    m->place = QUEUE_READY;
    if (row->visible_at == BLOCKED)
        m->place = QUEUE_BLOCKED;
    else if (visible_at > db->now_ms)
        m->place = row->in_flight ? QUEUE_IN_FLIGHT : QUEUE_DELAYED;
    if (m->place == QUEUE_IN_FLIGHT || m->place == QUEUE_DELAYED) m->ready_in_ms = visible_at - db->now_ms;
}

static int browse_run(struct sqlite_db *db, struct sqlite_call *c) {
    struct sqlite_queue *q;
    int64_t after[3];
    int rc = queue_page_check(c->browse.max, &c->reply.error);
    if (rc == 0 && !position_read(c->browse.after, after))
        rc = error_set(&c->reply.error, ERROR_FORMAT, "the position to go on from is not one of this store");
    if (rc) return refuse(c, rc);
    rc = sqlite_queue_of(db, c->browse.queue, QUEUE_FIND, &q);
    if (rc || !q) return rc;
    struct page page = page_make(&c->arena, c->browse.max);
    sqlite3_stmt *s = sql_ready(db, SQL_BROWSE);
    sqlite3_bind_int64(s, 1, q->id);
    for (int i = 0; i < 3; i++) sqlite3_bind_int64(s, i + 2, after[i]);
    sqlite3_bind_int64(s, 5, c->browse.max);
    rc = page_read(db, s, &page, &c->arena);
    for (size_t i = 0; i < page.count; i++) message_place(db, &page.rows[i], &page.messages[i], &c->arena);
    c->reply.messages = page.messages;
    c->reply.count = page.count;
    return rc;
}
const struct sqlite_kind sqlite_browse = {SQLITE_READS, browse_run};
