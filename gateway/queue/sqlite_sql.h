/* sqlite_sql.h - every statement of the store, as SQL(name, text). Included more than once.
 *
 * Each finds its rows by an index or a primary key; test_sqlite_store.c asks SQLite for its plans to prove it. */
SQL(SQL_BEGIN_READ, "BEGIN")
SQL(SQL_BEGIN_WRITE, "BEGIN IMMEDIATE")
SQL(SQL_COMMIT, "COMMIT")
SQL(SQL_ROLLBACK, "ROLLBACK")
SQL(SQL_DATA_VERSION, "PRAGMA data_version")
SQL(SQL_FREE_PAGES, "PRAGMA freelist_count")
SQL(SQL_STATE, "SELECT now_ms, next_seq FROM state WHERE id = 1")
SQL(SQL_STATE_SET, "UPDATE state SET now_ms = ?1, next_seq = ?2 WHERE id = 1")

SQL(SQL_QUEUE_BY_NAME,
    "SELECT id, name, dead_letter, retention_ms, dedup_window_ms, message_size_bytes FROM queue WHERE name = ?1")
SQL(SQL_QUEUE_BY_ID,
    "SELECT id, name, dead_letter, retention_ms, dedup_window_ms, message_size_bytes FROM queue WHERE id = ?1")
SQL(SQL_QUEUE_MAKE, "INSERT INTO queue(name) VALUES(?1)")
SQL(SQL_QUEUE_DECLARE, "UPDATE queue SET dead_letter = ?2, retention_ms = ?3, dedup_window_ms = ?4, "
                       "message_size_bytes = ?5 WHERE id = ?1")
SQL(SQL_QUEUE_COUNT,
    "UPDATE queue SET messages = messages + ?2, blocked = blocked + ?3, sent = sent + ?4, duplicates = duplicates + "
    "?5, "
    "received = received + ?6, acknowledged = acknowledged + ?7, retried = retried + ?8, buried = buried + ?9, "
    "expired = expired + ?10, purged = purged + ?11, redriven = redriven + ?12 WHERE id = ?1")
SQL(SQL_QUEUE_NAMES, "SELECT name FROM queue ORDER BY name")
SQL(SQL_STATS, "SELECT messages, blocked, sent, duplicates, received, acknowledged, retried, buried, expired, purged, "
               "redriven FROM queue WHERE id = ?1")
SQL(SQL_STATS_WAITING, "SELECT count(*), sum(in_flight) FROM message INDEXED BY message_due "
                       "WHERE queue = ?1 AND visible_at > ?2 AND visible_at < 9223372036854775807")
SQL(SQL_OLDEST, "SELECT due_at FROM message INDEXED BY message_due "
                "WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, in_flight, seq LIMIT 1")
SQL(SQL_NEXT_READY, "SELECT visible_at FROM message INDEXED BY message_due "
                    "WHERE queue = ?1 AND visible_at < 9223372036854775807 ORDER BY visible_at LIMIT 1")

SQL(SQL_INSERT, INSERT_HEAD INSERT_ROW)
SQL(SQL_INSERT_MANY, INSERT_HEAD INSERT_4 "," INSERT_4 "," INSERT_4 "," INSERT_4)
SQL(SQL_COPY,
    "INSERT INTO message SELECT ?2, ?3, ?4, 0, 0, ?5, ?6, ?7, id, sent_ms, 0, 0, group_id, dedup_id, content_type, "
    "attributes, body FROM message WHERE seq = ?1")
SQL(SQL_DELETE, "DELETE FROM message WHERE seq = ?1")
SQL(SQL_FIND,
    "SELECT seq, visible_at, in_flight, receive_count, group_id, extras, expires_at, first_received_ms, queue "
    "FROM message WHERE seq = ?1")
SQL(SQL_RECEIVE,
    "SELECT seq, visible_at, in_flight, receive_count, group_id, extras, expires_at, first_received_ms, "
    "last_received_ms, id, sent_ms, dedup_id, content_type, attributes, body FROM message INDEXED BY message_due "
    "WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, in_flight, seq LIMIT ?3")
