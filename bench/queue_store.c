/* queue_store FOLDER BACKLOG: what the SQLite store costs, as one JSON object on stdout.
 *
 * `durable`: sends per second, one call per message with LOAD_WINDOW of them under way, against a bare program that
 * inserts ids, times and the same bodies into a table without indices, BATCH to a transaction, just as durably (WAL,
 * synchronous=FULL). `backlog`: time of sends, and of receives with acknowledgements, in a queue that holds BACKLOG
 * messages against an empty one. Sides alternate; each figure is a median of ROUNDS.
 */
#define ROUNDS 7
#define LOAD_WINDOW 4000
#include "bench/queue_load.h"
#include "gateway/queue/sqlite_store.h"
#include <sqlite3.h>

#define SENDS 50000
#define BATCH (LOAD_WINDOW / 2) /* the store takes halves, too */
#define PASSES 50000
#define ID "019a0000-0000-7000-8000-000000000000"

static struct queue_store *store_open(struct load *b, const char *folder, const char *name) {
    struct error e;
    char *path = xasprintf("%s/%s.db", folder, name);
    struct queue_store *store = sqlite_store_open(b->loop, path, &e);
    free(path);
    if (!store) give_up(e.message);
    return store;
}

/* --- the bare program --- */

static void must(sqlite3 *handle, int rc) {
    if (rc == SQLITE_OK || rc == SQLITE_DONE) return;
    fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(handle));
    exit(1);
}

static void bare_batch(sqlite3 *handle, sqlite3_stmt *insert, const char *body) {
    must(handle, sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    for (int i = 0; i < BATCH; i++) {
        sqlite3_bind_text(insert, 1, ID, sizeof ID - 1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 2, 1750000000000 + i);
        sqlite3_bind_blob(insert, 3, body, BODY_SIZE, SQLITE_STATIC);
        must(handle, sqlite3_step(insert));
        sqlite3_reset(insert);
    }
    must(handle, sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL));
}

static sqlite3 *bare_open(const char *folder, sqlite3_stmt **insert) {
    sqlite3 *handle;
    char *path = xasprintf("%s/bare.db", folder);
    must(NULL, sqlite3_open(path, &handle));
    free(path);
    must(handle, sqlite3_exec(handle,
                              "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                              "CREATE TABLE message(seq INTEGER PRIMARY KEY, id TEXT, sent_ms INTEGER, body BLOB)",
                              NULL, NULL, NULL));
    must(handle,
         sqlite3_prepare_v2(handle, "INSERT INTO message(id, sent_ms, body) VALUES(?1, ?2, ?3)", -1, insert, NULL));
    return handle;
}

static double bare_time(struct load *b, sqlite3 *handle, sqlite3_stmt *insert) {
    double began = now_s(b);
    for (int i = 0; i < SENDS / BATCH; i++) bare_batch(handle, insert, b->body);
    return now_s(b) - began;
}

/* --- figures --- */

static void measure_durable(struct load *b, const char *folder) {
    double ours[ROUNDS], bare[ROUNDS], ratios[ROUNDS];
    sqlite3_stmt *insert;
    struct queue_store *store = store_open(b, folder, "durable"); /* first: it sets SQLite up, for both */
    sqlite3 *handle = bare_open(folder, &insert);
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = SENDS / sends_time(b, store, SENDS);
        bare[i] = SENDS / bare_time(b, handle, insert);
        ratios[i] = ours[i] / bare[i];
    }
    sqlite3_finalize(insert);
    sqlite3_close(handle);
    printf("{\"durable\": {\"ours\": %.0f, \"bare\": %.0f, \"ratio\": %.3f}", median(ours), median(bare),
           median(ratios));
}

static void measure_backlog(struct load *b, const char *folder, unsigned count) {
    double sends[ROUNDS], receives[ROUNDS];
    struct queue_store *empty = store_open(b, folder, "empty"), *full = store_open(b, folder, "full");
    double filled = sends_time(b, full, count);
    for (int i = 0; i < ROUNDS; i++) {
        double sent = sends_time(b, empty, PASSES);
        sends[i] = sends_time(b, full, PASSES) / sent;
        double received = receives_time(b, empty, PASSES);
        receives[i] = receives_time(b, full, PASSES) / received;
    }
    printf(", \"backlog\": {\"count\": %u, \"filled_s\": %.1f, \"send\": %.3f, \"receive\": %.3f}}\n", count, filled,
           median(sends), median(receives));
}

int main(int argc, char **argv) {
    struct load b = {0};
    if (argc != 3) return 2;
    load_open(&b);
    measure_durable(&b, argv[1]);
    measure_backlog(&b, argv[1], (unsigned)atoi(argv[2]));
    return 0;
}
