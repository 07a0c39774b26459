/* queue_store FOLDER BACKLOG: what the SQLite store costs, as one JSON object on stdout.
 *
 * `durable`: sends per second, one call per message with WINDOW of them under way, against a bare program that inserts
 * ids, times and the same bodies into a table without indices, BATCH to a transaction, just as durably (WAL,
 * synchronous=FULL). `backlog`: time of sends, and of receives with acknowledgements, in a queue that holds BACKLOG
 * messages against an empty one. Sides alternate; each figure is a median of ROUNDS.
 */
#include "gateway/base/memory.h"
#include "gateway/queue/sqlite_store.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 7
#define SENDS 50000
#define WINDOW 4000
#define BATCH (WINDOW / 2) /* the store takes halves, too */
#define PASSES 50000
#define PAGE 100
#define BODY_SIZE 200
#define ID "019a0000-0000-7000-8000-000000000000"

struct bench {
    struct clock *clock;
    struct loop *loop;
    struct queue_store *store;
    unsigned left;      /* to be asked for */
    unsigned under_way; /* asked, not answered */
    char body[BODY_SIZE];
};

static double now_s(struct bench *b) {
    return (double)clock_now_us(b->clock) / 1e6;
}

static void check(const struct queue_reply *reply) {
    if (reply->result == QUEUE_OK) return;
    fprintf(stderr, "%s\n", reply->error.message);
    exit(1);
}

static bool is_done(void *context) {
    struct bench *b = context;
    return b->left == 0 && b->under_way == 0;
}

static void await(struct bench *b) {
    if (loop_run_until(b->loop, is_done, b, 600000)) return;
    fprintf(stderr, "the store does not answer\n");
    exit(1);
}

static struct queue_store *store_open(struct bench *b, const char *folder, const char *name) {
    struct error e;
    char *path = xasprintf("%s/%s.db", folder, name);
    struct queue_store *store = sqlite_store_open(b->loop, path, &e);
    free(path);
    if (store) return store;
    fprintf(stderr, "%s\n", e.message);
    exit(1);
}

/* --- sends --- */

static void send_one(struct bench *b);

static void on_sent(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    check(reply);
    b->under_way--;
    if (b->left) send_one(b);
}

static void send_one(struct bench *b) {
    b->left--;
    b->under_way++;
    const struct queue_send send = {.queue = SLICE("q"), .body = slice_make(b->body, BODY_SIZE)};
    b->store->ops->send(b->store, &send, 1, (struct queue_done){on_sent, b});
}

static double sends_time(struct bench *b, struct queue_store *store, unsigned count) {
    double began = now_s(b);
    b->store = store;
    b->left = count;
    while (b->left && b->under_way < WINDOW) send_one(b);
    await(b);
    return now_s(b) - began;
}

/* --- receives, each page acknowledged by one call --- */

static void receive_page(struct bench *b);

static void on_acked(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    check(reply);
    b->under_way--;
    if (b->left) receive_page(b);
}

static void on_received(void *context, struct queue_reply *reply) {
    struct bench *b = context;
    struct queue_settlement items[PAGE];
    check(reply);
    if (reply->count != PAGE) abort();
    for (size_t i = 0; i < PAGE; i++)
        items[i] = (struct queue_settlement){.queue = SLICE("q"), .receipt = reply->messages[i].receipt};
    b->store->ops->settle(b->store, items, PAGE, (struct queue_done){on_acked, b});
}

static void receive_page(struct bench *b) {
    b->left -= PAGE;
    b->under_way++;
    b->store->ops->receive(b->store, &(struct queue_receive){SLICE("q"), PAGE, 30000},
                           (struct queue_done){on_received, b});
}

static double receives_time(struct bench *b, struct queue_store *store, unsigned count) {
    double began = now_s(b);
    b->store = store;
    b->left = count;
    while (b->left && b->under_way < 10) receive_page(b);
    await(b);
    return now_s(b) - began;
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

static double bare_time(struct bench *b, sqlite3 *handle, sqlite3_stmt *insert) {
    double began = now_s(b);
    for (int i = 0; i < SENDS / BATCH; i++) bare_batch(handle, insert, b->body);
    return now_s(b) - began;
}

/* --- figures --- */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, ROUNDS, sizeof *values, by_size);
    return values[ROUNDS / 2];
}

static void measure_durable(struct bench *b, const char *folder) {
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

static void measure_backlog(struct bench *b, const char *folder, unsigned count) {
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
    struct bench b = {.clock = clock_system_new()};
    struct error e;
    if (argc != 3) return 2;
    b.loop = loop_new(b.clock, &e);
    memset(b.body, 'x', sizeof b.body);
    measure_durable(&b, argv[1]);
    measure_backlog(&b, argv[1], (unsigned)atoi(argv[2]));
    return 0;
}