SQL(SQL_BROWSE,
    "SELECT seq, visible_at, in_flight, receive_count, group_id, extras, expires_at, first_received_ms, "
    "last_received_ms, id, sent_ms, dedup_id, content_type, attributes, body FROM message INDEXED BY message_due "
    "WHERE queue = ?1 AND (visible_at, in_flight, seq) > (?2, ?3, ?4) ORDER BY visible_at, in_flight, seq LIMIT ?5")
SQL(SQL_TAKE, "UPDATE message SET visible_at = ?2, in_flight = 1, receive_count = ?3, first_received_ms = ?4, "
              "last_received_ms = ?5 WHERE seq = ?1")
SQL(SQL_SET_VISIBLE, "UPDATE message SET visible_at = ?2, in_flight = ?3 WHERE seq = ?1")
SQL(SQL_GROUP_FIRST, "SELECT seq, visible_at, due_at FROM message INDEXED BY message_group "
                     "WHERE queue = ?1 AND group_id = ?2 ORDER BY seq LIMIT 1")
SQL(SQL_EXPIRED,
    "SELECT seq, visible_at, in_flight, receive_count, group_id, extras, expires_at, first_received_ms, queue "
    "FROM message INDEXED BY message_expiry "
    "WHERE expires_at <= ?1 AND (in_flight = 0 OR visible_at <= ?1) ORDER BY expires_at LIMIT ?2")
SQL(SQL_PAGE,
    "SELECT seq FROM message INDEXED BY message_due WHERE queue = ?1 ORDER BY visible_at, in_flight, seq LIMIT ?2")
SQL(SQL_PAGE_DEAD, "SELECT m.seq FROM message m INDEXED BY message_due CROSS JOIN death d ON d.seq = m.seq "
                   "WHERE m.queue = ?1 AND (m.in_flight = 0 OR m.visible_at <= ?2) "
                   "ORDER BY m.visible_at, m.in_flight, m.seq LIMIT ?3")
SQL(SQL_PAGE_IDLE,
    "SELECT seq FROM message INDEXED BY message_due WHERE queue = ?1 AND (in_flight = 0 OR visible_at <= ?2) "
    "ORDER BY visible_at, in_flight, seq LIMIT ?3")

SQL(SQL_BODY_ADD, "INSERT INTO large_body(seq, body) VALUES(?1, ?2)")
SQL(SQL_BODY, "SELECT body FROM large_body WHERE seq = ?1")
SQL(SQL_BODY_MOVE, "UPDATE large_body SET seq = ?2 WHERE seq = ?1")
SQL(SQL_BODY_DELETE, "DELETE FROM large_body WHERE seq = ?1")
SQL(SQL_DEATH_ADD, "INSERT INTO death(seq, queue, reason, error, attempts, died_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
SQL(SQL_DEATH, "SELECT queue, reason, error, attempts, died_ms FROM death WHERE seq = ?1")
SQL(SQL_DEATH_DELETE, "DELETE FROM death WHERE seq = ?1")

SQL(SQL_DEDUP, "SELECT id FROM dedup WHERE queue = ?1 AND dedup_id = ?2 AND until > ?3")
SQL(SQL_DEDUP_ADD, "INSERT OR REPLACE INTO dedup(queue, dedup_id, id, until) VALUES(?1, ?2, ?3, ?4)")
SQL(SQL_DEDUP_FORGET, "DELETE FROM dedup WHERE (queue, dedup_id) IN "
                      "(SELECT queue, dedup_id FROM dedup INDEXED BY dedup_until WHERE until <= ?1 LIMIT ?2)")

SQL(SQL_NOTE, "SELECT value FROM note WHERE key = ?1")
SQL(SQL_NOTE_SET, "INSERT OR REPLACE INTO note(key, value) VALUES(?1, ?2)")
SQL(SQL_NOTE_DELETE, "DELETE FROM note WHERE key = ?1")
SQL(SQL_LEASE, "SELECT owner, until FROM lease WHERE key = ?1")
SQL(SQL_LEASE_SET, "INSERT OR REPLACE INTO lease(key, owner, until) VALUES(?1, ?2, ?3)")
SQL(SQL_LEASE_DELETE, "DELETE FROM lease WHERE key = ?1")
